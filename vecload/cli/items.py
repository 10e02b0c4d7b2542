"""`vecload get` and `vecload query`: items out of an index, so that a person can see what is in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from vecload.cli.access import KeySource, connect_to, only_index, open_existing
from vecload.defaults import BATCH_BYTES
from vecload.errors import SourceError, UsageError, VecloadError

if TYPE_CHECKING:
    from vecload.readers import Reading


def get_items(
    ids: Sequence[str],
    to: str | None,
    index_name: str | None,
    keys: KeySource,
    api_key_file: Path | None,
    write: Callable[[bytes], object],
) -> int:
    """Write the items found, one JSON object a line; returns how many of the ids there were."""
    from vecload.index import Index

    with connect_to(to, api_key_file, only_look=True, must_exist=True) as target:
        opened = open_existing(target, index_name or only_index(target), keys)
        items = Index(opened.index, opened.key).get(ids)
    for item in items:
        write(_line(item))
    return len(items)


def run_query(
    vector: str,
    row: int,
    reading: Reading,
    vector_column: str | None,
    top_k: int,
    contents: bool,
    to: str | None,
    index_name: str | None,
    keys: KeySource,
    api_key_file: Path | None,
    write: Callable[[bytes], object],
) -> None:
    """Write the nearest items, one JSON object a line."""
    from vecload.index import Index

    values = read_vector(vector, row, reading, vector_column)
    with connect_to(to, api_key_file, only_look=True, must_exist=True) as target:
        opened = open_existing(target, index_name or only_index(target), keys)
        index = Index(opened.index, opened.key)
        hits = index.query(values, top_k)
        if contents:
            found = {
                item["id"]: item["contents"] for item in index.get([hit["id"] for hit in hits], ["contents"])
            }
            hits = [{**hit, "contents": found.get(hit["id"])} for hit in hits]
    for hit in hits:
        write(_line(hit))


def print_rejects(
    path: str,
    to: str | None,
    index_name: str | None,
    keys: KeySource,
    api_key_file: Path | None,
    write: Callable[[bytes], object],
) -> None:
    """Write the rejects of a file, one JSON object a line, the rows that they hold opened."""
    from vecload.contents import Opener
    from vecload.loading.rejects import rejects_of, row_name

    with connect_to(to, api_key_file, only_look=True, must_exist=True) as target:
        opened = open_existing(target, index_name or only_index(target), keys)
    opener = Opener(opened.key.opening_keys, opened.index.name)
    for reject in rejects_of(path):
        if isinstance(reject.get("raw"), str):
            reject["raw"] = opener.open(row_name(reject["source"], reject["row"]), reject["raw"])
        write(orjson.dumps(reject))


def read_vector(text: str, row: int, reading: Reading, column: str | None) -> list[float]:
    """A vector: of a JSON array, of a file that holds one, or of a row of a source.

    Raises:
        UsageError: It is none of these.
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
    from vecload.loading.plan import make_plan
    from vecload.mapping import ColumnChoice, Rules
    from vecload.readers import open_sources

    plan = make_plan(
        open_sources([text], reading),
        ColumnChoice(vector=column),
        embed=False,
        rules=Rules(generate_ids=True),
    )
    for job in plan.jobs(index_dimension=0, allow_zero_vectors=True):
        done = [Span(text, 0, row)] if row and job.source.total_rows else []
        for rows in job.source.read(batch_rows=1000, batch_bytes=BATCH_BYTES, done=done):
            if rows.span.start <= row < rows.span.stop:
                batch = job.mapper.map(rows)
                at = batch.item_rows().tolist()
                if row not in at or batch.vectors is None:
                    reject = next(reject for reject in batch.rejects if reject.row == row)
                    raise SourceError(str(reject))
                vector: list[float] = batch.vectors[at.index(row)].tolist()
                return vector
    raise SourceError(f"{text} has no row {row}")


def _numbers(text: bytes, where: str) -> list[float]:
    try:
        values = orjson.loads(text)
    except orjson.JSONDecodeError:
        values = None
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise UsageError(f"{where} is no JSON array of numbers")
    return values


def _line(item: dict[str, Any]) -> bytes:
    from vecload.targets.wire import dumps

    try:
        return dumps(_printable(item))
    except (TypeError, ValueError, UnicodeEncodeError):
        raise VecloadError(f"item {item['id']!r} holds what JSON can't say") from None


def _printable(item: dict[str, Any]) -> dict[str, Any]:
    import pybase64

    from vecload.mapping.json_columns import BYTES_MARK

    if isinstance(item.get("contents"), bytes):
        return {**item, "contents": {BYTES_MARK: pybase64.b64encode_as_string(item["contents"])}}
    return item
