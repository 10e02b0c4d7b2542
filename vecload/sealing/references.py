"""References to secrets: where workers of a cluster find keys, so that no key travels to them.

`env:NAME` is a variable of the worker, `file:PATH` a file that only its owner can read, `command:…` a program
that prints the secret.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, TypeAlias, get_args

from vecload.errors import KeyFileError, UsageError
from vecload.sealing.key_source import KeySource
from vecload.sealing.private_input import INPUT_MAX_BYTES, command_output, read_private

Kind: TypeAlias = Literal["env", "file", "command"]
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a secret is. It is no secret itself, and picklable.

    Attributes:
        kind: What the place is.
        place: The name of a variable, an absolute path, or a program with its arguments.
    """

    kind: Kind
    place: str

    @classmethod
    def parse(cls, text: str, what: str) -> Self:
        """Parse `env:NAME`, `file:PATH` or `command:PROGRAM`.

        Args:
            text: The reference.
            what: What it leads to, for messages: `key`.

        Raises:
            UsageError: It is none. The message does not repeat it: it may be the secret.
        """
        kind, _, place = text.partition(":")
        known = next((one for one in get_args(Kind) if one == kind), None)
        if known is None or not place.strip() or (known == "env" and not _VARIABLE.fullmatch(place)):
            raise UsageError(
                f"{what} is not a reference to a secret",
                hint="write env:NAME, file:PATH or command:PROGRAM; the secret itself must not travel",
            )
        if known == "file":
            place = os.path.abspath(Path(place).expanduser())  # noqa: PTH100 pathlib's keeps `..`
        return cls(known, place)

    def __str__(self) -> str:
        return f"{self.kind}:{self.place}"

    def text(self, what: str) -> str:
        """The secret, without blanks around it.

        Args:
            what: What it is, for messages: `API key`.

        Raises:
            KeyFileError: It can't be had from there, or is empty.
        """
        if self.kind == "env":
            found = os.environ.get(self.place, "")
        else:
            path = Path(self.place)
            found_bytes = read_private(path, what) if self.kind == "file" else command_output(self.place)[0]
            if len(found_bytes) > INPUT_MAX_BYTES:
                raise KeyFileError(f"the {what} from {self.kind}:… is too long")
            found = found_bytes.decode(errors="replace")
        if not found.strip():
            where = self if self.kind == "env" else f"its {self.kind}"
            raise KeyFileError(f"there is no {what} in {where}")
        return found.strip()


@dataclass(frozen=True, slots=True)
class SecretReferences:
    """Where a worker finds the secrets of a load. Picklable, and holds none of them.

    Attributes:
        key: The index's key; None leaves it to the worker's own variables and key store.
        contents_key: The contents key, if it is apart.
        api_key: The API key of the service; None without one.
        default_contents_key: The file of the contents key of a key that has none of its own.
    """

    key: Reference | None = None
    contents_key: Reference | None = None
    api_key: Reference | None = None
    default_contents_key: Path | None = None

    @classmethod
    def named(
        cls, key: str | os.PathLike[str] | None, contents_key: str | None = None, api_key: str | None = None
    ) -> Self:
        """References as a caller of Python writes them; a key may be the path of its file, too.

        Raises:
            UsageError: One is no reference.
        """
        text = None if key is None else os.fspath(key)
        if text is not None and text.partition(":")[0] not in get_args(Kind):
            text = f"file:{text}"
        return cls(
            None if text is None else Reference.parse(text, "key"),
            None if contents_key is None else Reference.parse(contents_key, "contents_key"),
            None if api_key is None else Reference.parse(api_key, "api_key"),
        )

    @classmethod
    def of(cls, keys: KeySource, api_key: Reference | None = None) -> Self:
        """Where the keys are that a user named on this machine.

        Raises:
            UsageError: The user gave a key itself.
        """
        if keys.key is not None:
            raise UsageError(
                "a key itself can't travel to workers",
                hint="name where they find it: env:NAME, file:PATH or command:PROGRAM",
            )
        key: Reference | None = None
        if keys.named_file is not None:
            key = Reference("file", str(keys.named_file.expanduser().absolute()))
        elif keys.file is None and keys.command is not None:
            key = Reference("command", keys.command)
        elif keys.environ.get("VECLOAD_INDEX_KEY"):
            key = Reference("env", "VECLOAD_INDEX_KEY")
        elif keys.default_command is not None:
            key = Reference("command", keys.default_command)
        contents: Reference | None = None
        if keys.contents_file is not None:
            contents = Reference("file", str(keys.contents_file.expanduser().absolute()))
        elif keys.environ.get("VECLOAD_CONTENTS_KEY"):
            # With VECLOAD_INDEX_KEY it belongs to that key, which is not used beside a file or a command.
            both = bool(keys.environ.get("VECLOAD_INDEX_KEY"))
            if not both or (key is not None and key.kind == "env"):
                contents = Reference("env", "VECLOAD_CONTENTS_KEY")
        default = keys.default_contents_file
        return cls(key, contents, api_key, None if default is None else default.expanduser().absolute())

    def key_source(self) -> KeySource:
        """Where to find the key, on the worker.

        Raises:
            KeyFileError: A variable that is named is not set.
        """
        environ: dict[str, str] = {}
        key, contents = self.key, self.contents_key
        if key is None and contents is None:
            return KeySource(environ=os.environ, default_contents_file=self.default_contents_key)
        if key is not None and key.kind == "env":
            environ["VECLOAD_INDEX_KEY"] = key.text("index key")
        if contents is not None and contents.kind != "file":
            environ["VECLOAD_CONTENTS_KEY"] = contents.text("contents key")
        return KeySource(
            file=Path(key.place) if key is not None and key.kind == "file" else None,
            command=key.place if key is not None and key.kind == "command" else None,
            contents_file=Path(contents.place) if contents is not None and contents.kind == "file" else None,
            default_contents_file=self.default_contents_key,
            environ=environ,
        )

    def api_key_text(self) -> str | None:
        """The API key, on the worker.

        Raises:
            KeyFileError: It can't be had.
        """
        return None if self.api_key is None else self.api_key.text("API key")


def key_source(key: Reference | None, contents_key: Reference | None = None) -> KeySource:
    """Where to find a key that a reference leads to, as `SecretReferences.key_source`."""
    return SecretReferences(key, contents_key).key_source()
