"""Options: every option of a load, each defined in one place.

Each field of `LoadOptions` yields its flag, its variable, its help and its line in docs/options.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_type_hints

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
    ROWS_PER_SPLIT,
)
from vecload.option_values import About, checked_value

VectorDtype: TypeAlias = Literal["float32", "float16", "bfloat16", "float64", "int8", "uint8", "npy"]
"""The number type of vectors written as bytes, little-endian; `npy` is an array saved by `numpy.save`."""
Nan: TypeAlias = Literal["omit", "reject"]
"""What to do with NaN in metadata: omit the value, like a null, or reject the row."""
Metric: TypeAlias = Literal["euclidean", "cosine", "squared_euclidean"]
StoragePrecision: TypeAlias = Literal["float32", "float16", "tq12", "tq8", "tq6", "tq4"]
WireFormat: TypeAlias = Literal["auto", "json", "binary"]
RepeatedIdPolicy: TypeAlias = Literal["reject", "last", "assume-unique"]
Format: TypeAlias = Literal[
    "parquet",
    "jsonl",
    "arrow",
    "numpy",
    "json",
    "csv",
    "pgcopy",
    "fvecs",
    "bvecs",
    "fbin",
    "u8bin",
    "i8bin",
    "hdf5",
]
"""What a source is; `pgcopy` is the text format of PostgreSQL's COPY."""
GeneratedIds: TypeAlias = Literal["digest", "rows"]
"""What ids are made of: a digest of the item, or the number of the row."""
CsvTypes: TypeAlias = Literal["infer", "text"]
"""Whether a column of CSV is numbers if every value reads back as it is written, or all columns are text."""

SOURCES = "Sources"
COLUMNS = "Columns"
ITEMS = "Items"
SENDING = "Sending"
INDEX = "Creating the index"
REJECTS = "Rejects and resuming"
OUTPUT = "Output"


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
        "Ids of an array of vectors: one per line, an array, or a source with an id column and metadata. "
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
    encoding: str | None = _option(
        None,
        SOURCES,
        "Encoding of JSON Lines, JSON and CSV: latin-1, cp1252 and so on.",
        metavar="NAME",
        usual="UTF-8, or UTF-16 and UTF-32 where detected",
    )
    csv_columns: tuple[str, ...] = _option(
        (),
        SOURCES,
        "Names of the columns of CSV without a header, separated by commas.",
        metavar="A,B,…",
        usual="the first row",
    )
    csv_delimiter: str | None = _option(
        None,
        SOURCES,
        "What separates the fields of CSV: one character, or the word tab.",
        metavar="CHARACTER",
        usual="detected: comma, semicolon, tab or |",
    )
    csv_types: CsvTypes = _option(
        "infer",
        SOURCES,
        "Columns of CSV are numbers if each value reads back as it is written, or text: all are text.",
    )
    max_line_bytes: int = _option(
        LINE_MAX_BYTES,
        SOURCES,
        "Reject longer lines of JSON Lines, and rows of CSV.",
        metavar="N",
        least=1000,
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
        "Refuse larger JSON documents that are one object, which are held in memory; arrays are not.",
        metavar="N",
        least=1000,
    )

    split: str | None = _option(
        None,
        SOURCES,
        "Load only one of n parts of Parquet sources, from 0/8 to 7/8; other machines load the others.",
        metavar="I/N",
        usual="all",
    )
    rows_per_split: int = _option(
        ROWS_PER_SPLIT,
        SOURCES,
        "Row groups become splits of about N rows; parts, and workers of a cluster, load whole splits.",
        metavar="N",
        least=1,
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
    vector_columns: str | None = _option(
        None,
        COLUMNS,
        "Columns with one dimension of the vector each; * stands for the number: 'dim_*'.",
        metavar="PATTERN",
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
    generate_ids: bool | GeneratedIds = _option(
        False,
        ITEMS,
        "If a row has no id, use a digest of its item (equal rows become one item), or its row number.",
        metavar="[digest|rows]",
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
    create_key: bool = _option(
        False,
        INDEX,
        "Make a key for a new index, in the key file if you name one. Without this, vecload makes one only "
        "for an embedded store, or in a terminal.",
        common=True,
    )
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
    kms: str | None = _option(
        None,
        INDEX,
        "Let the service get the index key from this KMS of its configuration; vecload needs no index key.",
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
        "If several rows share an id: reject the later ones, or let the last one win; assume-unique does not "
        "look.",
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
        "Load only sources that are new or changed, as long as the index still holds the others.",
        common=True,
    )
    changed_only: bool = _option(
        False, REJECTS, "Send only rows that are new or differ from the last load.", common=True
    )
    delete_missing: bool = _option(
        False, REJECTS, "With --changed-only, delete the items whose ids left the sources since then."
    )
    max_deletes: int | str = _option(
        "10%", REJECTS, "Items that --delete-missing may delete; with more, the load stops.", metavar="N|N%"
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
            object.__setattr__(self, one.name, checked_value(one.name, value, hint, about))
        error_limit(self.max_errors)
        error_limit(self.max_deletes, "max_deletes")


HINTS: Final[Mapping[str, Any]] = get_type_hints(LoadOptions)
"""The type of each option."""


def about(name: str) -> About:
    """What the command line shows for a field."""
    found: About = next(one.metadata["about"] for one in fields(LoadOptions) if one.name == name)
    return found


def error_limit(text: int | str, name: str = "max_errors") -> tuple[int | None, float | None]:
    """The number or the percentage that a limit means.

    Args:
        text: The value of the option.
        name: The option.

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
    what = "items" if name == "max_deletes" else "rows"
    raise UsageError(f"{name} {text!r} is neither a number of {what} nor a percentage")
