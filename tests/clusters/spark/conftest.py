"""A cluster of Spark on this machine: a driver, and two executors of one core each, as processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import vecload
from tests.clusters.spark.writing import Write
from tests.conftest import ROOT_KEY
from tests.servers import Service
from tests.stores import CREDENTIALS
from vecload.sealing import Key

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MASTER = "local-cluster[2,1,1024]"


@dataclass
class Cluster:
    """A running cluster.

    Attributes:
        session: Its session.
        folder: All that Spark writes: event logs, and the logs of executors.
        key: The index key and the contents key of every index.
        key_file: A file with both.
        said: Every error that a test saw.
    """

    session: SparkSession
    folder: Path
    key: Key
    key_file: Path
    said: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that knows the API key, the index key and the store's credentials by variables alone."""
    import pyspark
    from pyspark.sql import SparkSession

    folder = tmp_path_factory.mktemp("spark")
    # Executors write their logs to a folder in Spark's home.
    home, own = folder / "home", Path(pyspark.__file__).parent
    for made in (home, folder / "events"):
        made.mkdir()
    for entry in own.iterdir():
        if entry.name != "work":
            (home / entry.name).symlink_to(entry)
    key, key_file = vecload.generate_key(), folder / "docs.key"
    key.save(key_file)
    variables = {
        "SPARK_HOME": str(home),
        "PYSPARK_PYTHON": sys.executable,
        "DOCS_API_KEY": ROOT_KEY,
        "DOCS_INDEX_KEY": key.index_key.hex(),
        "DOCS_CONTENTS_KEY": key.contents_key.hex(),
        "HOME": str(folder / "no-home"),
        **CREDENTIALS,
    }
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        session = (
            SparkSession.builder.master(MASTER)
            .config("spark.ui.enabled", "false")
            .config("spark.eventLog.enabled", "true")
            .config("spark.eventLog.dir", f"file://{folder / 'events'}")
            .config("spark.eventLog.compress", "false")
            .config("spark.sql.shuffle.partitions", "2")
            .config("spark.sql.session.timeZone", "America/New_York")
            .config("spark.local.dir", str(folder / "local"))
            .config("spark.sql.warehouse.dir", str(folder / "warehouse"))
            .getOrCreate()
        )
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    session.sparkContext.setLogLevel("ERROR")
    yield Cluster(session, folder, key, key_file)
    session.stop()


@pytest.fixture
def write(
    cluster: Cluster, service_with_key: Service, index_name: str, tmp_path: Path
) -> Callable[..., Write]:
    """Writes data frames into an index of its own, with a report of its own."""

    def made(**options: Any) -> Write:
        given = {
            "to": service_with_key.url,
            "index": index_name,
            "key": f"file:{cluster.key_file}",
            "api_key": "env:DOCS_API_KEY",
            "report": str(tmp_path / "report"),
            **options,
        }
        return Write({name: value for name, value in given.items() if value is not None}, cluster.said)

    return made
