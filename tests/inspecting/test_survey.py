from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vecload
from tests.cli.sources import rows, write_jsonl
from vecload.inspecting.survey import FIRST_ROWS, PLACE_ROWS, PLACES, Survey, Surveyor
from vecload.loading.plan import make_plan
from vecload.loading.repeated_ids import RepeatedIds, RepeatedRow
from vecload.mapping import ColumnChoice
from vecload.readers import open_sources

ROWS = 12_000
NAN_AT = 9_000
"""Among the first rows of a row group: a sample has to meet it."""


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("survey") / "rows.parquet"
    vectors = np.random.default_rng(3).standard_normal((ROWS, 4), dtype=np.float32)
    vectors[NAN_AT] = np.nan
    table = pa.table(
        {
            "id": [f"doc-{i % (ROWS - 5)}" for i in range(ROWS)],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 4),
            "text": [None if i % 4 else f"text {i}" for i in range(ROWS)],
        }
    )
    pq.write_table(table, path, row_group_size=1000)
    return path


@pytest.fixture(scope="module")
def jsonl(parquet: Path) -> Path:
    path = parquet.with_suffix(".jsonl")
    rows = pq.read_table(parquet).to_pylist()
    for row in rows[-100:]:
        row["vector"] = [1.0]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def look(path: Path, *, full: bool, items: int = 2) -> tuple[Survey, Surveyor]:
    (job,) = make_plan(open_sources([str(path)]), ColumnChoice(), embed=False).jobs(
        index_dimension=0, allow_zero_vectors=False
    )
    surveyor = Surveyor(RepeatedIds(), 1000, 10**6, items, full)
    return surveyor.look(job), surveyor


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_a_full_look_counts_every_row_reject_and_repeated_id(
    request: pytest.FixtureRequest, kind: str
) -> None:
    survey, surveyor = look(request.getfixturevalue(kind), full=True)
    assert (survey.looked_at, survey.rows, survey.rows_known, survey.whole) == (ROWS, ROWS, True, True)
    told = {code: (kind.rows, kind.first.row) for (_, code), kind in survey.rejects.items()}
    if kind == "parquet":
        assert told == {"nan": (1, NAN_AT)}
        assert surveyor.ids.repeated == 5
        assert surveyor.ids.first == RepeatedRow(str(request.getfixturevalue(kind)), ROWS - 5, "doc-0")
        assert survey.no_contents == 9_000  # of the rows that are items: 1 in 4 has contents, the NaN's too
    else:
        # JSON Lines says NaN as what is no JSON.
        assert told == {"not-json": (1, NAN_AT), "dimension": (100, ROWS - 100)}
    assert survey.batch_rows[:9] == [1000] * 9


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_a_sample_looks_at_no_row_twice_and_at_places_further_on(
    request: pytest.FixtureRequest, kind: str
) -> None:
    survey, surveyor = look(request.getfixturevalue(kind), full=False)
    assert not survey.whole
    assert FIRST_ROWS < survey.looked_at <= FIRST_ROWS + PLACES * PLACE_ROWS
    places = [(span.begin, span.end) if kind == "jsonl" else (span.start, span.stop) for span in survey.spans]
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(places))  # type: ignore[operator]
    assert surveyor.ids.repeated == 0
    # What is wrong at the end, and in the midst, is met too.
    assert ("vector", "nan" if kind == "parquet" else "dimension") in survey.rejects
    assert survey.rows_known == (kind == "parquet")
    assert abs(survey.rows - ROWS) <= ROWS * 0.05


def test_a_small_source_is_looked_at_whole_without_being_asked(tmp_path: Path) -> None:
    path = tmp_path / "few.jsonl"
    path.write_text("".join(json.dumps({"id": str(i), "vector": [i + 1.0]}) + "\n" for i in range(50)))
    survey, _ = look(path, full=False)
    assert (survey.whole, survey.rows_known, survey.rows) == (True, True, 50)
    assert [item["row"] for item in survey.items] == [0, 1]


def test_a_source_that_ends_in_damage_is_told_as_far_as_it_goes(tmp_path: Path, parquet: Path) -> None:
    path = tmp_path / "damaged.parquet"
    damaged = bytearray(parquet.read_bytes())
    damaged[len(damaged) // 2 : len(damaged) // 2 + 2000] = bytes(2000)
    path.write_bytes(damaged)
    survey, _ = look(path, full=True)
    assert survey.error is not None
    assert "is damaged" in str(survey.error)
    assert 1000 <= survey.looked_at < ROWS


def test_the_pace_is_that_of_reading_and_mapping_less_the_beginning(parquet: Path) -> None:
    ticks = iter(range(10**6))
    clock: Callable[[], float] = lambda: float(next(ticks))  # noqa: E731
    (job,) = make_plan(open_sources([str(parquet)]), ColumnChoice(), embed=False).jobs(
        index_dimension=0, allow_zero_vectors=False
    )
    survey = Surveyor(RepeatedIds(), 1000, 10**6, 0, full=True, clock=clock).look(job)
    assert survey.first == (1000, 1.0)
    assert survey.rest == (11_000, 11.0)
    assert survey.seconds_a_row == pytest.approx(0.001)


def test_the_batches_of_a_report_are_those_that_a_load_sends(tmp_path: Path, service: str) -> None:
    source = write_jsonl(tmp_path / "rows.jsonl", rows(250))
    key, name = vecload.generate_key(), f"batches-{time.time_ns()}"
    call = {"to": service, "index": name, "key": key, "batch_rows": 100, "wire": "binary"}
    report = vecload.inspect(source, full=True, **call).as_dict()
    result = vecload.load(source, **call, concurrency=1, state_dir=tmp_path / "state")
    assert report["sources"][0]["batches"]["count"] == result.wire["binary"] == 3
