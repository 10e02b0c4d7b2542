"""CSV, TSV and the text format of PostgreSQL's COPY."""
