"""Options of the format `vecload`: texts by name, as Spark hands them over.

Spark writes all of them into plans and event logs. So a secret is only ever a reference, and no message here
repeats a value that may be one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final, get_args, get_origin

import orjson

from vecload.errors import UsageError, VecloadError
from vecload.flags import as_parameters
from vecload.loading.request import Request
from vecload.options import HINTS, LoadOptions
from vecload.readers.source import Source
from vecload.sealing.references import Reference, SecretReferences
from vecload.spark.folder import ReportFolder
from vecload.targets import Reach, is_service
from vecload.targets.location import shards_location
from vecload.targets.place import IndexPlace
from vecload.targets.reach import REACH_FIELDS

PLACE: Final = ("to", "shards", "index", "key", "contents_key", "api_key", "report")
"""What an option may be besides the fields of LoadOptions and those of Reach."""
REFUSED: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("format", "ids_file", "encoding", "csv_columns", "csv_delimiter", "csv_types", "max_line_bytes"),
        "it is for files, which Spark reads",
    ),
    **dict.fromkeys(
        ("max_row_group_bytes", "max_json_bytes", "parse_workers"), "it is for files, which Spark reads"
    ),
    "recipe": "it is for exports of other tools: select and rename columns in Spark",
    "rejects": "rejects go to the folder of option report",
    **dict.fromkeys(
        ("retry_rejects", "fresh", "skip_loaded", "changed_only", "delete_missing", "max_deletes"),
        "a job of Spark keeps no journal: write the DataFrame again",
    ),
    "state_dir": "a job of Spark keeps no journal",
    "explain": "it is for a load in one process",
    **dict.fromkeys(("split", "rows_per_split"), "Spark makes the partitions"),
}
"""Options of a load that a DataFrame does not have, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkOptions:
    """What the options of a write mean. Picklable, without secrets.

    Attributes:
        to: The address of a service, or of several.
        index: The index.
        secrets: Where each process finds its keys.
        report: The folder of reports; None without one.
        reach: How to reach the service.
        load: All other options.
    """

    to: str = field(repr=False)
    index: str
    secrets: SecretReferences = field(default_factory=SecretReferences)
    report: ReportFolder | None = None
    reach: Reach = field(default_factory=Reach)
    load: LoadOptions = field(default_factory=LoadOptions)

    @property
    def place(self) -> IndexPlace:
        """The index, its secrets read in this process.

        Raises:
            VecloadError: A secret can't be had.
        """
        return IndexPlace(
            self.to,
            self.index,
            self.secrets.key_source(),
            self.secrets.api_key_text(),
            self.reach,
        )

    def request(self, source: Source, load: LoadOptions) -> Request:
        """The load of a source into the index.

        Raises:
            VecloadError: A secret can't be had.
        """
        return Request.into(self.place, (source,), load)


def read_options(options: Mapping[str, str]) -> SparkOptions:
    """Check the options of a write.

    Args:
        options: Texts by name. Case, `-` and `_` in names do not count.

    Raises:
        UsageError: One is unknown, impossible, or holds a secret; or one is missing.
    """
    given = {_known(name): value for name, value in options.items() if name.lower() not in _OF_SPARK}
    for name, why in REFUSED.items():
        if name in given:
            raise UsageError(f"option {name} can't be used with Spark", hint=why)
    for name in ("to", "shards", "proxy"):
        if "@" in given.get(name, ""):
            raise UsageError(
                f"option {name} holds a user or a password", hint="Spark writes options into plans and logs"
            )
    if "to" in given and "shards" in given:
        raise UsageError("options to and shards exclude each other", hint="omit one")
    to, index = given.get("to"), given.get("index")
    if "shards" in given:
        to = shards_location(given["shards"])
    if not to or not is_service(to):
        raise UsageError(
            "option to is missing" if to is None else "option to is not the URL of a service",
            hint='name the service with .option("to", "https://…"): workers can\'t share an embedded store',
        )
    if not index:
        raise UsageError("option index is missing", hint='name it with .option("index", "…")')
    key, contents_key, api_key = (
        Reference.parse(given[name], f"option {name}") if name in given else None
        for name in ("key", "contents_key", "api_key")
    )
    of_load = {name: _value(name, given[name]) for name in HINTS if name in given}
    of_reach = {name: _reach_value(name, given[name]) for name in REACH_FIELDS if name in given}
    report = given.get("report")
    if report is not None and not report.strip():
        raise UsageError("option report is empty", hint="name a folder or a URI, or omit it")
    load = LoadOptions(**of_load)
    return SparkOptions(
        to=to,
        index=index,
        report=None if report is None else ReportFolder(report, load.endpoint_url),
        reach=Reach(**of_reach),
        load=load,
        secrets=SecretReferences(key, contents_key, api_key),
    )


def in_options(text: str) -> str:
    """A message that names flags of the command line or a way to run it again, in the words of a write."""
    text = as_parameters(text)
    for phrase, said in _SAID:
        text = text.replace(phrase, said)
    return re.sub(r"\b(\w+_column|metadata_exclude) (\S+) \1 (\S+)", r"\1=\2,\3", text)


def as_options(error: VecloadError) -> VecloadError:
    """The error, in the words of a write."""
    if error.args:
        error.args = (in_options(str(error.args[0])), *error.args[1:])
    error.hint = in_options(error.hint)
    return error


_SAID: Final = (
    (" with max_errors and rejects", " with option max_errors"),
    ("make the same call again", "write the DataFrame again"),
    ("make the call again", "write the DataFrame again"),
    ("load from the start with fresh=True", "write the DataFrame again"),
    ("load everything again with fresh=True", "write the DataFrame again"),
    ("create_key=True", "create_key=true"),
    ("generate_ids=True", "generate_ids=true"),
    ("seal=True", "seal=true"),
    ("seal=False", "seal=false"),
    ("create=False", "create=false"),
    ("allow_zero_vectors=True", "allow_zero_vectors=true"),
    ("binary_as_text=True", "binary_as_text=true"),
    ("insecure_http=True", "insecure_http=true"),
    ("embed=True", "embed=true"),
)

_OF_SPARK: Final = frozenset({"path", "partitionoverwritemode"})
"""Options that Spark itself adds."""


def _known(name: str) -> str:
    """The option of that name.

    Raises:
        UsageError: There is none.
    """
    plain = _plain(name)
    known = {_plain(each): each for each in (*PLACE, *REACH_FIELDS, *HINTS)}
    if plain in known:
        return known[plain]
    near = get_close_matches(plain, known, 1)
    shown = name if re.fullmatch(r"[A-Za-z][A-Za-z_-]{0,40}", name) else "of that name"
    raise UsageError(
        f"there is no option {shown}",
        hint=f"did you mean {known[near[0]]}?" if near else "see docs/howto/spark.md",
    )


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _value(name: str, text: str) -> Any:
    """The value that a text means for an option of a load.

    Raises:
        UsageError: It means none.
    """
    hint = HINTS[name]
    kinds = get_args(hint) or (hint,)
    if get_origin(hint) is tuple:
        return _names(name, text)
    if bool in kinds or hint is bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        if hint is bool or text.lower() not in ("digest", "rows"):
            raise UsageError(f"option {name} is {text!r}, neither true nor false")
        return text.lower()
    if float in kinds or int in kinds:
        if re.fullmatch(r"[+-]?[0-9]+", text.strip()):
            return int(text)
        if float in kinds and re.fullmatch(r"[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?", text.strip()):
            return float(text)
    return text


def _names(name: str, text: str) -> tuple[str, ...]:
    """Names, separated by commas or as a JSON list."""
    if not text.lstrip().startswith("["):
        return tuple(one.strip() for one in text.split(","))
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise UsageError(f"option {name} is not a list of names", hint='write A,B or ["A","B"]')
    return tuple(found)


def _reach_value(name: str, text: str) -> Any:
    if name != "insecure_http":
        return text
    if text.lower() not in ("true", "false"):
        raise UsageError(f"option {name} is neither true nor false")
    return text.lower() == "true"
