"""Mapping: which column is which, and rows into batches. Rows that can't be mapped are rejects."""

from vecload.mapping.columns import Column
from vecload.mapping.guess import guess_mapping
from vecload.mapping.json_rows import JsonRows
from vecload.mapping.mapper import Mapper
from vecload.mapping.mapping import ColumnChoice, ColumnMapping, Reasons, Rules
from vecload.mapping.rows import Rows

__all__ = [
    "Column",
    "ColumnChoice",
    "ColumnMapping",
    "JsonRows",
    "Mapper",
    "Reasons",
    "Rows",
    "Rules",
    "guess_mapping",
]
