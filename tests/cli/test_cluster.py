"""The options of loads on a cluster."""

from __future__ import annotations

import pytest

from tests.cli.command import vecload
from vecload.cli.cluster import with_address


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ([], []),
        (["upsert", "a.parquet"], ["upsert", "a.parquet"]),
        (["upsert", "--ray"], ["upsert", "--ray=auto"]),
        (["upsert", "--ray", "a.parquet"], ["upsert", "--ray=auto", "a.parquet"]),
        (["upsert", "--ray", "--workers", "2"], ["upsert", "--ray=auto", "--workers", "2"]),
        (["upsert", "--ray", "head:6379", "a"], ["upsert", "--ray", "head:6379", "a"]),
        (["upsert", "--ray", "ray://[::1]:10001"], ["upsert", "--ray", "ray://[::1]:10001"]),
        (["upsert", "--ray=local"], ["upsert", "--ray=local"]),
        (["upsert", "--", "--ray"], ["upsert", "--", "--ray"]),
    ],
)
def test_an_address_behind_ray_may_be_absent(given: list[str], meant: list[str]) -> None:
    assert with_address(given) == meant


def test_workers_without_a_cluster_are_refused() -> None:
    ended = vecload("upsert", "a.parquet", "--workers", "2")
    assert (ended.code, "--workers is for loads on a cluster; add --ray" in ended.error) == (2, True)


def test_a_cluster_that_shares_no_store_is_refused_before_anything_is_read() -> None:
    ended = vecload("upsert", "a.parquet", "--ray")
    assert ended.code == 2
    assert "workers can't share an embedded store" in ended.error or "Ray is not installed" in ended.error
