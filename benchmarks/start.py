"""How long vecload takes to begin: beside `python -c pass`, its version, its help, and a load of 1000 rows.

    python -m benchmarks.start [--rounds 5] [--small]

Seconds of the fastest of some tries in each round, since others only add to them; in turn.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks.data import data_file
from benchmarks.report import Report, parser, print_table

TRIES = 3
ROWS = 1000
DIMENSION = 768


def seconds(*arguments: str) -> float:
    """Of one Python process, from its start to its end; with a home of its own."""
    with tempfile.TemporaryDirectory(prefix="vecload-benchmark-") as home:
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": home}
        places = [argument.replace("HOME", home) for argument in arguments]
        begun = time.perf_counter()
        subprocess.run([sys.executable, *places], env=environment, capture_output=True, check=True)
        return time.perf_counter() - begun


def main() -> None:
    """Measure and report."""
    settings = parser(__doc__).parse_args()
    dim = DIMENSION
    if settings.small:
        settings.rounds, dim = 1, 32
    file = str(data_file(settings.cache, ROWS, dim, "full"))
    ways = {
        "python -c pass": ("-c", "pass"),
        "vecload --version": ("-m", "vecload", "--version"),
        "vecload upsert --help": ("-m", "vecload", "upsert", "--help"),
        f"a load of {ROWS} rows, embedded": (
            "-m",
            "vecload",
            "upsert",
            file,
            "--to",
            "HOME/store",
            "--quiet",
        ),
    }
    report = Report("start", settings)
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(settings.rounds):
        for name, arguments in ways.items():
            found[name].append(min(seconds(*arguments) for _ in range(TRIES)))
    bare = statistics.median(found["python -c pass"])
    print_table(
        f"seconds to begin and end, medians of {settings.rounds} rounds of the fastest of {TRIES}",
        ["", "seconds", "more than python -c pass"],
        [
            [name, f"{statistics.median(times):.3f}", f"{statistics.median(times) - bare:.3f}"]
            for name, times in found.items()
        ],
    )
    report.write(found)


if __name__ == "__main__":
    main()
