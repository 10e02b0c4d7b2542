"""Loads by the real command, and all that they put into their indexes.

In a process of its own: the engine keeps threads of every store that a process has opened.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vecload import Key, connect, generate_key
from vecload.cli.app import run

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Loaded:
    """What a load ended with: its exit code, all items of its index, and what was said.

    verified: The exit code of `vecload verify` with the same options; None if the load stopped.
    again: The exit codes of an export, of a load of that file into another store, and of a verification of
        the first sources with that store.
    """

    code: int
    items: list[dict[str, Any]]
    said: str
    verified: int | None
    again: list[int]


def loads(folder: Path, commands: Sequence[Sequence[str]], *, cwd: Path | None = None) -> list[Loaded]:
    """Load files, each into a store of its own.

    Args:
        folder: Where the stores and their key are made.
        commands: For each load the source, and options of `vecload upsert`.
        cwd: The working folder.
    """
    ended = subprocess.run(
        [sys.executable, "-m", "tests.cases.load", str(folder)],
        input=json.dumps([list(command) for command in commands]),
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    found = [Loaded(*each) for each in json.loads(ended.stdout)]
    for each in found:
        assert each.verified in (0, None), each.said
        assert not any(each.again), each.said
        for item in each.items:
            if isinstance(item["contents"], dict):
                item["contents"] = base64.b64decode(item["contents"]["$bytes"])
    return found


def _load(
    to: str, key_file: Path, command: Sequence[str]
) -> tuple[int, list[dict[str, Any]], str, int | None, list[int]]:
    options = [*command, "--to", to, "--index", "cases", "--key-file", str(key_file)]
    with tempfile.TemporaryFile("w+") as said:
        usual = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            code = run(["upsert", *options])
        finally:
            sys.stderr.flush()
            os.dup2(usual, 2)
            os.close(usual)
        said.seek(0)
        text = said.read()
    items: list[dict[str, Any]] = []
    if Path(to).is_dir():
        with connect(to) as connection:
            if "cases" in connection.list_indexes():
                index = connection.open_index("cases", Key.load(key_file))
                items = index.get(index.list_ids())
    for item in items:
        if isinstance(item["contents"], bytes):
            item["contents"] = {"$bytes": base64.b64encode(item["contents"]).decode()}
        item["vector"] = [float(x) for x in item["vector"]]
    if code not in (0, 3) or not items:
        return code, items, text, None, []
    verified = run(["verify", *options, "--extra", "--quiet"])
    file = f"{to}.{'jsonl' if len(command[0]) % 2 else 'parquet'}"
    here, there = [
        ["--to", place, "--index", "cases", "--key-file", str(key_file)] for place in (to, f"{to}-again")
    ]
    again = [
        run(["export", "-o", file, *here, "--quiet"]),
        run(["upsert", file, *there, "--quiet"]),
        run(["verify", *command, *there, "--extra", "--quiet"]),
    ]
    return code, items, text, verified, again


def _main(folder: str) -> None:
    key_file = Path(folder) / "cases.key"
    generate_key().save(key_file)
    commands = json.load(sys.stdin)
    found = [_load(f"{folder}/store-{n}", key_file, command) for n, command in enumerate(commands)]
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    _main(*sys.argv[1:])
