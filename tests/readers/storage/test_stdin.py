from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vecload.errors import Interrupted, SourceError
from vecload.readers.json.jsonl import JsonlSource
from vecload.readers.storage.stdin import Spooled, StandardInput

LINE = b'{"id": "%d", "vector": [1, 2]}\n'


@pytest.fixture
def pipe() -> Iterator[Callable[[bytes], int]]:
    """Gives a descriptor from which some bytes can be read."""
    opened: list[int] = []
    threads: list[threading.Thread] = []

    def fill(data: bytes) -> int:
        read, write = os.pipe()
        opened.append(read)

        def put() -> None:
            with os.fdopen(write, "wb") as stream:
                stream.write(data)

        threads.append(threading.Thread(target=put))
        threads[-1].start()
        return read

    yield fill
    for thread in threads:
        thread.join()
    for descriptor in opened:
        os.close(descriptor)


def ids(source: JsonlSource) -> list[str]:
    pieces = source.read(batch_rows=100, batch_bytes=10**6)
    return [item_id for piece in pieces for item_id in piece.ids("id").values]


def test_its_beginning_may_be_looked_at_before_it_is_read(pipe: Callable[[bytes], int]) -> None:
    file = StandardInput(descriptor=pipe(b"".join(LINE % i for i in range(5000))))
    source = JsonlSource(file)
    head = source.head()
    assert head is not None
    assert [column.name for column in source.columns()] == ["id", "vector"]
    assert ids(source) == [str(i) for i in range(5000)]


def test_what_is_not_kept_can_not_be_read_again(pipe: Callable[[bytes], int]) -> None:
    file = StandardInput(descriptor=pipe(b"".join(LINE % i for i in range(100_000))), kept_bytes=2**21)
    source = JsonlSource(file)
    assert len(ids(source)) == 100_000
    with pytest.raises(SourceError, match="standard input can't be read: it can be read only once"):
        ids(source)


def test_a_writer_that_is_silent_does_not_hold_up_a_stop() -> None:
    read, write = os.pipe()
    asked = threading.Event()
    file = StandardInput(lambda: 15 if asked.is_set() else 0, descriptor=read)
    threading.Timer(0.3, asked.set).start()
    with pytest.raises(Interrupted) as stopped:
        file.open().read(1)
    assert stopped.value.exit_code == 143
    os.close(read)
    os.close(write)


def test_a_terminal_is_refused() -> None:
    main, end = os.openpty()
    with pytest.raises(SourceError, match="standard input is a terminal"):
        StandardInput(descriptor=end)
    os.close(main)
    os.close(end)


def test_what_is_spooled_can_be_read_anywhere_and_leaves_no_file(
    pipe: Callable[[bytes], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    data = os.urandom(3_000_000)
    spooled = Spooled(StandardInput(descriptor=pipe(data)))
    assert spooled.nbytes == len(data)
    with spooled.open() as one, spooled.open() as other:
        one.seek(2_999_990)
        assert one.read() == data[-10:]
        assert other.read(10) == data[:10]
        assert one.seek(-5, os.SEEK_END) == 2_999_995
    with spooled.arrow() as stream:
        assert stream.read() == data
    assert list(tmp_path.iterdir()) == []


def test_more_than_may_be_spooled_is_refused(pipe: Callable[[bytes], int]) -> None:
    with pytest.raises(SourceError, match="holds over 1,000 bytes of a format that needs a file"):
        Spooled(StandardInput(descriptor=pipe(b"x" * 5000)), most=1000)
