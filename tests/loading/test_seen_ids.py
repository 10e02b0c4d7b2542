from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vecload.loading import repeated_ids as seen_ids
from vecload.loading.repeated_ids import SeenIds

CALLS = st.lists(st.lists(st.integers(0, 60).map(str), max_size=30), max_size=30)


@settings(max_examples=100, deadline=None)
@given(CALLS)
def test_a_row_repeats_an_id_if_and_only_if_a_set_of_all_ids_says_so(calls: list[list[str]]) -> None:
    seen, known = SeenIds(), set[str]()
    repeated = 0
    for ids in calls:
        again = []
        for item_id in ids:
            again.append(item_id in known)
            known.add(item_id)
        assert seen.add(ids).tolist() == again
        repeated += sum(again)
    assert seen.repeated == repeated
    assert seen.exact


@settings(max_examples=50, deadline=None)
@given(CALLS, st.integers(0, 40))
def test_at_its_limit_it_keeps_no_more_and_counts_too_few_but_never_too_many(
    calls: list[list[str]], limit: int
) -> None:
    seen = SeenIds(limit)
    for ids in calls:
        seen.add(ids)
    different = {item_id for ids in calls for item_id in ids}
    repeated = sum(map(len, calls)) - len(different)
    assert seen.repeated <= repeated
    assert seen.exact == (len(different) <= limit) or seen.repeated == repeated
    assert sum(map(len, seen._runs)) <= limit  # noqa: SLF001 the memory it takes


def test_runs_stay_few_and_none_grows_without_bound() -> None:
    seen = SeenIds()
    for start in range(0, 400_000, 1000):
        assert not seen.add([str(i) for i in range(start, start + 1000)]).any()
    runs = [len(run) for run in seen._runs]  # noqa: SLF001
    assert len(runs) <= 10
    assert max(runs) <= seen_ids._RUN  # noqa: SLF001
    assert all(np.all(run[:-1] < run[1:]) for run in seen._runs)  # noqa: SLF001
    assert seen.add(["399999", "400000"]).tolist() == [True, False]
