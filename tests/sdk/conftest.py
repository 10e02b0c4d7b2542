"""The same index on both engines: by a service, and embedded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TypeAlias

import pytest

import vecload

BOTH = ("service", "folder")
Connections: TypeAlias = dict[str, vecload.Connection]


@pytest.fixture(scope="module")
def connections(service: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connections]:
    """A connection to each engine, by the names in BOTH."""
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("sdk") / "store"
        yield {
            "service": stack.enter_context(vecload.connect(service)),
            "folder": stack.enter_context(vecload.connect(folder)),
        }


@pytest.fixture(params=BOTH)
def connection(request: pytest.FixtureRequest, connections: Connections) -> vecload.Connection:
    """One of them: the test runs with each."""
    return connections[request.param]
