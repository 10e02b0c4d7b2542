"""KeySource: where the user says that the key of an index is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vecload.errors import KeyFileError
from vecload.places import expanded
from vecload.sealing.keyring import pending_path
from vecload.sealing.keys import Key


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where the user says the key is; nothing at all means the default key store.

    Attributes:
        key: The key itself.
        file: `--key-file` of the command line.
        command: `--key-command`, or VECLOAD_KEY_COMMAND.
        contents_file: `--contents-key-file`, or VECLOAD_CONTENTS_KEY_FILE.
        default_file, default_command, default_contents_file: Those of the user's configuration.
        environ: With VECLOAD_KEY_FILE, VECLOAD_INDEX_KEY and VECLOAD_CONTENTS_KEY.
        create: `--create-key`: a new index may get a new key, in a key file that is named and missing too.
        attended: A person reads the messages, so that a new key in the key store does not go unnoticed.
    """

    key: Key | None = field(default=None, repr=False)
    file: Path | None = None
    command: str | None = None
    contents_file: Path | None = None
    default_file: Path | None = None
    default_command: str | None = None
    default_contents_file: Path | None = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    create: bool = False
    attended: bool = False
    _found: list[tuple[Key, str] | None] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def missing_file(self) -> Path | None:
        """The key file that is to be made with a new index: named with `--create-key`, and missing.

        Raises:
            KeyFileError: A contents key is named too, which a new key file does not have.
        """
        file = self.named_file if self.create else None
        try:
            if file is None or file.exists():
                return None
        except OSError:  # its folder can't be entered: reading the file says why
            return None
        contents = self._contents_key()
        if contents is not None:
            raise KeyFileError(
                f"the new key file {file} gets a contents key of its own, and {contents.source} is named too",
                hint="omit that, or name an index key that exists with --key-file",
            )
        return file

    def named(self) -> tuple[Key, str] | None:
        """The key and where it is from; None if the user named none.

        Looked for once: a key command may ask a person.

        Raises:
            KeyFileError: It can't be had from there.
        """
        if not self._found:
            self._found.append(self._look())
        return self._found[0]

    def _look(self) -> tuple[Key, str] | None:
        found, contents = self._look_for_key(), self._contents_key()
        if found is None:
            alone = contents or self._default_contents_key()
            return None if alone is None else (alone, alone.source)
        key, key_from = found
        if contents is None and key.derived:
            contents = self._default_contents_key()
        if contents is None:
            return found
        return key.with_contents_key(contents), f"{key_from} and {contents.source}"

    def _look_for_key(self) -> tuple[Key, str] | None:
        if self.key is not None:
            return self.key, self.key.source or "the key that was given"
        if file := self.named_file:
            return _loaded(file), str(file)
        if self.file is None and self.command is not None:
            return Key.from_command(self.command), "the key command"
        if index_key := self.environ.get("VECLOAD_INDEX_KEY"):
            return Key.from_hex(index_key, None, where="VECLOAD_INDEX_KEY"), "VECLOAD_INDEX_KEY"
        if self.default_command is not None:
            return Key.from_command(self.default_command), "the key command"
        return None

    @property
    def named_file(self) -> Path | None:
        """The key file that the user named, if the key is from a file."""
        if self.key is not None or (self.file is None and self.command is not None):
            return None
        if self.file is not None:
            return self.file
        if path := self.environ.get("VECLOAD_KEY_FILE"):
            return Path(expanded(path))
        return None if self.environ.get("VECLOAD_INDEX_KEY") else self.default_file

    def _contents_key(self) -> Key | None:
        """The contents key that a flag or a variable names."""
        if self.contents_file is not None:
            return Key.load_contents_key(self.contents_file)
        text = self.environ.get("VECLOAD_CONTENTS_KEY")
        file_wins = self.named_file is not None or self.command is not None or self.key is not None
        if not text or (self.environ.get("VECLOAD_INDEX_KEY") and file_wins):
            return None  # it belongs to VECLOAD_INDEX_KEY, which is not used
        return Key.from_hex(None, text, where="VECLOAD_CONTENTS_KEY")

    def _default_contents_key(self) -> Key | None:
        file = self.default_contents_file
        return None if file is None else Key.load_contents_key(file)


def _loaded(file: Path) -> Key:
    """The key of a file that the user named."""
    try:
        return Key.load(file)
    except KeyFileError as error:
        if error.missing:
            left = pending_path(file).exists()
            error.hint = (
                f"an earlier run left its key in {pending_path(file)}: run that again, with --create-key"
                if left
                else "name the right one; --create-key makes one together with a new index"
            )
        raise
