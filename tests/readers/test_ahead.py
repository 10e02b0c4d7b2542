from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from vecload.errors import Interrupted, SourceError
from vecload.readers.prefetch import ahead


def test_the_pieces_come_in_order_and_whole() -> None:
    assert list(ahead(iter(range(1000)))) == list(range(1000))
    assert list(ahead(iter([]))) == []


def test_no_more_is_read_than_may_wait() -> None:
    read: list[int] = []
    reading = threading.Semaphore(0)

    def pieces() -> Iterator[int]:
        for number in range(100):
            read.append(number)
            reading.release()
            yield number

    taken = ahead(pieces(), most=2)
    assert next(taken) == 0
    for _ in range(4):  # one taken, two waiting, one that waits for room
        assert reading.acquire(timeout=10)
    assert not reading.acquire(timeout=0.3)
    assert read == [0, 1, 2, 3]
    taken.close()


def test_an_error_comes_after_the_pieces_before_it() -> None:
    def pieces() -> Iterator[int]:
        yield 1
        yield 2
        raise SourceError("it is damaged")

    taken = ahead(pieces())
    assert [next(taken), next(taken)] == [1, 2]
    with pytest.raises(SourceError, match="damaged"):
        next(taken)


def test_the_thread_ends_when_the_pieces_are_left() -> None:
    taken = ahead(iter(range(10**9)))
    assert next(taken) == 0
    taken.close()
    assert "vecload-read" not in {thread.name for thread in threading.enumerate()}


def test_a_signal_is_heeded_while_a_store_gives_nothing() -> None:
    silent, number = threading.Event(), [0]

    def pieces() -> Iterator[int]:
        yield 1
        silent.wait(60)
        yield 2

    taken = ahead(pieces(), interrupted=lambda: number[0])
    assert next(taken) == 1
    number[0] = signal.SIGTERM
    with pytest.raises(Interrupted) as stopped:
        next(taken)
    assert stopped.value.exit_code == 143
    silent.set()
