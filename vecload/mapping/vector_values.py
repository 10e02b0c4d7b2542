"""Reads the numbers of one vector in any encoding: lists, texts, base64, bytes, objects."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal, TypeAlias

import numpy as np
import orjson
import pybase64
from numpy.typing import NDArray

from vecload.batch import Vectors
from vecload.mapping.columns import BYTES_MARK
from vecload.mapping.rows import SPARSE_FAULT, Fault, fault_of_several
from vecload.mapping.tensors import dense_of, is_tensor
from vecload.mapping.vector_bytes import numbers_in
from vecload.options import VectorDtype

_CLOSING = {"[": "]", "{": "}", "(": ")"}
_CALL = re.compile(r"(?:[A-Za-z_]\w*\.)*(?:array|Array|tensor|vector|Vector|DenseVector)\(\s*(?=[\[(])")
"""How Python prints arrays of NumPy, PyTorch and others: `array([0.1, 0.2], dtype=float32)`."""
_KEYWORDS = re.compile(r"\s*(?:,\s*\w+\s*=[^\[\](){}]*)*,?\s*\)")
_SCALAR = re.compile(r"(?:np\.|numpy\.)?(?:float|bfloat|int|uint)\d*\(([^()]*)\)")
"""How Python prints a list of NumPy's numbers: `[np.float32(0.1), np.float32(0.2)]`."""
_SPARSE = re.compile(r"\{[\s\d]*:[^{}]*\}\s*/\s*\d+")
"""pgvector's `sparsevec`: `{1:0.5,3:0.2}/5`."""
_BASE64 = re.compile(r"[A-Za-z0-9+/\-_]{16,}={0,2}")
_NULLS = frozenset({"null", "none"})


def base64_bytes(text: Any) -> bytes | None:
    """The bytes of base64 text in the standard or the URL alphabet; None if it is not base64.

    Strict: the padding is complete, and unused bits are zero.
    """
    if not isinstance(text, str) or len(text) % 4 or not text.isascii():
        return None
    url = "-" in text or "_" in text
    if url and ("+" in text or "/" in text):
        return None
    try:
        data = pybase64.b64decode(text, altchars=b"-_" if url else None, validate=True)
    except ValueError:
        return None
    end = text[-4:].replace("-", "+").replace("_", "/")
    if end.endswith("=") and pybase64.b64encode_as_string(data[-(len(data) % 3) :]) != end:
        return None
    return data


def resembles_base64(text: str) -> bool:
    """Whether text that is not strict base64 was probably meant to be."""
    return _BASE64.fullmatch("".join(text.split())) is not None


def numbers_of_texts(texts: Sequence[str]) -> list[int] | Vectors | None:
    """Numbers written as texts, each rounded once to float32; None if some are not numbers.

    If all are whole numbers, they stay integers.
    """
    joined = "".join(texts)
    if not joined.isascii() or "_" in joined or not any(map(str.isdigit, joined)):
        return None
    if "." not in joined and "e" not in joined and "E" not in joined:
        try:
            return list(map(int, texts))
        except ValueError:
            pass
    try:
        doubles = np.array(list(map(float, texts)), dtype=np.float64)
    except ValueError:
        return None
    with np.errstate(over="ignore"):
        singles = doubles.astype(np.float32)
    # Through float64 a text is rounded twice. That matters if the float64 is halfway between two float32.
    with np.errstate(over="ignore", invalid="ignore"):
        near = singles.astype(np.float64)
        other = np.nextafter(singles, np.where(doubles > near, np.inf, -np.inf).astype(np.float32))
        halfway = (doubles != near) & (np.abs(other.astype(np.float64) - doubles) == np.abs(near - doubles))
    for place in np.flatnonzero(halfway & np.isfinite(singles) & np.isfinite(other)).tolist():
        exact, double = Fraction(texts[place].strip()), Fraction(float(doubles[place]))
        if exact != double:
            both = sorted((singles[place], other[place]))
            singles[place] = both[1] if exact > double else both[0]
    return singles


def array_in(text: str) -> Any:
    """The array in a text that looks like one.

    Returns:
        A JSON list or object; for other notations a list of integers or nulls, a float32 array, or a list
        with one of these; a fault for an array that is cut off or sparse and for several arrays; None if it
        is not an array.
    """
    text = text.strip()
    if text[:1] in ("[", "{"):
        try:
            return orjson.loads(text)
        except ValueError:
            pass
    call = _CALL.match(text)
    if call is not None:
        begin, end = call.end(), max(text.rfind("]"), text.rfind(")", 0, -1))
        if _shortened(text):
            return _cut("is shortened with '...', as NumPy prints long arrays")
        if end < begin or _KEYWORDS.fullmatch(text, end + 1) is None:
            return _cut("is an array that is cut off") if text[-1:] != ")" else None
        text = text[begin : end + 1]
    if _SPARSE.fullmatch(text) is not None:
        return SPARSE_FAULT
    return _bracketed(text)


def _bracketed(text: str) -> Any:
    """The array in `[1, 2]`, `{1,2}`, `(1, 2)` or `[ 1.  2. ]`; None if it is not one."""
    opening, inner = text[:1], text[1:-1].strip()
    if opening not in _CLOSING:
        return None
    if text[1:].lstrip()[:1] in _CLOSING:
        return _nested(text, inner)
    if not text.endswith(_CLOSING[opening]) or len(text) == 1:
        first = re.split(r"[\s,]+", text[1:].strip(), maxsplit=1)[0]
        return _cut("is an array that is cut off") if _is_number(first) else None
    if not inner:
        return []
    if "(" in inner:
        inner = _SCALAR.sub(r"\1", inner)
    parts = inner.split(",") if "," in inner else inner.split()
    if len(parts) > 1 and not parts[-1].strip():
        parts.pop()
    parts = [part.strip().strip("\"'") for part in parts]
    if _shortened(inner):
        return _cut("is shortened with '...', as NumPy prints long arrays") if _is_number(parts[0]) else None
    if any(part.lower() in _NULLS for part in parts):
        given = [part for part in parts if part.lower() not in _NULLS]
        return [None] * len(parts) if not given or numbers_of_texts(given) is not None else None
    return numbers_of_texts(parts)


def _nested(text: str, inner: str) -> Any:
    """An array within an array: a list of one, or a fault for several."""
    opening = inner[:1]
    closing = _CLOSING.get(opening, "")
    first = inner.find(closing) + 1
    if not first or text[-1:] != _CLOSING[text[:1]]:
        start = re.split(r"[\s,]+", text.lstrip("[{( \n"), maxsplit=1)[0]
        return _cut("is an array that is cut off") if _is_number(start) else None
    found = _bracketed(inner[:first])
    if found is None or isinstance(found, Fault):
        return found
    return [found] if not inner[first:].strip(" ,\n") else fault_of_several(inner.count(opening))


def _cut(message: str) -> Fault:
    return Fault("vector", "truncated", message)


def _shortened(text: str) -> bool:
    return "..." in text or "…" in text


def _is_number(text: str) -> bool:
    try:
        float(text.strip("\"'"))
    except ValueError:
        return False
    return True


def to_float32(number: float) -> np.float32:
    """The nearest float32, in one step: through float64 an integer beyond 2^53 would be rounded twice."""
    try:
        return np.float32(np.asarray(number).astype(np.float32))
    except OverflowError:
        return np.float32("inf")


def float32_of(numbers: list[Any] | NDArray[Any]) -> Vectors:
    """Numbers as float32, each rounded once."""
    with np.errstate(over="ignore"):
        if isinstance(numbers, np.ndarray) or set(map(type, numbers)) == {float}:
            return np.asarray(numbers).astype(np.float32)
        return np.array([to_float32(number) for number in numbers], dtype=np.float32)


EncodingKind: TypeAlias = Literal[
    "numbers",
    "number texts",
    "array text",
    "base64 text",
    "bytes",
    "buffer",
    "keyed numbers",
    "typed array",
    "BSON vector",
    "dense struct",
    "hex text",
    "list in a list",
]
"""How a vector is written: names for people."""

Numbers: TypeAlias = list[Any] | NDArray[Any]

_NUMBER_MARKS = frozenset({"$numberDouble", "$numberInt", "$numberLong", "$numberDecimal", "N"})
"""Keys of objects that hold one number as text: MongoDB's extended JSON, and DynamoDB."""
_ELEMENT_MARKS = frozenset({"item", "element", "v"})
"""Keys of objects that hold one element of a list: BigQuery, and old writers of Parquet."""
_BSON_DTYPES: dict[int, VectorDtype] = {0x27: "float32", 0x03: "int8"}
_BSON_PACKED_BITS = 0x10
_DENSE_FIELDS = frozenset({"values", "type", "size", "indices", "dim"})
_MILVUS_DENSE = ("FloatVector", "floatVector", "float_vector")
_MILVUS_SPARSE = ("SparseFloatVector", "sparseFloatVector", "sparse_float_vector")
_NESTED_MAX = 4
"""How deep encodings may be nested, such as a list in a list in an object in text."""

PACKED_BITS_FAULT = Fault("vector", "bytes", "is a BSON vector of packed bits, which the index can't store")

Found: TypeAlias = tuple[EncodingKind, Numbers | bytes] | Fault


def vector_in(value: Any, dtype: VectorDtype | None) -> Numbers | Fault:
    """The numbers of a vector in any encoding.

    Args:
        value: A Python or JSON value.
        dtype: The number type of bytes that do not name it; None is float32.

    Returns:
        An array of one dimension, or a list, whose elements may be of any type (`fault_of_elements`); or a
        fault.
    """
    found = parse_vector(value)
    if isinstance(found, Fault):
        return found
    numbers = found[1]
    return numbers_in(numbers, dtype or "float32") if isinstance(numbers, bytes) else numbers


def fault_of_elements(numbers: list[Any]) -> Fault | None:
    """The fault of a list whose elements are not all numbers."""
    if set(map(type, numbers)) <= {float, int}:
        return None
    for place, number in enumerate(numbers):
        if number is None:
            return Fault("vector", "null-element", "contains a null")
        if type(number) not in (float, int):
            return Fault("vector", "not-a-number", f"has {type_in_words(number)} at position {place}")
    return None


def parse_vector(value: Any, room: int = _NESTED_MAX) -> Found:
    """The encoding of one value, and its numbers or its bytes; or a fault."""
    if value is None:
        return Fault("vector", "missing", "is missing")
    if isinstance(value, list | tuple):
        return _parse_list(list(value), room)
    if isinstance(value, bytes):
        return "bytes", value
    if isinstance(value, np.ndarray):
        return "numbers", value
    if isinstance(value, str):
        return _parse_text(value, room)
    if isinstance(value, dict):
        return _parse_object(value, room)
    return _not_a_list(value)


def _parse_list(values: list[Any], room: int) -> Found:
    kinds = set(map(type, values))
    if kinds <= {float, int} or not room:
        return "numbers", values
    if kinds == {str}:
        numbers = numbers_of_texts(values)
        if numbers is None:
            return Fault("vector", "not-a-number", "has text at position 0")
        return "number texts", numbers
    if kinds == {dict} or kinds == {dict, float} or kinds == {dict, int} or kinds == {dict, float, int}:
        return _marked_numbers(values, room)
    if kinds <= {list, np.ndarray}:
        if len(values) == 1:
            return _as("list in a list", values[0], room)
        if all(_is_vector(inner, room) for inner in values):
            return fault_of_several(len(values))
        return Fault("vector", "not-a-number", "has a list at position 0")
    if kinds == {tuple} and all(len(pair) == 2 for pair in values):
        # An Arrow map.
        return _parse_object({str(key): value for key, value in values}, room)
    return "numbers", values


def _is_vector(value: list[Any] | NDArray[Any], room: int) -> bool:
    if isinstance(value, np.ndarray):
        return True
    found = _parse_list(value, room - 1)
    return not isinstance(found, Fault) and isinstance(found[1], list | np.ndarray) and _are_numbers(found[1])


def _are_numbers(numbers: Numbers) -> bool:
    return isinstance(numbers, np.ndarray) or fault_of_elements(numbers) is None


def _marked_numbers(values: list[Any], room: int) -> Found:
    """Numbers that are each in an object: `{"$numberDouble": "0.1"}`, `{"N": "0.1"}`, `{"item": 0.1}`."""
    bare: list[Any] = []
    for place, value in enumerate(values):
        if isinstance(value, dict):
            mark, inner = next(iter(value.items())) if len(value) == 1 else ("", None)
            if mark not in _NUMBER_MARKS and mark not in _ELEMENT_MARKS:
                return Fault("vector", "not-a-number", f"has an object at position {place}")
            value = inner
        bare.append(value)
    if any(isinstance(value, str) for value in bare):
        bare = [repr(value) if type(value) in (float, int) else value for value in bare]
    found = _parse_list(bare, room - 1)
    return found if isinstance(found, Fault) else ("number texts", found[1])


def _parse_text(text: str, room: int) -> Found:
    found = array_in(text)
    if isinstance(found, Fault):
        return found
    if isinstance(found, np.ndarray):
        return "array text", found
    if isinstance(found, dict) and not found:
        found = []  # PostgreSQL's empty array
    if isinstance(found, list | dict) and room:
        return _as("array text", found, room)
    data = base64_bytes(text)
    if data:
        return "base64 text", data
    if resembles_base64(text):
        return Fault("vector", "base64", "is not strict base64: characters or padding are wrong")
    return Fault("vector", "not-a-list", "is text that is not a vector")


def _parse_object(value: Mapping[str, Any], room: int) -> Found:
    keys = value.keys()
    if not room:
        return _not_a_list(value)
    if keys == {BYTES_MARK}:
        return _of_base64("bytes", value[BYTES_MARK])
    if keys == {"B"}:
        return _of_base64("bytes", value["B"])
    if "$binary" in keys:
        return _bson(value)
    if keys == {"L"}:
        return _as("number texts", value["L"], room)
    if keys == {"list"}:
        return _as("dense struct", value["list"], room)
    if keys == {"type", "data"}:
        return _typed(value["type"], value["data"], room)
    if is_tensor(value):
        dense = dense_of(value)
        if isinstance(dense, Fault):
            return dense
        return ("hex text", dense) if isinstance(dense, np.ndarray) else _as("dense struct", dense, room)
    if "values" in keys:
        if value.get("indices") is not None or (keys >= {"type", "size"} and value["type"] == 0):
            return SPARSE_FAULT
        if keys <= _DENSE_FIELDS:
            return SPARSE_FAULT if value.get("type") == 0 else _as("dense struct", value["values"], room)
    elif keys and all(key.isascii() and key.isdigit() for key in keys):
        return _keyed(value, room)
    return _milvus(value, room) or _not_a_list(value)


def _keyed(value: Mapping[str, Any], room: int) -> Found:
    """`{"0": 0.1, "1": 0.2}`: a typed array as JavaScript writes it; with gaps, a sparse vector."""
    numbers = [value.get(str(place)) for place in range(len(value))]
    if any(str(place) not in value for place in range(len(value))):
        is_sparse = all(type(number) in (float, int) for number in value.values())
        return SPARSE_FAULT if is_sparse else _not_a_list(value)
    return _as("keyed numbers", numbers, room)


def _typed(name: Any, data: Any, room: int) -> Found:
    """A Buffer of Node.js, or a typed array with its name."""
    if name == "Buffer":
        if isinstance(data, list):
            try:
                return "buffer", bytes(data)
            except (TypeError, ValueError):
                return Fault("vector", "bytes", "is a Buffer with values that are not bytes")
        return _of_base64("buffer", data)
    if isinstance(name, str) and name.endswith("Array"):
        return _as("typed array", data, room)
    return _not_a_list({})


def _milvus(value: Mapping[str, Any], room: int) -> Found | None:
    """Vectors of Milvus' protocol as JSON: `{"dim": 2, "data": {"FloatVector": {"data": [0.1, 0.2]}}}`."""
    inner = {key: entry for key, entry in value.items() if key != "dim"}
    if len(inner) != 1:
        return None
    ((key, entry),) = inner.items()
    if key in _MILVUS_SPARSE:
        return SPARSE_FAULT
    if key in _MILVUS_DENSE or (key in ("Data", "data") and ("dim" in value or isinstance(entry, list))):
        return _as("dense struct", entry, room)
    return None


def _bson(value: Mapping[str, Any]) -> Found:
    """Bytes in MongoDB's extended JSON. Those of subtype 9 are vectors that name their number type."""
    inner = value["$binary"]
    if isinstance(inner, dict):
        text, subtype = inner.get("base64"), inner.get("subType")
    else:
        text, subtype = inner, value.get("$type")
    data = base64_bytes(text)
    if data is None:
        return _of_base64("bytes", text)
    if str(subtype).lstrip("0") != "9":
        return "bytes", data
    if len(data) < 2:
        return Fault("vector", "bytes", "is a BSON vector without its two header bytes")
    if data[0] == _BSON_PACKED_BITS:
        return PACKED_BITS_FAULT
    dtype = _BSON_DTYPES.get(data[0])
    if dtype is None or data[1]:
        return Fault("vector", "bytes", f"is a BSON vector of unknown type 0x{data[0]:02x}{data[1]:02x}")
    numbers = numbers_in(data[2:], dtype)
    return numbers if isinstance(numbers, Fault) else ("BSON vector", numbers)


def _as(kind: EncodingKind, inner: Any, room: int) -> Found:
    """An encoding inside another. The outer one names it, unless the inner one is bytes."""
    found = parse_vector(inner, room - 1)
    if isinstance(found, Fault) or isinstance(found[1], bytes):
        return found
    return kind, found[1]


def _of_base64(kind: EncodingKind, text: Any) -> Found:
    data = base64_bytes(text)
    if data is None:
        return Fault("vector", "base64", "has bytes that are not strict base64")
    return kind, data


def _not_a_list(value: Any) -> Fault:
    return Fault("vector", "not-a-list", f"is not a list of numbers but {type_in_words(value)}")


def type_in_words(value: Any) -> str:
    """The type of a value, for a message."""
    for kind, name in (
        (bool, "a boolean"),
        (int, "an integer"),
        (float, "a number"),
        (str, "text"),
        (bytes, "bytes"),
        (list, "a list"),
        (dict, "an object"),
    ):
        if isinstance(value, kind):
            return name
    return "null" if value is None else type(value).__name__
