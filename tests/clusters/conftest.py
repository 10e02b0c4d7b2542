"""A Ray cluster of this machine, whose workers know the secrets by their environment alone."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.distributed.conftest import place
from tests.servers import Service

__all__ = ["place"]

API_KEY = "canary-of-the-api-key-5a1c"


@dataclass(frozen=True)
class Cluster:
    """A running cluster.

    Attributes:
        session: The folder in which Ray keeps logs and sockets.
        dashboard: The address of its dashboard.
        key: The key file of the index, whose key is in the environment of the workers, too.
    """

    session: Path
    dashboard: str
    key: Path


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    import ray

    import vecload

    # Ray's sockets are in it: the path must be short.
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
    key = folder / "index.key"
    made = vecload.generate_key()
    made.save(key)
    variables = {
        "CLUSTER_API_KEY": API_KEY,
        "CLUSTER_INDEX_KEY": made.index_key.hex(),
        "CLUSTER_CONTENTS_KEY": made.contents_key.hex(),
        "RAY_AUTH_MODE": "disabled",
        "HOME": str(folder),
    }
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        context = ray.init(
            num_cpus=2,
            include_dashboard=True,
            log_to_driver=False,
            logging_level="ERROR",
            configure_logging=False,
            _temp_dir=str(folder),
        )
        yield Cluster(Path(context.address_info["session_dir"]), context.dashboard_url, key)
    finally:
        ray.shutdown()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service that asks for the API key."""
    with Service(tmp_path_factory.mktemp("service"), root_key=API_KEY) as running:
        yield running.url


@pytest.fixture
def loaded(cluster: Cluster, secured: str, new_name: Callable[[], str]) -> Callable[[], dict[str, str]]:
    """Where a load goes, as its arguments; each time another index."""
    return lambda: {
        "to": secured,
        "index": new_name(),
        "key": "env:CLUSTER_INDEX_KEY",
        "contents_key": "env:CLUSTER_CONTENTS_KEY",
        "api_key": "env:CLUSTER_API_KEY",
    }
