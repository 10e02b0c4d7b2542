"""What every benchmark says of its run, and how: a table for people, a JSON file for the rest."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.data import default_cache

RESULTS = Path(__file__).parent / "results"

_PACKAGES = ("cyborgdb-service", "cyborgdb-core", "cyborgdb", "numpy", "pyarrow", "orjson", "pybase64")


class Report:
    """One run of one benchmark: begun before it measures, so that it knows the load it began under.

    Args:
        name: The benchmark's, and the JSON file's.
        settings: What was asked for.
    """

    def __init__(self, name: str, settings: argparse.Namespace) -> None:
        self._name = name
        self._folder: Path = settings.results
        self._about: dict[str, Any] = {
            "benchmark": name,
            "settings": {key: value for key, value in vars(settings).items() if not isinstance(value, Path)},
            "cpus": os.cpu_count(),
            "platform": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
            "packages": {package: importlib.metadata.version(package) for package in _PACKAGES},
            "load_average_before": os.getloadavg(),
        }

    def write(self, results: Any) -> None:
        """Write the JSON file, and say under which load all was measured."""
        self._about["load_average_after"] = os.getloadavg()
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._name}.json"
        path.write_text(json.dumps(self._about | {"results": results}, indent=2) + "\n")
        before, after = self._about["load_average_before"], self._about["load_average_after"]
        print(
            f"\n{self._about['cpus']} cores; load average {before[0]:.1f} before, {after[0]:.1f} after; "
            f"written to {path.name}"
        )


def parser(about: str | None) -> argparse.ArgumentParser:
    """An argument parser with the options that every benchmark has."""
    options = argparse.ArgumentParser(description=about)
    options.add_argument("--rounds", type=int, default=5, help="everything is measured that often, in turn")
    options.add_argument("--small", action="store_true", help="a few rows, to see that all of it runs")
    options.add_argument("--cache", type=Path, default=default_cache(), help="folder of the data files")
    options.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON files")
    return options


def print_table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    lines = [
        "| "
        + " | ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in (heads, *rows)
    ]
    rule = "|" + "|".join("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths)) + "|"
    print("\n".join([f"\n{title}\n", lines[0], rule, *lines[1:]]), flush=True)


def rate(items_per_second: float) -> str:
    """A rate for a table: three digits are all that a shared machine can tell."""
    if items_per_second >= 10_000:
        return f"{items_per_second / 1000:.1f}k"
    return f"{items_per_second:,.0f}"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios round by round: what disturbs a whole round cancels out."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
