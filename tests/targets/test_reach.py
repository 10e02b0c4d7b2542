"""A service below a path or behind a proxy is reached as the user says. No path and no password is shown."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecload
from tests.certificates import Authority, Identity
from tests.gateways import HttpProxy, PrefixGateway, TlsGateway
from tests.servers import Listener, free_port
from vecload.batch import Batch, Span
from vecload.errors import (
    ClientRefused,
    IndexNotFound,
    ItemTypeError,
    TargetError,
    Unreachable,
    UsageError,
    VecloadError,
)
from vecload.sealing.keys import stored_key_paths
from vecload.targets import IndexSettings, Reach, connect_target
from vecload.targets.location import service_address
from vecload.targets.service import ServiceTarget

KEY = bytes(range(32))
TOKEN = "7f3a-tenant-token-9c1e"  # noqa: S105 of no service
PASSWORD = "p@ss/w#rd"  # noqa: S105
QUOTED = "p%40ss%2Fw%23rd"
BOTH = Batch(["a", "b"], np.eye(2, 4, dtype=np.float32), None, None, Span("rows", 0, 2))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def identity(authority: Authority) -> Identity:
    return authority.issue("service")


@pytest.fixture(scope="module")
def secure(service: str, identity: Identity) -> Iterator[TlsGateway]:
    with TlsGateway(service, identity) as gateway:
        yield gateway


def everything_of(error: BaseException) -> str:
    """All that an error and what it was raised from would show."""
    shown, cause = "", error
    while cause is not None:
        shown += f"{cause} {cause!r} {cause.args} {vars(cause)}"
        cause = cause.__cause__ or cause.__context__  # type: ignore[assignment]
    return shown


# --- paths


@pytest.mark.parametrize(
    ("url", "prefix"),
    [
        ("https://h/cyborgdb", "/cyborgdb"),
        ("https://h/cyborgdb/", "/cyborgdb"),
        ("https://h/cyborgdb/v1", "/cyborgdb"),
        ("https://h/cyborgdb/v1/", "/cyborgdb"),
        ("https://H/A/b-c_d.e~f/%7e", "/A/b-c_d.e~f/%7e"),
        ("https://h/v1", ""),
        ("https://h/v1/x", "/v1/x"),
        ("https://h/v10", "/v10"),
    ],
)
def test_a_path_is_the_prefix_of_the_services_own(url: str, prefix: str) -> None:
    assert service_address(url).prefix == prefix


@pytest.mark.parametrize(
    "path",
    [
        *("//secret", "/a//secret", "/../secret", "/./secret", "/%2e%2E/secret", "/secret secret", "/sécret"),
        *("/secret%", "/secret%g0", "/secret\\x", "/secret\tx", "/secret\nx", "/secret?", "/secret#"),
        *("/x?token=secret", "/secret//", "/secret//v1"),
    ],
)
def test_what_can_be_no_path_is_refused_and_not_shown(path: str) -> None:
    with pytest.raises(UsageError) as caught:
        service_address(f"https://host.example{path}")
    assert caught.value.exit_code == 2
    assert "secret" not in everything_of(caught.value)
    assert "host.example" in str(caught.value)


def test_two_paths_are_two_targets_and_neither_is_shown(tmp_path: Path) -> None:
    one, other = (service_address(f"https://host/{TOKEN}{n}").location for n in "12")
    assert one != other
    assert one.startswith("https://host/…")
    assert TOKEN not in one + repr(service_address(f"https://host/{TOKEN}"))
    assert service_address("https://host").location == "https://host"
    files = {stored_key_paths(tmp_path, place, "docs")[0] for place in (one, other, "https://host")}
    assert len(files) == 3
    with pytest.raises(UsageError):
        service_address(one)  # as a message shows it


def test_a_service_below_a_path_does_all_that_a_service_does(service: str, index_name: str) -> None:
    with PrefixGateway(service, f"/{TOKEN}") as gateway:
        for url in (f"{gateway.url}/{TOKEN}", f"{gateway.url}/{TOKEN}/v1/"):
            with ServiceTarget(url) as target:
                assert target.healthy()
                index = target.create_index(index_name, KEY, IndexSettings(dimension=4))
                assert index.upsert(BOTH).items == 2
                assert {item.id for item in index.get(["a", "b", "c"], [])} == {"a", "b"}
                assert index_name in target.list_indexes()
                assert TOKEN not in f"{target!r} {index!r} {target.location} {target._connections!r}"  # noqa: SLF001
                index.drop()
        assert gateway.paths
        assert all(path.startswith(f"/{TOKEN}/v1/") for path in gateway.paths)
        with ServiceTarget(service) as target, pytest.raises(IndexNotFound):
            target.open_index(index_name, KEY)


@pytest.mark.parametrize("status", [200, 301, 400, 401, 404, 422, 500, 503])
def test_no_error_repeats_the_path(status: int) -> None:
    class Echo(Listener):
        def serve(self, connection: socket.socket) -> None:
            with connection:
                connection.recv(65536)
                body = b'{"detail":"Index not found: /%b/v1/indexes/list"}' % TOKEN.encode()
                head = b"HTTP/1.1 %d Whatever\r\nLocation: /%b\r\nContent-Length: %d\r\n\r\n"
                connection.sendall(head % (status, TOKEN.encode(), len(body)) + body)

    with Echo() as echo, ServiceTarget(f"{echo.url}/{TOKEN}") as target:
        with pytest.raises(VecloadError) as caught:
            target.list_indexes()
        assert TOKEN not in everything_of(caught.value)
    with ServiceTarget(f"http://127.0.0.1:{free_port()}/{TOKEN}") as target:
        with pytest.raises(Unreachable) as missing:
            target.list_indexes()
        assert TOKEN not in everything_of(missing.value)


def test_a_wrong_path_says_what_to_check(service: str) -> None:
    with PrefixGateway(service, "/right") as gateway, ServiceTarget(f"{gateway.url}/wrong") as target:
        with pytest.raises(TargetError, match="answered 404") as caught:
            target.list_indexes()
        assert "is this the address of a CyborgDB service?" in caught.value.hint
        assert not caught.value.retryable


# --- keys in the clear


@pytest.mark.parametrize(
    ("url", "proxy", "where"),
    [
        ("http://192.0.2.1:8000", None, "http://192.0.2.1:8000"),
        ("http://db.internal", None, "http://db.internal"),
        ("http://localhost.example.com", None, "http://localhost.example.com"),
        ("http://[2001:db8::1]:8000", None, "http://[2001:db8::1]:8000"),
        ("http://0.0.0.0:8000", None, "http://0.0.0.0:8000"),
        ("http://127.0.0.1:8000", "http://proxy.internal:3128", "the proxy http://proxy.internal:3128"),
    ],
)
def test_keys_do_not_travel_unencrypted_unless_the_user_says_so(
    url: str, proxy: str | None, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", None)  # nothing is looked up or sent
    monkeypatch.setattr(socket.socket, "connect", None)
    with pytest.raises(UsageError, match="keys would travel unencrypted") as caught:
        connect_target(url, reach=Reach(proxy=proxy))
    assert str(caught.value).startswith(f"keys would travel unencrypted to {where}; ")
    assert "--insecure-http" in caught.value.hint
    connect_target(url, reach=Reach(proxy=proxy, insecure_http=True)).close()
    with pytest.raises(UsageError, match="insecure_http=True"):
        vecload.connect(url, proxy=proxy)
    with pytest.raises(UsageError, match="insecure_http=True"):
        vecload.load([{"id": "a", "vector": [1.0]}], to=url, index="x", key=KEY, proxy=proxy)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.8.9.1", "[::1]"])
def test_loopback_needs_no_permission(host: str) -> None:
    for proxy in (None, "http://127.0.0.1:3128"):
        connect_target(f"http://{host}:8000", reach=Reach(proxy=proxy)).close()
    connect_target("https://db.internal", reach=Reach(proxy="http://proxy.internal")).close()


# --- proxies


@pytest.mark.parametrize("user", [None, f"me:{PASSWORD}"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_service_is_reached_through_a_proxy(
    service: str, secure: TlsGateway, authority: Authority, index_name: str, scheme: str, user: str | None
) -> None:
    with HttpProxy(user) as proxy:
        url = proxy.url.replace("://", f"://me:{QUOTED}@") if user else proxy.url
        reach = Reach(authority.file, proxy=url)
        with ServiceTarget(
            service if scheme == "http" else secure.url, api_key="the-key", reach=reach
        ) as target:
            index = target.create_index(index_name, KEY, IndexSettings(dimension=4))
            assert index.upsert(BOTH).items == 2
            assert index.count() == 2
            index.drop()
        assert PASSWORD not in repr(reach)
        assert QUOTED not in repr(reach)
    assert proxy.heads
    for head in proxy.heads:
        if scheme == "https":
            assert head.startswith(f"CONNECT {secure.url.removeprefix('https://')} HTTP/1.1\r\n".encode())
            assert b"the-key" not in head
        else:
            assert head.split()[1].startswith(f"{service}/v1/".encode())


def test_proxies_of_the_environment_are_ignored(
    secure: TlsGateway, service: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        for spelling in (name, name.lower()):
            monkeypatch.setenv(spelling, f"http://127.0.0.1:{free_port()}")
    for url in (secure.url, service):
        with ServiceTarget(url, reach=Reach(authority.file)) as target:
            assert target.healthy()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("user", "says"),
    [(None, "requires a user; set VECLOAD_PROXY="), ("me:wrong-one", "refuses the user and password")],
)
def test_a_proxy_that_asks_for_a_password_says_so(
    service: str,
    secure: TlsGateway,
    caplog: pytest.LogCaptureFixture,
    scheme: str,
    user: str | None,
    says: str,
) -> None:
    caplog.set_level("DEBUG")
    with HttpProxy(f"me:{PASSWORD}") as proxy:
        url = proxy.url.replace("://", f"://{user}@") if user else proxy.url
        with ServiceTarget(service if scheme == "http" else secure.url, reach=Reach(proxy=url)) as target:
            with pytest.raises(ClientRefused) as caught:
                target.list_indexes()
            assert target.healthy()  # waiting would not help
    assert f"the proxy {proxy.url} {says}" in str(caught.value)
    assert caught.value.exit_code == 6
    assert not caught.value.retryable
    for secret in ("wrong-one", base64.b64encode(b"me:wrong-one").decode()):
        assert secret not in everything_of(caught.value)
        assert secret not in caplog.text
        assert secret not in "".join(f"{vars(record)}" for record in caplog.records)


def test_a_proxy_that_refuses_or_fails_is_named(secure: TlsGateway, authority: Authority) -> None:
    nowhere = f"https://127.0.0.1:{free_port()}"
    with HttpProxy(allowed=False) as proxy, ServiceTarget(secure.url, reach=Reach(proxy=proxy.url)) as target:
        with pytest.raises(ClientRefused) as refused:
            target.list_indexes()
        assert f"the proxy {proxy.url} allows no connection to {secure.url} (403)" in str(refused.value)
    with HttpProxy() as proxy, ServiceTarget(nowhere, reach=Reach(proxy=proxy.url)) as target:
        with pytest.raises(Unreachable) as failed:
            target.list_indexes()
        assert f"the proxy {proxy.url} has no connection to {nowhere} (502)" in str(failed.value)
        assert failed.value.retryable
    missing = f"http://127.0.0.1:{free_port()}"
    with ServiceTarget(secure.url, reach=Reach(authority.file, proxy=missing)) as target:
        with pytest.raises(Unreachable) as absent:
            target.list_indexes()
        assert (
            str(absent.value) == f"no connection to the proxy {missing} (connection refused); check --proxy"
        )


def test_a_certificate_is_looked_at_through_a_proxy(secure: TlsGateway) -> None:
    with HttpProxy() as proxy, ServiceTarget(secure.url, reach=Reach(proxy=proxy.url)) as target:
        with pytest.raises(TargetError, match=f"the certificate of {secure.url} is signed by") as caught:
            target.list_indexes()
        assert caught.value.exit_code == 2


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["silent", "silent after CONNECT"])
def test_a_request_through_a_proxy_ends_in_time(answer: bytes) -> None:
    class Slow(Listener):
        def serve(self, connection: socket.socket) -> None:
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
                while connection.recv(65536):
                    pass

    with Slow() as proxy:
        reach = Reach(proxy=proxy.url)
        with (
            ServiceTarget("https://db.example.com", reach=reach, request_seconds=0.3) as target,
            pytest.raises(Unreachable) as caught,
        ):
            target.list_indexes()
    assert "db.example.com" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        *("proxy:3128", "https://proxy:3128", "socks5://proxy:1080", "http://", "http://proxy:99999"),
        *("http://proxy/path", "http://me:p@ss#word@proxy:3128", "http://me:pass?word@proxy"),
        *("http://me:pa/ss@proxy:3128", "http://[::1"),
    ],
)
def test_what_is_no_proxy_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(UsageError, match="--proxy is not the URL of an HTTP proxy") as caught:
        Reach(proxy=url)
    assert "ss" not in everything_of(caught.value).replace("password", "").replace("class", "")


# --- files


def test_the_files_of_certificates_are_checked_before_anything_is_sent(
    tmp_path: Path, authority: Authority, identity: Identity
) -> None:
    junk, open_key, other = tmp_path / "junk", tmp_path / "open.key", authority.issue("other")
    junk.write_bytes(b"\x30\x82")
    junk.chmod(0o600)
    open_key.write_bytes(identity.key.read_bytes())
    open_key.chmod(0o644)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"ca_file": tmp_path / "none"}, "of --ca-file can't be read: No such file or directory"),
        ({"ca_file": tmp_path}, "of --ca-file can't be read: Is a directory"),
        ({"ca_file": junk}, "of --ca-file has no certificate in PEM form; convert it: openssl x509"),
        ({"ca_file": identity.key}, "of --ca-file has no certificate in PEM form"),
        ({"client_cert": tmp_path / "none"}, "of --client-cert can't be read"),
        ({"client_cert": identity.cert, "client_key": tmp_path / "none"}, "of --client-key can't be read"),
        (
            {"client_cert": identity.cert, "client_key": junk},
            "are not a certificate and its private key",
        ),
        (
            {"client_cert": identity.cert, "client_key": open_key},
            "can be read by others than its owner; run:",
        ),
        ({"client_cert": identity.cert, "client_key": other.key}, "is not the one of the certificate"),
        ({"client_cert": other.key}, "has no certificate and private key in PEM form; name the key with"),
    ]
    for given, says in cases:
        with pytest.raises(UsageError) as caught:
            connect_target("https://db.example.com", reach=Reach(**given))
        assert says in str(caught.value)
        assert caught.value.exit_code == 2
    identity.cert.chmod(0o600)
    with pytest.raises(UsageError, match="name the key with --client-key"):
        connect_target("https://db.example.com", reach=Reach(client_cert=identity.cert))


def test_an_encrypted_private_key_asks_nobody(tmp_path: Path, identity: Identity) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(identity.key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.touch(mode=0o600)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"a password"),
        )
    )
    with pytest.raises(UsageError, match="is encrypted; decrypt it"):
        connect_target("https://db.example.com", reach=Reach(client_cert=identity.cert, client_key=locked))


def test_values_of_the_wrong_kind_or_empty_are_refused() -> None:
    for name in ("ca_file", "client_cert", "client_key", "proxy"):
        for empty in ("", " ", "\n"):
            with pytest.raises(UsageError, match=f"^{name} is empty"):
                vecload.connect("https://h", **{name: empty})
            with pytest.raises(UsageError, match=f"^{name} is empty"):
                vecload.load("x", to="https://h", **{name: empty})
        with pytest.raises(ItemTypeError, match=f"^{name} is int, not text"):
            vecload.connect("https://h", **{name: 7})
    with pytest.raises(ItemTypeError, match="insecure_http is str"):
        vecload.connect("https://h", insecure_http="no")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="client_key is set without client_cert"):
        vecload.connect("https://h", client_key="x")
    with pytest.raises(TypeError, match="there is no option ca_fil; did you mean ca_file"):
        vecload.load("x", ca_fil="x")
