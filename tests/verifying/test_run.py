"""A verification expects what a load of the same sources with the same options leaves in the index."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vecload
from tests.mapping import test_value_matrix as matrix
from tests.servers import Service
from vecload.batch import Batch, Span
from vecload.errors import (
    IndexMismatch,
    IndexNotFound,
    Interrupted,
    SourceError,
    UsageError,
    WrongKey,
)
from vecload.sealing import Key
from vecload.targets import TargetIndex, connect_target
from vecload.verifying import selection

DIM = 4


class Place:
    """An index of a target, which tests load, corrupt and verify."""

    def __init__(self, to: str, name: str) -> None:
        self.to = to
        self.name = name
        self.key = vecload.generate_key()

    @property
    def arguments(self) -> dict[str, Any]:
        return {"to": self.to, "index": self.name, "key": self.key}

    def load(self, sources: Any, **options: Any) -> vecload.LoadResult:
        return vecload.load(sources, **self.arguments, **options)

    def verify(self, sources: Any, **options: Any) -> vecload.VerifyResult:
        return vecload.verify(sources, **{**self.arguments, **options})

    def change(self, change: Callable[[TargetIndex], object]) -> None:
        with connect_target(self.to) as target:
            change(target.open_index(self.name, self.key.index_key))

    def put(self, ids: Sequence[str], vectors: Any, **parts: Any) -> None:
        columns = {"metadata": None, "contents": None} | parts
        row = np.array(vectors, dtype=np.float32)
        self.change(lambda index: index.upsert(Batch([*ids], row, **columns, span=Span("put", 0, len(ids)))))

    def delete(self, *ids: str) -> None:
        self.change(lambda index: index.delete(ids))


@pytest.fixture(params=["embedded", "service"])
def place(request: pytest.FixtureRequest, tmp_path: Path, index_name: str) -> Iterator[Place]:
    folder = request.param == "embedded"
    made = Place(str(tmp_path / "store") if folder else request.getfixturevalue("service"), index_name)
    yield made
    with vecload.connect(made.to) as connection:
        if index_name in connection.list_indexes():
            connection.delete_index(index_name, made.key)


@pytest.fixture
def embedded(tmp_path: Path) -> Place:
    return Place(str(tmp_path / "store"), "verified")


def row(item_id: Any, *vector: float, **fields: Any) -> dict[str, Any]:
    return {"id": item_id, "vector": [*(vector or (1.0, 2.0, 3.0, 4.0))], **fields}


def rows_of(count: int) -> list[dict[str, Any]]:
    vectors = np.random.default_rng(0).standard_normal((count, DIM), dtype=np.float32)
    return [
        {"id": f"i{n}", "vector": vectors[n], "metadata": {"n": n}, "contents": f"text {n}"}
        for n in range(count)
    ]


def counts(result: vecload.VerifyResult) -> tuple[int, int, int]:
    return result.checked, result.missing, result.different


# --- which row counts ---


def test_of_repeated_ids_the_last_row_counts(place: Place) -> None:
    rows = [row("a", n=1), row("b", n=1), row("a", n=2), *[row(f"c{n}") for n in range(3000)], row("a", n=3)]
    place.load(rows, repeated_ids="last")
    result = place.verify(rows, repeated_ids="last")
    assert (result.status, result.checked, result.repeated, result.vectors_checked) == (
        "equal",
        3002,
        2,
        3002,
    )
    earlier = rows[:-1]
    result = place.verify(earlier, repeated_ids="last")
    assert counts(result) == (3002, 0, 1)
    assert [(one.id, one.row) for one in result.shown] == [("a", 2)]
    assert place.verify(rows[::-1], repeated_ids="last").shown[0].row == len(rows) - 1


def test_where_repeated_ids_are_rejected_the_first_row_counts(embedded: Place) -> None:
    rows = [row("a", n=1), row("b", n=1), row("a", n=2)]
    embedded.load(rows, repeated_ids="reject", max_errors=1)
    result = embedded.verify(rows, repeated_ids="reject")
    assert (result.status, result.checked, result.rejected, result.repeated) == ("equal", 2, 1, 0)
    assert embedded.verify(rows, repeated_ids="last").different == 1


def test_rejected_rows_are_not_expected(place: Place) -> None:
    rows = [row("a"), row("b", 1, 2), row("", 1, 2, 3, 4), row("c", 0, 0, 0, 0), row("d")]
    place.load(rows, max_errors="100%")
    result = place.verify(rows, extra=True)
    assert (result.status, result.read, result.rejected, counts(result)) == ("equal", 5, 3, (2, 0, 0))
    place.put(["b"], [[1, 2, 3, 4]])
    assert place.verify(rows, extra=True).shown_extra == ["b"]


def test_several_sources_are_one_load(embedded: Place, tmp_path: Path) -> None:
    for name, n in (("one", 1), ("two", 2)):
        lines = [json.dumps(row(i, n=n)) for i in ("same", name)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    both = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    embedded.load(both, id_column="id")
    result = embedded.verify(both, id_column="id")
    assert (result.status, counts(result), result.repeated) == ("equal", (3, 0, 0), 1)
    result = embedded.verify(both[::-1], id_column="id")
    assert [str(one) for one in result.shown] == [
        f"{both[0]}, row 0 (id 'same'): metadata differs in 'n'",
    ]


# --- every kind of item ---


def test_zero_vectors(place: Place) -> None:
    zero = (0.0, -0.0, 0.0, 0.0)
    rows = [
        row("z", *zero),
        row("zm", *zero, metadata={"a": 1}),
        row("zc", *zero, contents="c"),
        row("zmc", *zero, metadata={"a": 1}, contents="c"),
        row("v"),
    ]
    columns: dict[str, Any] = {"contents_column": "contents", "allow_zero_vectors": True}
    place.load(rows, **columns)
    result = place.verify(rows, **columns, extra=True)
    assert (result.status, counts(result), result.vectors_checked) == ("equal", (5, 0, 0), 5)
    assert place.verify(rows, **columns, vectors=1).status == "equal"
    place.delete("z")
    assert counts(place.verify(rows, **columns)) == (5, 1, 0)
    place.put(["z", "v"], [[1, 2, 3, 4], [0, 0, 0, 0]])
    result = place.verify(rows, **columns)
    assert [(one.id, one.parts) for one in result.shown] == [
        ("z", (("vector", "differs in 4 of 4 values"),)),
        ("v", (("vector", "is all zeros"),)),
    ]


def test_generated_and_prefixed_ids(embedded: Place) -> None:
    rows = [{"vector": [1.0, 2.0], "n": n} for n in range(10)]
    options: dict[str, Any] = {"generate_ids": True, "id_prefix": "p-"}
    embedded.load(rows, **options)
    assert embedded.verify(rows, **options, extra=True).status == "equal"
    assert counts(embedded.verify(rows, generate_ids=True, extra=True)) == (10, 10, 0)


def test_where_the_index_makes_the_vectors_they_are_not_compared(place: Place) -> None:
    rows = [row("a", n=1, contents="one"), row("b", n=2, contents="two")]
    place.load(rows, seal=False, contents_column="contents")
    without = [{name: value for name, value in one.items() if name != "vector"} for one in rows]
    result = place.verify(without, embed=True, contents_column="contents")
    assert (result.status, counts(result), result.vectors_checked) == ("equal", (2, 0, 0), 0)
    without[0]["n"] = 2
    assert counts(place.verify(without, embed=True, contents_column="contents")) == (2, 0, 1)


def test_unsealed_contents(place: Place) -> None:
    contents: list[Any] = ["text", "żółć", b"\xff\x00", b"text", "", None]
    rows = [row(f"i{n}", contents=value) for n, value in enumerate(contents)]
    place.load(rows, seal=False, contents_column="contents")
    assert place.verify(rows, seal=False, contents_column="contents").status == "equal"
    result = place.verify(rows, contents_column="contents")
    assert {what for one in result.shown for _, what in one.parts} == {"are not sealed", "are missing"}
    assert result.different == 5
    rows[0]["contents"] = "other"
    assert counts(place.verify(rows, seal=False, contents_column="contents")) == (6, 0, 1)


def test_sealed_contents_are_not_what_unsealed_ones_are_expected(embedded: Place) -> None:
    embedded.load(rows_of(3))
    result = embedded.verify(rows_of(3), seal=False)
    assert {one.parts for one in result.shown} == {(("contents", "are sealed, but should not be"),)}


@pytest.mark.parametrize("precision", ["float32", "float16", "tq12", "tq8", "tq6", "tq4"])
def test_lossy_storage_is_equal_within_what_it_loses(place: Place, precision: str) -> None:
    rows = [
        {"id": f"i{n}", "vector": vector, "n": n}
        for n, vector in enumerate(np.random.default_rng(2).standard_normal((300, 32), dtype=np.float32))
    ]
    place.load(rows, storage_precision=precision)
    result = place.verify(rows, storage_precision=precision)
    assert (result.status, counts(result), result.hints) == ("equal", (300, 0, 0), [])
    exact = place.verify(rows)
    if precision == "float32":
        assert exact.status == "equal"
    else:
        assert (exact.status, counts(exact)) == ("different", (300, 0, 300))
        (hint,) = exact.hints
        assert f"storage_precision {precision}" in hint
    place.put(["i7", "i8"], [rows[8]["vector"], -rows[8]["vector"]], metadata=[{"n": 7}, {"n": 8}])
    result = place.verify(rows, storage_precision=precision)
    assert [(one.id, [field for field, _ in one.parts]) for one in result.shown] == [
        ("i7", ["vector"]),
        ("i8", ["vector"]),
    ]


def valid_lines() -> list[str]:
    """A line of JSON for every value in the matrix, those that are rejected too."""
    lines = [matrix.line("id", text) for _, _, text, _ in matrix.IDS if text is not None and len(text) < 9999]
    fields = [
        *(("vector", text) for _, _, text, _ in matrix.VECTORS if text is not None),
        *(("metadata", text) for _, _, text, _ in matrix.OBJECTS if text is not None),
        *(("metadata", json.dumps({"x": value})) for _, value in matrix.JSON_METADATA),
        *(("contents", text) for _, _, text, _ in matrix.CONTENTS if text is not None and len(text) < 9999),
    ]
    for number, (field, text) in enumerate(fields):
        lines.append(matrix.line(field, text).replace('"row-0"', f'"{field} {number}"'))
    return lines


def test_every_value_of_the_matrix_from_json(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "matrix.jsonl"
    path.write_text("\n".join(valid_lines()) + "\n", encoding="utf-8")
    options: dict[str, Any] = {
        "id_column": "id",
        "vector_column": "vector",
        "contents_column": "contents",
        "max_errors": "100%",
    }
    loaded = place.load(path, **options)
    assert loaded.loaded > 60
    assert loaded.rejected > 50
    result = place.verify(path, **options, extra=True)
    assert (result.status, result.rejected) == ("equal", loaded.rejected), result.shown


def of_matrix(field: str, cases: Sequence[Any], folder: Path) -> list[Path]:
    """A Parquet file for each value in a table of the matrix that Parquet can hold and that is loaded."""
    files: list[Path] = []
    for case in cases:
        array = case[1]
        if array is None or isinstance(case[-1], matrix.Fault):
            continue
        vector = pa.array([[1.0, 2.0]], pa.list_(pa.float32()))
        columns = {"id": pa.array([f"{field} {len(files)}"]), "vector": vector, field: array}
        path = folder / f"{field}-{len(files)}.parquet"
        try:
            pq.write_table(pa.table(columns), path)
        except pa.ArrowException:
            continue
        files.append(path)
    return files


@pytest.mark.parametrize(
    ("field", "cases", "least"),
    [("vector", matrix.VECTORS, 15), ("contents", matrix.CONTENTS, 8), ("x", matrix.METADATA, 25)],
)
def test_every_value_of_the_matrix_from_parquet(
    place: Place, tmp_path: Path, field: str, cases: Sequence[Any], least: int
) -> None:
    files = of_matrix(field, cases, tmp_path)
    assert len(files) >= least
    options: dict[str, Any] = {
        "id_column": "id",
        "vector_column": "vector",
        "vector_dtype": "float32",
        "dimension": 2,
        **({"contents_column": "contents"} if field == "contents" else {}),
    }
    place.load(files, **options)
    result = place.verify(files, **options, extra=True)
    assert (result.status, result.checked) == ("equal", len(files)), result.shown


# --- how much is compared ---


def test_a_sample_compares_about_so_many_items_with_all_rows_of_each(embedded: Place) -> None:
    rows = [row(f"i{n % 1000}", 1, 2, 3, n // 1000) for n in range(2000)]
    embedded.load(rows, id_column="id")
    for sample, least, most in ((100, 40, 180), ("10%", 40, 180), ("50%", 380, 620), (5000, 1000, 1000)):
        result = embedded.verify(rows, id_column="id", sample=sample)
        assert result.status == "equal"
        assert least <= result.checked <= most
        assert result.vectors_checked == result.checked
        assert (result.read, result.sampled) == (2000, most < 1000)
        assert result.repeated == result.checked


def test_of_some_items_only_the_vectors_are_not_compared(place: Place) -> None:
    rows = rows_of(1000)
    place.load(rows)
    result = place.verify(rows, vectors=200)
    assert (result.status, result.checked) == ("equal", 1000)
    assert 100 <= result.vectors_checked <= 300
    assert not result.sampled
    place.put([f"i{n}" for n in range(1000)], np.ones((1000, DIM)))
    result = place.verify(rows, vectors="10%")
    assert counts(result) == (1000, 0, 1000)  # all lack their contents
    vectors = [one for one in result.shown if ("vector", "differs in 4 of 4 values") in one.parts]
    assert len(vectors) < 5


def test_a_service_returns_so_many_vectors_in_time(
    service: str, index_name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    place = Place(service, index_name)
    rows = rows_of(1000)
    place.load(rows)
    assert place.verify(rows).vectors_checked == 1000
    monkeypatch.setattr(selection, "VECTOR_SECONDS", 1)
    monkeypatch.setattr(selection, "VECTOR_VALUES_PER_SECOND", 100 * DIM)
    with caplog.at_level("INFO", "vecload"):
        assert 30 <= place.verify(rows).vectors_checked <= 250
    assert "comparing the vectors of about 100 of 1,000 items" in caplog.text
    assert place.verify(rows, vectors="all").vectors_checked == 1000


@pytest.mark.parametrize("amount", ["0", 0, -1, "0%", "101%", "x", "", True, "1.5"])
def test_an_amount_that_is_none_is_refused(embedded: Place, amount: Any) -> None:
    for name in ("sample", "vectors"):
        with pytest.raises(UsageError, match=rf"{name} .* is neither a number from 1, a percentage"):
            embedded.verify([row("a")], **{name: amount})


def test_ids_that_only_the_index_has(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.load(rows_of(20))
    with caplog.at_level("INFO", "vecload"):
        result = place.verify(rows_of(12))
    assert (result.status, result.extra, result.items) == ("equal", None, 20)
    assert "the index holds 8 more items than the sources; extra=True lists their ids" in caplog.text
    result = place.verify(rows_of(12), extra=True, sample=3)
    assert (result.status, result.extra, result.exit_code) == ("different", 8, 5)
    assert {*result.shown_extra} < {f"i{n}" for n in range(12, 20)}


# --- the file of differences ---


def test_differences_name_fields_and_no_value(embedded: Place, tmp_path: Path) -> None:
    embedded.load(rows_of(5))
    rows = rows_of(5)
    rows[1] |= {"metadata": {"n": "a secret value"}, "contents": "a secret text"}
    file = tmp_path / "differences.jsonl"
    file.write_text('{"id":"of an earlier run"}\n')
    result = embedded.verify(rows[:4], differences=file, extra=True)
    assert [json.loads(line) for line in file.read_text().splitlines()] == [
        {
            "id": "i1",
            "source": "iterable of dicts",
            "row": 1,
            "field": "metadata",
            "what": "has another type in 'n'",
        },
        {"id": "i1", "source": "iterable of dicts", "row": 1, "field": "contents", "what": "differ"},
        {"id": "i4", "source": None, "row": None, "field": "item", "what": "is not in the sources"},
    ]
    assert "secret" not in file.read_text() + repr(result) + json.dumps(result.as_dict())
    assert [*tmp_path.glob(".*")] == []
    assert embedded.verify(rows_of(5), differences=file).status == "equal"
    assert file.read_text() == ""


def test_no_other_file_is_replaced(embedded: Place, tmp_path: Path) -> None:
    source, key = tmp_path / "rows.jsonl", tmp_path / "the.key"
    source.write_text(json.dumps(row("a")) + "\n")
    embedded.key.save(key)
    embedded.load(source)
    other = tmp_path / "notes.txt"
    other.write_text("my notes")
    for path, why in (
        (source, "is a source"),
        (key, "is the key file"),
        (other, "is not a file of differences"),
        (tmp_path, "is a folder|not a regular file"),
        (tmp_path / "missing" / "x.jsonl", "no folder"),
    ):
        with pytest.raises(UsageError, match=why):
            embedded.verify(source, key=key, differences=path)
    assert other.read_text() == "my notes"


# --- what stops it ---


def test_an_index_that_is_not_there(place: Place) -> None:
    place.load([row("a")])
    with pytest.raises(IndexNotFound) as stopped:
        place.verify([row("a")], index="another")
    assert (stopped.value.exit_code, stopped.value.result.status) == (2, "failed")
    with pytest.raises(IndexMismatch):
        place.verify([row("a", 1, 2)])
    with pytest.raises(WrongKey) as refused:
        place.verify([row("a")], key=vecload.generate_key())
    assert refused.value.exit_code == 6


def test_no_store_is_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no store"):
        vecload.verify([row("a")], to=tmp_path / "none", index="a", key=vecload.generate_key())
    assert not (tmp_path / "none").exists()


def test_another_contents_key_is_hinted_at(embedded: Place) -> None:
    embedded.load(rows_of(5))
    key = Key(embedded.key.index_key, vecload.generate_key().contents_key)
    result = embedded.verify(rows_of(5), key=key)
    assert counts(result) == (5, 0, 5)
    assert any("is it the right key?" in hint for hint in result.hints)


def test_it_stops_when_asked_to(place: Place, tmp_path: Path) -> None:
    place.load(rows_of(10))
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted) as stopped:
        place.verify(rows_of(10), stop=stop, differences=tmp_path / "d.jsonl")
    assert (stopped.value.exit_code, stopped.value.result.status) == (130, "interrupted")
    assert [*tmp_path.glob("*.jsonl")] == []


def test_a_source_that_changes_meanwhile_is_an_error(embedded: Place, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    table = pa.table({"id": ["a", "b"], "vector": pa.array([[1.0, 2.0]] * 2, pa.list_(pa.float32()))})
    pq.write_table(table, path)
    embedded.load(path)
    with pytest.raises(SourceError, match="changed"):
        embedded.verify(path, on_progress=lambda now: now.read and pq.write_table(table.slice(1), path))


def test_half_a_line_at_the_end_is_not_compared(
    embedded: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row("a")) + "\n")
    embedded.load(path)
    with path.open("a") as file:
        file.write('{"id": "b", "vec')
    with caplog.at_level("INFO", "vecload"):
        assert counts(embedded.verify(path)) == (1, 0, 0)
    assert "incomplete line" in caplog.text


def test_nothing_is_written(embedded: Place, tmp_path: Path) -> None:
    embedded.load(rows_of(10))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    embedded.verify(rows_of(10), extra=True)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


def test_progress_counts_compared_items(embedded: Place) -> None:
    embedded.load(rows_of(3000))
    seen: list[Any] = []
    embedded.verify(rows_of(3000), on_progress=seen.append)
    assert (seen[-1].loaded, seen[-1].read, seen[-1].done) == (3000, 3000, "compared")
    assert [one.loaded for one in seen] == sorted(one.loaded for one in seen)


def test_what_a_service_can_not_send_is_a_difference_of_its_item(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "data"), "poisoned")
    place.load(rows_of(600))
    place.put(["i7"], [[1, np.nan, 3, 4]], metadata=[{"n": 7}])
    with Service(tmp_path / "service", data=tmp_path / "data") as service:
        result = place.verify(rows_of(600), to=service.url)
    assert [(one.id, one.parts) for one in result.shown] == [
        ("i7", (("vector", "can't be sent by the service"), ("contents", "are missing")))
    ]
    result = place.verify(rows_of(600))
    assert [one.parts[0] for one in result.shown] == [("vector", "holds values that are not finite")]


def test_an_index_is_compared_with_another(place: Place, tmp_path: Path) -> None:
    from vecload.readers.index_source import IndexSource
    from vecload.sealing import Opener

    other = Place(str(tmp_path / "other"), "copied")
    other.load(rows_of(1500))
    with connect_target(other.to) as target:
        index = target.open_index(other.name, other.key.index_key)
        source = IndexSource(index, target.location, opener=Opener(other.key.opening_keys, other.name))
        assert place.load(source).loaded == 1500
        assert place.verify(source, extra=True).status == "equal"
        place.delete("i1")
        assert counts(place.verify(source)) == (1500, 1, 0)
    assert place.verify(rows_of(1500), extra=True).missing == 1
