"""The service as a target: API keys, addresses, and bodies of a size that it can stand."""

from __future__ import annotations

import base64
import gc
import json
import os
import socket
import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.servers import Service, free_port
from vecload.batch import Batch, Contents, Span
from vecload.errors import (
    IndexNotFound,
    NotTrusted,
    Unauthorised,
    Unreachable,
    UsageError,
    VecloadError,
    WrongKey,
)
from vecload.options import WireFormat
from vecload.targets import IndexSettings, Query, Reach, TargetIndex, connect_target
from vecload.targets.location import service_address
from vecload.targets.service import BODY_MAX_BYTES, ServiceIndex, ServiceTarget
from vecload.targets.transport import Answer
from vecload.targets.wire import Body

KEY = bytes(range(32))


def batch(vectors: np.ndarray, contents: list[Contents | None] | None = None) -> Batch:
    n = len(vectors)
    return Batch([f"i{k}" for k in range(n)], vectors, None, contents, Span("rows", 0, n))


@pytest.fixture
def target(service: str) -> Iterator[ServiceTarget]:
    with ServiceTarget(service) as made:
        yield made


@pytest.fixture
def index(target: ServiceTarget, index_name: str) -> TargetIndex:
    return target.create_index(index_name, KEY, IndexSettings())


def test_the_right_api_key_opens_the_service(service_with_key: Service, index_name: str) -> None:
    with ServiceTarget(service_with_key.url, api_key=service_with_key.root_key) as target:
        index = target.create_index(index_name, KEY, IndexSettings())
        assert index.upsert(batch(np.ones((2, 4), dtype=np.float32))).items == 2
        assert index_name in target.list_indexes()


@pytest.mark.parametrize("api_key", [None, "", "wrong", "Bearer wrong", "cdbk_0123456789abcdef", "x" * 5000])
def test_any_other_api_key_is_refused_and_not_repeated(
    service_with_key: Service, index_name: str, api_key: str | None
) -> None:
    with ServiceTarget(service_with_key.url, api_key=api_key) as target:
        assert target.healthy()
        for ask in (
            target.list_indexes,
            lambda: target.open_index(index_name, KEY),
            lambda: target.create_index(index_name, KEY, IndexSettings()),
        ):
            with pytest.raises(Unauthorised) as caught:
                ask()
            assert caught.value.exit_code == 6
            assert not caught.value.retryable
            assert "VECLOAD_API_KEY" in caught.value.hint
            if api_key and len(api_key) > 5:
                assert api_key not in str(caught.value)


class _Recorder:
    """In the place of a service: keeps what it is asked, and finds nothing for each vector."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def request(self, method: str, path: str, body: Body, **_: Any) -> Answer:
        fields = json.loads(b"".join(body))
        self.asked.append((path, fields))
        vectors = fields.get("query_vectors") or [fields.get("query_contents")]
        if "batch" in fields:
            size = len(base64.b64decode(fields["batch"]["vectors_b64"]))
            vectors = [[]] * (size // 4 // fields["batch"]["dimension"])
        several = len(vectors) > 1 and isinstance(vectors[0], list)
        return Answer(200, {}, json.dumps({"results": [[]] * len(vectors) if several else []}).encode())


def recorded(wire: WireFormat) -> tuple[_Recorder, ServiceIndex]:
    recorder = _Recorder()
    made: Any = recorder
    return recorder, ServiceIndex(made, "docs", KEY, opened_by="index key", wire=wire, binary_threshold=2)


def test_several_vectors_go_out_a_hundred_at_a_time_as_bytes_or_as_numbers() -> None:
    vectors = np.random.default_rng(0).standard_normal((250, 3), dtype=np.float32)
    for wire, path in (("auto", "/v1/vectors/query_binary"), ("json", "/v1/vectors/query")):
        recorder, index = recorded(wire)
        assert index.query(Query(vectors, 5, filters={"n": 1})) == [[]] * 250
        assert [asked for asked, _ in recorder.asked] == [path] * 3
        assert [fields["filters"] for _, fields in recorder.asked] == [{"n": 1}] * 3
        sent = [
            np.frombuffer(base64.b64decode(fields["batch"]["vectors_b64"]), "<f4").reshape(-1, 3)
            if "batch" in fields
            else np.array(fields["query_vectors"], np.float32)
            for _, fields in recorder.asked
        ]
        assert [len(part) for part in sent] == [100, 100, 50]
        assert np.concatenate(sent).tobytes() == vectors.tobytes()


def test_one_vector_and_contents_go_out_as_json_and_nothing_goes_that_was_not_given() -> None:
    recorder, index = recorded("auto")
    assert index.query(Query(np.array([[0.1, 2]], np.float32), 5)) == [[]]
    assert index.query(Query(None, 7, contents="a text", include=())) == [[]]
    key = {"index_name": "docs", "index_key": KEY.hex()}
    assert recorder.asked == [
        (
            "/v1/vectors/query",
            {
                **key,
                "top_k": 5,
                "include": ["distance", "metadata"],
                "query_vectors": [float(np.float32(0.1)), 2.0],
            },
        ),
        ("/v1/vectors/query", {**key, "top_k": 7, "include": [], "query_contents": "a text"}),
    ]


def test_long_vectors_go_out_in_bodies_below_the_limit() -> None:
    recorder, index = recorded("json")
    vectors = np.full((9, 65535), 1 / 3, np.float32)
    index.query(Query(vectors, 1))
    assert sum(len(np.atleast_2d(fields["query_vectors"])) for _, fields in recorder.asked) == 9
    assert all(len(json.dumps(fields)) < BODY_MAX_BYTES for _, fields in recorder.asked)


def test_an_api_key_is_not_needed_where_none_is_asked_for(service: str) -> None:
    with ServiceTarget(service, api_key="whatever") as target:
        assert isinstance(target.list_indexes(), list)


@pytest.mark.parametrize("api_key", ["two\nlines", "ключ", "nul\0", "trailing\r"])
def test_an_api_key_that_no_header_can_hold_is_refused_before_anything_is_sent(api_key: str) -> None:
    with pytest.raises(UsageError, match="API key") as caught:
        ServiceTarget("http://127.0.0.1:9", api_key=api_key)
    assert api_key not in str(caught.value)


def test_a_target_shows_neither_keys_nor_api_keys(service: str, index_name: str) -> None:
    with ServiceTarget(service, api_key="the-api-key") as target:
        shown = repr(target) + repr(target.create_index(index_name, KEY, IndexSettings()))
        assert service in shown
        assert "the-api-key" not in shown
        assert KEY.hex() not in shown


def test_both_ways_in_which_the_service_words_a_wrong_key_are_known(
    target: ServiceTarget, index_name: str
) -> None:
    # A thread of the service that has not loaded the index says 404, one that has says 401.
    # So the index is created without being described.
    fields = {"index_name": index_name, "index_key": KEY.hex(), "dimension": 4}
    target.request("POST", "/v1/indexes/create", Body(json.dumps(fields).encode()))
    with pytest.raises(WrongKey, match="Failed to unwrap DEK"):
        target.open_index(index_name, os.urandom(32))
    for _ in range(10):
        target.open_index(index_name, KEY)
    with pytest.raises(WrongKey, match="Wrong encryption key"):
        target.open_index(index_name, os.urandom(32))


def test_a_key_with_letters_among_its_hex_digits_opens_on_every_thread(
    target: ServiceTarget, index_name: str
) -> None:
    key = bytes.fromhex("ABCDEFabcdef" * 5 + "FfEe")
    target.create_index(index_name, key, IndexSettings(dimension=4))
    for _ in range(10):
        assert target.open_index(index_name, key).count() == 0


def test_a_service_that_is_not_there_is_told_with_its_address(index_name: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with ServiceTarget(url) as target:
        with pytest.raises(Unreachable, match="refused") as caught:
            target.open_index(index_name, KEY)
        assert url in str(caught.value)
        assert "is running" in caught.value.hint
        assert caught.value.retryable
        assert not target.healthy()


def test_a_host_that_does_not_exist_is_told() -> None:
    exposed = Reach(insecure_http=True)
    with (
        ServiceTarget("http://no-such-host.invalid:8000", reach=exposed) as target,
        pytest.raises(Unreachable) as caught,
    ):
        target.list_indexes()
    assert "no-such-host.invalid" in str(caught.value)


def test_https_to_a_plain_port_is_told(service: str) -> None:
    with (
        ServiceTarget(service.replace("http:", "https:")) as target,
        pytest.raises(NotTrusted, match=r"https://127\.0\.0\.1:\d+ does not speak TLS; ") as caught,
    ):
        target.list_indexes()
    assert str(caught.value).isprintable()


def test_a_port_that_never_answers_is_not_healthy() -> None:
    # A listener with a full backlog neither accepts nor refuses.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with (
            ServiceTarget(url, request_seconds=0.3) as target,
            pytest.raises(Unreachable, match=r"no answer in 0\.3 s"),
        ):
            target.list_indexes()


def test_a_body_beyond_the_limit_is_sent_in_parts(index: TargetIndex) -> None:
    vectors = np.random.default_rng(0).standard_normal((2000, 1024), dtype=np.float32)
    ack = index.upsert(batch(vectors))
    assert ack.items == 2000
    assert ack.requests == {"binary": 2}
    assert ack.nbytes > BODY_MAX_BYTES
    assert index.count() == 2000
    for position in (0, 999, 1000, 1999):
        (item,) = index.get([f"i{position}"], ["vector"])
        assert item.vector is not None
        assert item.vector.tobytes() == vectors[position].tobytes()


def test_what_was_sent_or_could_not_be_stays_in_no_cycle(service: str, index_name: str) -> None:
    # A load waits a long time for the collector of cycles: it would hold gigabytes of batches.
    sent: list[weakref.ref[np.ndarray]] = []

    def body() -> Body:
        vectors = np.ones((1000, 4), dtype=np.float32)
        sent.append(weakref.ref(vectors))
        return Body(b"{", vectors.data.cast("B"), b"}")

    gc.disable()
    try:
        with ServiceTarget(service) as target:
            index = target.create_index(index_name, KEY, IndexSettings())
            vectors = np.ones((2, 4), dtype=np.float32)
            sent.append(weakref.ref(vectors))
            index.upsert(batch(vectors))
            del vectors
            with suppress(VecloadError):
                target.request("POST", "/v1/vectors/upsert_binary", body())
        with ServiceTarget(f"http://127.0.0.1:{free_port()}") as target, suppress(Unreachable):
            target.request("POST", "/v1/vectors/upsert_binary", body())
        assert [vectors() is None for vectors in sent] == [True] * 3
    finally:
        gc.enable()


def test_a_json_body_beyond_the_limit_is_sent_in_parts(service: str, index_name: str) -> None:
    contents: list[Contents | None] = [f"{n:06}" * 300_000 for n in range(7)]
    with ServiceTarget(service, wire="json") as target:
        index = target.create_index(index_name, KEY, IndexSettings())
        ack = index.upsert(batch(np.eye(7, 8, dtype=np.float32), contents))
        assert (ack.items, ack.requests) == (7, {"json": 2})
        assert [item.contents for item in index.get([f"i{n}" for n in range(7)], ["contents"])] == contents


def test_the_last_row_of_an_id_wins_across_parts(index: TargetIndex) -> None:
    contents: list[Contents | None] = [letter * 4_000_000 for letter in "abcd"]
    sent = Batch(["x", "y", "x", "x"], np.eye(4, dtype=np.float32), None, contents, Span("rows", 0, 4))
    assert sum(index.upsert(sent).requests.values()) >= 2
    (item,) = index.get(["x"], ["contents"])
    assert item.contents == "d" * 4_000_000


def test_an_item_beyond_the_limit_goes_alone(index: TargetIndex) -> None:
    contents: list[Contents | None] = ["small", "x" * (BODY_MAX_BYTES + 1)]
    assert index.upsert(batch(np.eye(2, dtype=np.float32), contents)).items == 2
    assert [len(str(item.contents)) for item in index.get(["i0", "i1"], ["contents"])] == [5, 10_000_001]


def test_one_item_goes_as_json_and_more_as_binary(index: TargetIndex) -> None:
    assert index.upsert(batch(np.ones((1, 4), dtype=np.float32))).requests == {"json": 1}
    assert index.upsert(batch(np.ones((2, 4), dtype=np.float32))).requests == {"binary": 1}


def test_more_threads_than_connections_all_get_their_answers(
    target: ServiceTarget, index: TargetIndex
) -> None:
    index.upsert(batch(np.eye(4, dtype=np.float32)))
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(index.count())) for _ in range(70)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert counts == [4] * 70


@pytest.mark.parametrize(
    ("given_url", "location"),
    [
        ("http://Example.COM:8000", "http://example.com:8000"),
        ("HTTPS://example.com/", "https://example.com"),
        ("http://example.com/v1/", "http://example.com"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://127.0.0.1", "http://127.0.0.1"),
    ],
)
def test_an_address_has_one_spelling(given_url: str, location: str) -> None:
    assert service_address(given_url).location == location


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com",
        "s3://bucket/prefix",
        "http://",
        "http://:8000",
        "http://example.com:99999",
        "http://example.com:port",
        "http://[::1",
        "http://user:secret@example.com",
        "http://example.com/index/docs",
        "http://example.com?x=1",
        "http://exa mple.com",
        "http://a..b",
        "ftp://user:secret@example.com",
        "http://user:secret@example.com:port",
        "http://" + "a" * 64 + ".example.com",
    ],
)
def test_what_is_no_address_of_a_service_is_refused(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        connect_target(url)
    assert caught.value.exit_code == 2
    assert "secret" not in str(caught.value)


@given(st.text(max_size=20), st.text(max_size=5))
def test_an_address_of_garbage_is_refused_or_usable(host: str, port: str) -> None:
    with suppress(UsageError):
        ServiceTarget(f"http://{host}:{port}").close()


@pytest.mark.parametrize(
    "host", ["xn--", "xn--a", "a..b", "..", "[::1", "a" * 80 + ".com", "a b", "127.0.0.1:-1"]
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_host_that_can_be_none_is_an_error_of_one_line(scheme: str, host: str) -> None:
    with pytest.raises(UsageError, match="is not the address of a service"):
        ServiceTarget(f"{scheme}://{host}")


def test_a_service_without_metadata_queries_is_asked_for_all_ids(
    target: ServiceTarget, index: TargetIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.upsert(batch(np.ones((50, 4), dtype=np.float32)))
    real, paths = target.request, []

    def request(method: str, path: str, *args: Any, **named: Any) -> Any:
        """As a service of 0.17 answers: 404 for a path that it does not have."""
        paths.append(path)
        return real(method, path.replace("query_metadata", "not-there"), *args, **named)

    monkeypatch.setattr(target, "request", request)
    some = index.sample_ids(20)
    assert paths == ["/v1/vectors/query_metadata", "/v1/vectors/list_ids"]
    assert (len(some), len({*some}), {*some} <= {f"i{k}" for k in range(50)}) == (20, 20, True)
    assert index.sample_ids(20) == some
    assert len(index.sample_ids(99)) == 50


def test_a_sample_that_is_refused_is_not_asked_for_in_another_way(index: TargetIndex) -> None:
    index.drop()
    with pytest.raises(IndexNotFound):
        index.sample_ids(20)
