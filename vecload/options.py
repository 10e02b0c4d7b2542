"""Options: every option of a load, each defined in one place.

Each field of `LoadOptions` yields its flag, its variable, its help and its line in docs/options.md.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from vecload.errors import UsageError
from vecload.limits import (
    BATCH_BYTES,
    BINARY_THRESHOLD,
    CONTENTS_MAX_BYTES,
    GIVE_UP_AFTER,
    ID_MAX_BYTES,
    ID_SEPARATOR,
    JSON_MAX_BYTES,
    LINE_MAX_BYTES,
    METADATA_DEPTH,
    RESUME_WAIT,
    ROW_GROUP_MAX_BYTES,
)

VectorDtype: TypeAlias = Literal["float32", "float16", "bfloat16", "float64", "int8", "uint8", "npy"]
"""The number type of vectors written as bytes, little-endian; `npy` is an array saved by `numpy.save`."""
Nan: TypeAlias = Literal["omit", "reject"]
"""What to do with NaN in metadata: omit the value, like a null, or reject the row."""
Metric: TypeAlias = Literal["euclidean", "cosine", "squared_euclidean"]
StoragePrecision: TypeAlias = Literal["float32", "float16", "tq12", "tq8", "tq6", "tq4"]
WireFormat: TypeAlias = Literal["auto", "json", "binary"]
RepeatedIdPolicy: TypeAlias = Literal["reject", "last"]
Format: TypeAlias = Literal["parquet", "jsonl", "arrow", "numpy", "json"]

SOURCES = "Sources"
COLUMNS = "Columns"
ITEMS = "Items"
SENDING = "Sending"
INDEX = "Creating the index"
REJECTS = "Rejects and resuming"
OUTPUT = "Output"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the command line shows for an option.

    Attributes:
        panel: The heading under which the help lists it.
        help: One or two sentences.
        metavar: What its value looks like; "" shows the type.
        least, most: The smallest and largest number allowed.
        usual: The default in words, where the value does not show it.
        common: Most people use it, so `--help` shows it. `--help-all` shows all options.
        or_auto: It takes the word `auto` or a number.
    """

    panel: str
    help: str
    metavar: str = ""
    least: float | None = None
    most: float | None = None
    usual: str = ""
    common: bool = False
    or_auto: bool = False


def _option(default: Any, panel: str, text: str, **about: Any) -> Any:
    return field(default=default, metadata={"about": About(panel=panel, help=text, **about)})


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """All options of a load except its sources, target, index and key.

    Each field has the name of a flag of `vecload upsert`; the help of that flag describes it. Frozen and
    picklable; holds no secrets. Where a field takes several names, a single text means a tuple of one.

    Raises:
        UsageError: A field does not take the value.
    """

    format: Format | None = _option(
        None, SOURCES, "Format of the sources.", usual="detected from the content"
    )
    ids_file: str | None = _option(
        None,
        SOURCES,
        "Ids of a NumPy array: one per line, an array of ids, or a source with an id column and metadata. "
        "Ids of a JSON document: one per line.",
        metavar="FILE",
    )
    endpoint_url: str | None = _option(
        None,
        SOURCES,
        "Address of an S3-compatible store, for s3:// sources.",
        metavar="URL",
        usual="Amazon's",
    )
    max_line_bytes: int = _option(
        LINE_MAX_BYTES, SOURCES, "Reject longer lines of JSON Lines.", metavar="N", least=1000
    )
    max_row_group_bytes: int = _option(
        ROW_GROUP_MAX_BYTES,
        SOURCES,
        "Refuse sources whose rows, or suspiciously compressed columns, expand beyond N bytes.",
        metavar="N",
        least=1000,
    )
    max_json_bytes: int = _option(
        JSON_MAX_BYTES,
        SOURCES,
        "Refuse larger JSON documents (an array, an export that is one object): they are held in memory.",
        metavar="N",
        least=1000,
    )

    id_column: tuple[str, ...] = _option(
        (),
        COLUMNS,
        "Column of ids, or a field by its path. Repeatable: the values are joined into one id.",
        metavar="NAME",
        usual="found by its name",
        common=True,
    )
    vector_column: str | None = _option(
        None,
        COLUMNS,
        "Column of vectors.",
        metavar="NAME",
        usual="the one with lists of numbers",
        common=True,
    )
    contents_column: tuple[str, ...] = _option(
        (),
        COLUMNS,
        "Column of contents, which are encrypted on this machine. Repeatable: they become one JSON object.",
        metavar="NAME",
        usual="found by its name",
        common=True,
    )
    metadata_column: tuple[str, ...] = _option(
        (),
        COLUMNS,
        "Column of metadata, which the engine can filter by and vecload does not encrypt. Repeatable.",
        metavar="NAME",
        usual="all other columns",
        common=True,
    )
    metadata_exclude: tuple[str, ...] = _option(
        (),
        COLUMNS,
        "Column, field or metadata name to omit from the metadata. Repeatable.",
        metavar="NAME",
    )
    rename: tuple[str, ...] = _option(
        (), COLUMNS, "Give a metadata field another name. Repeatable.", metavar="OLD=NEW"
    )
    recipe: str | None = _option(
        None,
        COLUMNS,
        "How a tool's exports become items: a name that `vecload recipes` lists, a TOML file, or none.",
        metavar="NAME|FILE",
        usual="detected from the content",
    )
    vector_dtype: VectorDtype | None = _option(
        None,
        COLUMNS,
        "Type of the numbers in vectors of bytes, little-endian; npy is numpy.save's format.",
        usual="detected from the first rows",
    )
    embed: bool = _option(
        False,
        COLUMNS,
        "Let the index make the vectors of rows that have none, from their contents, which stay unsealed.",
    )

    id_prefix: str = _option("", ITEMS, "Put this text before every id.", metavar="TEXT")
    id_separator: str = _option(
        ID_SEPARATOR, ITEMS, "Text between the values of an id of several columns.", metavar="TEXT"
    )
    generate_ids: bool = _option(
        False,
        ITEMS,
        "If a row has no id, use a digest of its item as the id. Equal rows become one item.",
        common=True,
    )
    max_id_bytes: int = _option(
        ID_MAX_BYTES, ITEMS, "Reject longer ids.", metavar="N", least=1, most=ID_MAX_BYTES
    )
    max_depth: int = _option(
        METADATA_DEPTH,
        ITEMS,
        "Reject metadata with more levels of lists and objects.",
        metavar="N",
        least=0,
        most=METADATA_DEPTH,
    )
    max_contents_bytes: int = _option(
        CONTENTS_MAX_BYTES, ITEMS, "Reject larger contents.", metavar="N", least=0, most=CONTENTS_MAX_BYTES
    )
    max_metadata_bytes: int | None = _option(
        None,
        ITEMS,
        "Reject metadata whose JSON text is longer.",
        metavar="N",
        least=2,
        usual="what the target takes",
    )
    nan: Nan = _option(
        "omit", ITEMS, "NaN in metadata of Parquet, Arrow and NumPy: omit it like a null, or reject the row."
    )
    binary_as_text: bool = _option(
        False,
        ITEMS,
        "Read bytes of Parquet and Arrow as text, except in vectors, like Spark's binaryAsString.",
    )

    seal: bool | None = _option(
        None,
        SENDING,
        "Encrypt contents on this machine; --no-seal leaves that to the engine, for other clients to read.",
        usual="--seal, but stop if the index holds contents that are not sealed",
    )
    wire: WireFormat = _option("auto", SENDING, "Format of requests to a service; auto decides by size.")
    binary_threshold: int = _option(
        BINARY_THRESHOLD,
        SENDING,
        "With --wire auto, use binary from N items on.",
        metavar="N",
        least=1,
    )
    batch_rows: int | Literal["auto"] = _option(
        "auto",
        SENDING,
        "Largest batch, in rows; auto learns it from the target.",
        metavar="auto|N",
        least=1,
        most=100_000,
        or_auto=True,
    )
    batch_bytes: int = _option(
        BATCH_BYTES, SENDING, "Approximate largest batch, in bytes.", metavar="N", least=1000
    )
    concurrency: int | Literal["auto"] = _option(
        "auto",
        SENDING,
        "Batches in flight; auto learns it from the target.",
        metavar="auto|N",
        least=1,
        most=64,
        or_auto=True,
    )
    parse_workers: int | Literal["auto"] = _option(
        "auto",
        SENDING,
        "Processes that parse large JSON Lines files, 0 for none; auto uses one per core.",
        metavar="auto|N",
        least=0,
        most=64,
        or_auto=True,
    )
    give_up_after: float = _option(
        GIVE_UP_AFTER, SENDING, "How long to retry a batch that fails.", metavar="SECONDS", least=0
    )
    resume_wait: float = _option(
        RESUME_WAIT,
        SENDING,
        "How long to wait after a killed run before resuming a load into a service.",
        metavar="SECONDS",
        least=0,
    )

    create: bool = _option(True, INDEX, "Create the index if it does not exist; --no-create stops instead.")
    dimension: int | None = _option(
        None, INDEX, "Vector dimension.", metavar="N", usual="from the data", least=1
    )
    metric: Metric | None = _option(None, INDEX, "Distance metric.", usual="euclidean")
    storage_precision: StoragePrecision | None = _option(
        None, INDEX, "How vectors are stored; all but float32 lose digits.", usual="float32"
    )
    unfilterable: tuple[str, ...] = _option(
        (),
        INDEX,
        "A metadata field you will never filter on; loads several times faster. Repeatable.",
        metavar="FIELD",
        common=True,
    )
    pattern: tuple[str, ...] = _option(
        (), INDEX, "A metadata field to search by regular expressions. Repeatable.", metavar="FIELD"
    )
    full_text: tuple[str, ...] = _option(
        (), INDEX, "A metadata field to search by words. Repeatable.", metavar="FIELD"
    )
    embedding_model: str | None = _option(
        None,
        INDEX,
        "Model of the engine that makes vectors from contents; the target must be able to load it.",
        metavar="NAME",
    )
    train: bool = _option(
        False, INDEX, "Train the index after the load and wait for it: queries then search only parts of it."
    )

    allow_zero_vectors: bool = _option(
        False, REJECTS, "Load all-zero vectors, which the engine stores but cannot return."
    )
    repeated_ids: RepeatedIdPolicy | None = _option(
        None,
        REJECTS,
        "If several rows share an id: reject the later ones, or let the last one win.",
        usual="last with --id-column, reject where vecload chose the id column",
    )
    max_errors: int | str = _option(
        0,
        REJECTS,
        "Rows that may be rejected before the load stops.",
        metavar="N|N%",
        common=True,
    )
    rejects: str | None = _option(
        None,
        REJECTS,
        "Write the place and reason of each rejected row to this file.",
        metavar="FILE",
        common=True,
    )
    reject_rows: bool = _option(
        False,
        REJECTS,
        "Write the rejected rows too, sealed like contents; 'vecload rejects' opens them.",
    )
    retry_rejects: str | None = _option(
        None, REJECTS, "Load only the rows in this reject file again, from their sources.", metavar="FILE"
    )
    fresh: bool = _option(False, REJECTS, "Load from the start; ignore what an earlier run loaded.")
    skip_loaded: bool = _option(
        False,
        REJECTS,
        "Do nothing if everything is loaded, the sources are unchanged and the index still holds it.",
        common=True,
    )
    state_dir: Path | None = _option(
        None, REJECTS, "Folder of the journals.", metavar="FOLDER", usual="~/.local/state/vecload/journals"
    )
    explain: bool = _option(
        False, OUTPUT, "Say at the end what slowed the load down, and which setting would help."
    )

    def __post_init__(self) -> None:
        for one in fields(self):
            value, hint = getattr(self, one.name), HINTS[one.name]
            about: About = one.metadata["about"]
            object.__setattr__(self, one.name, _checked(one.name, value, hint, about))
        error_limit(self.max_errors)


HINTS: Final[Mapping[str, Any]] = get_type_hints(LoadOptions)
"""The type of each option."""


def about(name: str) -> About:
    """What the command line shows for a field."""
    found: About = next(one.metadata["about"] for one in fields(LoadOptions) if one.name == name)
    return found


def error_limit(text: int | str) -> tuple[int | None, float | None]:
    """The number of rows or the percentage that `max_errors` means.

    Raises:
        UsageError: The text is neither.
    """
    try:
        if isinstance(text, str) and text.endswith("%"):
            percent = float(text[:-1])
            if 0 <= percent <= 100:
                return None, percent
        elif type(text) in (int, str) and int(text) >= 0:
            return int(text), None
    except (ValueError, TypeError):
        pass
    raise UsageError(f"max_errors {text!r} is neither a number of rows nor a percentage")


def _checked(name: str, value: Any, hint: Any, about: About) -> Any:
    """A value, converted to the type of its field.

    Raises:
        UsageError: It has another type or is out of range.
    """
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if get_origin(kinds[0]) is tuple:
        return _names(name, value)
    if value is None:
        if NoneType in kinds:
            return None
        raise UsageError(f"{name} is None")
    words = [word for kind in kinds for word in get_args(kind)]
    if words and not about.or_auto:
        if value in words:
            return value
        raise UsageError(f"{name} {value!r} is not one of {', '.join(words)}")
    if about.or_auto:
        if value == "auto":
            return value
        number = int(value) if str(value).isdecimal() else -1
        if (about.least or 0) <= number <= (about.most or number):
            return number
        raise UsageError(
            f"{name} {value!r} is neither 'auto' nor a number from {about.least} to {about.most}"
        )
    if kinds[0] is bool:
        if isinstance(value, bool):
            return value
        raise UsageError(f"{name} is {value!r}, neither True nor False")
    if kinds[0] in (int, float) and str not in kinds:
        return _number(name, value, kinds[0], about)
    if kinds[0] is Path:
        if not isinstance(value, str | os.PathLike) or not os.fspath(value):
            raise UsageError(f"{name} is {value!r}, not a folder", hint="omit it for its default")
        return Path(value)
    if kinds[0] is str:
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if not isinstance(value, str):
            raise UsageError(f"{name} is {type(value).__name__}, not text")
        if not value and name not in MAY_BE_EMPTY:
            raise UsageError(f"{name} is empty", hint="omit it for its default")
        if name in _GOES_TO_THE_ENGINE and not _is_utf8(value):
            raise UsageError(f"{name} is not UTF-8 text")
    return value


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(name: str, value: Any, kind: type, about: About) -> Any:
    allowed = (int, float) if kind is float else (int,)
    try:
        if isinstance(value, bool):
            raise TypeError
        number = value if isinstance(value, allowed) else operator.index(value)
    except TypeError:
        raise UsageError(f"{name} is {value!r}, not a number") from None
    if about.least is not None and not number >= about.least:
        raise UsageError(f"{name} is {value!r}, but must be at least {about.least}")
    if about.most is not None and number > about.most:
        raise UsageError(f"{name} is {value!r}, but must be at most {about.most}")
    return number


def _names(name: str, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, Mapping) and name == "rename":  # rename={"old": "new"}
        value = [f"{old}={new}" for old, new in value.items()]
    if isinstance(value, str):
        value = (value,)
    if not isinstance(value, Iterable):
        raise UsageError(f"{name} is {type(value).__name__}, not a name or a list of names")
    names = tuple(value)
    for one in names:
        if not isinstance(one, str):
            raise UsageError(f"{name} holds {type(one).__name__}, not text")
        if not one:
            raise UsageError(f"{name} is empty", hint="omit it for its default")
    return names


_GOES_TO_THE_ENGINE: Final = frozenset({"id_prefix", "id_separator", "embedding_model"})
MAY_BE_EMPTY: Final = frozenset({"id_prefix"})
"""Options for which an empty text is valid. The separator is not one: an empty one makes ids ambiguous."""
