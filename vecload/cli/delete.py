"""`vecload delete`: take items out of an index."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from vecload.cli import options as opt
from vecload.cli.output import ask, out, tell
from vecload.errors import Interrupted, SourceError, UsageError, VecloadError
from vecload.options import LoadOptions
from vecload.places import short
from vecload.targets.place import IndexPlace


def _on_command_line(context: typer.Context, param: typer.CallbackParam, value: Any) -> Any:
    """An option's callback: a variable or a configuration file must not choose what is deleted."""
    source = context.get_parameter_source(param.name or "")
    return value if source is not None and source.name == "COMMANDLINE" else None


Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids of the items.", show_default=False)]
IdsFile = Annotated[
    str | None,
    opt.option(
        "ids_file",
        None,
        "File of ids: one a line, or JSON Lines of ids or of objects with an id. - is standard input. "
        "Only on the command line.",
        metavar="FILE",
        callback=_on_command_line,
    ),
]
Filter = Annotated[
    str | None,
    opt.option(
        "filter",
        None,
        'Delete the items whose metadata matches: \'{"lang": "de"}\'. Only on the command line.',
        metavar="JSON",
        callback=_on_command_line,
    ),
]
DryRun = Annotated[bool, opt.option("dry_run", None, "Delete nothing; only count the items.")]
Yes = Annotated[bool, opt.option("yes", None, "Delete without asking.")]
JsonOutput = Annotated[
    bool, opt.option("json", None, "Print what was done as one JSON object on standard output.")
]


@opt.watched()
@opt.opens()
@opt.takes("state_dir")
def delete(
    *,
    ids: Ids = None,
    ids_file: IdsFile = None,
    filter_json: Filter = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json_output: JsonOutput = False,
    place: IndexPlace,
    options: LoadOptions,
) -> None:
    """Delete items of an index, by their ids or by their metadata.

    Ids that are not in the index are ignored, so after a stop, run the same command again.
    """
    from vecload.cli.items import filter_of
    from vecload.cli.load import StopAsked, stopping_on_signals
    from vecload.loading.incremental.changes import items_deleted
    from vecload.loading.incremental.item_state import state_path
    from vecload.loading.request import Request
    from vecload.loading.retry import RetryPolicy, Sender, Stopping
    from vecload.upkeep.deletion import DeleteResult, find, ids_of

    if sum(1 for named in (ids, ids_file, filter_json) if named) != 1:
        raise UsageError(
            "name the items to delete in one way", hint="give ids, --ids-file FILE or --filter JSON"
        )
    if ids_file == "-" and not (yes or dry_run):
        raise UsageError(
            "refusing to delete without confirmation, and standard input has the ids", hint="pass --yes"
        )
    named = None if filter_json else ids_of(ids or read_ids(ids_file or ""))
    filters = filter_of(filter_json) if filter_json else None
    result = DeleteResult()
    try:
        with place.opened(read_only=False) as (target, opened):
            result.index, result.target = opened.index.name, target.location
            stop = StopAsked()
            sender = Sender(opened.index.prepare, target.healthy, RetryPolicy(), stop, tell=tell)
            deletion = find(opened.index, sender, named, filters, result)
            if not dry_run:
                if result.found and not yes:
                    where = f"index {result.index!r} in {short(result.target)}"
                    _ask(f"delete {_items(result.found)} of {where}?")
                folder = Request(sources=(), options=options).state_folder
                state = state_path(folder, target.location, result.index)
                with stopping_on_signals(stop), items_deleted(state, opened.key, result.index) as before:

                    def unless_stopped(ids: Sequence[str]) -> None:
                        if stop.is_set():
                            raise Stopping
                        before(ids)

                    try:
                        deletion.run(unless_stopped)
                    except Stopping:
                        raise Interrupted(stop.number) from None
        if result.missing:
            tell(f"{result.missing:,} of {result.asked:,} ids are not in the index")
        tell(f"would delete {_items(result.found)}" if dry_run else f"deleted {_items(result.deleted)}")
    except VecloadError as error:
        result.status, result.exit_code, result.error = "failed", error.exit_code, str(error)
        raise
    finally:
        if json_output:
            import orjson

            out(orjson.dumps(result.as_dict()))


def _items(number: int) -> str:
    return "1 item" if number == 1 else f"{number:,} items"


def _ask(question: str) -> None:
    """Ask on the terminal.

    Raises:
        UsageError: There is no terminal, or the answer is no.
    """
    if not sys.stdin.isatty():
        raise UsageError("refusing to delete items without confirmation", hint="pass --yes")
    if not ask(question):
        raise UsageError("nothing was deleted")


def read_ids(path: str) -> Iterator[str]:
    """The ids in a file: one a line, or JSON Lines of texts or of objects with an id.

    Args:
        path: The file; `-` is standard input.

    Raises:
        SourceError: It can't be read, is empty, or a line has no id.
    """
    name = "standard input" if path == "-" else path
    try:
        text = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise SourceError(f"{name} can't be read: {error.strerror}") from None
    numbered = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not numbered:
        raise SourceError(f"{name} has no ids")
    is_json = _id_in(numbered[0][1]) is not None
    yield from (_id_of(line, name, number, is_json=is_json) for number, line in numbered)


def _id_of(line: bytes, name: str, number: int, *, is_json: bool) -> str:
    if is_json:
        found = _id_in(line)
        if found is None:
            raise SourceError(
                f"{name}, line {number}: is neither a JSON text nor an object with an id",
                hint="the first line is JSON, so every line must be",
            )
        return found
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise SourceError(f"{name}, line {number}: is not UTF-8") from None


def _id_in(line: bytes) -> str | None:
    """The id in a line of JSON; None if it has none."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    if isinstance(value, dict):
        value = value.get("id")
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
    return value if isinstance(value, str) else None
