"""What holds a load back, and the one setting that would help most."""

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
"""Items of a load that are kept to look at: enough to tell a field whose values are nearly all different."""
UNIQUE_PART = 0.9
"""Of a field's values, the part that must be different for it to count as nearly unique."""
UNIQUE_ROWS = 200
"""Items that must have a field before its values can be judged."""
WORTH_TELLING = 1.1
"""How many times as fast a load must become for a setting to be named."""
_ROUNDS = 2


class Sample:
    """The first items of a load, as they were sent."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self._rows = 0

    def keep(self, batch: Batch) -> Batch:
        """Keep a batch while the sample has room; the batch itself."""
        if self._rows < SAMPLE_ROWS and len(batch):
            self.batches.append(batch.part(0, SAMPLE_ROWS - self._rows))
            self._rows += len(self.batches[-1])
        return batch


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a load did, as far as it could be done otherwise.

    Attributes:
        remote: It went to a service.
        wire: The wire format that was asked for.
        concurrency: As it was asked for: `auto` or a number.
        batch_rows: As it was asked for: `auto` or a number.
        kinds: Of its sources: `parquet`, `jsonl`, …
            trained: The index had been trained before.
        unfilterable: The gain of declaring fields so, measured: the fields, and how many times as fast.
    """

    remote: bool
    wire: str = "auto"
    concurrency: str = "auto"
    batch_rows: str = "auto"
    kinds: frozenset[str] = frozenset({"parquet"})
    trained: bool = False
    unfilterable: tuple[tuple[str, ...], float] | None = None


def advice(shares: dict[str, float], load: Circumstances) -> str:
    """One sentence: what held the load back, and the setting that would help, if one would.

    Args:
        shares: Of the load's time by stage.
        load: How it was run.
    """
    bottleneck = max(shares, key=lambda stage: shares[stage], default="server")
    return f"{_WHAT[bottleneck]}; {_SETTING[bottleneck](load)}"


def _for_server(load: Circumstances) -> str:
    if load.unfilterable is not None:
        fields, gain = load.unfilterable
        named = " ".join(f"--unfilterable {name}" for name in fields)
        return (
            f"nearly all values of {', '.join(fields)} differ, and the engine indexes each: an index made "
            f"with {named} took the first rows {gain:.1f} times as fast"
        )
    if load.trained:
        return "an index that was trained takes rows more slowly: load first, train afterwards"
    if load.remote and load.concurrency == "1":
        return "--concurrency auto keeps it busy"
    if load.remote and load.wire == "json":
        return "--wire auto sends what it reads faster"
    if load.batch_rows != "auto":
        return "--batch-rows auto finds the size of batches that it takes fastest"
    if load.remote:
        return "an embedded load into a folder that the service serves afterwards is faster"
    return "no setting would help: it is as fast as the engine"


def _for_reading(load: Circumstances) -> str:
    if "jsonl" in load.kinds:
        return "the same rows in Parquet are read several times faster"
    return "a faster disk, or columns that are not needed left out with --metadata-column, would help"


def _for_network(load: Circumstances) -> str:
    if load.wire == "json":
        return "--wire auto sends a third of the bytes"
    return "a machine nearer to the service would help"


def _for_mapping(load: Circumstances) -> str:
    return "fewer metadata columns, picked with --metadata-column, would help"


def _for_encoding(load: Circumstances) -> str:
    return "--wire auto would help" if load.wire == "json" else "fewer metadata columns would help"


_WHAT = {
    "server": "the target was waited for most",
    "network": "sending was waited for most",
    "read": "reading the sources was waited for most",
    "map": "turning rows into items took most of the time",
    "seal": "sealing contents took most of the time",
    "encode": "encoding batches took most of the time",
    "record": "the journal took most of the time",
}
_SETTING: dict[str, Callable[[Circumstances], str]] = {
    "server": _for_server,
    "network": _for_network,
    "read": _for_reading,
    "map": _for_mapping,
    "seal": lambda load: "no setting would help: it is what keeps contents unreadable to others",
    "encode": _for_encoding,
    "record": lambda load: "a faster disk below --state-dir would help",
}


def nearly_unique(batches: Sequence[Batch], schema: Mapping[str, Mapping[str, bool]]) -> tuple[str, ...]:
    """Metadata fields whose values are nearly all different, though the index lets filters name them.

    Args:
        batches: Some items.
        schema: The index's policies by field; a field without one is filterable.
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
    """How many times as fast the engine takes some items if fields are unfilterable.

    Measured here: the items go into embedded indexes in a folder for the moment, in turn with the fields
    filterable and not; the fastest of each counts.

    Args:
        fields: The fields.
        batches: The items.
        settings: What the load's index is made with.

    Returns:
        The ratio of the rates; None where the engine can't be had.
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
    """What held the load back, and the one setting that would help.

    Args:
        options: What the load was asked for.
        sources: What it read.
        info: The index, before the load.
        shares: Of its time by stage.
        sample: Its first items, as they were sent.
        remote: It went to a service.
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
    """Fields that would be better unfilterable, and the gain."""
    fields = nearly_unique(sample, info.metadata_schema)
    if not fields or any(batch.vectors is None for batch in sample):
        return None
    gain = gain_of(fields, sample, _settings_of(info, sample))
    return None if gain is None or gain < WORTH_TELLING else (fields, gain)


def _settings_of(info: IndexInfo, sample: Sequence[Batch]) -> IndexSettings:
    """What an index like this one is made with."""
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
