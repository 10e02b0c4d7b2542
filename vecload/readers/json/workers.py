"""Workers: processes that parse and map blocks of lines, since a parser holds the interpreter's lock.

`python -m vecload.readers.json.workers DESCRIPTOR` is one; it ends with whoever started it.
"""

from __future__ import annotations

import os
import pickle
import socket
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np

from vecload.batch import Batch
from vecload.closing import Closing
from vecload.errors import VecloadError
from vecload.readers.json.blocks import Block
from vecload.readers.json.mapped import BlockMapper, Task, portable, raw_lines

_PARTS = struct.Struct("<I")
_SIZE = struct.Struct("<Q")


class Channel(Closing):
    """One end of a pair of sockets.

    Pickle is safe here: both ends are this program, and nobody else holds the socket.

    Args:
        end: A connected stream socket, which becomes the channel's.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    def send(self, value: Any) -> None:
        """Send a value.

        Raises:
            OSError: The other end is gone.
        """
        buffers: list[pickle.PickleBuffer] = []
        parts = [memoryview(pickle.dumps(value, 5, buffer_callback=buffers.append))]
        parts += [buffer.raw() for buffer in buffers]
        sizes = b"".join(_SIZE.pack(part.nbytes) for part in parts)
        self._socket.sendall(_PARTS.pack(len(parts)) + sizes)
        for part in parts:
            self._socket.sendall(part)

    def receive(self) -> Any:
        """Wait for a value.

        Raises:
            EOFError: The other end is gone.
            OSError: The same.
        """
        (count,) = _PARTS.unpack(self._exactly(_PARTS.size))
        sizes = self._exactly(count * _SIZE.size)
        first, *buffers = [self._exactly(size) for (size,) in _SIZE.iter_unpack(sizes)]
        return pickle.loads(first, buffers=buffers)  # noqa: S301 see the class

    def _exactly(self, size: int) -> memoryview:
        # NumPy's memory is not zeroed beforehand.
        buffer = np.empty(size, dtype=np.uint8).data
        at = 0
        while at < size:
            got = self._socket.recv_into(buffer[at:], size - at, socket.MSG_WAITALL)
            if not got:
                raise EOFError
            at += got
        return buffer

    def close(self) -> None:
        """Close this end."""
        self._socket.close()


AUTO_MOST = 4
"""The most processes that `auto` starts: each takes some 50 MB."""
PAYS_BYTES = 48 * 2**20
"""Input from which processes pay: they take a third of a second to start, in which so much is parsed."""
END_SECONDS = 1.0
"""How long one that was killed is waited for: it ends at once, unless a disk holds it up."""
_QUEUED = 2
"""Blocks that a process has at once: one in work, one that waits."""
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
"""All of the environment that is handed on: keys and passwords may be in the rest."""


class Worker(Closing):
    """One such process. It ends when its channel is closed, so also when this process is killed."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with ExitStack() as failed, theirs:
            failed.callback(ours.close)
            environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
            # Modules are looked for where this process found them, and not in the working folder.
            environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
            environment["OPENBLAS_NUM_THREADS"] = "1"
            self.process = subprocess.Popen(  # noqa: S603 this very interpreter
                [sys.executable, "-P", "-m", "vecload.readers.json.workers", str(theirs.fileno())],
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # A terminal's signals are this process's to heed.
                process_group=0,
            )
            failed.pop_all()
        self.channel = Channel(ours)
        self.queued = 0

    def close(self) -> None:
        """End it."""
        self.channel.close()
        self.process.kill()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(END_SECONDS)


class Parsers(Closing):
    """The processes, started when there is enough to parse for them.

    Args:
        count: How many; 0 leaves parsing to this process.
        expected: Bytes of input that are known of.
        pays_from: Input from which they are started.
    """

    def __init__(self, count: int, expected: int = 0, *, pays_from: int = PAYS_BYTES) -> None:
        self._count = count
        self._pays_from = pays_from
        self._expected = expected
        self._seen = 0
        self.workers: list[Worker] = []

    def pay(self, nbytes: int) -> bool:
        """Whether these next bytes are better parsed by processes."""
        self._seen += nbytes
        return self._count > 0 and max(self._seen, self._expected) >= self._pays_from

    def map(self, task: Task, blocks: Iterator[Block]) -> Iterator[list[Batch]]:
        """The batches of each block, in order. Their rows are counted from the block's first, which is 0.

        Raises:
            VecloadError: A process ended before its work, or could not do it.
        """
        if not self._start():
            with BlockMapper(task) as mapper:
                yield from map(mapper.map, blocks)
            return
        pending: deque[tuple[Worker, Block]] = deque()
        try:
            for worker in self.workers:
                _send(worker, task, task)
            for block in blocks:
                # One that is busy sending its answer takes no large block: each would wait for the other.
                most = _QUEUED if block.data is None else 1
                while (worker := min(self.workers, key=lambda each: each.queued)).queued >= most:
                    yield _answer(pending, task)
                _send(worker, block, task)
                worker.queued += 1
                pending.append((worker, block))
            while pending:
                yield _answer(pending, task)
        finally:
            if pending:
                # What is still to be answered must not pass for the answer to something else.
                self.close()

    def _start(self) -> bool:
        """Start the processes, as many as can be; False if none can, and this one has to parse."""
        # Those that a machine has no room for are not asked for again.
        with suppress(OSError):
            while len(self.workers) < self._count:
                self.workers.append(Worker())
        self._count = len(self.workers)
        return self._count > 0

    def close(self) -> None:
        """End the processes."""
        while self.workers:
            self.workers.pop().close()


def automatic() -> int:
    """How many processes parse where nobody says: one a core that may be used, if there are several."""
    cores = len(os.sched_getaffinity(0))
    return min(cores, AUTO_MOST) if cores > 1 else 0


def _send(worker: Worker, value: Task | Block, task: Task) -> None:
    try:
        worker.channel.send(value)
    except OSError:
        raise _ended(worker, task) from None


def _answer(pending: deque[tuple[Worker, Block]], task: Task) -> list[Batch]:
    """The answer to what was sent first."""
    worker, block = pending[0]
    try:
        answer: list[Batch] | Exception = worker.channel.receive()
    except (EOFError, OSError):
        raise _ended(worker, task) from None
    pending.popleft()
    worker.queued -= 1
    if isinstance(answer, Exception):
        raise answer
    return [raw_lines(batch, block, task.line_max) for batch in answer] if task.mapper.keep_rows else answer


def _ended(worker: Worker, task: Task) -> VecloadError:
    """What is said of a process that is gone."""
    worker.process.kill()
    try:
        code = worker.process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        how = "neither answers nor ends"
    else:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
    return VecloadError(
        f"a process that parsed {task.source} {how}",
        hint="run the same command again to resume; --parse-workers 0 parses without other processes",
    )


def serve(channel: Channel) -> None:
    """Answer each block with its batches, in order, until the other end is closed."""
    mapper: BlockMapper | None = None
    while True:
        asked = channel.receive()
        if isinstance(asked, Task):
            if mapper is not None:
                mapper.close()
            mapper = BlockMapper(asked)
        elif mapper is not None:
            try:
                channel.send([portable(batch) for batch in mapper.map(asked)])
            except VecloadError as error:
                channel.send(error)
            except Exception as error:  # noqa: BLE001 a defect: named by its type, since its text may hold values
                channel.send(RuntimeError(f"{type(error).__name__} in a parsing process"))


def main() -> None:
    """Serve the socket whose descriptor is the argument."""
    with Channel(socket.socket(fileno=int(sys.argv[1]))) as channel:
        try:
            serve(channel)
        except (EOFError, OSError):
            return


if __name__ == "__main__":
    main()
