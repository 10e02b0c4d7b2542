"""Loads by the command line into an embedded store, and what they put there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vecload import Key, connect, generate_key
from vecload.cli.app import run


class Loading:
    """Loads with options of the same index and key."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.key = folder / "a.key"
        generate_key().save(self.key)

    def load(self, source: Path, *options: str, code: int = 0) -> str:
        """Run the command, and give back what it said."""
        to = ["--to", str(self.folder / "store"), "--index", "a", "--key-file", str(self.key)]
        ended = run(["upsert", str(source), *to, *options])
        said = self._capsys.readouterr().err
        assert ended == code, said
        return said

    def items(self) -> dict[str, dict[str, Any]]:
        with connect(str(self.folder / "store")) as connection:
            index = connection.open_index("a", Key.load(self.key))
            return {item["id"]: item for item in index.get(sorted(index.list_ids()))}
