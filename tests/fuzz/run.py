"""Fuzz a target with atheris: `python -m tests.fuzz.run TARGET …`; README.md beside it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["vecload"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Write the target's seeds, and let libFuzzer go on from there."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in TARGETS:
        sys.exit(f"name one of {', '.join(TARGETS)}")
    corpus = Path(tempfile.mkdtemp(prefix=f"vecload-corpus-{name}-"))
    for number, seed in enumerate(TARGETS[name].seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    run = TARGETS[name].run
    atheris.Setup([sys.argv[0], *sys.argv[2:], str(corpus)], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
