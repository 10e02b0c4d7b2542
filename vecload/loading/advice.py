"""What slows a load down, and the one setting that would help most."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vecload.batch import Batch
from vecload.errors import VecloadError
from vecload.options import LoadOptions
from vecload.readers import Source
from vecload.targets import IndexInfo, IndexSettings, connect_target

SAMPLE_ROWS = 2000
"""Items of a load to keep as a sample: enough to recognise a field with nearly unique values."""
UNIQUE_PART = 0.9
"""The part of a field's values that must be different for the field to count as nearly unique."""
UNIQUE_ROWS = 200
"""Items that must have a field before its values can be judged."""
WORTH_NAMING = 1.1
"""The advice names a setting only if the load becomes at least this many times as fast."""
_ROUNDS = 2


class Sample:
    """The first items of a load, as they were sent."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self._rows = 0

    def keep(self, batch: Batch) -> Batch:
        """Add a batch while the sample has room, and return the batch."""
        if self._rows < SAMPLE_ROWS and len(batch):
            self.batches.append(batch.part(0, SAMPLE_ROWS - self._rows))
            self._rows += len(self.batches[-1])
        return batch


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How a load was run: the settings that could be changed.

    Attributes:
        remote: It went to a service.
        wire: The requested wire format.
        concurrency: As requested: `auto` or a number.
        batch_rows: As requested: `auto` or a number.
        kinds: The formats of its sources: `parquet`, `jsonl`, …
        trained: The index had been trained before.
        unfilterable: Fields that should be unfilterable, and the measured gain: how many times as fast.
    """

    remote: bool
    wire: str = "auto"
    concurrency: str = "auto"
    batch_rows: str = "auto"
    kinds: frozenset[str] = frozenset({"parquet"})
    trained: bool = False
    unfilterable: tuple[tuple[str, ...], float] | None = None


def advice(shares: dict[str, float], load: Circumstances) -> str:
    """One sentence: what slowed the load down, and the setting that would help, if there is one.

    Args:
        shares: The parts of the load's time by stage.
        load: How it was run.
    """
    bottleneck = max(shares, key=lambda stage: shares[stage], default="server")
    return f"{_WHAT[bottleneck]}; {_SETTING[bottleneck](load)}"


def _for_server(load: Circumstances) -> str:
    if load.unfilterable is not None:
        fields, gain = load.unfilterable
        named = " ".join(f"--unfilterable {name}" for name in fields)
        return (
            f"nearly every value of {', '.join(fields)} is unique, and the engine indexes each: an index "
            f"created with {named} loaded the first rows {gain:.1f} times as fast"
        )
    if load.trained:
        return "a trained index accepts rows more slowly: load first, then train"
    if load.remote and load.concurrency == "1":
        return "--concurrency auto keeps it busy"
    if load.remote and load.wire == "json":
        return "--wire auto sends a format that it reads faster"
    if load.batch_rows != "auto":
        return "--batch-rows auto finds the fastest batch size"
    if load.remote:
        return "loading into a folder that the service then serves is faster"
    return "no setting would help: it is as fast as the engine"


def _for_reading(load: Circumstances) -> str:
    if "jsonl" in load.kinds:
        return "reading the same rows from Parquet is several times faster"
    return "a faster disk would help, or fewer columns, chosen with --metadata-column"


def _for_network(load: Circumstances) -> str:
    if load.wire == "json":
        return "--wire auto sends a third of the bytes"
    return "a machine closer to the service would help"


def _for_mapping(load: Circumstances) -> str:
    return "fewer metadata columns, chosen with --metadata-column, would help"


def _for_encoding(load: Circumstances) -> str:
    return "--wire auto would help" if load.wire == "json" else "fewer metadata columns would help"


_WHAT = {
    "server": "most time was spent waiting for the target",
    "network": "most time was spent sending",
    "read": "most time was spent reading the sources",
    "map": "most time was spent turning rows into items",
    "seal": "most time was spent sealing contents",
    "encode": "most time was spent encoding batches",
    "record": "most time was spent writing the journal",
}
_SETTING: dict[str, Callable[[Circumstances], str]] = {
    "server": _for_server,
    "network": _for_network,
    "read": _for_reading,
    "map": _for_mapping,
    "seal": lambda load: "no setting would help: sealing keeps contents unreadable to others",
    "encode": _for_encoding,
    "record": lambda load: "a faster disk for --state-dir would help",
}


def nearly_unique(batches: Sequence[Batch], schema: Mapping[str, Mapping[str, bool]]) -> tuple[str, ...]:
    """Filterable metadata fields with nearly unique values.

    Args:
        batches: Some items.
        schema: The index's policies by field; a field without a policy is filterable.
    """
    values: dict[str, list[Any]] = {}
    for batch in batches:
        for metadata in batch.metadata or ():
            for name, value in (metadata or {}).items():
                if isinstance(value, str | int | float) and not isinstance(value, bool):
                    values.setdefault(name, []).append(value)
    return tuple(
        sorted(
            name
            for name, seen in values.items()
            if len(seen) >= UNIQUE_ROWS
            and len(set(seen)) >= UNIQUE_PART * len(seen)
            and schema.get(name, {}).get("filterable", True)
        )
    )


def gain_of(fields: Sequence[str], batches: Sequence[Batch], settings: IndexSettings) -> float | None:
    """How many times as fast the engine loads some items if fields are unfilterable.

    Measures it on this machine: loads the items into embedded indexes in a temporary folder, alternately with
    the fields filterable and unfilterable. The fastest of each counts.

    Args:
        fields: The fields.
        batches: The items.
        settings: The settings of the load's index.

    Returns:
        The ratio of the rates; None if the engine is not available.
    """
    without = replace(settings, unfilterable=(*settings.unfilterable, *fields))
    fastest = [float("inf"), float("inf")]
    try:
        with tempfile.TemporaryDirectory(prefix="vecload-") as folder, connect_target(Path(folder)) as target:
            for number in range(2 * _ROUNDS):
                which = number % 2
                chosen = without if which else settings
                index = target.create_index(f"try-{number}", secrets.token_bytes(32), chosen)
                begun = time.perf_counter()
                for batch in batches:
                    index.upsert(batch)
                fastest[which] = min(fastest[which], time.perf_counter() - begun)
    except (VecloadError, OSError):
        return None
    return fastest[0] / fastest[1]


def advise(
    options: LoadOptions,
    sources: Sequence[Source],
    info: IndexInfo,
    shares: Mapping[str, float],
    sample: Sequence[Batch],
    *,
    remote: bool,
) -> str:
    """What slowed the load down, and the one setting that would help.

    Args:
        options: The options of the load.
        sources: Its sources.
        info: The index before the load.
        shares: The parts of the load's time by stage.
        sample: The first items, as sent.
        remote: The load went to a service.
    """
    load = Circumstances(
        remote=remote,
        wire=options.wire,
        concurrency=str(options.concurrency),
        batch_rows=str(options.batch_rows),
        kinds=frozenset(source.format for source in sources),
        trained=info.trained,
        unfilterable=_unfilterable(info, sample),
    )
    return advice(dict(shares), load)


def _unfilterable(info: IndexInfo, sample: Sequence[Batch]) -> tuple[tuple[str, ...], float] | None:
    """Fields that should be unfilterable, and the gain."""
    fields = nearly_unique(sample, info.metadata_schema)
    if not fields or any(batch.vectors is None or batch.to_embed is not None for batch in sample):
        return None
    gain = gain_of(fields, sample, _settings_of(info, sample))
    return None if gain is None or gain < WORTH_NAMING else (fields, gain)


def _settings_of(info: IndexInfo, sample: Sequence[Batch]) -> IndexSettings:
    """The settings that create an index like this one."""
    policies = info.metadata_schema
    full_text = tuple(name for name, policy in policies.items() if policy.get("full_text"))
    return IndexSettings(
        dimension=next(batch.vectors.shape[1] for batch in sample if batch.vectors is not None),
        unfilterable=tuple(
            name
            for name, policy in policies.items()
            if not policy.get("filterable") and name not in full_text
        ),
        pattern=tuple(name for name, policy in policies.items() if policy.get("pattern")),
        full_text=full_text,
    )
