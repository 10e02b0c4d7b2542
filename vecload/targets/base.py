"""Target: where items go. One interface over the service, the embedded engine and memory."""

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
"""The engine's limit of dimensions (docs/cyborgdb.md)."""


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """What an index is created with, for good.

    dimension: Values a vector; None lets the first upsert decide.
    unfilterable, pattern, full_text: metadata fields, by dot path, whose index differs from the default,
        which makes every field filterable.
    embedding_model: The engine's model that turns contents into vectors.
    """

    dimension: int | None = None
    metric: Metric | None = None
    storage_precision: StoragePrecision | None = None
    unfilterable: tuple[str, ...] = ()
    pattern: tuple[str, ...] = ()
    full_text: tuple[str, ...] = ()
    embedding_model: str | None = None

    def metadata_schema(self) -> dict[str, dict[str, bool]]:
        """The engine's form of the fields' policies; fields of the default policy are left out.

        Raises:
            IndexMismatch: A field is declared in two ways that exclude each other.
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
    """What a target tells of an index. `dimension` is 0 while no upsert has set it."""

    name: str
    dimension: int
    metric: str
    trained: bool
    n_lists: int
    metadata_schema: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ack:
    """The checked acknowledgement of one batch.

    items: how many items the target says it took: always those that were sent.
    requests: how many requests carried them, by wire format; empty where there is no wire.
    nbytes: bytes of the request bodies, or of the items where there is no wire.
    sending: seconds in which the requests were written to the network; 0 where there is none.
    waiting: seconds in which their answers were waited for.
    """

    items: int
    requests: Mapping[str, int]
    nbytes: int
    sending: float = 0.0
    waiting: float = 0.0

    def __add__(self, other: Ack) -> Ack:
        """Both together: of the parts of a batch."""
        return Ack(
            self.items + other.items,
            dict(Counter(self.requests) + Counter(other.requests)),
            self.nbytes + other.nbytes,
            self.sending + other.sending,
            self.waiting + other.waiting,
        )


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item as the target gives it back: contents as stored, sealed or not.

    vector: float32, shape (dim,); None when not asked for, and for all zeros, which the engine hides.
    contents: None when absent or not asked for; the engine can't tell empty from absent.
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

    Every method may be called from several threads at once, and may be called again after it failed:
    an upsert that was stored the first time only stores the same again.
    """

    @property
    def name(self) -> str:
        """The index's name."""

    @property
    def writers(self) -> int:
        """How many batches at once this target gains from."""

    def describe(self) -> IndexInfo:
        """Ask the target about the index.

        Raises:
            TargetError: As every method here.
        """

    def prepare(self, batch: Batch) -> Callable[[], Ack]:
        """Encode a batch for the target, without touching it.

        Returns:
            What stores the batch whole, and returns only after the target acknowledged every item. May be
            called again after it failed; raises TargetError, whose `retryable` and `splittable` tell what may
            help.
        """

    def upsert(self, batch: Batch) -> Ack:
        """Store a batch whole: encode it, and send it once.

        Raises:
            TargetError: It failed.
        """

    def get(self, ids: Sequence[str], include: Sequence[str]) -> list[StoredItem]:
        """Fetch items in the order asked for; ids that are not there are left out.

        Args:
            ids: Any number.
            include: Of `vector`, `metadata`, `contents`. An item that lacks all that is asked for may
                be left out as well: ask for nothing to learn whether it exists.
        """

    def query(self, vector: Vectors, top_k: int) -> list[Hit]:
        """The nearest items, nearest first. `vector` has shape (dim,)."""

    def count(self) -> int:
        """How many items the index holds."""

    def list_ids(self) -> list[str]:
        """The ids of all items, in no order."""

    def train(self) -> None:
        """Train the index, so that queries need not search it whole; waits until it has ended.

        Raises:
            TrainingFailed: It could not be trained.
        """

    def drop(self) -> None:
        """Delete the index and all that is in it."""


class Target(Protocol):
    """A place that holds indexes. May be shared by threads."""

    @property
    def location(self) -> str:
        """Where it is, for people and for telling targets apart: a URL, or a folder."""

    def healthy(self) -> bool:
        """Whether it answers at all. Never raises."""

    def list_indexes(self) -> list[str]:
        """The names of the indexes, sorted."""

    def embedding_models(self) -> list[str]:
        """The models that may make vectors; empty where the target does not say."""

    def create_index(self, name: str, index_key: bytes, settings: IndexSettings) -> TargetIndex:
        """Make an index and open it. What was begun is undone if it fails.

        Raises:
            IndexExists: There is one of that name; it is untouched.
            IndexMismatch: The settings can't be had.
        """

    def open_index(self, name: str, index_key: bytes) -> TargetIndex:
        """Open an index.

        Raises:
            IndexNotFound: There is none of that name.
            WrongKey: It was made with another index key.
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
    """Refuse what no target can make.

    Raises:
        IndexMismatch: The name, the dimension, the metric, the precision or the fields' policies.
    """
    if not isinstance(name, str):
        raise IndexMismatch(f"an index's name is text, not {type(name).__name__}")
    if not name or name != name.strip() or "/" in name or "\0" in name or name in (".", ".."):
        raise IndexMismatch(
            f"{name!r} can't name an index", hint="use letters, digits, '-', '_' and '.', at most 200 bytes"
        )
    try:
        too_long = len(name.encode()) > INDEX_NAME_MAX_BYTES
    except UnicodeEncodeError:
        too_long = True
    if too_long:
        raise IndexMismatch(f"{name[:40]!r}… can't name an index", hint="use at most 200 bytes of UTF-8")
    if name == "default":
        # The service reserves it, so an embedded index of that name could not be served.
        raise IndexMismatch("the service reserves the index name 'default'", hint="choose another")
    if settings.dimension is not None and type(settings.dimension) is not int:
        # The engine's process ends by a segmentation fault on a fraction.
        raise IndexMismatch(f"dimension {settings.dimension!r} is not a whole number")
    if settings.dimension is not None and not 1 <= settings.dimension <= DIMENSION_MAX:
        raise IndexMismatch(f"dimension {settings.dimension} is not between 1 and {DIMENSION_MAX}")
    for what, value, known in (
        ("metric", settings.metric, get_args(Metric)),
        ("storage precision", settings.storage_precision, get_args(StoragePrecision)),
    ):
        if value is not None and value not in known:
            raise IndexMismatch(f"there is no {what} {value!r}", hint=f"it is one of {', '.join(known)}")
    settings.metadata_schema()


INDEX_NAME_MAX_BYTES = 200
"""The engine makes file names of it; 255 fail (docs/cyborgdb.md)."""


def metadata_of(stored: Any) -> Metadata:
    """The metadata of a stored item, which the engine leaves out when it is empty."""
    return stored if isinstance(stored, dict) else {}


def _policy(*, filterable: bool = True, pattern: bool = False, full_text: bool = False) -> dict[str, bool]:
    return {"filterable": filterable, "pattern": pattern, "full_text": full_text}
