"""Text in other formats is refused in words that name the format, and the user's own file."""

from __future__ import annotations

import gzip
from pathlib import Path

import duckdb
import pytest

from vecload.errors import SourceError
from vecload.readers import open_sources

COPIED = b"0\tsome text\t[0.5,1]\n1\tother\t[1,2]\n\\N\t\\N\t[1,2]\n"
DUMP = b"--\n-- PostgreSQL database dump\n--\n\nSET x = 0;\nCOPY public.docs (id, body) FROM stdin;\n"


def refusal(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(SourceError) as raised:
        open_sources([str(path)])
    return str(raised.value).removeprefix(f"{path} ")


@pytest.mark.parametrize("name", ["my rows.csv", "rows.TSV", "it's.csv"])
def test_csv_is_refused_with_a_command_for_that_very_file(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    separator = "\t" if "TSV" in name else ","
    said = refusal(tmp_path / name, f"id{separator}n\na{separator}1\nb{separator}2\n".encode())
    assert said.startswith(
        "is CSV, which has no column types; write it to Parquet, for instance with duckdb: copy ("
    )
    monkeypatch.chdir(tmp_path)
    duckdb.sql(said.partition("with duckdb: ")[2])
    (made,) = tmp_path.glob("*.parquet")
    assert duckdb.read_parquet(str(made)).fetchall() == [("a", 1), ("b", 2)]


def test_csv_may_be_compressed_or_have_another_name(tmp_path: Path) -> None:
    data = b"id,n\na,1\nb,2\n"
    assert "rows.csv.gz' " in refusal(tmp_path / "rows.csv.gz", gzip.compress(data)).replace("')", "' )")
    quoted = b'id,text\na,"one, two"\nb,"three\n""four"""\n'
    long = b"id,text\n" + b"".join(f'{n},"é, é"\n'.encode() for n in range(2000))
    for text in (data, quoted, long):
        said = refusal(tmp_path / "rows.txt", text)
        assert said.startswith("looks like CSV, which has no column types; write it to Parquet")


@pytest.mark.parametrize(
    "data", [b"words alone\n", b"one, two\nthree\n", b"a,b\n", b"a,b\n\xff,c\n", b"a\0,b\nc,d\n"]
)
def test_other_text_is_not_taken_for_csv(tmp_path: Path, data: bytes) -> None:
    assert "CSV" not in refusal(tmp_path / "rows.txt", data)


@pytest.mark.parametrize("name", ["rows.txt", "rows", "rows.copy"])
def test_what_copy_writes_is_refused_with_how_to_write_json_lines(tmp_path: Path, name: str) -> None:
    said = refusal(tmp_path / name, COPIED)
    assert said.startswith(
        "is tab-separated text, as PostgreSQL's COPY writes it; write its rows as JSON Lines"
    )
    assert "row_to_json" in said
    assert "csv header" in said


@pytest.mark.parametrize(
    "data", [DUMP, b"COPY public.docs (id) FROM stdin;\n0\n\\.\n", b"INSERT INTO public.docs VALUES (1);\n"]
)
@pytest.mark.parametrize("name", ["dump.sql", "dump"])
def test_a_dump_is_refused_with_its_own_table(tmp_path: Path, name: str, data: bytes) -> None:
    said = refusal(tmp_path / name, data)
    assert said.startswith(
        "is SQL, as pg_dump writes it; load it, then write its rows as JSON Lines: psql -At -c "
    )
    assert "from public.docs t" in said


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-32-be"])
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv", "rows"])
def test_other_encodings_are_refused_with_how_to_convert_them(
    tmp_path: Path, name: str, encoding: str
) -> None:
    said = refusal(tmp_path / name, '{"id": "a", "vector": [1, 2]}\n'.encode(encoding))
    kind = encoding[:6].upper()
    assert said.startswith(f"is {kind}")
    assert f"iconv -f {kind.lower()}" in said
    assert name in said
