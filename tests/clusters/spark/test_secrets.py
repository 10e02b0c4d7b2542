"""No secret is in what Spark writes or says: event logs, logs of executors, plans, errors."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyspark.sql.types import ArrayType, FloatType, StringType, StructField, StructType

from tests.clusters.spark.conftest import Cluster
from tests.clusters.spark.writing import Write
from tests.conftest import ROOT_KEY

pytestmark = pytest.mark.filterwarnings(
    "ignore:PySpark does not yet fully support pandas", "ignore::ResourceWarning"
)


def forms(secret: bytes | str) -> Iterator[str]:
    """A secret as logs may have it."""
    raw = secret if isinstance(secret, bytes) else secret.encode()
    yield from (raw.hex(), base64.b64encode(raw).decode().rstrip("="))
    if isinstance(secret, str):
        yield secret


def written(folder: Path) -> dict[str, str]:
    """All that Spark wrote, by the files' names."""
    return {
        str(path.relative_to(folder)): path.read_text(errors="replace")
        for path in folder.rglob("*")
        # Spark's own programs are linked from there.
        if path.is_file() and not path.is_symlink() and path.suffix not in (".jar", ".key")
    }


def test_no_secret_is_in_logs_plans_or_errors(
    cluster: Cluster, write: Callable[..., Write], tmp_path: Path
) -> None:
    schema = StructType(
        [
            StructField("id", StringType()),
            StructField("contents", StringType()),
            StructField("vector", ArrayType(FloatType())),
        ]
    )
    contents = secrets.token_hex(20)
    data = [(f"{n}", contents, [1.0, float(n)]) for n in range(50)]
    frame = cluster.session.createDataFrame(data, schema).repartition(2)
    to = write(key="env:DOCS_INDEX_KEY", contents_key="env:DOCS_CONTENTS_KEY", dimension=2)
    assert to.save(frame).loaded == 50
    to.error(frame.selectExpr("id", "contents", "if(id = '7', array(1f), vector) as vector"))
    # What a careless user writes is refused before a task has it.
    bare = (secrets.token_hex(32), secrets.token_urlsafe(32))
    for one in bare:
        error = write(key=one, dimension=2).error(frame)
        assert (
            "option key is not a reference to a secret; write env:NAME, file:PATH or command:PROGRAM" in error
        )
        assert one not in error
    error = write(api_key=bare[0]).error(frame)
    assert "option api_key is not a reference to a secret" in error
    error = write(to="https://somebody:hunter-2-vermilion@example.com").error(frame)
    assert "option to holds a user or a password" in error

    found = written(cluster.folder) | written(tmp_path) | {"errors": "\n".join(cluster.said)}
    logs = [name for name in found if name.startswith("events")]
    assert any("AppendData vecload" in found[name] for name in logs)
    assert len([name for name in found if name.startswith("home/work/") and name.endswith("/stderr")]) == 2
    assert to.options["index"] in found["report/summary.json"]
    hidden = {
        "index key": cluster.key.index_key,
        "contents key": cluster.key.contents_key,
        "API key": ROOT_KEY,
        "password": "hunter-2-vermilion",
        **{f"bare key {number}": one for number, one in enumerate(bare)},
    }
    hits = [
        (what, name)
        for what, secret in hidden.items()
        for form in forms(secret)
        for name, text in found.items()
        if form in text
    ]
    assert hits == []
    # Spark keeps rows between its stages in files of its own.
    assert [name for name, text in found.items() if contents in text and "/shuffle_" not in name] == []
