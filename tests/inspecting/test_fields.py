from __future__ import annotations

from vecload.inspecting import survey as fields
from vecload.inspecting.survey import Fields


def test_fields_are_named_by_their_dot_paths_as_the_engine_names_them() -> None:
    seen = Fields()
    seen.add([{"a": 1, "b": {"c": "x", "d": None, "e": {}}}, None, {"a": 2.5, "b": {"c": ["y"]}}], 3)
    told = {one.name: (sorted(one.kinds), seen.items - one.present, one.distinct) for one in seen}
    assert told == {
        "a": (["integer", "number"], 1, 2),
        "b.c": (["list", "text"], 1, 2),
        "b.d": ([], 3, 0),
        "b.e": (["object"], 2, 1),
    }


def test_a_field_is_nearly_all_different_only_if_it_is_and_enough_values_were_seen() -> None:
    seen = Fields()
    seen.add([{"url": f"u{i}", "lang": "en", "half": i // 2} for i in range(199)], 199)
    assert [one.name for one in seen if one.nearly_all_different] == []
    seen.add([{"url": "u199", "lang": "de", "half": 0}], 1)
    assert [one.name for one in seen if one.nearly_all_different] == ["url"]


def test_memory_is_bounded_by_fields_and_by_values() -> None:
    seen = Fields()
    seen.add([{f"key {i}": i} for i in range(fields.FIELDS_MAX + 100)], 300)
    assert len([*seen]) == fields.FIELDS_MAX
    seen = Fields()
    seen.add([{"n": i} for i in range(fields.DISTINCT_ROWS + 10)], fields.DISTINCT_ROWS + 10)
    (field,) = seen
    assert (field.present, field.compared, field.distinct) == (
        fields.DISTINCT_ROWS + 10,
        fields.DISTINCT_ROWS,
        fields.DISTINCT_ROWS,
    )
