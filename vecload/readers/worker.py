"""A process that parses: `python -m vecload.readers.worker DESCRIPTOR`. It ends with whoever started it."""

from __future__ import annotations

import socket
import sys

from vecload.errors import VecloadError
from vecload.readers.channel import Channel
from vecload.readers.lines import BlockMapper, Task, portable


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
            except Exception as error:  # noqa: BLE001 a defect: told by its kind, since its text may hold values
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
