"""Text in other formats is refused in words that name the format, and the user's own file."""

from __future__ import annotations

from pathlib import Path

import pytest

from vecload.errors import SourceError
from vecload.readers import open_sources

DUMP = b"--\n-- PostgreSQL database dump\n--\n\nSET x = 0;\nCOPY public.docs (id, body) FROM stdin;\n"


def refusal(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(SourceError) as raised:
        open_sources([str(path)])
    return str(raised.value).removeprefix(f"{path} ")


@pytest.mark.parametrize(
    "data", [b"words alone\n", b"one, two\nthree\n", b"a,b\n", b"a,b\n\xff,c\n", b"a\0,b\nc,d\n"]
)
def test_other_text_is_not_taken_for_csv(tmp_path: Path, data: bytes) -> None:
    said = refusal(tmp_path / "rows.txt", data)
    assert said.startswith("is neither Parquet, JSON Lines, CSV, Arrow IPC nor NumPy")


@pytest.mark.parametrize(
    "data", [DUMP, b"COPY public.docs (id) FROM stdin;\n0\n\\.\n", b"INSERT INTO public.docs VALUES (1);\n"]
)
@pytest.mark.parametrize("name", ["dump.sql", "dump"])
def test_a_dump_is_refused_with_its_own_table(tmp_path: Path, name: str, data: bytes) -> None:
    said = refusal(tmp_path / name, data)
    assert said.startswith("is SQL, as pg_dump writes it; load it, then write its rows as CSV: ")
    assert "\\copy (select * from public.docs)" in said
