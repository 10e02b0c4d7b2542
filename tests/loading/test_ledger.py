"""The ledger: its numbers are true, and durable before they are claimed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.loading.batches import Clock, ack_of, batch_of, numbered, reject_of
from vecload.batch import Batch, Reject, Span
from vecload.errors import JournalError, RowsRejected, VecloadError
from vecload.loading.journal import COMMIT_SECONDS, Identity, Journal
from vecload.loading.ledger import SAMPLE_COMMITS, Ledger
from vecload.loading.rejects import ErrorLimit, RejectFile
from vecload.loading.retry import Outcome
from vecload.targets import Ack

IDENTITY = Identity("memory", "docs", ("/data/rows",), {"/data/rows": "print"}, ())


@pytest.fixture
def journal_of(tmp_path: Path) -> Iterator[Callable[..., Journal]]:
    opened: list[Journal] = []

    def make(clock: Clock | None = None) -> Journal:
        while opened:
            opened.pop().close()
        opened.append(Journal(tmp_path / "state", IDENTITY, clock=clock or Clock()))
        return opened[-1]

    yield make
    while opened:
        opened.pop().close()


def loaded(batch: Batch, *refused: Reject) -> Outcome:
    return Outcome(batch, replace(ack_of(batch), items=len(batch) - len(refused)), refused)


def with_rejects(n: int, *bad: int, start: int = 0) -> Batch:
    """A batch of n rows of which some were rejected when they were mapped."""
    good = [row for row in range(start, start + n) if row not in bad]
    batch = batch_of([f"i{row}" for row in good])
    rejects = tuple(reject_of(row) for row in bad)
    return replace(batch, span=Span("rows", start, start + n), rows=None, rejects=rejects)


def through(ledger: Ledger, batch: Batch, *refused: Reject) -> None:
    ledger.mapped(batch)
    ledger.acknowledged(loaded(batch, *refused))


def written(path: Path) -> list[int]:
    return [orjson.loads(line)["row"] for line in path.read_bytes().splitlines()]


def test_what_is_read_is_loaded_or_rejected(journal_of: Callable[..., Journal]) -> None:
    ledger = Ledger(journal=journal_of(), limit=ErrorLimit(10))
    through(ledger, with_rejects(10, 3, 4))
    through(ledger, numbered(5, start=10), reject_of(12))
    ledger.finish()
    totals = ledger.totals
    assert (totals.read, totals.loaded, totals.rejected, totals.skipped) == (15, 12, 3, 0)
    assert journal_of().had_finished


def test_a_load_that_resumes_counts_what_earlier_runs_did(journal_of: Callable[..., Journal]) -> None:
    first = Ledger(journal=journal_of(), limit=ErrorLimit(10))
    through(first, with_rejects(10, 3, 4))
    first.mapped(numbered(5, start=10))
    first.save()
    resumed = Ledger(journal=journal_of(), limit=ErrorLimit(10))
    assert (resumed.totals.read, resumed.totals.skipped, resumed.totals.rejected) == (10, 8, 2)
    assert [(span.start, span.stop) for span in resumed.done("rows")] == [(0, 10)]
    through(resumed, numbered(5, start=10))
    resumed.finish()
    assert resumed.totals.balanced
    assert (resumed.totals.read, resumed.totals.loaded) == (15, 5)


@pytest.mark.parametrize("items", [0, 4, 6])
def test_rows_that_do_not_add_up_are_never_called_complete(
    journal_of: Callable[..., Journal], items: int
) -> None:
    ledger = Ledger(journal=journal_of())
    batch = numbered(5)
    ledger.mapped(batch)
    ledger.acknowledged(Outcome(batch, Ack(items, {}, 0)))
    with pytest.raises(VecloadError, match=f"5 rows were read, but {items} loaded"):
        ledger.finish()
    ledger.save()
    assert not journal_of().had_finished


def test_a_batch_that_was_read_and_never_acknowledged_is_noticed() -> None:
    ledger = Ledger()
    through(ledger, numbered(5))
    ledger.mapped(numbered(5, start=5))
    with pytest.raises(VecloadError, match="10 rows were read, but 5 loaded"):
        ledger.finish()


def test_the_limit_counts_the_rejects_of_all_runs(journal_of: Callable[..., Journal]) -> None:
    first = Ledger(journal=journal_of(), limit=ErrorLimit(3))
    through(first, with_rejects(10, 1, 2))
    first.save()
    resumed = Ledger(journal=journal_of(), limit=ErrorLimit(3))
    through(resumed, with_rejects(10, 11, start=10))
    with pytest.raises(RowsRejected, match="4 rows rejected"):
        resumed.mapped(with_rejects(10, 21, start=20))


def test_a_percentage_is_judged_at_the_end_of_a_short_load(journal_of: Callable[..., Journal]) -> None:
    ledger = Ledger(journal=journal_of(), limit=ErrorLimit.parse("10%"))
    through(ledger, with_rejects(10, 1, 2))
    with pytest.raises(RowsRejected):
        ledger.finish()
    assert not journal_of().had_finished


def test_refusals_of_the_target_count_as_rejects_do() -> None:
    ledger = Ledger()
    batch = numbered(5)
    ledger.mapped(batch)
    with pytest.raises(RowsRejected, match="row 2"):
        ledger.acknowledged(loaded(batch, reject_of(2)))


def test_rejects_are_on_the_disk_before_their_span_is_recorded(
    journal_of: Callable[..., Journal], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    journal = journal_of(clock)
    rejects = RejectFile(str(tmp_path / "r.jsonl"))
    ledger = Ledger(journal=journal, rejects=rejects, limit=ErrorLimit(10))
    seen: list[tuple[int, list[int]]] = []
    commit = journal.commit

    def watched(**values: Any) -> None:
        seen.append((values["reject_bytes"], written(tmp_path / "r.jsonl")))
        commit(**values)

    monkeypatch.setattr(journal, "commit", watched)
    clock.now += COMMIT_SECONDS
    through(ledger, with_rejects(10, 7, 2), reject_of(5))
    assert seen == [(rejects.length, [2, 5, 7])]
    rejects.close()


def test_a_reject_file_that_can_not_be_written_leaves_the_span_unrecorded(
    journal_of: Callable[..., Journal], tmp_path: Path
) -> None:
    rejects = RejectFile(str(tmp_path / "r.jsonl"))
    ledger = Ledger(journal=journal_of(), rejects=rejects, limit=ErrorLimit(10))
    through(ledger, numbered(10))
    ledger.mapped(with_rejects(10, 12, start=10))
    rejects.close()
    with Path("/dev/full").open("wb", buffering=0) as full:
        rejects._file = full  # noqa: SLF001 - the disk fills under the open file
        with pytest.raises(JournalError, match="No space left"):
            ledger.acknowledged(loaded(with_rejects(10, 12, start=10)))
    ledger._rejects = None  # noqa: SLF001
    ledger.save()
    assert [(span.start, span.stop) for span in journal_of().done("rows")] == [(0, 10)]


def test_the_rejects_of_a_batch_that_comes_back_while_a_load_stops_are_told_beside_those_that_stopped_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "r.jsonl"
    rejects = RejectFile(str(path))
    ledger = Ledger(journal=None, rejects=rejects, limit=ErrorLimit(0))
    ledger.mapped(numbered(5))
    with pytest.raises(RowsRejected):
        ledger.mapped(with_rejects(5, 7, start=5))
    with pytest.raises(RowsRejected):
        ledger.acknowledged(loaded(numbered(5), reject_of(3)))
    ledger.save()
    assert written(path) == [7, 3]
    assert ledger.totals.rejected == 2
    rejects.close()


def test_the_rejects_that_stop_a_load_are_told_and_met_again_by_the_next_run(
    journal_of: Callable[..., Journal], tmp_path: Path
) -> None:
    path = tmp_path / "r.jsonl"
    rejects = RejectFile(str(path))
    ledger = Ledger(journal=journal_of(), rejects=rejects, limit=ErrorLimit(1))
    through(ledger, with_rejects(10, 1))
    with pytest.raises(RowsRejected):
        ledger.mapped(with_rejects(10, 11, start=10))
    ledger.save()
    rejects.close()
    assert written(path) == [1, 11]
    journal = journal_of()
    rejects = RejectFile(str(path), journal.reject_bytes)
    resumed = Ledger(journal=journal, rejects=rejects, limit=ErrorLimit(5))
    assert written(path) == [1]
    through(resumed, with_rejects(10, 11, start=10))
    resumed.finish()
    rejects.close()
    assert written(path) == [1, 11]
    assert resumed.totals.rejected == 2


def test_refusals_that_stop_a_load_are_told_and_met_again_by_the_next_run(
    journal_of: Callable[..., Journal], tmp_path: Path
) -> None:
    path = tmp_path / "r.jsonl"
    for run in range(2):
        journal = journal_of()
        rejects = RejectFile(str(path), journal.reject_bytes)
        ledger = Ledger(journal=journal, rejects=rejects)
        if not run:
            through(ledger, numbered(10))
        with pytest.raises(RowsRejected, match="row 12"):
            through(ledger, numbered(10, start=10), reject_of(12))
        ledger.save()
        rejects.close()
        assert written(path) == [12]
        assert (ledger.totals.loaded + ledger.totals.skipped, ledger.totals.rejected) == (10, 1)


def test_what_earlier_runs_rejected_is_judged_by_the_limit_of_this_one(
    journal_of: Callable[..., Journal],
) -> None:
    first = Ledger(journal=journal_of(), limit=ErrorLimit(3))
    through(first, with_rejects(10, 1, 2))
    first.save()
    for go_on in (lambda ledger: ledger.mapped(numbered(10, start=10)), Ledger.finish):
        with pytest.raises(RowsRejected, match="2 rows were rejected by earlier runs") as caught:
            go_on(Ledger(journal=journal_of(), limit=ErrorLimit(1)))
        assert "--max-errors" in caught.value.hint


def test_a_load_that_can_not_be_recorded_claims_only_what_is(
    journal_of: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    journal = journal_of(clock)
    ledger = Ledger(journal=journal, limit=ErrorLimit(10))
    clock.now += COMMIT_SECONDS
    through(ledger, with_rejects(10, 1))

    def fails(**_: Any) -> None:
        raise JournalError("the disk is full")

    monkeypatch.setattr(journal, "commit", fails)
    through(ledger, with_rejects(10, 11, 12, start=10))
    assert (ledger.totals.loaded, ledger.totals.rejected) == (17, 3)
    with pytest.raises(JournalError):
        ledger.save()
    assert (ledger.totals.loaded, ledger.totals.rejected) == (9, 1)


def test_a_run_without_a_reject_file_leaves_that_of_the_run_before(
    journal_of: Callable[..., Journal], tmp_path: Path
) -> None:
    path = tmp_path / "r.jsonl"
    rejects = RejectFile(str(path))
    ledger = Ledger(journal=journal_of(), rejects=rejects, limit=ErrorLimit(5))
    through(ledger, with_rejects(10, 1))
    ledger.save()
    rejects.close()
    without = Ledger(journal=journal_of(), limit=ErrorLimit(5))
    through(without, numbered(10, start=10))
    without.save()
    RejectFile(str(path), journal_of().reject_bytes).close()
    assert written(path) == [1]


def test_a_commit_waits_for_its_time(journal_of: Callable[..., Journal]) -> None:
    clock = Clock()
    journal = journal_of(clock)
    ledger = Ledger(journal=journal)
    through(ledger, numbered(10))
    assert journal.totals() == (0, 0)
    clock.now += COMMIT_SECONDS
    through(ledger, numbered(10, start=10))
    assert journal.totals() == (20, 0)


def test_the_journal_notes_an_item_at_once_and_another_now_and_then(
    journal_of: Callable[..., Journal],
) -> None:
    clock = Clock()
    ledger = Ledger(journal=journal_of(clock))
    for n in range(2 * SAMPLE_COMMITS):
        clock.now += COMMIT_SECONDS
        through(ledger, numbered(1, start=n))
    ledger.save()
    assert len(journal_of().samples()) == 2


def test_an_item_of_a_batch_with_refused_rows_is_not_noted(journal_of: Callable[..., Journal]) -> None:
    ledger = Ledger(journal=journal_of(), limit=ErrorLimit(1))
    through(ledger, batch_of(["a", "b", "a", "c"]), reject_of(1))
    through(ledger, batch_of(["d", "e"]))
    ledger.save()
    assert journal_of().samples() == ["e"]


def test_progress_is_told_of_every_span() -> None:
    told: list[tuple[int, int]] = []
    ledger = Ledger(on_progress=lambda span, totals: told.append((span.start, totals.loaded)))
    for start in (0, 5, 10):
        through(ledger, numbered(5, start=start))
    assert told == [(0, 5), (5, 10), (10, 15)]


def test_what_was_acknowledged_is_recorded_though_nothing_follows(journal_of: Callable[..., Journal]) -> None:
    clock = Clock()
    ledger = Ledger(journal=journal_of(clock))
    through(ledger, with_rejects(10))
    clock.now += COMMIT_SECONDS
    ledger.waiting()
    # As after a kill: the journal is opened anew, and nothing was saved.
    assert [(span.start, span.stop) for span in journal_of().done("rows")] == [(0, 10)]
