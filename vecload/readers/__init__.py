"""Readers: sources opened by what they hold, and read as rows."""

from vecload.readers.open import JSONL_SUFFIXES, open_sources
from vecload.readers.read_options import ReadOptions
from vecload.readers.source import Source, missing

__all__ = ["JSONL_SUFFIXES", "ReadOptions", "Source", "missing", "open_sources"]
