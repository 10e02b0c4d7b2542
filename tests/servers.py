"""The real CyborgDB service as a subprocess, on loopback and a folder of its own; and a frame for servers."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import httpcore

from tests.certificates import Identity

START_SECONDS = 60.0
IN_TIME = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), 5.0)}
STOP_SECONDS = 20.0
PORTS_TRIED = 5
OPEN_INDEXES = 2
"""Of each thread of a service, which keeps as many as 256: each has eight threads that never rest."""


class Service:
    """A cyborgdb-service process: started by `with`, ended when it is left.

    Args:
        folder: Its working folder: the log, a home and the temporary files.
        data: Its store; `folder/data` if None. Another process may use it while this one is not running.
        root_key: The root API key; None leaves the service open to anyone.
        environment: More variables, AUTO_TRAIN_DISABLED say.
        identity: The certificate with which it speaks TLS; None lets it speak without.
    """

    def __init__(
        self,
        folder: Path,
        *,
        data: Path | None = None,
        root_key: str | None = None,
        environment: Mapping[str, str] | None = None,
        identity: Identity | None = None,
    ) -> None:
        self.folder = folder
        self.data = data or folder / "data"
        self.log = folder / "service.log"
        self.root_key = root_key
        self._environment = dict(environment or {})
        self._identity = identity
        if identity is not None:
            self._environment |= {"SSL_CERT_PATH": str(identity.cert), "SSL_KEY_PATH": str(identity.key)}
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"{'https' if self._identity else 'http'}://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the service is not running"
        return self._process.pid

    def start(self) -> None:
        """Start it, on the port it had before if it had one, and wait until it is healthy."""
        assert self._process is None, "the service is running already"
        for temporary in (self.folder / "tmp", self.folder / "home"):
            temporary.mkdir(parents=True, exist_ok=True)
        kept = self._port
        for _ in range(PORTS_TRIED):
            self._port = kept or free_port()
            self._process = self._spawn()
            if self._healthy(self._process):
                return
            self._process = None
        raise AssertionError(f"the service did not start:\n{self.log.read_text()[-3000:]}")

    def stop(self) -> None:
        """End it as a service manager would; what is in flight is answered first."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """End it and start it again, at the same address."""
        self.stop()
        self.start()

    def _spawn(self) -> subprocess.Popen[bytes]:
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "PORT": str(self._port),
            "CYBORGDB_DB_TYPE": "disk",
            "CYBORGDB_DISK_PATH": str(self.data),
            "INDEX_CACHE_MAX_PER_THREAD": str(OPEN_INDEXES),
            **({"CYBORGDB_SERVICE_ROOT_KEY": self.root_key} if self.root_key else {}),
            **self._environment,
        }
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "cyborgdb_service"],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _healthy(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait until the service answers; False if it ended, because its port was taken say."""
        for _ in range(int(START_SECONDS / 0.05)):
            try:
                process.wait(0.05)
                return False
            except subprocess.TimeoutExpired:
                pass
            # The certificate is not looked at: some tests give it a bad one.
            trusting = ssl._create_unverified_context() if self._identity else None  # noqa: S323, SLF001
            try:
                with httpcore.ConnectionPool(ssl_context=trusting) as pool:
                    answer = pool.request("GET", f"{self.url}/v1/health", extensions=IN_TIME)
                if answer.status == 200:
                    return process.poll() is None
            except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
                continue
        self.kill()
        return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class Listener:
    """A server on loopback with a thread for each connection. Runs while `with` holds it."""

    host = "127.0.0.1"

    def __init__(self) -> None:
        self._listener = socket.create_server((self.host, 0), backlog=64)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self.url = f"http://{self.host}:{self._listener.getsockname()[1]}"

    def serve(self, connection: socket.socket) -> None:
        """Answer what comes by a connection, and close it."""
        raise NotImplementedError

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


def free_port() -> int:
    """A loopback port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
