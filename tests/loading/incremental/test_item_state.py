"""The item state: the last claim on an id counts, and what was not committed is not claimed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vecload.errors import JournalError, LoadLocked
from vecload.loading.incremental.item_digests import Digests
from vecload.loading.incremental.item_state import ItemState, Sampled, others_write
from vecload.loading.incremental.known_items import KnownItems


def digests(*numbers: int) -> Digests:
    return np.array([[number, number + 1000] for number in numbers], dtype=np.uint64)


def claims(state: ItemState) -> dict[int, tuple[int, int]]:
    """The items and owners that the state claims, by id."""
    return {int(one["id"][0]): (int(one["item"][0]), int(one["owner"])) for one in state.records()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "one.items"


def test_the_last_claim_counts_and_a_withdrawn_one_leaves_its_id(path: Path) -> None:
    state = ItemState(path, "key")
    state.add(digests(3, 1, 2), digests(30, 10, 20), 1)
    state.add(digests(2), None, 1)
    state.add(digests(3), None, 0)
    state.add(digests(1, 1), digests(11, 12), 2)
    state.commit()
    assert claims(state) == {1: (12, 2), 2: (0, 1)}
    state.rewrite(state.records())
    state.add(digests(4), digests(40), 1)
    state.commit()
    state.close()
    again = ItemState(path, "key")
    assert claims(again) == {1: (12, 2), 2: (0, 1), 4: (40, 1)}
    assert again.why_forgotten == ""
    again.close()


def test_what_was_not_committed_is_not_claimed(path: Path) -> None:
    state = ItemState(path, "key")
    state.add(digests(1), digests(10), 1)
    state.commit()
    state.add(digests(2), digests(20), 1)
    state.close()
    again = ItemState(path, "key")
    assert claims(again) == {1: (10, 1)}
    again.close()


def test_many_claims_are_read_back_in_order(path: Path) -> None:
    numbers = np.random.default_rng(1).permutation(700_000)[:300_000]
    ids = np.stack((numbers, numbers), axis=1).astype(np.uint64)
    state = ItemState(path, "key")
    state.add(ids, ids + np.uint64(1), 1)
    assert state.should_rewrite
    state.rewrite(state.records())
    assert not state.should_rewrite
    state.commit()
    known = KnownItems(state.records())
    state.close()
    assert len(known) == 300_000
    assert (known.find(ids) >= 0).all()
    assert (known.find(ids + np.uint64(700_000)) == -1).all()


def test_ids_that_share_half_of_their_digest_are_told_apart() -> None:
    ids = np.array([[5, low] for low in range(10)], dtype=np.uint64)
    known = KnownItems(_records(ids[1::2]))
    assert (known.find(ids) >= 0).tolist() == [False, True] * 5
    assert len({*known.find(ids[1::2]).tolist()}) == 5


def _records(ids: Digests) -> np.ndarray:
    from vecload.loading.incremental.item_state import RECORD

    records = np.zeros(len(ids), dtype=RECORD)
    records["id"], records["owner"] = ids, 1
    return records


def test_another_key_forgets_all_unless_it_is_only_to_be_looked_at(path: Path) -> None:
    state = ItemState(path, "key")
    state.add(digests(1), digests(10), 1)
    state.commit()
    state.close()
    looked = ItemState(path, "other", replace=False)
    assert not looked.readable
    looked.close()
    kept = ItemState(path, "key")
    assert claims(kept) == {1: (10, 1)}
    kept.close()
    other = ItemState(path, "other")
    assert "contents key" in other.why_forgotten
    assert claims(other) == {}
    other.close()


def test_others_that_write_are_remembered_and_keep_loads_of_changes_away(path: Path) -> None:
    with others_write(path):
        assert not path.exists()  # nothing was claimed, so nothing is wrong
    ItemState(path, "key").close()
    with others_write(path), others_write(path), pytest.raises(LoadLocked):
        ItemState(path, "key")
    state = ItemState(path, "key")
    assert "changed the index" in state.why_forgotten
    with pytest.raises(LoadLocked), others_write(path):
        pass
    state.close()


def test_a_sample_is_kept_replaced_and_dropped(path: Path) -> None:
    state = ItemState(path, "key")
    state.add_sample([Sampled(b"1" * 16, "sealed"), Sampled(b"2" * 16, "sealed", b"item", b"vector")])
    state.drop_sample([b"1" * 16])
    state.commit()
    assert state.sample() == [Sampled(b"2" * 16, "sealed", b"item", b"vector")]
    state.add_sample([Sampled(b"3" * 16, "other")], only=True)
    assert state.sample() == [Sampled(b"3" * 16, "other")]
    state.close()


def test_a_state_that_can_not_be_kept_is_an_error_of_the_journal(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="can't keep a journal"):
        ItemState(tmp_path / "file" / "one.items", "key")
