"""Vectors that have one column for each dimension: which columns these are, and their values as one list."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vecload.errors import MappingError
from vecload.mapping.arrow_values import numbers_of, plain
from vecload.mapping.columns import listed


def dimension_columns(names: Sequence[str], pattern: str, source: str) -> list[str]:
    """The columns of a vector's dimensions, in their order: `dim_2` comes before `dim_10`.

    Args:
        names: Those of all columns.
        pattern: A name with `*` in place of the number.
        source: For messages.

    Raises:
        MappingError: There are none, one is missing, or the pattern is not one.
    """
    before, star, after = pattern.partition("*")
    if not star or "*" in after:
        raise MappingError(
            f"--vector-columns {pattern!r} has no * or several",
            hint="put one * where the names have their number: --vector-columns 'dim_*'",
        )
    numbered = re.compile(re.escape(before) + "([0-9]+)" + re.escape(after))
    found = sorted((int(match[1]), name) for name in names if (match := numbered.fullmatch(name)))
    if not found:
        raise MappingError(f"{source} has no columns named like {pattern!r}", hint=f"it has {listed(names)}")
    first = min(found[0][0], 1)
    for at, (number, name) in enumerate(found):
        if number != first + at:
            twice = number == first + at - 1
            what = (
                f"{found[at - 1][1]!r} and {name!r} for the same dimension"
                if twice
                else f"{pattern.replace('*', str(first + at))!r} missing among {len(found):,} columns"
            )
            raise MappingError(
                f"{source} has {what} named like {pattern!r}",
                hint="a vector needs a column for each dimension, numbered from 0 or from 1",
            )
    return [name for _, name in found]


def as_lists(columns: Sequence[pa.Array], names: Sequence[str], source: str) -> pa.FixedSizeListArray:
    """Numeric columns as one column of lists. A row without any value has no list.

    Raises:
        MappingError: A column holds something else than numbers.
    """
    columns = [plain(column) for column in columns]
    for column, name in zip(columns, names, strict=True):
        kind = column.type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
            raise MappingError(
                f"{source} has {kind} in the column {name!r}, not numbers",
                hint="--vector-columns names the columns of one vector's dimensions",
            )
    columns = [column.cast(pa.float32()) if pa.types.is_null(column.type) else column for column in columns]
    return lists_of([numbers_of(column) for column in columns], nulls_of(columns))


def nulls_of(columns: Sequence[pa.Array]) -> NDArray[np.bool_] | None:
    """Where some columns have no value: bool, shape (n, columns); None if all have one everywhere."""
    if not any(column.null_count for column in columns):
        return None
    return np.stack([np.asarray(column.is_null()) for column in columns], axis=1)


def lists_of(
    columns: Sequence[NDArray[np.generic]], nulls: NDArray[np.bool_] | None
) -> pa.FixedSizeListArray:
    """Arrays of n numbers each as n lists.

    Args:
        columns: One array a dimension.
        nulls: Where there is no value: bool, shape (n, columns).
    """
    values = np.stack(columns, axis=1)
    flat = pa.array(values.reshape(-1), mask=None if nulls is None else nulls.reshape(-1))
    lacking = None if nulls is None else pa.array(nulls.all(axis=1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1], mask=lacking)
