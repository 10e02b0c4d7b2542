"""Runs of vecload without its start: a process that has imported everything forks one for each run.

`python -m tests.faults.forked` reads requests, one JSON object a line, and answers each in one line. What it
forks runs the same `main` as the command does, with its own arguments, environment and standard streams, and
dies of the same signals: only the half second of imports is saved. It waits for a child only when asked, so
that a child's process id stays its own until then.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import importlib
import io
import json
import os
import pkgutil
import runpy
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROJECT = Path(__file__).parents[2]


class ForkedProcess:
    """A run, with as much of `subprocess.Popen` as tests use."""

    def __init__(self, forks: Forks, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._forks = forks
        self._ended = os.pidfd_open(pid)

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._ended], [], [], 0)[0]:
            self._reap()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._ended], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("vecload", timeout or 0)
            self._reap()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self._ended, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _reap(self) -> None:
        os.close(self._ended)
        self.returncode = os.waitstatus_to_exitcode(self._forks.ask(reap=self.pid))


class Forks:
    """The process that forks runs. Runs while `with` holds it.

    Args:
        preload: A library that is loaded into it and its children before all others.
    """

    def __init__(self, preload: Path | None = None) -> None:
        self._one = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.forked"],
            cwd=PROJECT,
            env={**os.environ, **({"LD_PRELOAD": str(preload)} if preload else {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def ask(self, **request: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._one:
            self._process.stdin.write(json.dumps(request) + "\n")
            answer = self._process.stdout.readline()
        assert answer, "the process that forks is gone"
        return json.loads(answer)

    def start(
        self,
        arguments: Sequence[str],
        out: Path,
        err: Path,
        environment: Mapping[str, str],
        folder: Path = PROJECT,
    ) -> ForkedProcess:
        """Run `python` with arguments that begin with `-m MODULE`, in some working folder."""
        assert arguments[0] == "-m"
        for said in (out, err):
            said.write_bytes(b"")  # there from the start, and nothing of a run before
        started = self.ask(
            run=[*arguments[1:]],
            out=str(out),
            err=str(err),
            environment=dict(environment),
            folder=str(folder),
        )
        return ForkedProcess(self, started)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@functools.cache
def shared_forks() -> Forks:
    """The process that forks runs for whatever test of this process asks; it ends with this one."""
    forks = Forks()
    atexit.register(forks.__exit__, None, None, None)
    return forks


def _fork(request: Mapping[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    for number, path in enumerate((os.devnull, request["out"], request["err"])):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), number)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = [*request["run"]]
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except Exception:  # noqa: BLE001 whatever ended the run, the test is told
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(70)  # main ends the process itself


def _import_what_a_run_does() -> None:
    """All of vecload but what runs when it is imported; and what it imports when a run comes to it."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as vecload does before it imports NumPy
    import vecload

    for module in pkgutil.walk_packages(vecload.__path__, "vecload."):
        of_clusters = module.name.startswith(("vecload.spark", "vecload.ray", "vecload.distributed.datasink"))
        if module.name.rpartition(".")[2] not in ("__main__", "worker") and not of_clusters:
            importlib.import_module(module.name)
    from vecload.cli.app import run

    with contextlib.redirect_stderr(io.StringIO()):
        assert run(["upsert", "/no/such/source.jsonl"]) == 2


def _serve() -> None:
    _import_what_a_run_does()
    disk: Any = ctypes.CDLL(None)
    for line in sys.stdin:
        request = json.loads(line)
        answer: Any = None
        if "run" in request:
            answer = _fork(request)
        elif "reap" in request:
            answer = os.waitpid(request["reap"], 0)[1]
        elif "arm" in request:
            folder, error, at, stays = request["arm"]
            disk.failing_disk_arm(folder.encode(), error, ctypes.c_long(at), stays)
        elif "failed" in request:
            disk.failing_disk_what.restype = ctypes.c_char_p
            answer = [disk.failing_disk_failed(), disk.failing_disk_what().decode()]
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
