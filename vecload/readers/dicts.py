"""Python dicts as a source, and iterators that can be read once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, Generic, TypeVar

import numpy as np

from vecload.batch import Span
from vecload.errors import Interrupted, SourceError
from vecload.mapping import Column
from vecload.mapping.python_rows import PythonRows
from vecload.mapping.rows import Fault
from vecload.readers.source import HEAD_BYTES, HEAD_ROWS, Source, missing

T = TypeVar("T")

ROWS_NAME = "iterable of dicts"
_VALUE_BYTES = 16
"""About what a number, a date or a key takes."""
_INSIDE = 8
"""Dicts and lists inside one another that are looked into; one may hold itself."""


class Once(Generic[T]):
    """What an iterator gives, once. Of its first values, those that were looked at are given again.

    Args:
        values: The iterator.
        source: For messages.
        interrupted: The number of the signal that asked to stop, 0 while none did.
    """

    def __init__(self, values: Iterator[T], source: str, interrupted: Callable[[], int] = lambda: 0) -> None:
        self._values = values
        self._source = source
        self._interrupted = interrupted
        self._kept: list[T] | None = []
        self._failed: Exception | None = None

    def first(self, enough: Callable[[list[T]], bool]) -> list[T]:
        """Its first values: as many as are enough, or those before an error, which is raised in its place.

        Raises:
            SourceError: They were read already, or there is an error before the first.
            Interrupted: A stop was asked for.
        """
        kept = self._unread()
        while self._failed is None and not enough(kept):
            if number := self._interrupted():
                raise Interrupted(number)
            try:
                kept.append(next(self._values))
            except StopIteration:
                break
            except Exception as error:  # noqa: BLE001 raised in its place
                self._failed = error
        if self._failed is not None and not kept:
            raise failed_in(self._source, 0, self._failed) from self._failed
        return kept

    def __iter__(self) -> Iterator[T]:
        kept, self._kept = self._unread(), None
        kept.reverse()
        while kept:
            yield kept.pop()
        if self._failed is not None:
            raise self._failed
        yield from self._values

    def _unread(self) -> list[T]:
        if self._kept is None:
            raise SourceError(
                f"{self._source} can be read only once",
                hint="pass a table or a list of dicts, or load a file",
            )
        return self._kept


class DictSource(Source):
    """Rows that are dicts. A sequence of them can be read again, any other iterable once.

    No more rows are drawn from an iterable than its first ones and those of the next piece.

    Args:
        rows: The dicts.
        name: For messages.
        interrupted: The number of the signal that asked to stop, 0 while none did.
    """

    format = "memory"

    def __init__(
        self, rows: Iterable[Any], *, name: str = ROWS_NAME, interrupted: Callable[[], int] = lambda: 0
    ) -> None:
        again = isinstance(rows, list | tuple)
        super().__init__(name, total_rows=len(rows) if isinstance(rows, list | tuple) else None)
        self._interrupted = interrupted
        self.any_thread = again
        self._again = again
        self._rows = rows if again else Once(map(_kept, iter(rows)), name, interrupted)

    @property
    def kind(self) -> str:
        """What it is, for people."""
        return "dicts in memory"

    @property
    def once(self) -> bool:
        """Whether it can be read only once."""
        return not self._again

    def places(self, count: int) -> list[Span]:
        """Rows of a sequence, evenly spread."""
        rows = {(self.total_rows or 0) * place // (count + 1) for place in range(1, count + 1)}
        return [Span(self.name, 0, row) for row in sorted(rows) if row]

    def columns(self) -> list[Column]:
        """The columns of its first rows."""
        return [] if self._head is None else self._head.columns()

    def head(self) -> PythonRows | None:
        """Its first rows."""
        return self._head

    @cached_property
    def _head(self) -> PythonRows | None:
        rows = self._rows
        first = rows.first(_is_head) if isinstance(rows, Once) else iter(rows)
        return next(self._pieces(iter(first), 0, batch_rows=HEAD_ROWS, batch_bytes=HEAD_BYTES), None)

    def read(
        self,
        *,
        batch_rows: int,
        batch_bytes: int,
        columns: Sequence[str] | None = None,
        done: Sequence[Span] = (),
    ) -> Iterator[PythonRows]:
        """Its rows in order; all of them have all their columns."""
        _ = self._head  # kept before its rows are gone
        rows, at = self._rows, 0
        drawn = iter(rows)
        for gap in missing(done, self.total_rows):
            if isinstance(rows, Sequence):
                drawn = iter(rows[gap.start : gap.stop])
            else:
                for _row in islice(drawn, gap.start - at):
                    pass
            wanted = drawn if gap.stop < 0 else islice(drawn, len(gap))
            at = gap.start
            for piece in self._pieces(wanted, at, batch_rows=batch_rows, batch_bytes=batch_bytes):
                at = piece.span.stop
                yield piece

    def _pieces(
        self, rows: Iterator[Any], start: int, *, batch_rows: int, batch_bytes: int
    ) -> Iterator[PythonRows]:
        held: list[Any] = []
        size = 0
        failed: Exception | None = None
        while True:
            if number := self._interrupted():
                raise Interrupted(number)
            try:
                row = next(rows, _END)
            except Exception as error:  # noqa: BLE001 raised again after the rows before it
                failed, row = error, _END
            row_size = 0 if row is _END else _size(row)
            if held and (row is _END or len(held) >= batch_rows or size + row_size > batch_bytes):
                yield self._piece(start, held)
                start, held, size = start + len(held), [], 0
            if failed is not None:
                raise failed_in(self.name, start, failed) from failed
            if row is _END:
                return
            held.append(row)
            size += row_size

    def _piece(self, start: int, rows: list[Any]) -> PythonRows:
        broken = {position: fault for position, row in enumerate(rows) if (fault := _fault_of_row(row))}
        whole = [{} if position in broken else row for position, row in enumerate(rows)] if broken else rows
        return PythonRows(Span(self.name, start, start + len(rows)), whole, broken=broken)


_END = object()


def _is_head(rows: list[Any]) -> bool:
    return len(rows) >= HEAD_ROWS or sum(map(_size, rows)) >= HEAD_BYTES


def _fault_of_row(row: Any) -> Fault | None:
    if not isinstance(row, Mapping):
        return Fault("row", "not-object", f"is not a dict but {kind_of(row)}")
    if not all(isinstance(name, str) for name in row):
        return Fault("row", "not-object", "has a key that is not text")
    return None


def _kept(row: Any) -> Any:
    """A row as it is now: what gives rows may use the same dict, array or list for the next one."""
    if not isinstance(row, Mapping):
        return row
    return {name: _copy_of(value) for name, value in row.items()}


def _copy_of(value: Any, room: int = _INSIDE) -> Any:
    if isinstance(value, np.ndarray | bytearray):
        return value.copy()
    if isinstance(value, dict) and room:
        return {name: _copy_of(one, room - 1) for name, one in value.items()}
    return [*value] if isinstance(value, list) else value


def _size(value: Any, room: int = _INSIDE) -> int:
    """About how many bytes a value takes."""
    if isinstance(value, str | bytes | bytearray):
        return _VALUE_BYTES + len(value)
    if isinstance(value, np.ndarray):
        return int(value.nbytes)
    if isinstance(value, Mapping) and room:
        return sum(_VALUE_BYTES + _size(one, room - 1) for one in value.values())
    if isinstance(value, list | tuple) and value:
        if isinstance(value[0], float | int) or not room:
            return 8 * len(value)
        return sum(_size(one, room - 1) for one in value)
    return _VALUE_BYTES


def failed_in(name: str, row: int, error: Exception) -> SourceError:
    """The error of what gives rows; its own text may hold values, and stays with it."""
    if isinstance(error, SourceError):
        return error
    where = f" after row {row - 1}" if row else ""
    return SourceError(
        f"{name} raised {type(error).__name__}{where}",
        hint="what was loaded before stays; see the error that caused this one",
    )


def kind_of(value: Any) -> str:
    """What a value is, for messages: `pandas.DataFrame`, `generator`."""
    kind = type(value)
    module = kind.__module__.partition(".")[0].removeprefix("_")
    return kind.__name__ if module == "builtins" else f"{module}.{kind.__name__}"
