"""The elements of a JSON array, or of a list in a document, one line each: read like JSON Lines."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Literal, TypeAlias

import orjson

from vecload.mapping.paths import EACH, ENTRIES, Steps, element_of
from vecload.readers.json.marks import BLANKS, QUOTE, Marks, name_of
from vecload.readers.storage.files import File
from vecload.readers.storage.transformed import Transformed

_PIECE_BYTES = 2**18
_NAME_BYTES_MAX = 2**20
_COMMENTS = (b"//", b"/*", b"#")
_FLAT = re.compile(rb"[,:]|[^\s,:]+")
"""What may be between brackets and texts."""
_OPENS, _LIST, _OBJECT = b"[{", *b"[{"
_CLOSING = {_LIST: b"]"[0], _OBJECT: b"}"[0]}


@dataclass(frozen=True, slots=True)
class Line:
    """What an element becomes as a line. As it is by default.

    before, after: text around it: the document around its list.
    keyed: its key and a colon come before it.
    front: members of an object that come before its own: `"a":1,"b":2`.
    value: the name of an element that is no object, as JSON: it becomes a member. b"" leaves it as it is.
    """

    before: bytes = b""
    after: bytes = b""
    keyed: bool = False
    front: bytes = b""
    value: bytes = b""


class Elements(Transformed):
    """Elements as JSON Lines. No more of one is held than its beginning that is not yet read further.

    An element that is not JSON is a row that is rejected. Where brackets and commas around elements are
    wrong, reading stops.

    Args:
        file: A JSON document.
        way: The steps to the elements; the last is `[]` or `[*]`.
        line: What each becomes.
        ids: A file with the id of each, one a line: members that come after those of objects.
    """

    def __init__(
        self, file: File, way: Steps = (EACH,), line: Line = Line(), ids: File | None = None
    ) -> None:
        super().__init__(file)
        self.way = way
        self._line = line
        self._ids = ids

    def pieces(self, stream: BinaryIO) -> Iterator[bytes]:
        """The elements, each on a line of its own.

        Raises:
            OSError: The document is cut off, a comma is missing or too many, or something follows.
        """
        if self._ids is None:
            yield from self._split(stream, iter(()))
        else:
            with self._ids.open() as ids:
                yield from self._split(stream, (one.rstrip(b"\r\n") for one in ids))

    def _split(self, stream: BinaryIO, ids: Iterator[bytes]) -> Iterator[bytes]:
        split = Splitter(self.way, self._line, None if self._ids is None else ids)
        while more := stream.read(_PIECE_BYTES):
            yield split.feed(more)
        split.end()


_State: TypeAlias = Literal["begin", "key", "colon", "value", "comma"]
"""What comes last in a list or an object."""
_Place: TypeAlias = Literal["between", "row", "elsewhere", "name", "text", "row text"]
"""What the text that comes next is part of."""


@dataclass(slots=True)
class _Open:
    """A list or an object on the way to the elements."""

    kind: int
    state: _State = "begin"
    count: int = 0
    key: bytes = b""


@dataclass
class Splitter:
    """Splits a document that is fed in pieces.

    Args:
        way: As of `Elements`.
        line: As of `Elements`.
        ids: Of the elements, as text; None gives them none.
    """

    way: Steps = (EACH,)
    line: Line = Line()
    ids: Iterator[bytes] | None = None
    _marks: Marks = field(default_factory=Marks)
    _open: list[_Open] = field(default_factory=list)
    _place: _Place = "between"
    _held: bytes = b""
    _ended: bool = False
    _joins: bool = False
    _members: bytes = b""
    _tail: bytes = b""

    def feed(self, more: bytes) -> bytes:
        """What some more bytes become.

        Raises:
            OSError: The document is not JSON.
        """
        data = more.translate(BLANKS)
        made: list[bytes] = []
        begin = 0
        for at, mark, _, after in self._marks.feed(data).up_to(len(self.way)):
            place = self._place
            if place == "row":
                self._inside(data[begin:at], made)
                self._joins = False
                made += (self._members, data[at : at + 1], self._tail)
                self._place, begin = "between", at + 1
            elif place == "elsewhere":
                if after == len(self._open) and mark != QUOTE:
                    self._place, begin = "between", at + 1
            elif place == "between":
                self._between(self._held + data[begin:at], made)
                self._held, begin = b"", at + 1
                if mark == QUOTE:
                    begin = at
                    self._begin_text(made)
                elif mark in _OPENS:
                    self._begin_brackets(mark, made)
                else:
                    self._close(mark)
            else:
                self._end_of_text(data[begin : at + 1], made)
                self._place, begin = "between", at + 1
        self._rest(data[begin:], made)
        return b"".join(made)

    def end(self) -> None:
        """Nothing follows.

        Raises:
            OSError: The document is cut off, or something is behind it.
        """
        if not self._ended:
            raise _wrong(f"it is cut off: its {self._whole} is not closed")
        self._around(self._held)

    @property
    def _whole(self) -> str:
        return "array" if self._kind_of(0) == _LIST else "object"

    def _rest(self, data: bytes, made: list[bytes]) -> None:
        """The last of a piece."""
        if self._place == "row":
            self._inside(data, made)
        elif self._place == "row text":
            made.append(data)
        elif self._place == "name":
            self._held += data
            if len(self._held) > _NAME_BYTES_MAX:
                raise _wrong(f"it has a name of over {_NAME_BYTES_MAX:,} bytes")
        elif self._place == "between":
            data = self._held + data
            cut = data.rfind(b",") + 1
            if cut:
                self._between(data[:cut], made)
            self._held = b"" if data[cut:].isspace() else data[cut:]
            if len(self._held) > _NAME_BYTES_MAX:
                raise _wrong("it has a value that is neither text, list nor object and does not end")

    def _between(self, text: bytes, made: list[bytes]) -> None:
        """Commas, colons, and values without brackets or quotes."""
        if not self._open:
            self._around(text)
            return
        inner = self._open[-1]
        for part in _FLAT.findall(text):
            if part == b",":
                if inner.state != "value":
                    raise _wrong("it has a comma without an element before it")
                inner.state = "comma"
            elif part == b":" and inner.kind == _OBJECT:
                if inner.state != "key":
                    raise _wrong("it has a colon without a name before it")
                inner.state = "colon"
            else:
                if part.startswith(_COMMENTS):
                    raise _wrong("it has a comment, which JSON does not allow; remove it")
                if self._is_row():
                    made += (self._begin_row(part[0], inner.key), part, self._tail)

    def _around(self, text: bytes) -> None:
        text = text.strip()
        if self._ended and text:
            raise _wrong(f"something follows after its {self._whole}")
        if text.removeprefix(codecs.BOM_UTF8).strip():
            raise _wrong(f"it does not begin with an {self._whole}")

    def _is_row(self) -> bool:
        """Whether the value that begins is an element; otherwise it is on the way to them, or elsewhere."""
        return self._leads() and len(self._open) == len(self.way)

    def _leads(self) -> bool:
        """A value begins: whether it is on the way."""
        inner = self._open[-1]
        if inner.state == "value":
            raise _wrong("a comma is missing between two elements")
        if inner.kind == _OBJECT and inner.state != "colon":
            raise _wrong("it has a value without a name before it")
        inner.state = "value"
        inner.count += 1
        step = self.way[len(self._open) - 1]
        if step in (EACH, ENTRIES):
            return True
        return element_of(step) == inner.count - 1 if inner.kind == _LIST else name_of(inner.key) == step

    def _begin_text(self, made: list[bytes]) -> None:
        if not self._open:
            self._begin_brackets(QUOTE, made)
        inner = self._open[-1]
        if inner.kind == _OBJECT and inner.state in ("begin", "comma"):
            inner.state = "key"
            self._place = "name"
        elif self._is_row():
            made.append(self._begin_row(QUOTE, inner.key))
            self._place = "row text"
        else:
            self._place = "text"

    def _end_of_text(self, text: bytes, made: list[bytes]) -> None:
        if self._place == "name":
            self._open[-1].key, self._held = self._held + text, b""
        elif self._place == "row text":
            made += (text, self._tail)

    def _begin_brackets(self, mark: int, made: list[bytes]) -> None:
        depth = len(self._open)
        if not depth:
            self._around(b"" if mark == self._kind_of(0) and not self._ended else bytes((mark,)))
            self._open.append(_Open(mark))
            return
        inner = self._open[-1]
        on_way = self._leads()
        if on_way and depth == len(self.way):
            made += (self._begin_row(mark, inner.key), b"" if self._joins else bytes((mark,)))
            self._place = "row"
        elif on_way and mark == self._kind_of(depth):
            self._open.append(_Open(mark))
        else:
            self._place = "elsewhere"

    def _kind_of(self, depth: int) -> int:
        """The brackets of what a step leads into."""
        step = self.way[depth]
        return _LIST if step == EACH or element_of(step) is not None else _OBJECT

    def _close(self, mark: int) -> None:
        if not self._open:
            self._around(bytes((mark,)))
        inner = self._open.pop()
        if mark != _CLOSING[inner.kind]:
            raise _wrong("it has a closing bracket of another kind than the opening one")
        if inner.state == "comma":
            raise _wrong("it has a comma before a closing bracket, which JSON does not allow")
        if inner.state not in ("begin", "value"):
            raise _wrong("it has a name without a value")
        self._ended = not self._open

    def _begin_row(self, mark: int, key: bytes) -> bytes:
        """What comes before an element; the bracket of an object that gets members is part of it."""
        line = self.line
        self._members, self._tail = b"", line.after + b"\n"
        member = b"" if self.ids is None else b'"id":' + orjson.dumps(next(self.ids, b"").decode())
        if line.before:
            return line.before + key + b":" if line.keyed else line.before
        if mark == _OBJECT:
            self._members = b"," + member if line.front and member else member
            self._joins = bool(line.front or member)
            return b"{" + line.front if self._joins else b""
        if line.value:
            self._tail = b"}\n"
            return b"{" + line.front + (b"," if line.front else b"") + line.value + b":"
        return b""

    def _inside(self, data: bytes, made: list[bytes]) -> None:
        """A part of an element with brackets. The first that is not blank follows on a member before it."""
        if self._joins:
            data = data.lstrip()
            if not data:
                return
            self._joins = False
            if self.line.front:
                made.append(b",")
            elif self._members:
                self._members = b"," + self._members
        made.append(data)


def _wrong(what: str) -> OSError:
    return OSError(f"it is not JSON: {what}")
