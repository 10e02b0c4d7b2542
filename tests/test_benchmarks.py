"""Every benchmark runs, small: what it finds is its own business, that it finds something is this test's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RESULTS = {
    "load": ["load-full.json", "load-vectors.json"],
    "wire": ["wire.json"],
    "encoding": ["encoding.json"],
    "stages": ["stages.json"],
    "parsing": ["parsing.json"],
    "recipes": ["recipes.json"],
    "start": ["start.json"],
    "memory": ["memory.json"],
    "changes": ["changes.json"],
    "verifying": ["verifying.json"],
    "moving": ["moving.json"],
}


@pytest.mark.parametrize("benchmark", RESULTS)
def test_a_benchmark_prints_its_tables_and_writes_its_results(benchmark: str, tmp_path: Path) -> None:
    cache, results = tmp_path / "cache", tmp_path / "results"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            f"benchmarks.{benchmark}",
            "--small",
            *("--cache", cache, "--results", results),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert "|" in done.stdout
    assert sorted(path.name for path in results.iterdir()) == RESULTS[benchmark]
    for path in results.iterdir():
        written = json.loads(path.read_text())
        assert len(written["load_average_before"]) == 3
        assert written["results"]
    if benchmark == "load":
        found = json.loads((results / "load-full.json").read_text())["results"]
        assert found["rows"] == 2000  # each way has checked that it loaded as many
        assert len(found["measured"]) == 13
        assert len(found["ratios"]) == 8
    if benchmark == "memory":
        assert len(written["results"]) == 4
        assert all(0 < one["bytes"] <= 400e6 for one in written["results"].values())
    if benchmark == "wire":
        assert [row["size"] for row in written["results"]] == [1, 4, 64]
