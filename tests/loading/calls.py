"""Calls that a pool of processes can find by their names."""

from __future__ import annotations

from pathlib import Path

import vecload


def load_in_another_process(source: str, folder: str, options: vecload.LoadOptions) -> vecload.LoadResult:
    """Load a file into a store of its own."""
    store = Path(folder, f"store-{Path(source).stem}")
    return vecload.load(source, to=store, key=f"{folder}/docs.key", options=options)
