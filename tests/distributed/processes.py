"""An engine of processes of this machine: what a cluster does, without one."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Callable, Hashable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from vecload.distributed.engine import Ended, WorkerDied
from vecload.errors import VecloadError

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["vecload.distributed.job", "vecload.readers.parquet.reader"])


def _called(sender: Connection, pickled: bytes) -> None:
    call, arguments = pickle.loads(pickled)  # noqa: S301 what the test itself pickled
    try:
        sender.send((call(*arguments), None))
    except VecloadError as error:
        error.result = None
        sender.send((None, error))


class Processes:
    """Runs each call in a process of its own.

    Args:
        workers: How many run at once.
    """

    def __init__(self, workers: int = 2) -> None:
        self.workers = workers
        self.pickled: list[bytes] = []
        self._running: dict[Connection, tuple[Hashable, BaseProcess]] = {}

    def submit(self, call: Callable[..., Any], arguments: Sequence[Any], name: str) -> Hashable:
        self.pickled.append(pickle.dumps((call, tuple(arguments))))
        receiver, sender = _context.Pipe(duplex=False)
        process = _context.Process(target=_called, args=(sender, self.pickled[-1]), name=name)
        process.start()
        sender.close()
        handle = len(self.pickled)
        self._running[receiver] = (handle, process)
        return handle

    def wait(self, seconds: float) -> list[Ended]:
        if not self._running:
            time.sleep(seconds)
        ended = []
        for receiver in wait([*self._running], seconds):
            assert isinstance(receiver, Connection)
            handle, process = self._running.pop(receiver)
            try:
                value, error = receiver.recv()
            except (EOFError, ConnectionResetError):
                value, error = None, WorkerDied()
            process.join()
            ended.append(Ended(handle, value, error))
        return ended

    def kill_one(self) -> None:
        """Kill a worker that works."""
        process = next(process for _, process in self._running.values() if process.pid)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)

    def cancel(self) -> None:
        for _, process in self._running.values():
            process.kill()
            process.join()
        self._running = {}

    def close(self) -> None:
        self.cancel()
