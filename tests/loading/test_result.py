"""The summary of a load as lines of text."""

from __future__ import annotations

import re

import pytest

from vecload.loading.result import LoadResult


@pytest.mark.parametrize(
    ("time", "line"),
    [
        ({"server": 0.64, "read": 0.31, "map": 0.03, "seal": 0.02}, "time   64% server, 31% read, 5% other"),
        ({"server": 0.9, "read": 0.1, "map": 0.0}, "time   90% server, 10% read"),
    ],
)
def test_the_shown_parts_of_the_time_add_up(time: dict[str, float], line: str) -> None:
    lines = LoadResult(time=time).lines()
    assert line in lines
    assert sum(map(int, re.findall(r"(\d+)%", line))) == 100


def test_without_a_time_there_is_no_line_of_it() -> None:
    assert not [line for line in LoadResult().lines() if line.startswith("time")]
