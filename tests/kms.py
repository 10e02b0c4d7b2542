"""A real service with a root API key and a KMS: moto's, on loopback, where a test may end it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cyborgdb
import pytest

from tests.servers import Service, free_port
from vecload.targets.transport import Answer, Connections
from vecload.targets.wire import Body

ROOT = "the-root-key-of-a-service-with-kms"
SLOT = "main"
"""The name of the KMS in the service's configuration."""
GONE = "gone"
"""Another one, whose key the KMS does not have."""
TTL_SECONDS = 1
"""How long the service keeps a key that it got from the KMS."""
ANYBODY = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"}
REGISTRY = """
kms:
  registry:
    {slot}: {{provider: aws-kms, key_id: {key}, region: us-east-1}}
    {gone}: {{provider: aws-kms, key_id: 00000000-0000-0000-0000-000000000000, region: us-east-1}}
"""


class Kms:
    """A KMS with one key. It can be stopped, and started again at the same address."""

    def __init__(self) -> None:
        self._port = free_port()
        self._server: Any = None
        self.url = f"http://127.0.0.1:{self._port}"
        self.start()
        import boto3

        client = boto3.client(
            "kms",
            endpoint_url=self.url,
            aws_access_key_id="x",
            aws_secret_access_key="x",  # noqa: S106 of a server for tests
            region_name="us-east-1",
        )
        self.key_id: str = client.create_key()["KeyMetadata"]["KeyId"]

    def start(self) -> None:
        if self._server is not None:
            return
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self._port, verbose=False)
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None


def registry(folder: Path, key_id: str, *, slot: str = SLOT) -> Path:
    """Write the service's configuration."""
    config = folder / "cyborgdb.yaml"
    config.write_text(REGISTRY.format(slot=slot, key=key_id, gone=GONE))
    return config


@contextmanager
def service_with_kms(folder: Path) -> Iterator[tuple[Service, Kms]]:
    """A service with a root API key and a KMS. What it got from the KMS it forgets when it ends."""
    kms = Kms()
    config = registry(folder, kms.key_id)
    environment = {
        **ANYBODY,
        "AWS_ENDPOINT_URL_KMS": kms.url,
        "AWS_MAX_ATTEMPTS": "1",
        "CYBORGDB_CONFIG_FILE": str(config),
        "AUTO_TRAIN_DISABLED": "true",
        "INDEX_KEK_CACHE_TTL_SECONDS": str(TTL_SECONDS),
    }
    try:
        with Service(folder, root_key=ROOT, environment=environment) as service:
            yield service, kms
    finally:
        kms.stop()


@contextmanager
def official(service: Service, api_key: str = ROOT) -> Iterator[cyborgdb.Client]:
    """The official client."""
    client = cyborgdb.Client(service.url, api_key=api_key)
    yield client
    client.api_client.rest_client.pool_manager.clear()


def token_for(
    service: Service, index: str, index_key: bytes | None, permissions: Sequence[str] = ("read", "write")
) -> str:
    """A new user token of an index."""
    with official(service) as client:
        return client.load_index(index, index_key).create_user([*permissions])["api_key"]


@contextmanager
def requests_seen() -> Iterator[list[tuple[str, bytes]]]:
    """The path and body of every request that vecload sends from this process."""
    seen: list[tuple[str, bytes]] = []
    real = Connections.request

    def request(self: Connections, method: str, path: str, body: Body | None, **more: Any) -> Answer:
        seen.append((path, b"".join(body) if body else b""))
        return real(self, method, path, body, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connections, "request", request)
        yield seen
