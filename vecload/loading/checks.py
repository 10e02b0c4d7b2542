"""Preflight checks: reasons to refuse a load before anything is created or sent.

There is one list of checks for each stage. A load raises the first that fails; an inspection shows them all.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, get_args

from vecload.errors import IndexMismatch, JournalError, UsageError
from vecload.loading.contents_check import ContentsCheck
from vecload.loading.index_checks import (
    check_access,
    check_first_rows,
    check_has_contents_key,
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
from vecload.sealing.envelope import is_sealed
from vecload.targets import IndexSettings, is_service
from vecload.targets.base import check_settings
from vecload.targets.opened import OpenedIndex
from vecload.targets.shard_record import mark_of

TRAIN_MULTIPLE = 32
"""The engine trains only dimensions that are multiples of this (docs/cyborgdb.md)."""

Check: TypeAlias = tuple[str, Callable[[], Any]]
"""What is checked, in one or two words, and the check itself, which raises the error that stops a load."""


def run(checks: Sequence[Check]) -> None:
    """Run the checks in order, and raise the error of the first that fails."""
    for _, look in checks:
        look()


def source_checks(request: Request, names: Sequence[str], sources: Sequence[Source]) -> list[Check]:
    """Checks for when the sources are open."""
    return [("reject file", lambda: check_reject_file(request, names, sources))]


def plan_checks(request: Request, plan: Plan, *, read_only: bool = False) -> list[Check]:
    """Checks for when the columns are known."""
    return [
        ("options", lambda: check_dimension(request, plan)),
        ("options", lambda: check_trainable(request, plan)),
        ("contents", lambda: check_not_sealed(request, plan)),
        ("records", lambda: check_records(request, read_only=read_only)),
    ]


def new_index_checks(
    request: Request,
    plan: Plan,
    name: str,
    creation: IndexSettings,
    models: Callable[[], Sequence[str]],
) -> list[Check]:
    """Checks for when the index is about to be created.

    Args:
        request: The load.
        plan: Its sources.
        name: The index.
        creation: The settings of the new index.
        models: Returns the target's embedding models.
    """
    return [
        ("model", lambda: check_model(creation, models)),
        ("index", lambda: check_settings(name, creation)),
        ("index", lambda: check_metric(request, plan)),
        ("fields", lambda: check_policies(request, plan)),
        ("rows", lambda: check_first_rows(request, plan)),
    ]


def contents_check(request: Request, plan: Plan, opened: OpenedIndex) -> ContentsCheck | None:
    """The check of the contents in an existing index; None if the load adds none, or can seal none."""
    embed = request.options.embed
    if not any(mapping.contents and (mapping.vector or not embed) for mapping in plan.mappings):
        return None
    if opened.key is None and request.options.seal is not False:
        return None  # refused by the check for a contents key
    return ContentsCheck(request.options.seal, opened.index, opened.key, embed=embed)


def index_checks(
    request: Request, plan: Plan, opened: OpenedIndex, contents: ContentsCheck | None
) -> list[Check]:
    """Checks for when an existing index is open."""
    dimension = opened.index.describe().dimension
    return [
        ("API key", lambda: check_access(request, opened)),
        ("key", lambda: check_has_contents_key(request, plan, opened)),
        ("fit", lambda: check_whole_index(opened)),
        ("fit", lambda: check_index_settings(request, opened)),
        ("fit", lambda: plan.check_dimension(dimension)),
        *([("contents", contents.run)] if contents is not None else []),
        ("rows", lambda: check_first_rows(request, plan, dimension)),
    ]


def check_whole_index(opened: OpenedIndex) -> None:
    """Refuse a service that is one of the shards of an index.

    Raises:
        IndexMismatch: It is.
    """
    shard = mark_of(opened.index.describe())
    if shard is not None:
        raise IndexMismatch(
            f"index {opened.index.name!r} is shard {shard.number} of {shard.of} here",
            hint="name all shards with --shards, in their order",
        )


def named_sources(request: Request) -> tuple[Sequence[str], dict[str, dict[int, RejectedRow]]]:
    """The names of the sources, and the rows that `--retry-rejects` chooses of them.

    Returns:
        The names, none for data in memory: those that the user gave, else those in the reject file. And the
        rejected rows by source, empty without that option.

    Raises:
        UsageError: Nothing names a source.
        SourceError: The reject file can't be read, or is not a reject file.
    """
    if request.options.retry_rejects is None:
        if not request.sources:
            raise UsageError("no source is named", hint="see 'vecload upsert --help'")
        return request.names, {}
    if request.sources and not request.names:
        raise UsageError(
            "--retry-rejects can't find rows of data in memory again", hint="load them from a file"
        )
    rejected = read_rejects(request.options.retry_rejects)
    return request.names or [*rejected], rejected


def check_options(request: Request, sources: Sequence[str]) -> None:
    """Refuse options that can't work with any content of the sources.

    Raises:
        UsageError: An option does not suit the sources, or two options exclude each other.
    """
    if request.options.kms is not None and not is_service(request.to or ""):
        raise UsageError(
            "--kms needs a service, which has a KMS", hint="name the service with --to, or omit --kms"
        )
    if request.options.reject_rows and not request.options.rejects:
        raise UsageError("--reject-rows needs --rejects FILE to write them to")
    if not sources and request.options.skip_loaded:
        raise UsageError(
            "--skip-loaded can't know whether data in memory is the same", hint="load it from a file"
        )
    check_changed_only(request)
    if STDIN in sources and request.options.retry_rejects:
        raise UsageError("rows of standard input can't be read again", hint="load them from a file")
    if STDIN in sources and request.options.skip_loaded:
        raise UsageError("--skip-loaded can't know whether standard input is the same")
    if request.options.rejects:
        path = os.path.realpath(request.options.rejects)
        if request.options.retry_rejects and path == os.path.realpath(request.options.retry_rejects):
            raise UsageError(
                "--rejects and --retry-rejects name the same file", hint="write new rejects to another file"
            )


def check_changed_only(request: Request) -> None:
    """Refuse options that contradict `--changed-only`, or that need it.

    Raises:
        UsageError: Two options exclude each other, or one needs the other.
    """
    options = request.options
    if options.delete_missing and not options.changed_only:
        raise UsageError("--delete-missing needs --changed-only, which knows what the index holds")
    if options.changed_only and options.skip_loaded:
        raise UsageError(
            "--skip-loaded and --changed-only exclude each other",
            hint="--skip-loaded compares whole files, --changed-only every row; use one of them",
        )
    if options.changed_only and options.retry_rejects:
        raise UsageError(
            "--retry-rejects and --changed-only exclude each other",
            hint="with --changed-only, rows that were fixed are sent like all that changed",
        )


def check_reject_file(request: Request, names: Sequence[str], sources: Sequence[Source]) -> None:
    """Refuse a reject file that would replace another file, before touching it.

    Args:
        request: The load.
        names: The names that the user gave: files, folders, patterns.
        sources: The sources found there.

    Raises:
        UsageError: It is a source or another file of the load, would be a source of the next run, or is not
            a reject file.
    """
    if not request.options.rejects:
        return
    check_place(request.options.rejects)
    check_not_read("--rejects", request.options.rejects, request, names, sources)
    if not may_start_anew(os.path.realpath(request.options.rejects)):
        raise UsageError(
            f"--rejects {request.options.rejects} exists and is not a reject file",
            hint="name another file, or move that one",
        )


def check_not_read(
    flag: str, path: str, request: Request, names: Sequence[str], sources: Sequence[Source]
) -> None:
    """Refuse a file to write that the load reads, or that a later one would read.

    Args:
        flag: The option that names it.
        path: The file.
        request: The load.
        names: The names that the user gave: files, folders, patterns.
        sources: The sources found there.

    Raises:
        UsageError: It is a source or another file of the load, or would be a source of the next run.
    """
    other = f"name a separate file for {flag}, outside the sources"
    read = {
        **{file.location: "is a source" for source in sources for file in source.files},
        **{located(name): "is a source" for name in names},
    }
    if request.options.ids_file:
        read[located(request.options.ids_file)] = "is the file of --ids-file"
    _check_other(flag, path, read, other)
    check_not_secret(flag, path, request.secret_files)
    real = os.path.realpath(path)
    for name in names:
        if leads_to(name, real):
            raise UsageError(
                f"{flag} {path} is within {name}: a later run would load it as a source", hint=other
            )


def check_not_secret(flag: str, path: str, secret_files: Mapping[str, str]) -> None:
    """Refuse a file to write that is a key file.

    Args:
        flag: The option that names it.
        path: The file.
        secret_files: The key files, and what each one is.

    Raises:
        UsageError: It is one.
    """
    read = {located(secret): what for secret, what in secret_files.items()}
    _check_other(flag, path, read, f"name a separate file for {flag}")


def _check_other(flag: str, path: str, read: Mapping[str, str], other: str) -> None:
    """Refuse a file to write that is one of those that are read."""
    real = os.path.realpath(path)
    for location, what in read.items():
        if location == real or _same_file(location, real):
            raise UsageError(f"{flag} {path} {what}", hint=other)


def _same_file(location: str, path: str) -> bool:
    """Whether two paths are links to one file."""
    try:
        return Path(location).samefile(path)
    except OSError:
        return False  # one does not exist, or is not on this machine


def check_records(request: Request, *, read_only: bool = False) -> None:
    """Refuse a load that can't write its journal or its reject file.

    Args:
        request: The load.
        read_only: Create nothing, not even the folder.

    Raises:
        JournalError: The journal or the reject file can't be written.
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
        raise JournalError(f"can't keep a journal in {folder}: {error.strerror}") from None


def _check_writable(path: Path) -> None:
    """Check that the reject file can be written. Creates nothing, since another load may be creating it."""
    there = path.exists()
    if not there and not path.parent.is_dir():
        why = os.strerror(errno.ENOTDIR if path.parent.exists() else errno.ENOENT)
    elif not os.access(path if there else path.parent, os.W_OK if there else os.W_OK | os.X_OK):
        read_only = os.statvfs(path.parent).f_flag & os.ST_RDONLY
        why = os.strerror(errno.EROFS if read_only else errno.EACCES)
    else:
        return
    raise JournalError(f"can't write a reject file at {path}: {why}")


def _could_make(folder: Path) -> None:
    """Raise the error that creating a folder would raise, judging by permissions."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not there.is_dir():
        # As mkdir: EEXIST if the path itself is a file, ENOTDIR if a parent is one.
        raise OSError(*_ERRORS[errno.EEXIST if there == folder else errno.ENOTDIR])
    if not os.access(there, os.W_OK | os.X_OK):
        raise OSError(*_ERRORS[errno.EACCES])


_ERRORS = {code: (code, os.strerror(code)) for code in (errno.EEXIST, errno.ENOTDIR, errno.EACCES)}


def check_dimension(request: Request, plan: Plan) -> None:
    """Refuse a `--dimension` that differs from the vectors' dimension.

    Raises:
        IndexMismatch: It differs.
    """
    wanted = request.options.dimension
    none_yet = request.options.embed and not plan.dimension
    if wanted not in (None, plan.dimension) and not none_yet:
        raise IndexMismatch(f"--dimension is {wanted}, but {_vectors_have(plan)}")


def check_trainable(request: Request, plan: Plan) -> None:
    """Refuse to train a dimension that the engine can't train.

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


def check_not_sealed(request: Request, plan: Plan) -> None:
    """Refuse to seal contents a second time, such as those that `vecload export --sealed` wrote.

    Raises:
        UsageError: The first rows of a source have sealed contents.
    """
    if not request.seal:
        return
    for job in plan.jobs(index_dimension=0, allow_zero_vectors=True):
        head = job.source.head() if job.mapper.mapping.contents is not None else None
        contents = None if head is None else job.mapper.map(head).contents
        if any(one is not None and is_sealed(one) for one in contents or ()):
            raise UsageError(
                f"the contents of {job.source.name} are sealed already",
                hint="load them as they are with --no-seal, into an index of the same name and key",
            )


def known_metric(exported: str) -> Metric | None:
    """CyborgDB's name for an export's metric; None if CyborgDB does not have it."""
    return next((metric for metric in get_args(Metric) if metric == exported), None)


def check_model(creation: IndexSettings, models: Callable[[], Sequence[str]]) -> None:
    """Refuse an embedding model that the target does not have.

    Raises:
        UsageError: The target has only other models.
    """
    wanted = creation.embedding_model
    known = models() if wanted is not None else ()
    names = {name.lower() for full in known for name in (full, full.rpartition("/")[2])}
    if wanted is not None and known and wanted.lower() not in names:
        raise UsageError(
            f"the target does not have the embedding model {wanted!r}",
            hint=f"it has {', '.join(known)}",
        )


def check_metric(request: Request, plan: Plan) -> None:
    """Refuse to create an index if the export has a metric that CyborgDB does not have.

    Raises:
        UsageError: The export has such a metric, and `--metric` names no other.
    """
    if plan.metric and request.options.metric is None and known_metric(plan.metric) is None:
        raise UsageError(
            f"{plan.sources[0].name} comes from an index with the metric {plan.metric!r}, which CyborgDB "
            "does not have",
            hint="choose another with --metric",
        )


def index_name(sources: Sequence[str]) -> str:
    """The index name that follows from the only source.

    Raises:
        UsageError: There are several sources, or no index can have that name.
    """
    if len(sources) != 1:
        several = "several sources need" if sources else "data in memory needs"
        raise UsageError(f"{several} an index name", hint="give it with --index")
    file = Path(plain_name(sources[0]))
    stem = file.stem if file.suffix.lower() in SUFFIXES else file.name
    if set("*?[") & set(stem):
        stem = ""
    name = re.sub(r"[^\w.-]+", "-", stem).strip("-.")
    if not name or name == "default":
        raise UsageError(f"can't name an index after {sources[0]}", hint="name one with --index")
    return name
