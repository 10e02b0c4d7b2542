"""What the commands for whole indexes print with `--json`, however they end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import vecload
from tests.cli.command import vecload as run
from tests.upkeep.conftest import Place


@pytest.mark.parametrize("command", ["export", "copy", "rekey"])
def test_a_command_that_stops_prints_its_summary_too(
    tmp_path: Path, full: Callable[[str], Place], command: str
) -> None:
    there = full("embedded")
    other = tmp_path / "other.key"
    vecload.generate_key().save(other)
    files = {
        "export": ("--to", there.to, "--key-file", other, "--output", tmp_path / "all.jsonl"),
        "copy": ("--from", there.to, "--from-key-file", other, "--to", tmp_path / "copy"),
        "rekey": ("--to", there.to, "--key-file", other, "--new-key-file", tmp_path / "new.key"),
    }

    ended = run(command, "--json", *files[command])

    assert ended.code == 6
    told = json.loads(ended.out)
    assert (told["status"], told["exit_code"]) == ("failed", 6)
    assert f"vecload: {told['error']}" == ended.error
    assert len(ended.err.splitlines()) == 1


def test_an_error_has_what_an_export_and_a_rekey_came_to(
    tmp_path: Path, full: Callable[[str], Place]
) -> None:
    there = full("embedded")
    with pytest.raises(vecload.UsageError) as stopped:
        vecload.export(tmp_path / "all.txt", to=there.to, index=there.index, key=there.key)
    assert stopped.value.result.as_dict()["error"] == str(stopped.value)
    with pytest.raises(vecload.VecloadError) as stopped_rekey:
        vecload.rekey(there.to, to=there.to, index=there.index, key=there.key)
    assert (stopped_rekey.value.result.status, stopped_rekey.value.result.exit_code) == ("failed", 2)
