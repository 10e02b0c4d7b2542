"""`vecload`, broken on purpose: `python -m tests.faults.mutant NAME upsert ...`.

Each mutation is a loader that somebody might have written. test_mutations.py shows that the tests tell each
from the real one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import vecload.loading.dispatch as dispatch_module
import vecload.loading.journal as journal_module
import vecload.targets.service as service_module
from vecload.__main__ import main
from vecload.batch import Batch, Span
from vecload.loading.journal import Journal
from vecload.loading.ledger import Ledger


def no_guard_of_order() -> None:
    """Batches that share an id may be in flight together."""
    dispatch_module.frozenset = lambda ids: frozenset()  # type: ignore[attr-defined]


def any_200_is_an_acknowledgement() -> None:
    """What a 200 says is not read."""
    service_module.check_upserted = lambda body, items: None


def no_journal() -> None:
    """Nothing is recorded."""
    Journal.record = lambda self, span, loaded, rejected, ids=None: None  # type: ignore[method-assign]


def journaled_before_the_acknowledgement() -> None:
    """A span is recorded when it is sent."""
    mapped = Ledger.mapped

    def early(self: Any, batch: Batch) -> None:
        mapped(self, batch)
        self._journal.record(batch.span, len(batch), len(batch.rejects))
        self._commit()

    Ledger.mapped = early  # type: ignore[method-assign]


def resumed_by_high_water_mark() -> None:
    """All rows before the last acknowledged one are taken to be in."""
    done = Journal.done

    def below(self: Journal, source: str, *, rejecting: bool | None = None) -> Sequence[Span]:
        spans = done(self, source, rejecting=rejecting)
        return [replace(spans[-1], start=0)] if spans and rejecting is None else spans

    Journal.done = below  # type: ignore[method-assign,assignment]


def commits_each() -> None:
    """No mutation: every batch is committed by itself."""
    journal_module.COMMIT_SECONDS = 0.0


def impatient() -> None:
    """No mutation: a request may take one second, where the real command waits 120."""
    settings = service_module.ServiceTarget.__init__.__kwdefaults__
    settings["request_seconds"] = 1.0


MUTANTS: dict[str, Callable[[], None]] = {
    mutation.__name__: mutation
    for mutation in (
        no_guard_of_order,
        any_200_is_an_acknowledgement,
        no_journal,
        journaled_before_the_acknowledgement,
        resumed_by_high_water_mark,
        commits_each,
        impatient,
    )
}

if __name__ == "__main__":
    MUTANTS[sys.argv.pop(1)]()
    main()
