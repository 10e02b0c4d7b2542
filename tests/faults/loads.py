"""Loads by the real `vecload` command, that a test may kill, signal and run again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from prometheus_client.parser import text_string_to_metric_families

from tests.faults.forked import PROJECT, ForkedProcess, Forks, shared_forks
from tests.faults.oracle import CANARY, Source, check_index
from vecload.errors import VecloadError
from vecload.sealing import Key, generate_key
from vecload.targets import connect_target, is_service

RUN_SECONDS = 300
"""A run that hangs ends then; a slow machine is no hang."""
POINT_SECONDS = 120
"""Within which a run comes to the point that a test waits for."""


@dataclass(frozen=True)
class Ended:
    """A run that has ended; `summary` is empty if it was killed."""

    code: int
    summary: dict[str, Any]
    err: str


class Running:
    """A run of vecload."""

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        forks: Forks | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._out, self._err = folder / "out", folder / "err"
        environment = {**os.environ, "VECLOAD_TRACEBACK": "1", **(variables or {})}
        self.process: subprocess.Popen[bytes] | ForkedProcess
        if forks is not None:
            self.process = forks.start(arguments, self._out, self._err, environment)
            return
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=PROJECT,
                env=environment,
            )

    def err(self) -> str:
        """What it has said to people so far."""
        return self._err.read_text()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait_for(self, condition: Callable[[], object], seconds: float = POINT_SECONDS) -> None:
        """Wait until something is so, or it has ended."""
        wait_for(lambda: condition() or self.process.poll() is not None, "the point", seconds)

    def reach(self, event: threading.Event, seconds: float = POINT_SECONDS) -> None:
        """Wait until it comes to some point.

        Raises:
            AssertionError: It ends before that, or takes too long.
        """
        self.wait_for(event.is_set, seconds)
        assert event.is_set(), f"it ended before, with {self.process.returncode}: {self._err.read_text()}"

    def end(self, seconds: float = RUN_SECONDS) -> Ended:
        """Wait for its end.

        Raises:
            AssertionError: It does not end in time.
        """
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"it did not end in {seconds} s: {self._err.read_text()}") from None
        out, err = self._out.read_text(), self._err.read_text()
        assert "Traceback" not in err, err
        return Ended(code, json.loads(out) if out else {}, err)


@dataclass
class Load:
    """One command, run as often as a test wants.

    Attributes:
        folder: For the key, the state, the reject file.
        source: What is loaded.
        to: The target: where the command sends.
        options: More options.
        program: What comes before the command's own arguments.
        store: Where the oracle reads: the target itself if None.
        forks: Forks the runs, instead of each starting Python; None for the whole command.
    """

    folder: Path
    source: Source
    to: str
    options: Sequence[str] = ("--batch-rows", "5", "--concurrency", "4")
    program: Sequence[str] = ("-m", "vecload")
    index: str = "loaded"
    store: str | None = None
    forks: Forks | None = field(default_factory=shared_forks)
    runs: list[Ended] = field(default_factory=list)
    made: ClassVar[list[Load]] = []

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key_file = self.folder / "key.toml"
        self.state = self.folder / "state"
        self.rejects = self.folder / "rejects.jsonl"
        if not self.key_file.exists():
            generate_key().save(self.key_file)
        self.made.append(self)

    @property
    def log(self) -> Path:
        """The log of all runs."""
        return self.folder / "log.jsonl"

    @property
    def metrics(self) -> Path:
        """The metrics of the last run."""
        return self.folder / "load.prom"

    @property
    def watched_options(self) -> Sequence[str]:
        """Options for everything else that a run writes about itself."""
        log = ("--log-file", str(self.log), "--log-format", "json", "--verbose")
        return (*log, "--metrics", str(self.metrics))

    def start(self, *options: str) -> Running:
        given = [
            *("upsert", str(self.source.path), "--to", self.to, "--index", self.index, "--json"),
            *("--key-file", str(self.key_file), "--state-dir", str(self.state)),
            *("--rejects", str(self.rejects), "--resume-wait", "0"),
            *self.watched_options,
            # The last row of an id wins where the id column is named.
            *("--id-column", "id"),
        ]
        return Running([*self.program, *given, *self.options, *options], self.folder, self.forks)

    def run(self, *options: str) -> Ended:
        """Run it to its end."""
        self.runs.append(self.start(*options).end())
        self.check_watched(self.runs[-1])
        return self.runs[-1]

    def check_watched(self, ended: Ended) -> None:
        """The log and the metrics of a run that was not killed are whole, and nothing secret is in them."""
        log, metrics = self.log.read_text(), self.metrics.read_text()
        keys = [Key.load(self.key_file)] if self.key_file.exists() else []
        for secret in (CANARY, *(part.hex() for key in keys for part in (key.index_key, key.contents_key))):
            assert secret not in log + metrics + ended.err
        events = [json.loads(line) for line in log.splitlines()]
        assert (events[-1]["event"], events[-1]["exit_code"]) == ("command_ended", ended.code)
        samples = {
            sample.name: sample.value
            for family in text_string_to_metric_families(metrics)
            for sample in family.samples
        }
        assert samples["vecload_exit_code"] == ended.code
        if ended.summary:
            for name in ("read", "loaded", "rejected", "skipped"):
                assert samples[f"vecload_rows_{name}_total"] == ended.summary[name]

    def run_until_done(self, *, most: int = 10, code: int = 0, may_fail_with: tuple[int, ...] = ()) -> Ended:
        """Run it until it ends with the code of a whole load; then its claims must be true."""
        for _ in range(most):
            ended = self.run()
            if ended.code == code:
                self.check(ended)
                return ended
            assert ended.code in may_fail_with, f"exit {ended.code}: {ended.err}"
        raise AssertionError(f"not done after {most} runs: {ended.err}")

    def check(self, ended: Ended) -> None:
        """Compare the index and the summary with the source."""
        check_index(self.store or self.to, self.index, self.key_file, self.source)
        summary = ended.summary
        assert summary["read"] == self.source.rows
        assert summary["rejected"] == len(self.source.rejected)
        assert summary["read"] == summary["loaded"] + summary["rejected"] + summary["skipped"]
        lines = self.rejects.read_text().splitlines()
        assert sorted(json.loads(line)["row"] for line in lines) == sorted(self.source.rejected)

    def stored_ids(self) -> set[str]:
        """The ids in the index, whatever the source says."""
        with connect_target(self.store or self.to) as target:
            return {*target.open_index(self.index, Key.load(self.key_file).index_key).list_ids()}

    def drop(self) -> None:
        """Drop the index of a service, which keeps eight threads busy for each index that it has open."""
        location = self.store or self.to
        with suppress(VecloadError):
            if is_service(location):
                with connect_target(location) as target:
                    target.open_index(self.index, Key.load(self.key_file).index_key).drop()

    def journal(self) -> Path | None:
        """The journal, once there is one."""
        return next(self.state.glob("*.sqlite"), None) if self.state.exists() else None

    def kill(self, running: Running) -> Ended:
        """SIGKILL, which nothing can answer."""
        running.signal(signal.SIGKILL)
        return running.end()


def wait_for(condition: Callable[[], object], what: str, seconds: float = POINT_SECONDS) -> None:
    """Wait for what another process does, of which no event tells."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.002)
