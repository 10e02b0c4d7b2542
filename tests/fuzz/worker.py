"""Reads damaged files in a process of its own, so that its end by a signal is seen.

Each line of standard input names a file; each line of standard output tells in JSON what came of it: the rows
that were mapped, and the error after them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.fuzz.targets import check_items
from vecload.errors import VecloadError
from vecload.loading.plan import make_plan
from vecload.mapping import ColumnChoice
from vecload.readers import open_sources


def outcome(path: Path) -> tuple[list[list[Any]], str]:
    """The rows of a file as a load maps them, and the error that ended them, "" if none did."""
    rows: list[list[Any]] = []
    try:
        plan = make_plan(open_sources([str(path)]), ColumnChoice(), embed=False)
        for job in plan.jobs(index_dimension=0, allow_zero_vectors=False):
            for piece in job.source.read(batch_rows=7, batch_bytes=10_000):
                batch = job.mapper.map(piece)
                check_items(batch)
                assert batch.vectors is not None
                contents = batch.contents or [None] * len(batch)
                metadata = batch.metadata or [None] * len(batch)
                rows += [
                    [row, item_id, vector.tobytes().hex(), entries, repr(text)]
                    for row, item_id, vector, entries, text in zip(
                        batch.item_rows().tolist(), batch.ids, batch.vectors, metadata, contents, strict=True
                    )
                ]
                rows += [[reject.row, reject.code] for reject in batch.rejects]
    except VecloadError as error:
        return rows, str(error)
    return rows, ""


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(outcome(Path(line.rstrip("\n")))) + "\n")
        sys.stdout.flush()
