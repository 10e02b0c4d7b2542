"""Closing: a base class that makes `close` work with `with`."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class Closing:
    """Closes at the end of its `with` block."""

    def close(self) -> None:
        """Release what this object holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
