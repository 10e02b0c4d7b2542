from __future__ import annotations

import pyarrow as pa
import pytest

from vecload.errors import MappingError
from vecload.mapping import Column, ColumnChoice, Mapping, Rules, guess_mapping
from vecload.mapping.arrow_rows import columns_of as arrow_columns
from vecload.mapping.columns import Shape
from vecload.mapping.guess import CONTENTS_NAMES, ID_NAMES
from vecload.mapping.json_columns import columns_of as json_columns
from vecload.mapping.metadata_choice import METADATA_NAMES
from vecload.mapping.vector_choice import VECTOR_NAMES


def columns(**shapes: Shape) -> list[Column]:
    return [Column(name, shape) for name, shape in shapes.items()]


def guess(
    columns: list[Column],
    *,
    embed: bool = False,
    id: str | None = None,  # noqa: A002 the field's own name
    vector: str | None = None,
    contents: str | None = None,
    metadata: tuple[str, ...] = (),
) -> Mapping:
    return guess_mapping(
        columns, ColumnChoice(id, vector, contents, metadata), source="a.parquet", embed=embed
    )


def refusal(columns: list[Column], **named: object) -> str:
    with pytest.raises(MappingError) as failed:
        guess(columns, **named)  # type: ignore[arg-type]
    message = str(failed.value)
    assert "a.parquet" in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", [*ID_NAMES, "ID", "Doc_Id"])
def test_the_usual_names_of_ids_are_known(name: str) -> None:
    assert guess([Column(name, "text"), Column("vector", "floats")]).id == name


def test_an_id_column_named_id_comes_before_the_other_usual_names() -> None:
    found = guess(columns(key="text", uuid="text", id="integer", vector="floats"))
    assert found.id == "id"
    assert found.leftover(["key", "uuid", "id", "vector"]) == ["key", "uuid"]


def test_of_ids_that_differ_in_case_alone_the_usual_name_as_it_is_comes_first() -> None:
    assert guess([Column("ID", "text"), Column("id", "text"), Column("v", "floats")]).id == "id"


@pytest.mark.parametrize(
    ("name", "flag"),
    [("id", "--id-column"), ("text", "--contents-column"), ("metadata", "--metadata-column")],
)
def test_of_two_spellings_of_a_usual_name_neither_is_guessed(name: str, flag: str) -> None:
    rest = [Column("_id", "text"), Column("v", "floats")]
    message = refusal([Column(name.title(), "text"), Column(name.upper(), "text"), *rest])
    assert f"differ in case alone: '{name.title()}', '{name.upper()}'; pick one with {flag}" in message
    exact = guess([Column(name.title(), "text"), Column(name, "text"), *rest])
    assert name in (exact.id, exact.contents, exact.metadata_object)


@pytest.mark.parametrize("shape", ["null", "other"])
def test_an_id_that_tells_nothing_comes_after_one_that_does(shape: Shape) -> None:
    found = guess([Column("id", shape), Column("_id", "text"), Column("v", "floats")])
    assert (found.id, found.leftover(["id", "_id", "v"])) == ("_id", ["id"])
    assert guess([Column("id", shape), Column("v", "floats")]).id == "id"


def test_contents_of_nulls_come_after_those_that_tell() -> None:
    rest = [Column("id", "text"), Column("v", "floats"), Column("content", "null")]
    assert guess([*rest, Column("body", "text")]).contents == "body"
    assert guess([*rest, Column("body", "other")]).contents == "content"


@pytest.mark.parametrize("shape", ["integers", "bytes", "text"])
def test_a_vector_by_its_name_and_one_by_its_floats_are_never_chosen_between(shape: Shape) -> None:
    source = [Column("id", "text"), Column("embedding", shape), Column("scores", "floats")]
    message = refusal(source)
    assert (
        message
        == "a.parquet has several vector columns: 'scores', 'embedding'; pick one with --vector-column"
    )
    assert guess(source, vector="embedding").vector == "embedding"
    assert guess([*source[:2], Column("values", "floats")]).vector == "values"


def test_why_a_vector_was_taken_is_true_of_the_other_columns() -> None:
    source = columns(id="text", v="floats")
    assert guess(source).reasons.vector == "the only column of lists of numbers"
    source += columns(tags="integers")
    assert guess(source).reasons.vector == "the only column of lists of numbers with fractions"


def test_an_index_without_a_name_is_metadata_only_if_it_is_named() -> None:
    source = columns(id="text", v="floats", a="text", __index_level_0__="integer")
    names = [column.name for column in source]
    found = guess(source)
    assert (found.id, found.leftover(names), found.excluded) == ("id", ["a"], ("__index_level_0__",))
    assert guess(source, metadata=("__index_level_0__",)).leftover(names) == ["__index_level_0__"]


@pytest.mark.parametrize("shape", ["floats", "integers", "bytes"])
def test_to_embed_leaves_vectors_out_of_the_metadata(shape: Shape) -> None:
    source = [Column("id", "text"), Column("text", "text"), Column("embedding", shape)]
    found = guess(source, embed=True)
    assert (found.vector, found.excluded, found.leftover(["embedding"])) == (None, ("embedding",), [])
    assert guess(source, embed=True, metadata=("embedding",)).leftover(["embedding"]) == ["embedding"]


def test_free_text_named_metadata_is_a_field_like_any_other() -> None:
    source = [*columns(id="text", v="floats"), Column("meta", "text", free_text=True)]
    for found in (guess(source), guess(source, metadata=("meta",))):
        assert found.metadata_object is None
        assert found.leftover(["meta"]) == ["meta"]


def test_without_an_id_column_the_message_lists_the_columns_and_the_flag() -> None:
    message = refusal(columns(number="text", vector="floats"))
    assert message == (
        "a.parquet has no id column; it has 'number', 'vector'; "
        "name it with --id-column, or have ids made with --generate-ids"
    )


def test_a_source_without_columns_says_so() -> None:
    assert "it has no columns" in refusal([])


@pytest.mark.parametrize("name", [*VECTOR_NAMES, "anything at all"])
def test_the_one_list_of_floats_is_the_vector_whatever_its_name(name: str) -> None:
    assert guess([Column("id", "text"), Column(name, "floats"), Column("ints", "integers")]).vector == name


def test_without_floats_the_one_list_of_integers_is_the_vector() -> None:
    assert guess(columns(id="text", quantised="integers")).vector == "quantised"


@pytest.mark.parametrize("shape", ["bytes", "text"])
def test_bytes_and_text_are_a_vector_under_a_usual_name(shape: Shape) -> None:
    assert (
        guess([Column("id", "text"), Column("Embedding", shape), Column("note", shape)]).vector == "Embedding"
    )


def test_an_embedding_as_bytes_is_preferred_to_a_list_of_integers_of_no_usual_name() -> None:
    assert guess(columns(id="text", pixels="integers", embedding="bytes")).vector == "embedding"


def test_of_several_lists_of_floats_the_one_with_a_usual_name_is_taken() -> None:
    found = guess(columns(id="text", scores="floats", embedding="floats"))
    assert found.vector == "embedding"
    assert found.leftover(["id", "scores", "embedding"]) == ["scores"]


@pytest.mark.parametrize("names", [("title_vec", "body_vec"), ("vector", "embedding")])
def test_several_vectors_are_never_chosen_between(names: tuple[str, str]) -> None:
    message = refusal([Column("id", "text"), *(Column(name, "floats") for name in names)])
    assert f"several vector columns: '{names[0]}', '{names[1]}'" in message
    assert "--vector-column" in message


@pytest.mark.parametrize("shape", ["text", "integer", "object", "other", "bytes"])
def test_a_column_of_another_name_that_is_no_list_is_no_vector(shape: Shape) -> None:
    message = refusal([Column("id", "text"), Column("payload", shape)])
    assert (
        message
        == "a.parquet has no vector column; beside the id it has 'payload'; name it with --vector-column"
    )


def test_several_lists_of_integers_are_never_chosen_between() -> None:
    message = refusal(columns(id="text", red="integers", green="integers"))
    assert "several vector columns: 'red', 'green'; pick one with --vector-column" in message
    assert guess(columns(id="text", red="integers", embedding="integers")).vector == "embedding"


@pytest.mark.parametrize("shape", ["floats", "integers", "object"])
def test_a_list_or_an_object_is_no_id_whatever_its_name(shape: Shape) -> None:
    found = guess([Column("id", shape), Column("key", "text"), Column("v", "floats")], vector="v")
    assert found.id == "key"


def test_the_index_of_a_data_frame_is_the_id_where_no_name_tells() -> None:
    frame = [Column("article", "text", index=True), Column("v", "floats")]
    assert (guess(frame).id, guess(frame).reasons.id) == ("article", "the data frame's index")
    assert guess([*frame, Column("key", "text")]).id == "key"
    assert "no id column" in refusal([*frame, Column("section", "text", index=True)])


def test_an_unnamed_index_is_told_as_one() -> None:
    found = guess([Column("__index_level_0__", "integer"), Column("v", "floats")])
    assert (found.id, found.reasons.id) == ("__index_level_0__", "the data frame's index")


def test_ids_may_be_made_where_there_is_no_column() -> None:
    found = guess_mapping(columns(v="floats"), ColumnChoice(), source="a", rules=Rules(generate_ids=True))
    assert (found.id, found.reasons.id) == (None, "--generate-ids")
    assert str(found).startswith("id generated, ")


def test_what_is_named_is_taken_against_every_guess() -> None:
    found = guess(
        columns(id="text", vector="floats", text="text", number="integer", other="floats", note="text"),
        id="number",
        vector="other",
        contents="note",
    )
    assert (found.id, found.vector, found.contents) == ("number", "other", "note")
    assert found.leftover(["id", "vector", "text", "number", "other", "note"]) == ["id", "vector", "text"]


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
    message = refusal([Column("id", "text"), Column("v", "floats"), Column("v", "floats")])
    assert message == "a.parquet has two columns named 'v'; rename one of them in the file"


@pytest.mark.parametrize("name", [*CONTENTS_NAMES, "Text"])
@pytest.mark.parametrize("shape", ["text", "bytes"])
def test_the_usual_names_of_contents_are_known(name: str, shape: Shape) -> None:
    assert guess([Column("id", "text"), Column("v", "floats"), Column(name, shape)]).contents == name


@pytest.mark.parametrize("shape", ["integer", "object", "floats", "integers", "other"])
def test_what_cannot_be_contents_stays_metadata_whatever_its_name(shape: Shape) -> None:
    found = guess([Column("id", "text"), Column("vector", "floats"), Column("text", shape)], vector="vector")
    assert found.contents is None
    assert found.leftover(["id", "vector", "text"]) == ["text"]


def test_contents_are_optional_and_their_first_usual_name_wins() -> None:
    assert guess(columns(id="text", v="floats")).contents is None
    found = guess(columns(id="text", v="floats", body="text", content="text"))
    assert found.contents == "content"
    assert found.leftover(["id", "v", "body", "content"]) == ["body"]


@pytest.mark.parametrize("name", [*METADATA_NAMES, "Metadata"])
@pytest.mark.parametrize("shape", ["object", "text"])
def test_a_metadata_object_is_spread_beside_the_columns_left_over(name: str, shape: Shape) -> None:
    found = guess(
        [Column("id", "text"), Column("v", "floats"), Column(name, shape), Column("year", "integer")]
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
    assert str(Mapping("id", None, "text", "meta", ("a", "b"))) == (
        "id id, vector none, contents text, metadata meta and a, b"
    )
    assert str(Mapping("id", "v", None, None, ())) == "id id, vector v, contents none, metadata none"


ARROW_SHAPES = [
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


@pytest.mark.parametrize(("kind", "shape"), ARROW_SHAPES, ids=lambda value: str(value))
def test_an_arrow_type_has_its_shape(kind: pa.DataType, shape: Shape) -> None:
    (column,) = arrow_columns(pa.schema([("c", kind)]))
    assert (column.name, column.shape, column.type_name) == ("c", shape, str(kind))


JSON_SHAPES = [
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


@pytest.mark.parametrize(("values", "shape"), JSON_SHAPES, ids=str)
def test_a_json_column_has_the_shape_of_its_first_telling_values(values: list[object], shape: Shape) -> None:
    (column,) = json_columns([{"c": value} for value in values])
    assert column.shape == shape


def test_json_columns_are_those_of_any_row_in_the_order_they_appear() -> None:
    found = json_columns([{"b": 1}, {"a": 1, "b": 2}, {}, {"c": 1}])
    assert [column.name for column in found] == ["b", "a", "c"]
