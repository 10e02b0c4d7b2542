"""All benchmarks, one after the other: `python -m benchmarks [--small] ...`: some hours, 25 GB of files."""

from __future__ import annotations

import subprocess
import sys

NAMES = (
    "load",
    "encoding",
    "stages",
    "parsing",
    "recipes",
    "wire",
    "start",
    "memory",
    "verifying",
    "changes",
)

if __name__ == "__main__":
    for name in NAMES:
        print(f"\n# {name}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *sys.argv[1:]], check=True)
