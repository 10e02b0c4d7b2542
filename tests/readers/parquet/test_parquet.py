from __future__ import annotations

import base64
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as encryption
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecload.batch import Span
from vecload.errors import SourceError
from vecload.mapping import ColumnMapping, Mapper, Rows
from vecload.readers import open_sources
from vecload.readers.parquet.reader import ParquetSource


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
    assert Mapper(ColumnMapping("id", "vector"), 2).map(piece).metadata == [{"s": {"x": i}} for i in range(3)]
    (piece,) = source.read(batch_rows=10, batch_bytes=10**9, columns=["id", "vector", "a.b"])
    assert Mapper(ColumnMapping("id", "vector"), 2).map(piece).metadata == [{"a.b": i} for i in (1, 2, 3)]
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


def held(source: ParquetSource, column: str, *, batch_bytes: int) -> tuple[int, int]:
    """Rows read, and the most bytes that Arrow held meanwhile with a piece's dictionaries spread out."""
    rows = 0
    most = 0
    before = pa.total_allocated_bytes()
    for piece in source.read(batch_rows=1000, batch_bytes=batch_bytes):
        rows += len(piece.span)
        spread = piece.contents(column)
        assert spread.faults == {} or column == "nested"
        most = max(most, pa.total_allocated_bytes() - before)
    return rows, most


@pytest.mark.parametrize("row_group_size", [1000, 64])
def test_a_large_text_that_every_row_shares_is_not_decoded_for_a_thousand_rows_at_once(
    tmp_path: Path, row_group_size: int
) -> None:
    shared = table(600).append_column("text", pa.array(["x" * 400_000] * 600).dictionary_encode())
    path = tmp_path / "a"
    pq.write_table(shared, path, row_group_size=row_group_size, compression="zstd")
    assert path.stat().st_size < 100_000
    source = ParquetSource(str(path))
    rows, most = held(source, "text", batch_bytes=4_000_000)
    assert rows == 600
    assert most < 16_000_000  # of 240 MB


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.string()),
        pa.struct([("inner", pa.string())]),
        pa.map_(pa.string(), pa.string()),
    ],
    ids=["list", "struct", "map"],
)
def test_large_texts_inside_others_are_not_decoded_at_once_either(tmp_path: Path, kind: pa.DataType) -> None:
    text = "x" * 300_000
    value = {pa.list_(pa.string()): [text], pa.map_(pa.string(), pa.string()): [("k", text)]}.get(
        kind, {"inner": text}
    )
    path = tmp_path / "a"
    pq.write_table(
        table(300).append_column("nested", pa.array([value] * 300, kind)), path, compression="zstd"
    )
    source = ParquetSource(str(path))
    rows, most = held(source, "nested", batch_bytes=4_000_000)
    assert rows == 300
    assert most < 16_000_000  # of 90 MB


def test_vectors_of_few_distinct_numbers_are_as_long_in_memory_as_any(tmp_path: Path) -> None:
    long = pa.table({"id": [str(i) for i in range(200)], "vector": [[0.5] * 50_000] * 200})
    path = tmp_path / "a"
    pq.write_table(long, path)
    assert path.stat().st_size < 100_000
    before = pa.total_allocated_bytes()
    for piece in ParquetSource(str(path)).read(batch_rows=1000, batch_bytes=1_000_000):
        assert len(piece.span) <= 2
        assert pa.total_allocated_bytes() - before < 16_000_000  # of 80 MB


def test_what_is_packed_beyond_belief_is_refused_unless_it_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    bomb = table(40).append_column("text", pa.array([f"{i}" + "z" * 50_000 for i in range(40)]))
    pq.write_table(bomb, path, compression="zstd", use_dictionary=False)
    with pytest.raises(SourceError) as refused:
        ParquetSource(str(path), row_group_max_bytes=1_000_000)
    assert "column 'text' unpacks" in str(refused.value)
    assert "--max-row-group-bytes" in str(refused.value)
    assert len(list(ParquetSource(str(path)).read(batch_rows=1000, batch_bytes=10**9))) == 1


def test_rows_that_are_too_large_on_average_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    rng = np.random.default_rng(7)
    large = table(2).append_column("text", pa.array([rng.bytes(60_000).hex() for _ in range(2)]))
    pq.write_table(large, path)
    with pytest.raises(SourceError, match=r"a row takes 1.* bytes on average"):
        ParquetSource(str(path), row_group_max_bytes=100_000)


def test_old_timestamps_and_odd_list_names_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    odd = pa.table(
        {
            "id": ["a"],
            "vector": pa.array([[1.0, 2.0]], pa.list_(pa.field("array", pa.float64()))),
            "at": pa.array([1_700_000_000_123_000_000], pa.timestamp("ns")),
        }
    )
    pq.write_table(odd, path, use_deprecated_int96_timestamps=True, use_compliant_nested_type=False)
    (piece,) = ParquetSource(str(path)).read(batch_rows=10, batch_bytes=10**6)
    batch = Mapper(ColumnMapping("id", "vector"), 2).map(piece)
    assert batch.metadata == [{"at": 1_700_000_000_123}]
    assert batch.vectors is not None
    assert batch.vectors.tolist() == [[1.0, 2.0]]


class _Kms(encryption.KmsClient):  # type: ignore[misc] # pyarrow ships no types
    """Wraps keys by not wrapping them."""

    def __init__(self, config: object) -> None:
        super().__init__()

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
        return base64.b64encode(key_bytes)

    def unwrap_key(self, wrapped_key: bytes, master_key_identifier: str) -> bytes:
        return base64.b64decode(wrapped_key)


@pytest.mark.parametrize("plaintext_footer", [False, True])
def test_encrypted_parquet_is_refused_in_one_line(tmp_path: Path, plaintext_footer: bool) -> None:
    path = tmp_path / "a.parquet"
    properties = encryption.CryptoFactory(_Kms).file_encryption_properties(
        encryption.KmsConnectionConfig(),
        encryption.EncryptionConfiguration(
            footer_key="f", column_keys={"c": ["id"]}, plaintext_footer=plaintext_footer
        ),
    )
    with pq.ParquetWriter(path, table(3).schema, encryption_properties=properties) as writer:
        writer.write_table(table(3))
    with pytest.raises(SourceError) as refused:
        list(open_sources([str(path)])[0].read(batch_rows=10, batch_bytes=10**6))
    assert str(refused.value).startswith(str(path))
    assert "crypt" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("columns", [None, ["id", "meta.title"]])
def test_a_column_with_a_dot_in_its_name_is_read_as_any_other(
    tmp_path: Path, columns: list[str] | None
) -> None:
    path = tmp_path / "rows.parquet"
    titles = [f"title number {n:06d}" for n in range(1500)]
    pq.write_table(pa.table({"id": [str(n) for n in range(1500)], "meta.title": titles}), path)
    source = ParquetSource(str(path))
    # So few bytes that the dictionary of titles has to be looked at.
    pieces = source.read(batch_rows=1000, batch_bytes=10_000, columns=columns)
    found = [title for piece in pieces for title in piece._table.column("meta.title").to_pylist()]  # noqa: SLF001 the rows as they were read
    assert found == titles
