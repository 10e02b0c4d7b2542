"""All that `vecload upsert` was told, as one value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vecload.cli.access import KeySource
from vecload.loading.rejects import ErrorLimit
from vecload.mapping import ColumnChoice, Rules
from vecload.options import RepeatedIdPolicy
from vecload.readers import ReadOptions
from vecload.targets import IndexSettings, WireFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class UpsertSettings:
    """All that `vecload upsert` was told, by flags, environment and vecload.toml."""

    sources: Sequence[str]
    reading: ReadOptions
    to: str | None
    index: str | None
    keys: KeySource
    api_key_file: Path | None
    columns: ColumnChoice
    rules: Rules
    wire: WireFormat
    binary_threshold: int
    batch_rows: str
    batch_bytes: int
    concurrency: str
    parse_workers: str
    seal: bool
    embed: bool
    create: bool
    creation: IndexSettings
    allow_zero_vectors: bool
    repeated_ids: RepeatedIdPolicy | None
    max_errors: ErrorLimit
    rejects: str | None
    reject_rows: bool
    retry_rejects: str | None
    train: bool
    state_dir: Path | None
    fresh: bool
    skip_loaded: bool
    give_up_after: float
    resume_wait: float
    explain: bool
    quiet: bool
    terminal: bool
