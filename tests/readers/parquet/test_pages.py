from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vecload.batch import Span
from vecload.errors import SourceError
from vecload.readers.parquet.footer import Chunk, Group, row_groups
from vecload.readers.parquet.pages import SHORTEST, Memory, PageVectors, UnlikeError, dimension_of
from vecload.readers.parquet.reader import ParquetSource

DIMENSION = 48
TYPES = {
    "list": pa.list_(pa.float32()),
    "list of no nulls": pa.list_(pa.field("element", pa.float32(), nullable=False)),
    "large": pa.large_list(pa.float32()),
    "fixed": pa.list_(pa.float32(), DIMENSION),
    "double": pa.list_(pa.float64()),
    "fixed double": pa.list_(pa.float64(), DIMENSION),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "no dictionary": {"use_dictionary": False},
    "not packed": {"compression": "none", "use_dictionary": False},
    "zstd": {"compression": "zstd"},
    "checksums": {"write_page_checksum": True},
    "version 2": {"data_page_version": "2.0"},
    "version 2, zstd": {"data_page_version": "2.0", "compression": "zstd", "write_page_checksum": True},
    "version 2, not packed": {"data_page_version": "2.0", "compression": "none", "use_dictionary": False},
    "index": {"write_page_index": True},
}
SMALL_PAGES = {"data_page_size": 4096, "write_batch_size": 64, "dictionary_pagesize_limit": 8192}
OTHER_WRITERS: dict[str, Callable[[pa.Table, Path], object]] = {
    "polars": lambda table, path: polars.DataFrame(table).write_parquet(path, data_page_size=9000),
    "polars, snappy": lambda table, path: polars.DataFrame(table).write_parquet(path, compression="snappy"),
    "duckdb": lambda table, path: duckdb.from_arrow(table).write_parquet(str(path)),
}


def vectors(rows: int, seed: int = 5) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(seed).standard_normal((rows, DIMENSION), dtype=np.float32)


def table(rows: int, kind: pa.DataType = TYPES["list"], *, nullable: bool = True) -> pa.Table:
    fields = [
        pa.field("before", pa.string()),
        pa.field("v", kind, nullable=nullable),
        pa.field("id", pa.int64()),
    ]
    flat = pa.array(vectors(rows).ravel()).cast(kind.value_type)
    lists = pa.FixedSizeListArray.from_arrays(flat, DIMENSION).cast(kind)
    return pa.table([["x" * (i % 7) for i in range(rows)], lists, range(rows)], schema=pa.schema(fields))


def written(path: Path, of: pa.Table, **options: Any) -> Path:
    pq.write_table(of, path, **({"row_group_size": 700} | SMALL_PAGES | options))
    return path


def read(
    path: Path, *, batch_rows: int = 100, done: tuple[Span, ...] = (), columns: list[str] | None = None
) -> tuple[pa.Table, bool]:
    """The rows as the source gives them, and whether the vectors were taken from pages to the end."""
    # Whether pages were taken shows nowhere else, by intent.
    source = ParquetSource(str(path))
    tried = bool(source._by_pages)  # noqa: SLF001
    pieces = source.read(batch_rows=batch_rows, batch_bytes=10**9, done=done, columns=columns)
    rows = [piece._table for piece in pieces]  # noqa: SLF001
    return pa.Table.from_batches(rows, None if rows else pq.read_schema(path)), tried and bool(
        source._by_pages  # noqa: SLF001
    )


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", TYPES)
def test_vectors_are_taken_from_the_pages_as_arrow_would_read_them(
    tmp_path: Path, kind: str, options: str
) -> None:
    path = written(tmp_path / "a", table(2000, TYPES[kind]), **OPTIONS[options])
    rows, by_pages = read(path)
    assert by_pages
    rows.validate(full=True)
    assert rows.equals(pq.read_table(path))
    assert rows.schema == pq.read_schema(path).remove_metadata()


@pytest.mark.parametrize("nullable", [True, False])
def test_a_column_without_nulls_by_its_schema_has_fewer_levels(tmp_path: Path, nullable: bool) -> None:
    path = written(tmp_path / "a", table(300, nullable=nullable))
    assert read(path) == (pq.read_table(path), True)


@pytest.mark.parametrize("kind", ["list", "fixed"])
@pytest.mark.parametrize("writer", OTHER_WRITERS)
def test_files_of_other_writers_are_taken_too(tmp_path: Path, writer: str, kind: str) -> None:
    path = tmp_path / "a.parquet"
    OTHER_WRITERS[writer](table(3000, TYPES[kind]), path)
    rows, by_pages = read(path, batch_rows=1000)
    assert by_pages
    assert rows.equals(pq.read_table(path))


@pytest.mark.parametrize(
    "of",
    [
        pytest.param([None], id="a null vector"),
        pytest.param([[1.0] * (DIMENSION - 1) + [None]], id="a null in a vector"),
        pytest.param([[]], id="an empty vector"),
        pytest.param([[1.0] * (DIMENSION + 1)], id="a longer vector"),
        pytest.param([[1.0] * (DIMENSION + 1), [1.0] * (DIMENSION - 1)], id="lengths that even out"),
        pytest.param([[1.0] * 2 * DIMENSION, [], [1.0] * (DIMENSION - 1)], id="an empty one evened out"),
    ],
)
@pytest.mark.parametrize("place", [0, 500, 650, 1999])
def test_vectors_that_are_not_all_alike_are_read_by_arrow_from_there_on(
    tmp_path: Path, of: list[Any], place: int
) -> None:
    whole = table(2000).to_pylist()
    for at, vector in enumerate(of):
        whole[min(place, 2000 - len(of)) + at]["v"] = vector
    path = written(tmp_path / "a", pa.Table.from_pylist(whole, schema=table(0).schema))
    rows, by_pages = read(path)
    assert not by_pages
    assert rows.equals(pq.read_table(path))


@pytest.mark.parametrize("done", [(0, 1), (0, 650), (0, 701), (300, 1500), (1399, 1400)])
def test_a_resumed_load_begins_within_a_row_group(tmp_path: Path, done: tuple[int, int]) -> None:
    path = written(tmp_path / "a", table(2000))
    rows, by_pages = read(path, done=(Span(str(path), *done),))
    assert by_pages
    assert rows["id"].to_pylist() == [*range(done[0]), *range(done[1], 2000)]
    assert rows.equals(pq.read_table(path).take(rows["id"]))


def test_rows_before_a_resumed_place_that_even_out_move_nothing(tmp_path: Path) -> None:
    # By the counts in the headers of pages alone, the rows behind would be others.
    whole = table(600).to_pylist()
    for at in range(0, 600, 300):
        whole[at]["v"] = [1.0] * 2 * DIMENSION
        whole[at + 1]["v"] = [2.0]
        whole[at + 2]["v"] = [2.0] * (DIMENSION - 1)
    path = written(tmp_path / "a", pa.Table.from_pylist(whole, schema=table(0).schema))
    rows, _ = read(path, done=(Span(str(path), 0, 450),))
    assert rows.equals(pq.read_table(path).slice(450))


@pytest.mark.parametrize("kind", TYPES)
def test_pandas_is_not_imported_though_it_is_there(tmp_path: Path, kind: str) -> None:
    # It takes a sixth of a second, half of a small load.
    path = written(tmp_path / "a", table(2000, TYPES[kind]))
    script = (
        "import sys; from vecload.readers.parquet.reader import ParquetSource; "
        f"pieces = [*ParquetSource({str(path)!r}).read(batch_rows=100, batch_bytes=10**9)]; "
        "assert len(pieces) == 20, len(pieces); assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_only_columns_that_are_asked_for_are_read(tmp_path: Path) -> None:
    path = written(tmp_path / "a", table(500).add_column(0, "second", table(500)["v"]))
    for names in (["v"], ["id", "v"], ["second", "id", "v"], ["id"]):
        rows, by_pages = read(path, columns=names)
        assert by_pages
        assert rows.equals(pq.read_table(path).select([n for n in ("second", "v", "id") if n in names]))


@pytest.mark.parametrize(
    ("of", "options"),
    [
        pytest.param(table(300), {"compression": "gzip"}, id="a codec that is not unpacked here"),
        pytest.param(
            table(300).set_column(1, "v", [[[float(i)] * (SHORTEST - 1) for i in range(300)]]), {}, id="short"
        ),
        pytest.param(
            table(300).set_column(1, "v", [pa.array([[i] * DIMENSION for i in range(300)])]),
            {},
            id="integers",
        ),
        pytest.param(table(300).set_column(1, "v", [[[[0.5] * 6] * 8] * 300]), {}, id="lists of lists"),
        pytest.param(table(0), {}, id="no rows"),
        pytest.param(
            table(300).set_column(1, "v", [pa.array(vectors(300).tolist(), pa.list_view(pa.float32()))]),
            {"use_dictionary": False},
            id="a list view",
        ),
        pytest.param(table(4000).set_column(0, "v.w", [range(4000)]), {}, id="a name within the other"),
    ],
)
def test_other_columns_are_left_to_arrow(tmp_path: Path, of: pa.Table, options: dict[str, Any]) -> None:
    path = written(tmp_path / "a", of, **options)
    assert read(path) == (of, False)


@pytest.mark.parametrize(
    ("of", "options"),
    [
        pytest.param(
            table(300),
            {"use_dictionary": False, "column_encoding": {"v.list.element": "BYTE_STREAM_SPLIT"}},
            id="bytes by their place",
        ),
        pytest.param(
            table(3000).set_column(1, "v", [[[float(i % 9)] * DIMENSION for i in range(3000)]]),
            {},
            id="a dictionary to the end",
        ),
    ],
)
def test_other_encodings_are_left_to_arrow(tmp_path: Path, of: pa.Table, options: dict[str, Any]) -> None:
    path = written(tmp_path / "a", of, **options)
    rows, by_pages = read(path)
    assert not by_pages
    assert rows.equals(pq.read_table(path))


def test_nothing_but_the_first_pages_of_a_row_group_may_be_of_a_dictionary(tmp_path: Path) -> None:
    # 8192 bytes of dictionary hold 42 vectors; pages of 4096 bytes hold 21.
    path = written(tmp_path / "a", table(2100))
    asked: list[tuple[int, int]] = []

    def first(number: int, rows: int) -> pa.Array:
        asked.append((number, rows))
        return pq.ParquetFile(path).read_row_group(number, columns=["v"])["v"].combine_chunks().slice(0, rows)

    assert np.array_equal(np.concatenate([*taken(path, first)]), vectors(2100).ravel())
    assert [number for number, _ in asked] == [0, 1, 2]
    assert all(0 < rows < 200 for _, rows in asked)


def taken(path: Path, first: Callable[[int, int], pa.Array], rows: int = 70) -> Iterator[Any]:
    with pa.OSFile(str(path)) as stream:
        groups = dict(enumerate(row_groups(stream)))
        pages = PageVectors(stream, groups, "v", TYPES["list"], Memory(), first)
        for _ in range(0, sum(group.num_rows for group in groups.values()), rows):
            yield pages.take(rows).flatten().to_numpy()
        with pytest.raises(UnlikeError):
            pages.take(1)


@pytest.mark.parametrize("fault", ["null", "short", "one fewer"])
def test_what_is_read_for_a_dictionary_must_be_alike_too(tmp_path: Path, fault: str) -> None:
    def first(number: int, rows: int) -> pa.Array:
        found = vectors(rows).tolist()
        if fault == "one fewer":
            return pa.array(found[1:], TYPES["list"])
        found[-1] = None if fault == "null" else found[-1][1:]
        return pa.array(found, TYPES["list"])

    with pytest.raises(UnlikeError):
        next(taken(written(tmp_path / "a", table(2100)), first))


def test_vectors_that_are_still_held_are_not_overwritten(tmp_path: Path) -> None:
    path = written(tmp_path / "a", table(2000))
    source = ParquetSource(str(path))
    kept = []
    for number, piece in enumerate(source.read(batch_rows=100, batch_bytes=10**9)):
        found = piece.vectors("v", DIMENSION).values
        if number % 3:
            kept.append((number * 100, found[10:90:7]))
    for begin, found in kept:
        assert np.array_equal(found, vectors(2000)[begin + 10 : begin + 90 : 7])


def test_memory_is_lent_again_when_nothing_holds_it_any_more() -> None:
    memory = Memory()
    first = memory.block(1000)
    place = first.ctypes.data
    held = pa.Array.from_buffers(pa.uint8(), 1000, [None, pa.py_buffer(first)]).slice(10).to_numpy()
    del first
    other = memory.block(1000)
    assert other.ctypes.data != place
    del held
    again = memory.block(900)
    assert (again.ctypes.data, len(again)) == (place, 900)
    del again
    assert len(memory.block(400)) == 400  # what is left would be too much to hold for so little
    assert len(memory.block(2000)) == 2000


def group(*chunks: tuple[str, int], rows: int = 10, **changed: Any) -> Group:
    values: dict[str, Any] = {
        "physical_type": "FLOAT",
        "codec": "snappy",
        "uncompressed_size": 1,
        "compressed_size": 1,
        "has_dictionary": False,
        "offset": 4,
        "repetition": 1,
        "definition": 3,
    }
    return Group(rows, tuple(Chunk(path, num_values=n, **(values | changed)) for path, n in chunks))


def test_a_block_given_back_while_another_is_looked_for_is_not_taken_for_it() -> None:
    class Busy(list[Any]):
        """What is free, to which a sender gives back a small block at the first looks."""

        looks = 0

        def __bool__(self) -> bool:
            self.looks += 1
            if self.looks < 5:
                self.append(np.empty(8, dtype=np.uint8))
            return len(self) > 0

        def __getitem__(self, at: Any) -> Any:
            found = super().__getitem__(at)
            self.append(np.empty(8, dtype=np.uint8))
            return found

    memory = Memory()
    memory._free = Busy([np.empty(100, dtype=np.uint8)])  # noqa: SLF001 nowhere else can it be given back between
    assert len(memory.block(100)) == 100


def test_no_batch_of_vectors_alone_ends_with_a_small_row_group(tmp_path: Path) -> None:
    path = written(tmp_path / "a", table(300), row_group_size=7, use_dictionary=False)
    source = ParquetSource(str(path))
    sizes = [len(p.span) for p in source.read(batch_rows=100, batch_bytes=10**9, columns=["v"])]
    assert sizes == [100, 100, 100]
    assert read(path, columns=["v"]) == (pq.read_table(path, columns=["v"]), True)


def test_what_is_behind_the_rows_that_are_missing_is_not_looked_at(tmp_path: Path) -> None:
    whole = table(600).to_pylist()
    whole[500]["v"] = None
    path = written(tmp_path / "a", pa.Table.from_pylist(whole, schema=table(0).schema), row_group_size=300)
    rows, by_pages = read(path, done=(Span(str(path), 100, 600),))
    assert not by_pages  # the footer tells that some have another length
    assert rows.equals(pq.read_table(path).slice(0, 100))
    whole[500]["v"], whole[501]["v"] = [1.0] * (DIMENSION - 1), [1.0] * (DIMENSION + 1)
    path = written(tmp_path / "b", pa.Table.from_pylist(whole, schema=table(0).schema), row_group_size=300)
    rows, by_pages = read(path, done=(Span(str(path), 100, 600),))
    assert by_pages
    assert rows.equals(pq.read_table(path).slice(0, 100))


def test_the_dimension_is_that_of_all_row_groups() -> None:
    whole = group(("v.list.element", 10 * DIMENSION))
    assert dimension_of([whole, whole], "v") == DIMENSION
    assert dimension_of([], "v") == 0
    assert dimension_of([whole], "w") == 0
    for other in (
        group(("v.list.element", 10 * DIMENSION + 1)),
        group(("v.list.element", 20 * DIMENSION)),
        group(("v.a", 10 * DIMENSION), ("v.b", 10 * DIMENSION)),
        group(("v.list.element", 0), rows=0),
        group(("v.list.element", 10 * (SHORTEST - 1))),
        group(("v.list.element", 2**40)),
        group(("v.list.element", 10 * DIMENSION), physical_type="INT32"),
        group(("v.list.element", 10 * DIMENSION), codec="lz4"),
        group(("v", 10 * DIMENSION), repetition=0),
        group(("v.list.element.list.element", 10 * DIMENSION), repetition=2),
    ):
        assert dimension_of([whole, other], "v") == 0


def test_a_column_said_to_be_where_no_file_reaches_is_left_to_arrow() -> None:
    stream = pa.BufferReader(bytes_of())
    (found,) = row_groups(stream)
    (chunk,) = found.of(["v"])
    for offset, size in ((2**70, 100), (2**40, 100), (chunk.offset + 1, 100)):
        moved = Group(found.num_rows, (replace(chunk, offset=offset, compressed_size=size),))
        pages = PageVectors(stream, {0: moved}, "v", TYPES["list"], Memory(), never)
        with pytest.raises(UnlikeError):
            pages.take(found.num_rows)


def never(number: int, rows: int) -> pa.Array:
    raise AssertionError("nothing is read by a dictionary")


def bytes_of(**options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table(60), out, **({"use_dictionary": False} | SMALL_PAGES | options))
    return out.getvalue()


DAMAGED = {name: bytes_of(**options) for name, options in OPTIONS.items()}


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.data())
def test_damage_gives_what_arrow_makes_of_it_or_what_was_written_or_an_error(
    tmp_path: Path, data: st.DataObject
) -> None:
    damaged = bytearray(DAMAGED[data.draw(st.sampled_from(sorted(DAMAGED)))])
    end = len(damaged) - 8 - int.from_bytes(damaged[-8:-4], "little")
    with pa.BufferReader(bytes(damaged)) as stream:
        begin = next(row_groups(stream)[0].of(["v"])).offset
    for _ in range(data.draw(st.integers(1, 2))):
        # The first header and its levels are met more often than by chance.
        at = data.draw(st.one_of(st.integers(begin, begin + 150), st.integers(4, end - 1)))
        damaged[at] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / "a"
    path.write_bytes(damaged)
    try:
        rows, _ = read(path)
    except SourceError:
        return
    if not rows.equals(table(60)):
        with pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True) as opened:
            assert same(rows, opened.read(use_threads=False))


def same(one: pa.Table, other: pa.Table) -> bool:
    """Whether tables hold the same bits; NaN is not NaN to Arrow."""
    return all(
        a.combine_chunks().cast(b.type).buffers() == b.combine_chunks().buffers()
        for a, b in zip(one.columns, other.columns, strict=True)
    )
