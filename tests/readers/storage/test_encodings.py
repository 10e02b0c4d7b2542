"""Text in other encodings, and JSON documents one after the other, are read as what they are."""

from __future__ import annotations

import codecs
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecload.batch import Batch
from vecload.errors import SourceError
from vecload.loading.plan import make_plan
from vecload.mapping import ColumnChoice, Mapper
from vecload.readers import ReadOptions, Source, open_sources
from vecload.readers.json.jsonl import JsonlSource
from vecload.readers.json.relined import Relined
from vecload.readers.storage.files import LocalFile

ROWS = [{"id": f"ü{n}", "text": f'größer "{n}" {{[', "vector": [n, 0.5]} for n in range(1, 8)]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
TABLE = "id,text,vector\n" + "".join(f'ü{n},"größer ""{n}"" {{[","[{n},0.5]"\n' for n in range(1, 8))


def opened(path: Path, data: bytes, **reading: Any) -> Source:
    path.write_bytes(data)
    (source,) = open_sources([str(path)], ReadOptions(**reading))
    return source


def loaded(source: Source, *, rows: int = 100, done: Any = ()) -> list[Batch]:
    plan = make_plan([source], ColumnChoice(), embed=False)
    (job,) = plan.jobs(index_dimension=0, allow_zero_vectors=False)
    assert isinstance(job.mapper, Mapper)
    return [*source.batches(job.mapper, batch_rows=rows, batch_bytes=10**6, done=done)]


@pytest.mark.parametrize(
    "text", [LINES, json.dumps(ROWS, ensure_ascii=False), TABLE], ids=["lines", "json", "csv"]
)
@pytest.mark.parametrize(
    ("encoding", "named"),
    [
        *(("utf-16", None), ("utf-16-le", None), ("utf-32", None), ("utf-32-be", None), ("utf-8-sig", None)),
        *(("latin-1", "latin-1"), ("cp1252", "windows-1252"), ("utf-16-be", "UTF-16BE"), ("cp437", "cp437")),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_text_is_read_in_its_encoding(
    tmp_path: Path, text: str, encoding: str, named: str | None, *, packed: bool
) -> None:
    data = text.encode(encoding)
    name = "rows.csv" if text is TABLE else "rows.json"
    source = opened(tmp_path / name, gzip.compress(data) if packed else data, encoding=named)
    (batch,) = loaded(source)
    assert batch.ids == [row["id"] for row in ROWS]
    assert batch.contents == [row["text"] for row in ROWS]
    if encoding != "utf-8-sig":
        assert source.kind.endswith(codecs.lookup(encoding).name.upper())


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_reading_resumes_within_text_of_another_encoding(tmp_path: Path, encoding: str) -> None:
    source = opened(tmp_path / "rows.jsonl", LINES.encode(encoding), encoding=encoding)
    first, *_ = loaded(source, rows=3)
    (rest,) = loaded(source, done=[first.span])
    assert rest.ids == [row["id"] for row in ROWS[3:]]


def test_a_character_that_is_none_costs_its_row(tmp_path: Path) -> None:
    lines = LINES.encode("utf-16-le").replace("ü3".encode("utf-16-le"), b"\x00\xd83\0")
    (batch,) = loaded(opened(tmp_path / "rows.jsonl", lines, encoding="utf-16-le"))
    assert len(batch) == 6
    assert [(reject.row, reject.code) for reject in batch.rejects] == [(2, "not-json")]
    table = TABLE.encode("cp1252").replace(b"\xfc3", b"\x813")
    (batch,) = loaded(opened(tmp_path / "rows.csv", table, encoding="cp1252"))
    assert [(reject.row, reject.code) for reject in batch.rejects] == [(2, "not-utf8")]


def test_text_that_ends_within_a_character_is_cut_off(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="can't be read: it is not UTF-16-LE: truncated data"):
        opened(tmp_path / "rows.jsonl", LINES.encode("utf-16-le")[:-1], encoding="utf-16-le")


@pytest.mark.parametrize("name", ["klingon", "rot13", "base64", "zlib", "unicode_escape", "a\0b", ""])
def test_what_is_no_encoding_of_text_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match="is not a known encoding of text"):
        opened(tmp_path / "rows.jsonl", LINES.encode(), encoding=name)


PRETTY = "\n".join(json.dumps(row, indent=2) for row in ROWS)


@pytest.mark.parametrize(
    "text",
    [
        PRETTY,
        PRETTY.replace("\n{", "{"),
        "\r\n\r\n".join(json.dumps(row, indent=1).replace("\n", "\r\n") for row in ROWS),
        "".join(json.dumps(row) for row in ROWS),
        "".join("\x1e" + json.dumps(row, indent=2) + "\n" for row in ROWS),
        "".join("\x1e\n" + json.dumps(row, indent=0) + "\n" for row in ROWS),
        "\ufeff\n" + PRETTY,
    ],
    ids=["jq", "touching", "crlf", "one line", "sequence", "separator lines", "byte order mark"],
)
@pytest.mark.parametrize("name", ["rows.json", "rows"])
def test_documents_one_after_the_other_are_a_row_each(tmp_path: Path, text: str, name: str) -> None:
    source = opened(tmp_path / name, text.encode())
    assert source.kind == "JSON documents"
    found = loaded(source, rows=3)
    assert [item for batch in found for item in batch.ids] == [row["id"] for row in ROWS]
    (rest,) = loaded(source, done=[found[0].span])
    assert rest.contents == [row["text"] for row in ROWS[3:]]


@pytest.mark.parametrize(
    "first",
    [
        '{"id": "a", "vector": [1, NaN]}',
        '{"id": "a", "vector": [1, 2',
        '{"id": "a',
        "{'id': 'a'}",
    ],
)
def test_lines_of_which_the_first_is_wrong_stay_json_lines(tmp_path: Path, first: str) -> None:
    source = opened(tmp_path / "rows.jsonl", (first + "\n" + LINES).encode())
    assert isinstance(source, JsonlSource)
    assert source.kind == "JSON Lines"
    (batch,) = loaded(source)
    assert len(batch) == 7


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.lists(st.dictionaries(st.text(), values), max_size=4), st.integers(1, 4))
def test_any_documents_become_lines(documents: list[Any], indent: int) -> None:
    text = "\n".join(json.dumps(one, indent=indent) for one in documents).encode()
    relined = Relined(LocalFile(__file__))
    made = b"".join(relined.pieces(io.BytesIO(text)))
    assert [json.loads(line) for line in made.splitlines() if line.strip()] == documents
