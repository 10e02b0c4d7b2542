# ruff: noqa: E501 the tables have one case a line
"""What is said of text that is no JSON: the cause and what to do, and never a value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from vecload.batch import Batch
from vecload.errors import SourceError
from vecload.loading.plan import make_plan
from vecload.mapping import ColumnChoice, ColumnMapping, Mapper
from vecload.readers import open_sources
from vecload.readers.json.causes import cause_of, wide_encoding
from vecload.readers.prefetch import batches

ROW = {"id": "a", "vector": [0.5, -1.5], "note": "secret"}
GOOD = json.dumps(ROW).encode()
COMMENT = "it has a comment, which JSON does not allow; remove it"
PYTHON = "it is a Python dict, not JSON; write it with json.dumps"
PARTS = "it is a part of an object on several lines; write each on one line: jq -c ."
NOT_UTF8 = "it is not UTF-8; if it is Windows-1252 or Latin-1, load it with --encoding windows-1252"

CAUSES: list[tuple[bytes, str]] = [
    (b'{"note": "secret", "price": NaN}', "field 'price' holds NaN, which JSON can't express; write null instead"),
    (b'{"a": {"price": [1, 2, NaN]}}', "field 'price' holds NaN, "),
    ('{"nöte": "secrét", "prïce": NaN}'.encode(), "field 'prïce' holds NaN, "),
    (b'{"a": -Infinity}', "field 'a' holds -Infinity, "),
    (b'{"a": Infinity}', "field 'a' holds Infinity, "),
    (b'{"a": nan}', "field 'a' holds NaN, "),
    (repr(ROW).encode(), PYTHON),
    (b'{"note": "secret", "b": True}', PYTHON),
    (b'{"note": "secret", "b": None}', PYTHON),
    (GOOD + b",", "it ends with a comma; remove it: sed 's/,$//'"),
    (b'{"note": "secret",}', "it has a comma before a closing bracket, which JSON does not allow; remove it"),
    (b'{"note": ["secret",]}', "it has a comma before a closing bracket, which JSON does not allow; remove it"),
    (b"# secret", COMMENT),
    (b"// secret", COMMENT),
    (GOOD + b" // secret", COMMENT),
    (b'{"a": 1 /* secret */}', COMMENT),
    (GOOD + GOOD, "it holds several objects; write each on a line of its own: jq -c ."),
    (GOOD + b" " + GOOD, "it holds several objects; write each on a line of its own: jq -c ."),
    (b"{", PARTS),
    (b'  "note": "secret",', PARTS),
    (b'{"note": "secret",', PARTS),
    (b"},", PARTS),
    ('{"note": "sécret"}'.encode("latin-1"), NOT_UTF8),
    ('{"note": "secret"}'.encode("utf-16"), "it is UTF-16; convert the file: iconv -f utf-16 -t utf-8"),
    ('{"note": "secret"}'.encode("utf-16-be"), "it is UTF-16BE; convert the file: iconv -f utf-16be -t utf-8"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "cause"), CAUSES)
def test_the_cause_of_a_line(line: bytes, cause: str) -> None:
    with pytest.raises(orjson.JSONDecodeError) as raised:
        orjson.loads(line)
    found = cause_of(raised.value, line)
    assert found.startswith(cause)
    assert "secr" not in found
    assert "\n" not in found


@pytest.mark.parametrize(
    "line", [b"words", b'{"a": tru}', b'{"a" 1}', b'{"a": "b', b'{"a": 1e999}', b'{"a": 01}']
)
def test_of_what_is_wrong_in_another_way_nothing_is_made_up(line: bytes) -> None:
    with pytest.raises(orjson.JSONDecodeError) as raised:
        orjson.loads(line)
    assert not cause_of(raised.value, line)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_text_of_wide_characters_is_known_with_a_byte_order_mark_and_without(encoding: str) -> None:
    data = GOOD.decode().encode(encoding)
    found = wide_encoding(data[:64])
    assert data.decode(found) == GOOD.decode()


@pytest.mark.parametrize(
    "head",
    [
        GOOD,
        b"",
        b"{",
        b"a\0",
        b"\x64\0\0\0\x00\x01\x02\x03",
        b"\x80\0\0\0\x80\0\0\0",
        bytes(64),
        b"PAR1\x15\0\x15\0",
    ],
)
def test_other_bytes_are_not_taken_for_such_text(head: bytes) -> None:
    assert not wide_encoding(head)


def loaded(path: Path, mapping: ColumnMapping = ColumnMapping("id", "vector")) -> Batch:  # noqa: B008 a frozen value
    (source,) = open_sources([str(path)])
    (batch,) = batches(source, Mapper(mapping, 2), batch_rows=100, batch_bytes=10**9)
    return batch


def test_a_later_row_is_a_reject_that_names_its_cause(tmp_path: Path) -> None:
    lines = [GOOD, *(line for line, _ in CAUSES if b"\n" not in line and b"\0" not in line)]
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    batch = loaded(path)
    causes = [cause for line, cause in CAUSES if b"\0" not in line]
    assert [(r.row, r.field, r.code) for r in batch.rejects] == [
        (row, "line", "not-json") for row in range(1, len(lines))
    ]
    for reject, cause in zip(batch.rejects, causes, strict=True):
        assert reject.message.startswith(f"is not JSON: {cause}")


@pytest.mark.parametrize(
    ("line", "cause"),
    [(repr(ROW).encode(), PYTHON), ('{"id": "é"}'.encode("latin-1"), NOT_UTF8)],
)
def test_a_file_without_a_row_says_the_cause_and_what_to_do_once(
    tmp_path: Path, line: bytes, cause: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\x1e" + line + b"\n" + line + b"\n")
    with pytest.raises(SourceError) as raised:
        make_plan(open_sources([str(path)]), ColumnChoice(), embed=False)
    assert str(raised.value) == f"{path} has no JSON object in its first rows: row 0 is not JSON: {cause}"


def test_objects_on_several_lines_that_do_not_end_are_one_error_that_names_the_place(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\x1e{\n{\n")
    with pytest.raises(SourceError, match=r"rows\.jsonl is not JSON: .* at line 2, column 1"):
        make_plan(open_sources([str(path)]), ColumnChoice(), embed=False)


@pytest.mark.parametrize(
    ("before", "after", "tail"),
    [(b"\xef\xbb\xbf", b"\n", b""), (b"\x1e", b"\n", b""), (b"", b"\n", bytes(4096)), (b"", b"", bytes(7))],
    ids=[
        "byte order marks",
        "separators",
        "NUL bytes after the last newline",
        "NUL bytes after the last row",
    ],
)
def test_what_some_writers_put_around_rows_is_read_over(
    tmp_path: Path, before: bytes, after: bytes, tail: bytes
) -> None:
    rows: list[dict[str, Any]] = [
        {"id": str(i), "vector": [i + 0.5, 2.0], "n": 2**70 + i} for i in range(150)
    ]
    path = tmp_path / "rows"
    path.write_bytes(b"\n".join(before + json.dumps(row).encode() for row in rows) + after + tail)
    (source,) = open_sources([str(path)])
    assert source.kind == "JSON Lines"
    found = [*batches(source, Mapper(ColumnMapping("id", "vector"), 2), batch_rows=100, batch_bytes=10**9)]
    assert [item_id for batch in found for item_id in batch.ids] == [row["id"] for row in rows]
    assert [m for batch in found for m in batch.metadata or ()] == [{"n": row["n"]} for row in rows]
    assert [batch.rejects for batch in found] == [()] * len(found)
    assert [v for batch in found if batch.vectors is not None for v in batch.vectors.tolist()] == [
        row["vector"] for row in rows
    ]
