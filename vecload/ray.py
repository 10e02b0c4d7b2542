"""Loads on a Ray cluster: one task of Ray Core for each split.

result = vecload.ray.load("s3://bucket/prefix/", to="https://cyborgdb:8000", index="docs", key="env:KEY")
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from vecload.distributed.driver import run_distributed
from vecload.distributed.engine import Ended, WorkerDied
from vecload.errors import EngineMissing, TargetError, VecloadError
from vecload.flags import as_parameters, parameters_named
from vecload.loading.caller import Caller
from vecload.loading.progress import Progress
from vecload.loading.request import request_of
from vecload.loading.result import LoadResult
from vecload.options import LoadOptions
from vecload.sealing.references import SecretReferences

REACH_SECONDS = 10.0
AUTO = "auto"
"""The address that means: the cluster this machine is part of, or else one of this machine alone."""


def load(
    sources: Any,
    *,
    to: str,
    index: str,
    key: str | os.PathLike[str] | None = None,
    contents_key: str | None = None,
    api_key: str | None = None,
    address: str = AUTO,
    workers: int | None = None,
    options: LoadOptions | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
    **fields: Any,
) -> LoadResult:
    """Load Parquet files on a Ray cluster: the same as `vecload upsert --ray`.

    Each split is loaded by a task of its own. Finished ones are recorded on this machine, in the journal that
    `vecload.load` has, too: call either again to do the rest. Workers find secrets by themselves.

    Args:
        sources: A path, URI, folder or pattern of Parquet files, or a list of them; workers must reach them.
        to: The address of a service; workers must reach it.
        index: The index, created if it does not exist.
        key: Where this machine and the workers find the index's key: `env:NAME`, `file:PATH`,
            `command:PROGRAM`, or the path of a key file. None is for an index whose key is in a KMS, and
            otherwise leaves it to the variables and key stores of the workers.
        contents_key: A reference to the contents key, if it is apart.
        api_key: A reference to the API key of the service.
        address: Of the cluster; `auto` is the one this machine is part of, or else a new one of this machine.
        workers: How many tasks run at once; None is as many as the cluster has CPUs.
        options: All other options.
        on_progress: Called in this thread during the load.
        stop: Set it in another thread to stop the load.
        fields: Fields of LoadOptions and of the reach of the service, as for `vecload.load`.

    Returns:
        The result: its status is `complete`, or `rejected` if rows were rejected within `max_errors`.

    Raises:
        VecloadError: The load stopped; `error.result` shows how far it came.
    """
    try:
        with parameters_named():
            secrets = SecretReferences.named(key, contents_key, api_key)
            request = request_of(
                sources, to=to, index=index, key=None, api_key=None, options=options, changes=fields
            )
            keys = replace(secrets.key_source(), create=request.options.create_key)
            request = replace(request, keys=keys, api_key=secrets.api_key_text())
            result = run_distributed(
                request,
                lambda: RayEngine(address, workers),
                Caller.of_python(on_progress, stop),
                secrets=secrets,
            )
    except VecloadError as error:
        if error.result is None:
            error.result = LoadResult(exit_code=error.exit_code, error=str(error))
        raise
    result.advice = as_parameters(result.advice)
    return result


def check_installed() -> None:
    """Refuse a load on Ray where Ray is not installed.

    Raises:
        EngineMissing: It is not.
    """
    if find_spec("ray") is None:
        raise EngineMissing("Ray is not installed", hint="pip install 'vecload[ray]'")


class RayEngine:
    """Runs calls as tasks of a Ray cluster, one CPU each.

    Args:
        address: Of the cluster.
        workers: How many tasks run at once; None is as many as there are CPUs.

    Raises:
        EngineMissing: Ray is not installed.
        TargetError: There is no cluster.
    """

    def __init__(self, address: str = AUTO, workers: int | None = None) -> None:
        check_installed()
        import ray

        self._ray = ray
        self._started = not ray.is_initialized()
        if self._started:
            self._connect(address)
        cpus = int(ray.cluster_resources().get("CPU", 1))
        self.workers = workers or max(1, cpus)
        self._remote = ray.remote(max_retries=0, num_cpus=1)(_called)
        self._running: list[Any] = []

    def _connect(self, address: str) -> None:
        ray = self._ray
        _check_reachable(address)
        quiet = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
        try:
            if address == AUTO:
                with suppress(ConnectionError):
                    ray.init(address="auto", **quiet)
                if not ray.is_initialized():
                    ray.init(include_dashboard=False, **quiet)
            else:
                ray.init(address=address, **quiet)
        except Exception as error:  # noqa: BLE001 Ray raises what it likes
            raise TargetError(
                f"no Ray cluster at {address}: {type(error).__name__}", hint="is its head running?"
            ) from None

    def submit(self, call: Callable[..., Any], arguments: Sequence[Any], name: str) -> Hashable:
        """Begin a task."""
        handle: Hashable = self._remote.options(name=call.__name__).remote(call, tuple(arguments))
        self._running.append(handle)
        return handle

    def wait(self, seconds: float) -> list[Ended]:
        """The tasks that ended since."""
        if not self._running:
            threading.Event().wait(seconds)
            return []
        done, self._running = self._ray.wait(self._running, num_returns=1, timeout=seconds)
        return [self._ended(handle) for handle in done]

    def _ended(self, handle: Any) -> Ended:
        errors = self._ray.exceptions
        try:
            value, error = self._ray.get(handle)
        except (
            errors.WorkerCrashedError,
            errors.NodeDiedError,
            errors.ObjectLostError,
            errors.OutOfMemoryError,
        ):
            return Ended(handle, error=WorkerDied())
        except errors.RayTaskError as failed:
            kind = type(failed.cause).__name__
            return Ended(handle, error=VecloadError(f"a worker failed: {kind}", hint="its log says where"))
        except errors.RayError as failed:
            return Ended(handle, error=TargetError(f"the Ray cluster failed: {type(failed).__name__}"))
        return Ended(handle, value, error)

    def cancel(self) -> None:
        """End all tasks that still run."""
        for handle in self._running:
            with suppress(Exception):
                self._ray.cancel(handle, force=True)
        self._running = []

    def close(self) -> None:
        """Leave the cluster; end it if it was started here."""
        self.cancel()
        if self._started:
            self._ray.shutdown()


def _check_reachable(address: str) -> None:
    """Refuse an address at which nobody listens: Ray itself would try for minutes.

    Raises:
        TargetError: Nobody does.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS).close()
    except OSError as error:
        raise TargetError(
            f"no Ray cluster at {address}: {error.strerror or type(error).__name__}",
            hint="is its head running?",
        ) from None


def _called(call: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, VecloadError | None]:
    """What a worker runs. An error of vecload is returned: Ray would add a traceback to it, and log it."""
    try:
        return call(*arguments), None
    except VecloadError as error:
        error.result = None
        return None, error


def __getattr__(name: str) -> Any:
    if name != "Datasink":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    check_installed()
    from vecload.distributed.datasink import Datasink  # Ray Data takes a second to import

    return Datasink
