"""The load of one partition, as a task runs it, against the real service."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

import vecload
from vecload.errors import RowsRejected, VecloadError
from vecload.mapping import ColumnChoice, guess_mapping
from vecload.mapping.arrow_rows import columns_of
from vecload.options import LoadOptions
from vecload.sealing.references import Reference, SecretReferences
from vecload.spark.folder import ReportFolder
from vecload.spark.options import SparkOptions
from vecload.spark.partition_load import PartitionLoad
from vecload.spark.rows import Shape

Loading = Callable[..., tuple[PartitionLoad, vecload.Index]]


def rows(*ids: str, bad: str = "") -> pa.RecordBatch:
    vectors = [[float("nan") if item_id == bad else 1.0, 2.0] for item_id in ids]
    return pa.record_batch({"id": list(ids), "vector": vectors})


@pytest.fixture
def loading(
    service: str, index_name: str, tmp_path: Path
) -> Callable[..., tuple[PartitionLoad, vecload.Index]]:
    key = vecload.generate_key()
    key.save(tmp_path / "key")
    index = vecload.connect(service).create_index(index_name, key, dimension=2)

    def made(**fields: object) -> tuple[PartitionLoad, vecload.Index]:
        options = SparkOptions(
            to=service,
            index=index_name,
            secrets=SecretReferences(Reference("file", str(tmp_path / "key"))),
            report=ReportFolder(str(tmp_path / "report")),
            load=LoadOptions(**{"dimension": 2, "repeated_ids": "last", "seal": True, **fields}),  # type: ignore[arg-type]
        )
        mapping = guess_mapping(columns_of(rows("a").schema), ColumnChoice(), source="it")
        load = PartitionLoad(options, Shape(), mapping, "tasks/job")
        return pickle.loads(pickle.dumps(load)), index  # noqa: S301 as Spark does

    return made


def test_a_first_attempt_begins_at_once_and_a_later_one_waits_before_it_sends(loading: Loading) -> None:
    load, index = loading(resume_wait=12.5)
    waited: list[tuple[float, int]] = []

    def sleep(seconds: float) -> None:
        waited.append((seconds, len(index.list_ids())))

    report = load.run(4, 0, iter([rows("a", "b")]), sleep=sleep)
    assert waited == []
    assert (report.partition, report.attempt, report.result["loaded"]) == (4, 0, 2)
    assert report.sample in ("a", "b")
    load.run(4, 1, iter([rows("a", "b", "c")]), sleep=sleep)
    assert waited == [(12.5, 2)]  # what it sends comes after the wait
    assert sorted(index.list_ids()) == ["a", "b", "c"]


def test_an_attempt_that_bad_rows_ended_is_not_made_again(loading: Loading, tmp_path: Path) -> None:
    load, index = loading()
    with pytest.raises(RowsRejected, match="partition 0 of the DataFrame, row 1"):
        load.run(0, 0, iter([rows("a", "b", bad="b")]), sleep=pytest.fail)
    for attempt in (1, 2, 3):
        with pytest.raises(VecloadError, match="partition 0 of the DataFrame, row 1") as raised:
            load.run(0, attempt, iter([rows("z")]), sleep=pytest.fail)
        assert raised.value.exit_code == 4
    assert "z" not in index.list_ids()
    assert [path.name for path in (tmp_path / "report" / "tasks" / "job").iterdir()] == ["00000-0.json"]


@pytest.mark.parametrize(("max_errors", "stops"), [(0, True), (1, False), ("0%", False), ("1%", False)])
def test_a_number_stops_the_task_and_a_percentage_waits_for_the_end_of_the_job(
    loading: Loading, tmp_path: Path, max_errors: int | str, stops: bool
) -> None:
    load, _ = loading(max_errors=max_errors)
    if stops:
        with pytest.raises(RowsRejected):
            load.run(7, 0, iter([rows("a", "b", bad="b")]))
        return
    report = load.run(7, 0, iter([rows("a", "b", bad="b")]))
    assert (report.result["loaded"], report.result["rejected"]) == (1, 1)
    assert report.first_reject is not None
    assert report.first_reject.id == "b"
    lines = (tmp_path / "report" / report.rejects).read_text().splitlines()
    assert [json.loads(line)["source"] for line in lines] == ["partition 7 of the DataFrame"]


def test_ids_are_written_unless_they_are_assumed_to_be_unique(loading: Loading, tmp_path: Path) -> None:
    load, _ = loading()
    report = load.run(2, 0, iter([rows("a", "b"), rows("a")]))
    assert report.result["repeated"] == 1
    assert report.ids is not None
    assert (report.ids.partition, report.ids.count) == (2, 3)
    assert (tmp_path / "report" / report.ids.ids).exists()
    load, _ = loading(repeated_ids="assume-unique")
    assert load.run(3, 0, iter([rows("a")])).ids is None
    # A partition without rows has nothing to compare.
    load, _ = loading()
    empty = load.run(5, 0, iter([]))
    assert (empty.ids, empty.result["read"], empty.sample) == (None, 0, "")


def test_what_a_task_sends_to_the_driver_holds_no_secret(loading: Loading, tmp_path: Path) -> None:
    load, _ = loading()
    report = load.run(0, 0, iter([rows("a")]))
    key = vecload.Key.load(tmp_path / "key")
    for said in (pickle.dumps(load), pickle.dumps(report), repr(load).encode(), report.as_json()):
        for secret in (key.index_key, key.contents_key):
            assert secret not in said
            assert secret.hex().encode() not in said
