"""Selection: which items are compared, and of which the vectors. An id is selected with all of its rows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vecload.errors import UsageError

ALL = "all"
VECTOR_VALUES_PER_SECOND = 500_000
"""About what a service returns, on two cores: 700 vectors of 768 dimensions (docs/cyborgdb.md)."""
VECTOR_SECONDS = 60
"""How long the vectors of a service may take, unless the user says how many are to be compared."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How many items: a number, a percentage, or all.

    Attributes:
        number: About so many.
        percent: About so many of a hundred.
    """

    number: int | None = None
    percent: float | None = None

    @classmethod
    def parse(cls, flag: str, text: int | str | None) -> Amount | None:
        """What an option means; None if it is not set.

        Raises:
            UsageError: It is none of `all`, a number from 1, a percentage above 0.
        """
        if text is None:
            return None
        if text == ALL:
            return cls()
        try:
            if isinstance(text, str) and text.endswith("%"):
                percent = float(text[:-1])
                if 0 < percent <= 100:
                    return cls(percent=percent)
            elif type(text) in (int, str) and int(text) >= 1:
                return cls(number=int(text))
        except ValueError:
            pass
        raise UsageError(f"{flag} {text!r} is neither a number from 1, a percentage, nor 'all'")

    def part_of(self, items: int) -> float:
        """Which part of so many items that is, from 0 to 1."""
        if self.percent is not None:
            return self.percent / 100
        if self.number is not None:
            return min(1.0, self.number / max(items, 1))
        return 1.0


def vectors_in_time(dimension: int, items: int) -> Amount:
    """How many vectors a service returns in about a minute: all, or fewer than there are."""
    number = VECTOR_SECONDS * VECTOR_VALUES_PER_SECOND // max(dimension, 1)
    return Amount() if number >= items else Amount(number=number)


class Selection:
    """Selects a part of all ids, another one in each run.

    Args:
        part: From 0 to 1.
        chance: Draws what decides.
    """

    def __init__(self, part: float, chance: random.Random | None = None) -> None:
        self.part = part
        self._salt = np.uint64((chance or random.SystemRandom()).getrandbits(63) | 1)
        self._below = np.uint64(min(int(part * 2**64), 2**64 - 1))

    def __call__(self, ids: Sequence[str]) -> NDArray[np.bool_]:
        """Which of these ids are selected: bool, shape (n,)."""
        if self.part >= 1:
            return np.ones(len(ids), dtype=np.bool_)
        mixed = np.fromiter(map(hash, ids), np.int64, len(ids)).view(np.uint64)
        # The digests are random already, unless PYTHONHASHSEED says otherwise. The salt makes each selection
        # independent of the others.
        with np.errstate(over="ignore"):
            for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
                mixed = (mixed ^ (mixed >> np.uint64(shift)) ^ self._salt) * np.uint64(factor)
        return mixed < self._below
