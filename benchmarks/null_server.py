"""A service that stores nothing: it acknowledges what it gets, for little of the machine.

    python -m benchmarks.null_server

Prints its address, and serves until its standard input ends.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import Listener

_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)
MANY = 10**9
"""Items that it says its indexes hold."""


class NullServer(Listener):
    """Answers like a service whose every index exists, has no dimension yet, and holds every item."""

    def serve(self, connection: socket.socket) -> None:
        """Answer the requests of one connection."""
        with connection, connection.makefile("rb", 2**20) as stream:
            while True:
                path = stream.readline().split()
                if len(path) < 2:
                    return
                length = 0
                while (line := stream.readline().strip()) != b"":
                    if found := _LENGTH.fullmatch(line):
                        length = int(found[1])
                answer = json.dumps(_answer(path[1].decode(), stream.read(length))).encode()
                head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                connection.sendall(head % len(answer) + answer)


def _answer(path: str, body: bytes) -> dict[str, object]:
    if path.startswith("/v1/vectors/upsert"):
        begin = body.index(b'"ids":[')
        ids = body[begin : body.index(b"]", begin)].count(b'","') + 1  # ids of benchmarks hold no quotes
        return {"status": "success", "message": f"Upserted {ids} vectors"}
    if path == "/v1/vectors/get":
        return {"results": [{"id": item_id} for item_id in json.loads(body)["ids"]]}
    if path == "/v1/vectors/num_vectors":
        return {"result": MANY}
    if path == "/v1/indexes/describe":
        name = json.loads(body)["index_name"]
        about = {"index_name": name, "is_trained": False, "n_lists": 0, "metadata_schema": {}, "bm25": None}
        return {**about, "dimension": 0, "metric": "euclidean"}
    return {"status": "healthy", "results": [], "ids": [], "indexes": []}


@contextmanager
def null_server() -> Iterator[str]:
    """Such a server in a process of its own: its address."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.null_server"],
        cwd=Path(__file__).parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        said, stop = process.stdout, process.stdin
        if said is None or stop is None:
            raise RuntimeError("the server has no pipes")
        try:
            yield said.readline().strip()
        finally:
            stop.close()


if __name__ == "__main__":
    with NullServer() as server:
        print(server.url, flush=True)
        sys.stdin.read()
