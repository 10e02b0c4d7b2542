"""Batches of a source; its next rows are read meanwhile by another thread, or parsed by other processes."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Literal, TypeAlias, TypeVar

from vecload.batch import Batch, Span
from vecload.errors import Interrupted
from vecload.mapping import Mapper, Rows
from vecload.readers.json.workers import Parsers, automatic
from vecload.readers.source import Source

K = TypeVar("K")
T = TypeVar("T")

AHEAD = 2
"""The most pieces that wait, so that memory stays bounded by the batches' bytes."""
LEAVE_SECONDS = 0.5
"""How long a load that stops waits for the thread that reads; it ends with the process."""
_POLL_SECONDS = 0.1


def in_order(
    keys: Iterable[K], fetch: Callable[[K], T], workers: int, *, more: int = 1
) -> Generator[T, None, None]:
    """What is fetched for each key, in their order; several are fetched at the same time.

    Args:
        keys: Drawn one by one, when there is room.
        fetch: Called in threads.
        workers: How many are fetched at the same time.
        more: How many that are fetched may wait.

    Raises:
        Exception: What drawing or fetching one raised, after those before it.
    """
    drawn = iter(keys)
    waiting: deque[Future[T]] = deque()
    ended: BaseException | None = None
    pool = ThreadPoolExecutor(workers, thread_name_prefix="vecload-fetch")
    try:
        while True:
            while ended is None and len(waiting) < workers + more:
                try:
                    waiting.append(pool.submit(fetch, next(drawn)))
                except Exception as error:  # noqa: BLE001 raised again after what is fetched
                    ended = error
            if waiting:
                yield waiting.popleft().result()
            elif isinstance(ended, StopIteration):
                return
            elif ended is not None:
                raise ended
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class _End:
    """The end of the pieces, and the error that ended them, if one did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def ahead(
    pieces: Iterator[T], *, most: int = AHEAD, interrupted: Callable[[], int] = lambda: 0
) -> Generator[T, None, None]:
    """The same pieces, read by a thread of its own.

    Args:
        pieces: Read by that thread alone.
        most: How many may wait.
        interrupted: The number of the signal that asked to stop, 0 while none did: a store that gives nothing
            for half a minute must not hold that up.

    Raises:
        Interrupted: A signal came while the next piece was waited for.
        Exception: What reading them raised, after the pieces before it.
    """
    waiting: queue.Queue[T | _End] = queue.Queue(most)
    left = threading.Event()

    def put(piece: T | _End) -> bool:
        """Put a piece; False if nobody takes them any more."""
        while not left.is_set():
            try:
                waiting.put(piece, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def take() -> T | _End:
        while True:
            try:
                return waiting.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if number := interrupted():
                    raise Interrupted(number) from None

    def read() -> None:
        error: BaseException | None = None
        try:
            for piece in pieces:
                if not put(piece):
                    return
        except BaseException as raised:  # noqa: BLE001 raised again where the pieces are taken
            error = raised
        finally:
            if isinstance(pieces, Generator):
                pieces.close()
        put(_End(error))

    reader = threading.Thread(target=read, name="vecload-read", daemon=True)
    reader.start()
    try:
        while not isinstance(piece := take(), _End):
            yield piece
        if piece.error is not None:
            raise piece.error
    finally:
        left.set()
        reader.join(LEAVE_SECONDS if interrupted() else None)


def rows_ahead(
    source: Source, rows: Iterator[Rows], *, interrupted: Callable[[], int] = lambda: 0
) -> Generator[Rows, None, None]:
    """Rows of a source, read ahead by a thread of its own where the source allows that.

    Args:
        source: The source.
        rows: Its rows.
        interrupted: The number of the signal that asked to stop, 0 while none did.

    Raises:
        Interrupted: A signal came while the next rows were waited for.
        SourceError: The source is damaged or can't be read further.
    """
    return ahead(rows, interrupted=interrupted) if source.any_thread else _here(rows, interrupted)


def _here(rows: Iterator[T], interrupted: Callable[[], int]) -> Generator[T, None, None]:
    for piece in rows:
        if number := interrupted():
            raise Interrupted(number)
        yield piece


Lap: TypeAlias = Callable[[Literal["read", "map"]], None]


def parsers_for(workers: str, sources: Sequence[Source]) -> Parsers:
    """The processes that may parse sources: `auto`, or so many."""
    expected = sum(source.nbytes for source in sources if source.maps_while_reading)
    return Parsers(automatic() if workers == "auto" else int(workers), expected)


def batches(
    source: Source,
    mapper: Mapper,
    *,
    batch_rows: int,
    batch_bytes: int,
    done: Sequence[Span] = (),
    lap: Lap = lambda spent: None,
    parsers: Parsers | None = None,
    interrupted: Callable[[], int] = lambda: 0,
) -> Iterator[Batch]:
    """A source's rows in order, mapped.

    Args:
        source: The source.
        mapper: How its rows become items.
        batch_rows: The most rows of a batch.
        batch_bytes: About the most bytes of a batch; a larger row is a batch by itself.
        done: Spans that are not to be read again.
        lap: Called with what the time since the last call was spent on.
        parsers: Processes that may parse; None leaves it to this one.
        interrupted: The number of the signal that asked to stop, 0 while none did.

    Raises:
        Interrupted: A signal came while rows were waited for.
        VecloadError: The source can't be read on or is damaged, or a process that parsed it ended.
    """
    if source.maps_while_reading:
        mapped = source.batches(
            mapper, batch_rows=batch_rows, batch_bytes=batch_bytes, done=done, parsers=parsers
        )
        with closing(ahead(mapped, interrupted=interrupted)) as ready:
            for batch in ready:
                lap("read")
                yield batch
        return
    needed = mapper.mapping.needed()
    rows = source.read(batch_rows=batch_rows, batch_bytes=batch_bytes, columns=needed, done=done)
    with closing(rows_ahead(source, rows, interrupted=interrupted)) as pieces:
        for piece in pieces:
            lap("read")
            batch = mapper.map(piece)
            lap("map")
            yield batch
