"""Readers: sources opened by what they hold, and read as rows."""

from vecload.readers.open import open_sources
from vecload.readers.source import Source, missing

__all__ = ["Source", "missing", "open_sources"]
