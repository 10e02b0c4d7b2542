from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecload.batch import Span
from vecload.errors import SourceError
from vecload.mapping import Mapper, Mapping, Rows
from vecload.readers.parquet import ParquetSource


def table(n: int, start: int = 0) -> pa.Table:
    numbers = range(start, start + n)
    return pa.table(
        {
            "id": pa.array([str(i) for i in numbers], pa.string()),
            "vector": pa.array([[i, 1.0] for i in numbers], pa.list_(pa.float32())),
        }
    )


def write(path: Path, *groups: pa.Table, **options: object) -> ParquetSource:
    """A file with a row group of each table."""
    with pq.ParquetWriter(path, groups[0].schema, **options) as writer:
        for group in groups:
            writer.write_table(group, row_group_size=max(len(group), 1))
    return ParquetSource(str(path))


def groups_of(sizes: list[int]) -> list[pa.Table]:
    starts = np.cumsum([0, *sizes]).tolist()
    return [table(size, start) for size, start in zip(sizes, starts, strict=False)]


def ids_of(rows: Rows) -> list[str]:
    return rows.ids("id").values


def checked(pieces: list[Rows]) -> list[int]:
    """The row numbers, after a look that each row is the one its number says."""
    for piece in pieces:
        numbers = list(range(piece.span.start, piece.span.stop))
        assert ids_of(piece) == [str(number) for number in numbers]
        assert piece.vectors("vector", 2).values[:, 0].tolist() == numbers
        assert (piece.span.begin, piece.span.end) == (None, None)
    return [number for piece in pieces for number in range(piece.span.start, piece.span.stop)]


def test_pieces_hold_at_most_batch_rows_and_straddle_row_groups_without_losing_one(tmp_path: Path) -> None:
    source = write(tmp_path / "a", *groups_of([5, 1, 7, 3]))
    pieces = list(source.read(batch_rows=4, batch_bytes=10**9))
    assert checked(pieces) == list(range(16))
    assert max(len(piece.span) for piece in pieces) <= 4
    assert source.total_rows == 16
    source.close()


def test_the_number_of_pieces_is_not_set_by_the_row_groups(tmp_path: Path) -> None:
    source = write(tmp_path / "a", *groups_of([1] * 40))
    assert len(list(source.read(batch_rows=20, batch_bytes=10**9))) <= 4
    source.close()


@pytest.mark.parametrize("batch_bytes", [1, 20_000, 100_000, 10**6])
def test_a_row_group_of_large_rows_is_read_in_pieces_of_about_batch_bytes(
    tmp_path: Path, batch_bytes: int
) -> None:
    rng = np.random.default_rng(7)
    large = table(60).append_column("text", pa.array([rng.bytes(5_000).hex() for _ in range(60)]))
    source = write(tmp_path / "a", large)
    pieces = list(source.read(batch_rows=1000, batch_bytes=batch_bytes))
    assert checked(pieces) == list(range(60))
    assert max(len(piece.span) for piece in pieces) <= max(1, batch_bytes // 9_000)
    if batch_bytes == 10**6:
        assert len(pieces) == 1
    source.close()


def test_one_text_repeated_in_every_row_does_not_outgrow_batch_bytes(tmp_path: Path) -> None:
    # A dictionary of one page: a hundred bytes a row in the file, 100 kB a row in memory.
    repeated = table(300).append_column("text", pa.array(["x" * 100_000] * 300))
    source = write(tmp_path / "a", repeated)
    assert source.nbytes < 200_000
    pieces = []
    for piece in source.read(batch_rows=1000, batch_bytes=10**6):
        assert len(piece.span) <= 10
        pieces.append(piece)
    assert checked(pieces) == list(range(300))
    source.close()


def test_a_few_large_rows_among_small_ones_do_not_make_small_pieces_of_all(tmp_path: Path) -> None:
    texts = ["x"] * 200
    texts[77] = "y" * 300_000
    source = write(tmp_path / "a", table(200).append_column("text", pa.array(texts)))
    pieces = list(source.read(batch_rows=50, batch_bytes=100_000))
    assert checked(pieces) == list(range(200))
    assert len(pieces) < 30
    source.close()


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    data=st.data(),
    batch_rows=st.integers(1, 12),
    batch_bytes=st.sampled_from([1, 100, 10**6]),
)
def test_reading_skips_exactly_the_spans_that_are_done(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    data: st.DataObject,
    batch_rows: int,
    batch_bytes: int,
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    source = write(path, *groups_of(sizes))
    total = sum(sizes)
    cuts = sorted(data.draw(st.sets(st.integers(0, total), max_size=8)) | {0, total})
    spans = [Span(str(path), start, stop) for start, stop in pairwise(cuts)]
    done = [span for span in spans if data.draw(st.booleans())]
    data.draw(st.randoms()).shuffle(done)
    pieces = list(source.read(batch_rows=batch_rows, batch_bytes=batch_bytes, done=done))
    source.close()
    finished = {number for span in done for number in range(span.start, span.stop)}
    assert checked(pieces) == [number for number in range(total) if number not in finished]


def test_row_groups_that_are_done_are_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write(path, *groups_of([50, 50, 50]), compression="none", write_page_checksum=True).close()
    group = pq.read_metadata(path).row_group(1)
    begin = group.column(0).data_page_offset
    broken = bytearray(path.read_bytes())
    broken[begin + 30] ^= 0xFF
    path.write_bytes(broken)
    source = ParquetSource(str(path))
    pieces = list(source.read(batch_rows=20, batch_bytes=10**9, done=[Span(str(path), 50, 100)]))
    assert checked(pieces) == [*range(50), *range(100, 150)]
    source.close()


@pytest.mark.parametrize("column", [0, 1])
def test_a_flipped_byte_in_a_page_with_checksums_is_an_error_after_the_rows_before_it(
    tmp_path: Path, column: int
) -> None:
    path = tmp_path / "a"
    write(
        path, *groups_of([50, 50]), compression="none", use_dictionary=False, write_page_checksum=True
    ).close()
    chunk = pq.read_metadata(path).row_group(1).column(column)
    broken = bytearray(path.read_bytes())
    broken[chunk.data_page_offset + chunk.total_compressed_size - 3] ^= 0x01
    path.write_bytes(broken)
    source = ParquetSource(str(path))
    pieces: list[Rows] = []
    with pytest.raises(SourceError) as failed:
        pieces.extend(source.read(batch_rows=25, batch_bytes=10**9))
    assert checked(pieces) == list(range(50))
    message = str(failed.value)
    assert message.startswith(f"{path} is damaged or can't be read at or after row 50")
    assert "\n" not in message
    source.close()


def test_random_bytes_behind_a_sound_footer_are_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write(path, table(500), compression="snappy").close()
    footer = int.from_bytes(path.read_bytes()[-8:-4], "little") + 8
    whole = path.read_bytes()
    noise = np.random.default_rng(3).bytes(len(whole) - footer - 4)
    path.write_bytes(b"PAR1" + noise + whole[-footer:])
    source = ParquetSource(str(path))
    with pytest.raises(SourceError, match="is damaged or can't be read at or after row 0"):
        list(source.read(batch_rows=100, batch_bytes=10**9))
    source.close()


def test_a_file_without_rows_gives_none(tmp_path: Path) -> None:
    source = write(tmp_path / "a", table(0))
    assert source.total_rows == 0
    assert source.head() is None
    assert list(source.read(batch_rows=10, batch_bytes=10**9)) == []
    assert [column.name for column in source.columns()] == ["id", "vector"]
    source.close()


def test_empty_row_groups_between_others_lose_no_row(tmp_path: Path) -> None:
    source = write(tmp_path / "a", *groups_of([0, 3, 0, 0, 4, 0]))
    assert checked(list(source.read(batch_rows=2, batch_bytes=10**9))) == list(range(7))
    assert checked(list(source.read(batch_rows=9, batch_bytes=10**9, done=[Span("a", 1, 4)]))) == [0, 4, 5, 6]
    source.close()


def test_only_the_columns_asked_for_are_read(tmp_path: Path) -> None:
    wide = (
        table(3)
        .append_column("a.b", pa.array([1, 2, 3]))
        .append_column("s", pa.array([{"x": i} for i in range(3)]))
    )
    source = write(tmp_path / "a", wide)
    (piece,) = source.read(batch_rows=10, batch_bytes=10**9, columns=["id", "vector", "s"])
    assert Mapper(Mapping("id", "vector"), 2).map(piece).metadata == [{"s": {"x": i}} for i in range(3)]
    (piece,) = source.read(batch_rows=10, batch_bytes=10**9, columns=["id", "vector", "a.b"])
    assert Mapper(Mapping("id", "vector"), 2).map(piece).metadata == [{"a.b": i} for i in (1, 2, 3)]
    source.close()


def test_the_head_is_the_first_hundred_rows(tmp_path: Path) -> None:
    source = write(tmp_path / "a", *groups_of([30, 200]))
    head = source.head()
    assert head is not None
    assert head.span.start == 0
    assert 30 <= len(head.span) <= 100
    source.close()


def test_a_source_may_be_read_several_times(tmp_path: Path) -> None:
    source = write(tmp_path / "a", table(5))
    for _ in range(2):
        assert checked(list(source.read(batch_rows=2, batch_bytes=10**9))) == list(range(5))
    source.close()


def test_arrow_rows_have_no_byte_offsets(tmp_path: Path) -> None:
    source = write(tmp_path / "a", table(2))
    (piece,) = source.read(batch_rows=5, batch_bytes=10**9)
    assert piece.offsets is None
    source.close()
