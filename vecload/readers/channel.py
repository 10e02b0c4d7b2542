"""Channel: values between this process and one that it started; large buffers go as they are, uncopied."""

from __future__ import annotations

import pickle
import socket
import struct
from typing import Any

import numpy as np

from vecload.closing import Closing

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
