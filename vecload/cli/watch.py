"""Watch: who is told what a command does, besides the person who runs it.

A log, a file of metrics and the job summary of GitHub Actions. All of them listen to the logger `vecload`.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vecload.cli.options import LogFormat
from vecload.cli.written_files import check_not_used, check_replaceable
from vecload.events import LOADS, MESSAGES, emit


class Watch:
    """The listeners of one run of the command line.

    Args:
        arguments: The arguments of the command line.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self.arguments = arguments
        self._began = time.monotonic()
        self._command = ""
        self._metrics: Any = None
        self._ended: _Ended | None = None
        # Without any handler, Python would print warnings to standard error.
        self._handlers: list[logging.Handler] = [logging.NullHandler()]
        self._level = MESSAGES.level
        MESSAGES.addHandler(self._handlers[0])

    def begin(
        self,
        context: Any,
        *,
        log_file: str | None,
        log_format: LogFormat | None,
        verbose: bool,
        metrics: str | None = None,
    ) -> None:
        """Let those listen whom the options of a command ask for.

        Args:
            context: The command's context.
            log_file: Where the log goes.
            log_format: Text or JSON; None for text.
            verbose: Log every event.
            metrics: The file of metrics.

        Raises:
            UsageError: A file can't be written, or is another file of the command.
        """
        params = context.params
        self._command = context.command_path.removeprefix("vecload").strip()
        for flag, file in (("--log-file", log_file), ("--metrics", metrics)):
            if file is not None:
                check_not_used(flag, file, context)
        quiet = bool(params.get("quiet"))
        from vecload.cli.logs import handler_of

        log = handler_of(log_file, log_format, verbose=verbose, quiet=quiet)
        if log is not None:
            self.listen(log)
        if metrics is not None and not params.get("dry_run"):
            self._count(metrics, params)
        if os.environ.get("GITHUB_STEP_SUMMARY"):
            self._ended = _Ended()
            self.listen(self._ended)

    def listen(self, handler: logging.Handler) -> None:
        """Let one more listen, until the command ends."""
        self._handlers.append(handler)
        MESSAGES.addHandler(handler)
        MESSAGES.setLevel(min(MESSAGES.level or logging.CRITICAL, handler.level))

    def _count(self, file: str, params: Mapping[str, Any]) -> None:
        from vecload.cli.metrics import BEGINS, SUFFIX, Metrics
        from vecload.cli.output import tell
        from vecload.targets import is_service

        check_replaceable("--metrics", file, BEGINS, "a metrics file of vecload")
        kind = "service" if is_service(params.get("to") or "") else "embedded"
        self._metrics = Metrics(file, index=params.get("index") or "", kind=kind, warn=tell)
        self.listen(self._metrics)
        if not file.endswith(SUFFIX):
            tell(f"node exporter reads only files that end in {SUFFIX}: --metrics {file} does not")

    def end(self, exit_code: int, error: str) -> None:
        """Say to all how the command ended, and close them.

        Args:
            exit_code: The exit code.
            error: The error; "" without one.
        """
        if self._command:
            level = logging.INFO if exit_code in (0, 3) else logging.ERROR
            took = time.monotonic() - self._began
            emit(LOADS, level, "command_ended", command=self._command, exit_code=exit_code, seconds=took)
        if self._metrics is not None:
            self._metrics.end(exit_code)
        if self._ended is not None:
            self._add_summary(exit_code, error)
        for handler in self._handlers:
            MESSAGES.removeHandler(handler)
            handler.close()
        MESSAGES.setLevel(self._level)

    def _add_summary(self, exit_code: int, error: str) -> None:
        from vecload.cli.job_summary import VARIABLE, job_summary
        from vecload.cli.output import tell

        fields = None if self._ended is None else self._ended.fields
        text = job_summary(self._command, exit_code, error, fields)
        try:
            with Path(os.environ[VARIABLE]).open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as failed:
            tell(f"the job summary can't be written: {failed.strerror}")


class _Ended(logging.Handler):
    """Keeps how the load ended."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.fields: dict[str, Any] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the fields of `load_ended`."""
        if getattr(record, "event", "") == "load_ended":
            self.fields = vars(record)
