from __future__ import annotations

import json
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecload.batch import Span
from vecload.errors import SourceError
from vecload.mapping import ColumnMapping, Mapper, Rows
from vecload.readers.json.jsonl import JsonlSource

BOM = b"\xef\xbb\xbf"


def row(number: int, padding: int = 0) -> bytes:
    return json.dumps({"id": str(number), "vector": [number + 1, 1], "pad": "x" * padding}).encode()


def write(path: Path, *lines: bytes, end: bytes = b"\n") -> JsonlSource:
    path.write_bytes(b"\n".join(lines) + end)
    return JsonlSource(str(path))


def ids_of(rows: Rows) -> list[str]:
    return rows.ids("id").values


def numbers(pieces: list[Rows]) -> list[int]:
    """The row numbers, after a look that each row is the one its number says."""
    for piece in pieces:
        assert len(ids_of(piece)) == len(piece.span)
    return [number for piece in pieces for number in range(piece.span.start, piece.span.stop)]


def test_pieces_hold_at_most_batch_rows(tmp_path: Path) -> None:
    source = write(tmp_path / "a", *(row(i) for i in range(10)))
    pieces = list(source.read(batch_rows=4, batch_bytes=10**9))
    assert [ids_of(piece) for piece in pieces] == [list("0123"), list("4567"), list("89")]


def test_pieces_hold_at_most_batch_bytes_and_a_larger_row_is_one_by_itself(tmp_path: Path) -> None:
    paddings = [0, 0, 500, 0, 60, 60, 500, 500, 0]
    source = write(tmp_path / "a", *(row(i, padding) for i, padding in enumerate(paddings)))
    pieces = list(source.read(batch_rows=100, batch_bytes=220))
    assert numbers(pieces) == list(range(9))
    for piece in pieces:
        size = (piece.span.end or 0) - (piece.span.begin or 0)
        assert size <= 220 or len(piece.span) == 1
    assert [len(piece.span) for piece in pieces] == [2, 1, 2, 1, 1, 1, 1]


def test_spans_name_the_rows_and_the_bytes_they_come_from(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(BOM + row(0) + b"\r\n\n  \n" + row(1) + b"\n\n" + row(2))
    source = JsonlSource(str(path))
    whole = path.read_bytes()
    spans = [piece.span for piece in source.read(batch_rows=1, batch_bytes=10**9)]
    assert [(span.source, span.start, span.stop) for span in spans] == [
        (str(path), i, i + 1) for i in range(3)
    ]
    for number, span in enumerate(spans):
        assert whole[span.begin : span.end].removeprefix(BOM).strip() == row(number)


def test_the_offset_of_a_row_is_where_its_line_begins(tmp_path: Path) -> None:
    source = write(tmp_path / "a", row(0), b"", b"not json", row(2))
    (piece,) = source.read(batch_rows=10, batch_bytes=10**9)
    begin = len(row(0)) + 2
    assert piece.offsets == [0, begin, begin + len(b"not json\n")]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n\n", b"\n \t\n"])
def test_the_last_line_needs_no_newline_and_blank_lines_are_no_rows(tmp_path: Path, end: bytes) -> None:
    source = write(tmp_path / "a", b"", row(0), b"  ", row(1), end=end)
    (piece,) = source.read(batch_rows=10, batch_bytes=10**9)
    assert ids_of(piece) == ["0", "1"]


def test_a_file_of_blank_lines_has_no_rows(tmp_path: Path) -> None:
    source = write(tmp_path / "a", b"", b"  ", b"\r")
    assert list(source.read(batch_rows=10, batch_bytes=10**9)) == []
    assert source.head() is None
    assert source.columns() == []


TEXT = '{"id": "a\\u00e9\\"é☃", "vector": [1.5, -2e-10, 0], "o": {"x": "😀", "y": [true, null]}}'.encode()


@pytest.mark.parametrize("before", [b"", BOM, row(0) + b"\n", b"\n \n"])
def test_a_last_line_that_is_only_half_written_is_left_wherever_it_ends(
    tmp_path: Path, before: bytes
) -> None:
    path = tmp_path / "a"
    for size in range(1, len(TEXT)):
        path.write_bytes(before + TEXT[:size])
        source = JsonlSource(str(path))
        assert source.unfinished_at == (0 if before == BOM else len(before)), TEXT[:size]
        rows = 1 if before.startswith(b"{") else 0
        assert sum(len(piece.span) for piece in source.read(batch_rows=9, batch_bytes=10**9)) == rows
        head = source.head()
        assert head is not None  # and what a file of half a line is, its reject says
        assert len(head.broken) == (1 - rows)


@pytest.mark.parametrize(
    "line",
    [TEXT, TEXT + b"  ", b"", b"  ", b"not json", b'{"a": NaN', b'{"a": 01', b"{'a': 1", b'{"a": 1}}',
     b'{"a": "\xff', b"[1, 2", b'"text', b"\0\0\0", b"{" + b"x" * 200],
)  # fmt: skip
def test_a_last_line_that_is_whole_or_wrong_is_a_row_as_any(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "a").write_bytes(row(0) + b"\n" + line)
    source = JsonlSource(str(tmp_path / "a"), line_max_bytes=150)
    assert source.unfinished_at is None
    (piece,) = source.read(batch_rows=9, batch_bytes=10**9)
    assert len(piece.span) == (2 if line.strip().strip(b"\0") else 1)


def test_what_is_written_while_a_file_is_read_waits_for_the_next_run(tmp_path: Path) -> None:
    source = write(tmp_path / "a", row(0), row(1)[:-5], end=b"")
    with (tmp_path / "a").open("ab") as file:
        file.write(row(1)[-5:] + b"\n" + row(2))
    (piece,) = source.read(batch_rows=10, batch_bytes=10**9)
    assert ids_of(piece) == ["0"]
    (piece,) = JsonlSource(str(tmp_path / "a")).read(batch_rows=10, batch_bytes=10**9, done=[piece.span])
    assert (ids_of(piece), piece.span.start) == (["1", "2"], 1)


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    n=st.integers(1, 25),
    blanks=st.sets(st.integers(0, 25)),
    bom=st.booleans(),
    end=st.booleans(),
)
def test_reading_skips_exactly_the_spans_that_are_done(
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    n: int,
    blanks: set[int],
    bom: bool,
    end: bool,
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    lines = [(b"\r\n\n" if i in blanks else b"") + row(i, i % 7) for i in range(n)]
    path.write_bytes((BOM if bom else b"") + b"\n".join(lines) + (b"\n" if end else b""))
    source = JsonlSource(str(path))

    first = list(source.read(batch_rows=data.draw(st.integers(1, 5)), batch_bytes=10**6))
    assert numbers(first) == list(range(n))
    done = [piece.span for piece in first if data.draw(st.booleans())]
    data.draw(st.randoms()).shuffle(done)
    again = list(
        source.read(
            batch_rows=data.draw(st.integers(1, 6)),
            batch_bytes=data.draw(st.sampled_from([1, 100, 10**6])),
            done=done,
        )
    )

    finished = {number for span in done for number in range(span.start, span.stop)}
    assert numbers(again) == [number for number in range(n) if number not in finished]
    whole = path.read_bytes()
    for piece in again:
        assert ids_of(piece) == [str(number) for number in range(piece.span.start, piece.span.stop)]
        read = [
            json.loads(line)
            for line in whole[piece.span.begin : piece.span.end].decode("utf-8-sig").split("\n")
            if line.strip()
        ]
        assert [each["id"] for each in read] == ids_of(piece)


def test_what_was_appended_after_a_load_is_what_is_read_next(tmp_path: Path) -> None:
    path = tmp_path / "a"
    source = write(path, row(0), row(1))
    done = [piece.span for piece in source.read(batch_rows=1, batch_bytes=10**9)]
    assert list(source.read(batch_rows=1, batch_bytes=10**9, done=done)) == []
    path.write_bytes(path.read_bytes() + row(2))
    (piece,) = JsonlSource(str(path)).read(batch_rows=10, batch_bytes=10**9, done=done)
    assert ids_of(piece) == ["2"]
    assert piece.span.start == 2


def test_a_line_at_the_limit_is_read_and_a_longer_one_is_a_reject(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(row(0).ljust(99) + b"\n" + row(1).ljust(100) + b"\n" + row(2))
    source = JsonlSource(str(tmp_path / "a"), line_max_bytes=100)
    (piece,) = source.read(batch_rows=10, batch_bytes=10**9)
    batch = Mapper(ColumnMapping("id", "vector", None, None, ()), 2).map(piece)
    assert batch.ids == ["0", "2"]
    (reject,) = batch.rejects
    assert (reject.row, reject.field, reject.code, reject.offset) == (1, "line", "long-line", 100)
    assert "100 bytes" in reject.message


def test_an_overlong_last_line_without_a_newline_is_a_reject(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(row(0) + b"\n" + b"x" * 3_000_000)
    source = JsonlSource(str(tmp_path / "a"), line_max_bytes=100)
    (piece,) = source.read(batch_rows=10, batch_bytes=10**9)
    assert {position: fault.code for position, fault in piece.broken.items()} == {1: "long-line"}
    assert piece.span.end == source.nbytes


def test_an_overlong_line_is_never_held_whole(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as file:
        file.write(row(0) + b"\n")
        for _ in range(40):
            file.write(b"x" * 2**20)
        file.write(b"\n" + row(2))
    source = JsonlSource(str(tmp_path / "a"), line_max_bytes=10_000)
    tracemalloc.start()
    (piece,) = source.read(batch_rows=10, batch_bytes=10**9)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert ids_of(piece) == ["0", "", "2"]
    assert peak < 8 * 2**20


def test_looking_at_the_head_holds_few_rows_of_a_file_of_long_lines(tmp_path: Path) -> None:
    source = write(tmp_path / "a", *(row(i, 2**20) for i in range(80)))
    tracemalloc.start()
    assert [column.name for column in source.columns()] == ["id", "vector", "pad"]
    head = source.head()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert head is not None
    assert len(head.span) >= 1
    assert peak < 60 * 2**20


def test_the_columns_are_those_of_the_first_rows_whatever_is_broken_among_them(tmp_path: Path) -> None:
    lines = [b"not json", b"[1]", b'{"id": "a"}', b'{"vector": [0.5]}']
    source = write(tmp_path / "a", *lines, *(row(i) for i in range(200)), b'{"late": 1}')
    assert [(column.name, column.kind) for column in source.columns()] == [
        ("id", "text"),
        ("vector", "floats"),
        ("pad", "text"),
    ]
    head = source.head()
    assert head is not None
    assert len(head.span) == 100


def test_a_source_may_be_read_several_times(tmp_path: Path) -> None:
    source = write(tmp_path / "a", row(0), row(1))
    for _ in range(2):
        (piece,) = source.read(batch_rows=10, batch_bytes=10**9)
        assert ids_of(piece) == ["0", "1"]


def test_a_file_that_vanishes_before_it_is_read_is_a_source_error(tmp_path: Path) -> None:
    source = write(tmp_path / "a", row(0))
    (tmp_path / "a").unlink()
    with pytest.raises(SourceError, match="No such file"):
        list(source.read(batch_rows=10, batch_bytes=10**9))


def test_spans_of_one_reading_touch_without_a_gap_where_no_line_is_blank(tmp_path: Path) -> None:
    source = write(tmp_path / "a", *(row(i) for i in range(7)))
    spans: list[Span] = [piece.span for piece in source.read(batch_rows=2, batch_bytes=10**9)]
    assert all(one.end == other.begin and one.stop == other.start for one, other in pairwise(spans))
    assert spans[-1].end == source.nbytes
