# ruff: noqa: E501 the tables have one case a line
"""What each value becomes: docs/values.md, case by case, through real files and the real readers.

Every case says what must be stored, or the field and code of its fault.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import uuid
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vecload.batch import Batch, Span
from vecload.limits import CONTENTS_MAX_BYTES
from vecload.mapping import ColumnMapping, JsonRows, Mapper, Rows, Rules
from vecload.mapping.arrow_rows import ArrowRows
from vecload.readers import open_sources
from vecload.readers.prefetch import batches

MAPPING = ColumnMapping("id", "vector", "contents")
NAMESPACE = uuid.UUID("12345678-1234-5678-1234-567812345678")


@dataclass(frozen=True)
class Fault:
    """The row is a reject for this reason."""

    field: str
    code: str


def mapped(path: Path, mapping: ColumnMapping, dimension: int, *, allow_zero: bool = False) -> Batch:
    (source,) = open_sources([str(path)])
    mapper = Mapper(mapping, dimension, allow_zero_vectors=allow_zero)
    (rows,) = source.read(batch_rows=1000, batch_bytes=2**30)
    (batch,) = batches(source, mapper, batch_rows=1000, batch_bytes=2**30)
    source.close()
    check_same(mapper.map(rows), batch)
    return batch


def check_same(one: Batch, other: Batch) -> None:
    """The ways to map rows, of which some are short cuts, end in the same."""
    assert (one.ids, one.contents, one.rejects, one.span) == (
        other.ids,
        other.contents,
        other.rejects,
        other.span,
    )
    assert json.dumps(one.metadata) == json.dumps(other.metadata)
    for ours, theirs in ((one.vectors, other.vectors), (one.rows, other.rows)):
        assert (ours is None) == (theirs is None)
        assert ours is None or theirs is None or ours.tobytes() == theirs.tobytes()


def of_parquet(
    folder: Path, columns: dict[str, pa.Array], *, mapping: ColumnMapping | None = None, **options: Any
) -> Batch:
    n = len(next(iter(columns.values())))
    filled = {
        "id": pa.array([f"row-{i}" for i in range(n)]),
        "vector": pa.array([[1.0, 2.0]] * n, pa.list_(pa.float32())),
        **columns,
    }
    pq.write_table(pa.table(filled), folder / "rows.parquet")
    if mapping is None:
        mapping = ColumnMapping("id", "vector", "contents" if "contents" in columns else None)
    return mapped(folder / "rows.parquet", mapping, options.pop("dimension", 2), **options)


def of_jsonl(folder: Path, *lines: bytes | str, mapping: ColumnMapping = MAPPING, **options: Any) -> Batch:
    path = folder / "rows.jsonl"
    path.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines))
    return mapped(path, mapping, options.pop("dimension", 2), **options)


def line(field: str, value: str) -> str:
    """A whole row in which this field is this JSON text."""
    fields = {"id": '"row-0"', "vector": "[1, 2]", field: value}
    return "{" + ", ".join(f'"{name}": {text}' for name, text in fields.items()) + "}"


def of_arrow(
    columns: dict[str, pa.Array], *, dimension: int = 2, mapping: ColumnMapping | None = None
) -> Batch:
    """Straight from a record batch: for what no Parquet file can hold."""
    n = len(next(iter(columns.values())))
    filled = {"id": pa.array([str(i) for i in range(n)]), "vector": pa.array([[1.0, 2.0]] * n), **columns}
    rows = ArrowRows(Span("a", 0, n), pa.record_batch(filled))
    return Mapper(mapping or ColumnMapping("id", "vector"), dimension).map(rows)


def fault_of(batch: Batch) -> Fault:
    (reject,) = batch.rejects
    assert (reject.row, len(batch)) == (0, 0)
    assert reject.message
    assert "\n" not in reject.message
    return Fault(reject.field, reject.code)


def check_id(batch: Batch, expected: str | Fault) -> None:
    if isinstance(expected, Fault):
        assert fault_of(batch) == expected
    else:
        assert batch.ids == [expected]


def check_vector(batch: Batch, expected: list[float] | Fault) -> None:
    if isinstance(expected, Fault):
        assert fault_of(batch) == expected
        return
    assert not batch.rejects
    assert batch.vectors is not None
    assert batch.vectors.dtype == np.float32
    assert batch.vectors.flags.c_contiguous
    assert batch.vectors.tobytes() == np.array([expected], dtype="<f4").tobytes()


def check_metadata(batch: Batch, expected: Any) -> None:
    if isinstance(expected, Fault):
        assert fault_of(batch) == expected
        return
    assert not batch.rejects
    found = batch.metadata[0] if batch.metadata is not None else None
    assert found == expected
    # 1 == 1.0 == True: only the text of it tells them apart.
    assert json.dumps(found) == json.dumps(expected)


def check_contents(batch: Batch, expected: str | bytes | Fault | None) -> None:
    if isinstance(expected, Fault):
        assert fault_of(batch) == expected
        return
    assert not batch.rejects
    found = batch.contents[0] if batch.contents is not None else None
    assert type(found) is type(expected)
    assert found == expected


# --- ids ---

NOT_TEXT = Fault("id", "not-text")
MISSING_ID = Fault("id", "missing")

IDS: list[tuple[str, pa.Array | None, str | None, str | Fault]] = [
    ("text", pa.array(["doc-1"]), '"doc-1"', "doc-1"),
    ("large text", pa.array(["doc-1"], pa.large_string()), None, "doc-1"),
    (
        "a text view",
        pa.array(["a text longer than a view"], pa.string_view()),
        None,
        "a text longer than a view",
    ),
    ("a dictionary", pa.array(["doc-1"]).dictionary_encode(), None, "doc-1"),
    ("text of digits keeps its zeros", pa.array(["007"]), '"007"', "007"),
    ("composed", pa.array(["caf\u00e9"]), '"caf\\u00e9"', "caf\u00e9"),
    ("decomposed", pa.array(["cafe\u0301"]), '"cafe\\u0301"', "cafe\u0301"),
    ("a surrogate pair", pa.array(["\U0001f511"]), '"\\ud83d\\udd11"', "\U0001f511"),
    ("NUL", pa.array(["a\0b"]), '"a\\u0000b"', "a\0b"),
    ("spaces and slashes", pa.array([" ../x/ "]), '" ../x/ "', " ../x/ "),
    ("4096 bytes", pa.array(["x" * 4096]), '"' + "x" * 4096 + '"', "x" * 4096),
    ("4096 bytes, not ASCII", pa.array(["é" * 2048]), '"' + "é" * 2048 + '"', "é" * 2048),
    ("4097 bytes", pa.array(["x" * 4097]), '"' + "x" * 4097 + '"', Fault("id", "long-id")),
    ("4098 bytes, 2049 letters", pa.array(["é" * 2049]), '"' + "é" * 2049 + '"', Fault("id", "long-id")),
    ("5 KiB", pa.array(["x" * 5120]), '"' + "x" * 5120 + '"', Fault("id", "long-id")),
    ("empty", pa.array([""]), '""', Fault("id", "empty-id")),
    ("null", pa.array([None], pa.string()), "null", MISSING_ID),
    ("a null integer", pa.array([None], pa.int64()), None, MISSING_ID),
    ("nothing but nulls", pa.nulls(1), None, MISSING_ID),
    ("zero", pa.array([0]), "0", "0"),
    ("minus one", pa.array([-1], pa.int8()), "-1", "-1"),
    ("2^53 - 1", pa.array([2**53 - 1]), str(2**53 - 1), "9007199254740991"),
    ("2^53", pa.array([2**53]), str(2**53), "9007199254740992"),
    ("2^53 + 1", pa.array([2**53 + 1]), str(2**53 + 1), "9007199254740993"),
    ("2^63 - 1", pa.array([2**63 - 1]), str(2**63 - 1), "9223372036854775807"),
    ("-2^63", pa.array([-(2**63)]), str(-(2**63)), "-9223372036854775808"),
    ("2^63", pa.array([2**63], pa.uint64()), str(2**63), "9223372036854775808"),
    ("2^64 - 1", pa.array([2**64 - 1], pa.uint64()), str(2**64 - 1), "18446744073709551615"),
    ("2^64", None, str(2**64), "18446744073709551616"),
    ("2^64 + 1", None, str(2**64 + 1), "18446744073709551617"),
    ("-2^63 - 1", None, str(-(2**63) - 1), "-9223372036854775809"),
    ("10^300 + 1", None, str(10**300 + 1), str(10**300 + 1)),
    ("an integer of 5000 digits", None, "1" * 5000, Fault("line", "not-json")),
    ("a float", pa.array([1.5]), "1.5", NOT_TEXT),
    ("a float that is whole", pa.array([1.0]), "1.0", NOT_TEXT),
    ("a large float", pa.array([1e20]), "1e20", NOT_TEXT),
    ("a boolean", pa.array([True]), "true", NOT_TEXT),
    ("a decimal", pa.array([Decimal(7)]), None, "7"),
    ("a whole decimal", pa.array([Decimal("70.00")]), None, "70"),
    ("a decimal of 38 digits", pa.array([Decimal("1" * 38)]), None, "1" * 38),
    ("a negative decimal", pa.array([Decimal(-7)], pa.decimal256(60, 2)), None, "-7"),
    ("a decimal with a fraction", pa.array([Decimal("7.5")]), None, NOT_TEXT),
    ("a null decimal", pa.array([None], pa.decimal128(38, 0)), None, MISSING_ID),
    ("a date", pa.array([dt.date(2024, 1, 1)]), None, NOT_TEXT),
    ("a list", pa.array([["a"]]), '["a"]', NOT_TEXT),
    ("an object", pa.array([{"a": 1}]), '{"a": 1}', NOT_TEXT),
    ("an Arrow UUID", pa.array([NAMESPACE.bytes], pa.uuid()), None, str(NAMESPACE)),
    ("16 fixed bytes", pa.array([NAMESPACE.bytes], pa.binary(16)), None, str(NAMESPACE)),
    ("15 fixed bytes", pa.array([bytes(15)], pa.binary(15)), None, NOT_TEXT),
    ("bytes of text", pa.array([b"doc-1"]), None, "doc-1"),
    ("bytes of text, not ASCII", pa.array(["café".encode()], pa.large_binary()), None, "café"),
    ("5 fixed bytes of text", pa.array([b"doc-1"], pa.binary(5)), None, "doc-1"),
    (
        "a view of bytes of text",
        pa.array([b"a text longer than a view"], pa.binary_view()),
        None,
        "a text longer than a view",
    ),
    ("16 bytes of text", pa.array([b"0123456789abcdef"]), None, "0123456789abcdef"),
    ("16 other bytes", pa.array([NAMESPACE.bytes]), None, str(NAMESPACE)),
    ("bytes with a control character", pa.array([b"a\n"]), None, NOT_TEXT),
    ("bytes that are not UTF-8", pa.array([b"\xff\xfe"]), None, NOT_TEXT),
    ("no bytes", pa.array([b""]), None, Fault("id", "empty-id")),
    ("4097 bytes of text", pa.array([b"x" * 4097]), None, Fault("id", "long-id")),
    ("null bytes", pa.array([None], pa.binary()), None, MISSING_ID),
]


@pytest.mark.parametrize(
    ("array", "expected"), [pytest.param(a, e, id=n) for n, a, _, e in IDS if a is not None]
)
def test_an_id_in_parquet(tmp_path: Path, array: pa.Array, expected: str | Fault) -> None:
    check_id(of_parquet(tmp_path, {"id": array}), expected)


@pytest.mark.parametrize(
    ("text", "expected"), [pytest.param(t, e, id=n) for n, _, t, e in IDS if t is not None]
)
def test_an_id_in_jsonl(tmp_path: Path, text: str, expected: str | Fault) -> None:
    check_id(of_jsonl(tmp_path, line("id", text)), expected)


def test_an_id_that_is_not_there_is_missing(tmp_path: Path) -> None:
    check_id(of_jsonl(tmp_path, '{"vector": [1, 2]}'), MISSING_ID)


def test_with_binary_as_text_ids_are_the_text_of_their_bytes_and_uuids_stay_uuids(tmp_path: Path) -> None:
    rules = Rules(binary_as_text=True)
    ids = pa.array([b"a\n", b"0123456789abcdef", b"\xff" * 16])
    batch = of_parquet(tmp_path, {"id": ids}, mapping=ColumnMapping("id", "vector", rules=rules))
    assert batch.ids == ["a\n", "0123456789abcdef"]
    assert [(reject.row, reject.field, reject.code) for reject in batch.rejects] == [(2, "id", "not-utf8")]
    fixed = pa.array([b"0123456789abcdef"], pa.binary(16))
    assert of_parquet(tmp_path, {"id": fixed}, mapping=ColumnMapping("id", "vector", rules=rules)).ids == [
        "0123456789abcdef"
    ]
    uuids = pa.array([NAMESPACE.bytes], pa.uuid())
    batch = of_arrow({"id": uuids}, mapping=ColumnMapping("id", "vector", rules=rules))
    assert batch.ids == [str(NAMESPACE)]


def test_with_binary_as_text_vectors_of_bytes_stay_vectors(tmp_path: Path) -> None:
    rules = Rules(binary_as_text=True, vector_dtype="int8")
    mapping = ColumnMapping("id", "vector", rules=rules)
    check_vector(of_parquet(tmp_path, {"vector": pa.array([b"AB"])}, mapping=mapping), [65, 66])


def test_an_id_of_broken_utf8_in_parquet_is_a_reject(tmp_path: Path) -> None:
    broken = pa.StringArray.from_buffers(
        2, pa.array([0, 2, 4], pa.int32()).buffers()[1], pa.py_buffer(b"ab\xff\xfe")
    )
    batch = of_parquet(tmp_path, {"id": broken})
    assert batch.ids == ["ab"]
    assert [(reject.row, reject.code, reject.id) for reject in batch.rejects] == [(1, "not-utf8", None)]


def test_the_rows_around_a_reject_keep_their_ids_and_row_numbers(tmp_path: Path) -> None:
    batch = of_parquet(tmp_path, {"id": pa.array(["a", None, "c", "", "e"])})
    assert batch.ids == ["a", "c", "e"]
    assert batch.item_rows().tolist() == [0, 2, 4]
    assert [reject.row for reject in batch.rejects] == [1, 3]


# --- vectors ---

NAN, INF = math.nan, math.inf
WRONG_DIMENSION = Fault("vector", "dimension")
NOT_A_NUMBER = Fault("vector", "not-a-number")
NOT_A_LIST = Fault("vector", "not-a-list")
INFINITE = Fault("vector", "infinite")
NULL_ELEMENT = Fault("vector", "null-element")
ZERO = Fault("vector", "zero")
MISSING_VECTOR = Fault("vector", "missing")

f16, f32, f64 = pa.float16(), pa.float32(), pa.float64()
TENSOR = pa.fixed_shape_tensor(f32, (2,))
DENORMAL = 1.401298464324817e-45
LARGEST = 3.4028234663852886e38

VECTORS: list[tuple[str, pa.Array | None, str | None, list[float] | Fault]] = [
    ("float16", pa.array([np.array([0.5, 65504], np.float16)], pa.list_(f16)), None, [0.5, 65504]),
    ("float32", pa.array([[0.1, -2.5]], pa.list_(f32)), "[0.1, -2.5]", [0.1, -2.5]),
    ("float64 rounded to nearest", pa.array([[1 / 3, 2 / 3]], pa.list_(f64)), f"[{1 / 3}, {2 / 3}]", [1 / 3, 2 / 3]),
    ("integers", pa.array([[1, -2]], pa.list_(pa.int64())), "[1, -2]", [1, -2]),
    ("int8", pa.array([[127, -128]], pa.list_(pa.int8())), None, [127, -128]),
    ("uint8", pa.array([[255, 1]], pa.list_(pa.uint8())), None, [255, 1]),
    ("int16", pa.array([[-(2**15), 1]], pa.list_(pa.int16())), None, [-(2**15), 1]),
    ("int32 beyond a float32's digits", pa.array([[2**24 + 1, 1]], pa.list_(pa.int32())), f"[{2**24 + 1}, 1]", [2**24, 1]),
    ("uint64", pa.array([[2**64 - 1, 0]], pa.list_(pa.uint64())), f"[{2**64 - 1}, 0]", [2.0**64, 0]),
    ("integers beyond 64 bits", None, f"[{2**70}, 1]", [2.0**70, 1]),
    ("whole numbers and fractions", None, "[1, 0.5]", [1, 0.5]),
    ("large list", pa.array([[1, 2]], pa.large_list(f32)), None, [1, 2]),
    ("fixed-size list", pa.array([[1, 2]], pa.list_(f32, 2)), None, [1, 2]),
    ("list view", pa.array([[1, 2]], pa.list_view(f32)), None, [1, 2]),
    ("large list view", pa.array([[1, 2]], pa.large_list_view(f32)), None, [1, 2]),
    ("tensor", pa.ExtensionArray.from_storage(TENSOR, pa.array([[1, 2]], pa.list_(f32, 2))), None, [1, 2]),
    ("decimals", pa.array([[Decimal("0.5"), Decimal("2.0")]]), None, NOT_A_NUMBER),
    ("bytes", pa.array([np.array([1, 2], "<f4").tobytes()]), None, [1, 2]),
    ("large bytes", pa.array([np.array([1, 2], "<f4").tobytes()], pa.large_binary()), None, [1, 2]),
    ("fixed-size bytes", pa.array([np.array([1, 2], "<f4").tobytes()], pa.binary(8)), None, [1, 2]),
    ("a view of bytes", pa.array([np.array([1, 2], "<f4").tobytes()], pa.binary_view()), None, [1, 2]),
    ("bytes of another dimension", pa.array([bytes(12)]), None, WRONG_DIMENSION),
    ("bytes, no whole float32", pa.array([bytes(7)]), None, Fault("vector", "bytes")),
    ("no bytes", pa.array([b""]), None, Fault("vector", "empty")),
    ("null bytes", pa.array([None], pa.binary()), None, MISSING_VECTOR),
    ("bytes of NaN", pa.array([np.array([1, NAN], "<f4").tobytes()]), None, Fault("vector", "nan")),
    ("JSON text", pa.array(["[1, 0.5]"]), '"[1, 0.5]"', [1, 0.5]),
    ("JSON text of another dimension", pa.array(["[1]"]), '"[1]"', WRONG_DIMENSION),
    ("JSON text of an object", pa.array(['{"a": 1}']), '"{\\"a\\": 1}"', NOT_A_LIST),
    ("text of an array with NaN", pa.array(["[1, NaN]"]), '"[1, NaN]"', Fault("vector", "nan")),
    ("text that is no JSON", pa.array(["1, 2"]), '"1, 2"', NOT_A_LIST),
    ("empty text", pa.array([""]), '""', NOT_A_LIST),
    ("NaN", pa.array([[1, NAN]], pa.list_(f32)), None, Fault("vector", "nan")),
    ("NaN as float16", pa.array([np.array([1, NAN], np.float16)], pa.list_(f16)), None, Fault("vector", "nan")),
    ("infinity", pa.array([[1, INF]], pa.list_(f32)), None, INFINITE),
    ("minus infinity", pa.array([[-INF, 1]], pa.list_(f64)), None, INFINITE),
    ("1e39", pa.array([[1e39, 1]], pa.list_(f64)), "[1e39, 1]", INFINITE),
    ("-1e39", pa.array([[-1e39, 1]], pa.list_(f64)), "[-1e39, 1]", INFINITE),
    ("the largest float32", pa.array([[LARGEST, -LARGEST]], pa.list_(f64)), f"[{LARGEST}, {-LARGEST}]", [LARGEST, -LARGEST]),
    ("minus zero", pa.array([[-0.0, 1]], pa.list_(f32)), "[-0.0, 1.0]", [-0.0, 1]),
    ("denormals", pa.array([[DENORMAL, -DENORMAL]], pa.list_(f32)), f"[{DENORMAL}, {-DENORMAL}]", [DENORMAL, -DENORMAL]),
    ("all zeros", pa.array([[0, 0]], pa.list_(f32)), "[0, 0.0]", ZERO),
    ("all minus zeros", pa.array([[-0.0, -0.0]], pa.list_(f32)), "[-0.0, -0.0]", ZERO),
    ("what vanishes as float32", pa.array([[1e-50, 1e-60]], pa.list_(f64)), "[1e-50, 1e-60]", ZERO),
    ("too short", pa.array([[1]], pa.list_(f32)), "[1]", WRONG_DIMENSION),
    ("too long", pa.array([[1, 2, 3]], pa.list_(f32, 3)), "[1, 2, 3]", WRONG_DIMENSION),
    ("empty", pa.array([[]], pa.list_(f32)), "[]", Fault("vector", "empty")),
    ("null", pa.array([None], pa.list_(f32)), "null", MISSING_VECTOR),
    ("null, of a fixed size", pa.array([None], pa.list_(f32, 2)), None, MISSING_VECTOR),
    ("nothing but nulls", pa.nulls(1), None, MISSING_VECTOR),
    ("a null element", pa.array([[1, None]], pa.list_(f32)), "[1, null]", NULL_ELEMENT),
    ("null elements alone", pa.array([[None, None]], pa.list_(f64)), "[null, null]", NULL_ELEMENT),
    ("a null element of a fixed size", pa.array([[None, 1]], pa.list_(f32, 2)), None, NULL_ELEMENT),
    ("a null float16", pa.array([[None, np.float16(1)]], pa.list_(f16)), None, NULL_ELEMENT),
    ("a list of nulls by type", pa.array([[None, None]], pa.list_(pa.null())), None, NULL_ELEMENT),
    ("booleans", pa.array([[True, False]]), "[true, false]", NOT_A_NUMBER),
    ("a boolean among numbers", None, "[true, 0.5]", NOT_A_NUMBER),
    ("a boolean among whole numbers", None, "[7, false]", NOT_A_NUMBER),
    ("numbers as texts", pa.array([["1", "2"]]), '["1", "2"]', [1, 2]),
    ("texts", pa.array([["a", "b"]]), '["a", "b"]', NOT_A_NUMBER),
    ("a text among numbers", None, '[1.5, "2"]', NOT_A_NUMBER),
    ("several lists", pa.array([[[1.0], [2.0]]]), "[[1.0], [2.0]]", Fault("vector", "multi-vector")),
    ("objects", pa.array([[{"a": 1}, {"a": 2}]]), '[{"a": 1}, {"a": 2}]', NOT_A_NUMBER),
    ("timestamps", pa.array([[1, 2]], pa.list_(pa.timestamp("ms"))), None, NOT_A_NUMBER),
    ("a dictionary of numbers", pa.ListArray.from_arrays([0, 2], pa.array([1.5, 2.5]).dictionary_encode()), None, [1.5, 2.5]),
    ("a number", pa.array([1.5]), "1.5", NOT_A_LIST),
    ("an object", pa.array([{"other": [1.0, 2.0]}]), '{"other": [1, 2]}', NOT_A_LIST),
]  # fmt: skip


@pytest.mark.parametrize(
    ("array", "expected"), [pytest.param(a, e, id=n) for n, a, _, e in VECTORS if a is not None]
)
def test_a_vector_in_parquet(tmp_path: Path, array: pa.Array, expected: list[float] | Fault) -> None:
    check_vector(of_parquet(tmp_path, {"vector": array}), expected)


@pytest.mark.parametrize(
    ("text", "expected"), [pytest.param(t, e, id=n) for n, _, t, e in VECTORS if t is not None]
)
def test_a_vector_in_jsonl(tmp_path: Path, text: str, expected: list[float] | Fault) -> None:
    check_vector(of_jsonl(tmp_path, line("vector", text)), expected)


@pytest.mark.parametrize("text", [t for _, _, t, e in VECTORS if t is not None and isinstance(e, Fault)])
def test_a_bad_vector_spoils_none_of_its_neighbours(tmp_path: Path, text: str) -> None:
    good = line("vector", "[0.1, 1]")
    batch = of_jsonl(tmp_path, good, line("vector", text), good)
    assert batch.item_rows().tolist() == [0, 2]
    assert batch.vectors is not None
    assert batch.vectors.tobytes() == np.array([[0.1, 1]] * 2, "<f4").tobytes()


@pytest.mark.parametrize("text", ["[NaN, 1]", "[Infinity, 1]", "[-Infinity, 1]", "[1e999, 1]"])
def test_numbers_that_are_not_json_break_the_line(tmp_path: Path, text: str) -> None:
    assert fault_of(of_jsonl(tmp_path, line("vector", text))) == Fault("line", "not-json")


def test_a_vector_that_is_not_there_is_missing(tmp_path: Path) -> None:
    check_vector(of_jsonl(tmp_path, '{"id": "a"}'), MISSING_VECTOR)


def test_zeros_pass_where_they_are_allowed(tmp_path: Path) -> None:
    zeros = pa.array([[0, 0]], pa.list_(f32))
    check_vector(of_parquet(tmp_path, {"vector": zeros}, allow_zero=True), [0, 0])
    check_vector(of_jsonl(tmp_path, line("vector", "[0, 0]"), allow_zero=True), [0, 0])


RAGGED = [[1.0, 2.0], [3.0], None, [], [4.0, None], [5.0, 6.0], [7.0, 8.0, 9.0]]
RAGGED_CODES = {1: "dimension", 2: "missing", 3: "empty", 4: "null-element", 6: "dimension"}


@pytest.mark.parametrize(
    "kind", [pa.list_(f32), pa.large_list(f64), pa.list_(f16), pa.list_view(f32)], ids=str
)
def test_ragged_lists_lose_only_the_rows_that_do_not_fit(tmp_path: Path, kind: pa.DataType) -> None:
    values = [None if v is None else [None if x is None else np.float16(x) for x in v] for v in RAGGED]
    batch = of_parquet(tmp_path, {"vector": pa.array(values, kind)})
    assert {reject.row: reject.code for reject in batch.rejects} == RAGGED_CODES
    assert batch.vectors is not None
    assert batch.vectors.tolist() == [[1, 2], [5, 6]]


def test_ragged_lists_in_jsonl_are_judged_the_same(tmp_path: Path) -> None:
    batch = of_jsonl(tmp_path, *(line("vector", json.dumps(value)) for value in RAGGED))
    assert {reject.row: reject.code for reject in batch.rejects} == RAGGED_CODES


@pytest.mark.parametrize(
    "array",
    [
        pa.array([[i, i + 0.5] for i in range(10)], pa.list_(f32)),
        pa.array([[i, i + 0.5] for i in range(10)], pa.large_list(f64)),
        pa.array([[i, i + 0.5] for i in range(10)], pa.list_(f32, 2)),
        pa.array([[i, i + 0.5] for i in range(10)], pa.list_view(f32)),
        pa.ExtensionArray.from_storage(TENSOR, pa.array([[i, i + 0.5] for i in range(10)], pa.list_(f32, 2))),
        pa.array([np.array([i, i + 0.5], "<f4").tobytes() for i in range(10)]),
        pa.array([np.array([i, i + 0.5], "<f4").tobytes() for i in range(10)], pa.binary(8)),
        pa.array([f"[{i}, {i}.5]" for i in range(10)]),
        pa.array([f"[{i}, {i}.5]" for i in range(10)]).dictionary_encode(),
    ],
    ids=lambda array: str(array.type),
)
@pytest.mark.parametrize("nulls_first", [False, True])
def test_a_slice_of_vectors_holds_its_own_rows(array: pa.Array, nulls_first: bool) -> None:
    piece = array.slice(3, 4).slice(1, 2)
    if nulls_first:
        storage = array.storage if isinstance(array, pa.ExtensionArray) else array
        piece = pa.concat_arrays([pa.nulls(5, storage.type), storage]).slice(5 + 4, 2)
    batch = of_arrow({"vector": piece})
    assert batch.vectors is not None
    assert batch.vectors.tolist() == [[4, 4.5], [5, 5.5]]


@pytest.mark.parametrize("kind", [pa.list_(f32), pa.list_(f32, 2)], ids=str)
def test_a_slice_with_a_null_row_loses_that_row_alone(kind: pa.DataType) -> None:
    array = pa.array([[9, 9], [1, 2], None, [3, 4], [None, 5], [9, 9]], kind)
    batch = of_arrow({"vector": array.slice(1, 4)})
    assert {reject.row: reject.code for reject in batch.rejects} == {1: "missing", 3: "null-element"}
    assert batch.vectors is not None
    assert batch.vectors.tolist() == [[1, 2], [3, 4]]


def test_run_end_encoded_values_are_read() -> None:
    ends = pa.RunEndEncodedArray.from_arrays([2, 3], pa.array(["x", "y"]))
    batch = of_arrow({"m": ends})
    assert batch.metadata == [{"m": "x"}, {"m": "x"}, {"m": "y"}]


def test_an_index_that_embeds_takes_rows_without_vectors(tmp_path: Path) -> None:
    batch = of_jsonl(
        tmp_path, '{"id": "a", "contents": "text"}', mapping=ColumnMapping("id", None, "contents")
    )
    assert (batch.ids, batch.vectors, batch.contents) == (["a"], None, ["text"])


# --- metadata ---

NOT_JSON = Fault("metadata", "not-json")
MOMENT = dt.datetime(2024, 2, 29, 12, 30, 15, 123456)  # noqa: DTZ001 naive on purpose
MOMENT_MS = 1709209815123


def instants(unit: str, zone: str | None = None) -> pa.Array:
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    return pa.array([1709209815123456789 * per_second // 10**9], pa.int64()).cast(pa.timestamp(unit, zone))


def nested(value: pa.Array) -> pa.Array:
    """One row of that value in a struct in a list in a struct."""
    inner = pa.StructArray.from_arrays([value], names=["value"])
    return pa.StructArray.from_arrays([pa.ListArray.from_arrays([0, 1], inner)], names=["list"])


METADATA: list[tuple[str, pa.Array, Any]] = [
    ("text", pa.array(["naïve\0"]), "naïve\0"),
    ("empty text", pa.array([""]), ""),
    ("large text", pa.array(["x"], pa.large_string()), "x"),
    ("a text view", pa.array(["x"], pa.string_view()), "x"),
    ("JSON by type", pa.array(['{"a": 1}'], pa.json_()), '{"a": 1}'),
    ("a dictionary", pa.array(["x"]).dictionary_encode(), "x"),
    ("true", pa.array([True]), True),
    ("false", pa.array([False]), False),
    ("bool8", pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1], pa.int8())), True),
    ("int8", pa.array([-128], pa.int8()), -128),
    ("int64", pa.array([2**63 - 1]), 2**63 - 1),
    ("uint64", pa.array([2**64 - 1], pa.uint64()), 2**64 - 1),
    ("float16", pa.array([np.float16(0.1)], f16), 0.0999755859375),
    ("float32", pa.array([0.1], f32), 0.10000000149011612),
    ("float64", pa.array([0.1]), 0.1),
    ("a whole float", pa.array([2.0]), 2.0),
    ("minus zero", pa.array([-0.0]), -0.0),
    ("infinity", pa.array([INF], f32), NOT_JSON),
    ("float16 infinity", pa.array([np.float16(INF)], f16), NOT_JSON),
    ("timestamp in s", instants("s"), 1709209815000),
    ("timestamp in ms", instants("ms"), MOMENT_MS),
    ("timestamp in us", instants("us"), MOMENT_MS),
    ("timestamp in ns", instants("ns"), MOMENT_MS),
    ("timestamp in UTC", instants("us", "UTC"), MOMENT_MS),
    ("timestamp in Berlin", instants("us", "Europe/Berlin"), MOMENT_MS),
    ("timestamp with an offset", instants("ns", "+05:30"), MOMENT_MS),
    ("a naive datetime", pa.array([MOMENT]), MOMENT_MS),
    ("a microsecond before the epoch", pa.array([-1], pa.timestamp("us")), -1),
    ("the last nanosecond", pa.array([2**63 - 1], pa.timestamp("ns")), 9223372036854),
    ("a timestamp of the year 40000", pa.array([10**12], pa.timestamp("s")), 10**15),
    ("date32", pa.array([dt.date(1969, 12, 31)]), -86_400_000),
    ("date64", pa.array([dt.date(2024, 2, 29)], pa.date64()), 1709164800000),
    ("time in s", pa.array([dt.time(23, 59, 59)], pa.time32("s")), "23:59:59"),
    ("time in ms", pa.array([dt.time(1, 2, 3, 4000)], pa.time32("ms")), "01:02:03.004000"),
    ("time in us", pa.array([dt.time(1, 2, 3, 4)], pa.time64("us")), "01:02:03.000004"),
    ("time in ns, whole us", pa.array([1000], pa.time64("ns")), "00:00:00.000001"),
    ("time in ns", pa.array([3_723_000_000_001], pa.time64("ns")), "01:02:03.000000001"),
    ("duration in s", pa.array([90], pa.duration("s")), 90_000),
    ("duration in ns", pa.array([-1], pa.duration("ns")), -1),
    ("a whole decimal", pa.array([Decimal("120.00")]), 120),
    ("an exact decimal", pa.array([Decimal("0.1")]), 0.1),
    ("a decimal no float says", pa.array([Decimal("0.12345678901234567890")]), "0.12345678901234567890"),
    ("a whole decimal of 38 digits", pa.array([Decimal("9" * 38)]), int("9" * 38)),
    ("decimal256", pa.array([Decimal("1" * 60 + ".5")], pa.decimal256(76, 1)), "1" * 60 + ".5"),
    ("decimal32", pa.array([Decimal("1.25")], pa.decimal32(5, 2)), 1.25),
    ("bytes", pa.array([b"\x00\xff"]), "AP8="),
    ("no bytes", pa.array([b""]), ""),
    ("large bytes", pa.array([b"\x00\xff"], pa.large_binary()), "AP8="),
    ("16 fixed bytes", pa.array([bytes(16)], pa.binary(16)), base64.b64encode(bytes(16)).decode()),
    ("an Arrow UUID", pa.array([NAMESPACE.bytes], pa.uuid()), str(NAMESPACE)),
    ("a list", pa.array([[1, None, 3]]), [1, None, 3]),
    ("an empty list", pa.array([[]], pa.list_(pa.int8())), []),
    ("a fixed-size list", pa.array([[1, 2]], pa.list_(pa.int8(), 2)), [1, 2]),
    ("a large list", pa.array([["a"]], pa.large_list(pa.string())), ["a"]),
    ("a list view", pa.array([["a", "b"]], pa.list_view(pa.string())), ["a", "b"]),
    ("a list with NaN", pa.array([[1.0, NAN]]), NOT_JSON),
    ("a struct", pa.array([{"a": 1, "b": None}]), {"a": 1}),
    ("a map", pa.array([[("a", 1), ("b", None)]], pa.map_(pa.string(), pa.int8())), {"a": 1}),
    ("a map by integers", pa.array([[(1, "x")]], pa.map_(pa.int32(), pa.string())), {"1": "x"}),
    ("an empty map", pa.array([[]], pa.map_(pa.string(), pa.int8())), {}),
    ("a tensor", pa.ExtensionArray.from_storage(TENSOR, pa.array([[1, 2]], pa.list_(f32, 2))), [1.0, 2.0]),
]


@pytest.mark.parametrize(("array", "expected"), [pytest.param(a, e, id=n) for n, a, e in METADATA])
def test_a_metadata_column_in_parquet(tmp_path: Path, array: pa.Array, expected: Any) -> None:
    expected = expected if isinstance(expected, Fault) else {"m": expected}
    check_metadata(of_parquet(tmp_path, {"m": array}), expected)


@pytest.mark.parametrize(("array", "expected"), [pytest.param(a, e, id=n) for n, a, e in METADATA])
def test_the_same_value_three_deep_in_parquet(tmp_path: Path, array: pa.Array, expected: Any) -> None:
    expected = expected if isinstance(expected, Fault) else {"m": {"list": [{"value": expected}]}}
    check_metadata(of_parquet(tmp_path, {"m": nested(array)}), expected)


@pytest.mark.parametrize(("array", "expected"), [pytest.param(a, e, id=n) for n, a, e in METADATA])
def test_the_same_value_in_a_slice_between_nulls(array: pa.Array, expected: Any) -> None:
    between = pa.concat_arrays([pa.nulls(3, array.type), array, pa.nulls(2, array.type)])
    for column in (between.slice(3, 1), between.slice(1, 3).slice(2)):
        batch = of_arrow({"m": column})
        check_metadata(batch, expected if isinstance(expected, Fault) else {"m": expected})


@pytest.mark.parametrize("array", [pytest.param(a, id=n) for n, a, _ in METADATA])
def test_a_null_of_any_type_is_left_out(tmp_path: Path, array: pa.Array) -> None:
    null = pa.concat_arrays([array, pa.nulls(1, array.type)]).slice(1)
    check_metadata(of_parquet(tmp_path, {"m": null, "other": pa.array([1])}), {"other": 1})
    check_metadata(of_parquet(tmp_path, {"m": null}), None)


def test_a_type_that_json_cannot_say_is_a_reject_and_its_null_is_not() -> None:
    array = pa.array([pa.MonthDayNano([1, 2, 3]), None])
    batch = of_arrow({"m": array})
    assert [(reject.row, reject.code) for reject in batch.rejects] == [(0, "not-json")]
    assert batch.ids == ["1"]


def test_bad_values_deep_inside_are_found_in_their_own_rows() -> None:
    values = [
        {"l": [{"x": [1.0]}]},
        {"l": [{"x": [1.0, NAN]}]},
        None,
        {"l": []},
        {"l": [{"x": [INF]}]},
        {"l": None},
    ]
    batch = of_arrow({"m": pa.array([*values, *values]).slice(3, 6)})
    assert [reject.row for reject in batch.rejects] == [1, 4]
    assert batch.metadata == [{"m": {"l": []}}, {"m": {}}, {"m": {"l": [{"x": [1.0]}]}}, None]


def test_broken_utf8_in_metadata_is_a_reject(tmp_path: Path) -> None:
    broken = pa.StringArray.from_buffers(
        2, pa.array([0, 2, 4], pa.int32()).buffers()[1], pa.py_buffer(b"ab\xff\xfe")
    )
    batch = of_parquet(tmp_path, {"m": broken})
    assert [(reject.row, reject.field, reject.code) for reject in batch.rejects] == [
        (1, "metadata", "not-json")
    ]
    assert batch.metadata == [{"m": "ab"}]


WITH_OBJECT = ColumnMapping("id", "vector", None, "metadata")
TOO_DEEP = Fault("metadata", "too-deep")


def deep_list(depth: int) -> str:
    return "[" * depth + "]" * depth


def deep_object(depth: int) -> str:
    return f'{{"a": {deep_list(depth)}}}'


OBJECTS: list[tuple[str, pa.Array | None, str | None, Any]] = [
    ("an object", pa.array([{"a": 1, "b": [True]}]), '{"a": 1, "b": [true]}', {"a": 1, "b": [True]}),
    ("a map", pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8())), None, {"a": 1}),
    ("JSON text", pa.array(['{"a": {"b": null}}']), '"{\\"a\\": {\\"b\\": null}}"', {"a": {"b": None}}),
    ("JSON by type", pa.array(['{"a": 1}'], pa.json_()), None, {"a": 1}),
    ("JSON text of an exact integer", pa.array([f'{{"n": {2**70}}}']), f'"{{\\"n\\": {2**70}}}"', {"n": 2**70}),
    ("JSON text of null", pa.array(["null"]), '"null"', None),
    ("JSON text, the last of two keys", pa.array(['{"a": 1, "a": 2}']), '{"a": 1, "a": 2}', {"a": 2}),
    ("empty", pa.array(["{}"]), "{}", None),
    ("null", pa.array([None], pa.string()), "null", None),
    ("text that is no JSON", pa.array(["plain words"]), '"plain words"', NOT_JSON),
    ("empty text", pa.array([""]), '""', None),
    ("blank text", pa.array([" \n"]), '" \\n"', None),
    ("JSON text of a list", pa.array(["[1]"]), '"[1]"', Fault("metadata", "not-object")),
    ("a list", pa.array([[1]]), "[1]", Fault("metadata", "not-object")),
    ("a number", pa.array([1]), "1", Fault("metadata", "not-object")),
    ("JSON text with NaN", pa.array(['{"a": NaN}']), '"{\\"a\\": NaN}"', NOT_JSON),
    ("JSON text with 1e999", pa.array(['{"a": 1e999}']), '"{\\"a\\": 1e999}"', NOT_JSON),
    ("JSON text with a lone surrogate", pa.array(['{"a": "\\ud800"}']), None, NOT_JSON),
    ("infinity inside", pa.array([{"a": INF}]), None, NOT_JSON),
    ("nested 200 deep", pa.array([deep_object(200)]), deep_object(200), json.loads(deep_object(200))),
    ("nested 201 deep", pa.array([deep_object(201)]), deep_object(201), TOO_DEEP),
    ("nested 1000 deep", pa.array([deep_object(1000)]), deep_object(1000), TOO_DEEP),
]  # fmt: skip


@pytest.mark.parametrize(
    ("array", "expected"), [pytest.param(a, e, id=n) for n, a, _, e in OBJECTS if a is not None]
)
def test_a_metadata_object_in_parquet(tmp_path: Path, array: pa.Array, expected: Any) -> None:
    check_metadata(of_parquet(tmp_path, {"metadata": array}, mapping=WITH_OBJECT), expected)


@pytest.mark.parametrize(
    ("text", "expected"), [pytest.param(t, e, id=n) for n, _, t, e in OBJECTS if t is not None]
)
def test_a_metadata_object_in_jsonl(tmp_path: Path, text: str, expected: Any) -> None:
    check_metadata(of_jsonl(tmp_path, line("metadata", text), mapping=WITH_OBJECT), expected)


def test_the_columns_left_over_join_the_object(tmp_path: Path) -> None:
    expected = {"year": 2024, "lang": "en", "tag": "x"}
    columns = {
        "metadata": pa.array([{"lang": "en", "tag": "x"}]),
        "year": pa.array([2024]),
    }
    batch = of_parquet(tmp_path, columns, mapping=WITH_OBJECT)
    assert batch.metadata == [expected]
    row = '{"id": "a", "vector": [1, 2], "metadata": {"lang": "en", "tag": "x"}, "year": 2024}'
    assert of_jsonl(tmp_path, row, mapping=WITH_OBJECT).metadata == [expected]


def test_only_named_fields_become_metadata_where_some_are_named(tmp_path: Path) -> None:
    named = ColumnMapping("id", "vector", None, None, ("b", "missing"))
    columns = {name: pa.array([name]) for name in "abc"}
    assert of_parquet(tmp_path, columns, mapping=named).metadata == [{"b": "b"}]
    row = '{"id": "a", "vector": [1, 2], "a": 1, "b": 2, "c": 3}'
    assert of_jsonl(tmp_path, row, mapping=named).metadata == [{"b": 2}]


JSON_METADATA: list[tuple[str, Any]] = [
    ("null", None),
    ("true", True),
    ("-0.0", -0.0),
    ("0.1", 0.1),
    ("5e-324", 5e-324),
    ("1e300", 1e300),
    (str(2**53 + 1), 2**53 + 1),
    (str(2**64 - 1), 2**64 - 1),
    (str(2**70), 2**70),
    (str(-(2**70)), -(2**70)),
    (f'[1.5, {{"n": {2**70}}}]', [1.5, {"n": 2**70}]),
    ('{"a": null, "": 1, "a.b": 2, "$c": 3}', {"a": None, "": 1, "a.b": 2, "$c": 3}),
    ('{"a": 1, "a": 2}', {"a": 2}),
    ('"\\u0000\\ud83d\\udd11"', "\0\U0001f511"),
    ("[]", []),
    ("{}", {}),
    ('{"$bytes": "AA=="}', {"$bytes": "AA=="}),
]


@pytest.mark.parametrize(("text", "expected"), JSON_METADATA, ids=[text for text, _ in JSON_METADATA])
def test_a_field_left_over_in_jsonl_is_kept_as_it_is(tmp_path: Path, text: str, expected: Any) -> None:
    check_metadata(of_jsonl(tmp_path, line("m", text)), {"m": expected})


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-Infinity", "1e999", '"\\ud800"', '{"\\udfff": 1}', "01", "'a'"]
)
def test_what_is_not_json_breaks_its_line_alone(tmp_path: Path, text: str) -> None:
    batch = of_jsonl(tmp_path, line("m", "1"), line("m", text), line("m", "3"))
    assert [(reject.row, reject.field, reject.code) for reject in batch.rejects] == [(1, "line", "not-json")]
    assert batch.metadata == [{"m": 1}, {"m": 3}]


@pytest.mark.parametrize("depth", [201, 254, 900, 1000, 1020])
@pytest.mark.parametrize("item_id", ['"a"', str(2**70)], ids=["text id", "exact id"])
def test_a_field_nested_deeper_than_200_is_a_reject(tmp_path: Path, depth: int, item_id: str) -> None:
    row = f'{{"id": {item_id}, "vector": [1, 2], "n": {2**70}, "m": {deep_list(depth)}, "x": 1e300}}'
    assert fault_of(of_jsonl(tmp_path, row)) == TOO_DEEP
    assert fault_of(of_jsonl(tmp_path, line("m", deep_list(depth)))) == TOO_DEEP


def test_a_field_nested_200_deep_is_kept_beside_an_exact_integer(tmp_path: Path) -> None:
    row = f'{{"id": "a", "vector": [1, 2], "n": {2**70}, "m": {deep_list(200)}}}'
    check_metadata(of_jsonl(tmp_path, row), {"n": 2**70, "m": json.loads(deep_list(200))})


def test_a_deep_field_that_is_not_metadata_does_no_harm(tmp_path: Path) -> None:
    row = f'{{"id": "a", "vector": [1, 2], "n": 1, "m": {deep_list(1000)}}}'
    named = ColumnMapping("id", "vector", None, None, ("n",))
    assert of_jsonl(tmp_path, row, mapping=named).metadata == [{"n": 1}]


def test_nesting_of_100_000_breaks_its_line_alone(tmp_path: Path) -> None:
    deep = deep_list(100_000)
    batch = of_jsonl(tmp_path, line("m", deep), line("m", "2"), line("m", "[" * 100_000))
    assert [(reject.row, reject.code) for reject in batch.rejects] == [(0, "not-json"), (2, "not-json")]
    assert batch.metadata == [{"m": 2}]


# --- contents ---

NOT_UTF8 = Fault("contents", "not-utf8")

CONTENTS: list[tuple[str, pa.Array | None, str | None, str | bytes | Fault | None]] = [
    ("text", pa.array(["naïve"]), '"naïve"', "naïve"),
    ("empty text", pa.array([""]), '""', ""),
    ("a dictionary", pa.array(["x"]).dictionary_encode(), None, "x"),
    ("1 MB", pa.array(["x" * 10**6]), json.dumps("x" * 10**6), "x" * 10**6),
    ("1 MB, not ASCII", pa.array(["é" * 500_000]), json.dumps("é" * 500_000), "é" * 500_000),
    ("NUL", pa.array(["a\0b"]), '"a\\u0000b"', "a\0b"),
    ("text that looks like bytes", pa.array(['{"$bytes": "AA=="}']), '"{\\"$bytes\\": \\"AA==\\"}"', '{"$bytes": "AA=="}'),
    ("bytes", pa.array([b"\x00\xff"]), '{"$bytes": "AP8="}', b"\x00\xff"),
    ("no bytes", pa.array([b""]), '{"$bytes": ""}', b""),
    ("bytes that are UTF-8 stay bytes", pa.array([b"text"]), '{"$bytes": "dGV4dA=="}', b"text"),
    ("large bytes", pa.array([b"\x00"], pa.large_binary()), None, b"\x00"),
    ("fixed-size bytes", pa.array([b"\x00\x01"], pa.binary(2)), None, b"\x00\x01"),
    ("null", pa.array([None], pa.string()), "null", None),
    ("null bytes", pa.array([None], pa.binary()), None, None),
    ("nothing but nulls", pa.nulls(1), None, None),
    ("a number", pa.array([1]), "1", Fault("contents", "not-text")),
    ("NaN", pa.array([NAN]), None, Fault("contents", "not-text")),
    ("a boolean", pa.array([True]), "true", Fault("contents", "not-text")),
    ("a list", pa.array([["a"]]), '["a"]', Fault("contents", "not-text")),
    ("an object", pa.array([{"a": 1}]), '{"a": 1}', Fault("contents", "not-text")),
    ("a date", pa.array([dt.date(2024, 1, 1)]), None, Fault("contents", "not-text")),
    ("bytes that are no base64", None, '{"$bytes": "A"}', Fault("contents", "not-text")),
    ("bytes in another spelling", None, '{"$bytes": "AB=="}', Fault("contents", "not-text")),
    ("bytes that are no text", None, '{"$bytes": 7}', Fault("contents", "not-text")),
    ("bytes beside another key", None, '{"$bytes": "AA==", "a": 1}', Fault("contents", "not-text")),
    ("a lone surrogate", None, '"\\ud800"', Fault("line", "not-json")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("array", "expected"), [pytest.param(a, e, id=n) for n, a, _, e in CONTENTS if a is not None]
)
def test_contents_in_parquet(tmp_path: Path, array: pa.Array, expected: Any) -> None:
    check_contents(of_parquet(tmp_path, {"contents": array}), expected)


@pytest.mark.parametrize(
    ("text", "expected"), [pytest.param(t, e, id=n) for n, _, t, e in CONTENTS if t is not None]
)
def test_contents_in_jsonl(tmp_path: Path, text: str, expected: Any) -> None:
    check_contents(of_jsonl(tmp_path, line("contents", text)), expected)


def test_contents_of_broken_utf8_are_a_reject_in_both_kinds(tmp_path: Path) -> None:
    broken = pa.StringArray.from_buffers(
        1, pa.array([0, 2], pa.int32()).buffers()[1], pa.py_buffer(b"\xff\xfe")
    )
    assert fault_of(of_parquet(tmp_path, {"contents": broken})) == NOT_UTF8
    row = b'{"id": "a", "vector": [1, 2], "contents": "\xff\xfe"}'
    assert fault_of(of_jsonl(tmp_path, row)) == Fault("line", "not-json")


@pytest.mark.parametrize(
    "text", ["x" * CONTENTS_MAX_BYTES, "é" * (CONTENTS_MAX_BYTES // 2)], ids=["ASCII", "é"]
)
def test_contents_end_at_their_limit_of_bytes(text: str) -> None:
    rows: Rows = JsonRows(
        Span("a", 0, 2), [{"id": "a", "contents": text}, {"id": "b", "contents": text + "x"}]
    )
    batch = Mapper(ColumnMapping("id", None, "contents"), 0).map(rows)
    assert batch.ids == ["a"]
    assert [(reject.row, reject.field, reject.code) for reject in batch.rejects] == [
        (1, "contents", "too-large")
    ]


def test_contents_left_out_in_some_rows_are_absent_in_those_alone(tmp_path: Path) -> None:
    batch = of_jsonl(tmp_path, line("contents", '"a"'), line("m", "1"), line("contents", '""'))
    assert batch.contents == ["a", None, ""]


# --- lines ---


def test_lines_may_begin_with_a_byte_order_mark_and_end_in_crlf(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [f'{{"id": {2**64 + i}, "vector": [1, 2], "contents": "a\\r\\n"}}' for i in range(3)]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(rows).encode())
    batch = mapped(path, MAPPING, 2)
    assert batch.ids == [str(2**64 + i) for i in range(3)]
    assert batch.contents == ["a\r\n"] * 3


@pytest.mark.parametrize("text", ["[1, 2]", '"text"', "7", "null", "true"])
def test_a_line_that_is_no_object_is_a_reject(tmp_path: Path, text: str) -> None:
    batch = of_jsonl(tmp_path, line("id", '"a"'), text)
    assert [(reject.row, reject.field, reject.code) for reject in batch.rejects] == [
        (1, "line", "not-object")
    ]


@pytest.mark.parametrize(
    "text", ["{", '{"id": "a",}', "words", '{"id": "a"} {"id": "b"}', '{"secret": tru}', "\0\0"]
)
def test_a_line_that_is_no_json_is_a_reject_that_does_not_quote_it(tmp_path: Path, text: str) -> None:
    batch = of_jsonl(tmp_path, line("id", '"a"'), text)
    (reject,) = batch.rejects
    assert (reject.row, reject.field, reject.code, reject.id) == (1, "line", "not-json", None)
    assert "secret" not in str(reject)


def test_of_two_equal_keys_of_a_row_the_last_wins(tmp_path: Path) -> None:
    batch = of_jsonl(tmp_path, '{"id": "a", "vector": [9, 9], "id": "b", "vector": [1, 2]}')
    assert batch.ids == ["b"]
    check_vector(batch, [1, 2])


def test_a_reject_names_its_row_its_byte_and_its_id_and_never_its_contents(tmp_path: Path) -> None:
    good = line("id", '"a"')
    batch = of_jsonl(tmp_path, good, "", '{"id": "bad", "vector": [1], "contents": "the secret"}')
    (reject,) = batch.rejects
    assert (reject.row, reject.offset, reject.id) == (1, len(good) + 2, "bad")
    assert "secret" not in str(reject)
