from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from vecload.batch import Batch, Span
from vecload.errors import ItemTypeError, ItemValueError
from vecload.items import batch_of_columns, batch_of_dicts, ids_of, integers_as_text
from vecload.limits import CONTENTS_MAX_BYTES


def of_dicts(items: Any, *, dimension: int = 2, embed: bool = False, allow_zero: bool = False) -> Batch:
    return batch_of_dicts(items, dimension=dimension, embed=embed, allow_zero=allow_zero)


def of_columns(
    ids: Any,
    vectors: Any,
    metadata: Any = None,
    contents: Any = None,
    *,
    dimension: int = 2,
    allow_zero: bool = False,
) -> Batch:
    return batch_of_columns(ids, vectors, metadata, contents, dimension=dimension, allow_zero=allow_zero)


def item(**parts: Any) -> dict[str, Any]:
    return {"id": "a", "vector": [1.0, 2.0], **parts}


def metadata_of(value: Any) -> Any:
    batch = of_dicts([item(metadata={"m": value})])
    assert batch.metadata is not None
    assert batch.metadata[0] is not None
    return batch.metadata[0]["m"]


def type_refusal(items: Any, **options: Any) -> str:
    with pytest.raises(ItemTypeError) as failed:
        of_dicts(items, **options)
    assert isinstance(failed.value, TypeError)
    return str(failed.value)


def value_refusal(items: Any, **options: Any) -> str:
    with pytest.raises(ItemValueError) as failed:
        of_dicts(items, **options)
    assert isinstance(failed.value, ValueError)
    return str(failed.value)


# --- a list of dicts ---


def test_items_become_a_batch_in_their_order() -> None:
    batch = of_dicts([
        {"id": "b", "vector": [1, 2], "metadata": {"n": 1}, "contents": "text"},
        {"id": "a", "vector": (3.5, 4), "contents": b"bytes"},
        {"id": "b", "vector": np.array([5, 6], np.float16)},
    ])  # fmt: skip
    assert batch.ids == ["b", "a", "b"]
    assert batch.vectors is not None
    assert batch.vectors.tolist() == [[1, 2], [3.5, 4], [5, 6]]
    assert (batch.vectors.dtype, batch.vectors.flags.c_contiguous) == (np.float32, True)
    assert batch.metadata == [{"n": 1}, None, None]
    assert batch.contents == ["text", b"bytes", None]
    assert batch.span == Span("items", 0, 3)


def test_columns_that_no_item_has_are_none() -> None:
    batch = of_dicts([item(metadata=None, contents=None), item(metadata={})])
    assert (batch.metadata, batch.contents) == (None, None)


def test_an_empty_text_and_empty_bytes_are_contents() -> None:
    assert of_dicts([item(contents=""), item(contents=b"")]).contents == ["", b""]


def test_no_items_are_an_empty_batch() -> None:
    batch = of_dicts([], dimension=7)
    assert len(batch) == 0
    assert batch.vectors is not None
    assert batch.vectors.shape == (0, 7)


def test_the_items_that_were_given_are_not_changed() -> None:
    given = item(metadata={"at": dt.date(2024, 1, 1), "l": (1, 2)})
    of_dicts([given])
    assert given["metadata"] == {"at": dt.date(2024, 1, 1), "l": (1, 2)}


@pytest.mark.parametrize("items", [None, "text", {"id": "a"}, ({"id": "a"},), ["a"], [item(), None], 7])
def test_what_is_no_list_of_dicts_is_a_type_error_with_an_example(items: Any) -> None:
    assert '[{"id": "doc1", "vector": [0.1, 0.2]}]' in type_refusal(items)


def test_an_unknown_field_is_named_with_its_item() -> None:
    message = value_refusal([item(), item(vectors=[1])])
    assert message.startswith("item 1 has a field 'vectors'")
    assert "id, vector, metadata and contents" in message


def test_a_missing_id_is_named_with_its_item() -> None:
    assert value_refusal([item(), {"vector": [1, 2]}]) == "item 1 has no id"


# --- ids ---


@pytest.mark.parametrize("item_id", [1, 1.0, None, b"a", True, ["a"]])
def test_an_id_that_is_no_text_is_a_type_error(item_id: Any) -> None:
    assert type_refusal([item(), item(id=item_id)]).startswith("id 1 is ")


@pytest.mark.parametrize(
    ("item_id", "says"),
    [("", "empty"), ("x" * 4097, "4097 bytes"), ("é" * 2049, "4098 bytes"), ("\ud800", "surrogate")],
)
def test_an_id_that_cannot_be_stored_is_a_value_error(item_id: str, says: str) -> None:
    message = value_refusal([item(), item(id=item_id)])
    assert message.startswith("id 1 ")
    assert says in message
    message.encode()


def test_an_id_of_4096_bytes_with_nul_and_spaces_is_kept() -> None:
    item_id = "\0 é/../".ljust(4095, "x")
    assert of_dicts([item(id=item_id)]).ids == [item_id]


def test_ids_may_be_a_numpy_array_of_text() -> None:
    assert of_columns(np.array(["a", "b"]), np.ones((2, 2))).ids == ["a", "b"]


# --- vectors ---


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4", ">f8", "i1", "u8", ">i2"])
def test_an_array_of_any_number_type_becomes_float32(dtype: str) -> None:
    batch = of_columns(["a", "b"], np.array([[1, 2], [3, 4]], dtype))
    assert batch.vectors is not None
    assert batch.vectors.dtype == np.dtype("<f4")
    assert batch.vectors.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(1, 9, dtype=np.float32).reshape(4, 2)[::2],
        np.array([[1, 5], [2, 6]], np.float32).T,
        np.asfortranarray(np.array([[1, 2], [5, 6]], np.float32)),
        np.arange(0, 8, dtype=np.float32).reshape(2, 4)[:, 1:3],
    ],
    ids=["every second row", "transposed", "Fortran order", "columns"],
)
def test_strides_never_change_what_is_stored(array: Any) -> None:
    vectors = of_columns(["a", "b"], array).vectors
    assert vectors is not None
    assert vectors.flags.c_contiguous
    assert vectors.tolist() == [[1, 2], [5, 6]]


def test_minus_zero_and_denormals_are_kept() -> None:
    vectors = of_dicts([item(vector=[-0.0, 1e-45])]).vectors
    assert vectors is not None
    assert vectors.tobytes() == np.array([-0.0, 1e-45], "<f4").tobytes()


@pytest.mark.parametrize(
    ("vector", "says"),
    [
        ([1.0, math.nan], "vector 1 holds NaN"),
        ([math.inf, 1.0], "vector 1 holds a value that is infinite"),
        ([1e39, 1.0], "vector 1 holds a value beyond float32"),
        ([10**400, 1], "vector 1 holds a value that is infinite"),
        ([0, -0.0], "vector 1 is all zeros"),
        ([], "different dimensions"),
        ([1, 2, 3], "different dimensions"),
        (np.ones((1, 2)), "the vector of item 1 is 2-D"),
        (None, "item 1 has no vector"),
    ],
)
def test_a_vector_that_cannot_be_stored_is_a_value_error(vector: Any, says: str) -> None:
    assert says in value_refusal([item(), item(vector=vector)])


def test_zeros_pass_where_they_are_allowed() -> None:
    batch = of_dicts([item(vector=[0, 0])], allow_zero=True)
    assert batch.vectors is not None
    assert batch.vectors.tolist() == [[0, 0]]


@pytest.mark.parametrize("vector", ["[1, 2]", b"12345678", {"a": 1}, {1.0, 2.0}, 1.5, range(2)])
def test_a_vector_that_is_no_list_or_array_is_a_type_error(vector: Any) -> None:
    assert type_refusal([item(), item(vector=vector)]).startswith("the vector of item 1 is ")


@pytest.mark.parametrize("element", [True, None, "1", [1.0], 1j, Decimal(1), np.bool_(True)])
def test_a_vector_of_anything_but_numbers_is_a_type_error(element: Any) -> None:
    assert type_refusal([item(), item(vector=[1.0, element])]).startswith("the vector of item 1 holds ")


def test_numpy_numbers_in_a_list_are_numbers() -> None:
    vectors = of_dicts([item(vector=[np.float32(0.1), np.int8(2)])]).vectors
    assert vectors is not None
    assert vectors.tobytes() == np.array([0.1, 2], "<f4").tobytes()


@pytest.mark.parametrize("dtype", [bool, object, "U1", complex, "datetime64[s]"])
def test_an_array_of_anything_but_numbers_is_a_type_error(dtype: Any) -> None:
    with pytest.raises(ItemTypeError, match="the vectors hold"):
        of_columns(["a"], np.ones((1, 2)).astype(dtype))


@pytest.mark.parametrize(
    "vectors", [[[True, False]], [[1.0, True]], [[0.5, 0.5], [False, 1]], ((1.0, True),)]
)
def test_booleans_among_the_numbers_of_nested_lists_are_a_type_error(vectors: Any) -> None:
    with pytest.raises(ItemTypeError):
        of_columns(["a", "b"][: len(vectors)], vectors)


def test_the_first_upsert_may_have_any_dimension_and_later_ones_the_index_s() -> None:
    assert len(of_columns(["a"], [[1.0, 2.0, 3.0]], dimension=0)) == 1
    with pytest.raises(ItemValueError, match="the vectors have 3 dimensions; the index has 2"):
        of_columns(["a"], [[1.0, 2.0, 3.0]], dimension=2)
    with pytest.raises(ItemValueError, match="the vectors have 0 dimensions; the index has at least 1"):
        of_columns(["a"], [[]], dimension=0)


@pytest.mark.parametrize(
    ("ids", "vectors", "says"),
    [
        (["a"], [1.0, 2.0], "1-D, not 2-D"),
        (["a"], [[[1.0]]], "3-D, not 2-D"),
        (["a"], 5.0, "0-D, not 2-D"),
        ([], 5.0, "0-D, not 2-D"),
        (["a", "b"], [[1.0, 2.0]], "there are 2 ids and 1 vectors"),
        ([], [[1.0, 2.0]], "there are 0 ids and 1 vectors"),
        (["a", "b"], [[1.0, 2.0], [3.0]], "different dimensions"),
    ],
)
def test_columns_of_another_shape_are_a_value_error(ids: Any, vectors: Any, says: str) -> None:
    with pytest.raises(ItemValueError, match=says):
        of_columns(ids, vectors)


def test_the_callers_array_is_not_changed() -> None:
    array = np.array([[1.0, 2.0]], np.float64)
    of_columns(["a"], array)
    assert array.tolist() == [[1.0, 2.0]]


# --- an index that embeds ---


def test_an_index_that_embeds_takes_items_without_vectors() -> None:
    batch = of_dicts([{"id": "a", "contents": "text"}], embed=True)
    assert (batch.vectors, batch.contents) == (None, ["text"])


def test_an_index_that_embeds_takes_items_with_and_without_vectors_in_one_call() -> None:
    items = [
        {"id": "made", "contents": "text"},
        item(contents=b"bytes"),
        {"id": "also made", "vector": None, "contents": "more", "metadata": {"m": 1}},
    ]
    batch = of_dicts(items, embed=True)
    assert batch.to_embed is not None
    assert batch.to_embed.tolist() == [True, False, True]
    assert batch.vectors is not None
    assert (batch.vectors.shape, batch.vectors[1].tolist()) == ((3, 2), [1.0, 2.0])
    assert batch.contents == ["text", b"bytes", "more"]
    assert batch.metadata == [None, None, {"m": 1}]


def test_an_index_that_embeds_takes_items_that_all_have_vectors() -> None:
    batch = of_dicts([item(), item(id="b")], embed=True)
    assert (batch.to_embed, batch.vectors is None) == (None, False)


@pytest.mark.parametrize("contents", [None, "", b""])
def test_an_item_without_a_vector_needs_contents(contents: Any) -> None:
    says = value_refusal([item(), {"id": "b", "contents": contents}], embed=True)
    assert "item 1 has neither a vector, nor contents" in says


@pytest.mark.parametrize("contents", [b"bytes", bytearray(b"bytes"), memoryview(b"bytes")])
def test_a_vector_is_not_made_from_bytes(contents: Any) -> None:
    with pytest.raises(ItemTypeError, match=r"item 1 .*only from text"):
        of_dicts([item(), {"id": "b", "contents": contents}], embed=True)


def test_vectors_have_the_dimension_of_the_index_where_it_embeds_too() -> None:
    items = [{"id": "made", "contents": "text"}, item(vector=[1.0, 2.0, 3.0])]
    assert "3 dimensions; the index has 2" in value_refusal(items, embed=True)
    assert "different dimensions" in value_refusal([item(), item(vector=[1.0])], embed=True)


def test_an_item_without_a_vector_is_refused_unless_the_index_is_said_to_embed() -> None:
    says = value_refusal([item(), {"id": "b", "contents": "private"}])
    assert "item 1 has no vector" in says
    assert "embed=True" in says
    assert "private" not in says


# --- metadata ---


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (2**70, 2**70),
        (-0.0, -0.0),
        ("naïve\0", "naïve\0"),
        ((1, (2,)), [1, [2]]),
        ({"a": {"b": [None]}}, {"a": {"b": [None]}}),
        ({"": 1, "a.b": 2, "$c": 3}, {"": 1, "a.b": 2, "$c": 3}),
        (dt.date(1970, 1, 2), 86_400_000),
        (dt.datetime(1970, 1, 1, 0, 0, 1), 1000),  # noqa: DTZ001 naive on purpose
        (dt.datetime(1970, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))), 0),
        (dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC), -1),
    ],
    ids=repr,
)
def test_metadata_becomes_what_json_can_say(value: Any, expected: Any) -> None:
    found = metadata_of(value)
    assert found == expected
    assert type(found) is type(expected)


def test_a_numpy_float_becomes_a_plain_one_that_every_target_takes() -> None:
    assert type(metadata_of(np.float64(0.1))) is float


@pytest.mark.parametrize(
    "value", [b"x", {1, 2}, Decimal(1), np.int64(1), np.ones(2), object(), 1j, dt.time(1)]
)
def test_metadata_that_json_cannot_say_is_a_type_error_that_names_its_place(value: Any) -> None:
    message = type_refusal([item(), item(metadata={"a": [{"b": value}]})])
    assert message.startswith("metadata 1.a[0].b is ")
    assert message.endswith("which JSON can't represent")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_cannot_say_is_a_value_error(value: float) -> None:
    assert value_refusal([item(metadata={"a": [value]})]).startswith("metadata 0.a[0] is ")


def test_a_lone_surrogate_in_metadata_is_a_value_error_whose_message_can_be_printed() -> None:
    for metadata in ({"a": "\ud800"}, {"\udfff": 1}, {"a": [{"\ud800": 1}]}):
        value_refusal([item(metadata=metadata)]).encode()


@pytest.mark.parametrize("metadata", [[], "text", 7, [("a", 1)], "{}"])
def test_metadata_that_is_no_dict_is_a_type_error(metadata: Any) -> None:
    assert type_refusal([item(), item(metadata=metadata)]).startswith("metadata 1 is ")


@pytest.mark.parametrize("key", [1, None, b"a", ("a",)])
def test_a_metadata_key_that_is_no_text_is_a_type_error(key: Any) -> None:
    assert "a key that is" in type_refusal([item(metadata={"a": {key: 1}})])


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_metadata_may_be_nested_200_deep_and_not_deeper() -> None:
    assert metadata_of(nested(200)) == nested(200)
    for depth in (201, 5000):
        message = value_refusal([item(metadata={"a": nested(depth)})])
        assert "nested deeper than 200" in message
        assert len(message) < 200


def test_metadata_that_holds_itself_is_a_value_error() -> None:
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    assert "nested deeper" in value_refusal([item(metadata=loop)])


# --- contents ---


@pytest.mark.parametrize("contents", [1, 1.5, True, ["a"], {"a": 1}])
def test_contents_that_are_neither_text_nor_bytes_are_a_type_error(contents: Any) -> None:
    assert type_refusal([item(), item(contents=contents)]).startswith("contents 1 is neither text nor bytes")


@pytest.mark.parametrize("kind", [bytearray, memoryview, np.bytes_])
def test_every_kind_of_bytes_is_contents(kind: Any) -> None:
    batch = of_dicts([item(contents=kind(b"ab")), item(contents=memoryview(b"abcd")[::2])])
    assert batch.contents == [b"ab", b"ac"]
    assert [type(value) for value in batch.contents] == [bytes, bytes]


def test_text_of_numpy_becomes_plain_text() -> None:
    batch = of_dicts(
        [{**item(contents=np.str_("c"), metadata={np.str_("k"): np.str_("v")}), "id": np.str_("a")}]
    )
    assert (batch.ids, batch.contents, batch.metadata) == (["a"], ["c"], [{"k": "v"}])
    assert batch.contents is not None
    assert batch.metadata is not None
    ((name, value),) = (batch.metadata[0] or {}).items()
    assert {type(text) for text in (batch.ids[0], batch.contents[0], name, value)} == {str}


@pytest.mark.parametrize("missing", [pd.NA, pd.NaT], ids=repr)
def test_what_pandas_misses_is_absent(missing: Any) -> None:
    batch = of_dicts(
        [item(contents=missing, metadata=missing), item(contents="x", metadata={"a": missing, "b": 1})]
    )
    assert batch.contents == [None, "x"]
    assert batch.metadata == [None, {"b": 1}]
    assert metadata_of([1, missing, {"a": missing, "b": None}]) == [1, None, {"b": None}]
    assert of_dicts([item(contents=missing, metadata={"a": missing})]).metadata is None
    with pytest.raises(ItemTypeError, match="id 1 is"):
        of_columns(["a", missing], np.ones((2, 2)))


def test_the_nan_of_a_pandas_column_is_absent() -> None:
    texts = pd.Series(["x", None], dtype="str")
    assert np.isnan(texts[1])
    assert of_columns(["a", "b"], np.ones((2, 2)), contents=texts).contents == ["x", None]
    fields = pd.Series([{"n": 1}, float("nan")])
    assert of_columns(["a", "b"], np.ones((2, 2)), metadata=fields).metadata == [{"n": 1}, None]
    assert of_dicts([item(contents=np.float64("nan"), metadata=float("nan")), item()]).contents is None
    with pytest.raises(ItemTypeError, match="contents 0 is neither"):
        of_dicts([item(contents=1.5)])
    with pytest.raises(ItemValueError, match="item 0 has no vector"):
        of_dicts([{"id": "a", "vector": float("nan"), "contents": "x"}])


TEXTS = ["a", "b"]
COLUMNS: dict[str, Any] = {
    "a NumPy array": np.array(TEXTS),
    "a NumPy array of objects": np.array(TEXTS, object),
    "a list of NumPy texts": [np.str_("a"), np.str_("b")],
    "a pandas column": pd.Series(TEXTS),
    "a pandas column of strings": pd.Series(TEXTS, dtype="string"),
    "a pandas index": pd.Index(TEXTS),
    "a pyarrow array": pa.array(TEXTS),
    "a pyarrow column": pa.chunked_array([["a"], ["b"]]),
    "a polars column": pl.Series(TEXTS),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_ids_and_contents_may_be_columns_of_other_libraries(kind: str) -> None:
    batch = of_columns(COLUMNS[kind], np.ones((2, 2)), contents=COLUMNS[kind])
    assert (batch.ids, batch.contents) == (TEXTS, TEXTS)
    assert {type(value) for value in [*batch.ids, *(batch.contents or ())]} == {str}
    assert ids_of(COLUMNS[kind], "get") == TEXTS


def test_ids_to_ask_for_may_come_from_anywhere() -> None:
    assert ids_of(iter(TEXTS), "get") == TEXTS
    assert sorted(ids_of({*TEXTS}, "get")) == TEXTS
    assert ids_of([], "get") == []


def test_integers_among_ids_become_their_decimal_text_where_the_sdk_does_it() -> None:
    assert integers_as_text([1, 2**70, np.int8(-3), "x"]) == ["1", str(2**70), "-3", "x"]
    assert integers_as_text(np.array([1, 2])) == ["1", "2"]
    assert integers_as_text([True, 1.0, None]) == [True, 1.0, None]
    assert integers_as_text("ab") == "ab"


def test_contents_that_cannot_be_stored_are_a_value_error_that_does_not_quote_them() -> None:
    assert "lone surrogate" in value_refusal([item(contents="secret \ud800")])
    assert "secret" not in value_refusal([item(contents="secret \ud800")])
    assert "larger than 48 MiB" in value_refusal([item(contents=b"x" * (CONTENTS_MAX_BYTES + 1))])


# --- columns ---


@pytest.mark.parametrize("column", ["metadata", "contents"])
def test_a_column_of_another_length_is_a_value_error(column: str) -> None:
    for values in ([], [None], [None] * 3):
        with pytest.raises(ItemValueError, match=f"there are 2 ids and {len(values)} {column}"):
            of_columns(["a", "b"], [[1.0, 2.0]] * 2, **{column: values})


@pytest.mark.parametrize("column", ["ids", "metadata", "contents"])
def test_a_column_that_is_no_list_is_a_type_error(column: str) -> None:
    for values in ("ab", {"a": 1}, iter(["a", "b"]), 7):
        columns = {"ids": ["a", "b"], "vectors": [[1.0, 2.0]] * 2, column: values}
        with pytest.raises(ItemTypeError, match=f"{column} is .*, not a list"):
            of_columns(**columns)


def test_the_columns_that_were_given_are_not_shared_with_the_batch() -> None:
    ids, contents = ["a"], ["text"]
    batch = of_columns(ids, [[1.0, 2.0]], None, contents)
    ids.append("b")
    contents[0] = "changed"
    assert (batch.ids, batch.contents) == (["a"], ["text"])
