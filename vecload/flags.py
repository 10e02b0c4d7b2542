"""Flags: a message in the words of the command line, and in those of Python's functions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from vecload.errors import VecloadError
from vecload.options import HINTS


def flag_of(name: str) -> str:
    """The flag of a field: `--max-errors` of `max_errors`."""
    return f"--{name.replace('_', '-')}"


def as_parameters(text: str) -> str:
    """A message that names flags, as Python callers know them: `max_errors` for `--max-errors`.

    Only words of their own are replaced: a path or an id may hold what looks like a flag.
    """
    for phrase, said in _PHRASES:
        text = re.sub(phrase, said, text)
    known = {flag_of(name): name for name in HINTS} | _SPECIAL
    return re.sub(
        r"(?<![^\s(])--[a-z]+(?:-[a-z]+)*(?![\w=-])", lambda found: known.get(found[0], found[0]), text
    )


def as_flags(text: str) -> str:
    """A message of LoadOptions, which begins with the name of a field, as the command line has it."""
    name, space, rest = text.partition(" ")
    return f"{flag_of(name)}{space}{rest}" if name in HINTS else text


@contextmanager
def parameters_named() -> Iterator[None]:
    """Make errors name Python's parameters instead of flags of the command line.

    Raises:
        VecloadError: The error raised inside, reworded.
    """
    try:
        yield
    except VecloadError as error:
        if error.args:
            error.args = (as_parameters(str(error.args[0])), *error.args[1:])
        error.hint = as_parameters(error.hint)
        if error.result is not None:
            error.result.error = str(error)
        raise


_PHRASES: Final = (
    (r"--generate-ids (rows|digest)", r'generate_ids="\1"'),
    (r"(max_errors|--max-errors) and --rejects FILE", "max_errors and rejects"),
    (r"--key-file or --contents-key-file", "key"),
    (r"--id-column (\w+) --id-column (\w+)", r'id_column=["\1", "\2"]'),
    (r"set VECLOAD_API_KEY, or use --api-key-file", "pass api_key"),
    (r"set VECLOAD_API_KEY to", "pass as api_key"),
    (r"set VECLOAD_API_KEY", "pass api_key"),
    (r"check (VECLOAD|CYBORGDB)_API_KEY", "check api_key"),
    (r"set VECLOAD_PROXY=", "pass proxy="),
    (r"CYBORGDB_API_KEY", "api_key"),
    (r"see 'vecload upsert --help'", "pass a path, a table, or an iterable of dicts"),
    (r"run the same command again", "make the same call again"),
)
_SPECIAL: Final = {
    "--seal": "seal=True",
    "--no-seal": "seal=False",
    "--no-create": "create=False",
    "--create-key": "create_key=True",
    "--contents-key-file": "key",
    "--key-file": "key",
    "--key-command": "key",
    "--api-key-file": "api_key",
    "--to": "to",
    "--ca-file": "ca_file",
    "--client-cert": "client_cert",
    "--client-key": "client_key",
    "--proxy": "proxy",
    "--insecure-http": "insecure_http=True",
    "--index": "index",
    "--full": "full=True",
    "--items": "items",
    "--json": "as_dict()",
    "--extra": "extra=True",
    "--sample": "sample",
    "--vectors": "vectors",
    "--differences": "differences",
    "--output": "file",
    "--fresh": "fresh=True",
    "--embed": "embed=True",
    "--generate-ids": "generate_ids=True",
    "--binary-as-text": "binary_as_text=True",
    "--allow-zero-vectors": "allow_zero_vectors=True",
    "--skip-loaded": "skip_loaded=True",
    "--changed-only": "changed_only=True",
    "--delete-missing": "delete_missing=True",
}
"""Flags whose parameter reads otherwise."""
