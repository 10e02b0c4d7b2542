"""Limits and defaults: numbers that the code and the help share. Importing them costs nothing."""

from __future__ import annotations

from typing import Final

BATCH_ROWS: Final = 1000
"""Rows of a batch: larger ones are slower, in the service and in the engine (docs/performance.md)."""
BATCH_BYTES: Final = 6_000_000
"""Bytes of a batch's rows in memory; base64 makes a request body of 8 MB of them."""
BINARY_THRESHOLD: Final = 2
"""Items of a batch from which `auto` sends it as binary (docs/wire-formats.md)."""
GIVE_UP_AFTER: Final = 300.0
"""Seconds from a batch's first failure to its last try."""
RESUME_WAIT: Final = 5.0
"""Seconds from a killed run's last record until what it had in flight is sent again (docs/reliability.md)."""
QUERY_TOP_K: Final = 10
"""Items that a query tells."""
LINE_MAX_BYTES: Final = 128 * 2**20
"""A line with contents at their limit, escaped, fits; a longer one is rejected, and never held whole."""
ID_MAX_BYTES: Final = 4096
"""Bytes of an id."""
ID_SEPARATOR: Final = ":"
"""Between the columns of an id that is made of several."""
CONTENTS_MAX_BYTES: Final = 48 * 2**20
"""The engine refuses 80 MB and takes 64 MB; base64 of sealed contents adds a third (docs/cyborgdb.md)."""
METADATA_DEPTH: Final = 200
"""Lists and objects inside one another, below the metadata object. The service takes 900 and not 1500, orjson
writes 250."""
ROW_GROUP_MAX_BYTES: Final = 256 * 2**20
"""What a column of a Parquet row group, a record batch of Arrow or an array may unpack to if that is over 200
times its bytes, and a row to."""
PACKED_AT_MOST: Final = 200
"""What data is packed to that any program wrote by itself; 20 is much already."""
ITEM_LIMIT: Final = 1_000_000
"""Items of an index without a licence key (docs/cyborgdb.md)."""
INSPECT_ITEMS: Final = 3
"""Items that `vecload inspect` shows of each source."""
JSON_MAX_BYTES: Final = 2**28
"""Bytes of a JSON document that is read whole; parsed it takes several times as much (docs/mapping.md)."""
