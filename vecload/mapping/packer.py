"""Packer: the vector of a JSON row straight into float32, without a Python number for each of its values.

The lists of numbers are what JSON Lines of embeddings cost: the text of the vector alone goes to simdjson,
which hands its values over as one block of float64; the rest of the row goes to orjson, as all of a row does
that has no such vector.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import simdjson

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
        # What takes the vector's place in the row. Found as the column's value, it proves that the text which
        # was taken out is that value: no file can hold a text that was drawn just now.
        self._mark = secrets.token_hex(16)
        self._mark_text = orjson.dumps(self._mark)
        self._parse = simdjson.Parser().parse

    def pack(
        self, lines: Iterable[tuple[bytes | None, int, int]], vectors: Vectors
    ) -> list[dict[str, Any] | None]:
        """Parse rows, and write their vectors down.

        Args:
            lines: n texts that hold a row each, and where in it the row begins and has ended.
            vectors: float32, shape (n, dimension). NumPy may warn of values beyond it, which become infinite.

        Returns:
            The rows, their vectors null. None for one whose vector isn't a list of so many numbers or is told
            in an unusual way, or that is no JSON object: it must be looked at as any row is.
        """
        # One loop with everything at hand: what it does besides parsing is a few microseconds a row.
        column, dimension, mark = self.column, self.dimension, self._mark
        key_text, mark_text, parse = self._key, self._mark_text, self._parse
        key_size, loads, from_buffer, array = len(key_text), orjson.loads, np.frombuffer, simdjson.Array
        rows: list[dict[str, Any] | None] = []
        for position, (data, at, after) in enumerate(lines):
            rows.append(None)
            if data is None or (key := data.find(key_text, at, after)) < 0:
                continue
            if (begin := data.find(b"[", key + key_size, after)) < 0:
                continue
            end = data.find(b"]", begin, after) + 1
            if not end or end - begin > _TEXT_MAX_BYTES:
                continue
            try:
                row = loads(data[at:begin] + mark_text + data[end:after])
                if type(row) is not dict or row.get(column) != mark:
                    continue
                # There is but one bracket that closes: no list is within this one.
                values = parse(data[begin:end])
                if type(values) is not array or len(values) != dimension:
                    continue
                vectors[position] = from_buffer(values.as_buffer(of_type="d"))
            except (ValueError, TypeError, RuntimeError):
                continue
            finally:
                values = None  # the parser serves one at a time
            row[column] = None
            rows[-1] = row
        return rows


def inexact(vectors: Vectors) -> list[int]:
    """The positions of vectors with values that may be integers which float64 doesn't hold exactly."""
    if not len(vectors) or max(vectors.max(), -vectors.min()) < _INEXACT:
        return []
    return np.flatnonzero((np.abs(vectors) >= _INEXACT).any(axis=1)).tolist()
