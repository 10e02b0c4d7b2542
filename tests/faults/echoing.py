"""A service that works until it is asked for one thing, and then answers with what it was sent."""

from __future__ import annotations

import base64
import json
import re
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

from tests.servers import Listener

Form = Callable[[str], str]
Answer = Callable[[str], bytes]

FORMS: dict[str, Form] = {
    "plain": lambda text: text,
    "spaced": " ".join,
    "dashed": "-".join,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "upper": str.upper,
    "first half": lambda text: text[: len(text) // 2],
    "last half": lambda text: text[len(text) // 2 :],
    "half in base64": lambda text: base64.b64encode(text[: len(text) // 2].encode()).decode(),
    "coloured": lambda text: f"\x1b[31m{text}\x9b0m",
}


def http(status: str, body: bytes, *headers: str) -> bytes:
    head = (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers)
    return "\r\n".join((*head, "", "")).encode("latin-1", "replace") + body


def said(status: str, /, **fields: object) -> Callable[[str], bytes]:
    """An answer of JSON; `ECHO` in it becomes the echo."""
    return lambda echo: http(status, json.dumps(_filled(fields, echo)).encode())


def _filled(value: object, echo: str) -> object:
    if isinstance(value, dict):
        return {_filled(name, echo): _filled(inner, echo) for name, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, echo) for inner in value]
    return value.replace("ECHO", echo) if isinstance(value, str) else value


def raw(template: str) -> Callable[[str], bytes]:
    """Bytes as they are; `ECHO` in them becomes the echo."""
    return lambda echo: template.replace("ECHO", echo).encode("utf-8", "replace")


_OK = "HTTP/1.1 200 OK\r\n"
PLACES: dict[str, Answer] = {
    "instead of HTTP": raw("ECHO\r\n\r\n"),
    "version": raw("HTTP/ECHO 200 OK\r\n\r\n"),
    "status": raw("HTTP/1.1 ECHO\r\n\r\n"),
    "reason": raw("HTTP/1.1 503 ECHO\r\nContent-Length: 0\r\n\r\n"),
    "reason of a refusal": raw("HTTP/1.1 400 ECHO\r\nContent-Length: 0\r\n\r\n"),
    "header's name": raw(_OK + "ECHO: a\r\nContent-Length: 0\r\n\r\n"),
    "header's value": raw(_OK + "X-Seen: ECHO\r\nContent-Length: 0\r\n\r\n"),
    "header without a colon": raw(_OK + "ECHO\r\n\r\n"),
    "header with a zero": raw(_OK + "X-Seen: \0ECHO\r\n\r\n"),
    "continuation": raw(_OK + " ECHO\r\n\r\n"),
    "length": raw(_OK + "Content-Length: ECHO\r\n\r\n"),
    "lengths": raw(_OK + "Content-Length: 1\r\nContent-Length: ECHO\r\n\r\n"),
    "transfer encoding": raw(_OK + "Transfer-Encoding: ECHO\r\n\r\n"),
    "content encoding": raw(_OK + "Content-Encoding: ECHO\r\nContent-Length: 0\r\n\r\n"),
    "content type": raw(_OK + "Content-Type: text/html; charset=ECHO\r\nContent-Length: 2\r\n\r\n{}"),
    "chunk's size": raw(_OK + "Transfer-Encoding: chunked\r\n\r\nECHO\r\n"),
    "chunk's extension": raw(_OK + "Transfer-Encoding: chunked\r\n\r\n2;ECHO\r\n{}\r\n0\r\n\r\n"),
    "chunk's end": raw(_OK + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}ECHO\r\n0\r\n\r\n"),
    "trailer": raw(_OK + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nECHO\r\n\r\n"),
    "cut body": raw(_OK + "Content-Length: 9999999\r\n\r\nECHO"),
    "interim answer": raw("HTTP/1.1 103 ECHO\r\nLink: ECHO\r\n\r\nECHO\r\n\r\n"),
    "upgrade": raw("HTTP/1.1 101 ECHO\r\nUpgrade: ECHO\r\nConnection: upgrade\r\n\r\n"),
    "redirect": raw("HTTP/1.1 307 ECHO\r\nLocation: http://ECHO/?ECHO\r\nContent-Length: 0\r\n\r\n"),
    "redirect to nowhere": raw("HTTP/1.1 301 A\r\nLocation: http://[ECHO\r\nContent-Length: 0\r\n\r\n"),
    "cookie": raw(_OK + "Set-Cookie: a=ECHO; domain=ECHO; expires=ECHO\r\nContent-Length: 2\r\n\r\n{}"),
    "retry after": raw("HTTP/1.1 503 A\r\nRetry-After: ECHO\r\nContent-Length: 0\r\n\r\n"),
    "HTML": lambda echo: http("502 Bad Gateway", f"<html><b>{echo}</b>".encode(), "Content-Type: text/html"),
    "text": lambda echo: http("400 Bad Request", echo.encode()),
    "text of the service's": lambda echo: http("400 Bad", f"Failed to upsert vectors: {echo}".encode()),
    "not JSON": lambda echo: http("200 OK", echo.encode()),
    "detail": said("400 Bad", detail="ECHO"),
    "refusal": said("400 Bad", detail="Failed to upsert vectors: Invalid input: ECHO"),
    "refusal of a key": said("401 No", detail="Wrong encryption key for index ECHO"),
    "refusal of access": said("403 No", detail="Failed to load: permission denied for ECHO"),
    "no index": said("404 No", detail="Index not found: ECHO does not exist"),
    "lock": said("400 No", detail="Invalid input: data dir ECHO is locked by another store"),
    "limit": said("400 No", detail="Item limit reached: ECHO"),
    "failure": said("500 No", detail="Unexpected server error: ECHO"),
    "busy": said("503 No", detail="embedding model unavailable: ECHO"),
    "strange status": said("418 No", detail="Invalid ECHO"),
    "fault": said(
        "422 No", detail=[{"loc": ["body", "ECHO", 1], "type": "ECHO", "msg": "ECHO", "input": "ECHO"}]
    ),
    "fault in text": said("422 No", detail="Invalid ECHO"),
    "faults": said("422 No", detail=["ECHO", {"loc": "ECHO"}, {"type": ["ECHO"]}]),
    "message": said("200 OK", status="success", message="ECHO"),
    "training": said("200 OK", status="error", message="Training failed: ECHO"),
    "names": said("200 OK", indexes=["ECHO", "docs"], results=[], ids=["ECHO"]),
    "description": said(
        "200 OK", dimension=32, metric="ECHO", is_trained=False, n_lists=1, metadata_schema={"ECHO": {}}
    ),
    "policies": said(
        "200 OK",
        dimension=32,
        metric="euclidean",
        is_trained=False,
        n_lists=1,
        metadata_schema={"ECHO": {"ECHO": True}},
    ),
    "numbers": said("200 OK", dimension="ECHO", metric="ECHO", n_lists="ECHO", result="ECHO"),
}


class Echoing(Listener):
    """The service. Works for an index `docs`, and for items of 32 dimensions.

    Attributes:
        asked: What it echoes at: the end of a path.
        place: Where in its answer.
        form: In which form.
        secrets: What of a request it looks for; whatever it finds is echoed.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        super().__init__()
        self.secrets = secrets
        self.asked, self.place, self.form = "", "", ""
        self.echoed = 0

    def serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection, connection.makefile("rb") as stream:
            while request := stream.readline():
                head = request
                while (line := stream.readline()).strip():
                    head += line
                size = re.search(rb"(?i)content-length: *(\d+)", head)
                body = stream.read(int(size[1])) if size else b""
                path = request.split()[1].decode()
                if path.endswith(self.asked):
                    connection.sendall(self._echo(head, body))
                    return
                connection.sendall(http("200 OK", json.dumps(_answer(path, body)).encode()))

    def _echo(self, head: bytes, body: bytes) -> bytes:
        text = (head + body).decode("utf-8", "replace")
        found = [secret for secret in self.secrets if secret in text]
        self.echoed += len(found)
        form = FORMS[self.form]
        # What was sent whole as well: where only the plain form can be meant.
        echo = " ".join([*map(form, found), *([text.replace("\r\n", " ")] if self.form == "plain" else [])])
        return PLACES[self.place](echo)


def _answer(path: str, body: bytes) -> dict[str, object]:
    """What the service answers."""
    if path.endswith("health"):
        return {"status": "healthy"}
    if path.endswith("list"):
        return {"indexes": ["docs"]}
    if path.endswith("describe"):
        return {
            "dimension": 32,
            "metric": "euclidean",
            "is_trained": False,
            "n_lists": 1,
            "metadata_schema": {},
        }
    if "upsert" in path:
        sent = json.loads(body)
        items = len(sent["items"]) if "items" in sent else len(sent["batch"]["ids"])
        return {"status": "success", "message": f"Upserted {items} vectors"}
    if path.endswith("num_vectors"):
        return {"result": 1000}  # more than a load puts there
    if path.endswith("get"):
        return {"results": [{"id": item_id, "metadata": {}} for item_id in json.loads(body)["ids"]]}
    if path.endswith(("query_metadata", "list_ids")):
        return {"ids": ["a", "b"]}
    if path.endswith("query"):
        return {"results": [{"id": "a", "distance": 0.5, "metadata": {}}]}
    return {"status": "success", "message": "done"}
