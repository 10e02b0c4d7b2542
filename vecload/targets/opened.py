"""OpenedIndex: an index with its key, and what messages say of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vecload.errors import KeyFileError
from vecload.places import short
from vecload.safe_text import one_line
from vecload.sealing import Key
from vecload.targets import TargetIndex

NAME_CHARACTERS = 60
"""Of an index's name that a message lists."""


@dataclass(frozen=True, slots=True)
class OpenedIndex:
    """An index, with its key.

    Attributes:
        index: The index.
        key: Its key; None for an index that opened without one, if no contents key is named or stored either.
        key_from: Where the key is, for people; "" without one.
        created: It was made just now.
        key_is_new: The key became its key file just now: nobody has a copy of it yet.
    """

    index: TargetIndex
    key: Key | None
    key_from: str
    created: bool
    key_is_new: bool = False

    @property
    def key_id(self) -> str:
        """The id of the contents key; "" without one."""
        return self.key.key_id if self.key is not None else ""

    @property
    def opening_keys(self) -> tuple[bytes, ...]:
        """Every contents key that may open contents."""
        return self.key.opening_keys if self.key is not None else ()

    def key_for(self, purpose: str) -> Key:
        """The key, for what can't be done without a contents key.

        Args:
            purpose: What it is needed for: a flag.

        Raises:
            KeyFileError: There is none.
        """
        if self.key is None:
            raise KeyFileError(
                f"{purpose} needs a contents key, and there is none for index {self.index.name!r}",
                hint="name its key file with --key-file",
            )
        return self.key

    @property
    def its_key(self) -> str:
        """The end of a message that the index was created: where its key is, if no other message says so."""
        said = self.key_is_new or self.index.opened_by != "index key"
        return "" if said else f"; its key: {short(self.key_from)}"

    @property
    def derivation(self) -> str:
        """The sentence about a contents key that is derived from the index key; "" if it is not."""
        return self.key.derivation(short(self.key_from)) if self.key is not None else ""

    @property
    def access(self) -> str:
        """What opens the index, and where the contents key is: one line for people."""
        if self.index.opened_by == "index key":
            return f"{short(self.key_from)} (key id {self.key_id})"
        opens = "the user token" if self.index.opened_by == "user token" else "the service's KMS"
        if self.key is None:
            return f"{opens} opens the index; there is no contents key"
        unused = "; its index key is not used" if self.key.index_key is not None else ""
        return (
            f"{opens} opens the index; contents key in {short(self.key_from)} (key id {self.key_id}){unused}"
        )

    def warn_of_new_key(self, warn: Callable[[str], None]) -> None:
        """Ask for a copy of the key if it is new.

        Args:
            warn: Takes the message, also where no others are wanted.
        """
        if self.key_is_new:
            name = one_line(self.index.name, NAME_CHARACTERS)
            what = "the index" if self.index.opened_by == "index key" else "its contents"
            warn(
                f"warning: the new key of index {name!r} is only in {short(self.key_from)}: keep a copy; "
                f"without it, nobody can open {what}"
            )
