"""Runs of vecload that save the half second of its imports; and what a test leaves to the shared service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.forked import Forks, shared_forks
from tests.faults.loads import Load


@pytest.fixture(scope="session")
def forks() -> Forks:
    """Forks runs of vecload, where a test needs many and none has to start Python."""
    return shared_forks()


@pytest.fixture(autouse=True)
def _indexes_are_dropped() -> Iterator[None]:
    yield
    while Load.made:
        Load.made.pop().drop()
