"""Whole loads side by side: vecload, the official SDK, and the ceilings of the service and the engine.

    python -m benchmarks.load [--rows 100000] [--dim 768] [--rounds 5] [--variant vectors|full|both] [--small]

Every measured load has a process, a folder and, where it needs one, a service of its own: rates fall as
dropped indexes pile up. Rounds go through all ways in turn, and start each time with another one. A load
during which others used much of the machine is measured again, some times; the calmest is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from benchmarks.data import Variant, data_file
from benchmarks.machine import Others
from benchmarks.report import Report, parser, print_table, rate, ratio
from tests.servers import Service

ROOT = Path(__file__).parent.parent
CALM_SHARE = 0.08
"""Others' share of the machine below which a measurement counts as undisturbed."""
SERVICE_SETTINGS = {"AUTO_TRAIN_DISABLED": "true"}


@dataclass(frozen=True, slots=True)
class Way:
    """One way to load.

    Attributes:
        name: For the table.
        command: Arguments after `python -m`; FILE and TARGET stand for those.
        service: Whether it loads into a service.
    """

    name: str
    command: tuple[str, ...]
    service: bool


def _way(name: str, way: str, *, service: bool, workers: int = 1) -> Way:
    return Way(name, ("benchmarks.ways", way, "FILE", "TARGET", "--workers", str(workers)), service)


_VECLOAD = ("vecload", "upsert", "FILE", "--to", "TARGET", "--index", "benchmark", "--json", "--quiet")

CEILINGS = [
    _way(f"bodies encoded beforehand, {n} connection{'s' * (n > 1)}", "replay", service=True, workers=n)
    for n in range(1, 5)
]
SDK = _way("official SDK, upsert_binary", "sdk", service=True)
SERVICE = Way("vecload into the service", _VECLOAD, service=True)
EMBEDDED = Way("vecload, embedded", _VECLOAD, service=False)
ENGINES = [
    _way(f"engine alone, {n} writer{'s' * (n > 1)}", "engine", service=False, workers=n) for n in (1, 2)
]
JOURNAL = _way("vecload's flow, embedded", "flow", service=False)
NO_JOURNAL = _way("the same without a journal", "flow-without-journal", service=False)
WAYS = (SERVICE, SDK, *CEILINGS, EMBEDDED, *ENGINES, JOURNAL, NO_JOURNAL)


def run_calmly(way: Way, file: Path, rows: int, tries: int) -> tuple[float, float]:
    """Load the file once in calm, if calm can be had in that many tries.

    Returns:
        Items a second, and the share of the machine that others used meanwhile.
    """
    found: list[tuple[float, float]] = []
    while len(found) < tries and not (found and found[-1][1] < CALM_SHARE):
        with Others() as others:
            items_per_second = run_once(way, file, rows)
        found.append((items_per_second, others.share))
    return min(found, key=lambda one: one[1])


def run_once(way: Way, file: Path, rows: int) -> float:
    """Load the file once, and return the items a second.

    Raises:
        RuntimeError: The load failed, or loaded another number of items.
    """
    with tempfile.TemporaryDirectory(prefix="vecload-benchmark-") as name:
        folder = Path(name)
        if not way.service:
            return _run(way, file, str(folder / "store"), folder, rows)
        with Service(folder / "service", environment=SERVICE_SETTINGS) as service:
            return _run(way, file, service.url, folder, rows)


def _run(way: Way, file: Path, target: str, folder: Path, rows: int) -> float:
    os.sync()  # what the run before left to be written is not this one's
    places = {"FILE": str(file), "TARGET": target}
    done = subprocess.run(
        [sys.executable, "-m", *(places.get(word, word) for word in way.command)],
        cwd=ROOT,
        env={"PATH": os.environ.get("PATH", ""), "HOME": str(folder / "home")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{way.name} failed:\n{done.stderr[-3000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    items = answer["loaded"] if "loaded" in answer else answer["items"]
    if items != rows:
        raise RuntimeError(f"{way.name} loaded {items} items of {rows}")
    return float(items / answer["seconds"])


def measure(
    settings: argparse.Namespace, variant: Variant
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Rates of every way by its name, one a round; and what others used of the machine meanwhile."""
    file = data_file(settings.cache, settings.rows, settings.dim, variant)
    rates: dict[str, list[float]] = {way.name: [] for way in WAYS}
    others: dict[str, list[float]] = {way.name: [] for way in WAYS}
    for number in range(settings.rounds):
        turn = number * 5 % len(WAYS)
        for way in (*WAYS[turn:], *WAYS[:turn]):
            found, share = run_calmly(way, file, settings.rows, settings.tries)
            rates[way.name].append(found)
            others[way.name].append(round(share, 3))
    return rates, others


def best(rates: dict[str, list[float]], ways: Sequence[Way]) -> Way:
    """The way of the highest median."""
    return max(ways, key=lambda way: statistics.median(rates[way.name]))


def compare(rates: dict[str, list[float]]) -> dict[str, float]:
    """The ratios that the aims are about."""
    ceiling, engine = best(rates, CEILINGS), best(rates, ENGINES)
    pairs = {
        "service: vecload / SDK loop": (SERVICE, SDK),
        f"service: vecload / ceiling ({ceiling.name})": (SERVICE, ceiling),
        "embedded: vecload / engine alone, 1 writer": (EMBEDDED, ENGINES[0]),
        f"embedded: vecload / engine at its best ({engine.name})": (EMBEDDED, engine),
        "embedded: with the journal / without it": (JOURNAL, NO_JOURNAL),
    }
    return {name: ratio(rates[ours.name], rates[theirs.name]) for name, (ours, theirs) in pairs.items()}


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=100_000)
    options.add_argument("--dim", type=int, default=768)
    options.add_argument("--variant", choices=[*get_args(Variant), "both"], default="both")
    options.add_argument("--tries", type=int, default=4, help="how often a disturbed load is measured again")
    settings = options.parse_args()
    if settings.small:
        settings.rows, settings.dim, settings.rounds, settings.tries = 2_000, 32, 1, 1
    variants = get_args(Variant) if settings.variant == "both" else [settings.variant]
    for variant in variants:
        report = Report(f"load-{variant}", settings)
        rates, others = measure(settings, variant)
        ratios = compare(rates)
        print_table(
            f"{variant}: {settings.rows:,} x {settings.dim}, medians of {settings.rounds} rounds",
            ["way", "items/s", "lowest", "highest", "others' share"],
            [
                [
                    name,
                    rate(statistics.median(found)),
                    rate(min(found)),
                    rate(max(found)),
                    f"{statistics.median(others[name]):.0%}",
                ]
                for name, found in rates.items()
            ],
        )
        print_table("ratios", ["", "ratio"], [[name, f"{value:.2f}"] for name, value in ratios.items()])
        report.write(
            {"rows": settings.rows, "items_per_second": rates, "others_share": others, "ratios": ratios}
        )


if __name__ == "__main__":
    main()
