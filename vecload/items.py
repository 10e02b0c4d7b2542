"""Items from Python callers: check them and turn them into a Batch before anything is sent."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vecload.batch import Batch, Contents, Metadata, Span, Vectors
from vecload.errors import ItemTypeError, ItemValueError
from vecload.limits import METADATA_DEPTH
from vecload.mapping.json_rows import fault_of_contents
from vecload.mapping.rows import MISSING_TYPES, check_values, fault_of_id, is_missing

SOURCE = "items"
"""The name of the source in messages about items from Python."""

_ITEM_FIELDS = frozenset({"id", "vector", "metadata", "contents"})
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def batch_of_dicts(items: Any, *, dimension: int, embed: bool, allow_zero: bool) -> Batch:
    """A batch from a list of dicts with `id`, `vector`, and optionally `metadata` and `contents`.

    Args:
        items: As the caller passed them.
        dimension: The index's dimension; 0 if no upsert has set it.
        embed: The index makes the vectors of items that have none from their contents.
        allow_zero: Accept vectors of zeros.

    Raises:
        ItemTypeError: It is not a list of dicts, or a part has the wrong type.
        ItemValueError: An id or a vector is missing, a field is unknown, or a value can't be stored.
    """
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ItemTypeError(
            f"upsert takes a list of dicts, or ids and vectors, but got {kind_of(items)}",
            hint='write [{"id": "doc1", "vector": [0.1, 0.2]}]',
        )
    for position, item in enumerate(items):
        unknown = item.keys() - _ITEM_FIELDS
        if unknown:
            raise ItemValueError(
                f"item {position} has a field {min(map(str, unknown))!r}; "
                "the fields of an item are id, vector, metadata and contents"
            )
        if "id" not in item:
            raise ItemValueError(f"item {position} has no id")
    lacking = [position for position, item in enumerate(items) if is_missing(item.get("vector"))]
    for position in lacking:
        _check_embeddable(items[position], position, embed=embed)
    vectors: Any = None
    if len(lacking) < len(items) or not items:
        vectors = _padded(items)
    batch = batch_of_columns(
        [item["id"] for item in items],
        vectors,
        [item.get("metadata") for item in items],
        [item.get("contents") for item in items],
        dimension=dimension,
        allow_zero=allow_zero,
    )
    if not lacking or vectors is None:
        return batch
    to_embed = np.zeros(len(items), dtype=np.bool_)
    to_embed[lacking] = True
    return replace(batch, to_embed=to_embed)


def _padded(items: list[dict[str, Any]]) -> list[Any]:
    """The vectors of items; ones for those that have none."""
    given = {
        i: _one_vector(item["vector"], i)
        for i, item in enumerate(items)
        if not is_missing(item.get("vector"))
    }
    lengths = {len(vector) for vector in given.values()}
    if len(lengths) > 1:
        raise ItemValueError(f"the vectors have {len(lengths)} different dimensions: {sorted(lengths)}")
    none = [1.0] * max(lengths, default=0)
    return [given.get(position, none) for position in range(len(items))]


def _check_embeddable(item: dict[str, Any], position: int, *, embed: bool) -> None:
    """Refuse an item without a vector, unless the index can make it."""
    if not embed:
        raise ItemValueError(
            f"item {position} has no vector",
            hint="if the index has an embedding model, open it with embed=True, and it makes the vector",
        )
    if is_missing(item.get("contents")) or not item["contents"]:
        raise ItemValueError(f"item {position} has neither a vector, nor contents to make it from")
    if isinstance(item["contents"], bytes | bytearray | memoryview):
        raise ItemTypeError(
            f"item {position} has no vector, and the index can't make it from bytes, only from text"
        )


def batch_of_columns(
    ids: Any, vectors: Any, metadata: Any, contents: Any, *, dimension: int, allow_zero: bool
) -> Batch:
    """A batch from columns of equal length.

    Args:
        ids: n texts, as a list, a tuple, or a column of NumPy, pandas, pyarrow or polars.
        vectors: Numbers of any float or integer type, shape (n, dim); None if the index makes all of them.
        metadata: n dicts or None each, or None.
        contents: n texts, bytes, byte arrays or None each, or None. Pandas' missing values are None.
        dimension: The index's dimension; 0 if no upsert has set it.
        allow_zero: Accept vectors of zeros.

    Raises:
        ItemTypeError: A column or a value has the wrong type.
        ItemValueError: Lengths differ, or a value can't be stored.
    """
    ids = _column(ids, "ids")
    n = len(ids)
    for position, item_id in enumerate(ids):
        if not isinstance(item_id, str):
            raise ItemTypeError(f"id {position} is {kind_of(item_id)}, not text")
        fault = fault_of_id(item_id)
        if fault is not None:
            raise ItemValueError(f"id {position} {fault.message}")
    ids = [str(item_id) for item_id in ids]  # NumPy's texts become plain ones
    array = None if vectors is None else _vectors(vectors, n, dimension, allow_zero=allow_zero)
    return Batch(
        ids=ids,
        vectors=array,
        metadata=_metadata_column(metadata, n),
        contents=_contents_column(contents, n),
        span=Span(SOURCE, 0, n),
    )


def _vectors(vectors: Any, n: int, dimension: int, *, allow_zero: bool) -> Vectors:
    try:
        array = np.asarray(vectors)
    except ValueError:
        raise ItemValueError("the vectors have different dimensions") from None
    if array.dtype.kind not in "fiu":
        raise ItemTypeError(f"the vectors hold {array.dtype}, not numbers")
    if array.ndim != 2 and (n or array.size):
        raise ItemValueError(f"the vectors' array is {array.ndim}-D, not 2-D of shape ({n}, dimension)")
    if len(array) != n:
        raise ItemValueError(f"there are {n} ids and {len(array)} vectors")
    if not n:
        return np.empty((0, dimension), dtype=np.float32)
    if array.shape[1] == 0 or (dimension and array.shape[1] != dimension):
        raise ItemValueError(
            f"the vectors have {array.shape[1]} dimensions; the index has {dimension or 'at least 1'}"
        )
    if isinstance(vectors, list | tuple):
        # NumPy silently turns a boolean among numbers into 0 or 1.
        for position in np.flatnonzero(((array == 0) | (array == 1)).any(axis=1)).tolist():
            if any(isinstance(value, bool | np.bool_) for value in vectors[position]):
                raise ItemTypeError(f"vector {position} holds a boolean, not numbers alone")
    with np.errstate(over="ignore"):
        single = np.ascontiguousarray(array, dtype=np.float32)
    for position, fault in check_values(single, allow_zero=allow_zero).items():
        what = fault.message
        if fault.code == "infinite" and np.isfinite(array[position].astype(np.float64)).all():
            what = "holds a value beyond float32"
        raise ItemValueError(f"vector {position} {what}")
    return single


def _one_vector(vector: Any, position: int) -> Any:
    if isinstance(vector, np.ndarray):
        if vector.ndim != 1:
            raise ItemValueError(f"the vector of item {position} is {vector.ndim}-D, not 1-D")
        return vector
    if not isinstance(vector, list | tuple):
        raise ItemTypeError(f"the vector of item {position} is {kind_of(vector)}, not a list of numbers")
    for value in vector:
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise ItemTypeError(f"the vector of item {position} holds {kind_of(value)}")
    return [_as_float(value) for value in vector]


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _metadata_column(metadata: Any, n: int) -> list[Metadata | None] | None:
    if metadata is None:
        return None
    column: list[Metadata | None] = []
    for position, value in enumerate(_column(metadata, "metadata", n)):
        if is_missing(value):
            column.append(None)
            continue
        if not isinstance(value, dict):
            raise ItemTypeError(f"metadata {position} is {kind_of(value)}, not a dict")
        column.append(_json_value(value, f"metadata {position}", 0) or None)
    return column if any(column) else None


def _json_value(value: Any, where: str, depth: int) -> Any:
    """The value in JSON's types. Dates become epoch milliseconds, as in the engine's own client.

    Pandas' missing values are left out of dicts.
    """
    value = _present(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        if not value.isascii():
            encodable(value, where)
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ItemValueError(f"{where} is {value}, which JSON can't represent")
        return float(value)  # NumPy's float64 is a float too, but not every target accepts it
    if isinstance(value, dt.date):
        return epoch_milliseconds(value)
    if depth > METADATA_DEPTH:
        raise ItemValueError(f"{where[:80]}… is nested deeper than {METADATA_DEPTH}")
    if isinstance(value, list | tuple):
        return [_json_value(inner, f"{where}[{i}]", depth + 1) for i, inner in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ItemTypeError(f"{where} has a key that is {kind_of(key)}, not text")
            encodable(key, where)
        return {
            str(key): _json_value(inner, f"{where}.{key}", depth + 1)
            for key, inner in value.items()
            if inner is None or _present(inner) is not None
        }
    raise ItemTypeError(f"{where} is {kind_of(value)}, which JSON can't represent")


def epoch_milliseconds(value: dt.date) -> int:
    """A date as the engine keeps dates; one without a time zone is of UTC."""
    if not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
    elif value.tzinfo is None:
        value = value.replace(tzinfo=dt.UTC)
    return (value - _EPOCH) // dt.timedelta(milliseconds=1)


def encodable(text: str, where: str) -> None:
    """Check that a text is valid Unicode.

    Raises:
        ItemValueError: It holds a lone surrogate.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ItemValueError(f"{where[:80]!r} holds a lone surrogate, which is not valid Unicode") from None


def _contents_column(contents: Any, n: int) -> list[Contents | None] | None:
    if contents is None:
        return None
    column = [_plain_contents(value) for value in _column(contents, "contents", n)]
    for position, value in enumerate(column):
        fault = fault_of_contents(value)
        if fault is not None:
            kind = ItemTypeError if fault.code == "not-text" else ItemValueError
            raise kind(f"contents {position} {fault.message}")
    return column if any(value is not None for value in column) else None


def _plain_contents(value: Any) -> Any:
    """Contents as str or bytes, where they are subclasses of these or another kind of bytes."""
    if is_missing(value):
        return None
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    return value


def _present(value: Any) -> Any:
    """The value; None for pandas' missing ones."""
    return None if type(value).__name__ in MISSING_TYPES else value


def ids_of(ids: Any, method: str) -> list[str]:
    """The ids that a method is asked for, in any iterable.

    Args:
        ids: As the caller passed them.
        method: For the message.

    Raises:
        ItemTypeError: They are not texts, or not several.
    """
    if not isinstance(ids, str | bytes | dict):
        values = _listed(ids)
        if values is None and isinstance(ids, Iterable):
            values = list(ids)
        if values is not None and all(isinstance(item_id, str) for item_id in values):
            for item_id in values:
                encodable(item_id, "an id")
            return [str(item_id) for item_id in values]
    raise ItemTypeError(f"{method} takes a list of ids, which are texts")


def integers_as_text(ids: Any) -> Any:
    """Ids with integers as their decimal text, as the SDK has it; whatever else they are stays."""
    values = _listed(ids)
    if values is None:
        return ids
    return [
        str(item_id) if isinstance(item_id, int | np.integer) and not isinstance(item_id, bool) else item_id
        for item_id in values
    ]


def _listed(values: Any) -> list[Any] | None:
    """The values of a list, tuple, array, or column of pandas, pyarrow or polars; None of anything else."""
    if isinstance(values, list | tuple):
        return list(values)
    if isinstance(values, memoryview):
        return None
    for name in ("to_pylist", "tolist", "to_list"):
        convert = getattr(values, name, None)
        if callable(convert):
            column = convert()
            return column if isinstance(column, list) else None
    return None


def _column(values: Any, name: str, n: int | None = None) -> list[Any]:
    column = _listed(values)
    if column is None:
        raise ItemTypeError(f"{name} is {kind_of(values)}, not a list")
    if n is not None and len(column) != n:
        raise ItemValueError(f"there are {n} ids and {len(column)} {name}")
    return column


def kind_of(value: Any) -> str:
    """What a value is, for messages that do not quote it."""
    if isinstance(value, Sequence) and not isinstance(value, str | bytes) and value:
        return f"{type(value).__name__} of {type(value[0]).__name__}"
    return type(value).__name__
