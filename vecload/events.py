"""Events: what happens in a load, as records of child loggers of `vecload`, with fields.

Each record has the attribute `event`, its name, and the fields of that event: docs/logs.md lists them. No
field and no message contains a key, contents, metadata or a vector.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from vecload.batch import Span

MESSAGES: Final = logging.getLogger("vecload")
"""The messages for people that the command line prints."""
LOADS: Final = logging.getLogger("vecload.loads")
"""`load_started` and `load_ended`; from the command line also `progress` and `command_ended`."""
BATCHES: Final = logging.getLogger("vecload.batches")
"""`batch_sent` and `batch_recorded`."""
REQUESTS: Final = logging.getLogger("vecload.requests")
"""`request`, `retry`, `wait`, `breaker_opened` and `breaker_closed`."""
REJECTS: Final = logging.getLogger("vecload.rejects")
"""`reject`."""

TEXTS: Final[Mapping[str, str]] = {
    "load_started": "a load into index %(index)s begins",
    "progress": "%(percent)s%% done, %(loaded)s rows %(done)s, %(rejected)s rejected",
    "load_ended": "the load ended: %(status)s, exit code %(exit_code)s",
    "batch_sent": "sent %(source)s, rows %(start)s to %(stop)s",
    "batch_recorded": "recorded %(source)s, rows %(start)s to %(stop)s",
    "request": "a request ended: %(outcome)s",
    "retry": "sending again after %(failures)s failures",
    "wait": "waiting %(seconds).3g s: %(reason)s",
    "breaker_opened": "the target is down: %(reason)s",
    "breaker_closed": "the target is back after %(seconds).3g s",
    "command_ended": "vecload %(command)s ended with exit code %(exit_code)s",
    "reject": "rejected %(source)s, row %(row)s: %(field)s: %(reason)s",
}
"""The events, and their messages in terms of their fields."""


def emit(logger: logging.Logger, level: int, event: str, **fields: Any) -> None:
    """Log an event, if somebody listens.

    Args:
        logger: One of the loggers above.
        level: Its level.
        event: Its name, one of TEXTS.
        fields: Its fields: numbers, texts and None.
    """
    if logger.isEnabledFor(level):
        logger.log(level, TEXTS[event], fields, extra={"event": event, **fields}, stacklevel=2)


def fields_of(span: Span | None) -> dict[str, Any]:
    """The fields that say which rows an event is about; none for an event without rows."""
    return {} if span is None else {"source": span.source, "start": span.start, "stop": span.stop}


def message(level: int, text: str) -> None:
    """Log a message for people.

    Args:
        level: Its level.
        text: One line.
    """
    if MESSAGES.isEnabledFor(level):
        MESSAGES.log(level, "%s", text, extra={"event": "message"}, stacklevel=2)
