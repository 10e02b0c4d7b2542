"""Limits and defaults: numbers that the code and the help share. This module imports nothing heavy."""

from __future__ import annotations

from typing import Final

BATCH_ROWS: Final = 1000
"""The usual rows of a batch. Larger ones are slower, in the service and the engine (docs/performance.md)."""
BATCH_BYTES: Final = 6_000_000
"""The largest batch in memory, in bytes. With base64 it becomes a request body of 8 MB."""
BINARY_THRESHOLD: Final = 2
"""With `--wire auto`, batches are binary from this many items on (docs/wire-formats.md)."""
GIVE_UP_AFTER: Final = 300.0
"""Seconds from a batch's first failure to its last try."""
RESUME_WAIT: Final = 5.0
"""Seconds from a killed run's last record to sending its batches in flight again (docs/reliability.md)."""
QUERY_TOP_K: Final = 100
"""Items that a query returns, as with the SDK."""
QUERY_PRINTED: Final = 10
"""Items that `vecload query` prints."""
LINE_MAX_BYTES: Final = 128 * 2**20
"""The longest line. The largest contents fit, escaped; longer lines are rejected and never held whole."""
ID_MAX_BYTES: Final = 4096
"""The longest id, in bytes."""
ID_SEPARATOR: Final = ":"
"""The text between the values of an id from several columns."""
CONTENTS_MAX_BYTES: Final = 48 * 2**20
"""The engine accepts 64 MB but not 80 MB, and base64 of sealed contents adds a third (docs/cyborgdb.md)."""
METADATA_DEPTH: Final = 200
"""Levels of lists and objects below the metadata object. The service accepts 900 but not 1500; orjson writes
250."""
ROW_GROUP_MAX_BYTES: Final = 256 * 2**20
"""The most bytes that a row may expand to. Also the most for a column of a Parquet row group, an Arrow record
batch or an array that expands to more than PACKED_AT_MOST times its bytes."""
PACKED_AT_MOST: Final = 200
"""A higher compression ratio is suspicious: ordinary data rarely reaches 20."""
ITEM_LIMIT: Final = 1_000_000
"""Items of an index without a licence key (docs/cyborgdb.md)."""
ROWS_PER_SPLIT: Final = 250_000
"""Rows of a split: some seconds of work, so that a lost one costs little (docs/scaling.md)."""
INSPECT_ITEMS: Final = 3
"""Items of each source that `vecload inspect` shows."""
JSON_MAX_BYTES: Final = 2**28
"""The largest JSON document of one object, in bytes; parsed it takes several times that (docs/mapping.md)."""
