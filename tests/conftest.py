"""What every test may ask for: real services, a store, fresh names; and what each gets: no home."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.servers import Service
from tests.stores import s3

# No test is timed: a machine that others use as well is slow at times.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

ROOT_KEY = "a-root-key-of-the-tests"

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _nothing_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An empty home, and no variables that vecload or the engine would heed."""
    home = tmp_path_factory.mktemp("home")
    for name in [*os.environ]:
        if name.startswith(("VECLOAD_", "CYBORGDB_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    for name in ("CONFIG", "STATE", "DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))


@pytest.fixture(scope="session")
def shared_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service that takes anyone; tests share it, so each uses names of its own."""
    with Service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="session")
def service(shared_service: Service) -> str:
    """The address of a running service that takes anyone."""
    return shared_service.url


@pytest.fixture(scope="session")
def service_with_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service that asks for an API key: its `root_key`."""
    with Service(tmp_path_factory.mktemp("service-with-key"), root_key=ROOT_KEY) as running:
        yield running


@pytest.fixture(scope="session")
def bucket() -> Iterator[tuple[str, Any]]:
    """A running S3 server with a bucket, `tests.stores.BUCKET`: its address, and a client of it."""
    with s3() as running:
        yield running


@pytest.fixture
def embedded_folder(tmp_path: Path) -> Path:
    """A folder for an embedded store, which the store itself has to make."""
    return tmp_path / "store"


@pytest.fixture
def new_name() -> Callable[[], str]:
    """Makes index names that no other test of this run uses."""
    return lambda: f"index-{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def index_name(new_name: Callable[[], str]) -> str:
    """An index name that no other test of this run uses."""
    return new_name()
