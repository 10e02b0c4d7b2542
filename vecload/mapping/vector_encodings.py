"""Recognises from a sample how the vectors of a column are written.

Lists of numbers are one of many encodings. Databases and languages also write arrays as text, bytes and
objects of many kinds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from vecload.mapping.rows import Fault
from vecload.mapping.vector_bytes import likely_dtypes, numbers_in
from vecload.mapping.vector_values import (
    PACKED_BITS_FAULT,
    EncodingKind,
    Numbers,
    fault_of_elements,
    parse_vector,
)
from vecload.options import VectorDtype

Problem: TypeAlias = Literal["", "sparse", "multi-vector", "packed bits", "truncated"]
"""Why recognised vectors can't be loaded."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the vectors of a column are written.

    kind: a name for people.
    length: the length of most vectors in the sample; 0 if it depends on the number type.
    integers: every number in the sample is written as an integer.
    dtypes: for vectors written as bytes, the number types with which the sample looks like embeddings. If
        there is not exactly one, the user has to say.
    problem: why the vectors can't be loaded.
    """

    kind: EncodingKind
    length: int
    integers: bool
    dtypes: tuple[VectorDtype, ...] = ()
    problem: Problem = ""


def encoding_of(values: Sequence[Any], *, dimension: int | None = None) -> Encoding | None:
    """How the vectors in a sample are written.

    Args:
        values: Values of one column, as Python or JSON values. None is skipped.
        dimension: Length of every vector, if it is known.

    Returns:
        None if most values are not vectors in a known encoding.
    """
    kinds: Counter[EncodingKind] = Counter()
    problems: Counter[Problem] = Counter()
    lengths: Counter[int] = Counter()
    raw: list[bytes] = []
    integers, others = True, 0
    for value in values:
        if value is None:
            continue
        found = parse_vector(value)
        if isinstance(found, Fault):
            problem = _problem(found)
            problems[problem] += bool(problem)
            others += not problem
            continue
        kind, numbers = found
        if isinstance(numbers, bytes):
            raw.append(numbers)
        elif isinstance(numbers, list) and (not numbers or fault_of_elements(numbers) is not None):
            others += any(number is not None for number in numbers)
            continue
        else:
            lengths[len(numbers)] += 1
            integers = integers and set(map(type, _plain(numbers))) == {int}
        kinds[kind] += 1
    vectors, faulty = kinds.total(), problems.total()
    if not vectors + faulty or others > vectors + faulty:
        return None
    if faulty > vectors or not vectors:
        problem = problems.most_common(1)[0][0]
        return Encoding(_KIND_OF_PROBLEM[problem], 0, integers=False, problem=problem)
    kind = kinds.most_common(1)[0][0]
    if len(raw) <= vectors - len(raw):
        return Encoding(kind, lengths.most_common(1)[0][0], integers=integers)
    if kind == "base64 text" and not _surely_base64(values):
        return None
    dtypes = likely_dtypes(raw, dimension)
    if len(dtypes) == 1:
        decoded = (numbers_in(data, dtypes[0]) for data in raw)
        lengths.update(len(numbers) for numbers in decoded if not isinstance(numbers, Fault))
    length = lengths.most_common(1)[0][0] if lengths else 0
    return Encoding(kind, length, integers=bool(dtypes) and {*dtypes} <= {"int8", "uint8"}, dtypes=dtypes)


def sparse_parent(fields: Sequence[str]) -> bool:
    """Whether an object with these fields may be a sparse vector, so that its `values` are not a vector."""
    return "values" in fields and "indices" in fields


def _plain(numbers: Numbers) -> list[Any]:
    return numbers if isinstance(numbers, list) else numbers[:1].tolist()


def _problem(fault: Fault) -> Problem:
    if fault is PACKED_BITS_FAULT:
        return "packed bits"
    return next((problem for problem in _KIND_OF_PROBLEM if problem == fault.code), "")


_KIND_OF_PROBLEM: dict[Problem, EncodingKind] = {
    "sparse": "dense struct",
    "multi-vector": "list in a list",
    "packed bits": "BSON vector",
    "truncated": "array text",
}


def _surely_base64(values: Sequence[Any]) -> bool:
    """Whether texts are base64 rather than words, digests or UUIDs, which use the same characters."""
    texts = [value for value in values if isinstance(value, str)]
    if not texts:
        return False
    sizes = Counter(map(len, texts))
    joined = "".join(texts)
    return (
        sizes.most_common(1)[0][1] * 2 > len(texts)
        and max(sizes) >= 8
        and any(map(str.isupper, joined))
        and any(map(str.islower, joined))
        and (any(map(str.isdigit, joined)) or any(mark in joined for mark in "+/="))
    )
