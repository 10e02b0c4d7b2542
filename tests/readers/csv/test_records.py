"""Rows of delimited text are cut where they end, whatever is in quotes and wherever a block ends."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecload.readers.csv.records import Dialect, fields_of, read_cuts

COMMA = Dialect(b",")
COPY = Dialect(b"\t", quoted=False)

text = st.text(st.sampled_from('a1 ,;"\n\r\t\\é'), max_size=6)
tables = st.integers(2, 4).flatmap(lambda n: st.lists(st.lists(text, min_size=n, max_size=n), max_size=8))


def cut_all(
    data: bytes, dialect: Dialect = COMMA, *, size: int = 2**20, line_max: int = 2**20
) -> tuple[list[list[str | None]], list[int], dict[int, str]]:
    """The fields of all rows, their offsets, and the codes of broken ones."""
    found: list[list[str | None]] = []
    offsets: list[int] = []
    faults: dict[int, str] = {}
    end = 0
    for at, cut in read_cuts(io.BytesIO(data), 0, None, dialect, size=size, line_max=line_max):
        assert at == end
        end = at + cut.consumed
        for position in range(len(cut)):
            if position in cut.faults:
                faults[len(found)] = cut.faults[position].code
                found.append([])
            else:
                fields = fields_of(cut.row(position), dialect)
                found.append([None if one is None else one.decode() for one in fields])
            offsets.append(at + int(cut.starts[position]))
    assert end == len(data)
    return found, offsets, faults


@given(tables, st.sampled_from(["\n", "\r\n"]), st.integers(1, 40))
def test_what_python_writes_is_cut_into_the_rows_that_were_written(
    table: list[list[str]], newline: str, size: int
) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator=newline, quoting=csv.QUOTE_ALL).writerows(table)
    data = out.getvalue().encode()
    found, offsets, faults = cut_all(data, size=size)
    assert (found, faults) == (table, {})
    assert all(data[at : at + 1] == b'"' for at in offsets)


@given(st.binary(max_size=60), st.integers(1, 20))
def test_any_bytes_are_cut_alike_whatever_the_size_of_a_block(data: bytes, size: int) -> None:
    for dialect in (COMMA, COPY):
        try:
            whole = cut_all(data, dialect)
        except UnicodeDecodeError:
            continue
        assert cut_all(data, dialect, size=size) == whole


@given(st.text(st.sampled_from('a,"\n\r'), max_size=30), st.integers(1, 20))
def test_misplaced_quotes_are_cut_alike_whatever_the_size_of_a_block(said: str, size: int) -> None:
    assert cut_all(said.encode(), size=size) == cut_all(said.encode())


@pytest.mark.parametrize("size", [1, 7, 2**20])
@pytest.mark.parametrize(
    ("data", "rows", "broken"),
    [
        # A quote within a field that does not begin with one means itself.
        (b'1,5" pipe\n2,"x"\n', [["1", '5" pipe'], ["2", "x"]], {}),
        # One that is not closed costs its line, not the rows after it.
        (b'1,"open\n2,"x"\n3,y\n', [[], ["2", "x"], ["3", "y"]], {0: "quotes"}),
        (b'1,"open\n2,x\n3,y\n', [[], ["2", "x"], ["3", "y"]], {0: "quotes"}),
        (b'1,"a"b\n2,x', [[], ["2", "x"]], {0: "quotes"}),
        # Blank lines are no rows, within quotes they are text.
        (b'\n1,"a\n\n b"\r\n\r\n  \n2,\n', [["1", "a\n\n b"], ["2", None]], {}),
        # Empty text is not null.
        (b'"",\n', [["", None]], {}),
    ],
)
def test_rows_of_csv(data: bytes, rows: list[list[str | None]], broken: dict[int, str], size: int) -> None:
    found, _, faults = cut_all(data, size=size)
    assert (found, faults) == (rows, broken)


@pytest.mark.parametrize("size", [1, 5, 2**20])
def test_rows_of_copy(size: int) -> None:
    data = rb"1" + b"\t" + rb"a\tb\\N\n\x41\101\q" + b"\t\\N\n2\t\\\t\t\n3\tone\\\nrow\tx\n\\.\n"
    found, _, faults = cut_all(data, COPY, size=size)
    assert found == [["1", "a\tb\\N\nAAq", None], ["2", "\t", ""], ["3", "one\nrow", "x"]]
    assert faults == {}


def test_a_row_that_is_too_long_costs_itself() -> None:
    long = b"2," + b"x" * 5000
    data = b"1,a\n" + long + b"\n3,b\n" + b'4,"' + b"y" * 5000 + b'"\n5,c\n'
    for size in (10, 1000, 2**20):
        found, _, faults = cut_all(data, size=size, line_max=1000)
        assert [row for row in found if row] == [["1", "a"], ["3", "b"], ["5", "c"]]
        assert faults == {1: "long-line", 3: "long-line"}
