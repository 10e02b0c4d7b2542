"""Opening JSON: whether a file is lines, an array, one document or several, and what reads it."""

from __future__ import annotations

import codecs
import re
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO

import orjson

from vecload.errors import MappingError, SourceError
from vecload.mapping.forms import Form
from vecload.readers.json.blocks import skip_blank
from vecload.readers.json.documents import DocumentSource, ids_in, is_table, wrong_count
from vecload.readers.json.elements import Elements
from vecload.readers.json.jsonl import JsonlSource
from vecload.readers.json.outline import Outline, outline_of
from vecload.readers.json.relined import Relined, are_several
from vecload.readers.json.rows_below import rows_below
from vecload.readers.source import Source
from vecload.readers.storage.derived import Derived
from vecload.readers.storage.files import File, unreadable
from vecload.readers.storage.stdin import Spooled, StandardInput
from vecload.recipes.known import RecipeChoice

if TYPE_CHECKING:
    from vecload.readers.read_options import ReadOptions
    from vecload.readers.storage.expand import FileFinder

FIRST_LINE_BYTES = 2**20
"""Bytes of a first line that distinguish a document on one line from JSON Lines."""
_BEFORE = b" \t\r\n\v\f\x1e"
_LOOK_BYTES = 2**16
"""Of the beginning."""
_END_BYTES = 2**6
_PIECE_BYTES = 2**20
_TABLE_BEGINS = re.compile(
    rb"""\s*\{\s*("schema"\s*:\s*\{\s*"fields"|"columns"\s*:\s*\[[^]]*\]\s*,\s*"(index|data)"|("[^"]*"\s*:\s*\{\s*)?"0"\s*:)"""
)
"""How a table that is one long line begins, in each of pandas' ways."""


def open_json(file: File, options: ReadOptions, finder: FileFinder, *, lines: bool) -> Source:
    """Open a file of JSON.

    Args:
        file: What it is read from, unpacked and in UTF-8.
        options: How it is read.
        finder: Where the ids file is looked for.
        lines: It may be JSON Lines; otherwise it is a document, as the user said.

    Raises:
        SourceError: It can't be read; or its rows could be in either of two lists.
    """
    seen = _Seen(file, options.recipes)
    document = seen.is_document if lines and options.format is None else not lines
    if _is_piped(file) and document and not seen.is_array:
        seen = _Seen(Spooled(file), options.recipes)
    if seen.are_documents(document=document):
        return JsonlSource(Relined(seen.file), line_max_bytes=options.max_line_bytes)
    if not document:
        return JsonlSource(file, line_max_bytes=options.max_line_bytes)
    ids = None
    if options.ids_file is not None:
        found = finder.find(options.ids_file)
        if len(found) > 1:
            raise SourceError(f"{options.ids_file} is several files", hint="name one with --ids-file")
        ids = found[0]
    if seen.is_array:
        return _of_elements(Elements(seen.file, ids=ids), options, ids)
    below = rows_below(seen.outline, options.recipes, file.name, ids=ids is not None)
    if below is None:
        return DocumentSource(seen.file, outline=seen.outline, max_bytes=options.max_json_bytes, ids=ids)
    elements = Elements(seen.file, below.way, below.line, ids)
    return _of_elements(elements, options, ids, form=below.form)


def _of_elements(
    elements: Elements, options: ReadOptions, ids: File | None, form: Form | None = None
) -> JsonlSource:
    """The source of elements; all get an id if any does.

    Raises:
        SourceError: There are more ids than elements, or fewer.
    """
    if ids is not None:
        count = len(ids_in(ids))
        try:
            with elements.open() as stream:
                rows = sum(piece.count(b"\n") for piece in iter(lambda: stream.read(_PIECE_BYTES), b""))
        except OSError as error:
            raise unreadable(elements, error) from None
        if count != rows:
            raise wrong_count(ids.name, count, elements.name, rows)
    others = () if ids is None else (ids,)
    return JsonlSource(elements, line_max_bytes=options.max_line_bytes, form=form, others=others)


def _is_piped(file: File) -> bool:
    """Whether a file is standard input, unpacked or as it is."""
    while isinstance(file, Derived):
        file = file.file
    return isinstance(file, StandardInput)


class _Seen:
    """What is looked at of a file of JSON: only as much as is needed.

    Args:
        file: The file.
        recipes: Those that may make rows of it.
    """

    def __init__(self, file: File, recipes: RecipeChoice) -> None:
        self.file = file
        self._recipes = recipes

    @cached_property
    def outline(self) -> Outline:
        """The outline of the object that it begins with."""
        return outline_of(self.file)

    @cached_property
    def _begin(self) -> bytes:
        try:
            with self.file.open() as stream:
                begin = stream.read(_LOOK_BYTES).removeprefix(codecs.BOM_UTF8).lstrip(_BEFORE)
                return begin or skip_blank(stream)
        except OSError as error:
            raise unreadable(self.file, error) from None

    @property
    def is_array(self) -> bool:
        """Whether it begins with an array."""
        return self._begin.startswith(b"[")

    def are_documents(self, *, document: bool) -> bool:
        """Whether it is several objects that are not a line each. Standard input is JSON Lines.

        Args:
            document: It begins as a document does.
        """
        text = self._begin
        if _is_piped(self.file) or (text and not text.startswith(b"{")):
            return False
        return self.outline.rest.startswith(b"{") if document else are_several(self.file)

    @property
    def is_document(self) -> bool:
        """Whether it is one document and not JSON Lines. Standard input is only if it is an array.

        A document takes several lines, or it is the only line and a recipe makes rows of it.

        Raises:
            SourceError: It can't be read.
        """
        text = self._begin
        if _is_piped(self.file):
            return text.startswith(b"[")
        if text and not text.startswith((b"[", b"{")):
            return False
        try:
            with self.file.open() as stream:
                return self._is_document(stream)
        except OSError as error:
            raise unreadable(self.file, error) from None

    def _is_document(self, stream: BinaryIO) -> bool:
        begin = stream.read(len(codecs.BOM_UTF8)).removeprefix(codecs.BOM_UTF8).lstrip(_BEFORE)
        begin = begin or skip_blank(stream)
        line, newline, rest = begin.partition(b"\n")
        if not newline:
            line += stream.readline(FIRST_LINE_BYTES)
        if len(line) >= FIRST_LINE_BYTES and not line.endswith(b"\n"):
            if line.startswith(b"[") or _TABLE_BEGINS.match(line):
                return True
            if not (self._names_elements or self._recipes.may_be_document(line)):
                return False
            end, rest = _end_of_line(stream)
            rest = rest.lstrip() or skip_blank(stream)
            return end.endswith(_UNFINISHED) if rest else self._makes_rows(self.outline)
        rest = rest.lstrip() or skip_blank(stream)
        if rest and line.startswith(b"{") and line.rstrip().endswith(b"}"):
            return False
        try:
            document = orjson.loads(line)
        except orjson.JSONDecodeError:
            return line.startswith(b"[") or line.rstrip().endswith(_UNFINISHED)
        if rest:
            return False
        return isinstance(document, list) or is_table(document) or self._recipes.makes_rows_of(document)

    @property
    def _names_elements(self) -> bool:
        """Whether the user names elements of a list as rows: a long line may hold all of them."""
        return any("[]" in path or "[*]" in path for path in self._recipes.paths)

    def _makes_rows(self, outline: Outline) -> bool:
        if outline.rest or outline.value is None:
            return False
        if self._names_elements:
            try:
                return outline.leads(self._recipes.each((), self.file.name))
            except MappingError:
                return False
        return is_table(outline.value) or self._recipes.makes_rows_of(outline.value)


_UNFINISHED = (b"{", b"[", b",")
"""How a line ends within a document."""


def _end_of_line(stream: BinaryIO) -> tuple[bytes, bytes]:
    """The end of the line that a stream stands in, blanks omitted, and some bytes after it."""
    end = b""
    while piece := stream.read(_PIECE_BYTES):
        line, newline, rest = piece.partition(b"\n")
        end = (end + line)[-_END_BYTES:]
        if newline:
            return end.rstrip(), rest
    return end.rstrip(), b""
