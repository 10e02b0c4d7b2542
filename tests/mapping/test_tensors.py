"""Tensors as Vespa writes them: the same vector in each of its forms, and what can't be one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vecload.mapping.rows import Fault
from vecload.mapping.tensors import blocks_of, is_tensor
from vecload.mapping.vector_values import float32_of, vector_in

V = [0.5, -0.25, 0.0, 2.0]


def hexa(kind: str) -> str:
    return np.array(V, kind).tobytes().hex()


BFLOAT16 = "".join(np.array([x], ">f4").tobytes()[:2].hex() for x in V)
FORMS: list[dict[str, Any]] = [
    {"type": "tensor<float>(x[4])", "values": V},
    {"type": "tensor<float>(x[4])", "values": hexa(">f4")},
    {"type": "tensor<float>(x[4])", "values": hexa(">f4").upper()},
    {"type": "tensor(x[4])", "values": hexa(">f8")},
    {"type": "tensor<double>(x[4])", "values": hexa(">f8")},
    {"type": "tensor<bfloat16>(x[4])", "values": BFLOAT16},
    {"blocks": {"a": V}},
    {"blocks": [{"address": {"p": "a"}, "values": V}]},
    {"type": "tensor<float>(p{},x[4])", "blocks": {"a": hexa(">f4")}},
    {"cells": [{"address": {"x": str(n)}, "value": V[n]} for n in (2, 0, 1, 3)]},
    {"type": "tensor<float>(x[4])", "cells": {str(n): x for n, x in enumerate(V)}},
]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_vector(form: dict[str, Any]) -> None:
    found = vector_in(form, None)
    assert not isinstance(found, Fault)
    assert float32_of(found).tobytes() == np.array(V, "<f4").tobytes()


def test_hexadecimal_text_without_a_type_is_bytes() -> None:
    found = vector_in({"values": "FF00118022FE"}, None)
    assert [*found] == [-1, 0, 17, -128, 34, -2]  # type: ignore[misc] # the example of the documentation


@pytest.mark.parametrize(
    ("tensor", "code"),
    [
        ({"values": hexa(">f4")}, "hex"),  # looks like wider numbers
        ({"type": "tensor<float>(x[2])", "values": "FF0011"}, "hex"),
        ({"type": "tensor<half>(x[2])", "values": "FF00"}, "hex"),
        ({"type": "x", "values": "FF00"}, "hex"),
        ({"blocks": {"a": V, "b": V}}, "multi-vector"),
        ({"blocks": {}}, "multi-vector"),
        ({"blocks": [1]}, "not-a-list"),
        ({"cells": {"a": 1.0}}, "sparse"),
        ({"cells": {"0": 1.0, "7": 1.0}}, "sparse"),
        ({"cells": [{"address": {"x": "0", "y": "1"}, "value": 1.0}]}, "multi-vector"),
        ({"cells": [{"value": 1.0}]}, "multi-vector"),
    ],
)
def test_what_is_no_vector_is_a_fault(tensor: dict[str, Any], code: str) -> None:
    found = vector_in(tensor, None)
    assert isinstance(found, Fault)
    assert found.code == code


def test_other_objects_are_no_tensors() -> None:
    for value in ({}, {"values": V}, {"values": "words"}, {"type": "x"}, {"values": "FF", "n": 1}, [1], None):
        assert not is_tensor(value)


def test_blocks_have_labels() -> None:
    address = {"p": "a", "q": "b"}
    assert blocks_of({"blocks": [{"address": address, "values": V}, {"values": V}]}) == [("a,b", V), ("", V)]
    assert blocks_of({"values": V}) is None
