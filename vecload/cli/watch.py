"""Watch: who is told what a command does, besides the person who runs it.

A log, a file of metrics and the job summary of GitHub Actions. All of them listen to the logger `vecload`.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vecload.cli.options import LogFormat
from vecload.errors import UsageError
from vecload.events import LOADS, MESSAGES, emit
from vecload.option_values import names_a_path
from vecload.places import config_folder


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
                _check_not_used(flag, file, context)
        quiet = bool(params.get("quiet"))
        from vecload.cli.logs import handler_of

        log = handler_of(log_file, log_format, verbose=verbose, quiet=quiet)
        if log is not None:
            self._listen(log)
        if metrics is not None and not params.get("dry_run"):
            self._count(metrics, params)
        if os.environ.get("GITHUB_STEP_SUMMARY"):
            self._ended = _Ended()
            self._listen(self._ended)

    def _listen(self, handler: logging.Handler) -> None:
        self._handlers.append(handler)
        MESSAGES.addHandler(handler)
        MESSAGES.setLevel(min(MESSAGES.level or logging.CRITICAL, handler.level))

    def _count(self, file: str, params: Mapping[str, Any]) -> None:
        from vecload.cli.metrics import SUFFIX, Metrics, check_metrics_file
        from vecload.cli.output import tell
        from vecload.targets import is_service

        check_metrics_file(file)
        kind = "service" if is_service(params.get("to") or "") else "embedded"
        self._metrics = Metrics(file, index=params.get("index") or "", kind=kind, warn=tell)
        self._listen(self._metrics)
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


def _check_not_used(flag: str, file: str, context: Any) -> None:
    """Refuse a file to write that the command uses for something else.

    Raises:
        UsageError: It does.
    """
    from vecload.readers.storage.expand import leads_to

    real = os.path.realpath(file)
    if real.startswith(_kept()):
        raise UsageError(
            f"{flag} {file} is in the folder of your keys and your configuration",
            hint="name a file elsewhere",
        )
    for name, other in _files_of(context):
        if name == flag:
            continue
        hint = f"name a separate file for {flag}"
        if os.path.realpath(other) == real or _same(other, file):
            raise UsageError(f"{flag} {file} is the file of {name}", hint=hint)
        if name == "SOURCE" and leads_to(other, real):
            raise UsageError(
                f"{flag} {file} is within {other}: a later run would load it as a source", hint=hint
            )


def _kept() -> str:
    """The folder of keys and configuration, as the paths in it begin."""
    try:
        return os.path.realpath(config_folder()) + os.sep
    except UsageError:
        return os.devnull + os.sep  # no home folder, and so no such folder


def _files_of(context: Any) -> Iterator[tuple[str, str]]:
    """The paths that a command is given, each with its option or argument."""
    for param in context.command.params:
        value = context.params.get(param.name)
        if not names_a_path(param.metavar) or value is None:
            continue
        name = param.opts[0] if param.param_type_name == "option" else param.metavar
        for each in value if isinstance(value, list | tuple) else [value]:
            if str(each) != "-":
                yield name, os.path.expanduser(str(each))  # noqa: PTH111 a text, perhaps a URI


def _same(one: str, other: str) -> bool:
    try:
        return Path(one).samefile(other)
    except (OSError, ValueError):
        return False  # one does not exist, or is not on this machine
