"""Outline: a JSON document of any size less most elements of its lists, by which its form is recognised."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from vecload.mapping.paths import EACH, ENTRIES, Steps, element_of, is_bracket
from vecload.readers.json.marks import QUOTE, Marks, name_of
from vecload.readers.storage.files import File, unreadable

_PIECE_BYTES = 2**18
LIST_BYTES = 2**12
"""Kept of a list, or its first element if that is longer; of numbers, so many bytes."""
ENTRIES_MAX = 1000
"""Kept of an object."""
DEPTH_MAX = 32
"""Brackets around what is kept."""
OUTLINE_BYTES = 2**24
"""The most that is kept. Documents that need more are few: they have long texts, or thousands of fields."""
_AFTER_BYTES = 64
_BEFORE = b" \t\r\n\x1e"
_OPENS, _OBJECT, _LIST = b"[{", *b"{["
_CLOSING = {_OBJECT: b"}", _LIST: b"]"}


class Place(NamedTuple):
    """A place in a file. Lines and columns are counted from 1, as parsers name them."""

    line: int
    column: int


BEGIN = Place(1, 1)


class Fields(dict[str, Any]):
    """An object.

    Attributes:
        twice: The names that it has more than once.
    """

    twice: frozenset[str] = frozenset()


def _fields(pairs: list[tuple[str, Any]]) -> Fields:
    found = Fields(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        found.twice = frozenset(name for name in found if names.count(name) > 1)
    return found


@dataclass(frozen=True, slots=True)
class Outline:
    """What is kept of a document.

    value: the document with the beginnings of its lists and of large objects; None if that is not JSON or
        takes too much.
    left: the steps to each list or object of which something is left out; `[]` leads into lists.
    rest: the first bytes that follow after the document, blanks omitted; b"" if nothing does.
    error: why it is not JSON; None if nothing is wrong with what was kept.
    place: where.
    """

    value: Any
    left: tuple[Steps, ...]
    rest: bytes = b""
    error: orjson.JSONDecodeError | None = None
    place: Place = BEGIN

    def leads(self, way: Steps) -> bool:
        """Whether there are elements at some steps, in lists and objects and not in JSON text."""
        return _leads(self.value, way)

    def twice(self, way: Steps) -> Steps:
        """The steps up to the first name that an object on the way has more than once; () if none does."""
        for at, step in enumerate(way):
            inner = [one for one in _at(self.value, way[:at]) if isinstance(one, Fields)]
            if any(step in one.twice for one in inner):
                return way[: at + 1]
        return ()

    def has_whole(self, name: str) -> bool:
        """Whether nothing is left out of a field of the document, if it has that field."""
        return all(one and one[0] != name for one in self.left)

    def is_whole_around(self, way: Steps) -> bool:
        """Whether nothing is left out but from what is at some steps."""
        return all(_begins(one, way) for one in self.left)


def _leads(value: Any, way: Steps) -> bool:
    if not way:
        return True
    return any(_leads(inner, way[1:]) for inner in _inside(value, way[0]))


def _at(value: Any, way: Steps) -> Iterator[Any]:
    if not way:
        yield value
        return
    for inner in _inside(value, way[0]):
        yield from _at(inner, way[1:])


def _inside(value: Any, step: str) -> list[Any]:
    """What is one step further: some of the elements."""
    if isinstance(value, dict):
        return [*value.values()] if step == ENTRIES else [value[step]] if step in value else []
    if isinstance(value, list):
        at = element_of(step)
        return value if step == EACH else [value[at]] if at is not None and at < len(value) else []
    return []


def _begins(steps: Steps, way: Steps) -> bool:
    """Whether steps lead to the list or object that a way goes through last, or further."""
    return len(steps) >= len(way) - 1 and all(
        one in (step, EACH if is_bracket(step) else step) or step == ENTRIES
        for one, step in zip(steps, way, strict=False)
    )


def outline_of(file: File) -> Outline:
    """The outline of a file that begins with a JSON object; all of the document is read.

    Raises:
        SourceError: It can't be read.
    """
    keeper = _Keeper()
    try:
        with file.open() as stream:
            keeper.feed(stream.read(_PIECE_BYTES).removeprefix(codecs.BOM_UTF8).replace(b"\x1e", b" ", 1))
            while not keeper.ended and (piece := stream.read(_PIECE_BYTES)):
                keeper.feed(piece)
            while keeper.ended and not keeper.rest and (piece := stream.read(_PIECE_BYTES)):
                keeper.rest = piece.lstrip(_BEFORE)
    except OSError as error:
        raise unreadable(file, error) from None
    return keeper.outline()


@dataclass(slots=True)
class _Open:
    """A list or an object that is open, in what is kept.

    kind: its opening bracket.
    steps: those that lead to it.
    begin: where its inside begins in what is kept.
    count: how many names it has.
    key: the last of them.
    """

    kind: int
    steps: Steps
    begin: int
    count: int = 0
    key: bytes = b""


class _Keeper:
    """Keeps the outline of a document that is fed in pieces.

    Attributes:
        ended: The document has ended.
        rest: What follows it.
    """

    def __init__(self) -> None:
        self.ended = False
        self.rest = b""
        self._marks = Marks()
        self._kept = bytearray()
        self._open: list[_Open] = []
        self._left: dict[Steps, None] = {}
        self._last = 0
        self._text_at = -1
        self._is_name = False
        self._skips = False
        self._too_much = False
        self._here = BEGIN
        # Where what is kept goes on after something is left out: the place in it, and in the file.
        self._goes_on: list[tuple[int, Place]] = [(0, self._here)]

    def feed(self, piece: bytes) -> None:
        """Some more bytes."""
        found = self._marks.feed(piece)
        places, marks = found.at.tolist(), found.mark.tolist()
        begin, n = 0, 0
        while n < len(places) and not self.ended:
            if self._skips:
                closes = (found.after[n:] < len(self._open)).nonzero()[0]
                if not len(closes):
                    break
                n += int(closes[0])
                begin, self._skips = places[n], False
                self._goes_on.append((len(self._kept), _further(self._here, piece[:begin])))
            self._keep(piece[begin : places[n]])
            if not self._skips:
                begin = places[n] + 1
                self._mark(marks[n])
                n += 1
        if self.ended:
            self.rest = piece[begin:].lstrip(_BEFORE)
        elif not self._skips:
            self._keep(piece[begin:])
        self._here = _further(self._here, piece)

    def outline(self) -> Outline:
        """What is kept of the document."""
        if self._too_much:
            return Outline(None, (), self.rest)
        text, left = bytes(self._kept), (*self._left,)
        value = None
        with suppress(ValueError):
            # Rows with numbers that are no JSON cost themselves; repeated names only this parser shows.
            value = json.loads(text, object_pairs_hook=_fields)
            if not self.rest:
                return Outline(value, left)
        try:
            orjson.loads(text + b"\n" + self.rest[:_AFTER_BYTES])
        except orjson.JSONDecodeError as error:
            place = self._here if not self.ended and self._skips else self._place(error)
            return Outline(value or self._closed(text), left, self.rest, error, place)
        return Outline(value, left, self.rest)

    def _keep(self, text: bytes) -> None:
        """Keep what is between two marks; of a list that is long enough what is before the next comma."""
        inner = self._open[-1] if self._open else None
        if inner is not None and inner.kind == _LIST and self._text_at < 0:
            room = LIST_BYTES - (len(self._kept) - inner.begin)
            cut = -1
            if len(text) > room:
                cut = text.rfind(b",", 0, max(room, 0))
                cut = text.find(b",") if cut < 0 else cut
            if cut >= 0:
                self._kept += text[:cut]
                self._leave(inner)
                return
        self._kept += text
        if self._text_at < 0 and (seen := text.rstrip()):
            self._last = seen[-1]
        if len(self._kept) > OUTLINE_BYTES and self._open:
            self._too_much, self._text_at = True, -1
            self._kept.clear()
            del self._open[1:]
            self._leave(self._open[0])

    def _leave(self, inner: _Open) -> None:
        """Leave out what follows in a list or an object."""
        self._left[inner.steps] = None
        self._skips = True

    def _mark(self, mark: int) -> None:
        """Keep a mark."""
        inner = self._open[-1] if self._open else None
        if mark == QUOTE:
            self._quote(inner)
        elif mark in _OPENS:
            steps = self._steps()
            self._kept.append(mark)
            self._open.append(_Open(mark, steps, len(self._kept)))
            if len(self._open) > DEPTH_MAX:
                self._leave(self._open[-1])
        else:
            self._kept.append(mark)
            if inner is not None:
                self._open.pop()
            self.ended = not self._open
        self._last = mark

    def _quote(self, inner: _Open | None) -> None:
        """Keep the beginning or the end of a text."""
        if self._text_at < 0:
            self._is_name = inner is not None and inner.kind == _OBJECT and self._last in b"{,"
            if inner is not None and self._is_name and inner.count >= ENTRIES_MAX:
                del self._kept[len(self._kept.rstrip(b", \t\r\n")) :]
                self._leave(inner)
                return
            self._text_at = len(self._kept)
            self._kept.append(QUOTE)
            return
        self._kept.append(QUOTE)
        if inner is not None and self._is_name:
            inner.key = bytes(self._kept[self._text_at :])
            inner.count += 1
        self._text_at = -1

    def _steps(self) -> Steps:
        """The steps to a list or an object that begins."""
        if not self._open:
            return ()
        inner = self._open[-1]
        return (*inner.steps, EACH if inner.kind == _LIST else name_of(inner.key))

    def _place(self, error: orjson.JSONDecodeError) -> Place:
        """Where in the file an error is."""
        text = error.doc[: error.pos].encode()
        at, place = next(one for one in reversed(self._goes_on) if one[0] <= len(text))
        return _further(place, text[at:])

    def _closed(self, text: bytes) -> Any:
        """The value of a document that is cut off, if that can be seen."""
        closing = b"".join(_CLOSING[inner.kind] for inner in reversed(self._open))
        try:
            return orjson.loads(text + closing)
        except orjson.JSONDecodeError:
            return None


def _further(place: Place, text: bytes) -> Place:
    """The place after some text, which begins at a place."""
    lines = text.count(b"\n")
    if not lines:
        return Place(place.line, place.column + len(text.decode(errors="replace")))
    return Place(place.line + lines, len(text[text.rfind(b"\n") + 1 :].decode(errors="replace")) + 1)
