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
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
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


_VECLOAD = (
    "vecload",
    "upsert",
    "FILE",
    "--to",
    "TARGET",
    "--index",
    "benchmark",
    "--create-key",
    "--json",
    "--quiet",
)

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
PRODUCE = _way("decoding; with contents, mapping and sealing", "produce", service=False)
BY_ARROW = _way("the same, all of it decoded by Arrow", "produce-by-arrow", service=False)
JOURNAL = _way("vecload's flow, embedded", "flow", service=False)
NO_JOURNAL = _way("the same without a journal", "flow-without-journal", service=False)
WAYS = (SERVICE, SDK, *CEILINGS, EMBEDDED, *ENGINES, PRODUCE, BY_ARROW, JOURNAL, NO_JOURNAL)
START_ROWS = 1000
"""Rows of the load by which start-up is told from the rest of vecload's processor time."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One load.

    Attributes:
        rate: Items a second.
        cpu: Seconds of processor time an item, of the loading process alone, start-up aside.
        others: The share of the machine that others used meanwhile.
    """

    rate: float
    cpu: float
    others: float


def run_calmly(way: Way, file: Path, rows: int, tries: int) -> Measured:
    """Load the file once in calm, if calm can be had in that many tries."""
    found: list[Measured] = []
    while len(found) < tries and not (found and found[-1].others < CALM_SHARE):
        with Others() as others:
            items_per_second, cpu = run_once(way, file, rows)
        found.append(Measured(items_per_second, cpu / rows, round(others.share, 3)))
    return min(found, key=lambda one: one.others)


def run_once(way: Way, file: Path, rows: int) -> tuple[float, float]:
    """Load the file once.

    Returns:
        Items a second, and seconds of processor time.

    Raises:
        RuntimeError: The load failed, or loaded another number of items.
    """
    with tempfile.TemporaryDirectory(prefix="vecload-benchmark-") as name:
        folder = Path(name)
        if not way.service:
            return _run(way, file, str(folder / "store"), folder, rows)
        with Service(folder / "service", environment=SERVICE_SETTINGS) as service:
            return _run(way, file, service.url, folder, rows)


def _run(way: Way, file: Path, target: str, folder: Path, rows: int) -> tuple[float, float]:
    os.sync()  # what the run before left to be written is not this one's
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
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
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return items / answer["seconds"], answer.get("cpu", whole)


def measure(settings: argparse.Namespace, variant: Variant) -> dict[str, list[Measured]]:
    """Every way by its name, measured once a round."""
    file = data_file(settings.cache, settings.rows, settings.dim, variant)
    start = data_file(settings.cache, START_ROWS, settings.dim, variant)
    found: dict[str, list[Measured]] = {way.name: [] for way in WAYS}
    for number in range(settings.rounds):
        turn = number * 5 % len(WAYS)
        for way in (*WAYS[turn:], *WAYS[:turn]):
            one = run_calmly(way, file, settings.rows, settings.tries)
            if way in (SERVICE, EMBEDDED):
                # vecload's own process is measured whole: its start is taken off.
                of_start = run_once(way, start, START_ROWS)[1]
                cpu = (one.cpu * settings.rows - of_start) / max(settings.rows - START_ROWS, 1)
                one = replace(one, cpu=cpu)
            found[way.name].append(one)
    return found


def best(found: dict[str, list[Measured]], ways: Sequence[Way]) -> Way:
    """The way of the highest median."""
    return max(ways, key=lambda way: statistics.median(one.rate for one in found[way.name]))


def compare(found: dict[str, list[Measured]]) -> dict[str, float]:
    """The ratios that the aims are about; each is the median of those of the rounds."""

    def rates(way: Way) -> list[float]:
        return [one.rate for one in found[way.name]]

    def cpu(way: Way) -> list[float]:
        return [one.cpu for one in found[way.name]]

    ceiling, engine = best(found, CEILINGS), best(found, ENGINES)

    def bound(producing: Way) -> list[float]:
        """Items a second that two cores have in them, if nothing but decoding and the engine took any."""
        return [2 / (stored + made) for stored, made in zip(cpu(ENGINES[1]), cpu(producing), strict=True)]

    return {
        "service: vecload / SDK loop": ratio(rates(SERVICE), rates(SDK)),
        f"service: vecload / ceiling ({ceiling.name})": ratio(rates(SERVICE), rates(ceiling)),
        "service: processor time an item, vecload / SDK loop": ratio(cpu(SERVICE), cpu(SDK)),
        "embedded: vecload / engine alone, 1 writer": ratio(rates(EMBEDDED), rates(ENGINES[0])),
        f"embedded: vecload / engine at its best ({engine.name})": ratio(rates(EMBEDDED), rates(engine)),
        "embedded: vecload / bound of two cores": ratio(rates(EMBEDDED), bound(PRODUCE)),
        "embedded: vecload / the same, decoded by Arrow": ratio(rates(EMBEDDED), bound(BY_ARROW)),
        "embedded: with the journal / without it": ratio(rates(JOURNAL), rates(NO_JOURNAL)),
    }


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
        found = measure(settings, variant)
        ratios = compare(found)
        print_table(
            f"{variant}: {settings.rows:,} x {settings.dim}, medians of {settings.rounds} rounds",
            ["way", "items/s", "lowest", "highest", "CPU µs an item", "others' share"],
            [_cells(name, measured) for name, measured in found.items()],
        )
        print_table("ratios", ["", "ratio"], [[name, f"{value:.2f}"] for name, value in ratios.items()])
        report.write(
            {
                "rows": settings.rows,
                "measured": {name: [asdict(one) for one in measured] for name, measured in found.items()},
                "ratios": ratios,
            }
        )


def _cells(name: str, measured: Sequence[Measured]) -> list[str]:
    rates = [one.rate for one in measured]
    return [
        name,
        rate(statistics.median(rates)),
        rate(min(rates)),
        rate(max(rates)),
        f"{statistics.median(one.cpu for one in measured) * 1e6:.1f}",
        f"{statistics.median(one.others for one in measured):.0%}",
    ]


if __name__ == "__main__":
    main()
