"""What an index holds decides how contents are written: a mix stops, until the user says which kind it is."""

from __future__ import annotations

import gc
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cyborgdb
import cyborgdb_core
import numpy as np
import pytest

import vecload
from tests.cli.command import vecload as command
from tests.cli.sources import write_jsonl
from vecload.errors import IndexMismatch, UsageError, WrongKey

DIMENSION = 8
KEY = vecload.Key(bytes(range(32)), b"c" * 32)
OTHER = vecload.Key(KEY.index_key, b"o" * 32)

Write = Callable[[dict[str, str | bytes]], None]


def vectors(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, DIMENSION), dtype=np.float32)


def rows(count: int = 3) -> list[dict[str, Any]]:
    return [
        {"id": f"new-{n}", "vector": vector.tolist(), "text": f"text {n}"}
        for n, vector in enumerate(vectors(count, 5))
    ]


@pytest.fixture(params=["service", "folder"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "service":
        return str(request.getfixturevalue("service"))
    return str(tmp_path / "store")


@pytest.fixture
def there(location: str, index_name: str) -> dict[str, Any]:
    """An empty index, and the arguments that name it."""
    with vecload.connect(location) as connection:
        connection.create_index(index_name, KEY, dimension=DIMENSION)
    gc.collect()
    return {"to": location, "index": index_name, "key": KEY}


def put(there: dict[str, Any], contents: dict[str, str | bytes], key: vecload.Key, *, seal: bool) -> None:
    """Add items as another vecload does."""
    with vecload.connect(there["to"]) as connection:
        raw = connection._target.open_index(there["index"], key.index_key)  # noqa: SLF001 past our own check
        index = vecload.Index(raw, key, seal=seal)
        index._contents_check = None  # noqa: SLF001 past our own check
        index.upsert_binary([*contents], vectors(len(contents), 1), contents=[*contents.values()])
    del index, raw
    gc.collect()


@pytest.fixture
def other_writer(there: dict[str, Any]) -> Write:
    """Adds items as other clients do: the official client to a service, the engine's own in a folder."""

    def by_service(contents: dict[str, str | bytes]) -> None:
        client = cyborgdb.Client(there["to"])
        index = client.load_index(there["index"], KEY.index_key)
        index.upsert(
            [
                {"id": item_id, "vector": vector, "contents": text}
                for (item_id, text), vector in zip(contents.items(), vectors(len(contents), 2), strict=True)
            ]
        )
        client.api_client.rest_client.pool_manager.clear()

    def by_engine(contents: dict[str, str | bytes]) -> None:
        logger = cyborgdb_core.Logger.instance()
        logger.configure("critical")
        client = cyborgdb_core.Client(storage_config=cyborgdb_core.StorageConfig.disk(there["to"]))
        index = client.load_index(there["index"], KEY.index_key, logger)
        items = [
            {"id": item_id, "vector": vector, "contents": text}
            for (item_id, text), vector in zip(contents.items(), vectors(len(contents), 2), strict=True)
        ]
        index.upsert(items, index_key=KEY.index_key)
        del index, client
        gc.collect()

    return by_service if there["to"].startswith("http") else by_engine


def stored(there: dict[str, Any]) -> dict[str, str | bytes | None]:
    """The contents of all items as the target returns them."""
    with vecload.connect(there["to"]) as connection:
        index = connection._target.open_index(there["index"], KEY.index_key)  # noqa: SLF001 sealed or not
        found = {item.id: item.contents for item in index.get(index.list_ids(), ["contents", "vector"])}
    del index
    gc.collect()
    return found


def sealed(there: dict[str, Any]) -> dict[str, bool]:
    return {item_id: str(text).startswith("VkxFMQE") for item_id, text in stored(there).items()}


@pytest.fixture
def index(there: dict[str, Any]) -> Iterator[Callable[..., vecload.Index]]:
    """Opens the index from Python."""
    with vecload.connect(there["to"]) as connection:
        yield lambda key=KEY, **options: connection.open_index(there["index"], key, **options)
    gc.collect()


def add(index: vecload.Index, ids: tuple[str, ...] = ("x",)) -> None:
    index.upsert([{"id": item_id, "vector": [1.0] * DIMENSION, "contents": "mine"} for item_id in ids])


# Loads


def test_a_load_into_an_index_with_unsealed_contents_stops_before_a_row_is_written(
    there: dict[str, Any], other_writer: Write
) -> None:
    other_writer({f"old-{n}": f"plain {n}" for n in range(4)})

    with pytest.raises(IndexMismatch, match=r"contents that are not sealed \(4 of 4 looked at\)") as caught:
        vecload.load(rows(), **there)

    assert caught.value.exit_code == 2
    assert "seal=False" in caught.value.hint
    assert "seal=True" in caught.value.hint
    assert "plain" not in str(caught.value)
    assert len(stored(there)) == 4


def test_the_user_says_which_kind_a_load_adds(
    there: dict[str, Any], other_writer: Write, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vecload")
    other_writer({"old": "plain"})
    assert vecload.load(rows(1), **there, seal=False).loaded == 1
    assert sealed(there) == {"old": False, "new-0": False}
    assert "holds" not in caplog.text
    assert vecload.load(rows(2), **there, seal=True).loaded == 2
    assert sealed(there) == {"old": False, "new-0": True, "new-1": True}
    assert "holds unsealed contents (2 of 2 looked at)" in caplog.text


def test_unsealed_contents_among_sealed_ones_are_warned_of(
    there: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vecload")
    assert vecload.load(rows(3), **there).loaded == 3
    assert set(sealed(there).values()) == {True}
    assert vecload.load(rows(1), **there, seal=False).loaded == 1
    assert sealed(there) == {"new-0": False, "new-1": True, "new-2": True}
    assert "holds sealed contents (3 of 3 looked at): unsealed ones are added" in caplog.text


def test_a_load_without_contents_or_into_an_index_without_any_asks_nothing(
    there: dict[str, Any], other_writer: Write
) -> None:
    with vecload.connect(there["to"]) as connection:
        connection.open_index(there["index"], KEY).upsert(["bare"], vectors(1))
    gc.collect()
    assert vecload.load(rows(1), **there).loaded == 1
    assert sealed(there)["new-0"]
    other_writer({"old": "plain"})
    bare = [{"id": "y", "vector": [1.0] * DIMENSION, "n": 1}]
    assert vecload.load(bare, **there).loaded == 1


def test_damaged_contents_decide_nothing(there: dict[str, Any], other_writer: Write) -> None:
    other_writer({"forged": "VkxFMQI=" + "A" * 120, "cut": "VkxFMQEBAAAA"})
    assert vecload.load(rows(1), **there).loaded == 1
    assert vecload.inspect(rows(1), **there).exit_code == 0


def test_a_load_with_a_key_that_opens_nothing_is_refused_whatever_is_said(there: dict[str, Any]) -> None:
    vecload.load(rows(3), **there)
    for seal in (None, True):
        with pytest.raises(WrongKey, match=f"{KEY.key_id}, not {OTHER.key_id}") as caught:
            vecload.load(rows(1), **{**there, "key": OTHER}, seal=seal)
        assert caught.value.exit_code == 6


def test_a_load_with_a_key_that_opens_a_part_stops_until_the_user_says_so(
    there: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vecload")
    put(there, {f"old-{n}": f"{n}" for n in range(99)}, KEY, seal=True)
    put(there, {"one": "1"}, OTHER, seal=True)
    for key, of in ((KEY, 1), (OTHER, 99)):
        with pytest.raises(WrongKey, match=f"does not open all contents .*{of} of 100 sealed") as caught:
            vecload.load(rows(1), **{**there, "key": key})
        assert "old_contents_keys" in caught.value.hint
        assert "seal=True" in caught.value.hint
    assert vecload.load(rows(1), **there, seal=True).loaded == 1
    assert "contents that this key does not open (1 of 100 sealed contents looked at" in caplog.text
    both = vecload.Key(KEY.index_key, OTHER.contents_key, (KEY.contents_key,))
    assert vecload.load(rows(1), **{**there, "key": both}).loaded == 1


def test_the_command_stops_with_one_line_and_goes_on_when_it_is_said(
    there: dict[str, Any], other_writer: Write, tmp_path: Path
) -> None:
    KEY.save(tmp_path / "key")
    other_writer({"old": "plain"})
    path = write_jsonl(tmp_path / "rows.jsonl", rows(2))
    place = ("--to", there["to"], "--index", there["index"], "--key-file", tmp_path / "key")

    stopped = command("upsert", path, *place, "--json")
    inspected = command("inspect", path, *place, "--json")
    assert (stopped.code, inspected.code) == (2, 2)
    assert json.loads(inspected.out)["error"] in stopped.error
    assert "not sealed (1 of 1 looked at); --no-seal adds" in stopped.error
    assert json.loads(stopped.out)["exit_code"] == json.loads(inspected.out)["exit_code"] == 2

    assert command("upsert", path, *place, "--no-seal").code == 0
    assert command("upsert", path, *place).code == 2
    on = command("upsert", path, *place, variables={"VECLOAD_SEAL": "true"})
    assert on.code == 0
    assert "holds unsealed contents (3 of 3 looked at): sealed ones are added" in on.err
    assert list(sealed(there).values()).count(True) == 2
    warned = command("inspect", path, *place, "--no-seal")
    assert warned.code == 0
    assert "holds sealed contents (2 of 3 looked at)" in warned.out


# Python


def test_the_first_upsert_from_python_stops_at_unsealed_contents(
    there: dict[str, Any], other_writer: Write, index: Callable[..., vecload.Index]
) -> None:
    other_writer({"old": "plain"})
    ours = index()
    ours.upsert(["bare"], vectors(1))  # no contents
    for _ in range(2):
        with pytest.raises(IndexMismatch, match="1 of 1 looked at"):
            add(ours)
        with pytest.raises(IndexMismatch):
            ours.upsert_binary(["x"], vectors(1), contents=["mine"])
    assert sorted(ours.list_ids()) == ["bare", "old"]
    add(index(seal=False), ("a",))
    add(index(seal=True), ("b",))
    got = {item["id"]: item["sealed"] for item in ours.get(["old", "a", "b"], ["sealed"])}
    assert got == {"old": False, "a": False, "b": True}


def test_python_finds_a_contents_key_that_does_not_open_what_is_there(
    index: Callable[..., vecload.Index],
) -> None:
    add(index(), ("a", "b"))
    for seal in (None, True):
        with pytest.raises(WrongKey, match="another contents key"):
            add(index(OTHER, seal=seal))
    add(index(OTHER, seal=False), ("c",))
    assert sorted(index().list_ids()) == ["a", "b", "c"]


def test_an_index_object_looks_once(
    there: dict[str, Any], index: Callable[..., vecload.Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = index()
    asked: list[int] = []
    raw = ours._index  # noqa: SLF001 what it asks
    real = raw.sample_ids
    monkeypatch.setattr(type(raw), "sample_ids", lambda self, most: asked.append(most) or real(most))
    add(ours, ("a",))  # an empty index has no ids to ask for
    add(ours, ("b",))
    again = index()
    add(again, ("c",))
    add(again, ("d",))
    assert len(asked) == 1


@pytest.mark.parametrize("seal", [0, 1, "yes"])
def test_seal_takes_true_false_and_none_alone(
    there: dict[str, Any], index: Callable[..., vecload.Index], seal: Any
) -> None:
    with pytest.raises(UsageError, match="neither True nor False"):
        index(seal=seal)
    with pytest.raises(UsageError, match="neither True nor False"):
        vecload.load(rows(1), **there, seal=seal)


# Types


def test_unsealed_contents_are_text_on_both_engines_whoever_wrote_them(
    there: dict[str, Any], other_writer: Write, index: Callable[..., vecload.Index]
) -> None:
    put(there, {"ours": "zażółć \0 😀", "our bytes": b"\xff\x00bytes"}, KEY, seal=False)
    other_writer({"theirs": "zażółć \0 😀"})
    ids = ["ours", "our bytes", "theirs"]
    expected = ["zażółć \0 😀", "/wBieXRlcw==", "zażółć \0 😀"]
    for seal in (None, True, False):
        got = index(seal=seal).get(ids, ["contents", "sealed"])
        assert [(item["contents"], item["sealed"]) for item in got] == [(text, False) for text in expected]


def test_the_command_prints_the_same_text_from_both_engines(
    there: dict[str, Any], other_writer: Write, tmp_path: Path
) -> None:
    put(there, {"ours": "text", "our bytes": b"\xff\x00bytes"}, KEY, seal=False)
    other_writer({"theirs": "text"})
    KEY.save(tmp_path / "key")
    got = command(
        *("get", "ours", "our bytes", "theirs", "--to", there["to"], "--index", there["index"]),
        *("--key-file", tmp_path / "key"),
    )
    assert got.code == 0, got.err
    assert [json.loads(line)["contents"] for line in got.out.splitlines()] == ["text", "/wBieXRlcw==", "text"]


def test_bytes_that_the_official_client_wrote_come_back_as_its_base64_text(
    service: str, index_name: str
) -> None:
    client = cyborgdb.Client(service)
    theirs = client.create_index(index_name, KEY.index_key, dimension=DIMENSION)
    theirs.upsert([{"id": "a", "vector": vectors(1)[0], "contents": b"\xff\x00bytes"}])
    theirs.upsert_binary(["b", "c"], vectors(2), contents=[b"\xff\x00bytes", "/wBieXRlcw=="])
    with vecload.connect(service) as connection:
        got = connection.open_index(index_name, KEY).get(["a", "b", "c"])
    # Nothing tells the two apart: the client itself returns this text for each.
    assert [item["contents"] for item in got] == ["/wBieXRlcw=="] * 3
    assert [item["contents"] for item in theirs.get(["a", "b", "c"])] == ["/wBieXRlcw=="] * 3
    client.api_client.rest_client.pool_manager.clear()


def test_bytes_that_the_engine_itself_was_given_are_bytes_only_if_they_are_not_text(tmp_path: Path) -> None:
    place = {"to": str(tmp_path / "store"), "index": "docs"}
    with vecload.connect(place["to"]) as connection:
        connection.create_index("docs", KEY, dimension=DIMENSION)
    gc.collect()
    cyborgdb_core.Logger.instance().configure("critical")
    client = cyborgdb_core.Client(storage_config=cyborgdb_core.StorageConfig.disk(place["to"]))
    index = client.load_index("docs", KEY.index_key, cyborgdb_core.Logger.instance())
    contents = [b"\xff\x00raw", b"plain", "text"]
    items = [
        {"id": str(n), "vector": vector, "contents": value}
        for n, (value, vector) in enumerate(zip(contents, vectors(3), strict=True))
    ]
    index.upsert(items, index_key=KEY.index_key)
    del index, client
    gc.collect()
    with vecload.connect(place["to"]) as connection:
        ours = connection.open_index("docs", KEY)
        assert [item["contents"] for item in ours.get(["0", "1", "2"])] == [b"\xff\x00raw", "plain", "text"]
        with pytest.raises(IndexMismatch, match="3 of 3"):
            add(ours)
    del ours
    gc.collect()


def test_text_that_begins_like_an_envelope_is_read_as_one(
    there: dict[str, Any], index: Callable[..., vecload.Index]
) -> None:
    look_alike = "VkxFMQEB" + "A" * 200
    ours = index(seal=False)
    ours.upsert_binary(["like", "plain"], vectors(2), contents=[look_alike, "text"])
    unopened: dict[str, vecload.SealError] = {}
    got = ours.get(["like", "plain"], unopened=unopened)
    assert [(item["id"], item["contents"]) for item in got] == [("plain", "text")]
    assert [(item_id, error.outcome) for item_id, error in unopened.items()] == [("like", "unknown key")]
    assert ours._index.get(["like"], ["contents"])[0].contents == look_alike  # noqa: SLF001 as it is stored


def test_reading_opens_envelopes_whatever_seal_says_and_an_envelope_can_be_stored_again(
    there: dict[str, Any], index: Callable[..., vecload.Index]
) -> None:
    index().upsert_binary(["text", "bytes"], vectors(2), contents=["text", b"\xff"])
    for seal in (None, True, False):
        got = index(seal=seal).get(["text", "bytes"], ["contents", "sealed"])
        assert [(item["contents"], item["sealed"]) for item in got] == [("text", True), (b"\xff", True)]
    plain = index(seal=False)
    (raw,) = plain._index.get(["text"], ["contents"])  # noqa: SLF001 a copy of what the target holds
    assert raw.contents is not None
    plain.upsert_binary(["text"], vectors(1), contents=[raw.contents])
    assert plain.get(["text"])[0]["contents"] == "text"


def test_the_official_client_and_vecload_read_one_index_that_both_write_unsealed(
    service: str, index_name: str
) -> None:
    client = cyborgdb.Client(service)
    theirs = client.create_index(index_name, KEY.index_key, dimension=DIMENSION)
    theirs.upsert([{"id": "theirs", "vector": vectors(1)[0], "contents": "by them"}])
    there = {"to": service, "index": index_name, "key": KEY}
    with pytest.raises(IndexMismatch):
        vecload.load(rows(2), **there)
    assert vecload.load(rows(2), **there, seal=False).loaded == 2
    assert {item["id"]: item["contents"] for item in theirs.get(["theirs", "new-0", "new-1"])} == {
        "theirs": "by them",
        "new-0": "text 0",
        "new-1": "text 1",
    }
    client.api_client.rest_client.pool_manager.clear()
