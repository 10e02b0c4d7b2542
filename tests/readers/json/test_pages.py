"""Lines of several rows, and rows of two lines: the same batches by blocks, by processes, from any row on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.readers.json.test_workers import told
from vecload.mapping import ColumnMapping
from vecload.mapping.mapper import Mapper
from vecload.readers.json.jsonl import JsonlSource
from vecload.readers.json.workers import Parsers
from vecload.recipes.known import RecipeChoice, recipe_named

V = [0.5, 0.25]


@pytest.fixture(scope="module")
def parsers() -> Iterator[Parsers]:
    with Parsers(2, pays_from=0) as started:
        yield started


def answer(name: str, data: list[Any]) -> str:
    return json.dumps({"custom_id": name, "response": {"status_code": 200, "body": {"data": data}}})


def embedded(count: int) -> list[dict[str, Any]]:
    return [{"index": n, "embedding": [n + 0.5, 0.25]} for n in range(count)]


FIRST = answer("first", embedded(1))
PAGES = st.one_of(
    st.integers(0, 4).map(lambda count: answer("a", embedded(count))),
    st.sampled_from(
        [
            "",
            "not json",
            "[1]",
            answer("big", [{"embedding": [2.0**60, 1]}]),
            answer("text", [{"embedding": "AAAAPwAAgD4="}]),
            answer("none", [{"embedding": None}, 5]),
            json.dumps({"custom_id": "b", "response": {"status_code": 400}}),
            json.dumps({"custom_id": "c", "response": None, "error": {"message": "x"}}),
        ]
    ),
)
PAIR = [json.dumps({"index": {"_id": "first"}}), json.dumps({"v": V, "n": 1})]
PAIRS = st.lists(
    st.sampled_from(
        [
            [json.dumps({"index": {"_id": "a"}}), json.dumps({"v": [1.5, 2], "n": 2**70})],
            [json.dumps({"create": {"_id": "b"}}), json.dumps({"v": [1, True]})],
            [json.dumps({"index": {"_id": "c"}}), "not json"],
            [json.dumps({"index": {"_id": "d", "v": [3, 4]}}), json.dumps({"n": 1})],
            [json.dumps({"delete": {"_id": "e"}})],
            [json.dumps({"index": {"_id": "f"}}), json.dumps({"index": {"v": V}})],
            [json.dumps({"index": {"_id": "g"}})],
            [json.dumps({"v": V, "n": 5})],
            ["", "not json"],
        ]
    ),
    max_size=9,
).map(lambda pairs: [line for pair in pairs for line in pair])
OPENAI = ColumnMapping("custom_id", "embedding")
BULK = ColumnMapping(
    "_id",
    "_source.v",
    metadata_object="_source",
    nested=(("_source.v", ("_source", "v")),),
    excluded_fields=(("_source", "v"),),
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pages=st.tuples(st.just("openai"), st.lists(PAGES, max_size=20).map(lambda lines: [FIRST, *lines]))
    | st.tuples(st.just("elasticsearch"), PAIRS.map(lambda lines: [*PAIR, *lines])),
    end=st.booleans(),
    rows=st.integers(1, 7),
    size=st.integers(1, 900),
    keeps=st.booleans(),
    data=st.data(),
)
def test_the_batches_are_those_of_one_process_and_a_resumed_load_reads_just_the_rest(
    tmp_path: Path,
    parsers: Parsers,
    pages: tuple[str, list[str]],
    end: bool,
    rows: int,
    size: int,
    keeps: bool,
    data: st.DataObject,
) -> None:
    recipe, lines = pages
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(lines) + "\n" * end)
    source = JsonlSource(str(path))
    source.recipes = RecipeChoice(recipe_named(recipe))
    mapper = Mapper(OPENAI if recipe == "openai" else BULK, 2, keep_rows=keeps)
    options: dict[str, Any] = {"batch_rows": rows, "batch_bytes": size}

    alone = [told(batch) for batch in source.batches(mapper, **options)]
    together = [told(batch) for batch in source.batches(mapper, **options, parsers=parsers)]
    assert together == alone

    plain = [told(mapper.map(piece)) for piece in source.read(batch_rows=10**6, batch_bytes=10**9)]
    for part in (0, 5, 6, 7):
        assert [one for batch in alone for one in batch[part]] == [
            one for batch in plain for one in batch[part]
        ]
    assert b"".join(batch[1] for batch in alone) == b"".join(batch[1] for batch in plain)

    spans = [batch[4] for batch in alone]
    assert [span.start for span in spans[1:]] == [span.stop for span in spans[:-1]]
    done = [span for span in spans if data.draw(st.booleans())]
    rest = [told(batch) for batch in source.batches(mapper, **options, done=done, parsers=parsers)]
    left = [batch for batch in alone if batch[4] not in done]
    for part in (0, 5, 7):
        assert [one for batch in rest for one in batch[part]] == [
            one for batch in left for one in batch[part]
        ]
    assert b"".join(batch[1] for batch in rest) == b"".join(batch[1] for batch in left)


def test_a_line_that_lacks_its_other_one_spoils_no_row_after_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [*PAIR, json.dumps({"v": V, "n": 2}), json.dumps({"index": {"_id": "last"}}), PAIR[1]]
    path.write_text("\n".join(lines) + "\n" + json.dumps({"index": {"_id": "cut off"}}))
    source = JsonlSource(str(path))
    source.recipes = RecipeChoice(recipe_named("elasticsearch"))

    (batch,) = source.batches(Mapper(BULK, 2), batch_rows=10, batch_bytes=10**6)

    assert batch.ids == ["first", "last"]
    assert [(reject.row, reject.message) for reject in batch.rejects] == [
        (1, "has no line before it that belongs to it"),
        (3, "has no line after it that belongs to it"),
    ]
