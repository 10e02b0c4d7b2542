"""Every benchmark runs, small: what it finds is its own business, that it finds something is this test's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.simulation import Cluster, simulate

ROOT = Path(__file__).parent.parent
RESULTS = {
    "load": ["load-full.json"],
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
MORE = {"load": ("--variant", "full")}
"""Arguments: the other variant of this one runs the same ways."""


@pytest.mark.parametrize("benchmark", RESULTS)
def test_a_benchmark_prints_its_tables_and_writes_its_results(benchmark: str, tmp_path: Path) -> None:
    cache, results = tmp_path / "cache", tmp_path / "results"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            f"benchmarks.{benchmark}",
            *("--small", *MORE.get(benchmark, ())),
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


def test_the_simulated_cluster_takes_what_can_be_computed() -> None:
    alone = Cluster(workers=1, worker_rate=1000, service_rate=10_000)
    assert simulate(alone, 100_000, 10_000).seconds == pytest.approx(100)
    ten = Cluster(workers=10, worker_rate=1000, service_rate=10_000, begin_seconds=2)
    assert simulate(ten, 100_000, 10_000).seconds == pytest.approx(12)
    limited = Cluster(workers=10, worker_rate=1000, service_rate=2000)
    assert simulate(limited, 100_000, 10_000).seconds == pytest.approx(50)
    slow = Cluster(workers=10, worker_rate=1000, service_rate=10_000, stragglers=1.0, slowness=4.0)
    assert simulate(slow, 100_000, 10_000).seconds == pytest.approx(40)


def test_simulated_deaths_cost_the_splits_that_were_lost() -> None:
    dying = Cluster(workers=50, worker_rate=1000, service_rate=1e9, deaths_an_hour=20, retry_wait=1)
    found = [simulate(dying, 1_000_000, 10_000, seed) for seed in range(5)]
    assert all(outcome.splits == 100 for outcome in found)
    again = sum(outcome.attempts - outcome.splits for outcome in found)
    # A split takes 10 s, so one of 19 is lost; what is begun again may be lost again.
    assert 15 < again < 50
    assert all(20 <= outcome.seconds < 45 for outcome in found)
