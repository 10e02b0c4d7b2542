from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from vecload.errors import Interrupted, SourceError
from vecload.readers.prefetch import ahead, in_order


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


def test_what_is_fetched_at_the_same_time_comes_in_order() -> None:
    def fetch(number: int) -> int:
        gone.wait(0.02 if number % 3 == 0 else 0)
        return number

    gone = threading.Event()
    assert list(in_order(range(50), fetch, 4)) == list(range(50))
    assert list(in_order([], fetch, 4)) == []


def test_no_more_keys_are_drawn_than_there_is_room_for() -> None:
    drawn: list[int] = []

    def keys() -> Iterator[int]:
        for number in range(100):
            drawn.append(number)
            yield number

    fetched = in_order(keys(), lambda number: number, 2, more=1)
    assert next(fetched) == 0
    assert drawn == [0, 1, 2]
    assert next(fetched) == 1
    assert drawn == [0, 1, 2, 3]
    fetched.close()


def test_an_error_of_a_fetch_comes_after_those_before_it() -> None:
    def fetch(number: int) -> int:
        if number == 2:
            raise SourceError("it is damaged")
        return number

    fetched = in_order(range(9), fetch, 3)
    assert [next(fetched), next(fetched)] == [0, 1]
    with pytest.raises(SourceError, match="damaged"):
        next(fetched)


def test_an_error_of_a_key_comes_after_what_is_fetched() -> None:
    def keys() -> Iterator[int]:
        yield from range(4)
        raise SourceError("it is damaged")

    fetched = in_order(keys(), lambda number: number, 2)
    assert [next(fetched) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(SourceError, match="damaged"):
        next(fetched)
