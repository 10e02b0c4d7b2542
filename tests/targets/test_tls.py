"""A service behind TLS is reached as the user says, or an error says what to do."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority, Identity, self_signed
from tests.gateways import TlsGateway
from tests.servers import Listener, Service
from vecload.errors import ClientRefused, NotTrusted, TargetError, UsageError
from vecload.targets import IndexSettings, Reach
from vecload.targets.service import ServiceTarget

KEY = bytes(range(32))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def identity(authority: Authority) -> Identity:
    return authority.issue("service")


@pytest.fixture(scope="module")
def secure_service(tmp_path_factory: pytest.TempPathFactory, identity: Identity) -> Iterator[Service]:
    """The real service, which speaks TLS itself."""
    with Service(tmp_path_factory.mktemp("secure"), identity=identity) as running:
        yield running


@pytest.fixture(scope="module")
def client(authority: Authority) -> Identity:
    return authority.issue("client", client=True)


def fails(target: ServiceTarget, kind: type[TargetError]) -> TargetError:
    """The error of a request; it is of that kind, of one line, and not worth another try."""
    with target, pytest.raises(TargetError) as caught:
        target.list_indexes()
    assert type(caught.value) is kind, repr(caught.value)
    assert not caught.value.retryable
    assert "\n" not in str(caught.value)
    return caught.value


def test_the_real_service_is_reached_by_its_authority(
    secure_service: Service, authority: Authority, index_name: str
) -> None:
    with ServiceTarget(secure_service.url, reach=Reach(authority.file)) as target:
        index = target.create_index(index_name, KEY, IndexSettings(dimension=4))
        assert index.count() == 0
        assert target.healthy()


def test_without_its_authority_the_error_names_the_option(secure_service: Service) -> None:
    error = fails(ServiceTarget(secure_service.url), NotTrusted)
    assert error.exit_code == 2
    assert str(error) == (
        f"the certificate of {secure_service.url} is signed by an authority that is not trusted; "
        "name the file of its authority with --ca-file, if you trust it"
    )


def test_the_authority_of_somebody_else_is_not_enough(secure_service: Service, tmp_path: Path) -> None:
    other = Authority(tmp_path, "another")
    error = fails(ServiceTarget(secure_service.url, reach=Reach(other.file)), NotTrusted)
    assert f"its authority is not in {other.file}" in str(error)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda authority: authority.issue("expired", begins=-3, ends=-1), "has expired"),
        (lambda authority: authority.issue("early", begins=1, ends=2), "is not valid yet"),
        (lambda authority: authority.issue("elsewhere", host="192.0.2.1"), "is for another address"),
        (lambda authority: authority.issue("purpose", client=True), "is not trusted (X.509 error 26)"),
    ],
    ids=["expired", "early", "elsewhere", "purpose"],
)
def test_a_bad_certificate_says_why(service: str, authority: Authority, make: Any, says: str) -> None:
    with TlsGateway(service, make(authority)) as gateway:
        error = fails(ServiceTarget(gateway.url, reach=Reach(authority.file)), NotTrusted)
    assert f"the certificate of {gateway.url} {says}; " in str(error)


def test_a_certificate_for_another_host_name_says_so(service: str, authority: Authority) -> None:
    with TlsGateway(service, authority.issue("named", host="db.example.com")) as gateway:
        url = gateway.url.replace("127.0.0.1", "localhost")
        error = fails(ServiceTarget(url, reach=Reach(authority.file)), NotTrusted)
    assert "is for another host; give --to the host name that the certificate has" in str(error)


def test_a_self_signed_certificate_is_trusted_if_it_is_named(service: str, tmp_path: Path) -> None:
    identity = self_signed(tmp_path)
    with TlsGateway(service, identity) as gateway:
        error = fails(ServiceTarget(gateway.url), NotTrusted)
        assert "is its own authority, which is not trusted; name the file of its authority" in str(error)
        with ServiceTarget(gateway.url, reach=Reach(identity.cert)) as target:
            assert target.healthy()


def test_a_named_certificate_is_trusted_without_its_authority(service: str, identity: Identity) -> None:
    with (
        TlsGateway(service, identity) as gateway,
        ServiceTarget(gateway.url, reach=Reach(identity.cert)) as target,
    ):
        assert target.list_indexes() is not None


def test_the_systems_variable_still_counts(
    service: str, identity: Identity, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    with TlsGateway(service, identity) as gateway, ServiceTarget(gateway.url) as target:
        assert target.list_indexes() is not None


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate_is_shown(
    service: str,
    identity: Identity,
    authority: Authority,
    client: Identity,
    newest: ssl.TLSVersion,
    tmp_path: Path,
) -> None:
    both = tmp_path / "both.pem"
    both.touch(mode=0o600)
    both.write_bytes(client.cert.read_bytes() + client.key.read_bytes())
    with TlsGateway(service, identity, clients=str(authority.file), newest=newest) as gateway:
        for reach in (Reach(authority.file, client.cert, client.key), Reach(authority.file, both)):
            with ServiceTarget(gateway.url, reach=reach) as target:
                assert target.list_indexes() is not None


def test_a_certificate_alone_is_no_secret_and_needs_its_key(client: Identity) -> None:
    client.cert.chmod(0o644)
    with pytest.raises(UsageError, match="has no certificate and private key") as caught:
        ServiceTarget("https://db.example.com", reach=Reach(client_cert=client.cert))
    assert caught.value.hint == "name the key with --client-key"


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_missing_client_certificate_is_asked_for(
    service: str, identity: Identity, authority: Authority, newest: ssl.TLSVersion
) -> None:
    with TlsGateway(service, identity, clients=str(authority.file), newest=newest) as gateway:
        for _ in range(20):  # its alert comes while the request is written, or after
            target = ServiceTarget(gateway.url, reach=Reach(authority.file))
            assert target.healthy()  # waiting would not help
            with target, pytest.raises(TargetError) as caught:
                target.list_indexes()
            assert "--client-cert" in str(caught.value)
            assert not caught.value.retryable
            if newest is ssl.TLSVersion.TLSv1_3:
                assert caught.value.exit_code == 6
                assert "requires a client certificate; name yours" in str(caught.value)


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate_of_somebody_else_is_refused(
    service: str, identity: Identity, authority: Authority, newest: ssl.TLSVersion, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "another").issue("stranger", client=True)
    with TlsGateway(service, identity, clients=str(authority.file), newest=newest) as gateway:
        reach = Reach(authority.file, other.cert, other.key)
        error = fails(ServiceTarget(gateway.url, reach=reach), ClientRefused)
    assert error.exit_code == 6
    assert f"refuses the client certificate {other.cert} (it does not know its authority)" in str(error)


@pytest.mark.parametrize(
    ("line", "kind", "says"),
    [
        ("No required SSL certificate was sent", ClientRefused, "requires a client certificate; name yours"),
        ("The SSL certificate error", ClientRefused, "refuses the client certificate; name yours with"),
        ("The plain HTTP request was sent to HTTPS port", NotTrusted, "speaks TLS alone; write https://"),
    ],
)
def test_nginx_says_what_it_wants_by_a_page_of_its_own(line: str, kind: type[TargetError], says: str) -> None:
    class Nginx(Listener):
        def serve(self, connection: socket.socket) -> None:
            with connection:
                connection.recv(65536)
                page = f"<html><head><title>400 {line}</title></head><center>nginx</center></html>"
                head = f"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nContent-Length: {len(page)}\r\n\r\n"
                connection.sendall((head + page).encode())

    with Nginx() as server:
        error = fails(ServiceTarget(server.url), kind)
    assert str(error).startswith(f"{server.url} {says}")
