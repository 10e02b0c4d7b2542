"""`--explain`: what held a load back, said when it has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vecload.batch import Batch
from vecload.cli.settings import UpsertSettings
from vecload.loading.advice import WORTH_TELLING, Circumstances, advice, gain_of, nearly_unique
from vecload.readers import Source
from vecload.targets import IndexInfo, IndexSettings


def explain(
    settings: UpsertSettings,
    sources: Sequence[Source],
    info: IndexInfo,
    shares: Mapping[str, float],
    sample: Sequence[Batch],
    *,
    remote: bool,
) -> str:
    """What held the load back, and the one setting that would help.

    Args:
        settings: What the load was told.
        sources: What it read.
        info: The index, before the load.
        shares: Of its time by stage.
        sample: Its first items, as they were sent.
        remote: It went to a service.
    """
    load = Circumstances(
        remote=remote,
        wire=settings.wire,
        concurrency=settings.concurrency,
        batch_rows=settings.batch_rows,
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
