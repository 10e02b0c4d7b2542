"""Benchmarks: what is measured side by side in one run, as tables and JSON. None of them is a test."""
