"""Every error vecload raises, as one small tree.

    VecloadError                     exit 1   stopped; run the same command again
    ├── UsageError                   exit 2   the command, its configuration or files can't be used
    │   ├── SourceError              exit 2   a source is missing, unreadable, empty or of another kind
    │   │   ├── SourceUnreachable    exit 1   the store of a source can't be reached, or failed
    │   │   └── SourceUnfinished     exit 1   a source ends in the midst of a row; all before it is loaded
    │   ├── MappingError             exit 2   no usable id or vector column, or more than one candidate
    │   ├── KeyFileError             exit 2   a key file is missing, malformed or readable by others
    │   ├── EngineMissing            exit 2   cyborgdb-core is not installed
    │   ├── IndexNotFound            exit 2   the target has no index of that name
    │   ├── IndexExists              exit 2   the target has one already
    │   └── IndexMismatch            exit 2   the index has another dimension, or settings that can't be had
    ├── ItemError                             an item that can't be stored (never raised bare)
    │   ├── ItemTypeError            exit 2   also a TypeError
    │   └── ItemValueError           exit 2   also a ValueError
    ├── RowsRejected                 exit 4   more rows were rejected than allowed
    ├── TargetError                  exit 1   the target failed or refused
    │   ├── Unreachable              exit 1   no connection, or no answer in time
    │   ├── Busy                     exit 1   408, 429 or a 5xx: the same request may succeed later
    │   ├── BatchRefused             exit 1   400, 413 or 422: this batch will never be taken as it is
    │   ├── NotAcknowledged          exit 1   the answer is not the acknowledgement of what was sent
    │   ├── StoreLocked              exit 1   another process holds the embedded store
    │   ├── ForkedStore              exit 1   the embedded store of a process that this one was forked from
    │   ├── ConnectionClosed         exit 1   a connection, or an index of it, is used after its `close`
    │   ├── IndexReplaced            exit 1   items that a load had put there are gone at its end
    │   ├── TrainingFailed           exit 1   the index could not be trained; what was loaded stays
    │   ├── ItemLimit                exit 1   the free tier's limit of items an index
    │   └── AccessRefused            exit 6
    │       ├── Unauthorised         exit 6   the service refuses the API key
    │       └── WrongKey             exit 6   the index key is not this index's
    ├── SealError                    exit 1   sealed contents that do not open; exit 6 for want of their key
    │   └── NotSealed                exit 1   contents that were to be sealed, and are not
    ├── JournalError                 exit 1   the journal or the reject file can't be kept
    │   └── LoadLocked               exit 1   the same load is running already
    └── Interrupted                  exit 130 or 143

Each has an `exit_code` and a `hint`: what to do next, in one clause. Messages never hold keys, contents or
request bodies.
"""

from __future__ import annotations

from typing import Any


class VecloadError(Exception):
    """Anything that vecload reports: a message of one line, and a hint of what to do next.

    Args:
        message: What happened, and where: the file and row, or the target and index.
        hint: What to do about it. Shown after the message.

    Attributes:
        result: Of a load that stopped: what it came to, a `LoadResult`.
    """

    exit_code = 1
    result: Any = None
    refused = False
    """The target answered that it did not do what was asked, and will not: nothing of it can come later."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        # Some classes take other arguments than their message: pickle must not call them with it.
        return _restored, (type(self), self.args, self.__dict__)

    def __str__(self) -> str:
        message = str(self.args[0]) if self.args else type(self).__name__
        return f"{message}; {self.hint}" if self.hint else message


def _restored(kind: type[VecloadError], args: tuple[Any, ...], state: dict[str, Any]) -> VecloadError:
    """An error that another process raised."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class UsageError(VecloadError):
    """The command, its configuration or its files can't be used as they are."""

    exit_code = 2


class SourceError(UsageError):
    """A source is missing, unreadable, empty or of another kind."""


class SourceUnreachable(SourceError):
    """The store that holds a source can't be reached, or failed: it may answer later."""

    exit_code = 1


class SourceUnfinished(SourceError):
    """A source ends in the midst of a row, as one that is still written: all before that is loaded."""

    exit_code = 1


class MappingError(UsageError):
    """The columns of a source don't say which is the id, the vector, the metadata or the contents."""


class KeyFileError(UsageError):
    """A key file is missing, malformed, or readable by others than its owner."""


class EngineMissing(UsageError):
    """An embedded store was asked for, and cyborgdb-core is not installed."""


class IndexNotFound(UsageError):
    """The target has no index of that name."""


class IndexExists(UsageError):
    """The target has an index of that name already."""


class IndexMismatch(UsageError):
    """The index exists with another dimension, or can't be made with these settings."""


class ItemError(VecloadError):
    """An item that can't be stored. Raised before anything is sent."""

    exit_code = 2


class ItemTypeError(ItemError, TypeError):
    """A part of an item has a type that can't be stored."""


class ItemValueError(ItemError, ValueError):
    """A part of an item has a value that can't be stored, or would be stored silently wrong."""


class RowsRejected(VecloadError):
    """More rows were rejected than allowed."""

    exit_code = 4


class TargetError(VecloadError):
    """The target failed or refused."""

    retryable = False
    """Whether the same request may succeed when sent again."""
    splittable = False
    """Whether a part of the batch may succeed where the whole did not."""
    retry_after: float | None = None
    """Seconds the service asked to wait, if it did."""


class Unreachable(TargetError):
    """No connection, or no answer in time. What was sent may have been stored or not."""

    retryable = True
    bad_address = False
    """The address is to blame: there is no such host, or no TLS of that host's."""


class Busy(TargetError):
    """The service answered 408, 429 or 5xx: the same request may succeed later."""

    retryable = True

    def __init__(self, message: str, *, hint: str = "", status: int = 500) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class BatchRefused(TargetError):
    """The target refuses this batch and always will; a part of it may be fine."""

    splittable = True


class NotAcknowledged(TargetError):
    """The answer came, but is not the acknowledgement of what was sent."""

    retryable = True


class StoreLocked(TargetError):
    """Another process holds the embedded store."""


class ForkedStore(TargetError):
    """The embedded engine is used in a process that was forked after its first use: it would hang."""


class ConnectionClosed(TargetError):
    """A connection, or an index that was opened with it, is used after its `close`.

    Args:
        location: The target.
    """

    def __init__(self, location: str) -> None:
        super().__init__(f"the connection to {location} is closed", hint="connect again")


class ItemLimit(TargetError):
    """The index is at the free tier's limit of items."""


class IndexReplaced(TargetError):
    """At the end of a load the index lacks items that it had put there."""


class TrainingFailed(TargetError):
    """The index could not be trained. What was loaded stays, and queries find it."""


class AccessRefused(TargetError):
    """The target refuses the caller."""

    exit_code = 6


class Unauthorised(AccessRefused):
    """The service refuses the API key."""


class WrongKey(AccessRefused):
    """The index key is not the key this index was made with."""


class SealError(VecloadError):
    """Sealed contents that do not open.

    Args:
        outcome: What is wrong, by the names that docs/envelope.md gives each: `bad tag`, `unknown key`, ...
        item_id: The item, if one was named.
        key_id: The key id that the envelope names, as hex, if it could be read.
    """

    def __init__(self, outcome: str, *, item_id: str = "", key_id: str = "") -> None:
        about = f" of item {item_id!r}" if item_id else ""
        with_key = f" (sealed with key {key_id})" if key_id else ""
        super().__init__(
            f"the contents{about} do not open: {outcome}{with_key}",
            hint="open them with the key file and under the index name they were sealed with",
        )
        self.outcome = outcome
        if outcome == "unknown key":
            self.exit_code = WrongKey.exit_code


class NotSealed(SealError):
    """Contents that are not sealed, where only sealed ones were asked for.

    Args:
        item_id: The item.
    """

    def __init__(self, item_id: str) -> None:
        super().__init__("not sealed", item_id=item_id)
        self.args = (f"the contents of item {item_id!r} are not sealed",)
        self.hint = "anyone who can write to the index may have put them there"


class JournalError(VecloadError):
    """The journal or the reject file can't be kept, so nothing more may be claimed."""


class LoadLocked(JournalError):
    """The same load is running already."""


class Interrupted(VecloadError):
    """A signal ended the load.

    Args:
        signal_number: SIGINT or SIGTERM; the exit code is 128 and the number.
        hint: What to do about it.
    """

    def __init__(self, signal_number: int, *, hint: str = "run the same command again to go on") -> None:
        super().__init__("interrupted", hint=hint)
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number
