"""Target: where items go. One interface for the service, the embedded store and memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self, get_args

from vecload.batch import Batch, Contents, Metadata, Vectors
from vecload.errors import IndexMismatch
from vecload.options import Metric, StoragePrecision

DIMENSION_MAX = 65535
"""The engine's highest dimension (docs/cyborgdb.md)."""
INDEX_NAME_MAX_BYTES = 200
"""The engine makes file names of index names; 255 bytes fail (docs/cyborgdb.md)."""


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """The settings of a new index, which never change.

    dimension: Length of a vector; None lets the first upsert decide.
    unfilterable, pattern, full_text: metadata fields, by dot path, with another policy than the default,
        which makes every field filterable.
    embedding_model: The engine's model that computes vectors from contents.
    """

    dimension: int | None = None
    metric: Metric | None = None
    storage_precision: StoragePrecision | None = None
    unfilterable: tuple[str, ...] = ()
    pattern: tuple[str, ...] = ()
    full_text: tuple[str, ...] = ()
    embedding_model: str | None = None

    def metadata_schema(self) -> dict[str, dict[str, bool]]:
        """The fields' policies in the engine's form, without fields that have the default policy.

        Raises:
            IndexMismatch: A field has two policies that exclude each other.
        """
        for one, other in ((self.pattern, self.unfilterable), (self.pattern, self.full_text)):
            both = sorted(set(one) & set(other))
            if both:
                raise IndexMismatch(
                    f"field {both[0]!r} is declared a pattern and also full text or unfilterable",
                    hint="a pattern field is filterable by exact value; keep one of the two",
                )
        schema = {name: _policy(filterable=False) for name in self.unfilterable}
        schema |= {name: _policy(pattern=True) for name in self.pattern}
        return schema | {name: _policy(filterable=False, full_text=True) for name in self.full_text}


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """A target's description of an index. `dimension` is 0 until the first upsert sets it."""

    name: str
    dimension: int
    metric: str
    trained: bool
    n_lists: int
    metadata_schema: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ack:
    """The checked acknowledgement of one batch.

    items: how many items the target says it stored: always as many as were sent.
    requests: how many requests carried them, by wire format; empty without a network.
    nbytes: bytes of the request bodies, or of the items without a network.
    sending: seconds to write the requests to the network; 0 without one.
    waiting: seconds to wait for their answers.
    """

    items: int
    requests: Mapping[str, int]
    nbytes: int
    sending: float = 0.0
    waiting: float = 0.0

    def __add__(self, other: Ack) -> Ack:
        """The sum of both, for the parts of a batch."""
        return Ack(
            self.items + other.items,
            dict(Counter(self.requests) + Counter(other.requests)),
            self.nbytes + other.nbytes,
            self.sending + other.sending,
            self.waiting + other.waiting,
        )


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item as the target returns it, with contents as stored, sealed or not.

    vector: float32, shape (dim,); None if not asked for, and for all zeros, which the engine hides.
    contents: None if absent or not asked for. The engine does not distinguish empty from absent.
    """

    id: str
    vector: Vectors | None
    metadata: Metadata
    contents: Contents | None


@dataclass(frozen=True, slots=True)
class Hit:
    """One result of a query; a smaller distance is nearer."""

    id: str
    distance: float
    metadata: Metadata


class TargetIndex(Protocol):
    """One index of a target, opened with its index key.

    Threads may call every method at the same time. A method that failed may be called again: an upsert then
    stores the same items once more.
    """

    @property
    def name(self) -> str:
        """The index's name."""

    @property
    def writers(self) -> int:
        """How many concurrent batches make this target faster."""

    def describe(self) -> IndexInfo:
        """Ask the target about the index.

        Raises:
            TargetError: It failed, as for every method here.
        """

    def prepare(self, batch: Batch) -> Callable[[], Ack]:
        """Encode a batch for the target, without a request.

        Returns:
            A function that stores the whole batch and returns after the target acknowledged every item. It
            may be called again after it failed. It raises TargetError, whose `retryable` and `splittable` say
            what may help.
        """

    def upsert(self, batch: Batch) -> Ack:
        """Store a whole batch: encode it, and send it once.

        Raises:
            TargetError: It failed.
        """

    def get(self, ids: Sequence[str], include: Sequence[str]) -> list[StoredItem]:
        """Fetch items in the order of the ids, without missing ones.

        Args:
            ids: Any number.
            include: Some of `vector`, `metadata`, `contents`. An item that has none of them may be missing as
                well: include nothing to learn whether it exists.
        """

    def delete(self, ids: Sequence[str]) -> None:
        """Delete items. Ids of which there is no item are ignored.

        Args:
            ids: Any number.
        """

    def query(self, vector: Vectors, top_k: int) -> list[Hit]:
        """The nearest items, nearest first. `vector` has shape (dim,)."""

    def ids_where(self, filters: Mapping[str, Any]) -> list[str]:
        """The ids of all items whose metadata matches, in any order.

        Args:
            filters: In the engine's form, which is MongoDB's. Items without a field match `$exists: false`.

        Raises:
            BatchRefused: The engine does not know an operator, or can't filter by a field.
        """

    def count(self) -> int:
        """How many items the index holds."""

    def list_ids(self) -> list[str]:
        """The ids of all items, in any order."""

    def train(self) -> None:
        """Train the index, so that queries search only a part of it. Returns after the training.

        Raises:
            TrainingFailed: It could not be trained.
        """

    def drop(self) -> None:
        """Delete the index and all of its items."""


class Target(Protocol):
    """A place that holds indexes. Threads may share it."""

    @property
    def location(self) -> str:
        """A URL or a folder: it identifies the target, also for people."""

    def healthy(self) -> bool:
        """Whether it answers at all. Never raises."""

    def list_indexes(self) -> list[str]:
        """The names of the indexes, sorted."""

    def embedding_models(self) -> list[str]:
        """The models that may make vectors; empty where the target does not say."""

    def create_index(self, name: str, index_key: bytes, settings: IndexSettings) -> TargetIndex:
        """Create an index and open it. A failure leaves nothing behind.

        Raises:
            IndexExists: There is one with that name; it is unchanged.
            IndexMismatch: An index can't have these settings.
        """

    def open_index(self, name: str, index_key: bytes) -> TargetIndex:
        """Open an index.

        Raises:
            IndexNotFound: There is none with that name.
            WrongKey: It was created with another index key.
        """

    def close(self) -> None:
        """Release connections and locks, those of open indexes too. May be called several times.

        Later calls, of an index as well, raise ConnectionClosed; `healthy` is False.
        """

    def __enter__(self) -> Self:
        """The target itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""


def check_settings(name: str, settings: IndexSettings) -> None:
    """Refuse a name and settings that no target accepts.

    Raises:
        IndexMismatch: The name, the dimension, the metric, the precision or the fields' policies are
            impossible.
    """
    if not isinstance(name, str):
        raise IndexMismatch(f"the name of an index is text, not {type(name).__name__}")
    if not name or name != name.strip() or "/" in name or "\0" in name or name in (".", ".."):
        raise IndexMismatch(
            f"{name!r} can't be the name of an index",
            hint="use letters, digits, '-', '_' and '.', at most 200 bytes",
        )
    try:
        too_long = len(name.encode()) > INDEX_NAME_MAX_BYTES
    except UnicodeEncodeError:
        too_long = True
    if too_long:
        raise IndexMismatch(
            f"{name[:40]!r}… can't be the name of an index", hint="use at most 200 bytes of UTF-8"
        )
    if name == "default":
        # The service reserves it, so it could not serve an embedded index with that name.
        raise IndexMismatch("the service reserves the index name 'default'", hint="choose another")
    if settings.dimension is not None and type(settings.dimension) is not int:
        # A fraction makes the engine crash with a segmentation fault.
        raise IndexMismatch(f"dimension {settings.dimension!r} is not a whole number")
    if settings.dimension is not None and not 1 <= settings.dimension <= DIMENSION_MAX:
        raise IndexMismatch(f"dimension {settings.dimension} is not between 1 and {DIMENSION_MAX}")
    for what, value, known in (
        ("metric", settings.metric, get_args(Metric)),
        ("storage precision", settings.storage_precision, get_args(StoragePrecision)),
    ):
        if value is not None and value not in known:
            raise IndexMismatch(f"there is no {what} {value!r}", hint=f"choose one of {', '.join(known)}")
    settings.metadata_schema()


def metadata_of(stored: Any) -> Metadata:
    """The metadata of a stored item. The engine omits empty metadata."""
    return stored if isinstance(stored, dict) else {}


def _policy(*, filterable: bool = True, pattern: bool = False, full_text: bool = False) -> dict[str, bool]:
    return {"filterable": filterable, "pattern": pattern, "full_text": full_text}
