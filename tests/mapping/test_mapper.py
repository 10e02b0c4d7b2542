from __future__ import annotations

from vecload.batch import Span
from vecload.mapping import ColumnMapping, JsonRows, Mapper


def test_rows_without_contents_are_rejected_where_the_index_makes_the_vectors_of_them() -> None:
    rows = JsonRows(Span("s", 0, 3), [{"id": "a", "text": "x"}, {"id": "b"}, {"id": "c", "text": ""}])

    batch = Mapper(ColumnMapping("id", None, "text"), 0).map(rows)

    assert batch.ids == ["a"]
    assert [(reject.row, reject.field, reject.code) for reject in batch.rejects] == [
        (1, "contents", "missing"),
        (2, "contents", "missing"),
    ]
