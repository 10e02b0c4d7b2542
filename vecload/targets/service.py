"""The CyborgDB service over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from vecload.batch import Batch
from vecload.closing import Closing
from vecload.errors import (
    AccessRefused,
    BatchRefused,
    Busy,
    ClientRefused,
    IndexExists,
    IndexKeyNeeded,
    IndexMismatch,
    ItemUnreadable,
    KmsBacked,
    NotAcknowledged,
    NotTrusted,
    TargetError,
    Unauthorised,
    UsageError,
    VecloadError,
)
from vecload.limits import BINARY_THRESHOLD
from vecload.options import WireFormat
from vecload.safe_text import one_line
from vecload.targets.answers import (
    check_deleted,
    check_trained,
    check_upserted,
    error_of,
    hits_of,
    index_info,
    number_of,
    object_of,
    texts_of,
)
from vecload.targets.base import (
    DEFAULT_TRAINING,
    Ack,
    IndexInfo,
    IndexSettings,
    OpenedBy,
    Permission,
    StoredItem,
    Training,
    check_created,
    check_settings,
    drawn,
    in_turn,
    own_key,
)
from vecload.targets.echoes import EchoFilter
from vecload.targets.location import service_address
from vecload.targets.queries import Hit, MetadataQuery, Query
from vecload.targets.reach import Reach
from vecload.targets.returned_items import stored_items_of
from vecload.targets.transport import Answer, Connections
from vecload.targets.unreadable import read_around
from vecload.targets.wire import (
    Body,
    choose_format,
    dumps,
    encode_binary,
    encode_json,
    encode_query,
    query_rows,
    vectors_text_bytes,
)

REQUEST_SECONDS = 120.0
"""How long one request may take in all: the engine itself waits 120 s for its store."""
BODY_MAX_BYTES = 10_000_000
"""Largest request body: the service needs ten times its size in memory."""
PROBE_SECONDS = 5.0
TRAIN_SECONDS = 6 * 3600.0
"""A training is one request. It takes 24 s for 200,000 items of 768 dimensions."""
ANSWER_MAX_BYTES = 1_000_000
GET_ITEMS = 500
"""Ids of one get: the service needs about 70 kB for each item of 768 dimensions while it answers."""
DELETE_ITEMS = 2000
"""Ids of one delete: at 4 KiB an id, the longest that vecload stores, a body stays below BODY_MAX_BYTES."""
GET_MAX_BYTES = 1_000_000_000
REFUSALS = (400, 401, 403, 409, 413, 422)
"""With these statuses the service says that it did nothing. After others it may still execute the request."""
USER_TOKEN = "cdbk_"  # noqa: S105 how every one begins
"""How the API key of a user begins. It is for one index, and opens it without the index key."""


class ServiceIndex:
    """An index of a CyborgDB service.

    Args:
        service: The service.
        name: The index.
        index_key: 32 bytes, sent with every request; None if a user token or the service's KMS opens it.
        opened_by: What opens it.
        wire: The wire format.
        binary_threshold: With wire `auto`, use binary from this many items on.
    """

    writers = 2  # two concurrent requests keep the service busy; more only queue (docs/cyborgdb.md)

    def __init__(
        self,
        service: ServiceTarget,
        name: str,
        index_key: bytes | None,
        *,
        opened_by: OpenedBy,
        wire: WireFormat,
        binary_threshold: int,
    ) -> None:
        self.name = name
        self.opened_by: OpenedBy = opened_by
        self._service = service
        # In lower case, since the service compares the text.
        self._key_hex = None if index_key is None else index_key.hex()
        self._wire = wire
        self._binary_threshold = binary_threshold

    def __repr__(self) -> str:
        return f"ServiceIndex({self.name!r}, {self._service.location!r})"

    def describe(self) -> IndexInfo:
        """Ask the service about the index."""
        return index_info(self.name, self._ask("/v1/indexes/describe"))

    def permissions(self) -> frozenset[Permission]:
        """What the API key may do with items: all, unless it is a user token.

        The service has no way to ask for it. So this counts the items, which needs `read`, and deletes the
        items of an empty list, which needs `write` and writes nothing (docs/cyborgdb.md).
        """
        if self.opened_by != "user token":
            return frozenset(("read", "write"))
        found: set[Permission] = set()
        with suppress(Unauthorised):
            self.count()
            found.add("read")
        with suppress(Unauthorised):
            self._delete([])
            found.add("write")
        return frozenset(found)

    def prepare(self, batch: Batch) -> Callable[[], Ack]:
        """Encode a batch as the body of a request, or of several if one would be too large.

        Items with a vector and items without go in separate requests, so that those with one can be binary.
        """
        if batch.to_embed is not None:
            return partial(in_turn, [self.prepare(part) for part in batch.by_vector()])
        wire = choose_format(batch, self._wire, self._binary_threshold)
        if len(batch) > 1 and vectors_text_bytes(batch, wire) > BODY_MAX_BYTES:
            return partial(self._upsert_halves, batch)
        encode = encode_json if wire == "json" else encode_binary
        body = encode(batch, self.name, self._key_hex)
        if body.nbytes > BODY_MAX_BYTES and len(batch) > 1:
            return partial(self._upsert_halves, batch)
        return partial(self._post, wire, body, Ack(len(batch), {wire: 1}, body.nbytes))

    def upsert(self, batch: Batch) -> Ack:
        """Send a batch."""
        return self.prepare(batch)()

    def _upsert_halves(self, batch: Batch) -> Ack:
        middle = len(batch) // 2
        return self.upsert(batch.part(0, middle)) + self.upsert(batch.part(middle, len(batch)))

    def _post(self, wire: WireFormat, body: Body, ack: Ack) -> Ack:
        path = "/v1/vectors/upsert" if wire == "json" else "/v1/vectors/upsert_binary"
        answer = self._service.request("POST", path, body)
        check_upserted(answer.body, ack.items)
        return replace(ack, sending=answer.sending, waiting=answer.waiting)

    def get(self, ids: Sequence[str], include: Sequence[str]) -> list[StoredItem]:
        """Fetch items, some hundreds per request, and around those that the service can't send."""
        items: list[StoredItem] = []
        for start in range(0, len(ids), GET_ITEMS):
            some = ids[start : start + GET_ITEMS]
            try:
                items += self._get_once(some, include)
            except Busy as error:
                items += read_around(self._get_once, some, include, error)
        return items

    def _get_once(self, ids: Sequence[str], include: Sequence[str]) -> list[StoredItem]:
        path, limit = "/v1/vectors/get", GET_MAX_BYTES
        return stored_items_of(self._answer(path, limit=limit, ids=list(ids), include=list(include)))

    def delete(self, ids: Sequence[str]) -> None:
        """Delete items, some thousands per request."""
        for start in range(0, len(ids), DELETE_ITEMS):
            self._delete(ids[start : start + DELETE_ITEMS])

    def _delete(self, ids: Sequence[str]) -> None:
        check_deleted(self._ask("/v1/vectors/delete", ids=list(ids)))

    def query(self, query: Query) -> list[list[Hit]]:
        """The nearest items of each vector, for some vectors per request."""
        binary = self._wire != "json" and len(query) > 1
        path = "/v1/vectors/query_binary" if binary else "/v1/vectors/query"
        found: list[list[Hit]] = []
        rows = query_rows(query)
        for start in range(0, len(query), rows):
            part = query.part(start, start + rows)
            fields = encode_query(part, binary=binary)
            try:
                answer = self._ask(path, limit=GET_MAX_BYTES, **fields)
            except Busy as error:
                self._check_readable(part, error)
                raise
            found += hits_of(answer, len(part), part.ranked_by)
        return found

    def _check_readable(self, failed: Query, error: Busy) -> None:
        """Find the item that made a query fail, because the service can't send its metadata or distance.

        Raises:
            ItemUnreadable: It is this one.
        """
        needed = {"metadata": "metadata", "distance": "vector"}
        fields = [needed[name] for name in failed.include]
        if not error.unexplained or not fields:
            return
        ids = [hit.id for hits in self.query(replace(failed, include=())) for hit in hits]
        for item in self.get(ids, fields):
            if item.unreadable:
                raise ItemUnreadable(item.id, item.unreadable)

    def query_metadata(self, query: MetadataQuery) -> list[Hit]:
        """The items with such metadata."""
        answer = self._ask("/v1/vectors/query_metadata", limit=GET_MAX_BYTES, **query.arguments())
        return hits_of(answer, 1, "score" if query.text else None)[0]

    def ids_where(self, filters: Mapping[str, Any]) -> list[str]:
        """The ids of the items whose metadata matches."""
        return texts_of(
            self._ask("/v1/vectors/query_metadata", limit=GET_MAX_BYTES, filters=dict(filters)), "ids"
        )

    def count(self) -> int:
        """How many items the index holds."""
        return number_of(self._ask("/v1/vectors/num_vectors"), "result")

    def list_ids(self) -> list[str]:
        """The ids of all items."""
        return texts_of(self._ask("/v1/vectors/list_ids", limit=GET_MAX_BYTES), "ids")

    def sample_ids(self, most: int) -> list[str]:
        """The ids of some items: the engine's order without a filter depends on the index key alone."""
        try:
            answer = self._ask("/v1/vectors/query_metadata", limit=GET_MAX_BYTES, filters={}, top_k=most)
        except TargetError as error:
            if error.retryable or isinstance(error, AccessRefused):
                raise
            return drawn(self.list_ids(), most)  # a service of 0.17 has no such request
        return texts_of(answer, "ids")

    def train(self, training: Training = DEFAULT_TRAINING) -> None:
        """Train the index. The service answers after the training, and with 200 in any case."""
        check_trained(self._ask("/v1/indexes/train", seconds=TRAIN_SECONDS, **training.arguments()))

    def is_training(self) -> bool:
        """Whether the index is being trained, or waits for it. Needs the root API key, if there is one."""
        answer = self._service.request("GET", "/v1/indexes/training-status", limit=GET_MAX_BYTES).body
        return self.name in texts_of(object_of(answer), "training_indexes")

    def drop(self) -> None:
        """Delete the index."""
        self._ask("/v1/indexes/delete")

    def _ask(
        self, path: str, *, limit: int = ANSWER_MAX_BYTES, seconds: float | None = None, **fields: Any
    ) -> dict[str, Any]:
        return object_of(self._answer(path, limit=limit, seconds=seconds, **fields))

    def _answer(self, path: str, *, limit: int, seconds: float | None = None, **fields: Any) -> bytes:
        key = {} if self._key_hex is None else {"index_key": self._key_hex}
        body = Body(dumps({"index_name": self.name, **key, **fields}))
        return self._service.request("POST", path, body, limit=limit, seconds=seconds).body


class ServiceTarget(Closing):
    """A running CyborgDB service.

    Args:
        url: Its address, `http://` or `https://`, perhaps with a path under which it answers.
        api_key: Sent as X-API-Key.
        reach: How to reach it.
        wire: The wire format of upserts.
        binary_threshold: With wire `auto`, use binary from this many items on.
        request_seconds: How long one request may take in all.

    Raises:
        UsageError: The address or a certificate file can't be used, or keys would travel unencrypted.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        reach: Reach = Reach(),  # noqa: B008 a frozen value
        wire: WireFormat = "auto",
        binary_threshold: int = BINARY_THRESHOLD,
        request_seconds: float = REQUEST_SECONDS,
    ) -> None:
        address = service_address(url)
        reach.check_private(address)
        self.location = address.location
        self._prefix = address.prefix
        self._wire: WireFormat = wire
        self._binary_threshold = binary_threshold
        self._request_seconds = request_seconds
        if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
            raise UsageError(
                "the API key contains characters that an HTTP header can't", hint="check VECLOAD_API_KEY"
            )
        self._api_key = api_key
        self._is_user = api_key is not None and api_key.startswith(USER_TOKEN)
        self._connections = Connections(address, api_key, reach)

    def __repr__(self) -> str:
        return f"ServiceTarget({self.location!r})"

    def healthy(self) -> bool:
        """Whether the service answers its health check, which does not use its storage.

        True too if it, or a proxy, refuses this client: waiting can't change that, so the next request may
        say so.
        """
        try:
            return self.health().get("status") == "healthy"
        except (NotTrusted, ClientRefused):
            return True
        except VecloadError:
            return False

    def health(self) -> dict[str, str]:
        """What the service says of itself."""
        answer = object_of(self.request("GET", "/v1/health", seconds=PROBE_SECONDS).body)
        return {name: one_line(value) for name, value in answer.items() if isinstance(value, str)}

    def list_indexes(self) -> list[str]:
        """The names of the indexes. Needs the root API key, if the service has one."""
        answer = object_of(self.request("GET", "/v1/indexes/list", limit=GET_MAX_BYTES).body)
        return sorted(texts_of(answer, "indexes"))

    def embedding_models(self) -> list[str]:
        """The service's models; none where it has no list of them."""
        try:
            answer = object_of(self.request("GET", "/v1/embedding-models").body)
        except VecloadError:
            return []  # a list for one error message: whatever else is wrong, the next request meets it
        models = answer.get("models")
        found = (
            [model.get("name") for model in models if isinstance(model, dict)]
            if isinstance(models, list)
            else []
        )
        return [name for name in found if isinstance(name, str)]

    def create_index(self, name: str, index_key: bytes | None, settings: IndexSettings) -> ServiceIndex:
        """Create an index with this key, or with one from the service's KMS."""
        check_settings(name, settings)
        index_key = None if settings.kms is not None else own_key(name, index_key)
        fields = {
            "index_name": name,
            "index_key": None if index_key is None else index_key.hex(),
            "kms_name": settings.kms,
            "dimension": settings.dimension,
            "metric": settings.metric,
            "storage_precision": settings.storage_precision,
            "metadata_schema": settings.metadata_schema(),
            "embedding_model": settings.embedding_model,
            "bm25_k1": settings.bm25_k1,
            "bm25_b": settings.bm25_b,
        }
        try:
            body = Body(dumps({key: value for key, value in fields.items() if value not in (None, {})}))
            self.request("POST", "/v1/indexes/create", body)
        except IndexExists as error:
            raise _as(error, IndexExists(f"{self.location} already has an index {name!r}")) from None
        except BatchRefused as error:
            raise _as(
                error, IndexMismatch(f"the index can't be created with these settings: {error}")
            ) from None
        index = self._index(name, index_key)
        check_created(index, settings)
        return index

    def open_index(self, name: str, index_key: bytes | None) -> ServiceIndex:
        """Open an index: ask the service to describe it, which needs the right key.

        A user token opens its index without the key. Otherwise the key is sent, and only if the service
        answers that it has the key in its KMS, it is left out from then on.
        """
        first, second = (None, index_key) if self._is_user else (index_key, None)
        index = self._index(name, first)
        try:
            index.describe()
        except (IndexKeyNeeded, KmsBacked):
            if index_key is None:
                raise
            index = self._index(name, second)
            index.describe()
        return index

    def _index(self, name: str, index_key: bytes | None) -> ServiceIndex:
        without: OpenedBy = "user token" if self._is_user else "KMS"
        return ServiceIndex(
            self,
            name,
            index_key,
            opened_by=without if index_key is None else "index key",
            wire=self._wire,
            binary_threshold=self._binary_threshold,
        )

    def request(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        *,
        limit: int = ANSWER_MAX_BYTES,
        seconds: float | None = None,
    ) -> Answer:
        """Send one request, and return the answer if its status is 200.

        Args:
            method: HTTP method.
            path: Path and query.
            body: JSON.
            limit: Bytes of the answer at most.
            seconds: How long it may take in all; None is as long as any request of this target.

        Raises:
            ConnectionClosed: `close` was called.
            Unreachable: No connection, or no whole answer in time.
            NotTrusted: The service's certificate is not trusted.
            ClientRefused: The client certificate, or the user of the proxy, is refused.
            VecloadError: Any other answer than 200, by its meaning.
        """
        answer = self._connections.request(
            method, path, body, limit=limit, seconds=seconds or self._request_seconds
        )
        echoes = EchoFilter((*(body.texts() if body else ()), self._prefix.encode()), self._api_key)
        if answer.status != 200:
            raise _error_of(answer, echoes)
        if echoes.holds_key(answer.body):
            raise NotAcknowledged("the service's answer repeats a key from the request")
        return answer

    def close(self) -> None:
        """Close the connections of this process; later calls raise ConnectionClosed."""
        self._connections.close()


def _error_of(answer: Answer, echoes: EchoFilter) -> VecloadError:
    """The error that an answer means; in a frame of the caller it would form a cycle that holds the body."""
    error = error_of(answer.status, answer.headers, answer.body, echoes.redacted)
    error.refused = error.refused or answer.status in REFUSALS
    return error


def _as(error: VecloadError, other: VecloadError) -> VecloadError:
    """Replace an error by another one for the same answer."""
    other.refused = error.refused
    return other
