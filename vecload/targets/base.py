"""Target: where items go. One interface for the service, the embedded store and memory."""

from __future__ import annotations

import math
import random
import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeAlias, get_args

import numpy as np

from vecload.batch import Batch, Contents, Metadata, Vectors
from vecload.errors import IndexKeyNeeded, IndexMismatch, TargetError
from vecload.options import Metric, StoragePrecision
from vecload.targets.queries import Hit, MetadataQuery, Query

OpenedBy: TypeAlias = Literal["index key", "KMS", "user token"]
"""What opens an index: the index key that its user has, the one in the service's KMS, or the API key of a
user, a token. With the last two, no request has an index key."""
Permission: TypeAlias = Literal["read", "write"]

DIMENSION_MAX = 65535
"""The engine's highest dimension (docs/cyborgdb.md)."""
INDEX_NAME_MAX_BYTES = 200
"""The engine makes file names of index names; 255 bytes fail (docs/cyborgdb.md)."""


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """The settings of a new index, which never change.

    dimension: Length of a vector; None lets the first upsert decide.
    unfilterable, pattern, full_text: metadata fields, by dot path, with another policy than the default,
        which makes every field filterable; filterable: fields for which the default is recorded.
    embedding_model: The engine's model that computes vectors from contents.
    bm25_k1, bm25_b: How full-text search scores: weight of repeated words, and of the field's length.
    kms: The name of a KMS in the configuration of the service, which gets the index key from it; None if the
        user has the index key.
    """

    dimension: int | None = None
    metric: Metric | None = None
    storage_precision: StoragePrecision | None = None
    unfilterable: tuple[str, ...] = ()
    pattern: tuple[str, ...] = ()
    full_text: tuple[str, ...] = ()
    embedding_model: str | None = None
    filterable: tuple[str, ...] = ()
    bm25_k1: float | None = None
    bm25_b: float | None = None
    kms: str | None = None

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
        schema = {name: _policy() for name in self.filterable}
        schema |= {name: _policy(filterable=False) for name in self.unfilterable}
        schema |= {name: _policy(pattern=True) for name in self.pattern}
        return schema | {name: _policy(filterable=False, full_text=True) for name in self.full_text}


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """A target's description of an index. `dimension` is 0 until the first upsert sets it.

    bm25: how full-text search scores (`k1`, `b`, `analyzer_version`); None without full-text fields.
    """

    name: str
    dimension: int
    metric: str
    trained: bool
    n_lists: int
    metadata_schema: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    bm25: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Training:
    """How to train an index. None leaves a choice to the engine.

    n_lists: parts into which the index is divided.
    batch_size: items of a step.
    max_iters: steps at most.
    tolerance: end when a step changes less.
    max_memory: megabytes at most.
    """

    n_lists: int | None = None
    batch_size: int | None = None
    max_iters: int | None = None
    tolerance: float | None = None
    max_memory: int | None = None

    def arguments(self) -> dict[str, Any]:
        """The engine's arguments."""
        return {name: value for name, value in asdict(self).items() if value is not None}


DEFAULT_TRAINING = Training()
"""The engine decides everything."""


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


def in_turn(stores: Sequence[Callable[[], Ack]]) -> Ack:
    """Store the parts of a batch one after the other; the sum of their acknowledgements."""
    first, *others = stores
    return sum((store() for store in others), first())


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item as the target returns it, with contents as stored, sealed or not.

    vector: float32, shape (dim,); None if not asked for, and for all zeros, which the engine hides.
    contents: Text, or bytes if they are not UTF-8, which only the embedded engine can return. None if absent
        or not asked for. The engine keeps no type, and does not distinguish empty from absent.
    unreadable: the fields that were asked for, but that the service can't send (docs/cyborgdb.md). They are
        empty here, as if absent: whoever copies or compares items has to look at this.
    """

    id: str
    vector: Vectors | None
    metadata: Metadata
    contents: Contents | None
    unreadable: tuple[str, ...] = ()


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

    @property
    def opened_by(self) -> OpenedBy:
        """What opens the index."""

    def permissions(self) -> frozenset[Permission]:
        """What the caller may do with items. Asks without storing or deleting any.

        Raises:
            TargetError: It failed, as for every method here.
        """

    def describe(self) -> IndexInfo:
        """Ask the target about the index.

        Raises:
            TargetError: It failed.
        """

    def prepare(self, batch: Batch) -> Callable[[], Ack]:
        """Encode a batch for the target, without a request.

        Args:
            batch: With vectors for all items, for some or for none. An index that was created with an
                embedding model makes those that are missing from the contents; others refuse the batch.

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

        An item with a field that a service can't send does not fail the others: it has that field's name in
        `unreadable`, and its other fields. `ItemUnreadable(item.id, item.unreadable)` is its error.

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

    def query(self, query: Query) -> list[list[Hit]]:
        """The nearest items of each vector, nearest first; with a text search, the best first.

        Raises:
            BatchRefused: The engine can't answer this query.
        """

    def query_metadata(self, query: MetadataQuery) -> list[Hit]:
        """The items with such metadata: in any order, or sorted as the query says, or by score.

        Raises:
            BatchRefused: The engine can't answer this query.
        """

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

    def sample_ids(self, most: int) -> list[str]:
        """The ids of some items, which depend neither on their age nor on what they hold.

        Args:
            most: How many, at least 1. If the index holds no more items, all ids.
        """

    def train(self, training: Training = DEFAULT_TRAINING) -> None:
        """Train the index, so that queries search only a part of it. Returns after the training.

        An index with few items stays untrained, without an error.

        Raises:
            TrainingFailed: It could not be trained.
        """

    def is_training(self) -> bool:
        """Whether the index is being trained now, or waits for it."""

    def drop(self) -> None:
        """Delete the index and all of its items."""


class Target(Protocol):
    """A place that holds indexes. Threads may share it."""

    @property
    def location(self) -> str:
        """A URL or a folder: it identifies the target, also for people."""

    def healthy(self) -> bool:
        """Whether it answers at all. Never raises."""

    def health(self) -> dict[str, str]:
        """What it says of itself: `status`, and its `version` if it has one.

        Raises:
            TargetError: It does not answer, or is closed.
        """

    def list_indexes(self) -> list[str]:
        """The names of the indexes, sorted."""

    def embedding_models(self) -> list[str]:
        """The models that may make vectors; empty where the target does not say."""

    def create_index(self, name: str, index_key: bytes | None, settings: IndexSettings) -> TargetIndex:
        """Create an index and open it. A failure leaves nothing behind.

        Args:
            name: The index.
            index_key: Its key, 32 bytes; not used, and may be None, if the settings name a KMS.
            settings: Its settings.

        Raises:
            IndexExists: There is one with that name; it is unchanged.
            IndexKeyNeeded: There is no index key, and the settings name no KMS.
            IndexMismatch: An index can't have these settings, or the target made one with others.
        """

    def open_index(self, name: str, index_key: bytes | None) -> TargetIndex:
        """Open an index.

        Args:
            name: The index.
            index_key: Its key, 32 bytes; None to open it by what else opens it (`OpenedBy`).

        Raises:
            IndexNotFound: There is none with that name.
            IndexKeyNeeded: There is no index key, and nothing else opens it.
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
    if settings.kms is not None and (not isinstance(settings.kms, str) or not settings.kms):
        raise IndexMismatch(f"{settings.kms!r} can't be the name of a KMS")
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
    schema = settings.metadata_schema()
    if any(not name for name in schema):
        raise IndexMismatch("a metadata field has an empty name")
    for what, number, most in (("bm25_k1", settings.bm25_k1, math.inf), ("bm25_b", settings.bm25_b, 1)):
        if number is None:
            continue
        if type(number) not in (int, float) or not (math.isfinite(number) and 0 <= number <= most):
            between = "at least 0" if most == math.inf else "between 0 and 1"
            raise IndexMismatch(f"{what} {number!r} is not a number {between}")
        if not settings.full_text:
            raise IndexMismatch(
                f"{what} is for full-text search, but no field is declared full text",
                hint="name one in full_text",
            )


def drawn(ids: Sequence[str], most: int) -> list[str]:
    """Some of all ids, always the same ones, whatever the order of others means."""
    return random.Random(0).sample(ids, min(most, len(ids)))  # noqa: S311 no secret depends on it


def check_created(index: TargetIndex, settings: IndexSettings) -> None:
    """Refuse an index that was just created, but not as asked. It is deleted again.

    An older engine ignores settings that it does not know without a word, and an index never changes them.

    Raises:
        IndexMismatch: It differs. `refused` says whether it is gone.
    """
    info = index.describe()
    wrong = [
        f"its {what} is {got}, not {asked}"
        for what, asked, got in (
            ("dimension", settings.dimension, info.dimension),
            ("metric", settings.metric, info.metric),
        )
        if asked not in (None, got)
    ]
    if lacking := other_policies(info, settings):
        wrong.append(f"it has another policy for {', '.join(map(repr, lacking))}")
    if not wrong:
        return
    hint = "update CyborgDB"
    if lacking:
        hint += ", or omit --unfilterable, --pattern and --full-text"
    dropped = False
    with suppress(TargetError):
        if not index.count():  # else another process has found it meanwhile
            index.drop()
            dropped = True
    error = IndexMismatch(
        f"index {info.name!r} was not created as asked: {' and '.join(wrong)}"
        f"{', so it was deleted again' if dropped else ''}",
        hint=hint if dropped else f"delete it with 'vecload index delete'; {hint}",
    )
    error.refused = dropped
    raise error


def other_policies(info: IndexInfo, settings: IndexSettings) -> list[str]:
    """The metadata fields whose policy in an index is not the one in the settings."""
    wanted = settings.metadata_schema()
    return [name for name, policy in wanted.items() if info.metadata_schema.get(name) != policy]


def array_of(values: Sequence[float]) -> Vectors:
    """A vector as Python numbers, each of them a float32 widened to 64 bits, as an array."""
    # Three times faster than NumPy, which looks at every number to find a type for all of them.
    return np.frombuffer(struct.pack(f"{len(values)}f", *values), dtype=np.float32)


def own_key(name: str, index_key: bytes | None, settings: IndexSettings | None = None) -> bytes:
    """The index key, for a target where only the user has it.

    Raises:
        IndexKeyNeeded: There is none.
        IndexMismatch: The settings name a KMS.
    """
    if settings is not None and settings.kms is not None:
        raise IndexMismatch(
            f"an embedded store has no KMS {settings.kms!r}",
            hint="omit --kms, or create the index in a service",
        )
    if index_key is None:
        raise IndexKeyNeeded(
            f"index {name!r} needs its index key", hint="name a key file that contains it with --key-file"
        )
    return index_key


def metadata_of(stored: Any) -> Metadata:
    """The metadata of a stored item. The engine omits empty metadata."""
    return stored if isinstance(stored, dict) else {}


def _policy(*, filterable: bool = True, pattern: bool = False, full_text: bool = False) -> dict[str, bool]:
    return {"filterable": filterable, "pattern": pattern, "full_text": full_text}
