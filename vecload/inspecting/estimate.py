"""How long a load may take: what reading and mapping took here, and what the target took elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from vecload.batch import Batch
from vecload.contents import Sealer, generate_key
from vecload.inspecting.fields import Field
from vecload.inspecting.survey import Survey
from vecload.loading.loader import seal
from vecload.targets.target import WireFormat
from vecload.targets.wire import choose_format, encode_binary, encode_json

BINARY_BYTES_A_SECOND = 60e6
"""What a service takes of binary bodies; docs/inspect.md tells of what machine, for this and the others."""
JSON_BYTES_A_SECOND = 37e6
"""And of JSON bodies."""
SERVICE_ITEMS_A_SECOND = 60_000
"""However small they are."""
EMBEDDED_BYTES_A_SECOND = 450e6
"""What an embedded store takes of vectors."""
FILTERABLE_SECONDS = 4e-6
"""What each filterable metadata field of an item costs the engine more."""
DIFFERENT_SECONDS = 8e-6
"""And each of which nearly every value is another."""


@dataclass(frozen=True, slots=True)
class Sending:
    """How the first batch would be sent.

    Attributes:
        wire: `json` or `binary`; `none` for an embedded store.
        rows: Its items.
        nbytes: Of its request body, or of the items where there is no wire.
        seconds: That sealing and encoding it took.
    """

    wire: str
    rows: int
    nbytes: int
    seconds: float


def first_sending(
    batch: Batch,
    *,
    index_name: str,
    remote: bool,
    wire: WireFormat,
    binary_threshold: int,
    sealed: bool,
    clock: Callable[[], float] = time.perf_counter,
) -> Sending:
    """Seal and encode a batch under a key made for this alone, and forget it."""
    sealer = Sealer(generate_key().contents_key, index_name) if sealed else None
    begun = clock()
    batch = seal(batch, sealer)
    if not remote:
        return Sending("none", len(batch), batch.nbytes, clock() - begun)
    chosen = choose_format(batch, wire, binary_threshold)
    body = (encode_json if chosen == "json" else encode_binary)(batch, index_name, "0" * 64)
    return Sending(chosen, len(batch), sum(map(len, body)), clock() - begun)


@dataclass(frozen=True, slots=True)
class Estimate:
    """About how long a load would take.

    Attributes:
        reading: Seconds to read, map and seal all rows: measured here on the rows looked at, on one thread.
        target: Seconds that the target may take: from the figures of another machine.
    """

    reading: float
    target: float

    @property
    def seconds(self) -> float:
        """About how long: both go on at once, and the slower one counts."""
        return max(self.reading, self.target)


def estimate(sources: Sequence[tuple[Survey, Sending]], unfilterable: Collection[str]) -> Estimate:
    """Estimate a load.

    Args:
        sources: Of every source what was seen, and how its first batch would be sent.
        unfilterable: Fields that the index doesn't make filterable.
    """
    reading = target = 0.0
    for survey, sending in sources:
        per_item = sending.seconds / max(sending.rows, 1)
        reading += survey.rows * (survey.seconds_a_row + per_item)
        items = survey.rows * (1 - survey.rejected / max(survey.looked_at, 1))
        target += items * _target_seconds(survey, sending, unfilterable)
    return Estimate(reading, target)


def _target_seconds(survey: Survey, sending: Sending, unfilterable: Collection[str]) -> float:
    """Seconds that the target takes for an item."""
    nbytes = sending.nbytes / max(sending.rows, 1)
    if sending.wire != "none":
        rate = JSON_BYTES_A_SECOND if sending.wire == "json" else BINARY_BYTES_A_SECOND
        return max(nbytes / rate, 1 / SERVICE_ITEMS_A_SECOND)
    fields: list[Field] = [one for one in survey.fields if one.name not in unfilterable]
    items = max(survey.fields.items, 1)
    costs = (
        (DIFFERENT_SECONDS if one.nearly_all_different else FILTERABLE_SECONDS) * one.present / items
        for one in fields
    )
    return nbytes / EMBEDDED_BYTES_A_SECOND + sum(costs)
