"""Every error vecload raises, as one small tree.

    VecloadError                     exit 1   stopped; run the same command again
    ├── UsageError                   exit 2   the command, its configuration or files can't be used
    │   ├── SourceError              exit 2   a source is missing, unreadable, empty or in another format
    │   │   ├── SourceUnreachable    exit 1   the store of a source can't be reached, or it failed
    │   │   └── SourceUnfinished     exit 1   a source ends within a row; the rows before it are loaded
    │   ├── MappingError             exit 2   no usable id or vector column, or more than one candidate
    │   ├── KeyFileError             exit 2   a key file is missing, malformed or readable by others
    │   │   └── IndexKeyNeeded       exit 2   an index needs its index key, and none was given
    │   ├── EngineMissing            exit 2   cyborgdb-core is not installed
    │   ├── IndexNotFound            exit 2   the target has no index with that name
    │   ├── IndexExists              exit 2   the target already has an index with that name
    │   └── IndexMismatch            exit 2   the index has another dimension or impossible settings
    ├── ItemError                             an item can't be stored (only its two kinds are raised)
    │   ├── ItemTypeError            exit 2   also a TypeError
    │   └── ItemValueError           exit 2   also a ValueError
    ├── RowsRejected                 exit 4   more rows were rejected than allowed
    ├── TargetError                  exit 1   the target failed or refused
    │   ├── Unreachable              exit 1   no connection, or no answer in time
    │   ├── NotTrusted               exit 2   the service's certificate is not trusted
    │   ├── Busy                     exit 1   the service answered 408, 429 or 5xx; try again later
    │   ├── BatchRefused             exit 1   the target will never accept this batch as it is
    │   ├── NotAcknowledged          exit 1   the answer does not acknowledge what was sent
    │   ├── StoreLocked              exit 1   another process holds the embedded store
    │   ├── ForkedStore              exit 1   the parent of this forked process uses the embedded engine
    │   ├── ConnectionClosed         exit 1   a connection, or an index of it, is used after `close`
    │   ├── IndexReplaced            exit 1   items that a load stored are gone at its end
    │   ├── ItemUnreadable           exit 1   an item holds what the service can't send; others are fine
    │   ├── TrainingFailed           exit 1   the index could not be trained; its items stay
    │   ├── ItemLimit                exit 1   the index holds as many items as the free tier allows
    │   └── AccessRefused            exit 6
    │       ├── Unauthorised         exit 6   the service, or CyborgDB, refuses the API key
    │       │   └── RootKeyNeeded    exit 6   only the service's root API key may do this
    │       ├── ClientRefused        exit 6   a client certificate, or this client by a proxy, is refused
    │       ├── KmsRefused           exit 6   the service does not get the index key from its KMS
    │       └── WrongKey             exit 6   the index key belongs to another index
    │           └── KmsBacked        exit 6   the service has the index key in its KMS, and takes no other
    ├── SealError                    exit 1   sealed contents do not open; exit 6 if their key is missing
    │   └── NotSealed                exit 1   contents that must be sealed are not
    ├── JournalError                 exit 1   the journal or the reject file can't be written
    │   └── LoadLocked               exit 1   the same load is already running
    └── Interrupted                  exit 130 or 143

Each has an `exit_code` and a `hint`, which says in one clause what to do next. Messages never contain keys,
contents or request bodies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class VecloadError(Exception):
    """Any error that vecload reports: a message of one line, and a hint that says what to do next.

    Args:
        message: What happened, and where: the file and row, or the target and index.
        hint: What to do about it. Shown after the message.

    Attributes:
        result: Of a load that stopped: what it came to, a `LoadResult`.
    """

    exit_code = 1
    result: Any = None
    refused = False
    """The target answered that it did nothing of what was asked, and that it will do nothing later."""

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
    """A source is missing, unreadable, empty or in another format."""


class SourceUnreachable(SourceError):
    """The store that holds a source can't be reached, or it failed; it may answer later."""

    exit_code = 1


class SourceUnfinished(SourceError):
    """A source ends within a row, perhaps because it is being written; the rows before it are loaded."""

    exit_code = 1


class MappingError(UsageError):
    """It is not clear which columns of a source are the id, the vector, the metadata or the contents."""


class KeyFileError(UsageError):
    """A key file is missing, malformed, or readable by others than its owner."""

    missing = False
    """There is no file of that name."""


class IndexKeyNeeded(KeyFileError):
    """An index opens only with its index key, and none was given."""


class EngineMissing(UsageError):
    """An embedded store needs cyborgdb-core, which is not installed or can't be imported."""


class IndexNotFound(UsageError):
    """The target has no index with that name."""


class IndexExists(UsageError):
    """The target already has an index with that name."""


class IndexMismatch(UsageError):
    """The index has another dimension, or it can't be created with these settings."""


class ItemError(VecloadError):
    """An item that can't be stored. Raised before anything is sent."""

    exit_code = 2


class ItemTypeError(ItemError, TypeError):
    """A part of an item has a type that can't be stored."""


class ItemValueError(ItemError, ValueError):
    """A part of an item has a value that can't be stored, or that the target would silently store wrong."""


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
    """Seconds that the service asks to wait; None if it does not say."""


class Unreachable(TargetError):
    """No connection, or no answer in time. The target may or may not have stored what was sent."""

    retryable = True
    bad_address = False
    """The address is wrong: there is no such host, or TLS with it fails."""


class NotTrusted(TargetError):
    """TLS with the service fails for a reason that waiting can't remove: its certificate is not trusted."""

    exit_code = 2


class Busy(TargetError):
    """The service answered 408, 429 or 5xx; the same request may succeed later."""

    retryable = True
    unexplained = False
    """A bare 500, as the service answers where it can't write down what it was asked for."""

    def __init__(self, message: str, *, hint: str = "", status: int = 500) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class BatchRefused(TargetError):
    """The target will never accept this batch as it is; a part of it may be fine."""

    splittable = True


class NotAcknowledged(TargetError):
    """The target answered, but the answer does not acknowledge what was sent."""

    retryable = True


class StoreLocked(TargetError):
    """Another process holds the embedded store."""


class ForkedStore(TargetError):
    """This process was forked after its parent used the embedded engine: using it here would hang."""


class ConnectionClosed(TargetError):
    """A connection, or an index that was opened with it, is used after its `close`.

    Args:
        location: The target.
    """

    def __init__(self, location: str) -> None:
        super().__init__(f"the connection to {location} is closed", hint="connect again")


class ItemLimit(TargetError):
    """The index holds as many items as the free tier allows."""


class IndexReplaced(TargetError):
    """At the end of a load, items that it stored are no longer in the index."""


class ItemUnreadable(TargetError):
    """An item holds what the service can't send, so it can't be read there. Other items can.

    Args:
        item_id: The item.
        fields: Those of `vector`, `metadata` and `contents` that can't be read.
    """

    def __init__(self, item_id: str, fields: Sequence[str]) -> None:
        super().__init__(
            f"the service can't return the {' and the '.join(fields)} of item {item_id!r}, in which a client "
            "stored NaN, infinity, or bytes that are not UTF-8",
            hint="replace the item, or read it from the store's folder with the embedded engine",
        )
        self.item_id = item_id
        self.fields = tuple(fields)


class TrainingFailed(TargetError):
    """The index could not be trained. Its items stay, and queries find them."""


class AccessRefused(TargetError):
    """The target refuses the caller."""

    exit_code = 6


class Unauthorised(AccessRefused):
    """The service, or CyborgDB where the engine asks it, refuses the API key."""


class ClientRefused(AccessRefused):
    """The service refuses this client's certificate or wants one, or a proxy refuses this client."""


class RootKeyNeeded(Unauthorised):
    """Only the service's root API key may do this, and the API key is a user token."""


class KmsRefused(AccessRefused):
    """The service does not get the index key from its KMS until somebody corrects its settings."""


class WrongKey(AccessRefused):
    """The index key is not the key that this index was created with."""


class KmsBacked(WrongKey):
    """The index is KMS-backed: the service gets the index key from its KMS, and refuses one in a request."""


class SealError(VecloadError):
    """Sealed contents that do not open.

    Args:
        outcome: What is wrong, by its name in docs/envelope.md: `bad tag`, `unknown key`, ...
        item_id: The item, if it is known.
        key_id: The key id in the envelope, as hex, if it could be read.
    """

    def __init__(self, outcome: str, *, item_id: str = "", key_id: str = "") -> None:
        about = f" of item {item_id!r}" if item_id else ""
        with_key = f" (sealed with key {key_id})" if key_id else ""
        super().__init__(
            f"the contents{about} do not open: {outcome}{with_key}",
            hint="use the key file and the index name that they were sealed with",
        )
        self.outcome = outcome
        self.key_id = key_id
        if outcome == "unknown key":
            self.exit_code = WrongKey.exit_code


class NotSealed(SealError):
    """Contents are not sealed where only sealed ones are accepted.

    Args:
        item_id: The item.
    """

    def __init__(self, item_id: str) -> None:
        super().__init__("not sealed", item_id=item_id)
        self.args = (f"the contents of item {item_id!r} are not sealed",)
        self.hint = "anyone who can write to the index may have written them"


class JournalError(VecloadError):
    """The journal or the reject file can't be written, so the load can't record any more progress."""


class LoadLocked(JournalError):
    """The same load is already running."""


class Interrupted(VecloadError):
    """A signal ended the load.

    Args:
        signal_number: SIGINT or SIGTERM; the exit code is 128 plus this number.
        hint: What to do about it.
    """

    def __init__(self, signal_number: int, *, hint: str = "run the same command again to go on") -> None:
        super().__init__("interrupted", hint=hint)
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number
