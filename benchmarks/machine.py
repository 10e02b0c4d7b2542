"""How much of the machine others used while something was measured: a shared machine spoils what it times."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from types import TracebackType
from typing import Self

_STAT = Path("/proc/stat")
_IDLE_FIELDS = (3, 4)
"""Of the cpu line: idle, and waiting for the disk."""
_FIELDS = 8
"""Those after it are parts of the ones before."""


class Others:
    """Measures a `with` block; its child processes must have ended before it does.

    Attributes:
        share: Of all cores' time, what neither this process nor its children used; 0 where Linux does
            not tell.
    """

    share = 0.0

    def __enter__(self) -> Self:
        self._before = _machine(), _own()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        (busy_before, all_before), own_before = self._before
        busy, all_ = _machine()
        spent = all_ - all_before
        if spent > 0:
            self.share = max(0.0, (busy - busy_before) - (_own() - own_before)) / spent


def _machine() -> tuple[float, float]:
    """Seconds of all cores: busy, and in all."""
    if not _STAT.exists():
        return 0.0, 0.0
    ticks = [int(field) for field in _STAT.read_text().split("\n", 1)[0].split()[1 : 1 + _FIELDS]]
    idle = sum(ticks[field] for field in _IDLE_FIELDS)
    per_second = os.sysconf("SC_CLK_TCK")
    return (sum(ticks) - idle) / per_second, sum(ticks) / per_second


def _own() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
