"""A loader that is broken on purpose fails: the checks of this folder can tell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import scenarios
from tests.faults.mutant import MUTANTS
from tests.faults.oracle import WrongIndex
from tests.faults.scenarios import Scenario

REAL = ("-m", "vecload")

CAUGHT: dict[str, tuple[Scenario, type[AssertionError], str]] = {
    "no_guard_of_order": (scenarios.slow_first_batches, WrongIndex, "wrong vector: near-"),
    # The load counts what it has put there, and sees at its end that less is there.
    "any_200_is_an_acknowledgement": (
        scenarios.foreign_200s,
        AssertionError,
        "lacks items that this load stored|lost: ",
    ),
    "no_journal": (scenarios.stopped_and_resumed, AssertionError, "rows that were in are sent again"),
    "journaled_before_the_acknowledgement": (
        scenarios.killed_with_a_batch_on_its_way,
        WrongIndex,
        "lost: ",
    ),
    "resumed_by_high_water_mark": (
        scenarios.killed_with_an_early_batch_outstanding,
        WrongIndex,
        "lost: ",
    ),
}


@pytest.mark.parametrize("mutant", CAUGHT)
def test_the_real_loader_comes_through(
    tmp_path: Path, service: str, new_name: Callable[[], str], mutant: str
) -> None:
    CAUGHT[mutant][0](tmp_path, service, new_name(), REAL)


@pytest.mark.parametrize("mutant", CAUGHT)
def test_the_broken_loader_is_caught(
    tmp_path: Path, service: str, new_name: Callable[[], str], mutant: str
) -> None:
    scenario, error, told = CAUGHT[mutant]
    with pytest.raises(error, match=told):
        scenario(tmp_path, service, new_name(), ("-m", "tests.faults.mutant", mutant))


def test_every_mutant_is_tried() -> None:
    assert MUTANTS.keys() - {"commits_each", "impatient"} == CAUGHT.keys()
