from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cli.sources import rows, write_jsonl, write_parquet
from vecload.batch import Span
from vecload.loading.flow import Job
from vecload.loading.plan import make_plan
from vecload.loading.repeated_ids import digests_of, earlier_rows
from vecload.mapping import ColumnChoice, Rules
from vecload.readers import open_sources
from vecload.readers.prefetch import batches

ROWS = 400
BAD = (30, 270)


@pytest.fixture(params=["jsonl", "parquet"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    source = rows(ROWS)
    for row in BAD:
        source[row]["vector"] = [1.0]
    write = write_jsonl if request.param == "jsonl" else write_parquet
    return write(tmp_path / f"rows.{request.param}", source)


def job_of(path: Path, choice: ColumnChoice = ColumnChoice(), **rules: Any) -> Job:  # noqa: B008 a frozen value
    plan = make_plan(open_sources([str(path)]), choice, embed=False, rules=Rules(**rules))
    return plan.jobs(index_dimension=0, allow_zero_vectors=False)[0]


def spans_of(job: Job) -> tuple[list[Span], list[Span], dict[int, str]]:
    """Every other span of 20 rows, as if recorded: those without rejects, those with, and their items."""
    clean, rejecting = [], []
    items: dict[int, str] = {}
    for batch in batches(job.source, job.mapper, batch_rows=20, batch_bytes=10**7):
        if batch.span.start // 20 % 2:
            (rejecting if batch.rejects else clean).append(batch.span)
            items |= zip(batch.item_rows().tolist(), batch.ids, strict=True)
    return clean, rejecting, items


def found(job: Job, clean: Sequence[Span], rejecting: Sequence[Span]) -> dict[int, int]:
    return {
        row: digest
        for one in earlier_rows(job.source, job.mapper, clean, rejecting)
        for row, digest in zip(one.rows.tolist(), one.digests.tolist(), strict=True)
    }


@pytest.mark.parametrize(
    ("choice", "rules"),
    [
        (ColumnChoice(), {}),
        (ColumnChoice(), {"id_prefix": "p-"}),
        (ColumnChoice(excluded=("id",), renamed=(("title", "id"),), id="text"), {}),
        (ColumnChoice(excluded=("id",)), {"generate_ids": True}),
    ],
)
def test_the_ids_of_recorded_rows_are_those_with_which_they_were_loaded(
    path: Path, choice: ColumnChoice, rules: dict[str, Any]
) -> None:
    job = job_of(path, choice, **rules)
    clean, rejecting, items = spans_of(job)
    assert [span.start for span in rejecting] == [20, 260]
    assert len(items) == ROWS // 2 - len(BAD)
    wanted = dict(zip(items, digests_of([*items.values()]).tolist(), strict=True))
    assert found(job, clean, rejecting) == wanted
    assert found(job, clean, []).keys() == wanted.keys() - set(range(20, 40)) - set(range(260, 280))
