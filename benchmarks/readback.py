"""Load a large file into both targets, read every item back and compare it: `python -m benchmarks.readback`.

Not a rate but a proof: vectors bit for bit, metadata and contents equal, nothing missing, nothing extra. The
service gives vectors back at some hundreds a second, so 100,000 rows take some minutes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

import vecload
from benchmarks.data import data_file
from tests.servers import Service

STEP = 500


def expected_items(path: Path) -> Iterator[list[dict[str, Any]]]:
    """What the index must hold, some hundred items at a time."""
    for table in pq.ParquetFile(path).iter_batches(STEP):
        columns = table.to_pydict()
        vectors = np.asarray(table["vector"].flatten(), dtype=np.float32).reshape(len(table), -1)
        names = [name for name in columns if name not in ("id", "vector", "contents")]
        yield [
            {
                "id": columns["id"][i],
                "vector": vectors[i],
                "metadata": {name: columns[name][i] for name in names},
                "contents": columns["contents"][i],
            }
            for i in range(len(table))
        ]


def differences(path: Path, index: vecload.Index) -> int:
    """How many items differ from the file, are missing, or are more than the file has."""
    wrong = total = 0
    for expected in expected_items(path):
        total += len(expected)
        found = {item["id"]: item for item in index.get([item["id"] for item in expected])}
        for item in expected:
            other = found.get(item["id"])
            same = (
                other is not None
                and np.array(other["vector"], dtype=np.float32).tobytes() == item["vector"].tobytes()
                and other["metadata"] == item["metadata"]
                and other["contents"] == item["contents"]
            )
            wrong += not same
    return wrong + abs(index.count() - total)


def main(arguments: list[str] | None = None) -> int:
    """Run it; the exit code is 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=768)
    options = parser.parse_args(arguments)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        path = data_file(here, options.rows, options.dim, "full")
        key = vecload.generate_key()
        key.save(here / "key")
        with Service(here / "service") as service:
            for target in (service.url, str(here / "store")):
                command = ["upsert", path, "--to", target, "--index", "all", "--key-file", here / "key"]
                state = ["--state-dir", here / "state", "--quiet"]
                subprocess.run([sys.executable, "-m", "vecload", *map(str, [*command, *state])], check=True)
                begun = time.monotonic()
                with vecload.connect(target) as connection:
                    wrong = differences(path, connection.open_index("all", key))
                failed += wrong
                name = "service" if target == service.url else "embedded"
                seconds = time.monotonic() - begun
                print(
                    f"{name:9} {options.rows:,} x {options.dim}: {wrong} differ, read back in {seconds:.0f} s"
                )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
