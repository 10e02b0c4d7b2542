"""What a load is refused for before anything is made, and before a row is written."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from vecload.cli.access import OpenedIndex
from vecload.cli.settings import UpsertSettings
from vecload.errors import IndexMismatch, JournalError, SealError, UsageError, WrongKey
from vecload.loading.journal import Journal
from vecload.loading.plan import Plan
from vecload.loading.policy_names import check_policy_names
from vecload.loading.rejects import check_place, may_start_anew, too_many
from vecload.loading.repeated_ids import RepeatedIds, policy_of
from vecload.loading.retry_rejects import RejectedRow, read_rejects
from vecload.places import state_folder
from vecload.readers import Source
from vecload.readers.open import SUFFIXES
from vecload.readers.storage.compressed import plain_name
from vecload.readers.storage.expand import leads_to
from vecload.readers.storage.files import STDIN, located
from vecload.sealing import Opener
from vecload.sealing.envelope import UNKNOWN_KEY, is_sealed
from vecload.targets.base import Metric

CONCURRENCY_MAX = 64
PARSE_WORKERS_MAX = 64
BATCH_ROWS_MAX = 100_000
TRAIN_MULTIPLE = 32
"""Other dimensions can't be trained (docs/cyborgdb.md)."""
SEALED_LOOKED_AT = 5
"""Items of an index whose contents are tried with the contents key before a load adds to them."""


def rejected_rows(settings: UpsertSettings) -> dict[str, dict[int, RejectedRow]]:
    """The rows of `--retry-rejects`, by their sources; none without that.

    Raises:
        UsageError: Nothing names a source.
        SourceError: The reject file can't be read, or is none.
    """
    if settings.retry_rejects is not None:
        return read_rejects(settings.retry_rejects)
    if not settings.sources:
        raise UsageError("no source is named", hint="see 'vecload upsert --help'")
    return {}


def check_options(settings: UpsertSettings, sources: Sequence[str]) -> None:
    """Refuse what can't be done whatever the sources hold.

    Raises:
        UsageError: An option has no such value, or two exclude each other.
    """
    for flag, text, least, most in (
        ("--concurrency", settings.concurrency, 1, CONCURRENCY_MAX),
        ("--batch-rows", settings.batch_rows, 1, BATCH_ROWS_MAX),
        ("--parse-workers", settings.parse_workers, 0, PARSE_WORKERS_MAX),
    ):
        if text != "auto" and not (text.isdecimal() and least <= int(text) <= most):
            raise UsageError(f"{flag} {text!r} is neither 'auto' nor a number from {least} to {most}")
    if settings.reject_rows and not settings.rejects:
        raise UsageError("--reject-rows needs --rejects FILE, where they go")
    if STDIN in sources and settings.retry_rejects:
        raise UsageError("rows of standard input can't be read again", hint="load a file of them")
    if STDIN in sources and settings.skip_loaded:
        raise UsageError("--skip-loaded can't tell one standard input from another")
    if settings.rejects:
        path = os.path.realpath(settings.rejects)
        if settings.retry_rejects and path == os.path.realpath(settings.retry_rejects):
            raise UsageError(
                "--rejects and --retry-rejects name the same file", hint="write new rejects to another"
            )


def check_reject_file(settings: UpsertSettings, names: Sequence[str], sources: Sequence[Source]) -> None:
    """Refuse a reject file that would take the place of something else, before it is touched.

    Args:
        settings: What to do.
        names: What was named: files, folders, patterns.
        sources: What was found there.

    Raises:
        UsageError: It is a source, is read beside the sources, would be a source of the next run, or is no
            reject file.
    """
    if not settings.rejects:
        return
    check_place(settings.rejects)
    other = "write the rejects to a file of their own, beside the sources"
    keys = settings.keys
    read = {
        **{file.location: "is a source" for source in sources for file in source.files},
        **{located(name): "is a source" for name in names},
    }
    for path, what in (
        (settings.reading.ids_file, "is the file of --ids-file"),
        (keys.file, "is the key file"),
        (keys.environ.get("VECLOAD_KEY_FILE"), "is the key file"),
        (keys.default_file, "is the key file"),
        (settings.api_key_file, "is the file of the API key"),
    ):
        if path:
            read[located(str(path))] = what
    rejects = os.path.realpath(settings.rejects)
    for location, what in read.items():
        if location == rejects or _same_file(location, rejects):
            raise UsageError(f"--rejects {settings.rejects} {what}", hint=other)
    for name in names:
        if leads_to(name, rejects):
            raise UsageError(
                f"--rejects {settings.rejects} is where {name} looks for sources: a later run would load it",
                hint=other,
            )
    if not may_start_anew(rejects):
        raise UsageError(
            f"--rejects {settings.rejects} is there already, and is no reject file",
            hint="name another file, or move that one away",
        )


def _same_file(location: str, path: str) -> bool:
    """Whether two paths are links to one file."""
    try:
        return Path(location).samefile(path)
    except OSError:
        return False  # one is not there, or not of this machine


def check_records(settings: UpsertSettings, *, read_only: bool = False) -> None:
    """Refuse a load that could keep no journal or no reject file.

    Args:
        settings: What to do.
        read_only: Make nothing, not even to try.

    Raises:
        JournalError: There is no place for the journal or the reject file.
    """
    if read_only:
        for path in (settings.rejects, settings.state_dir or state_folder()):
            if path is not None and not _could_write(Path(path).absolute()):
                raise JournalError(f"neither journal nor reject file can be kept at {path}")
        return
    if settings.rejects:
        _check_writable(Path(settings.rejects).absolute())
    folder = settings.state_dir or state_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise JournalError(f"no journal can be kept in {folder}: {error.strerror}") from None


def _check_writable(path: Path) -> None:
    """See whether the reject file could be written. Nothing is made: another load may make it this moment."""
    there = path.exists()
    if not there and not path.parent.is_dir():
        why = os.strerror(errno.ENOTDIR if path.parent.exists() else errno.ENOENT)
    elif not os.access(path if there else path.parent, os.W_OK if there else os.W_OK | os.X_OK):
        read_only = os.statvfs(path.parent).f_flag & os.ST_RDONLY
        why = os.strerror(errno.EROFS if read_only else errno.EACCES)
    else:
        return
    raise JournalError(f"no reject file can be written at {path}: {why}")


def _could_write(path: Path) -> bool:
    """Whether a file or a folder could be written, or made, as far as permissions tell."""
    there = next(each for each in (path, *path.parents) if each.exists())
    return os.access(there, os.W_OK) and (there == path or there.is_dir())


def check_plan(settings: UpsertSettings, plan: Plan) -> None:
    """Refuse what doesn't fit the sources.

    Raises:
        IndexMismatch: `--dimension` is not that of the vectors.
        UsageError: Their dimension can't be trained.
    """
    wanted = settings.creation.dimension
    have = f"the vectors of {plan.sources[0].name} have {plan.dimension} dimensions"
    if not settings.embed and wanted not in (None, plan.dimension):
        raise IndexMismatch(f"--dimension is {wanted}, but {have}")
    if settings.train and plan.dimension % TRAIN_MULTIPLE:
        raise UsageError(
            f"--train: the engine trains only dimensions that are multiples of {TRAIN_MULTIPLE}, and {have}",
            hint="leave --train away: queries find everything without it",
        )


def known_metric(exported: str) -> Metric | None:
    """CyborgDB's metric that an export tells of; None if it has none such."""
    return next((metric for metric in get_args(Metric) if metric == exported), None)


def check_new(settings: UpsertSettings, plan: Plan) -> None:
    """Refuse to make an index for sources that couldn't be loaded into it.

    Raises:
        UsageError: It needs a metric that CyborgDB doesn't have, and `--metric` names no other.
        MappingError: No source has a field that is named for a policy.
        RowsRejected: No row may be rejected, and one of the first would be.
    """
    if plan.metric and settings.creation.metric is None and known_metric(plan.metric) is None:
        raise UsageError(
            f"{plan.sources[0].name} comes from an index of the metric {plan.metric!r}, which CyborgDB "
            "doesn't have",
            hint="name one that it has with --metric",
        )
    check_policies(settings, plan)
    check_first_rows(settings, plan)


def check_policies(settings: UpsertSettings, plan: Plan) -> None:
    """Refuse policies of a new index for fields that no source has.

    Raises:
        MappingError: A name is not there.
    """
    wanted = settings.creation
    check_policy_names(
        plan,
        {"--unfilterable": wanted.unfilterable, "--pattern": wanted.pattern, "--full-text": wanted.full_text},
    )


def check_first_rows(settings: UpsertSettings, plan: Plan, index_dimension: int = 0) -> None:
    """Before an index is made or a row is written: refuse sources whose first rows would stop the load.

    Args:
        settings: What to do.
        plan: Its sources: every one is looked at, so that none is refused when those before it are loaded.
        index_dimension: The index's; 0 where there is none yet.

    Raises:
        RowsRejected: No row may be rejected, and one would be.
    """
    if settings.max_errors.rows != 0 or settings.rejects or settings.retry_rejects:
        return
    ids = RepeatedIds(policy_of(settings.repeated_ids, plan.mappings))
    for job in plan.jobs(index_dimension=index_dimension, allow_zero_vectors=settings.allow_zero_vectors):
        head = job.source.head()
        rejects = ids.checked(job.mapper.map(head)).rejects if head is not None else ()
        if rejects:
            raise too_many(rejects[0], len(rejects))


def check_index(settings: UpsertSettings, plan: Plan, access: OpenedIndex) -> None:
    """Refuse an index that is there and doesn't fit.

    Raises:
        IndexMismatch: It was made with other settings, or has another dimension.
        WrongKey: Its contents are sealed with another contents key.
        RowsRejected: No row may be rejected, and one of the first would be.
    """
    check_index_settings(settings, access)
    if settings.seal:
        check_contents_key(plan, access)
    check_first_rows(settings, plan, access.index.describe().dimension)


def check_index_settings(settings: UpsertSettings, access: OpenedIndex) -> None:
    """Refuse an index that was made with other settings than those that are asked for.

    Raises:
        IndexMismatch: It was.
    """
    info = access.index.describe()
    wanted = settings.creation
    if wanted.metric not in (None, info.metric):
        raise IndexMismatch(
            f"index {info.name!r} has the metric {info.metric}, not {wanted.metric}",
            hint="leave --metric away, or load into another index",
        )
    for name, policy in wanted.metadata_schema().items():
        if info.metadata_schema.get(name) != policy:
            raise IndexMismatch(
                f"index {info.name!r} was made with another policy for the field {name!r}",
                hint="an index keeps its policies: leave the option away, or load into another index",
            )


def check_contents_key(plan: Plan, access: OpenedIndex) -> int:
    """Open a few of the contents that are there: they are found as the nearest to the first row.

    Returns:
        How many were sealed, and did open.

    An item that is damaged or forged says nothing of the key: it costs itself, when it is read.

    Raises:
        WrongKey: None opens, and one was sealed with another key.
    """
    job = plan.jobs(index_dimension=0, allow_zero_vectors=True)[0]
    head = job.source.head()
    batch = job.mapper.map(head) if head is not None else None
    if batch is None or batch.vectors is None or not batch.ids or job.mapper.mapping.contents is None:
        return 0
    if access.index.describe().dimension != batch.vectors.shape[1] or not access.index.count():
        return 0
    hits = access.index.query(batch.vectors[0], SEALED_LOOKED_AT)
    opener = Opener(access.key.opening_keys, access.index.name)
    opened, others = 0, 0
    for item in access.index.get([hit.id for hit in hits], ["contents"]):
        if item.contents is None or not is_sealed(item.contents):
            continue
        try:
            opener.open(item.id, item.contents)
            opened += 1
        except SealError as error:
            others += error.outcome == UNKNOWN_KEY
    if others and not opened:
        raise WrongKey(
            f"the contents of index {access.index.name!r} are sealed with another contents key "
            f"({UNKNOWN_KEY})",
            hint="name its key file with --key-file, or keep the old key under old_contents_keys",
        )
    return opened


def index_name(sources: Sequence[str]) -> str:
    """An index named after the only source.

    Raises:
        UsageError: There are several, or its name makes none.
    """
    if len(sources) > 1:
        raise UsageError("several sources need the name of an index", hint="give it with --index")
    file = Path(plain_name(sources[0]))
    stem = file.stem if file.suffix.lower() in SUFFIXES else file.name
    if set("*?[") & set(stem):
        stem = ""
    name = re.sub(r"[^\w.-]+", "-", stem).strip("-.")
    if not name or name == "default":
        raise UsageError(f"no index can be named after {sources[0]}", hint="name one with --index")
    return name


def why_not_skipped(journal: Journal, access: OpenedIndex, *, hidden: bool) -> str:
    """What speaks against skipping a finished load whose sources are unchanged; "" if nothing does.

    Args:
        journal: The load's.
        access: The index.
        hidden: The engine may hide items, whose vectors may be of zeros: they are only counted.
    """
    if access.created:
        return "the index is new"
    if not journal.is_last():
        return "these names led to other sources in between"
    held, known = access.index.count(), journal.items_at_end()
    if known is not None and held < known:
        return f"the index holds {held:,} items, and held {known:,} when that load ended"
    if not held and journal.totals()[0]:
        return "the index is empty"
    asked = [] if hidden else journal.samples()
    if asked and len({item.id for item in access.index.get(asked, [])}) < len(asked):
        return "the index lacks items that this load had put there"
    return ""


def check_same_index(journal: Journal, access: OpenedIndex, *, hidden: bool) -> None:
    """Before a load goes on: refuse an index that is not the one it began with.

    Args:
        journal: With the ids of some items that the load had put there.
        access: The index.
        hidden: The engine may hide items, whose vectors may be of zeros: it is only asked if there are any.

    Raises:
        IndexMismatch: They are not there any more.
    """
    loaded, _ = journal.totals()
    asked = [] if hidden else journal.samples()
    found = {item.id for item in access.index.get(asked, [])} if asked else set()
    empty = loaded > 0 and (access.created or not access.index.count())
    if empty or not found.issuperset(asked):
        raise IndexMismatch(
            f"index {access.index.name!r} lacks items that this load had put there; was it dropped?",
            hint="load everything again with --fresh",
        )
