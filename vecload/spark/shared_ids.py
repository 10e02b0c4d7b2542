"""Shared ids: ids that several partitions have, of which chance decides the row that stays.

Each task writes its ids, and digests of them, to the report folder. The driver looks for digests that several
partitions have, and compares the ids themselves only where there are some.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vecload.loading.ids_across import SharedDigests, is_among
from vecload.spark.folder import ReportFolder
from vecload.targets.placement import IdDigests, stable_digests

_SCHEMA = pa.schema([("id", pa.large_string())])
_NONE = np.empty(0, dtype=np.uint64)


class IdWriter:
    """Writes the ids of a partition, and their digests.

    Args:
        folder: A local folder, for the two files.

    Attributes:
        ids: A Parquet file of the ids, in the order of their rows.
        digests: The different digests, sorted: 8 bytes each, little-endian.
        count: How many ids there are.
    """

    def __init__(self, folder: Path) -> None:
        self.ids, self.digests = folder / "ids.parquet", folder / "digests"
        self.count = 0
        self._writer = pq.ParquetWriter(self.ids, _SCHEMA, compression="zstd")
        self._known: list[IdDigests] = []

    def add(self, ids: Sequence[str]) -> None:
        """Add the ids of a batch."""
        if ids:
            self._writer.write(pa.table({"id": pa.array(ids, pa.large_string())}, _SCHEMA))
            self._known.append(stable_digests(ids))
            self.count += len(ids)

    def close(self) -> None:
        """Finish both files."""
        self._writer.close()
        np.unique(np.concatenate([_NONE, *self._known])).astype("<u8").tofile(self.digests)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class IdFiles:
    """Where the ids of a partition are.

    Attributes:
        partition: Its number.
        ids, digests: The names of the two files in the report folder.
        count: How many ids it has.
    """

    partition: int
    ids: str
    digests: str
    count: int


@dataclass(frozen=True, slots=True)
class SharedIds:
    """Ids that several partitions have.

    Attributes:
        count: How many.
        first: One of them.
        partitions: The numbers of the partitions that have this one.
    """

    count: int
    first: str
    partitions: tuple[int, ...]


def shared_ids(folder: ReportFolder, files: Sequence[IdFiles]) -> SharedIds | None:
    """The ids that several partitions have; None if there are none.

    Args:
        folder: The report folder.
        files: Of each partition.

    Raises:
        OSError: A file can't be read.
    """
    with TemporaryDirectory(prefix="vecload-") as name:
        digests = SharedDigests(Path(name), sum(one.count for one in files))
        for number, one in enumerate(files):
            with folder.open(one.digests) as stream:
                digests.add(number, np.frombuffer(stream.read(), dtype="<u8").astype(np.uint64))
        suspects = digests.shared()
    found: dict[str, set[int]] = {}
    for number, shared in suspects.items():
        for item_id in _ids_among(folder, files[number].ids, shared):
            found.setdefault(item_id, set()).add(files[number].partition)
    several = {item_id: partitions for item_id, partitions in found.items() if len(partitions) > 1}
    if not several:
        return None  # at most different ids of one digest
    first = min(several)
    return SharedIds(len(several), first, tuple(sorted(several[first])))


def _ids_among(folder: ReportFolder, name: str, shared: IdDigests) -> set[str]:
    """The ids of a file that have some digests."""
    with folder.open(name) as stream:
        return {
            item_id
            for batch in pq.ParquetFile(stream).iter_batches()
            for ids in [batch.column(0).to_pylist()]
            for item_id, is_shared in zip(ids, is_among(stable_digests(ids), shared).tolist(), strict=True)
            if is_shared
        }
