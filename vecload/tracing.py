"""Tracing: OpenTelemetry spans of a load, its batches and its requests, if the process records spans.

Nothing is imported for it: a process that records spans has imported OpenTelemetry already.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

from vecload._version import __version__
from vecload.errors import VecloadError


def span(name: Literal["load", "batch", "request"], **attributes: str | float) -> AbstractContextManager[Any]:
    """A span around some work, a child of the current one.

    An error that ends the work is the status of the span; neither a traceback nor values go into it.

    Args:
        name: What the work is.
        attributes: What to know of it; each is named `vecload.…` in the span.
    """
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        if not os.environ.get("OTEL_PYTHON_TRACER_PROVIDER"):
            return nullcontext()
        try:
            from opentelemetry import trace
        except ImportError:
            return nullcontext()
    return _recorded(trace, name, attributes)


@contextmanager
def _recorded(trace: Any, name: str, attributes: dict[str, str | int | float]) -> Iterator[Any]:
    kind = trace.SpanKind.CLIENT if name == "request" else trace.SpanKind.INTERNAL
    with trace.get_tracer("vecload", __version__).start_as_current_span(
        f"vecload.{name}",
        kind=kind,
        attributes={f"vecload.{key}": value for key, value in attributes.items()},
        record_exception=False,
        set_status_on_exception=False,
    ) as opened:
        try:
            yield opened
        except BaseException as error:
            said = str(error.args[0]) if isinstance(error, VecloadError) and error.args else ""
            opened.set_status(trace.Status(trace.StatusCode.ERROR, said or type(error).__name__))
            status = getattr(error, "status", None)
            if isinstance(status, int):
                opened.set_attribute("http.response.status_code", status)
            raise
