"""`vecload get`, `vecload query` and `vecload rejects`: print items of an index and rejected rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from vecload.cli.output import tell
from vecload.errors import SealError, SourceError, UsageError, VecloadError
from vecload.limits import BATCH_BYTES
from vecload.options import LoadOptions
from vecload.targets.opened import OpenedIndex
from vecload.targets.place import IndexPlace

if TYPE_CHECKING:
    from vecload.index import Index


@contextmanager
def _opened(place: IndexPlace) -> Iterator[OpenedIndex]:
    """The index, opened for reading. Says from what its contents key is derived."""
    with place.opened() as (_, opened):
        if opened.key is not None and opened.key.bare and (line := opened.derivation):
            tell(line)
        yield opened


@dataclass(slots=True)
class Printing:
    """Prints items, and at the end the items that failed. A failed item does not affect the others.

    Attributes:
        write: Takes a line of data.
        tell: Takes a message.
        require_sealed: Treat unsealed contents as an error of their item.
        failed: The errors, by item.
    """

    write: Callable[[bytes], object]
    tell: Callable[[str], None]
    require_sealed: bool = False
    failed: dict[str, VecloadError] = field(default_factory=dict)
    _contents: int = 0
    _unsealed: int = 0

    def get(self, index: Index, ids: Sequence[str], include: Sequence[str]) -> list[dict[str, Any]]:
        """The items that exist and whose contents open."""
        unopened: dict[str, VecloadError] = {}
        items = index.get(ids, include, require_sealed=self.require_sealed, unopened=unopened)
        self.failed |= unopened
        return items

    def print(self, item: dict[str, Any]) -> None:
        """Write an item as one line of JSON."""
        try:
            line = _line(item)
        except VecloadError as error:
            self.failed[item["id"]] = error
            return
        self.write(line)
        self._contents += item.get("sealed") is not None
        self._unsealed += item.get("sealed") is False

    def end(self, asked: int, missing: int = 0) -> None:
        """Report the items that were not printed.

        Args:
            asked: How many items the user asked for.
            missing: How many of them are not in the index.

        Raises:
            VecloadError: Some are missing or could not be printed.
        """
        if self._unsealed:
            self.tell(
                f"the contents of {self._unsealed} of {self._contents} items are not sealed; anyone who can "
                "write to the index may have written them (--require-sealed refuses them)"
            )
        absent = f"{missing} of {asked} ids are not in the index"
        if not self.failed:
            if missing:
                raise VecloadError(absent)
            return
        if missing:
            self.tell(absent)
        errors = [*self.failed.values()]
        if len(errors) == 1:
            raise errors[0]
        for error in errors:
            self.tell(str(error.args[0]))
        total = VecloadError(f"{len(errors)} of {asked} items can't be printed", hint=errors[0].hint)
        total.exit_code = max(error.exit_code for error in errors)
        raise total


def get_items(
    ids: Sequence[str],
    place: IndexPlace,
    printing: Printing,
) -> None:
    """Print the items with these ids.

    Raises:
        VecloadError: Some are missing or can't be printed. The others were printed.
    """
    from vecload.index import FIELDS, SEALED, Index

    with _opened(place) as opened:
        items = printing.get(Index(opened.index, opened.key), ids, (*FIELDS, SEALED))
    for item in items:
        printing.print(item)
    there = {item["id"] for item in items} | {*printing.failed}
    printing.end(len(ids), sum(item_id not in there for item_id in ids))


@dataclass(frozen=True, slots=True)
class Question:
    """What `vecload query` asks an index: by a vector, by words or conditions, or by both."""

    vector: list[float] | None
    text: str | None
    filters: dict[str, Any] | None
    n_probes: int | None
    top_k: int

    @classmethod
    def asked(
        cls,
        vector: str | None,
        row: int,
        options: LoadOptions,
        text: str | None,
        conditions: str | None,
        n_probes: int | None,
        top_k: int,
    ) -> Question:
        """The question in the options of the command.

        Raises:
            UsageError: They ask nothing, or the filter is not JSON.
            SourceError: The file of the vector can't be read.
        """
        if vector is None and text is None and conditions is None:
            raise UsageError("give a vector, --text or --filter", hint="see 'vecload query --help'")
        if vector is None and n_probes is not None:
            raise UsageError("--n-probes is for a search by a vector")
        filters = None if conditions is None else filter_of(conditions)
        values = None if vector is None else read_vector(vector, row, options)
        return cls(values, text, filters, n_probes, top_k)

    def hits(self, index: Index) -> list[dict[str, Any]]:
        """The items that answer it."""
        if self.vector is not None:
            return index.query(
                self.vector, top_k=self.top_k, n_probes=self.n_probes, filters=self.filters, text=self.text
            )
        hits = index.query_metadata(self.filters, self.top_k, text=self.text)
        found = {item["id"]: item for item in index.get([hit["id"] for hit in hits], ["metadata"])}
        return [{**hit, "metadata": found.get(hit["id"], {}).get("metadata", {})} for hit in hits]


def run_query(question: Question, contents: bool, place: IndexPlace, printing: Printing) -> None:
    """Print the items that answer a question.

    Raises:
        VecloadError: Some can't be printed. The others were printed.
    """
    from vecload.index import SEALED, Index

    with _opened(place) as opened:
        index = Index(opened.index, opened.key)
        hits = question.hits(index)
        if contents:
            found = {
                item["id"]: item
                for item in printing.get(index, [hit["id"] for hit in hits], ("contents", SEALED))
            }
            absent = {"contents": None, SEALED: None}
            hits = [
                {**hit, **found.get(hit["id"], absent)} for hit in hits if hit["id"] not in printing.failed
            ]
    for hit in hits:
        printing.print(hit)
    printing.end(len(hits) + len(printing.failed))


def print_rejects(
    path: str,
    place: IndexPlace,
    printing: Printing,
) -> None:
    """Write the rejects in a file as JSON Lines, with their rows decrypted."""
    from vecload.loading.rejects import rejects_of, row_name
    from vecload.sealing import Opener

    with _opened(place) as opened:
        opener = Opener(opened.opening_keys, opened.index.name, opened.key_from)
    total = 0
    for reject in rejects_of(path):
        total += 1
        if isinstance(reject.get("raw"), str):
            name = row_name(reject["source"], reject["row"])
            try:
                reject["raw"] = opener.open(name, reject["raw"])
            except SealError as error:
                printing.failed[name] = error
                continue
        printing.write(orjson.dumps(reject))
    printing.end(total)


def read_vector(text: str, row: int, options: LoadOptions) -> list[float]:
    """A vector: from a JSON array, from a file that holds one, or from a row of a source.

    Raises:
        UsageError: The text is not a vector or a source.
        SourceError: The file can't be read, or has no such row.
    """
    if text.lstrip().startswith("["):
        return _numbers(text.encode(), "the vector")
    path = Path(text)
    if path.is_file():
        try:
            with path.open("rb") as file:
                is_array = file.read(64).lstrip().startswith(b"[")
            if is_array:
                return _numbers(path.read_bytes(), text)
        except OSError as error:
            raise SourceError(f"{text} can't be read: {error.strerror}") from None

    from vecload.batch import Span
    from vecload.loading.parts import plan_of
    from vecload.loading.request import Request
    from vecload.readers import open_sources

    request = Request(sources=(text,), options=replace(options, generate_ids=True))
    plan = plan_of(request, open_sources([text], request.reading))
    for job in plan.jobs(index_dimension=0, allow_zero_vectors=True):
        done = [Span(text, 0, row)] if row and job.source.total_rows else []
        for rows in job.source.read(batch_rows=1000, batch_bytes=BATCH_BYTES, done=done):
            if rows.span.start <= row < rows.span.stop:
                batch = job.mapper.map(rows)
                at = batch.item_rows().tolist()
                if row in at and not batch.has_vector(at.index(row)):
                    raise SourceError(f"row {row} of {text} has no vector")
                if row not in at or batch.vectors is None:
                    reject = next(reject for reject in batch.rejects if reject.row == row)
                    raise SourceError(str(reject))
                vector: list[float] = batch.vectors[at.index(row)].tolist()
                return vector
    raise SourceError(f"{text} has no row {row}")


def filter_of(text: str) -> dict[str, Any]:
    """The conditions that `--filter` names.

    Raises:
        UsageError: They are not a JSON object, or name a field twice.
    """
    try:
        filters = json.loads(text, object_pairs_hook=_named_once, parse_constant=float)
    except (ValueError, RecursionError):
        filters = None
    if not isinstance(filters, dict):
        raise UsageError("--filter is not a JSON object", hint="""write --filter '{"field": "value"}'""")
    return filters


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. One that names a field twice would lose a condition.

    Raises:
        UsageError: It does.
    """
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"--filter has {name[:80]!r} twice in one object",
                hint="""write {"field": {"$gt": 1, "$lt": 5}}, or join filters with $and""",
            )
    return dict(pairs)


def _numbers(text: bytes, where: str) -> list[float]:
    try:
        values = orjson.loads(text)
    except orjson.JSONDecodeError:
        values = None
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise UsageError(f"{where} is not a JSON array of numbers")
    return values


def _line(item: dict[str, Any]) -> bytes:
    from vecload.targets.wire import dumps

    try:
        return dumps(_printable(item))
    except (TypeError, ValueError, UnicodeEncodeError):
        raise VecloadError(f"item {item['id']!r} has a value that JSON can't represent") from None


def _printable(item: dict[str, Any]) -> dict[str, Any]:
    import pybase64

    from vecload.mapping.columns import BYTES_MARK

    if isinstance(item.get("contents"), bytes):
        return {**item, "contents": {BYTES_MARK: pybase64.b64encode_as_string(item["contents"])}}
    return item
