"""What the dependencies beyond the core earn, and what sealing costs.

    python -m benchmarks.encoding [--rounds 5] [--small]

A request body of 1000 x 768 written with orjson and pybase64 as vecload does it, and with json and base64 of
the standard library; and sealing beside bare AES-GCM with one key and a random nonce for each item.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import statistics
import time
from collections.abc import Callable
from typing import Any

import pybase64
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks.data import batches, data_file
from benchmarks.report import Report, parser, print_table, ratio
from vecload.batch import Batch
from vecload.sealing import Sealer
from vecload.targets.wire import encode_binary, encode_json

INDEX = "benchmark"
KEY_HEX = "ab" * 32
CONTENTS_BYTES = (100, 1024, 10 * 1024)
TURN_SECONDS = 0.2


def binary_by_standard_library(batch: Batch) -> bytes:
    """encode_binary, with json and base64."""
    assert batch.vectors is not None
    fields: dict[str, Any] = {
        "ids": batch.ids,
        "dimension": batch.vectors.shape[1],
        "vectors_b64": base64.b64encode(batch.vectors.tobytes()).decode("ascii"),
    }
    if batch.metadata is not None:
        fields["metadata"] = batch.metadata
    if batch.contents is not None:
        fields["contents"] = batch.contents
    return _body("batch", fields)


def json_by_standard_library(batch: Batch) -> bytes:
    """encode_json, with json."""
    assert batch.vectors is not None
    items: list[dict[str, Any]] = [
        {"id": item_id, "vector": vector}
        for item_id, vector in zip(batch.ids, batch.vectors.tolist(), strict=True)
    ]
    for name, column in (("metadata", batch.metadata), ("contents", batch.contents)):
        for item, value in zip(items, column or (), strict=column is not None):
            item[name] = value
    return _body("items", items)


def _body(name: str, value: Any) -> bytes:
    whole = {"index_name": INDEX, "index_key": KEY_HEX, name: value}
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode()


def settle_allocator() -> None:
    """Free a large block, as any load does early on.

    Until glibc has seen one freed, it hands each back to the kernel, and a body costs its page faults: ten
    times what writing it does, for whichever comes first.
    """
    block = bytes(32 * 2**20 - 2**16)
    del block


def milliseconds(task: Callable[[], object], seconds: float) -> float:
    """Of one call: the fastest of some time, since others only add to it."""
    fastest = float("inf")
    until = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < until or fastest == float("inf"):
        task()
        fastest = min(fastest, time.perf_counter() - begun)
    return fastest * 1000


def in_turn(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int, seconds: float
) -> dict[str, Any]:
    """Both in turn: milliseconds of each, and how many times as long theirs take."""
    found: dict[str, list[float]] = {"ours": [], "theirs": []}
    ours(), theirs()
    for _ in range(rounds):
        found["ours"].append(milliseconds(ours, seconds))
        found["theirs"].append(milliseconds(theirs, seconds))
    medians = {name: statistics.median(values) for name, values in found.items()}
    return medians | {"theirs_over_ours": ratio(found["theirs"], found["ours"])}


def bare(contents: list[str]) -> list[bytes]:
    """Bare AES-GCM: one key, a random nonce an item, bytes out; bound to nothing, and no text."""
    aead = AESGCM(b"k" * 32)
    sealed = []
    for text in contents:
        nonce = os.urandom(12)
        sealed.append(nonce + aead.encrypt(nonce, text.encode(), None))
    return sealed


def bare_text(contents: list[str]) -> list[str]:
    """The same as base64 text, since the service takes contents as text only."""
    return [pybase64.b64encode_as_string(sealed) for sealed in bare(contents)]


def main() -> None:
    """Measure and report."""
    settings = parser(__doc__).parse_args()
    rows, dim, seconds = 1000, 768, TURN_SECONDS
    if settings.small:
        rows, dim, seconds, settings.rounds = 100, 32, 0.001, 1
    report = Report("encoding", settings)
    sealer = Sealer(secrets.token_bytes(32), INDEX)

    bodies: dict[str, dict[str, Any]] = {}
    settle_allocator()
    for variant in ("vectors", "full"):
        batch = next(batches(data_file(settings.cache, rows, dim, variant), sealer))
        for wire, encode, standard in (
            ("binary", encode_binary, binary_by_standard_library),
            ("json", encode_json, json_by_standard_library),
        ):
            bodies[f"{wire}, {variant}"] = in_turn(
                lambda encode=encode, batch=batch: sum(map(len, encode(batch, INDEX, KEY_HEX))),
                lambda standard=standard, batch=batch: standard(batch),
                settings.rounds,
                seconds,
            ) | {"bytes": encode(batch, INDEX, KEY_HEX).nbytes}
    print_table(
        f"one body of {len(batch)} x {dim}",
        ["", "orjson, pybase64", "json, base64", "times"],
        [
            [name, f"{row['ours']:.2f} ms", f"{row['theirs']:.2f} ms", f"{row['theirs_over_ours']:.1f}"]
            for name, row in bodies.items()
        ],
    )

    seals: dict[str, dict[str, Any]] = {}
    ids = [f"doc-{number:09d}" for number in range(rows)]
    for size in CONTENTS_BYTES:
        contents = [secrets.token_hex(size // 2) for _ in ids]
        for name, other in (("bare AES-GCM", bare), ("bare AES-GCM and base64", bare_text)):
            seals[f"{size} bytes, {name}"] = in_turn(
                lambda contents=contents: sealer.seal(ids, contents),
                lambda other=other, contents=contents: other(contents),
                settings.rounds,
                seconds,
            )
    print_table(
        "sealing one item, microseconds",
        ["contents, beside", "vecload's envelope", "the other", "envelope / other"],
        [
            [
                name,
                f"{row['ours'] * 1000 / rows:.2f}",
                f"{row['theirs'] * 1000 / rows:.2f}",
                f"{1 / row['theirs_over_ours']:.2f}",
            ]
            for name, row in seals.items()
        ],
    )
    report.write({"bodies_ms": bodies, "sealing_ms_per_1000": seals, "rows": rows})


if __name__ == "__main__":
    main()
