from __future__ import annotations

import os
from html.parser import HTMLParser
from pathlib import Path

import pytest

from vecload.errors import VecloadError
from vecload.reporting.page import details, facts, page, paragraph, section, table, write_page

HOSTILE = "<script>alert(1)</script> & \"'\x1b[31m\n\u202e"


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)


def test_a_foreign_text_is_text_wherever_it_stands() -> None:
    cells = table((HOSTILE, HOSTILE), [(HOSTILE, 1), ("b", 2)])
    text = page(
        HOSTILE,
        HOSTILE,
        [
            section(HOSTILE, paragraph(HOSTILE), facts([(HOSTILE, HOSTILE)]), cells),
            details(HOSTILE, HOSTILE),
        ],
        good=False,
    )
    tags = Tags()
    tags.feed(text)
    assert "script" not in tags.seen
    assert text.count("&lt;script&gt;") == 12
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_section_a_table_and_a_paragraph_of_nothing_are_nothing() -> None:
    assert section("Title", table(("a",), []), paragraph(""), facts([("a", ""), ("b", None)])) == ""


def test_a_table_counts_what_it_does_not_show() -> None:
    text = table(("name", "number", "part"), [(f"n{number}", number, 0.5) for number in range(7)], most=3)
    assert "n2" in text
    assert "n3" not in text
    assert "4 more are not shown." in text
    assert text.count("width:50.0%") == 3


def test_a_page_that_can_not_be_written_leaves_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "page.html"
    write_page(str(file), "first")

    def fail(one: Path, other: Path) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(VecloadError, match=r"page\.html can't be written: No space left on device"):
        write_page(str(file), "second")
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]
    assert file.read_text() == "first"
