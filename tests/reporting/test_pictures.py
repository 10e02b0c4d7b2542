from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from vecload.errors import UsageError
from vecload.reporting.page import Markup
from vecload.reporting.pictures import bands, check_installed, histogram, over_time, scatter

NUMBERS = np.random.default_rng(2).normal(size=500)
EDGES = np.arange(6) * 0.5
LINE = np.array([1, 2, np.nan, 3, 4.0])
HALF = np.arange(500) < 250


def pictures() -> list[Markup]:
    return [
        over_time(EDGES, {"rows": LINE}, "rows a second", "Rows"),
        over_time(EDGES, {"median": LINE, "slowest": LINE * 2}, "seconds", "Requests"),
        histogram(NUMBERS, "length", "Lengths"),
        bands(NUMBERS - 1, NUMBERS, np.ones(500), NUMBERS + 1, "Values <by> dimension"),
        scatter(
            np.stack([NUMBERS, NUMBERS[::-1]], 1), [("en", HALF), ("de & fr", ~HALF)], "components", "Items"
        ),
    ]


def test_pictures_are_drawn_in_the_colours_of_the_page_alone() -> None:
    for picture in pictures():
        root = ET.fromstring(picture)  # noqa: S314 our own
        assert root.tag.endswith("svg")
        assert "var(--ink)" in picture
        assert "var(--series-0)" in picture
        assert re.findall(r"(?:fill|stroke): (?!none|var\(--[a-z]+(?:-\d)?\))[^;\"]+", picture) == []


def test_parts_of_several_pictures_have_different_names() -> None:
    names = [name for picture in pictures() for name in re.findall(r'\bid="([^"]+)"', picture)]
    assert len(names) > len(pictures())
    assert len(set(names)) == len(names)
    # Each is the same picture again.
    assert pictures() == pictures()


def test_texts_stay_texts() -> None:
    *_, values, items = pictures()
    assert "Values &lt;by&gt; dimension" in values
    assert ">de &amp; fr<" in items
    points = np.stack([NUMBERS, NUMBERS[::-1]], 1)
    hostile = scatter(points, [(r"$\frac{", HALF), ("_under", ~HALF)], "components", "Items")
    assert r">$\frac{<" in hostile
    assert "> _under<" in hostile


@pytest.mark.parametrize("values", [[1.0], [3.0, 3.0], [0.0, 0.0], [1e-30, 1e30], [1.0, 1.0 + 1e-12]])
def test_numbers_that_hardly_differ_are_a_picture_too(values: list[float]) -> None:
    ET.fromstring(histogram(np.array(values), "length", "Lengths"))  # noqa: S314 our own


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(UsageError, match=r"pip install 'vecload\[report\]'"):
        check_installed()
