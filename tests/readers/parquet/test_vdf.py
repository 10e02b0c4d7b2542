from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vecload.errors import MappingError, SourceError
from vecload.loading.plan import make_plan
from vecload.mapping import ColumnChoice
from vecload.readers import open_sources


def entry(data_path: str, **about: Any) -> dict[str, Any]:
    return {"data_path": data_path, "dimensions": 2, "vector_columns": ["v"], "metric": "Cosine", **about}


def export(folder: Path, *entries: dict[str, Any], **about: Any) -> str:
    for each in entries:
        data = folder / "vdf" / each["data_path"]
        data.mkdir(parents=True, exist_ok=True)
        table = pa.table({"key": ["a"], "id": ["other"], "v": [[1.0, 2.0]], "w": [[3.0, 4.0]]})
        pq.write_table(table, data / "1.parquet")
    meta = {"indexes": {"articles": list(entries)}, "id_column": "key", **about}
    (folder / "vdf" / "VDF_META.json").write_text(json.dumps(meta))
    return str(folder / "vdf")


def test_the_export_tells_the_columns_and_the_metric(tmp_path: Path) -> None:
    plan = make_plan(open_sources([export(tmp_path, entry("articles"))]), ColumnChoice(), embed=False)
    (mapping,) = plan.mappings
    assert (mapping.id, mapping.vector, mapping.recipe, plan.metric) == ("key", "v", "vdf", "cosine")
    assert (mapping.reasons.id, mapping.reasons.vector) == ("from the export", "from the export")


def test_what_the_user_names_comes_before_what_the_export_tells(tmp_path: Path) -> None:
    choice = ColumnChoice("id", "w")
    (mapping,) = make_plan(open_sources([export(tmp_path, entry("articles"))]), choice, embed=False).mappings
    assert (mapping.id, mapping.vector) == ("id", "w")
    assert (mapping.reasons.id, mapping.reasons.vector) == ("--id-column", "--vector-column")


def test_of_several_exports_one_is_to_be_named(tmp_path: Path) -> None:
    whole = export(tmp_path, entry("articles/one"), entry("articles/two"))
    with pytest.raises(
        SourceError, match=r"holds several exports; name one of them: .*articles/one, .*articles/two"
    ):
        open_sources([whole])
    (source,) = open_sources([f"{whole}/articles/two"])
    assert source.name.endswith("articles/two/1.parquet")
    assert make_plan([source], ColumnChoice(), embed=False).mappings[0].vector == "v"


def test_the_path_may_begin_with_the_exports_own_folder(tmp_path: Path) -> None:
    whole = export(tmp_path, entry("articles"))
    meta = {"indexes": {"articles": [entry("vdf/articles")]}, "id_column": "key"}
    (tmp_path / "vdf" / "VDF_META.json").write_text(json.dumps(meta))
    assert [source.name for source in open_sources([whole])] == [f"{whole}/articles/1.parquet"]


def test_another_dimension_than_was_told_is_an_error(tmp_path: Path) -> None:
    sources = open_sources([export(tmp_path, entry("articles", dimensions=3))])
    with pytest.raises(SourceError, match="has vectors of 2 values, but its export says 3"):
        make_plan(sources, ColumnChoice(), embed=False)


def test_several_vector_columns_are_never_chosen_between(tmp_path: Path) -> None:
    sources = open_sources([export(tmp_path, entry("articles", vector_columns=["v", "w"]))])
    with pytest.raises(MappingError, match="several vector columns: 'v', 'w'"):
        make_plan(sources, ColumnChoice(), embed=False)


@pytest.mark.parametrize("text", ["{", "[]", '{"indexes": []}', '{"indexes": {"a": [{}]}}'])
def test_another_file_of_that_name_is_an_error(tmp_path: Path, text: str) -> None:
    whole = export(tmp_path, entry("articles"))
    (tmp_path / "vdf" / "VDF_META.json").write_text(text)
    with pytest.raises(SourceError, match=r"VDF_META\.json is not what Vector-io writes"):
        open_sources([whole])


def test_a_metric_that_cyborgdb_lacks_stays_as_it_is(tmp_path: Path) -> None:
    sources = open_sources([export(tmp_path, entry("articles", metric="Dot"))])
    assert make_plan(sources, ColumnChoice(), embed=False).metric == "Dot"
