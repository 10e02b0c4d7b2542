"""Verification: compare sources with the index that holds them, item by item."""
