"""Which options of a load copies and rekeys have, too. The others are about files and columns."""

from __future__ import annotations

from typing import Final

COPY_OPTIONS: Final = (
    *("seal", "wire", "binary_threshold", "batch_rows", "batch_bytes", "concurrency", "give_up_after"),
    *("resume_wait", "create", "create_key", "kms", "metric", "storage_precision"),
    *("unfilterable", "pattern", "full_text", "train", "max_errors", "rejects", "reject_rows"),
    *("fresh", "state_dir", "explain"),
)
REKEY_OPTIONS: Final = (
    *("wire", "binary_threshold", "batch_rows", "batch_bytes", "concurrency", "give_up_after"),
    *("max_errors", "rejects"),
)
