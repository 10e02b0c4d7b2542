"""Preflight: what a load is refused for before anything is created or sent.

One list of checks for each moment. A load raises the first that fails, an inspection shows all of them.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias, get_args

from vecload.errors import IndexMismatch, JournalError, UsageError
from vecload.loading.index_checks import (
    check_contents_key,
    check_first_rows,
    check_index_settings,
    check_policies,
)
from vecload.loading.plan import Plan
from vecload.loading.rejects import check_place, may_start_anew
from vecload.loading.request import Request
from vecload.loading.retry_rejects import RejectedRow, read_rejects
from vecload.options import Metric
from vecload.readers import Source
from vecload.readers.open import SUFFIXES
from vecload.readers.storage.compressed import plain_name
from vecload.readers.storage.expand import leads_to
from vecload.readers.storage.files import STDIN, located
from vecload.targets import IndexSettings
from vecload.targets.base import check_settings
from vecload.targets.opening import OpenedIndex

TRAIN_MULTIPLE = 32
"""Other dimensions can't be trained (docs/cyborgdb.md)."""

Check: TypeAlias = tuple[str, Callable[[], Any]]
"""What is looked at, in one or two words, and the look itself, which raises what a load stops with."""


def run(checks: Sequence[Check]) -> None:
    """Raise what the first check that fails raises."""
    for _, look in checks:
        look()


def source_checks(request: Request, names: Sequence[str], sources: Sequence[Source]) -> list[Check]:
    """When the sources are open."""
    return [("reject file", lambda: check_reject_file(request, names, sources))]


def plan_checks(request: Request, plan: Plan, *, read_only: bool = False) -> list[Check]:
    """When it is known what the columns are."""
    return [
        ("options", lambda: check_dimension(request, plan)),
        ("options", lambda: check_trainable(request, plan)),
        ("records", lambda: check_records(request, read_only=read_only)),
    ]


def new_index_checks(
    request: Request,
    plan: Plan,
    name: str,
    creation: IndexSettings,
    models: Callable[[], Sequence[str]],
) -> list[Check]:
    """When the index would be created now.

    Args:
        request: The load.
        plan: Its sources.
        name: The index.
        creation: What it would be created with.
        models: Asks the target for its embedding models.
    """
    return [
        ("model", lambda: check_model(creation, models)),
        ("index", lambda: check_settings(name, creation)),
        ("index", lambda: check_metric(request, plan)),
        ("fields", lambda: check_policies(request, plan)),
        ("rows", lambda: check_first_rows(request, plan)),
    ]


def index_checks(request: Request, plan: Plan, opened: OpenedIndex) -> list[Check]:
    """When the index is there, and open."""
    dimension = opened.index.describe().dimension
    return [
        ("fit", lambda: check_index_settings(request, opened)),
        ("fit", lambda: plan.check_dimension(dimension)),
        ("contents key", lambda: check_contents_key(plan, opened) if request.seal else 0),
        ("rows", lambda: check_first_rows(request, plan, dimension)),
    ]


def rejected_rows(request: Request) -> dict[str, dict[int, RejectedRow]]:
    """The rows of `--retry-rejects`, by their sources; none without that.

    Raises:
        UsageError: Nothing names a source.
        SourceError: The reject file can't be read, or is none.
    """
    if request.options.retry_rejects is not None:
        if request.sources and not request.names:
            raise UsageError(
                "--retry-rejects can't find rows of data in memory again", hint="load a file of them"
            )
        return read_rejects(request.options.retry_rejects)
    if not request.sources:
        raise UsageError("no source is named", hint="see 'vecload upsert --help'")
    return {}


def check_options(request: Request, sources: Sequence[str]) -> None:
    """Refuse what can't be done whatever the sources hold.

    Raises:
        UsageError: An option has no such value, or two exclude each other.
    """
    if request.options.reject_rows and not request.options.rejects:
        raise UsageError("--reject-rows needs --rejects FILE, where they go")
    if not sources and request.options.skip_loaded:
        raise UsageError(
            "--skip-loaded can't tell whether data in memory is the same", hint="load a file of it"
        )
    if STDIN in sources and request.options.retry_rejects:
        raise UsageError("rows of standard input can't be read again", hint="load a file of them")
    if STDIN in sources and request.options.skip_loaded:
        raise UsageError("--skip-loaded can't tell one standard input from another")
    if request.options.rejects:
        path = os.path.realpath(request.options.rejects)
        if request.options.retry_rejects and path == os.path.realpath(request.options.retry_rejects):
            raise UsageError(
                "--rejects and --retry-rejects name the same file", hint="write new rejects to another"
            )


def check_reject_file(request: Request, names: Sequence[str], sources: Sequence[Source]) -> None:
    """Refuse a reject file that would take the place of something else, before it is touched.

    Args:
        request: The load.
        names: What was named: files, folders, patterns.
        sources: What was found there.

    Raises:
        UsageError: It is a source, is read beside the sources, would be a source of the next run, or is no
            reject file.
    """
    if not request.options.rejects:
        return
    check_place(request.options.rejects)
    other = "write the rejects to a file of their own, beside the sources"
    read = {
        **{file.location: "is a source" for source in sources for file in source.files},
        **{located(name): "is a source" for name in names},
    }
    if request.options.ids_file:
        read[located(request.options.ids_file)] = "is the file of --ids-file"
    read |= {located(path): what for path, what in request.secret_files.items()}
    rejects = os.path.realpath(request.options.rejects)
    for location, what in read.items():
        if location == rejects or _same_file(location, rejects):
            raise UsageError(f"--rejects {request.options.rejects} {what}", hint=other)
    for name in names:
        if leads_to(name, rejects):
            raise UsageError(
                f"--rejects {request.options.rejects} is where {name} looks for sources: a later run would "
                "load it",
                hint=other,
            )
    if not may_start_anew(rejects):
        raise UsageError(
            f"--rejects {request.options.rejects} is there already, and is no reject file",
            hint="name another file, or move that one away",
        )


def _same_file(location: str, path: str) -> bool:
    """Whether two paths are links to one file."""
    try:
        return Path(location).samefile(path)
    except OSError:
        return False  # one is not there, or not of this machine


def check_records(request: Request, *, read_only: bool = False) -> None:
    """Refuse a load that could keep no journal or no reject file.

    Args:
        request: The load.
        read_only: Make nothing, not even to try.

    Raises:
        JournalError: There is no place for the journal or the reject file.
    """
    if request.options.rejects:
        _check_writable(Path(request.options.rejects).absolute())
    folder = request.state_folder
    try:
        if read_only:
            _could_make(folder.absolute())
        else:
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


def _could_make(folder: Path) -> None:
    """Raise what making a folder would, as far as permissions say."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not there.is_dir():
        # As mkdir says it: of the folder itself that it is there, of one above that it is no folder.
        raise OSError(*_ERRORS[errno.EEXIST if there == folder else errno.ENOTDIR])
    if not os.access(there, os.W_OK | os.X_OK):
        raise OSError(*_ERRORS[errno.EACCES])


_ERRORS = {code: (code, os.strerror(code)) for code in (errno.EEXIST, errno.ENOTDIR, errno.EACCES)}


def check_dimension(request: Request, plan: Plan) -> None:
    """Refuse a dimension that is not that of the vectors.

    Raises:
        IndexMismatch: It is not.
    """
    wanted = request.options.dimension
    if not request.options.embed and wanted not in (None, plan.dimension):
        raise IndexMismatch(f"--dimension is {wanted}, but {_vectors_have(plan)}")


def check_trainable(request: Request, plan: Plan) -> None:
    """Refuse to train what the engine can't.

    Raises:
        UsageError: The dimension can't be trained.
    """
    if request.options.train and plan.dimension % TRAIN_MULTIPLE:
        raise UsageError(
            f"--train: the engine trains only dimensions that are multiples of {TRAIN_MULTIPLE}, and "
            f"{_vectors_have(plan)}",
            hint="omit --train: queries find everything without it",
        )


def _vectors_have(plan: Plan) -> str:
    return f"the vectors of {plan.sources[0].name} have {plan.dimension} dimensions"


def known_metric(exported: str) -> Metric | None:
    """CyborgDB's metric that an export tells of; None if it has none such."""
    return next((metric for metric in get_args(Metric) if metric == exported), None)


def check_model(creation: IndexSettings, models: Callable[[], Sequence[str]]) -> None:
    """Refuse an embedding model that the target does not have.

    Raises:
        UsageError: It has others.
    """
    wanted = creation.embedding_model
    known = models() if wanted is not None else ()
    names = {name.lower() for full in known for name in (full, full.rpartition("/")[2])}
    if wanted is not None and known and wanted.lower() not in names:
        raise UsageError(
            f"there is no embedding model {wanted!r}",
            hint=f"the target has {', '.join(known)}",
        )


def check_metric(request: Request, plan: Plan) -> None:
    """Refuse to create an index for vectors of a metric that CyborgDB does not have.

    Raises:
        UsageError: The export says so, and `--metric` names no other.
    """
    if plan.metric and request.options.metric is None and known_metric(plan.metric) is None:
        raise UsageError(
            f"{plan.sources[0].name} comes from an index of the metric {plan.metric!r}, which CyborgDB "
            "doesn't have",
            hint="name one that it has with --metric",
        )


def index_name(sources: Sequence[str]) -> str:
    """An index named after the only source.

    Raises:
        UsageError: There are several, or its name makes none.
    """
    if len(sources) != 1:
        several = "several sources need" if sources else "data in memory needs"
        raise UsageError(f"{several} the name of an index", hint="give it with --index")
    file = Path(plain_name(sources[0]))
    stem = file.stem if file.suffix.lower() in SUFFIXES else file.name
    if set("*?[") & set(stem):
        stem = ""
    name = re.sub(r"[^\w.-]+", "-", stem).strip("-.")
    if not name or name == "default":
        raise UsageError(f"no index can be named after {sources[0]}", hint="name one with --index")
    return name
