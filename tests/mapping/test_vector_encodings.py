# ruff: noqa: E501 the tables have one case a line
"""Vectors in the encodings of people's files: recognised, and read bit for bit, in JSON and in Arrow."""

from __future__ import annotations

import base64
import io
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecload.batch import Span
from vecload.mapping.arrow_rows import ArrowRows
from vecload.mapping.json_rows import JsonRows
from vecload.mapping.mapping import VectorDtype
from vecload.mapping.rows import Fault, Rows, check_values
from vecload.mapping.vector_encodings import Encoding, encoding_of, sparse_parent
from vecload.mapping.vector_values import Numbers, fault_of_elements, numbers_of_texts, vector_in

CASES = {path.name: path for path in (Path(__file__).parents[1] / "cases").rglob("*.*")}
VECTORS = [[0.11, -0.22, 0.33, 0.44], [0.5, 0.25, -0.125, 0.75], [-0.9, 0.1, 0.2, 0.35]]
F32 = np.array(VECTORS, "<f4")


def decode(value: Any, dtype: VectorDtype | None) -> Numbers | Fault:
    """The numbers of a vector, or what is wrong with it."""
    found = vector_in(value, dtype)
    return (isinstance(found, list) and fault_of_elements(found)) or found


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def raw(vector: list[float], kind: str = "<f4") -> bytes:
    return np.array(vector, kind).tobytes()


def saved(vector: list[float]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array(vector, ">f4"))
    return stream.getvalue()


def of_json(values: list[Any]) -> JsonRows:
    values = orjson.loads(orjson.dumps(values))
    return JsonRows(Span("a", 0, len(values)), [{"v": value} for value in values])


def of_arrow(values: list[Any], kind: pa.DataType) -> ArrowRows:
    return ArrowRows(Span("a", 0, len(values)), pa.record_batch({"v": pa.array(values, kind)}))


def dense(vector: list[float]) -> dict[str, Any]:
    return {"type": 1, "size": None, "indices": None, "values": vector}


SPARK = pa.struct(
    [
        ("type", pa.int8()),
        ("size", pa.int32()),
        ("indices", pa.list_(pa.int32())),
        ("values", pa.list_(pa.float64())),
    ]
)
SPARSE = {"type": 0, "size": 1000, "indices": [3, 500], "values": [0.5, 0.25]}
f32, f64, text, binary = pa.float32(), pa.float64(), pa.string(), pa.binary()


def struct(**fields: pa.DataType) -> pa.DataType:
    return pa.struct(list(fields.items()))


ENCODINGS: list[tuple[str, str, Any, pa.DataType | None]] = [
    ("numbers", "numbers", lambda v: v, pa.list_(f64)),
    ("numbers of a fixed size", "numbers", lambda v: v, pa.list_(f32, 4)),
    ("numbers as texts", "number texts", lambda v: [str(x) for x in v], pa.list_(text)),
    ("numbers as texts of a fixed size", "number texts", lambda v: [str(x) for x in v], pa.list_(pa.large_string(), 4)),
    ("numberDouble", "number texts", lambda v: [{"$numberDouble": str(x)} for x in v], pa.list_(struct(**{"$numberDouble": text}))),
    ("numberDecimal", "number texts", lambda v: [{"$numberDecimal": str(x)} for x in v], None),
    ("numbers and numberDouble", "number texts", lambda v: [v[0], *({"$numberDouble": str(x)} for x in v[1:])], None),
    ("DynamoDB", "number texts", lambda v: {"L": [{"N": str(x)} for x in v]}, struct(L=pa.list_(struct(N=text)))),
    ("DynamoDB's list alone", "number texts", lambda v: [{"N": str(x)} for x in v], pa.list_(struct(N=text))),
    ("elements in objects", "dense struct", lambda v: {"list": [{"item": x} for x in v]}, struct(list=pa.list_(struct(item=f64)))),
    ("JSON text", "array text", json.dumps, text),
    ("JSON text of texts", "array text", lambda v: json.dumps([str(x) for x in v]), text),
    ("PostgreSQL", "array text", lambda v: "{" + ",".join(map(str, v)) + "}", text),
    ("PostgreSQL with quotes", "array text", lambda v: "{" + ",".join(f'"{x}"' for x in v) + "}", text),
    ("NumPy", "array text", lambda v: str(np.array(v)), text),
    ("NumPy in lines", "array text", lambda v: f"[ {v[0]}  {v[1]}\n  {v[2]} {v[3]}]", pa.large_string()),
    ("NumPy in two dimensions", "array text", lambda v: str(np.array([v])), text),
    ("NumPy's own repr", "array text", lambda v: repr(np.array(v, np.float32)), text),
    ("repr of NumPy's numbers", "array text", lambda v: repr([np.float32(x) for x in v]), text),
    ("PyTorch", "array text", lambda v: f"tensor({v}, device='cuda:0')", text),
    ("a tuple", "array text", lambda v: str(tuple(v)), text),
    ("base64", "base64 text", lambda v: b64(raw(v)), text),
    ("URL base64", "base64 text", lambda v: url64(raw(v)), pa.string_view()),
    ("bytes", "bytes", raw, binary),
    ("bytes of a fixed size", "bytes", raw, pa.binary(16)),
    ("marked bytes", "bytes", lambda v: {"$bytes": b64(raw(v))}, None),
    ("bytes in a struct", "bytes", lambda v: {"values": raw(v)}, struct(values=binary)),
    ("DynamoDB's bytes", "bytes", lambda v: {"B": b64(raw(v))}, struct(B=text)),
    ("a Buffer", "buffer", lambda v: {"type": "Buffer", "data": list(raw(v))}, struct(type=text, data=pa.list_(pa.uint8()))),
    ("a Buffer of base64", "buffer", lambda v: {"type": "Buffer", "data": b64(raw(v))}, None),
    ("a typed array", "keyed numbers", lambda v: {str(i): x for i, x in enumerate(v)}, struct(**{str(i): f64 for i in range(4)})),
    ("a typed array in a map", "keyed numbers", lambda v: {str(i): x for i, x in reversed([*enumerate(v)])}, pa.map_(text, f64)),
    ("a map of integers", "keyed numbers", lambda v: dict(enumerate(v)), pa.map_(pa.int32(), f64)),
    ("a typed array by name", "typed array", lambda v: {"type": "Float32Array", "data": v}, struct(type=text, data=pa.list_(f64))),
    ("binary of subtype 09", "BSON vector", lambda v: {"$binary": {"base64": b64(b"\x27\0" + raw(v)), "subType": "09"}}, struct(**{"$binary": struct(base64=text, subType=text)})),
    ("binary of subtype 9", "BSON vector", lambda v: {"$binary": {"base64": b64(b"\x27\0" + raw(v)), "subType": "9"}}, None),
    ("binary as it was", "BSON vector", lambda v: {"$binary": b64(b"\x27\0" + raw(v)), "$type": "09"}, None),
    ("binary of subtype 00", "bytes", lambda v: {"$binary": {"base64": b64(raw(v)), "subType": "00"}}, None),
    ("values", "dense struct", lambda v: {"values": v}, struct(values=pa.list_(f64))),
    ("values of a fixed size", "dense struct", lambda v: {"values": v}, struct(values=pa.list_(f32, 4))),
    ("Spark", "dense struct", dense, SPARK),
    ("Spark as JSON", "dense struct", lambda v: {"type": 1, "values": v}, None),
    ("Spark as JSON text", "array text", lambda v: json.dumps(dense(v)), text),
    ("Milvus", "dense struct", lambda v: {"dim": 4, "data": {"FloatVector": {"data": v}}}, struct(dim=pa.int64(), data=struct(FloatVector=struct(data=pa.list_(f32))))),
    ("Milvus in lower case", "dense struct", lambda v: {"dim": "4", "floatVector": {"data": v}}, None),
    ("a list in a list", "list in a list", lambda v: [v], pa.list_(pa.list_(f64))),
    ("a fixed list in a fixed list", "list in a list", lambda v: [v], pa.list_(pa.list_(f32, 4), 1)),
    ("a list in a list in a list", "list in a list", lambda v: [[v]], pa.large_list(pa.list_(pa.list_(f32)))),
    ("texts in a list in a list", "list in a list", lambda v: [[str(x) for x in v]], pa.list_(pa.list_(text))),
]  # fmt: skip


def as_json(value: Any) -> Any:
    """What JSON can say of it: not bytes, and keys that are text."""
    if isinstance(value, bytes):
        return {"$bytes": b64(value)}
    if isinstance(value, dict):
        return {str(key): as_json(inner) for key, inner in value.items()}
    return value


def check_rows(rows: Rows, *, dtype: Any = None) -> None:
    assert rows.vector_lengths("v", dtype).tolist() == [4, 4, 4]
    mapped = rows.vectors("v", 4, dtype)
    assert mapped.faults == {}
    assert mapped.values.dtype == np.float32
    assert mapped.values.tobytes() == F32.tobytes()
    assert {fault.code for fault in rows.vectors("v", 3, dtype).faults.values()} == {"dimension"}


@pytest.mark.parametrize("write", [pytest.param(w, id=n) for n, _, w, _ in ENCODINGS])
def test_an_encoding_in_json(write: Any) -> None:
    values = [as_json(write(vector)) for vector in VECTORS]
    check_rows(of_json(values))
    for value, vector in zip(values, F32, strict=True):
        numbers = decode(value, None)
        assert not isinstance(numbers, Fault)
        assert np.asarray(numbers).astype(np.float32).tobytes() == vector.tobytes()


ARROW = [pytest.param(write, kind, id=name) for name, _, write, kind in ENCODINGS if kind is not None]


@pytest.mark.parametrize(("write", "kind"), ARROW)
def test_an_encoding_in_arrow(write: Any, kind: pa.DataType) -> None:
    values = [write(vector) for vector in VECTORS]
    check_rows(of_arrow([list(v.items()) if pa.types.is_map(kind) else v for v in values], kind))


@pytest.mark.parametrize(("write", "kind"), ARROW)
def test_an_encoding_in_a_slice_of_arrow_with_nulls(write: Any, kind: pa.DataType) -> None:
    values = [list(write(v).items()) if pa.types.is_map(kind) else write(v) for v in VECTORS]
    array = pa.array([values[0], None, *values, None, values[0]], kind).slice(1, 5)
    rows = ArrowRows(Span("a", 0, 5), pa.record_batch({"v": array}))
    assert rows.vector_lengths("v").tolist() == [-1, 4, 4, 4, -1]
    mapped = rows.vectors("v", 4)
    assert {position: fault.code for position, fault in mapped.faults.items()} == {0: "missing", 4: "missing"}
    assert mapped.values[1:4].tobytes() == F32.tobytes()


@pytest.mark.parametrize(("kind", "write"), [pytest.param(k, w, id=n) for n, k, w, _ in ENCODINGS])
def test_an_encoding_is_recognised(kind: str, write: Any) -> None:
    """As JSON has it, and as Arrow's values come to Python."""
    for values in ([as_json(write(v)) for v in VECTORS], [write(v) for v in VECTORS]):
        found = encoding_of([None, *orjson_keys(values), None])
        assert found is not None
        assert (found.kind, found.length, found.integers, found.problem) == (kind, 4, False, "")
        assert found.dtypes == (("float32",) if kind in ("bytes", "buffer", "base64 text") else ())


def orjson_keys(values: list[Any]) -> list[Any]:
    return [[*v.items()] if isinstance(v, dict) and any(type(key) is int for key in v) else v for v in values]


# --- whole numbers ---


@pytest.mark.parametrize(
    ("value", "integers"),
    [
        ([1, 2], True),
        ([1, 2.0], False),
        (["1", "-2"], True),
        (["1", "2.0"], False),
        ("[1, 2]", True),
        ("{1,2}", True),
        ("[1. 2.]", False),
        ([{"$numberInt": "1"}, {"$numberLong": "2"}], True),
        ({"0": 1, "1": 2}, True),
        ({"$binary": {"base64": b64(b"\x03\0\x01\x02"), "subType": "09"}}, True),
    ],
)
def test_whole_numbers_are_known(value: Any, integers: bool) -> None:
    found = encoding_of([value, value])
    assert found is not None
    assert (found.length, found.integers) == (2, integers)


# --- no vectors, and vectors that can't be loaded ---

NOT_VECTORS: list[list[Any]] = [
    [],
    [None],
    [[]],
    ["the boiler in unit 7 leaks", "a second opinion"],
    ["{braces} in a text", "[draft] the plan"],
    ["[1] a footnote", "(2) another"],
    ["test", "word", "four", "text"],
    ["550e8400-e29b-41d4-a716-446655440000", "650e8400-e29b-41d4-a716-446655440001"],
    ["d41d8cd98f00b204e9800998ecf8427e", "e41d8cd98f00b204e9800998ecf8427f"],
    ["D41D8CD98F00B204E9800998ECF8427E"],
    ["2024-01-01", "2024-01-02"],
    [1, 2.5, True],
    [True],
    [["red", "green"], ["blue"]],
    [["nan", "inf"]],
    [{"a": 1.5}, {"lang": "en"}],
    [{"a": "0.1", "0": 0.1}],
    ['{"title": "x"}'],
    [[{"a": 1}, {"a": 2}]],
    [[True, False]],
    ["..."],
    ["[...]"],
    ["[a, b, ...]"],
]


@pytest.mark.parametrize("values", NOT_VECTORS, ids=str)
def test_other_values_are_not_vectors(values: list[Any]) -> None:
    assert encoding_of(values) is None


SPARSE_VALUES: list[Any] = [
    SPARSE,
    {"indices": [1, 9], "values": [0.5, 0.25]},
    {"indices": [], "values": []},
    {"indices": [1], "values": [0.5], "score": 2},
    {"12": 0.5, "345": 0.2},
    {"1": 0.5, "2": 0.2},
    {"sparseFloatVector": {"contents": ["AAAA"]}, "dim": "9"},
    '{"12": 0.5, "345": 0.2}',
    "{1:0.5,3:0.2}/5",
    [(12, 0.5), (345, 0.2)],
]
SEVERAL = [[0.1, 0.2], [0.3, 0.4]]


@pytest.mark.parametrize("value", SPARSE_VALUES, ids=str)
def test_a_sparse_vector_is_named_so(value: Any) -> None:
    found = encoding_of([value, value, None])
    assert found is not None
    assert found.problem == "sparse"
    fault = decode(value, None)
    assert isinstance(fault, Fault)
    assert (fault.field, fault.code) == ("vector", "sparse")


@pytest.mark.parametrize(
    ("value", "problem", "code"),
    [
        (SEVERAL, "multi-vector", "multi-vector"),
        (json.dumps(SEVERAL), "multi-vector", "multi-vector"),
        (str(np.array(SEVERAL)), "multi-vector", "multi-vector"),
        ("[[0.1 0.2]\n ...\n [0.3 0.4]]", "multi-vector", "multi-vector"),
        ([[str(x) for x in v] for v in SEVERAL], "multi-vector", "multi-vector"),
        (str(np.arange(2000.0)), "truncated", "truncated"),
        (repr(np.arange(2000.0)), "truncated", "truncated"),
        ("[0.1, 0.2, 0.3", "truncated", "truncated"),
        ("{0.1,0.2,0.", "truncated", "truncated"),
        ("array([0.1, 0.2", "truncated", "truncated"),
        ("[[0.1, 0.2", "truncated", "truncated"),
        ({"$binary": {"base64": b64(b"\x10\x04\xff\xf0"), "subType": "09"}}, "packed bits", "bytes"),
    ],
    ids=str,
)  # fmt: skip
def test_a_problem_of_all_vectors_is_named(value: Any, problem: str, code: str) -> None:
    found = encoding_of([value, value])
    assert found is not None
    assert found.problem == problem
    fault = decode(value, None)
    assert isinstance(fault, Fault)
    assert (fault.field, fault.code) == ("vector", code)


@pytest.mark.parametrize("write", [of_json, lambda values: of_arrow(values, SPARK)])
def test_dense_rows_of_spark_load_beside_sparse_ones(write: Any) -> None:
    values = [dense(VECTORS[0]), SPARSE, None, dense(VECTORS[1]), dense([1.0])]
    rows = write(values)
    assert rows.vector_lengths("v").tolist() == [4, -1, -1, 4, 1]
    mapped = rows.vectors("v", 4)
    assert {i: f.code for i, f in mapped.faults.items()} == {1: "sparse", 2: "missing", 4: "dimension"}
    assert mapped.values[[0, 3]].tobytes() == F32[:2].tobytes()
    found = encoding_of(values)
    assert found is not None
    assert (found.kind, found.length, found.problem) == ("dense struct", 4, "")


def test_a_sparse_row_of_as_many_values_as_dimensions_is_still_sparse() -> None:
    values = [dense(VECTORS[0]), {"type": 0, "size": 9, "indices": [1, 2, 3, 8], "values": VECTORS[1]}]
    for rows in (of_json(values), of_arrow(values, SPARK)):
        assert {i: f.code for i, f in rows.vectors("v", 4).faults.items()} == {1: "sparse"}


def test_several_vectors_a_row_in_arrow_are_named() -> None:
    values = [[VECTORS[0]], VECTORS[:2], [], None, [None]]
    rows = of_arrow(values, pa.list_(pa.list_(f32)))
    assert {i: f.code for i, f in rows.vectors("v", 4).faults.items()} == {
        1: "multi-vector", 2: "empty", 3: "missing", 4: "dimension",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (["indices", "values"], True),
        (["type", "size", "indices", "values"], True),
        (["values"], False),
        (["indices"], False),
        (["values", "statistics"], False),
        ([], False),
    ],
)
def test_the_values_of_a_sparse_object_are_not_a_vector(fields: list[str], expected: bool) -> None:
    assert sparse_parent(fields) is expected


# --- faults ---

FAULTS: list[tuple[Any, str]] = [
    (None, "missing"),
    (True, "not-a-list"),
    (1.5, "not-a-list"),
    ({}, "not-a-list"),
    ({"a": 1}, "not-a-list"),
    ("", "not-a-list"),
    ("1, 2", "not-a-list"),
    ("a text", "not-a-list"),
    ("[1,,2]", "not-a-list"),
    ("[1 x]", "not-a-list"),
    ("[0x10, 2]", "not-a-list"),
    ("[1_0, 2]", "not-a-list"),
    ("array([1, 2]) and more)", "not-a-list"),
    ("{0.1,NULL}", "null-element"),
    ("[0.1, None]", "null-element"),
    ([1, None], "null-element"),
    (["1", None], "not-a-number"),
    (["1", "x"], "not-a-number"),
    (["1", ""], "not-a-number"),
    ([1.5, "2"], "not-a-number"),
    ([True, 2], "not-a-number"),
    ([[1.0], "a"], "not-a-number"),
    ([["a"], ["b"]], "not-a-number"),
    ([{"N": "1"}, {"S": "2"}], "not-a-number"),
    ([{"N": "1", "S": "2"}], "not-a-number"),
    ({"0": 0.1, "1": None}, "null-element"),
    ({"0": 0.1, "2": "x"}, "not-a-list"),
    ({"values": None}, "missing"),
    ({"type": 1, "values": "x"}, "not-a-list"),
    ({"$bytes": "AAAA!"}, "base64"),
    ({"$bytes": "AAAAA"}, "base64"),
    ({"$bytes": 5}, "base64"),
    ({"$bytes": "AAA="}, "bytes"),
    ({"$binary": {"base64": "AAA", "subType": "00"}}, "base64"),
    ({"$binary": {"base64": "Jw==", "subType": "09"}}, "bytes"),
    ({"$binary": {"base64": b64(b"\x27\0abc"), "subType": "09"}}, "bytes"),
    ({"$binary": {"base64": b64(b"\x27\x03" + bytes(4)), "subType": "09"}}, "bytes"),
    ({"$binary": {"base64": b64(b"\x55\0" + bytes(4)), "subType": "09"}}, "bytes"),
    ({"$binary": None}, "base64"),
    ({"type": "Buffer", "data": [1, 2, 300]}, "bytes"),
    ({"type": "Buffer", "data": [1, 2, -1, 4]}, "bytes"),
    ({"type": "Buffer", "data": [1, 2, 3]}, "bytes"),
    ({"type": "Point", "data": [1, 2, 3]}, "not-a-list"),
    ({"type": "Point", "coordinates": [1, 2]}, "not-a-list"),
    (b64(raw(VECTORS[0])).rstrip("="), "base64"),
    (b64(raw(VECTORS[0]))[:-3] + "h==", "base64"),
    (b64(raw(VECTORS[0])) + "\n", "base64"),
    ("AAAA+A-AAAAAAAAAAAAA", "base64"),
    (b64(bytes(7)), "bytes"),
    (b"abc", "bytes"),
    ("[" * 5000, "not-a-list"),
    ([[[[[[1.0]]]]]], "not-a-number"),
]


@pytest.mark.parametrize(("value", "code"), FAULTS, ids=lambda value: str(value)[:60])
def test_a_fault_has_its_code_and_spoils_no_neighbour(value: Any, code: str) -> None:
    found = decode(value, None)
    assert isinstance(found, Fault)
    assert (found.field, found.code) == ("vector", code)
    assert "\n" not in found.message
    good = VECTORS[0]
    rows = of_json([good, as_json(value), good])
    mapped = rows.vectors("v", 2 if code == "null-element" else 4)
    assert mapped.faults[1].code in (code, "dimension")
    assert rows.vector_lengths("v")[[0, 2]].tolist() == [4, 4]
    if code != "null-element":
        assert list(mapped.faults) == [1]
        assert mapped.values[[0, 2]].tobytes() == F32[[0, 0]].tobytes()


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"$numberDouble": "NaN"}, "nan"),
        ({"$numberDouble": "Infinity"}, "infinite"),
        ({"$numberDouble": "-Infinity"}, "infinite"),
        ({"$numberDecimal": "1e39"}, "infinite"),
        ({"N": "1" * 5000}, "infinite"),
    ],
)
def test_values_that_are_not_finite_are_found_after_reading(value: Any, code: str) -> None:
    mapped = of_json([[{"N": "1.5"}, value]]).vectors("v", 2)
    assert mapped.faults == {}
    assert check_values(mapped.values, allow_zero=False)[0].code == code


# --- bit for bit ---

float32s = st.floats(width=32, allow_nan=False, allow_infinity=False)
vectors = st.lists(float32s, min_size=1, max_size=12)


def shortest(number: float) -> str:
    return str(np.float32(number))


EXACT: dict[str, Any] = {
    "repr": lambda v: [repr(float(x)) for x in v],
    "shortest texts": lambda v: [shortest(x) for x in v],
    "numberDouble": lambda v: [{"$numberDouble": shortest(x)} for x in v],
    "DynamoDB": lambda v: {"L": [{"N": shortest(x)} for x in v]},
    "JSON text": lambda v: json.dumps([float(x) for x in v]),
    "PostgreSQL": lambda v: "{" + ",".join(map(shortest, v)) + "}",
    "NumPy": lambda v: np.array2string(np.array(v, np.float32), floatmode="unique", threshold=10**6),
    "base64": lambda v: b64(raw(v)),
    "URL base64": lambda v: url64(raw(v)),
    "bytes": raw,
    "marked bytes": lambda v: {"$bytes": b64(raw(v))},
    "a Buffer": lambda v: {"type": "Buffer", "data": list(raw(v))},
    "keyed": lambda v: {str(i): float(x) for i, x in enumerate(v)},
    "BSON": lambda v: {"$binary": {"base64": b64(b"\x27\0" + raw(v)), "subType": "09"}},
    "values": lambda v: {"values": [float(x) for x in v]},
    "Spark": lambda v: dense([float(x) for x in v]),
    "Milvus": lambda v: {"dim": len(v), "data": {"FloatVector": {"data": [float(x) for x in v]}}},
    "nested": lambda v: [[float(x) for x in v]],
}


@pytest.mark.parametrize("encode", EXACT.values(), ids=EXACT)
@given(vector=vectors)
def test_float32_come_back_bit_for_bit(encode: Any, vector: list[float]) -> None:
    expected = np.array([vector], np.float32).tobytes()
    value = encode(vector)
    mapped = of_json([as_json(value)]).vectors("v", len(vector))
    assert mapped.faults == {}
    assert mapped.values.tobytes() == expected
    numbers = decode(value, "float32")
    assert not isinstance(numbers, Fault)
    assert np.asarray(numbers).astype(np.float32).tobytes() == expected


@given(vector=vectors)
def test_saved_arrays_come_back_bit_for_bit(vector: list[float]) -> None:
    rows = of_arrow([saved(vector)], binary)
    assert rows.vector_lengths("v", "npy").tolist() == [len(vector)]
    assert rows.vectors("v", len(vector), "npy").values.tobytes() == np.array(vector, "<f4").tobytes()


@given(low=st.integers(0x00000001, 0x7F7FFFFE), digits=st.sampled_from(["", "0000001", "1"]))
def test_a_text_just_beside_the_middle_of_two_float32_is_rounded_once(low: int, digits: str) -> None:
    below, above = np.array([low, low + 1], np.uint32).view(np.float32)
    middle = (Fraction(float(below)) + Fraction(float(above))) / 2
    # Exact: the denominator is a power of two.
    scale = len(str(middle.denominator)) * 4 + 10
    places = str(middle.numerator * 10**scale // middle.denominator)
    written = f"{places}{digits}e-{scale + len(digits)}"
    (found,) = numbers_of_texts([written]) or [None]
    even = below if low % 2 == 0 else above
    assert found == (above if digits else even)
    under = f"{int(places) - 1}e-{scale}"
    assert (numbers_of_texts([under]) or [None])[0] == below


@pytest.mark.parametrize("text_of_it", ["9007199791611905", "9007199791611905.0"])
def test_whole_numbers_beyond_float64_are_rounded_once(text_of_it: str) -> None:
    """2^53 + 2^29 + 1: float64 rounds it to the middle of two float32, which goes to the even one below."""
    for value in ([text_of_it, "1"], "{" + text_of_it + ",1}", [{"N": text_of_it}, {"N": "1"}]):
        assert of_json([value]).vectors("v", 2).values[0, 0] == np.float32(2**53 + 2**30)


@pytest.mark.parametrize("kind", [int, str])
def test_a_whole_number_next_to_fractions_of_other_rows_is_rounded_once(kind: Any) -> None:
    whole = kind(2**53 + 2**29 + 1)
    assert of_json([[whole, kind(1)], [0.5, 0.25]]).vectors("v", 2).values[0, 0] == np.float32(2**53 + 2**30)


# --- people's files ---


def read_case(name: str) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (CASES[name]).read_bytes().splitlines()]


@pytest.mark.parametrize(
    ("name", "field", "kind"),
    [
        ("nodebuffer.jsonl", "embedding", "buffer"),
        ("b64_vector.jsonl", "embedding", "base64 text"),
        ("float32array.jsonl", "embedding", "keyed numbers"),
        ("pg_float8arr.jsonl", "embedding", "array text"),
        ("numpy_repr.jsonl", "embedding", "array text"),
        ("numstr_vec.jsonl", "embedding", "number texts"),
        ("nested_vec1.jsonl", "embedding", "list in a list"),
        ("bigquery_export.jsonl", "ml_generate_embedding_result", "number texts"),
        ("mongo_canonical.json", "embedding", "number texts"),
        ("mongo_binvec_geo.json", "embedding", "BSON vector"),
        ("dynamodb.jsonl", "embedding", "number texts"),
    ],
)
def test_json_of_people(name: str, field: str, kind: str) -> None:
    values = [row.get("Item", row)[field] for row in read_case(name)]
    found = encoding_of(values)
    assert found is not None
    assert (found.kind, found.length, found.problem) == (kind, 4, "")
    mapped = of_json(values).vectors("v", 4, found.dtypes[0] if found.dtypes else None)
    assert mapped.faults == {}
    assert mapped.values.tobytes() == F32.tobytes()


PARQUET: list[tuple[str, str, Encoding]] = [
    ("f16bytes", "embedding", Encoding("bytes", 64, False, ("float16",))),
    ("f16unit", "embedding", Encoding("bytes", 64, False, ("float16",))),
    ("bf16", "embedding", Encoding("bytes", 64, False, ("bfloat16",))),
    ("npyblob", "embedding", Encoding("bytes", 64, False, ("npy",))),
    ("udt_sparse_embedding", "embedding", Encoding("dense struct", 0, False, (), "sparse")),
    ("udt_sparse_features", "features", Encoding("dense struct", 0, False, (), "sparse")),
    ("colbert", "embeddings", Encoding("list in a list", 0, False, (), "multi-vector")),
    ("hf2d", "emb", Encoding("list in a list", 40, False)),
    ("nested1", "embedding", Encoding("list in a list", 40, False)),
    ("txt_b64", "embedding", Encoding("base64 text", 40, False, ("float32",))),
    ("txt_pgarr", "embedding", Encoding("array text", 40, False)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "column", "expected"), PARQUET, ids=lambda value: str(value)[:40])
def test_parquet_of_people(name: str, column: str, expected: Encoding) -> None:
    table = pq.read_table(CASES[f"{name}.parquet"]).combine_chunks()
    assert encoding_of(table[column].to_pylist()) == expected
    rows = ArrowRows(Span("a", 0, len(table)), table.to_batches()[0])
    mapped = rows.vectors(column, expected.length or 4, expected.dtypes[0] if expected.dtypes else None)
    if expected.problem:
        assert {fault.code for fault in mapped.faults.values()} == {expected.problem}
        assert len(mapped.faults) == len(table)
    else:
        assert mapped.faults == {}
        assert check_values(mapped.values, allow_zero=False) == {}
        assert 0.3 < float(np.abs(mapped.values).max()) < 10
