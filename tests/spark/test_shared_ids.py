"""Ids that several partitions have are found by digests, and compared themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from vecload.spark import shared_ids as module
from vecload.spark.folder import ReportFolder
from vecload.spark.shared_ids import IdFiles, IdWriter, SharedIds, shared_ids


@pytest.fixture
def folder(tmp_path: Path) -> ReportFolder:
    return ReportFolder(str(tmp_path / "report"))


def written(folder: ReportFolder, scratch: Path, *partitions: Sequence[str]) -> list[IdFiles]:
    found = []
    for number, ids in enumerate(partitions):
        place = scratch / f"{number}"
        place.mkdir()
        with IdWriter(place) as writer:
            for start in range(0, len(ids), 100):
                writer.add(ids[start : start + 100])
        folder.put(f"{number}-ids", writer.ids)
        folder.put(f"{number}-digests", writer.digests)
        assert writer.count == len(ids)
        found.append(IdFiles(number + 10, f"{number}-ids", f"{number}-digests", len(ids)))
    return found


def test_shared_ids_are_counted_and_one_is_named(folder: ReportFolder, tmp_path: Path) -> None:
    parts = [[f"a{n}" for n in range(500)], [f"b{n}" for n in range(500)], ["c", "b7", "a499", "a3", "b7"]]
    found = shared_ids(folder, written(folder, tmp_path, *parts, []))
    assert found == SharedIds(3, "a3", (10, 12))


def test_ids_that_repeat_in_one_partition_alone_are_not_shared(folder: ReportFolder, tmp_path: Path) -> None:
    assert shared_ids(folder, written(folder, tmp_path, ["a", "a", "b"], ["c", "c"])) is None
    assert shared_ids(folder, []) is None


def test_different_ids_of_one_digest_are_not_shared(
    folder: ReportFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        module, "stable_digests", lambda ids: np.array([len(item_id) for item_id in ids], dtype=np.uint64)
    )
    assert shared_ids(folder, written(folder, tmp_path, ["aa", "b"], ["cc", "dddd"])) is None
    (tmp_path / "again").mkdir()
    found = shared_ids(folder, written(folder, tmp_path / "again", ["aa", "b"], ["cc", "aa"]))
    assert found == SharedIds(1, "aa", (10, 11))
