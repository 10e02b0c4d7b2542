"""Vectors written as text: arrays of JSON, PostgreSQL, Python and NumPy; base64; numbers as text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import orjson
import pybase64
from numpy.typing import NDArray

from vecload.batch import Vectors
from vecload.mapping.rows import Fault

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

SPARSE = Fault("vector", "sparse", "is sparse, which the index can't hold")


def base64_bytes(text: Any) -> bytes | None:
    """The bytes of base64 text in the standard or the URL alphabet; None if it isn't such text.

    Strict: the padding is there, and no bit is set that stands for nothing.
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


def looks_like_base64(text: str) -> bool:
    """Whether text that isn't strict base64 was probably meant to be."""
    return _BASE64.fullmatch("".join(text.split())) is not None


def numbers_of_texts(texts: Sequence[str]) -> list[int] | Vectors | None:
    """Numbers that are written as texts, each rounded once to float32; None if some are not numbers.

    Whole numbers stay integers, if all of them are written so.
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
    # By way of float64 a text is rounded twice. That matters where float64 lies halfway between two float32.
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
    """What text holds that looks like an array.

    Returns:
        A JSON list or object; for other notations a list of integers or nulls, a float32 array, or a list of
        one of these; a fault, if the array is cut off or several or sparse; None if it isn't an array.
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
        return SPARSE
    return _bracketed(text)


def _bracketed(text: str) -> Any:
    """The array in `[1, 2]`, `{1,2}`, `(1, 2)` or `[ 1.  2. ]`; None if it isn't one."""
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
    return [found] if not inner[first:].strip(" ,\n") else several(inner.count(opening))


def several(count: int) -> Fault:
    """The fault of a row with several vectors."""
    return Fault("vector", "multi-vector", f"holds {count} vectors; the index holds one for each item")


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
    """The nearest float32, in one step: by way of float64 an integer beyond 2^53 would be rounded twice."""
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
