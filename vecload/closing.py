"""Closing: what has a `close` can stand in a `with`."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class Closing:
    """Closed when its `with` is left."""

    def close(self) -> None:
        """Let go of what is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
