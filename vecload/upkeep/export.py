"""Export: every item of an index into a file, from which a load makes the same index again."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from vecload.batch import Batch
from vecload.errors import UsageError
from vecload.flags import parameters_named
from vecload.loading.caller import Caller
from vecload.loading.checks import check_not_secret
from vecload.loading.dispatch import Dispatcher
from vecload.loading.ending import ending
from vecload.loading.flow import Flow, Job
from vecload.loading.ledger import Ledger, Totals
from vecload.loading.progress import Meter, Progress
from vecload.loading.rejects import ErrorLimit, RejectFile
from vecload.loading.request import request_of
from vecload.loading.retry import Outcome
from vecload.loading.tuning import BatchRows, Concurrency
from vecload.mapping import Mapper
from vecload.places import short
from vecload.readers.index_source import MAPPING, PAGE_ITEMS, IndexSource
from vecload.sealing import Key, Opener, Sealer
from vecload.targets import Ack
from vecload.targets.place import IndexPlace
from vecload.upkeep.item_files import STDOUT, FileFormat, ItemFile, Packing, form_of, new_item_file
from vecload.upkeep.place import check_network, opened_when_up


@dataclass(slots=True, kw_only=True)
class ExportResult:
    """The outcome of an export. An error that stops one has it as `result`.

    Attributes:
        status: `complete`; `rejected` if items that can't be exported were allowed; `failed`;
            `interrupted`.
        read: Items of the index.
        exported: Items in the file.
        rejected: Items that can't be exported.
        seconds: From the first item read.
        bytes: Of the items, before compression.
        index: The index's name.
        target: The target's location.
        file: The file; `-` is standard output.
        format: `jsonl` or `parquet`.
        sealed: Contents are in the file as they were stored.
        exit_code: The exit code of `vecload export`.
        error: The error's message, if there is one.
    """

    status: Literal["complete", "rejected", "failed", "interrupted"] = "failed"
    read: int = 0
    exported: int = 0
    rejected: int = 0
    seconds: float = 0.0
    bytes: int = 0
    index: str = ""
    target: str = ""
    file: str = ""
    format: str = ""
    sealed: bool = False
    exit_code: int = 1
    error: str | None = None

    @property
    def worth_saying(self) -> bool:
        """Whether the summary says more than the error."""
        return self.exit_code in (0, 3)

    def as_dict(self) -> dict[str, Any]:
        """The object that `vecload export --json` prints."""
        return {
            "version": 1,
            "status": self.status,
            "read": self.read,
            "exported": self.exported,
            "rejected": self.rejected,
            "seconds": round(self.seconds, 3),
            "bytes": self.bytes,
            "index": self.index,
            "target": self.target,
            "file": self.file,
            "format": self.format,
            "sealed": self.sealed,
            "exit_code": self.exit_code,
            "error": self.error,
        }

    def lines(self) -> list[str]:
        """The summary as lines of text."""
        rate = self.exported / self.seconds if self.seconds else 0.0
        where = "standard output" if self.file == STDOUT else short(self.file)
        how = "contents sealed as they are stored" if self.sealed else "contents in clear"
        return [
            f"items  {self.exported:,} exported, {self.rejected:,} rejected",
            f"rate   {rate:,.0f} items/s, {self.seconds:.2f} s",
            f"from   {self.index!r} in {short(self.target)}",
            f"to     {where} ({self.format}, {how})",
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """One export, as requested.

    Attributes:
        place: The index.
        file: The file; `-` is standard output.
        format: Its format; None follows from its name.
        sealed: Leave contents sealed.
        max_errors: How many items may be rejected: a number or a percentage.
        rejects: A file for the rejects.
    """

    place: IndexPlace
    file: str
    format: FileFormat | None = None
    sealed: bool = False
    max_errors: str = "0"
    rejects: str | None = None


def export(
    file: str | os.PathLike[str],
    *,
    to: str | os.PathLike[str] | None = None,
    index: str | None = None,
    key: Key | bytes | str | os.PathLike[str] | None = None,
    api_key: str | None = None,
    format: FileFormat | None = None,  # noqa: A002 the flag's name
    sealed: bool = False,
    max_errors: int | str = 0,
    rejects: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
    **network: Any,
) -> ExportResult:
    """Write every item of an index to a file: the same as `vecload export`.

    The file replaces an older one, when it is complete. `vecload.load(file, ...)` makes the same items again.

    Args:
        file: Ends in .parquet, .jsonl, .jsonl.gz or .jsonl.zst.
        to: The target that has the index; None is your local store.
        index: The index; None is the only one there.
        key: As for `vecload.load`.
        api_key: The API key for a service.
        format: `jsonl` or `parquet`, if the name does not show it.
        sealed: Leave contents sealed, for a backup that needs no contents key.
        max_errors: How many items may be rejected, because they can't be read or do not open.
        rejects: A file for the rejects.
        on_progress: Called in this thread during the export.
        stop: Set it in another thread to stop the export. No file remains.
        network: `shards`, `ca_file`, `client_cert`, `client_key`, `proxy` and `insecure_http`, as for
            `vecload.load`.

    Raises:
        VecloadError: The export stopped. An older file is unchanged.
    """
    with parameters_named():
        check_network(network, "export")
        where = request_of([], to=to, index=index, key=key, api_key=api_key, options=None, changes=network)
        request = ExportRequest(
            place=where.place,
            file=os.fspath(file),
            format=format,
            sealed=sealed,
            max_errors=str(max_errors),
            rejects=rejects,
        )
        caller = Caller.of_python(on_progress, stop)
        return run_export(request, caller)


def run_export(request: ExportRequest, caller: Caller) -> ExportResult:
    """Run an export.

    Args:
        request: The export.
        caller: Takes its messages and may stop it.

    Raises:
        VecloadError: It stopped. An older file is unchanged.
    """
    result = ExportResult(file=request.file, sealed=request.sealed)
    with ending(result), ExitStack() as opened:
        form = _checked(request)
        result.format = form[0]
        target, access = opened.enter_context(opened_when_up(request.place, caller.say))
        result.index, result.target = access.index.name, target.location
        opener = None if request.sealed else Opener(access.opening_keys, access.index.name, access.key_from)
        source = IndexSource(access.index, target.location, opener=opener, interrupted=caller.stopped_by)
        totals, result.seconds = write_items(
            source,
            request.file,
            form,
            caller,
            limit=ErrorLimit.parse(request.max_errors),
            rejects=request.rejects,
        )
        result.read, result.exported, result.rejected = totals.read, totals.loaded, totals.rejected
        result.bytes = totals.nbytes
    result.status, result.exit_code = ("rejected", 3) if result.rejected else ("complete", 0)
    return result


def _checked(request: ExportRequest) -> tuple[FileFormat, Packing]:
    """The form of the file, after everything that is wrong with the request is refused.

    Raises:
        UsageError: Something is.
    """
    form = form_of(request.file, request.format)
    ErrorLimit.parse(request.max_errors)
    if request.rejects is not None and os.path.realpath(request.rejects) == os.path.realpath(request.file):
        raise UsageError("--rejects names the file of the export", hint="write the rejects to another file")
    for flag, name in (("--output", request.file), ("--rejects", request.rejects)):
        if name is not None:
            check_not_secret(flag, name, request.place.secret_files)
    return form


def write_items(
    source: IndexSource,
    file: str,
    form: tuple[FileFormat, Packing],
    caller: Caller,
    *,
    limit: ErrorLimit,
    rejects: str | None,
    sealer: Sealer | None = None,
) -> tuple[Totals, float]:
    """Write the items of an index to a file, which has its name only when it is complete.

    Args:
        source: The index.
        file: The file; `-` is standard output.
        form: Its format and compression.
        caller: Takes the progress and may stop it.
        limit: How many items may be rejected.
        rejects: A file for the rejects.
        sealer: Seals contents in the file; None leaves them as the source has them.

    Returns:
        The counts, and the seconds it took.

    Raises:
        VecloadError: It stopped. An older file is unchanged.
    """
    with ExitStack() as opened:
        items = opened.enter_context(new_item_file(file, form, source.dimension))
        reject_file = RejectFile(rejects) if rejects is not None else None
        if reject_file is not None:
            opened.callback(reject_file.close)
        meter = Meter(source.name, [source], caller.on_progress, clock=time.monotonic)
        ledger = Ledger(rejects=reject_file, limit=limit, on_progress=meter.update)
        dispatcher = opened.enter_context(
            Dispatcher(partial(_ready, items), Concurrency(1, 1), caller.stop, on_wait=ledger.waiting)
        )
        mapper = Mapper(MAPPING, source.dimension, allow_zero_vectors=True)
        flow = Flow(
            jobs=[Job(source, mapper)],
            sealer=sealer,
            dispatcher=dispatcher,
            ledger=ledger,
            batch_rows=BatchRows([PAGE_ITEMS]),
            interrupted=caller.stopped_by,
        )
        with caller.around():
            meter.start(ledger.totals)
            flow.run()
        return ledger.totals, meter.seconds


def _ready(items: ItemFile, batch: Batch) -> Callable[[], Outcome]:
    """Bring a batch into the file's form; the returned call writes it."""
    rows = items.rows(batch)
    return lambda: Outcome(batch, Ack(len(batch), {}, items.write(rows)))
