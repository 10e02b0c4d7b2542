"""Queries of an index in Python: their arguments and filters, checked, and the methods that ask them."""

from vecload.querying.methods import Queries

__all__ = ["Queries"]
