from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecload.readers.json.blocks import Block, cut_blocks, lines_of, not_blank, read_blocks

BOM = b"\xef\xbb\xbf"
TEXTS = st.lists(
    st.sampled_from(
        [
            b"\n",
            b"\r\n",
            b" \n",
            b"a\n",
            b'{"a": 1}\n',
            b"x" * 40 + b"\n",
            b"{" + b"y" * 90 + b"}\n",
            BOM + b"{}\n",
            b"\x1e{}\n",
        ]
    ),
    max_size=30,
)


def without_marks(line: bytes) -> bytes:
    while line.startswith((BOM, b"\x1e")):
        line = line.removeprefix(BOM).removeprefix(b"\x1e")
    return line


def is_blank(line: bytes) -> bool:
    return not line.strip() or (not line.endswith(b"\n") and not line.strip().strip(b"\0"))


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.binary(max_size=12).filter(lambda end: b"\n" not in end), st.integers(1, 120), st.booleans())
def test_blocks_hold_every_byte_and_end_where_lines_end(
    lines: list[bytes], end: bytes, size: int, bom: bool
) -> None:
    whole = BOM * bom + b"".join(lines) + end
    blocks = list(read_blocks(io.BytesIO(whole), 0, None, size=size, line_max=60))

    assert [0, *(block.end for block in blocks)] == [*(block.begin for block in blocks), len(whole)]
    for block in blocks:
        text = whole[block.begin : block.end]
        assert text.endswith(b"\n") or block.end == len(whole)
        if block.too_long:
            assert block.data is None
            assert text.count(b"\n") <= 1
            assert len(text) > 60
        else:
            assert block.data == text
            after_too_long = block.begin in [other.end for other in blocks if other.too_long]
            first = text.partition(b"\n")[0] + b"\n"
            assert len(text) <= size or len(first) > size >= len(text) - len(first) or after_too_long


@settings(max_examples=100, deadline=None)
@given(TEXTS, st.binary(max_size=12).filter(lambda end: b"\n" not in end), st.data())
def test_the_lines_are_those_of_the_file_wherever_it_is_cut(
    tmp_path_factory: object, lines: list[bytes], end: bytes, data: st.DataObject
) -> None:
    whole = b"".join(lines) + end
    path = Path(tmp_path_factory.getbasetemp()) / "blocks"  # type: ignore[attr-defined]
    path.write_bytes(whole)
    starts = [0, *(at + 1 for at, byte in enumerate(whole) if byte == 10)]
    begin = data.draw(st.sampled_from(starts))
    stop = data.draw(st.sampled_from([None, *(at for at in starts if at >= begin)]))
    size = data.draw(st.integers(1, 150))
    expected = [
        (one, without_marks(whole[one:other]))
        for one, other in pairwise([*starts, len(whole)])
        if one >= begin
        and other <= (len(whole) if stop is None else stop)
        and not is_blank(without_marks(whole[one:other]))
    ]

    with path.open("rb", 0) as file:
        cut = list(cut_blocks(file, begin, stop, size=size))
        assert [block.begin for block in cut] == [begin, *(block.end for block in cut)][: len(cut)]
        for block in cut:
            text = whole[block.begin : block.end]
            assert len(text) <= size or b"\n" not in text[:-1]
        read = []
        for block in cut:
            file.seek(block.begin)
            for part in read_blocks(file, block.begin, block.end, size=size, line_max=10**6):
                read += [(line.offset, line.text) for line in lines_of(part, 10**6)]
        file.seek(begin)
        streamed = [
            (line.offset, line.text)
            for block in read_blocks(file, begin, stop, size=size, line_max=10**6)
            for line in lines_of(block, 10**6)
        ]
    assert read == streamed == expected


def texts_of(data: bytes, begin: int = 0, line_max: int = 100) -> list[bytes | None]:
    return [line.text for line in lines_of(Block(begin, begin + len(data), data), line_max)]


def test_a_byte_order_mark_is_no_part_of_a_line() -> None:
    assert texts_of(BOM + b"{}\n" + BOM + b"\n") == [b"{}\n"]
    assert texts_of(BOM + b"{}\n" + BOM + b"{}\n", begin=7) == [b"{}\n", b"{}\n"]
    assert texts_of(BOM + b"\n") == []


def test_a_separator_before_each_record_is_no_part_of_it() -> None:
    assert texts_of(b'\x1e{"a":1}\n\x1e{"a":2}\n\x1e\n\x1e\x1e' + BOM + b"{}") == [
        b'{"a":1}\n',
        b'{"a":2}\n',
        b"{}",
    ]


def test_nul_bytes_that_end_the_file_are_blank_and_others_are_not() -> None:
    assert texts_of(b"{}\n\0\0\0") == [b"{}\n"]
    assert texts_of(b"{}\n\0\0\0 ") == [b"{}\n"]
    assert texts_of(b"{}\n\0\0\0\n{}\n") == [b"{}\n", b"\0\0\0\n", b"{}\n"]


BLANKS = {
    "newlines": b"\n" * 2**16,
    "lines of Windows": b"\r\n" * 2**15,
    "lines of spaces": (b" " * 63 + b"\n") * 2**10,
    "spaces": b" " * 2**16,
}


@pytest.mark.parametrize("blank", BLANKS.values(), ids=BLANKS)
@pytest.mark.parametrize("bom", [b"", BOM])
def test_blank_bytes_are_passed_over_all_at_once(blank: bytes, bom: bytes, monkeypatch: Any) -> None:
    begin = bom + blank * 16 + b'  {"a": 1}\n'
    whole = begin + blank * 16 + b"\n b \n" + blank * 16
    looks = 0

    def looked(data: bytes, at: int) -> int:
        nonlocal looks
        looks += 1
        return not_blank(data, at)

    monkeypatch.setattr("vecload.readers.json.blocks.not_blank", looked)
    lines = [
        line
        for block in read_blocks(io.BytesIO(whole), 0, None, size=2**18, line_max=2**19)
        for line in lines_of(block, 2**19)
    ]

    assert [(line.text or b"").strip() for line in lines] == [b'{"a": 1}', b"b"]
    assert lines[0].end == len(begin)
    assert looks <= 20  # not once a line, of which there are up to two millions


def test_a_blank_line_is_no_row_however_long_it_is() -> None:
    whole = b" " * 2**20 + b"\n" + b"a\n" + b" " * 2**20
    blocks = read_blocks(io.BytesIO(whole), 0, None, size=2**10, line_max=100)
    assert [line.text for block in blocks for line in lines_of(block, 100)] == [b"a\n"]


@given(
    st.lists(st.sampled_from([b" ", b"\n", b"\t", b" " * 70, b"\n" * 70_000, b"x"]), max_size=9),
    st.integers(0, 90),
)
def test_the_first_byte_that_is_not_blank_is_found(parts: list[bytes], at: int) -> None:
    data = b"".join(parts)
    found = not_blank(data, at)
    assert not data[at:found].strip()
    assert found >= len(data) or data[found : found + 1] == b"x"
