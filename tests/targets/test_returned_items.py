"""Items are what the service wrote, to the last bit and digit; what are no items is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from vecload.errors import NotAcknowledged
from vecload.targets.returned_items import stored_items_of


def items(text: str) -> Any:
    return stored_items_of(text.encode())


def test_items_are_what_the_service_wrote_whichever_parser_read_them() -> None:
    values = (
        '{"large":118059162071741130342,"float":1e+20,"unsigned":18446744073709551615,"one":1.0,"zero":-0.0}'
    )
    for more in ("", ',{"id":"b","metadata":{"x":"\\ud800"}}'):  # which only the slower one reads
        found = items(
            f'{{"results":[{{"id":"a","vector":[0.10000000149011612,-0.0,1e-45,3],"metadata":{values},'
            f'"contents":"c"}}{more}]}}'
        )
        assert repr(found[0].metadata) == repr(json.loads(values))
        assert found[0].vector.dtype == np.float32
        assert found[0].vector.view(np.uint32).tolist() == [0x3DCCCCCD, 0x80000000, 1, 0x40400000]
        assert (found[0].id, found[0].contents) == ("a", "c")


def test_integers_of_any_size_at_any_depth_stay_exact() -> None:
    deep = '{"a":' * 900 + str(2**70) + "}" * 900
    value = items(f'{{"results":[{{"id":"a","metadata":{{"x":[{{"y":{-(2**64)}}},{deep}]}}}}]}}')[0].metadata
    assert value["x"][0]["y"] == -(2**64)
    inner = value["x"][1]
    for _ in range(900):
        inner = inner["a"]
    assert inner == 2**70


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"results":{}}',
        '{"results":[{"id":1}]}',
        '{"results":[{"id":"a","vector":["1"]}]}',
        '{"results":[{"id":"a","vector":[[1]]}]}',
        '{"results":[{"id":"a","vector":[null]}]}',
        '{"results":[{"id":"a","vector":"1"}]}',
        '{"results":[{"id":"a","vector":[1e999]}]}',
        '{"results":[{"id":"a","vector":[NaN]}]}',
        '{"results":[{"id":"a","metadata":{"x":NaN}}]}',
        '{"results":[{"id":"a","metadata":{"x":-1e999}}]}',
        '{"results":[{"id":"a","contents":1}]}',
        '{"results":[{"id":"a"}]',
    ],
)
def test_what_are_no_items_is_not_taken_for_some(text: str) -> None:
    with pytest.raises(NotAcknowledged):
        items(text)
