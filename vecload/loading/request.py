"""Request: one load as requested by the command line or from Python, and what its options mean."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from vecload.errors import ItemTypeError, UsageError
from vecload.loading.rejects import ErrorLimit
from vecload.mapping import ColumnChoice, Rules
from vecload.options import HINTS, LoadOptions
from vecload.places import expanded, state_folder
from vecload.readers import ReadOptions
from vecload.readers.memory import is_memory_source
from vecload.readers.splits import Split
from vecload.recipes.known import NONE, RecipeChoice, recipe_named
from vecload.sealing import Key
from vecload.sealing.key_source import KeySource
from vecload.sealing.keys import as_key
from vecload.targets import IndexSettings, Reach
from vecload.targets.location import shards_location
from vecload.targets.place import IndexPlace
from vecload.targets.reach import REACH_FIELDS

SHARDS = "shards"
"""What Python calls several services in place of one `to`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One load, as requested.

    Attributes:
        sources: Paths, URIs, folders and patterns; or splits; or one object in memory.
        to: The address of a service, or a folder; None means the user's local store.
        index: The index's name; None names it after the only source.
        keys: Where to find the key.
        api_key: The API key for a service; for a folder, CyborgDB's licence key.
        reach: How to reach a service.
        options: All other options.
        secret_files: Key files, which a reject file must not replace, and what each one is.
        loaded_elsewhere: Ids of items that other splits have: rows with these ids repeat them.
        recorded_elsewhere: A driver records what is loaded, so this load is never resumed by itself.
    """

    sources: tuple[Any, ...]
    to: str | None = field(default=None, repr=False)
    index: str | None = None
    keys: KeySource = field(default_factory=KeySource)
    api_key: str | None = field(default=None, repr=False)
    reach: Reach = field(default_factory=Reach)
    options: LoadOptions = field(default_factory=LoadOptions)
    secret_files: Mapping[str, str] = field(default_factory=dict)
    loaded_elsewhere: tuple[str, ...] = field(default=(), repr=False)
    recorded_elsewhere: bool = False

    @classmethod
    def into(cls, place: IndexPlace, sources: Sequence[Any], options: LoadOptions) -> Request:
        """The load of some sources into an index."""
        return cls(
            sources=tuple(sources),
            to=place.to,
            index=place.index,
            keys=replace(place.keys, create=options.create_key),
            api_key=place.api_key,
            reach=place.reach,
            options=options,
            secret_files=place.secret_files,
        )

    @property
    def place(self) -> IndexPlace:
        """The index that it loads."""
        return IndexPlace(self.to, self.index, self.keys, self.api_key, self.reach, self.secret_files)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the sources; empty if the source is in memory."""
        if any(map(is_memory_source, self.sources)):
            return ()
        return tuple(dict.fromkeys(one.uri if isinstance(one, Split) else one for one in self.sources))

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits among the sources."""
        return tuple(one for one in self.sources if isinstance(one, Split))

    @property
    def reading(self) -> ReadOptions:
        """How to read the sources."""
        asked = self.options
        return ReadOptions(
            format=asked.format,
            ids_file=asked.ids_file,
            ids_needed=not asked.generate_ids,
            endpoint_url=asked.endpoint_url,
            max_line_bytes=asked.max_line_bytes,
            row_group_max_bytes=asked.max_row_group_bytes,
            max_json_bytes=asked.max_json_bytes,
            encoding=asked.encoding,
            csv_columns=asked.csv_columns,
            csv_delimiter=asked.csv_delimiter,
            csv_types=asked.csv_types,
            vector_columns=asked.vector_columns,
            recipes=self.recipes,
        )

    @property
    def recipes(self) -> RecipeChoice:
        """Which recipe is for the sources, and which elements are rows.

        Raises:
            UsageError: There is no such recipe, or it is not one.
        """
        asked = self.options
        vector = () if asked.vector_column is None else (asked.vector_column,)
        paths = (*asked.id_column, *vector, *asked.contents_column, *asked.metadata_column)
        if asked.recipe is None or asked.recipe == NONE:
            return RecipeChoice(none=asked.recipe is not None, paths=paths)
        return RecipeChoice(named=recipe_named(asked.recipe), paths=paths)

    @property
    def columns(self) -> ColumnChoice:
        """The columns that the user named.

        Raises:
            UsageError: A renaming is not `old=new`, two have the same name, or a column is named twice.
        """
        asked = self.options
        for flag, names in (("--id-column", asked.id_column), ("--contents-column", asked.contents_column)):
            twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
            if twice is not None:
                raise UsageError(f"{flag} names {twice!r} twice")
        if asked.vector_columns is not None and asked.vector_column is not None:
            raise UsageError("--vector-column and --vector-columns exclude each other", hint="omit one")
        return ColumnChoice(
            id=asked.id_column[0] if asked.id_column else None,
            vector=asked.vector_columns or asked.vector_column,
            contents=asked.contents_column[0] if asked.contents_column else None,
            metadata=asked.metadata_column,
            excluded=asked.metadata_exclude,
            renamed=tuple(_renamings(asked.rename)),
            more_ids=asked.id_column[1:],
            more_contents=asked.contents_column[1:],
        )

    @property
    def rules(self) -> Rules:
        """How rows become items."""
        return Rules(**_same_named(self.options, Rules))

    @property
    def creation(self) -> IndexSettings:
        """The settings for a new index."""
        return index_settings(self.options)

    @property
    def seal(self) -> bool:
        """Whether contents are sealed, other than those from which the index makes a vector.

        If the user did not say so and the index holds unsealed contents, the load stops before the first row.
        """
        return self.options.seal is not False

    @property
    def max_errors(self) -> ErrorLimit:
        """How many rejects are allowed."""
        return ErrorLimit.parse(self.options.max_errors)

    @property
    def state_folder(self) -> Path:
        """Where journals are."""
        return self.options.state_dir or state_folder()


def index_settings(options: LoadOptions) -> IndexSettings:
    """The settings of a new index, from the options."""
    return IndexSettings(**_same_named(options, IndexSettings))


def _same_named(options: LoadOptions, kind: type[Rules | IndexSettings]) -> dict[str, Any]:
    """The options that a value of another type has under the same names. A load does not set the others."""
    known = {one.name for one in fields(options)}
    return {one.name: getattr(options, one.name) for one in fields(kind) if one.name in known}


def _renamings(texts: tuple[str, ...]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for text in texts:
        old, equals, new = text.partition("=")
        if not old or not equals or not new:
            raise UsageError(f"--rename {text!r} is not of the form old=new")
        if any(old == other or new == taken for other, taken in pairs):
            raise UsageError(f"--rename {text!r} uses a name of another --rename")
        pairs.append((old, new))
    return pairs


def request_of(
    sources: Any,
    *,
    to: str | os.PathLike[str] | None,
    index: str | None,
    key: Key | bytes | str | os.PathLike[str] | None,
    api_key: str | None,
    options: LoadOptions | None,
    changes: Mapping[str, Any],
) -> Request:
    """The request for the arguments of `vecload.load` or `vecload.inspect`.

    Raises:
        UsageError: An argument has an impossible value.
        TypeError: An argument has another type, or an option does not exist.
    """
    if options is not None and not isinstance(options, LoadOptions):
        raise ItemTypeError(f"options is {type(options).__name__}, not LoadOptions")
    for name, text, kinds in (
        ("to", to, (str, os.PathLike)),
        ("index", index, str),
        ("api_key", api_key, str),
    ):
        if text is not None and not isinstance(text, kinds):
            raise ItemTypeError(f"{name} is {type(text).__name__}, not text")
        if text is not None and not os.fspath(text).strip():
            raise UsageError(f"{name} is empty", hint="omit it for its default")
    known = (*HINTS, *REACH_FIELDS, SHARDS)
    unknown = next((name for name in changes if name not in known), None)
    if unknown is not None:
        near = next(iter(get_close_matches(unknown, known, 1)), "")
        raise TypeError(f"there is no option {unknown}" + (f"; did you mean {near}?" if near else ""))
    if isinstance(key, str) and _looks_like_a_key(key):
        raise UsageError(
            "key is the text of a key, and a text is the path of a key file",
            hint="pass its 32 bytes, bytes.fromhex(...), or a Key",
        )
    if changes.get(SHARDS) is not None:
        if to is not None:
            raise UsageError("--to and --shards exclude each other", hint="omit one")
        to = shards_location(changes[SHARDS])
    of_options = {name: value for name, value in changes.items() if name in HINTS}
    asked = replace(options or LoadOptions(), **of_options)
    create_key = asked.create_key
    if isinstance(key, str | os.PathLike):
        if not os.fspath(key).strip():
            raise UsageError("key is empty", hint="omit it for the key in your key store")
        file = expanded(os.fspath(key))
        keys = KeySource(file=Path(file), create=create_key)
        secret_files = {file: "is the key file"}
    else:
        keys = KeySource(key=None if key is None else as_key(key), create=create_key)
        secret_files = {}
    return Request(
        sources=_sources_of(sources),
        to=None if to is None else os.fspath(to),
        index=index,
        keys=keys,
        api_key=api_key,
        reach=Reach(**{name: value for name, value in changes.items() if name in REACH_FIELDS}),
        options=asked,
        secret_files=secret_files,
    )


def _looks_like_a_key(text: str) -> bool:
    """Whether a text may be 32 bytes in hex or base64, which no message may repeat."""
    return re.fullmatch(r"[0-9A-Fa-f]{64}|[A-Za-z0-9+/_-]{43}=?", text) is not None


def _sources_of(sources: Any) -> tuple[Any, ...]:
    """Paths and URIs, or one object in memory."""
    if isinstance(sources, bytes | bytearray):
        raise ItemTypeError(f"sources is {type(sources).__name__}", hint="pass a path as text")
    if is_memory_source(sources):
        return (sources,)
    named = [sources] if isinstance(sources, str | os.PathLike | Split) else [*sources]
    splits = [isinstance(one, Split) for one in named]
    if any(splits) and not all(splits):
        raise ItemTypeError("sources are splits and names of files", hint="pass splits alone")
    return tuple(one if isinstance(one, Split) else _name(os.fspath(one)) for one in named)


def _name(name: Any) -> Any:
    return expanded(name) if isinstance(name, str) else name
