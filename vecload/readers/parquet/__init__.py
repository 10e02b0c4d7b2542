"""Parquet files, read in bounded memory; vectors are taken from their pages as they stand."""
