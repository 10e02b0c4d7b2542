"""Documents whose rows lie below one path: read row by row, they give what the parsed document gives."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from vecload.batch import Batch
from vecload.errors import SourceError
from vecload.loading.plan import make_plan
from vecload.mapping import ColumnChoice, Mapper
from vecload.readers import ReadOptions, Source, open_sources
from vecload.readers.json.documents import DocumentSource
from vecload.readers.json.jsonl import JsonlSource
from vecload.readers.json.outline import outline_of
from vecload.readers.storage.files import LocalFile
from vecload.recipes.known import RecipeChoice
from vecload.recipes.reader import read_recipe

VECTOR = [0.5, -1.5]
POINTS = [{"id": n, "vector": [n, 0.5], "payload": {"n": n, "t": 'a"[{\\'}} for n in range(1, 8)]


def choice_of(*forms: str) -> RecipeChoice:
    text = "".join(f"[[form]]\n{form}\n" for form in forms)
    return RecipeChoice(named=read_recipe('tool = "A tool"\n' + text, "own", "own.toml"))


AUTOMATIC = RecipeChoice()
OUTER = choice_of('has = ["rows"]\nrows = "rows[]"\nouter = ["of", "n"]\nvalue = "vector"')
KEYED = choice_of('has = ["items"]\nrows = "items[*]"\nkey = "id"\nvalue = "vector"')
INSIDE = choice_of('has = ["a"]\nrows = "a[*].b[].c"')
REJECTING = choice_of(
    'has = ["rows"]\nrows = "rows[]"\n[[form.reject]]\nat = "error"\nsays = "all of it failed"'
    '\n[[form.reject]]\nat = "rows[].error"\nsays = "failed"'
)
SOURCE = {"_index": "i", "_score": 1.0, "_source": {"v": VECTOR, "a": "x"}}

DOCUMENTS: dict[str, tuple[RecipeChoice, Any]] = {
    "qdrant": (AUTOMATIC, {"result": {"points": POINTS, "next_page_offset": None}, "status": "ok"}),
    "elasticsearch": (
        AUTOMATIC,
        {"took": 1, "hits": {"total": {"value": 2}, "hits": [{"_id": "1", **SOURCE}] * 2}},
    ),
    "azure": (
        AUTOMATIC,
        {"@odata.context": "x", "value": [{"@search.score": 1.0, "chunk_id": "a", "v": VECTOR}] * 2},
    ),
    "milvus": (AUTOMATIC, {"rows": [{"id": 1, "vector": VECTOR, "$meta": {"a": 1}}] * 2}),
    "milvus REST": (AUTOMATIC, {"code": 0, "data": [{"id": 1, "vector": VECTOR}] * 2}),
    "weaviate": (
        AUTOMATIC,
        {"objects": [{"class": "A", "id": "a", "vector": VECTOR, "properties": {"n": 1}}] * 2},
    ),
    "weaviate GraphQL": (
        AUTOMATIC,
        {"data": {"Get": {"A": [{"_additional": {"id": "a", "vector": VECTOR}}] * 2, "B": []}}},
    ),
    "openai": (
        AUTOMATIC,
        {
            "object": "list",
            "data": [{"object": "embedding", "index": n, "embedding": VECTOR} for n in range(3)],
            "usage": {"total_tokens": 5},
        },
    ),
    "pinecone": (AUTOMATIC, {"vectors": {"a": {"id": "a", "values": VECTOR}}, "usage": {"readUnits": 1}}),
    "langchain": (
        AUTOMATIC,
        {n: {"id": n, "vector": VECTOR, "text": "x", "metadata": {"a": 1}} for n in ("a", "b")},
    ),
    "fields next to the rows": (OUTER, {"rows": [{"id": 1}, {}, [1, 2], 5], "of": {"x": 2**70}}),
    "a map of ids": (KEYED, {"items": {"a": {"vector": VECTOR}, 'b"': {"id": None}, "c": VECTOR}}),
    "rows in lists in a map": (INSIDE, {"a": {"x": {"b": [{"c": {"id": 1}}, {"c": 5}]}, "y": 1}}),
    "what is no object": (REJECTING, {"rows": [{"id": 1}, {"id": 2}, None, 7, "text"]}),
    "rejected": (REJECTING, {"rows": [{"id": 1}], "error": "x"}),
    "large integers": (
        AUTOMATIC,
        {"objects": [{"id": str(2**70), "properties": {"n": 2**70}, "class": "A"}]},
    ),
    "elements that the user names": (
        RecipeChoice(paths=("a.b[].id",)),
        {"of": 2**70, "a": {"n": 1, "b": [{"id": 1}, 5, None], "m": [{}]}, "x": "y"},
    ),
    "entries that the user names": (
        RecipeChoice(paths=("a[*].id",)),
        {"of": 1, "a": {"k": {"id": 1}, 'l"': {"id": 2}}},
    ),
    "elements in elements": (
        RecipeChoice(paths=("a[].b[].id",)),
        {"of": 1, "a": [{"n": 1, "b": [{"id": 1}, {"id": 2}]}, {"b": []}, {"n": 2, "b": [{"id": 3}]}]},
    ),
}  # fmt: skip
WHOLE = ("rejected", "elements in elements")


def opened(path: Path, text: str | bytes, **reading: Any) -> Source:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    (source,) = open_sources([str(path)], ReadOptions(**reading))
    return source


def rows_of(source: Source, **how: Any) -> tuple[list[Any], dict[int, str]]:
    """All rows, and the messages of those that are broken, by their numbers."""
    values: list[Any] = []
    broken: dict[int, str] = {}
    for rows in source.read(**{"batch_rows": 3, "batch_bytes": 10**9, **how}):
        values += [None if at in rows.broken else rows._exact(at) for at in range(len(rows.span))]  # noqa: SLF001 all of it
        broken |= {rows.span.start + at: fault.message for at, fault in rows.broken.items()}
    return values, broken


def loaded(source: Source, **how: Any) -> list[Batch]:
    plan = make_plan([source], ColumnChoice(), embed=False)
    (job,) = plan.jobs(index_dimension=0, allow_zero_vectors=False)
    assert isinstance(job.mapper, Mapper)
    return [*source.batches(job.mapper, **{"batch_rows": 100, "batch_bytes": 10**9, **how})]


@pytest.mark.parametrize("indent", [None, 1], ids=["one line", "several"])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_rows_are_those_of_the_document_read_whole(tmp_path: Path, name: str, indent: int | None) -> None:
    recipes, document = DOCUMENTS[name]
    path = tmp_path / "rows.json"
    source = opened(path, json.dumps(document, indent=indent), recipes=recipes, format="json")
    assert isinstance(source, DocumentSource if name in WHOLE else JsonlSource)
    file = LocalFile(str(path))
    whole = DocumentSource(file, outline=outline_of(file))
    whole.recipes = recipes
    assert rows_of(source) == rows_of(whole)
    assert source.kind == whole.kind


SPLIT = {"result": {"points": POINTS, "next_page_offset": None}, "status": "ok"}


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + json.dumps(SPLIT, indent=1),
        json.dumps(SPLIT, indent=1).replace("\n", "\r\n").replace('"points"', '"p\\u006fints"'),
        "\n\n" + json.dumps({"status": "ok", **SPLIT}, indent="\t"),
        "\x1e" + json.dumps(SPLIT, indent=1),
        json.dumps(SPLIT),
    ],
    ids=["a byte order mark", "escapes in names", "blank lines", "a record separator", "one line"],
)
def test_any_layout_is_read(tmp_path: Path, text: str) -> None:
    source = opened(tmp_path / "rows.json", text)
    assert source.kind == "a JSON document of qdrant"
    assert [one for batch in loaded(source) for one in batch.ids] == [str(row["id"]) for row in POINTS]


@pytest.mark.parametrize("pack", [gzip.compress, lambda text: text.decode().encode("utf-16")])
def test_a_document_may_be_compressed_or_in_another_encoding(tmp_path: Path, pack: Any) -> None:
    source = opened(tmp_path / "rows.json", pack(json.dumps(SPLIT, indent=1).encode()))
    assert source.kind.startswith("a JSON document of qdrant, ")
    assert sum(len(batch.ids) for batch in loaded(source)) == len(POINTS)


def test_reading_goes_on_in_the_middle(tmp_path: Path) -> None:
    source = opened(tmp_path / "rows.json", json.dumps(SPLIT, indent=1))
    spans = [batch.span for batch in loaded(source, batch_rows=2)]
    assert [(span.start, span.stop) for span in spans] == [(0, 2), (2, 4), (4, 6), (6, 7)]
    rest = loaded(source, batch_rows=2, done=[spans[0], spans[2]])
    assert [batch.ids for batch in rest] == [["3", "4"], ["7"]]


def test_a_row_that_is_not_json_costs_itself(tmp_path: Path) -> None:
    # The first 4 KiB of rows are part of what shows the document's form.
    rows = [{**POINTS[0], "payload": {"t": "x" * 5000}}, *POINTS]
    text = json.dumps({"result": {"points": rows}}, indent=1)
    for wrong, says in (("NaN", "holds NaN, which JSON can't express"), ("0x5", "is not JSON")):
        (batch,) = loaded(opened(tmp_path / "rows.json", text.replace("     3,\n", f"     {wrong},\n")))
        assert len(batch.ids) == 7
        assert [(reject.row, reject.code) for reject in batch.rejects] == [(3, "not-json")]
        assert says in batch.rejects[0].message


def test_rows_are_rejected_one_by_one(tmp_path: Path) -> None:
    rows = [{"id": 1, "vector": VECTOR, "error": "x"}, {"id": 2, "vector": VECTOR}]
    source = opened(tmp_path / "rows.json", json.dumps({"rows": rows}, indent=1), recipes=REJECTING)
    (batch,) = loaded(source)
    assert batch.ids == ["2"]
    assert [(reject.row, reject.message) for reject in batch.rejects] == [(0, "failed")]


def test_numbers_that_are_no_json_in_the_first_row_cost_that_row(tmp_path: Path) -> None:
    text = "{\n" + json.dumps({"result": {"points": POINTS}})[1:].replace("[1, 0.5]", "[NaN, 0.5]")
    (batch,) = loaded(opened(tmp_path / "rows.json", text))
    assert [reject.row for reject in batch.rejects] == [0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (json.dumps(SPLIT, indent=1)[:700], "is not JSON: unexpected end of data at line 66, column 1"),
        (json.dumps(SPLIT, indent=1)[:-1], "is not JSON: unexpected end of data at line 86, column 1"),
        (json.dumps(SPLIT, indent=1) + "\n]", "is not JSON: unexpected content after document at line 86"),
        (json.dumps(SPLIT, indent=1).replace('"ok"', "'ok'"), "expected a JSON value at line 84, column 12"),
        (
            json.dumps({"result": {"points": POINTS, "x": POINTS}}, indent=1).replace('"x"', '"points"'),
            "has 'result.points' twice, so its rows could be in either; keep one of them",
        ),
        ('{\n"rows": [{"id": 1}],\n"rows": [{"id": 2}]}', "has 'rows' twice"),
    ],
)
def test_what_is_wrong_around_rows_is_an_error_before_any_is_read(
    tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(SourceError) as raised:
        opened(tmp_path / "rows.json", text).head()
    assert says in str(raised.value)


def test_a_comma_that_is_missing_between_later_rows_ends_the_load_there(tmp_path: Path) -> None:
    rows = ",".join(json.dumps({**POINTS[0], "vector": [0.5] * 400}) for _ in range(2000))
    text = '{\n"result": {"points": [' + rows + rows + "]}}"
    with pytest.raises(SourceError, match=r"after row \d+: it is not JSON: a comma is missing between"):
        loaded(opened(tmp_path / "rows.json", text))


def test_a_document_without_rows_is_empty(tmp_path: Path) -> None:
    source = opened(
        tmp_path / "rows.json", '{\n"result": {"points": []}, "status": "ok"}', recipes=RecipeChoice()
    )
    assert source.head() is None
    source = opened(tmp_path / "rows.json", '{\n"rows": [], "of": 1}', recipes=REJECTING)
    assert source.head() is None


def test_ids_of_a_file_join_the_rows(tmp_path: Path) -> None:
    _, document = DOCUMENTS["openai"]
    (tmp_path / "ids.txt").write_text('a\nb "b"\nc\n')
    source = opened(tmp_path / "rows.json", json.dumps(document), ids_file=str(tmp_path / "ids.txt"))
    assert isinstance(source, JsonlSource)
    assert [batch.ids for batch in loaded(source)] == [["a", 'b "b"', "c"]]
    assert len(source.files) == 2
    (tmp_path / "ids.txt").write_text("a\nb\n")
    with pytest.raises(SourceError, match=r"ids\.txt has 2 ids, but .*rows\.json has 3 rows"):
        open_sources([str(tmp_path / "rows.json")], ReadOptions(ids_file=str(tmp_path / "ids.txt")))


def test_ids_of_a_file_join_the_elements_of_an_array(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("a\nb\n")
    text = json.dumps([{"vector": VECTOR, "id": 1}, {"vector": VECTOR}])
    source = opened(tmp_path / "rows.json", text, ids_file=str(tmp_path / "ids.txt"))
    assert [batch.ids for batch in loaded(source)] == [["a", "b"]]


def test_the_limit_of_documents_is_not_for_those_that_are_read_row_by_row(tmp_path: Path) -> None:
    source = opened(tmp_path / "rows.json", json.dumps(SPLIT, indent=1), max_json_bytes=10)
    assert sum(len(batch.ids) for batch in loaded(source)) == len(POINTS)
    # One that is refused, or that nobody knows, is not read to say so.
    for text, says in (
        ('{"ids": [["a"]], "embeddings": [[[1]]]}', "is the result of a Chroma query"),
        ('{"x": 1,\n "y": 2}', "not an export that vecload knows"),
    ):
        with pytest.raises(Exception, match=says):
            opened(tmp_path / "rows.json", text, max_json_bytes=10).head()


@pytest.mark.parametrize("way", ["long line", "named elements"])
def test_a_long_line_that_is_the_only_one_is_a_document(tmp_path: Path, way: str) -> None:
    rows = [{**POINTS[0], "pad": "x" * 2**20} for _ in range(3)]
    named = way == "named elements"
    document = {"of": "x", "a": rows} if named else {"result": rows}
    recipes = RecipeChoice(paths=("a[].id",)) if named else RecipeChoice()
    source = opened(tmp_path / "a.jsonl", json.dumps(document) + "\n", recipes=recipes, max_line_bytes=2**21)
    assert source.kind.startswith("a JSON document")
    values, broken = rows_of(source)
    assert (len(values), broken) == (3, {})
    lines = opened(tmp_path / "b.jsonl", (json.dumps(document) + "\n") * 2, recipes=recipes)
    assert not lines.kind.startswith("a JSON document")


def test_a_huge_element_is_one_row_too_long_and_deep_ones_cost_themselves(tmp_path: Path) -> None:
    deep = '{"id": 2, "vector": [1, 2], "payload": {"a": ' + "[" * 10**5 + "]" * 10**5 + "}}"
    huge = json.dumps({"id": 3, "vector": [1, 2], "payload": {"t": '"[' * 2**21}})
    rows = [json.dumps(POINTS[0]), deep, huge, json.dumps(POINTS[1])]
    text = '{"result": {"points": [' + ", ".join(rows) + "]}}"
    source = opened(tmp_path / "rows.json", text, max_line_bytes=2**21)
    batches = loaded(source)
    assert [one for batch in batches for one in batch.ids] == ["1", "2"]
    assert [reject.code for batch in batches for reject in batch.rejects] == ["not-json", "long-line"]


_PEAK = r"""
import re, sys
from pathlib import Path
from vecload.loading.plan import make_plan
from vecload.mapping import ColumnChoice
from vecload.readers import open_sources
(source,) = open_sources(sys.argv[1:])
(job,) = make_plan([source], ColumnChoice(), embed=False).jobs(index_dimension=0, allow_zero_vectors=False)
count = sum(len(batch.ids) for batch in source.batches(job.mapper, batch_rows=1000, batch_bytes=2**23))
print(count, re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def test_a_large_document_needs_no_more_memory_than_its_rows_as_lines_and_four_batches(
    tmp_path: Path,
) -> None:
    row = orjson.dumps({"id": 1, "vector": [n / 7 for n in range(384)], "payload": {"text": "x" * 500}})
    count = 200 * 2**20 // len(row)
    with (tmp_path / "rows.json").open("wb") as file:
        file.write(b'{"result": {"points": [')
        file.writelines(row + b",\n" for _ in range(count - 1))
        file.write(row + b'], "next_page_offset": null}, "status": "ok", "time": 0.1}')
    with (tmp_path / "rows.jsonl").open("wb") as file:
        file.writelines(row + b"\n" for _ in range(count))
    peaks = []
    for name in ("rows.jsonl", "rows.json"):
        done = subprocess.run(
            [sys.executable, "-c", _PEAK, str(tmp_path / name)], capture_output=True, check=True, text=True
        )
        rows, peak = map(int, done.stdout.split())
        assert rows == count
        peaks.append(peak)
    # Lines of a file are read where they are parsed; what is split comes in blocks of a batch's size.
    assert peaks[1] < peaks[0] + 4 * 2**13
