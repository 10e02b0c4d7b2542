"""Ids in several splits: found exactly, however digests collide, in memory that does not grow with them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vecload
from tests.distributed.conftest import write
from vecload.errors import UsageError
from vecload.loading import ids_across
from vecload.loading.flow import Job
from vecload.loading.ids_across import IdPass, SharedDigests, ids_of_others, refuse_shared
from vecload.loading.parts import open_splits, plan_of
from vecload.loading.request import Request
from vecload.loading.text_digests import text_digests
from vecload.options import LoadOptions
from vecload.readers import ReadOptions
from vecload.readers.splits import Split
from vecload.targets.placement import IdDigests


def job_of(file: Path, *groups: int) -> Job:
    (source,) = open_splits([Split(str(file), groups)], ReadOptions())
    (job,) = plan_of(Request(sources=(str(file),)), [source]).jobs(
        index_dimension=0, allow_zero_vectors=False
    )
    return job


def few(ids: pa.Array) -> IdDigests:
    """Digests of two bits: of other ids, too, most are the same."""
    return text_digests(ids) >> np.uint64(62)


def digests_of(ids: Sequence[str]) -> IdDigests:
    return np.sort(text_digests(pa.array(ids, pa.string())))


def test_the_ids_of_a_split_are_those_of_its_row_groups(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", [f"id {n}" for n in range(10)], group=3)
    ids = [f"id {n}" for n in range(3, 9)]
    assert IdPass().digests(job_of(file, 1, 2)).tolist() == digests_of(ids).tolist()
    assert IdPass().items(job_of(file, 1, 2), digests_of(["id 2", "id 4", "id 9"])) == {"id 4"}


def test_rows_that_can_not_be_loaded_do_not_count(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", ["a", "b", None, "c"], missing=[1])
    assert IdPass().items(job_of(file, 0), digests_of(["a", "b", "c"])) == {"a", "c"}


UUIDS = [uuid.UUID(int=n).bytes for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("ids", "options", "expected"),
    [
        (pa.array(["a", None, "", "b", "a"]), {}, ["a", "b"]),
        (pa.array(["a", None, "", "b"]).cast(pa.large_string()), {"id_prefix": "p/"}, ["p/a", "p/b"]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), {}, ["a", "b"]),
        (pa.array([1, 2**63 - 1, None, -7]), {}, ["1", str(2**63 - 1), "-7"]),
        (pa.array([2**64 - 1], pa.uint64()), {"id_prefix": "p/"}, [f"p/{2**64 - 1}"]),
        (pa.array(UUIDS, pa.binary(16)), {}, [str(uuid.UUID(bytes=one)) for one in UUIDS]),
        (pa.array([Decimal(3), Decimal(-4)], pa.decimal128(9, 0)), {}, ["3", "-4"]),
        (pa.array([{"n": "a"}, {"n": "b"}, None]), {"id_column": ("id.n",)}, ["a", "b"]),
        (pa.array(["a", "b"]), {"id_column": ("id", "row")}, ["a:0", "b:1"]),
        (pa.array(["a", "b"]), {"generate_ids": "digest", "id_column": ("id",)}, ["a", "b"]),
    ],
)
def test_ids_of_every_kind_have_the_digests_of_the_ids_of_their_items(
    tmp_path: Path, ids: pa.Array, options: dict[str, Any], expected: list[str]
) -> None:
    table = pa.table(
        {"id": ids, "vector": pa.array([[1.0, 2.0]] * len(ids)), "row": [str(n) for n in range(len(ids))]}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    split = Split(str(tmp_path / "a.parquet"), (0,))
    request = Request(sources=(split,), options=LoadOptions(**options))
    (source,) = open_splits([split], request.reading)
    (job,) = plan_of(request, [source]).jobs(index_dimension=2, allow_zero_vectors=False)
    found = IdPass().digests(job)
    (batch,) = source.batches(job.mapper, batch_rows=10, batch_bytes=2**20)
    assert {*expected} <= {*batch.ids}
    assert found.tolist() == sorted({*digests_of([one for one in batch.ids if one]).tolist()})
    if "generate_ids" not in options:
        assert {*batch.ids} == {*expected}
    assert IdPass().items(job, found) == {*batch.ids}


@pytest.mark.parametrize("digests", [text_digests, few])
def test_ids_of_other_parts_are_found_exactly(tmp_path: Path, digests: object) -> None:
    own = write(tmp_path / "own.parquet", [f"own {n}" for n in range(100)] + ["x", "y", "z"])
    one = write(tmp_path / "one.parquet", [f"one {n}" for n in range(100)] + ["x", "z"], missing=[101])
    two = write(tmp_path / "two.parquet", ["y", "x", "two"])
    reads = IdPass(digests)  # type: ignore[arg-type]
    jobs = [job_of(one, 0, 1, 2), job_of(two, 0)]
    found = ids_of_others([job_of(own, 0, 1, 2)], jobs, reads)
    assert found == {"x": str(one), "y": str(two)}
    with pytest.raises(
        UsageError, match=r"id 'x' is in .*own.parquet and, in another part, in .*\(2 such ids\)"
    ):
        refuse_shared([job_of(own, 0, 1, 2)], found)
    assert ids_of_others([job_of(own, 0)], jobs, reads) == {}


@given(
    st.lists(st.sets(st.integers(0, 2**64 - 1) | st.integers(0, 40)), max_size=6),
    st.sampled_from([1, 3, 2**22]),
)
def test_shared_digests_are_those_of_several_splits(splits: list[set[int]], bucket: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as faults:
        faults.setattr(ids_across, "BUCKET_ROWS", bucket)
        digests = SharedDigests(Path(folder), sum(map(len, splits)))
        for number, own in enumerate(splits):
            digests.add(number, np.array(sorted(own), dtype=np.uint64))
        found = {number: shared.tolist() for number, shared in digests.shared().items()}
    expected = {
        number: sorted(
            one for one in own if any(one in other for at, other in enumerate(splits) if at != number)
        )
        for number, own in enumerate(splits)
    }
    assert found == {number: shared for number, shared in expected.items() if shared}


def test_a_split_is_loaded_by_itself(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", [f"id {n}" for n in range(10)], group=3)
    result = vecload.load(
        Split(str(file), (1, 3 - 1)), to=tmp_path / "store", index="x", key=vecload.generate_key()
    )
    assert (result.read, result.loaded, result.status) == (6, 6, "complete")
