"""A model before the real service and the real engine, neither of which can load one here.

Everything but the model is real: requests are checked against the service's own models, and stored by it.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from cyborgdb_service.api.schemas.index import CreateIndexRequest
from cyborgdb_service.api.schemas.vectors import BinaryUpsertRequest, UpsertRequest

from tests.faults.proxy import Exchange, Proxy, answer_of

MODEL = "words"
DIMENSION = 4
CREATE = "/v1/indexes/create"


def made(text: str) -> list[float]:
    """The vector of a text."""
    digest = hashlib.sha256(text.encode()).digest()[: 2 * DIMENSION]
    return [float(value) for value in np.frombuffer(digest, dtype=np.uint16).astype(np.float32) + 1]


def embedded_items(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Items as an engine with a model stores them: those without a vector get that of their contents."""
    for item in items:
        if item.get("vector") is None:
            assert isinstance(item.get("contents"), str), (
                "'contents' must be of `str` type for auto-embedding."
            )
    return [{**item, "vector": item.get("vector", None) or made(item["contents"])} for item in items]


class ModelService(Proxy):
    """A service whose indexes have the model, if they were created with it. It keeps the items it was sent.

    Attributes:
        requests: The paths of all upserts, in order.
        items: The items of all upserts, as the service reads them.
        fail: Answers an upsert with this, instead of storing it, as often as it holds answers.
    """

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream, self._upsert)
        self.behave_otherwise = self._other
        self.requests: list[str] = []
        self.items: list[dict[str, Any]] = []
        self.fail: list[bytes | None] = []

    def sent(self, item_id: str) -> dict[str, Any]:
        """The last form in which an item was sent."""
        return [item for item in self.items if item["id"] == item_id][-1]

    def _other(self, exchange: Exchange) -> None:
        if exchange.path == CREATE:
            asked = CreateIndexRequest.model_validate_json(exchange.body)
            body = json.loads(exchange.body)
            if asked.embedding_model == MODEL:
                if asked.dimension not in (None, 0, DIMENSION):
                    said = (
                        f"Failed to create index: Invalid input: dimension {asked.dimension} does not match"
                    )
                    exchange.send(answer_of(400, json.dumps({"detail": said}).encode()))
                    return
                body |= {"embedding_model": None, "dimension": DIMENSION}
            exchange.replace(json.dumps(body).encode())
        if exchange.path == "/v1/embedding-models":
            models = [{"name": MODEL, "dimension": DIMENSION, "max_seq_length": 9}]
            exchange.send(answer_of(200, json.dumps({"models": models}).encode()))
            return
        exchange.pass_on()

    def _upsert(self, exchange: Exchange) -> None:
        failure = self.fail.pop(0) if self.fail else None
        if exchange.path.endswith("_binary"):
            items = BinaryUpsertRequest.model_validate_json(exchange.body).batch.to_items()
        else:
            request = UpsertRequest.model_validate_json(exchange.body)
            items = [item.model_dump(exclude_none=True) for item in request.items]
            body = json.loads(exchange.body)
            body["items"] = embedded_items(items)
            exchange.replace(json.dumps(body).encode())
        self.requests.append(exchange.path.rpartition("/")[2])
        self.items += items
        if failure is not None:
            exchange.send(failure)
        else:
            exchange.pass_on()
