"""Progress as people see it: on terminals of every width, resized, interrupted, resumed; and as lines."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import vecload
from tests.cli.screen import Screen
from tests.distributed.conftest import write
from tests.faults.proxy import Exchange, Proxy
from vecload.cli.progress import Bar, Display, Lines, display
from vecload.loading.progress import Progress

BAR = re.compile("[━╸╺]{3}")


def progress(**changed: Any) -> Progress:
    usual: dict[str, Any] = {
        "index": "docs",
        "read": 870_000,
        "loaded": 76_000,
        "rejected": 0,
        "skipped": 774_000,
        "rows": 1_000_000,
        "part": 0.85,
        "seconds": 10.0,
        "rows_before": 774_000,
        "part_before": 0.774,
    }
    return Progress(**{**usual, **changed})


def test_a_line_counts_a_resumed_load_alike_everywhere() -> None:
    written: list[str] = []
    lines = Lines(write=written.append, now=lambda: datetime(2026, 11, 26, 17, 5, 9, tzinfo=UTC))
    lines.update(progress())
    lines.update(progress(seconds=19.9))
    lines.update(progress(seconds=20.5, rejected=3, loaded=75_997, retries=2, rows=None))
    assert written == [
        "2026-11-26T17:05:09Z  85%  850,000 of 1,000,000 rows  7,600 rows/s  0:00:20 left\n",
        "2026-11-26T17:05:09Z  85%  850,000 rows  3,707 rows/s  0:00:40 left  3 rejected  2 retries\n",
    ]


def test_a_display_is_chosen_by_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert type(display(quiet=False, terminal=True)) is Bar
    assert type(display(quiet=False, terminal=False)) is Lines
    assert type(display(quiet=True, terminal=True)) is Display
    for dumb in ("dumb", "unknown", ""):
        monkeypatch.setenv("TERM", dumb)
        assert type(display(quiet=False, terminal=True)) is Lines


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for number in range(3):
        write(
            tmp_path / "in" / f"part-{number}.parquet", [f"{number}-{row}" for row in range(200)], missing=[7]
        )
    return tmp_path / "in"


@pytest.fixture
def slow(service: str) -> Iterator[Proxy]:
    """A service that takes its time for each batch."""

    def waits(exchange: Exchange) -> None:
        time.sleep(0.25)
        exchange.pass_on()

    with Proxy(service, waits) as proxy:
        yield proxy


@pytest.fixture
def arguments(tmp_path: Path, files: Path, slow: Proxy, new_name: Callable[[], str]) -> list[str | Path]:
    key = tmp_path / "index.key"
    vecload.generate_key().save(key)
    return [
        *("upsert", files, "--to", slow.url, "--index", new_name(), "--key-file", key, "--max-errors", "3"),
        *("--batch-rows", "20", "--concurrency", "2", "--resume-wait", "0"),
    ]


@pytest.mark.parametrize(
    ("columns", "shown", "not_shown"),
    [
        (40, ["%"], ["rows/s"]),
        (80, ["of 600 rows", "left"], ["in flight"]),
        (120, ["of 600 rows", "left", "rows/s", "elapsed"], []),
        (200, ["of 600 rows", "left", "rows/s", "rejected", "elapsed", "MB/s", "in flight"], []),
    ],
)
def test_narrow_terminals_drop_columns_but_never_the_bar(
    tmp_path: Path, arguments: list[str | Path], columns: int, shown: list[str], not_shown: list[str]
) -> None:
    with Screen(tmp_path, columns, *arguments) as screen:
        screen.wait_for("%")
        until = time.monotonic() + 20
        while time.monotonic() < until:
            lines = [line for line in screen.lines() if BAR.search(line)]
            if len(lines) > 1 and "index-" in lines[0] and all(text in lines[0] for text in shown):
                break
            time.sleep(0.05)
        else:
            raise AssertionError(f"{shown} were not shown: {screen.lines()}")
        assert all(len(line) < columns for line in lines), lines
        assert not [text for text in not_shown if text in lines[0]]
        assert any("part-" in line for line in lines[1:]), "one line for each source"
        assert screen.code() == 3
        assert not [line for line in screen.lines() if BAR.search(line)]
        assert screen.wait_for("600 read, 597 loaded, 3 rejected")


def test_a_resize_leaves_no_stale_line(tmp_path: Path, arguments: list[str | Path]) -> None:
    with Screen(tmp_path, 160, *arguments) as screen:
        screen.wait_for("elapsed")
        for columns in (60, 110, 40, 90):
            screen.resize(columns)
            time.sleep(0.6)
            lines = screen.lines()
            assert sum("index-" in line and bool(BAR.search(line)) for line in lines) == 1, lines
            assert sum(bool(BAR.search(line)) for line in lines) <= 4, lines
        assert screen.code() == 3
        assert not [line for line in screen.lines() if BAR.search(line)]


def test_an_interruption_leaves_a_clean_screen_and_the_next_run_goes_on(
    tmp_path: Path, arguments: list[str | Path]
) -> None:
    with Screen(tmp_path, 100, *arguments) as screen:
        screen.wait_for(" left")  # a row is loaded
        screen.press("C-c")
        assert screen.code() == 130
        lines = screen.wait_for("interrupted; run the same command again to go on")
        assert not [line for line in lines if BAR.search(line)]
    (tmp_path / "status").unlink()
    with Screen(tmp_path, 100, *arguments) as screen:
        screen.wait_for("resuming: ")
        first = next(line for line in screen.wait_for("left") if "of 600 rows" in line and BAR.search(line))
        done = int(re.search(r"(\d+) of 600 rows", first)[1])  # type: ignore[index] # it was waited for
        percent = int(re.search(r"(\d+)%", first)[1])  # type: ignore[index]
        assert done > 0
        assert abs(percent - done / 6) < 4
        assert screen.code() == 3
