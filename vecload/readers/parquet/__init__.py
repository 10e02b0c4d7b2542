"""Parquet files, read in bounded memory; vectors are copied from their pages."""
