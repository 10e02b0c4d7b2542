"""What a worker does with a split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import vecload
from tests.distributed.conftest import Place, write
from vecload.distributed.job import IdsOf, Job, digests_of_splits, load_split
from vecload.errors import SourceError
from vecload.mapping import ColumnMapping
from vecload.readers.splits import Split
from vecload.readers.storage.files import LocalFile
from vecload.sealing.references import SecretReferences

GROUPS = (Split("", (0,), rows=50), Split("", (1,), rows=50), Split("", (2,), rows=20))


def test_a_worker_loads_its_split_and_neither_digests_its_file_nor_leaves_a_journal(
    tmp_path: Path, place: Callable[[], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = place()
    file = write(tmp_path / "a.parquet", [f"id {n}" for n in range(120)], missing=[60])
    vecload.connect(there.to).create_index(there.index, vecload.Key.load(there.key), dimension=8)
    digested: list[str] = []

    def fingerprint(self: LocalFile, nbytes: int | None = None) -> str:
        digested.append(self.path)
        return "0:whole:0"

    monkeypatch.setattr(LocalFile, "fingerprint", fingerprint)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    job = Job(to=there.to, index=there.index, secrets=SecretReferences.named(str(there.key), None, None))
    report = load_split(job, replace(GROUPS[1], uri=str(file), only=(50, 100)))
    assert (report.result.read, report.result.loaded, report.result.rejected) == (50, 49, 1)
    assert there.items().keys() == {f"id {n}" for n in range(50, 100) if n != 60}
    assert not digested
    assert not (tmp_path / "state").exists()
    # A load by itself does both.
    vecload.load(file, to=there.to, index=there.index, key=there.key, max_errors=1)
    assert digested == [str(file)]
    assert (tmp_path / "state").exists()


def test_the_digests_of_several_files_are_those_of_each_split_in_order(tmp_path: Path) -> None:
    mapping = ColumnMapping(id="id", vector="vector", columns=("id", "vector"))
    ids = []
    for name in ("a", "b"):
        file = write(tmp_path / f"{name}.parquet", [f"{name if n < 100 else 'x'}{n}" for n in range(120)])
        ids.append(IdsOf(tuple(replace(one, uri=str(file)) for one in GROUPS), mapping))
    job = Job(to=None, index="", secrets=SecretReferences())
    found = digests_of_splits(job, ids)
    assert [len(one) for one in found] == [50, 50, 20, 50, 50, 20]
    assert found[2].tolist() == found[5].tolist()
    assert len({digest for one in found for digest in one.tolist()}) == 220


def test_a_file_that_a_worker_sees_otherwise_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", ["a"])
    split = Split(str(file), (0,), rows=1)
    mapping = ColumnMapping(id="id", vector=None, columns=("id", "gone"))
    job = Job(to=None, index="", secrets=SecretReferences())
    with pytest.raises(SourceError, match=r"a\.parquet has other columns here than where the load began"):
        digests_of_splits(job, [IdsOf((split,), mapping)])
