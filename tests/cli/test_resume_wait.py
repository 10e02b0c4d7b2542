from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.cli.command import vecload
from tests.cli.sources import rows, write_jsonl


@pytest.mark.parametrize(("wait", "least"), [("4", 2.0), ("0", 0.0)])
def test_a_load_that_goes_on_lets_what_a_killed_run_had_in_flight_be_stored_first(
    service: str, tmp_path: Path, wait: str, least: float
) -> None:
    source = rows(130)
    source[125]["vector"] = None
    path = write_jsonl(tmp_path / "rows.jsonl", source)
    load = ("upsert", path, "--to", service, "--index", f"waits-{wait}", "--batch-rows", "10", "--json")
    load = (*load, "--create-key")
    assert vecload(*load).code == 4

    begun = time.monotonic()
    ended = vecload(*load, "--max-errors", "1", "--resume-wait", wait)
    waited = time.monotonic() - begun - json.loads(ended.out)["seconds"]

    assert ended.code == 3, ended.err
    assert waited >= least
