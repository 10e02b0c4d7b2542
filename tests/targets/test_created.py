"""An index that a service makes otherwise than asked is found at once, and is not left behind.

The service of 0.17 ignores metadata policies. Here a proxy before the real service removes them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import vecload
from tests.cli.command import vecload as run
from tests.cli.sources import rows, write_jsonl
from tests.faults.proxy import Exchange, Proxy
from vecload.errors import IndexMismatch
from vecload.targets import IndexSettings, connect_target
from vecload.targets.service import ServiceTarget

KEY = bytes(range(32))
CREATE = "/v1/indexes/create"


def ignoring(*names: str) -> Callable[[Exchange], None]:
    """A service that does not know some settings of a new index."""

    def behave(exchange: Exchange) -> None:
        if exchange.path == CREATE:
            body = {name: value for name, value in json.loads(exchange.body).items() if name not in names}
            exchange.replace(json.dumps(body).encode())
        exchange.pass_on()

    return behave


@pytest.fixture
def old(service: str) -> Iterator[Proxy]:
    with Proxy(service) as proxy:
        proxy.behave_otherwise = ignoring("metadata_schema")
        yield proxy


def key_files() -> list[str]:
    folder = Path(os.environ["XDG_CONFIG_HOME"]) / "vecload" / "keys"
    return sorted(path.name for path in folder.iterdir() if path.is_file()) if folder.exists() else []


def names_in(service: str) -> list[str]:
    with connect_target(service) as target:
        return target.list_indexes()


def test_a_load_says_so_and_leaves_neither_index_nor_key(
    old: Proxy, service: str, index_name: str, tmp_path: Path
) -> None:
    source = write_jsonl(tmp_path / "rows.jsonl", rows(3))
    policies = ("--unfilterable", "title")
    for _ in range(2):
        ended = run("upsert", source, "--to", old.url, "--index", index_name, "--create-key", *policies)
        assert ended.code == 2
        assert "it has another policy for 'title', so it was deleted again" in ended.error
        assert "--unfilterable" in ended.error
        assert index_name not in names_in(service)
        assert key_files() == []
    assert old.upserts == 0

    # What the message offers works.
    assert run("upsert", source, "--to", old.url, "--index", index_name, "--create-key").code == 0


def test_the_command_that_creates_says_so(old: Proxy, service: str, index_name: str) -> None:
    ended = run(
        "index",
        "create",
        index_name,
        "--create-key",
        "--to",
        old.url,
        "--dimension",
        "4",
        "--full-text",
        "body",
    )
    assert ended.code == 2
    assert f"index {index_name!r} was not created as asked" in ended.error
    assert "'body'" in ended.error
    assert index_name not in names_in(service)
    assert key_files() == []


def test_python_says_so_in_its_words(old: Proxy, service: str, index_name: str) -> None:
    with vecload.connect(old.url) as connection:
        with pytest.raises(vecload.IndexMismatch, match="another policy for 'body'") as caught:
            connection.create_index(index_name, KEY, dimension=4, full_text=["body"])
        assert "full_text" in caught.value.hint
        assert "--" not in str(caught.value)
    assert index_name not in names_in(service)


@pytest.mark.parametrize(
    ("ignored", "said"),
    [("metric", "its metric is euclidean, not cosine"), ("dimension", "its dimension is 0, not 4")],
)
def test_any_other_setting_that_is_reported_is_compared(
    old: Proxy, service: str, index_name: str, ignored: str, said: str
) -> None:
    old.behave_otherwise = ignoring(ignored)
    settings = IndexSettings(dimension=4, metric="cosine", pattern=("a",))
    with ServiceTarget(old.url) as target, pytest.raises(IndexMismatch, match=said) as caught:
        target.create_index(index_name, KEY, settings)
    assert caught.value.refused
    assert "--pattern" not in caught.value.hint
    assert index_name not in names_in(service)


def test_the_key_stays_where_the_index_could_not_be_deleted(
    old: Proxy, service: str, index_name: str
) -> None:
    drop = ignoring("metadata_schema")

    def behave(exchange: Exchange) -> None:
        if exchange.path == "/v1/indexes/delete":
            exchange.reset()
        else:
            drop(exchange)

    old.behave_otherwise = behave
    ended = run(
        "index",
        "create",
        index_name,
        "--create-key",
        "--to",
        old.url,
        "--dimension",
        "4",
        "--full-text",
        "body",
    )
    assert ended.code == 2
    assert "delete it with 'vecload index delete'" in ended.error
    assert index_name in names_in(service)
    assert len(key_files()) == 1
    again = run(
        "index",
        "create",
        index_name,
        "--create-key",
        "--to",
        old.url,
        "--dimension",
        "4",
        "--full-text",
        "body",
    )
    assert again.code == 2
    assert "already (4 dimensions, euclidean, another policy for 'body')" in again.error
    # Once the service can be reached, the key deletes it.
    old.behave_otherwise = ignoring()
    assert run("index", "delete", index_name, "--to", old.url, "--yes").code == 0


def test_an_index_that_another_already_fills_is_not_deleted(
    old: Proxy, service: str, index_name: str
) -> None:
    drop = ignoring("metadata_schema")

    def behave(exchange: Exchange) -> None:
        drop(exchange)
        if exchange.path == CREATE:
            with vecload.connect(service) as connection:
                connection.open_index(index_name, KEY).upsert(["a"], [[1, 2, 3, 4]])

    old.behave_otherwise = behave
    with ServiceTarget(old.url) as target, pytest.raises(IndexMismatch) as caught:
        target.create_index(index_name, KEY, IndexSettings(dimension=4, pattern=("a",)))
    assert not caught.value.refused
    assert "deleted" not in str(caught.value)
    assert index_name in names_in(service)
