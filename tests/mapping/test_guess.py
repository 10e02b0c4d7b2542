from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from vecload.batch import Span
from vecload.errors import MappingError
from vecload.mapping import Column, ColumnChoice, ColumnMapping, Rules, guess_mapping
from vecload.mapping.arrow_rows import columns_of as arrow_columns
from vecload.mapping.columns import ValueKind
from vecload.mapping.columns import columns_of as json_columns
from vecload.mapping.first_rows import with_first_rows
from vecload.mapping.id_choice import ID_NAMES, UNSURE_ID_NAMES
from vecload.mapping.json_rows import JsonRows
from vecload.mapping.metadata_choice import METADATA_NAMES
from vecload.mapping.names import CONTENTS_NAMES

FLOATS = [0.5, -0.25, 0.125, 0.75, -0.5, 0.25, 0.0625, -0.125]
VECTOR_NAMES = (
    "vector",
    "embedding",
    "embeddings",
    "values",
    "emb",
    "features",
    "content_embedding",
    "emb_f32",
)
NORMAL = np.random.default_rng(0).standard_normal(64).astype("<f4")
OTHER_NAMES = (
    "scores",
    "bbox",
    "ranges",
    "token_ids",
    "neighbors",
    "sort",
    "loc",
    "timings",
    "rerank_scores",
)
PART_NAMES = ("chunk", "chunk_no", "part", "partNumber", "page", "seq_no", "chunk_id", "user_id")
SAMPLES: dict[ValueKind, tuple[Any, ...]] = {
    "text": ("a1", "b2"),
    "integer": (1, 2),
    "bytes": (b"\xff" * 5, b"\xfe" * 5),
    "floats": (FLOATS, FLOATS[::-1]),
    "integers": ([1, 2, 3], [4, 5, 6]),
    "object": ({}, {}),
    "null": (None, None),
    "other": (True, False),
}
"""Values that a column of each kind may have."""


def column(name: str, kind: ValueKind, **more: Any) -> Column:
    return Column(name, kind, values=SAMPLES[kind], **more)


def json(*rows: dict[str, Any]) -> list[Column]:
    """The columns of JSON rows, with their values."""
    head = JsonRows(Span("a.jsonl", 0, len(rows)), rows)
    return with_first_rows(head.columns(), head)


def columns(**kinds: ValueKind) -> list[Column]:
    return [column(name, kind) for name, kind in kinds.items()]


def guess(
    columns: list[Column],
    *,
    embed: bool = False,
    id: str | None = None,  # noqa: A002 the field's own name
    vector: str | None = None,
    contents: str | None = None,
    metadata: tuple[str, ...] = (),
    excluded: tuple[str, ...] = (),
) -> ColumnMapping:
    choice = ColumnChoice(id, vector, contents, metadata, excluded)
    return guess_mapping(columns, choice, source="a.parquet", embed=embed)


def refusal(columns: list[Column], **named: object) -> str:
    with pytest.raises(MappingError) as failed:
        guess(columns, **named)  # type: ignore[arg-type]
    message = str(failed.value)
    assert "a.parquet" in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", [*ID_NAMES, *UNSURE_ID_NAMES, "ID", "Doc_Id"])
def test_the_usual_names_of_ids_are_known(name: str) -> None:
    assert guess([column(name, "text"), column("vector", "floats")]).id == name


def test_an_id_column_named_id_comes_before_the_other_usual_names() -> None:
    found = guess(columns(key="text", uuid="text", id="integer", vector="floats"))
    assert found.id == "id"
    assert found.leftover(["key", "uuid", "id", "vector"]) == ["key", "uuid"]


def test_of_ids_that_differ_in_case_alone_the_usual_name_as_it_is_comes_first() -> None:
    assert guess([column("ID", "text"), column("id", "text"), column("v", "floats")]).id == "id"


@pytest.mark.parametrize(
    ("name", "flag"),
    [("id", "--id-column"), ("metadata", "--metadata-column")],
)
def test_of_two_spellings_of_a_usual_name_neither_is_guessed(name: str, flag: str) -> None:
    rest = [column("_id", "text"), column("v", "floats")]
    message = refusal([column(name.title(), "text"), column(name.upper(), "text"), *rest])
    assert f"differ only in case: '{name.title()}', '{name.upper()}'; pick one with {flag}" in message
    exact = guess([column(name.title(), "text"), column(name, "text"), *rest])
    assert name in (exact.id, exact.contents, exact.metadata_object)


def test_an_id_that_tells_nothing_comes_after_one_that_does() -> None:
    found = guess([column("id", "null"), column("_id", "text"), column("v", "floats")])
    assert (found.id, found.leftover(["id", "_id", "v"])) == ("_id", ["id"])
    assert guess([column("id", "null"), column("v", "floats")]).id == "id"


def test_contents_of_nulls_come_after_those_that_tell() -> None:
    rest = [column("id", "text"), column("v", "floats"), column("content", "null")]
    assert guess([*rest, column("body", "text")]).contents == "body"
    assert guess([*rest, column("body", "other")]).contents == "content"


def test_why_a_vector_was_taken_is_true_of_the_other_columns() -> None:
    source = columns(id="text", v="floats")
    assert guess(source).reasons.vector == "its name"
    source = [column("id", "text"), column("mine", "floats")]
    assert guess(source).reasons.vector == "the only column of lists of numbers"
    source += columns(tags="integers")
    assert guess(source).reasons.vector == "the only column that could be one"


def test_an_index_without_a_name_is_metadata_only_if_it_is_named() -> None:
    source = columns(id="text", v="floats", a="text", __index_level_0__="integer")
    names = [column.name for column in source]
    found = guess(source)
    assert (found.id, found.leftover(names), found.excluded) == ("id", ["a"], ("__index_level_0__",))
    assert guess(source, metadata=("__index_level_0__",)).leftover(names) == ["__index_level_0__"]


@pytest.mark.parametrize("kind", ["floats", "integers", "null"])
def test_to_embed_takes_the_vectors_that_rows_have(kind: ValueKind) -> None:
    source = [column("id", "text"), column("text", "text"), column("embedding", kind)]
    found = guess(source, embed=True)
    assert (found.vector, found.embed, found.leftover(["embedding"])) == ("embedding", True, [])
    assert "embedding" in found.line(0, seal=True)
    assert "else made by the index" in found.line(0, seal=True)
    assert "text, sealed if the row has a vector" in found.line(0, seal=True)


@pytest.mark.parametrize("kind", ["floats", "integers"])
def test_to_embed_leaves_excluded_vectors_out_of_the_metadata_too(kind: ValueKind) -> None:
    source = [column("id", "text"), column("text", "text"), column("embedding", kind)]
    found = guess(source, embed=True, excluded=("embedding",))
    assert (found.vector, found.leftover(["embedding"])) == (None, [])
    assert "text, unsealed" in found.line(0, seal=True)
    named = guess(source, embed=True, metadata=("embedding",))
    assert (named.vector, named.leftover(["embedding"])) == (None, ["embedding"])


def test_to_embed_takes_no_other_lists_for_vectors() -> None:
    # Without --embed, the only list of numbers is the vector, since there has to be one.
    source = [column("id", "text"), column("text", "text"), column("mine", "floats")]
    assert guess(source).vector == "mine"
    assert guess(source, embed=True).vector is None


def test_to_embed_with_two_columns_of_vectors_asks_which() -> None:
    source = columns(id="text", text="text", title_embedding="floats", body_embedding="floats")
    says = refusal(source, embed=True)
    assert "'title_embedding'" in says
    assert "--vector-column" in says
    assert "--metadata-exclude title_embedding --metadata-exclude body_embedding" in says
    out = ("title_embedding", "body_embedding")
    assert guess(source, embed=True, excluded=out).vector is None
    assert guess(source, embed=True, excluded=out[:1]).vector == "body_embedding"


def test_to_embed_needs_contents_only_where_there_are_no_vectors() -> None:
    assert guess(columns(id="text", embedding="floats"), embed=True).contents is None
    assert "--embed needs" in refusal(columns(id="text", year="integer"), embed=True)


def test_free_text_named_metadata_is_a_field_like_any_other() -> None:
    source = [*columns(id="text", v="floats"), column("meta", "text", free_text=True)]
    for found in (guess(source), guess(source, metadata=("meta",))):
        assert found.metadata_object is None
        assert found.leftover(["meta"]) == ["meta"]


def test_without_an_id_column_the_message_lists_the_columns_and_the_flag() -> None:
    message = refusal(columns(number="text", vector="floats"))
    assert message == (
        "a.parquet has no id column; it has 'number', 'vector'; name it with --id-column "
        "('number' ('a1', …) would work), or generate ids with --generate-ids"
    )


def test_a_source_without_columns_says_so() -> None:
    assert "it has no columns" in refusal([])


@pytest.mark.parametrize("name", [*VECTOR_NAMES, "anything at all"])
def test_the_one_list_of_floats_is_the_vector_whatever_its_name(name: str) -> None:
    assert guess([column("id", "text"), column(name, "floats"), column("ints", "integers")]).vector == name


@pytest.mark.parametrize("name", [*OTHER_NAMES, "logprobs"])
def test_a_list_that_is_named_as_something_else_is_never_the_vector(name: str) -> None:
    message = refusal([column("id", "text"), column(name, "floats")])
    assert f"has no clear vector column; it has {name!r} (8 numbers, [0.5, -0.25, …])" in message
    assert message.endswith("name it with --vector-column")
    assert (
        guess([column("id", "text"), column(name, "floats"), column("embedding", "integers")]).vector
        == "embedding"
    )


def test_a_list_of_integers_is_never_the_vector_without_such_a_name() -> None:
    assert "'quantised' (3 integers, [1, 2, …])" in refusal(columns(id="text", quantised="integers"))
    assert guess(columns(id="text", emb_int8="integers")).vector == "emb_int8"


def test_a_short_list_of_no_name_may_be_a_point() -> None:
    assert "'where' (2 numbers" in refusal(json({"id": "a", "where": [0.5, 1.5]}))
    assert guess(json({"id": "a", "vector": [0.5, 1.5]})).vector == "vector"


def test_a_longer_list_that_is_named_nothing_else_is_never_passed_over() -> None:
    rows = {"id": "a", "embedding": [0.5, 1.5]}
    assert "'embedding' (2 numbers, [0.5, 1.5, …]), 'other' (8" in refusal(json({**rows, "other": FLOATS}))
    assert guess(json({**rows, "scores": FLOATS})).vector == "embedding"
    assert guess(json({**rows, "tokens": [1] * 9})).vector == "embedding"
    assert guess(json({**rows, "x": [0.5]})).vector == "embedding"


def test_a_column_named_like_a_vector_that_is_null_at_first_is_a_candidate() -> None:
    rows = {"id": "a", "embedding": None}
    assert guess(json({**rows, "scores": FLOATS})).vector == "embedding"
    assert "'embedding' (null in the first rows), 'x' (8" in refusal(json({**rows, "x": FLOATS}))
    assert "several" in refusal(json({**rows, "title_vec": FLOATS}))
    assert guess(json({"id": "a", "vector": FLOATS, "embedding_error": None})).vector == "vector"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ([str(x) for x in FLOATS], "8 numbers as number texts"),
        (str(FLOATS), "8 numbers as array text"),
        ("{" + ",".join(map(str, FLOATS)) + "}", "8 numbers as array text"),
        ({"type": "Buffer", "data": [*NORMAL.tobytes()]}, "64 numbers as buffer"),
        ({str(i): x for i, x in enumerate(FLOATS)}, "8 numbers as keyed numbers"),
        ({"values": FLOATS}, "8 numbers as dense struct"),
        ([FLOATS], "8 numbers as list in a list"),
    ],
)
def test_a_vector_in_any_encoding_is_the_candidate_and_not_the_box_next_to_it(
    value: Any, written: str
) -> None:
    for name in ("embedding", "mine"):
        row = {"id": "a", name: value, "bbox": [0.1, 0.2, 0.3, 0.4]}
        found = guess(json(row, {**row, "id": "b"}))
        assert (found.vector, found.vector_written) == (name, written)


def test_a_vector_is_found_at_any_depth() -> None:
    row = {"_id": "a", "hit": {"doc": {"embedding": FLOATS, "n": 1}}, "sort": [1]}
    found = guess(json(row))
    assert (found.vector, dict(found.nested)["hit.doc.embedding"]) == (
        "hit.doc.embedding",
        ("hit", "doc", "embedding"),
    )


def test_a_vector_inside_a_list_is_named_by_its_element() -> None:
    row = {"id": "a", "data": [{"embedding": FLOATS}], "timings": [0.5, 0.25]}
    message = refusal(json(row))
    assert "has its vectors inside a list: 'data[].embedding' (8 numbers" in message
    assert message.endswith("--vector-column 'data[0].embedding', or make each a row: 'data[].embedding'")
    found = guess(json(row), vector="data[0].embedding")
    assert found.excluded == ("data",)
    assert dict(found.nested) == {"data[0].embedding": ("data", "[0]", "embedding")}


def test_sparse_vectors_are_refused_as_sparse_by_a_path_to_their_values_too() -> None:
    rows = json({"id": "a", "features": {"indices": [1, 5], "values": [0.5, 0.25]}})
    for vector in (None, "features", "features.values"):
        assert "has sparse vectors in 'features', which an index can't hold" in refusal(rows, vector=vector)
    dense = json({"id": "a", "embedding": FLOATS, "sparse_embedding": {"dimensions": [1], "values": [0.5]}})
    assert guess(dense).unused == (("sparse_embedding", "sparse vectors"),)


def test_several_vectors_a_row_are_refused_as_that() -> None:
    rows = json({"id": "a", "embeddings": [FLOATS, FLOATS]})
    assert "has several vectors per row in 'embeddings' (multi-vector" in refusal(rows)
    assert "has several vectors per row in 'embeddings' (multi-vector" in refusal(rows, vector="embeddings")


def test_one_column_a_dimension_is_said_to_be_that() -> None:
    rows = json({"id": "a", **{f"dim_{i}": x for i, x in enumerate(FLOATS)}})
    assert (
        "has one column per dimension: 'dim_0' to 'dim_7'; name them with --vector-columns 'dim_*'"
        in refusal(rows)
    )


def test_vectors_that_were_not_chosen_and_long_lists_are_no_metadata_unless_named() -> None:
    row = {"id": "a", "vector": FLOATS, "other_embedding": FLOATS, "hist": [1] * 32, "scores": [1.5]}
    rows = json({**row, "meta": {"emb": FLOATS, "n": 1}})
    found = guess(rows, vector="vector")
    names = [column.name for column in rows]
    assert found.leftover(names) == ["scores"]
    assert found.excluded_fields == (("meta", "emb"),)
    assert [name for name, _ in found.unused] == ["other_embedding", "hist", "meta.emb"]
    assert "left out: other_embedding (8 numbers), hist (32 integers), meta.emb (8 numbers)" in found.line(
        8, seal=True
    )
    named = guess(rows, vector="vector", metadata=("hist", "scores"))
    assert named.leftover(names) == ["hist", "scores"]


def test_of_several_lists_of_floats_the_one_with_a_usual_name_is_taken() -> None:
    found = guess(columns(id="text", scores="floats", embedding="floats"))
    assert found.vector == "embedding"
    assert found.leftover(["id", "scores", "embedding"]) == ["scores"]


@pytest.mark.parametrize("names", [("title_vec", "body_vec"), ("vector", "embedding"), ("one", "other")])
def test_several_vectors_are_never_chosen_between(names: tuple[str, str]) -> None:
    message = refusal([column("id", "text"), *(column(name, "floats") for name in names)])
    shown = "(8 numbers, [0.5, -0.25, …])"
    assert f"several columns that could be the vector: '{names[0]}' {shown}, '{names[1]}' {shown}" in message
    assert "--vector-column" in message


@pytest.mark.parametrize("kind", ["text", "integer", "object", "other"])
def test_a_column_of_another_name_that_is_no_list_is_no_vector(kind: ValueKind) -> None:
    message = refusal([column("id", "text"), column("payload", kind)])
    assert (
        message
        == "a.parquet has no vector column; its other columns are 'payload'; name it with --vector-column"
    )


def test_several_lists_of_integers_are_never_chosen_between() -> None:
    message = refusal(columns(id="text", red="integers", green="integers"))
    assert "'red' (3 integers, [1, 2, …]), 'green' (3 integers, [1, 2, …])" in message
    assert guess(columns(id="text", red="integers", embedding="integers")).vector == "embedding"


@pytest.mark.parametrize(
    ("kind", "says"),
    [("floats", "lists"), ("integers", "lists"), ("object", "objects"), ("other", "booleans")],
)
def test_a_column_named_id_is_the_id_or_the_load_stops(kind: ValueKind, says: str) -> None:
    source = [column("id", kind), column("key", "text"), column("v", "floats")]
    message = refusal(source, vector="v")
    assert f"a.parquet has {says} in the column 'id', which can't be ids; name another column" in message
    assert "--id-column ('key' ('a1', …) would work)" in message
    assert guess(source, vector="v", id="key").id == "key"


def test_what_an_id_may_be() -> None:
    rest = [column("doc_id", "text"), column("v", "floats")]
    for values in (
        (Decimal(10**30), Decimal(2)),
        (b"text", b"more"),
        (b"\0" * 16, b"\1" * 16),
        (None, 5),
    ):
        assert guess([Column("ID", "other", values=values), *rest]).id == "ID"
    for values, says in (
        ((1.5, 2.0), "floating-point numbers"),
        ((Decimal("1.5"),), "decimals with fractions"),
        ((b"\xff\xfe",), "bytes"),
    ):
        assert f"has {says} in the column 'ID'" in refusal([Column("ID", "other", values=values), *rest])
    assert guess(json({"_id": {"$oid": "65f0"}, "doc_id": "p", "v": FLOATS})).id == "_id.$oid"


@pytest.mark.parametrize("name", UNSURE_ID_NAMES)
def test_another_name_is_the_id_only_if_the_first_rows_do_not_repeat(name: str) -> None:
    rows = [{name: "a", "n": 1, "v": FLOATS}, {name: "b", "n": 2, "v": FLOATS}]
    found = guess(json(*rows))
    assert (found.id, found.unsure_id) == (name, True)
    message = refusal(json(*rows, {name: "a", "n": 3, "v": FLOATS}))
    assert f"has no clear id column: {name!r} repeats 'a' in the first rows" in message
    assert "('n' (1, …) would work)" in message


@pytest.mark.parametrize(
    "part", ["chunk", "chunk_no", "part", "partNumber", "page", "seq_no", "chunk_id", "user_id"]
)
def test_another_name_is_not_the_id_next_to_what_tells_of_parts(part: str) -> None:
    message = refusal(json({"doc_id": "a", part: 1, "v": FLOATS}, {"doc_id": "b", part: 2, "v": FLOATS}))
    assert f"'doc_id' may be shared by several rows, since there is also {part!r}" in message
    assert f"--id-column doc_id --id-column {part}" in message


def test_an_id_of_several_columns_is_all_of_them() -> None:
    choice = ColumnChoice("doc_id", more_ids=("chunk_no",))
    rows = json({"doc_id": "a", "chunk_no": 1, "v": FLOATS})
    found = guess_mapping(rows, choice, source="a")
    assert (found.ids, found.leftover(["doc_id", "chunk_no", "v"])) == (("doc_id", "chunk_no"), [])
    assert str(found).startswith("id doc_id + chunk_no, ")


def test_the_index_of_a_data_frame_is_the_id_where_no_name_tells() -> None:
    frame = [column("article", "text", index=True), column("v", "floats")]
    assert (guess(frame).id, guess(frame).reasons.id) == ("article", "the data frame's index")
    assert guess([*frame, column("key", "text")]).id == "key"
    message = refusal([*frame, column("part_of", "text", index=True)])
    assert "'article' is one of several index levels, next to 'part_of'" in message


def test_an_unnamed_index_is_told_as_one() -> None:
    found = guess([column("__index_level_0__", "integer"), column("v", "floats")])
    assert (found.id, found.reasons.id) == ("__index_level_0__", "the data frame's index")


def test_ids_may_be_made_where_there_is_no_column() -> None:
    found = guess_mapping(columns(v="floats"), ColumnChoice(), source="a", rules=Rules(generate_ids=True))
    assert (found.id, found.reasons.id) == (None, "--generate-ids")
    assert str(found).startswith("id generated, ")


def test_what_is_named_is_taken_against_every_guess() -> None:
    found = guess(
        columns(id="text", vector="floats", number="integer", other="floats", note="text"),
        id="number",
        vector="other",
        contents="note",
    )
    assert (found.id, found.vector, found.contents) == ("number", "other", "note")
    # A vector that was not chosen is no metadata.
    assert found.leftover(["id", "vector", "number", "other", "note"]) == ["id"]


@pytest.mark.parametrize(
    ("part", "flag"),
    [("id", "--id-column"), ("vector", "--vector-column"), ("contents", "--contents-column")],
)
def test_a_named_column_that_is_missing_is_an_error_with_its_flag(part: str, flag: str) -> None:
    message = refusal(columns(id="text", vector="floats"), **{part: "Vector"})
    assert message == f"a.parquet has no column 'Vector' ({flag}); it has 'id', 'vector'"


def test_a_named_metadata_column_that_is_missing_is_an_error() -> None:
    assert "'b' (--metadata-column)" in refusal(
        columns(id="text", vector="floats", a="text"), metadata=("a", "b")
    )


def test_two_columns_of_one_name_are_an_error() -> None:
    message = refusal([column("id", "text"), column("v", "floats"), column("v", "floats")])
    assert message == "a.parquet has two columns named 'v'; rename one of them in the file"


@pytest.mark.parametrize("name", [*CONTENTS_NAMES, "Text"])
@pytest.mark.parametrize("kind", ["text", "bytes", "null"])
def test_the_usual_names_of_contents_are_known(name: str, kind: ValueKind) -> None:
    assert guess([column("id", "text"), column("v", "floats"), column(name, kind)]).contents == name


@pytest.mark.parametrize("kind", ["integer", "object", "floats", "other"])
def test_what_cannot_be_contents_stays_metadata_whatever_its_name(kind: ValueKind) -> None:
    found = guess([column("id", "text"), column("vector", "floats"), column("text", kind)], vector="vector")
    assert found.contents is None
    assert found.leftover(["id", "vector", "text"]) == ["text"]


def test_contents_are_optional_and_their_first_usual_name_wins() -> None:
    assert guess(columns(id="text", v="floats")).contents is None
    message = refusal(columns(id="text", v="floats", body="text", content="text"))
    assert (
        "several columns that could be the contents: 'body' (text, 2 characters on average), 'content'"
        in message
    )
    assert "seal both: --contents-column body --contents-column content" in message
    assert "a1" not in message


@pytest.mark.parametrize(
    ("row", "contents"),
    [
        ({"payload": {"page_content": "t", "n": 1}}, "payload.page_content"),
        ({"metadata": {"text": "t"}}, "metadata.text"),
        ({"properties": {"content": "t"}}, "properties.content"),
        ({"metadata": {"_node_content": '{"text": "t"}'}}, "metadata._node_content"),
        ({"blob": {"data": "t"}}, "blob.data"),
        ({"document": {"title": "x", "text": "t"}}, "document.text"),
        ({"body_html": "t"}, "body_html"),
        ({"text_en": "t"}, "text_en"),
        ({"rawText": "t"}, "rawText"),
        (
            {
                "title": "t",
                "content_type": "text/html",
                "html_url": "u",
                "document_id": "d",
                "text_hash": "h",
            },
            None,
        ),
        ({"message": {"id": "m"}}, None),
    ],
)
def test_text_under_a_name_of_contents_is_sealed_at_any_depth(
    row: dict[str, Any], contents: str | None
) -> None:
    assert guess(json({"id": "a", "v": FLOATS, **row})).contents == contents


@pytest.mark.parametrize(
    "row",
    [
        {"text": "t", "page_content": "u"},
        {"text": "t", "metadata": {"content": "u"}},
        {"messages": [{"role": "user", "content": "t"}]},
        {"text": ["t", "u"]},
        {"blob": {"data": [*b"%PDF 1.7"]}},
    ],
)
def test_text_under_a_name_of_contents_never_becomes_metadata_unsaid(row: dict[str, Any]) -> None:
    message = refusal(json({"id": "a", "v": FLOATS, **row}))
    assert "contents" in message
    assert "--metadata-exclude" in message or "--contents-column" in message


def test_text_next_to_the_contents_that_were_named_is_settled_by_a_flag() -> None:
    rows = json({"id": "a", "v": FLOATS, "text": "t", "payload": {"body": "b", "n": 1}})
    message = refusal(rows, contents="text")
    assert "would store 'payload.body' (text, 1 characters on average) unsealed as metadata" in message
    for flag in (
        "--contents-column text --contents-column payload.body",
        "--metadata-exclude payload.body",
        "--metadata-column payload.body",
    ):
        assert flag in message
    both = ColumnChoice(contents="text", more_contents=("payload.body",))
    found = guess_mapping(rows, both, source="a")
    assert (found.all_contents, found.excluded_fields) == (("text", "payload.body"), (("payload", "body"),))
    assert guess(rows, contents="text", metadata=("payload.body",)).contents == "text"
    assert guess(rows, contents="text", metadata=("payload.n",)).contents == "text"
    out = ColumnChoice(contents="text", excluded=("payload.body",))
    assert guess_mapping(rows, out, source="a").contents == "text"


@pytest.mark.parametrize("name", [*METADATA_NAMES, "Metadata"])
@pytest.mark.parametrize("kind", ["object", "text"])
def test_a_metadata_object_is_spread_beside_the_columns_left_over(name: str, kind: ValueKind) -> None:
    found = guess(
        [column("id", "text"), column("v", "floats"), column(name, kind), column("year", "integer")]
    )
    assert found.metadata_object == name
    assert found.leftover(["id", "v", name, "year"]) == ["year"]


def test_a_number_named_metadata_is_a_field_like_any_other() -> None:
    found = guess(columns(id="text", v="floats", metadata="integer"))
    assert found.metadata_object is None
    assert found.leftover(["id", "v", "metadata"]) == ["metadata"]


def test_named_metadata_columns_are_the_only_ones() -> None:
    found = guess(columns(id="text", v="floats", a="text", b="text", c="text"), metadata=("c", "a"))
    assert found.metadata_object is None
    assert found.leftover(["id", "v", "a", "b", "c"]) == ["a", "c"]


def test_one_named_metadata_object_is_spread_whatever_its_name() -> None:
    found = guess(columns(id="text", v="floats", about="object", a="text"), metadata=("about",))
    assert found.metadata_object == "about"
    assert found.leftover(["id", "v", "about", "a"]) == []


def test_of_several_named_metadata_columns_only_a_usual_name_is_spread() -> None:
    found = guess(columns(id="text", v="floats", about="object", meta="object"), metadata=("about", "meta"))
    assert found.metadata_object == "meta"
    assert found.leftover(["about", "meta"]) == ["about"]


def test_a_column_named_as_metadata_is_not_guessed_as_anything_else() -> None:
    found = guess(columns(id="text", v="floats", text="text"), metadata=("text",))
    assert found.contents is None
    assert found.leftover(["id", "v", "text"]) == ["text"]


def test_to_embed_needs_contents_and_looks_for_no_vector() -> None:
    found = guess(columns(id="text", text="text", scores="floats"), embed=True)
    assert (found.vector, found.contents) == (None, "text")
    assert found.leftover(["id", "text", "scores"]) == ["scores"]
    assert "--embed needs" in refusal(columns(id="text", note="text"), embed=True)


def test_a_mapping_reads_as_a_sentence() -> None:
    assert str(guess(columns(id="text", v="floats"))) == (
        "id id, vector v, contents none, metadata the other columns"
    )
    assert str(ColumnMapping("id", None, "text", "meta", ("a", "b"))) == (
        "id id, vector none, contents text, metadata meta and a, b"
    )
    assert str(ColumnMapping("id", "v", None, None, ())) == "id id, vector v, contents none, metadata none"


ARROW_KINDS = [
    (pa.string(), "text"),
    (pa.large_string(), "text"),
    (pa.string_view(), "text"),
    (pa.dictionary(pa.int32(), pa.string()), "text"),
    (pa.int8(), "integer"),
    (pa.uint64(), "integer"),
    (pa.binary(), "bytes"),
    (pa.binary(16), "bytes"),
    (pa.uuid(), "bytes"),
    (pa.list_(pa.float16()), "floats"),
    (pa.large_list(pa.float64()), "floats"),
    (pa.list_(pa.float32(), 4), "floats"),
    (pa.list_view(pa.float32()), "floats"),
    (pa.large_list_view(pa.float32()), "floats"),
    (pa.fixed_shape_tensor(pa.float32(), (4,)), "floats"),
    (pa.list_(pa.int8()), "integers"),
    (pa.list_(pa.string()), "other"),
    (pa.list_(pa.list_(pa.float32())), "other"),
    (pa.struct([("a", pa.int8())]), "object"),
    (pa.map_(pa.string(), pa.int8()), "object"),
    (pa.float64(), "other"),
    (pa.bool_(), "other"),
    (pa.null(), "null"),
]


@pytest.mark.parametrize(("arrow_type", "kind"), ARROW_KINDS, ids=lambda value: str(value))
def test_an_arrow_type_has_its_kind_of_values(arrow_type: pa.DataType, kind: ValueKind) -> None:
    (column,) = arrow_columns(pa.schema([("c", arrow_type)]))
    assert (column.name, column.kind, column.type_name) == ("c", kind, str(arrow_type))


JSON_KINDS = [
    (["a"], "text"),
    ([1], "integer"),
    ([True], "other"),
    ([1.5], "other"),
    ([{}], "object"),
    ([[1.0, 2]], "floats"),
    ([[1, 2]], "integers"),
    ([[1, 2], [0.5, 1]], "floats"),
    ([["a"]], "other"),
    ([[True]], "other"),
    ([None], "null"),
    ([None, True, None], "other"),
    ([[], None], "other"),
    ([None, None, "a"], "text"),
    ([None, [0.5]], "floats"),
    ([[], [0.5]], "floats"),
    ([[None, 0.5], [0.5, 0.5]], "floats"),
    ([[1, 2], None], "integers"),
    ([[1, 2], []], "integers"),
    ([[]], "other"),
]


@pytest.mark.parametrize(("values", "kind"), JSON_KINDS, ids=str)
def test_a_json_column_has_the_kind_of_its_first_telling_values(
    values: list[object], kind: ValueKind
) -> None:
    (column,) = json_columns([{"c": value} for value in values])
    assert column.kind == kind


def test_json_columns_are_those_of_any_row_in_the_order_they_appear() -> None:
    found = json_columns([{"b": 1}, {"a": 1, "b": 2}, {}, {"c": 1}])
    assert [column.name for column in found] == ["b", "a", "c"]
