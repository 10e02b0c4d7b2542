"""Rows with several vectors become several rows, and no text of theirs is left where it would be in clear."""

from __future__ import annotations

import json

from vecload.recipes.split import blocks_of, chunks_of

WAY = ("facets", "[]")
FIELDS = ("fields",)


def test_fields_that_chunks_are_from_are_left_out_of_every_row() -> None:
    row = {"id": 1, "a": "one", "b": "two", "facets": [{"a": "one", "v": [1]}, {"b": "two", "v": [2]}]}
    assert chunks_of(row, WAY) == [
        {"id": 1, "facets": {"v": [1], "text": "one"}},
        {"id": 1, "facets": {"v": [2], "text": "two"}},
    ]


def test_a_chunk_of_several_fields_leaves_all_of_them_out() -> None:
    text = json.dumps({"a": "one", "b": "two"})
    row = {"a": "one", "b": "two", "c": "x", "facets": [{"both": text, "v": [1]}]}
    assert chunks_of(row, WAY) == [{"c": "x", "facets": {"v": [1], "text": text}}]


def test_a_row_without_chunks_is_none() -> None:
    assert chunks_of({"a": 1}, WAY) == chunks_of({"facets": []}, WAY) == chunks_of({"facets": {}}, WAY) == []
    assert chunks_of({"facets": ["x"]}, WAY) == [{"facets": "x"}]


def test_blocks_become_rows_with_their_part_of_a_list_of_texts() -> None:
    fields = {"text": ["one", "two"], "tags": ["x", "y"], "e": {"blocks": {"0": [1], "1": [2]}}}
    assert blocks_of({"id": 1, "fields": fields}, FIELDS) == [
        {"id": 1, "block": "0", "fields": {"text": "one", "tags": ["x", "y"], "e": {"values": [1]}}},
        {"id": 1, "block": "1", "fields": {"text": "two", "tags": ["x", "y"], "e": {"values": [2]}}},
    ]


def test_texts_of_other_labels_stay_a_list() -> None:
    fields = {"text": ["one", "two"], "e": {"blocks": {"a": [1], "b": [2]}}}
    assert [row["fields"]["text"] for row in blocks_of({"fields": fields}, FIELDS)] == [["one", "two"]] * 2


def test_blocks_next_to_another_tensor_are_not_the_vector() -> None:
    row = {"fields": {"e": {"values": [1.0]}, "colbert": {"blocks": {"0": [1], "1": [2]}}}}
    assert blocks_of(row, FIELDS) == [row]
    assert blocks_of({"fields": None}, FIELDS) == [{"fields": None}]
