"""Text that is not read: CSV, SQL, what COPY writes, other encodings. Each refusal says what to do."""

from __future__ import annotations

import codecs
import csv
import io
import re
from pathlib import PurePath

from vecload.errors import SourceError
from vecload.readers.compressed import plain_name
from vecload.readers.json_causes import wide_encoding
from vecload.readers.storage import STDIN_NAME, as_argument

LOOK_BYTES = 2**12
"""Of a file's beginning, which show what text it is."""
_CSV_SUFFIXES = (".csv", ".tsv")
_SQL_SUFFIX = ".sql"
_SQL = re.compile(
    rb"\s*(--|/\*|COPY\s+\S+[^\n]*\sFROM\s+stdin|INSERT\s+INTO\s|CREATE\s+TABLE\s|SET\s+\w+\s*=|BEGIN\s*;)",
    re.IGNORECASE,
)
_COPIED = re.compile(rb"^(?:COPY|INSERT\s+INTO|CREATE\s+TABLE)\s+([\w.]+)", re.IGNORECASE | re.MULTILINE)


class _Copied(csv.excel_tab):
    """What COPY writes: quotes mean nothing."""

    quoting = csv.QUOTE_NONE


def refused_encoding(name: str, head: bytes) -> SourceError | None:
    """What to say of text in UTF-16 or UTF-32; None if it is none.

    Args:
        name: The file's.
        head: Its first bytes.
    """
    encoding = wide_encoding(head)
    if not encoding:
        return None
    file = as_argument(name)
    return SourceError(
        f"{name} is {encoding.upper()} text", hint=f"convert it: iconv -f {encoding} -t utf-8{file} > FILE"
    )


def refused_text(name: str, head: bytes) -> SourceError | None:
    """What to say of text in another format; None if it is none that is known.

    Args:
        name: The file's.
        head: Its first `LOOK_BYTES`.
    """
    plain = plain_name(name).lower()
    if plain.endswith(_SQL_SUFFIX) or _SQL.match(head):
        found = _COPIED.search(head)
        table = found[1].decode() if found else "TABLE"
        return SourceError(
            f"{name} is SQL, as pg_dump writes it", hint=_from_postgres(table, "load it, then write")
        )
    if plain.endswith(_CSV_SUFFIXES):
        return SourceError(f"{name} is CSV, which has no column types", hint=_to_parquet(name, "from '{}'"))
    if _columns(head, "\t"):
        hint = _from_postgres("TABLE", "write")
        return SourceError(
            f"{name} is text in columns between tabs, as PostgreSQL's COPY writes it", hint=hint
        )
    if _columns(head, ","):
        hint = _to_parquet(name, "from read_csv('{}')")
        return SourceError(f"{name} looks like CSV, which has no column types", hint=hint)
    return None


def _to_parquet(name: str, source: str) -> str:
    quoted = "/dev/stdin" if name == STDIN_NAME else name.replace("'", "''")
    target = f"{PurePath(plain_name(quoted)).stem}.parquet"
    statement = f"copy ({source.format(quoted)}) to '{target}'"
    return f"write it to Parquet, for instance with duckdb: {statement}"


def _from_postgres(table: str, verb: str) -> str:
    # Not by COPY, which doubles the backslashes in JSON. Nothing here is run: it is text for people.
    select = f"psql -At -c 'select row_to_json(t) from {table} t' > rows.jsonl"  # noqa: S608 not run
    csv = f"\\copy (select * from {table}) to 'rows.csv' csv header"  # noqa: S608 not run
    return f"{verb} its rows as JSON Lines: {select}; or as CSV, which duckdb makes Parquet of: {csv}"


def _columns(head: bytes, separator: str) -> bool:
    """Whether all lines of a text have as many columns, and more than one."""
    if b"\0" in head or head.lstrip()[:1] in (b"{", b"["):
        return False
    try:
        whole, _ = codecs.utf_8_decode(head)  # what is cut off within a character is left
    except UnicodeDecodeError:
        return False
    dialect = _Copied if separator == "\t" else "excel"
    try:
        rows = [row for row in csv.reader(io.StringIO(whole), dialect) if row]
    except csv.Error:
        return False
    if len(head) >= LOOK_BYTES:
        rows.pop()
    counts = {len(row) for row in rows}
    return len(counts) == 1 and counts != {1} and (separator == "\t" or len(rows) > 1)
