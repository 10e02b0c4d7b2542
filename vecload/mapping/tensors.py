"""Tensors as Vespa writes them in JSON: values as a list or in hexadecimal, blocks, or cells one by one.

Source: https://docs.vespa.ai/en/reference/schemas/document-json-format.html#tensor
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecload.mapping.rows import SPARSE_FAULT, Fault, fault_of_several

_PARTS = frozenset({"values", "blocks", "cells"})
_TYPE = re.compile(r"tensor(?:<(\w+)>)?\(")
_CELLS = {"int8": "i1", "bfloat16": ">u2", "float": ">f4", "double": ">f8"}
"""The types of cells, as NumPy reads them."""
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")
_USUAL = (1e-6, 1e3)
"""Between these are nearly all magnitudes in embeddings; bytes read as wider numbers have any."""
_MANY_DIMENSIONS = Fault(
    "vector", "multi-vector", "is a tensor of several dimensions; an item has one vector"
)


def is_tensor(value: Any) -> bool:
    """Whether a value is a tensor, and not one with a plain list of `values`, which others write as well."""
    if not isinstance(value, dict) or len(value) != 1 + ("type" in value):
        return False
    (part,) = value.keys() - {"type"} or ("",)
    if part == "values":
        return isinstance(value[part], str) and _HEX.fullmatch(value[part]) is not None
    return part in _PARTS and isinstance(value[part], dict | list)


def dense_of(tensor: Mapping[str, Any]) -> Any:
    """What is in a tensor: a list, an object of numbered values, numbers, or a fault."""
    if "values" in tensor:
        return _of_hex(tensor["values"], tensor.get("type"))
    if "cells" in tensor:
        return _of_cells(tensor["cells"])
    blocks = blocks_of(tensor)
    if blocks is None:
        return Fault("vector", "not-a-list", "is a tensor whose blocks can't be read")
    if len(blocks) != 1:
        return fault_of_several(len(blocks))
    values = blocks[0][1]
    return {"type": tensor["type"], "values": values} if "type" in tensor else {"values": values}


def blocks_of(tensor: Mapping[str, Any]) -> list[tuple[str, Any]] | None:
    """The blocks of a tensor with their labels; None if it has none."""
    blocks = tensor.get("blocks")
    if isinstance(blocks, dict):
        return [*blocks.items()]
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        return None
    return [(_label(block.get("address")), block.get("values")) for block in blocks]


def _label(address: Any) -> str:
    return ",".join(map(str, address.values())) if isinstance(address, dict) else ""


def _of_cells(cells: Any) -> Any:
    """Cells of one dimension: `{"address": {"x": "0"}, "value": 0.1}`. Labels that are names are sparse."""
    if not isinstance(cells, dict):
        keyed: dict[str, Any] = {}
        for cell in cells:
            address = cell.get("address") if isinstance(cell, dict) else None
            if not isinstance(address, dict) or len(address) != 1:
                return _MANY_DIMENSIONS
            keyed[_label(address)] = cell.get("value")
        cells = keyed
    return cells if all(key.isascii() and key.isdigit() for key in cells) else SPARSE_FAULT


def _of_hex(text: str, kind: Any) -> NDArray[Any] | Fault:
    """Cells in hexadecimal, big-endian. Without a type they are int8, unless they look like wider numbers."""
    named = _TYPE.match(kind) if isinstance(kind, str) else None
    cell = "int8" if kind is None else (named[1] or "double") if named else ""
    if cell not in _CELLS:
        return Fault("vector", "hex", "is hexadecimal text of a tensor whose type is unknown")
    data = bytes.fromhex(text)
    if kind is None and any(_are_usual(_numbers(data, wider)) for wider in ("double", "float", "bfloat16")):
        return Fault(
            "vector", "hex", "is hexadecimal text without the type of its tensor; write it as a list"
        )
    numbers = _numbers(data, cell)
    if numbers is None:
        return Fault("vector", "hex", f"has {len(data)} bytes, which is not a whole number of {cell} values")
    return numbers


def _numbers(data: bytes, cell: str) -> NDArray[Any] | None:
    """Numbers of a type of cells; None if the bytes are not a whole number of them."""
    kind = np.dtype(_CELLS[cell])
    if len(data) % kind.itemsize:
        return None
    numbers = np.frombuffer(data, kind)
    if cell == "bfloat16":  # the upper half of a float32
        return (numbers.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return numbers.astype(kind.newbyteorder("="))


def _are_usual(numbers: NDArray[Any] | None) -> bool:
    """Whether several numbers all have magnitudes that are usual in embeddings."""
    if numbers is None or len(numbers) < 2 or not numbers.any():
        return False
    sizes = np.abs(numbers.astype(np.float64))
    return bool(np.all((sizes == 0) | ((sizes > _USUAL[0]) & (sizes < _USUAL[1]))))
