"""Mapping: columns of any shape into Batch. What can't be mapped is a reject."""

from vecload.mapping.arrow_rows import ArrowRows
from vecload.mapping.guess import Column, ColumnChoice, Mapping, guess_mapping
from vecload.mapping.json_rows import JsonRows
from vecload.mapping.mapper import Mapper
from vecload.mapping.rows import Rows

__all__ = [
    "ArrowRows",
    "Column",
    "ColumnChoice",
    "JsonRows",
    "Mapper",
    "Mapping",
    "Rows",
    "guess_mapping",
]
