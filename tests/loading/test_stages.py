"""Where a load's time goes."""

from __future__ import annotations

import pytest

from tests.loading.batches import Clock
from vecload.loading.ledger import Stages, shares


def test_all_that_passes_between_two_laps_is_one_stages() -> None:
    clock = Clock()
    stages = Stages(lambda: clock.now)
    clock.now += 100  # before the load
    stages.start()
    for stage, seconds in (("read", 1), ("map", 2), ("read", 4), ("target", 8)):
        clock.now += seconds
        stages.lap(stage)  # type: ignore[arg-type]
    assert stages.seconds == {"read": 5, "map": 2, "seal": 0, "encode": 0, "target": 8, "record": 0}


def test_the_shares_add_up_and_the_target_is_divided_as_requests_spent_their_time() -> None:
    stages = Stages()
    stages.seconds = {"read": 1.0, "map": 1.0, "target": 8.0}
    found = shares(stages, sending=5.0, waiting=15.0)
    assert found == pytest.approx({"server": 0.6, "network": 0.2, "read": 0.1, "map": 0.1})
    assert next(iter(found)) == "server"
    assert sum(found.values()) == pytest.approx(1.0)


def test_without_a_network_the_target_is_all_that_is_waited_for() -> None:
    stages = Stages()
    stages.seconds = {"seal": 1.0, "target": 3.0}
    assert shares(stages, sending=0.0, waiting=0.0) == {"server": 0.75, "seal": 0.25, "network": 0.0}


def test_a_load_of_nothing_has_no_shares_to_speak_of() -> None:
    assert set(shares(Stages(), sending=0.0, waiting=0.0).values()) == {0.0}
