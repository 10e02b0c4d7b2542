"""Packer: the vector of a JSON row straight into float32, without a Python number for each of its values.

The lists of numbers are what JSON Lines of embeddings cost: the text of the vector alone goes to simdjson,
which hands its values over as one block of float64; the rest of the row goes to orjson, as all of a row does
that has no such vector.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import simdjson
from numpy.typing import NDArray

from vecload.batch import Vectors
from vecload.mapping.chosen import Mapping

_INEXACT = 2.0**53
"""Beyond it float64 is coarser than the integers of JSON: these are rounded once, from what they are."""
_TEXT_MAX_BYTES = 2**23
"""The parser keeps memory of several times its longest text: of more there is no hurry."""


@dataclass(frozen=True, slots=True)
class Packed:
    """The vectors of some rows that were packed.

    column: the column they were in, which is null in the rows now.
    vectors: float32, shape (n, dimension).
    left: positions of the rows that were not packed; their vectors mean nothing.
    """

    column: str
    vectors: Vectors
    left: tuple[int, ...]


def packer_for(mapping: Mapping, dimension: int) -> Packer | None:
    """The packer of a mapping's vectors; None where they are no column, or are some other part too."""
    column = mapping.vector
    other = {mapping.id, mapping.contents, mapping.metadata_object, *(mapping.metadata_fields or ())}
    inside = {steps[0] for _, steps in mapping.nested}
    if column is None or not dimension or column in other | inside | {name for name, _ in mapping.nested}:
        return None
    return Packer(column, dimension)


class Packer:
    """Takes the vectors of one column out of the text of their rows. For one thread.

    Args:
        column: The name of a column at the top of a row.
        dimension: Values that a vector has.
    """

    def __init__(self, column: str, dimension: int) -> None:
        self.column = column
        self.dimension = dimension
        self._key = orjson.dumps(column)
        self._key_size = len(self._key)
        # What takes the vector's place in the row. Found as the column's value, it proves that the text which
        # was taken out is that value: no file can hold a text that was drawn just now.
        self._mark = secrets.token_hex(16)
        self._mark_text = orjson.dumps(self._mark)
        self._parse = simdjson.Parser().parse

    def pack(self, data: bytes, at: int, after: int, into: NDArray[np.float32]) -> dict[str, Any] | None:
        """Parse a row, and write its vector down.

        Args:
            data: Text that holds the row.
            at: Where the row begins.
            after: Where it has ended.
            into: float32, shape (dimension,). NumPy may warn of values beyond it, which become infinite.

        Returns:
            The row, its vector null; None if that isn't a list of so many numbers or is told in an unusual
            way, or if the row is no JSON object: it must be looked at as any row is.
        """
        key = data.find(self._key, at, after)
        begin = data.find(b"[", key + self._key_size, after) if key >= 0 else -1
        end = data.find(b"]", begin, after) + 1 if begin >= 0 else 0
        if not end or end - begin > _TEXT_MAX_BYTES:
            return None
        try:
            row: dict[str, Any] = orjson.loads(data[at:begin] + self._mark_text + data[end:after])
            if type(row) is not dict or row.get(self.column) != self._mark:
                return None
            # There is but one bracket that closes: no list is within this one.
            values = self._parse(data[begin:end])
            if not isinstance(values, simdjson.Array) or len(values) != self.dimension:
                return None
            numbers = np.frombuffer(values.as_buffer(of_type="d"))
        except (ValueError, TypeError, RuntimeError):
            return None
        into[:] = numbers
        row[self.column] = None
        return row


def inexact(vectors: Vectors) -> list[int]:
    """The positions of vectors with values that may be integers which float64 doesn't hold exactly."""
    if not len(vectors) or max(vectors.max(), -vectors.min()) < _INEXACT:
        return []
    return np.flatnonzero((np.abs(vectors) >= _INEXACT).any(axis=1)).tolist()
