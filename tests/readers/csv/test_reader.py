"""CSV as a source: its columns, types and vectors, what a broken row costs, and where reading resumes."""

from __future__ import annotations

import csv
import gzip
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecload.batch import Batch
from vecload.errors import MappingError, SourceError
from vecload.mapping import ColumnChoice, Mapper, Rules
from vecload.mapping.first_rows import with_first_rows
from vecload.mapping.guess import guess_mapping
from vecload.mapping.mapper import common_dimension
from vecload.mapping.text_types import reads_back
from vecload.readers import ReadOptions, Source, open_sources
from vecload.readers.source import around

LONG = "123456789012345678901"
GUESSED, RULES = ColumnChoice(), Rules()


def write(path: Path, data: str | bytes) -> str:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(path)


def opened(path: str, **options: Any) -> Source:
    (source,) = open_sources([path], ReadOptions(**options))
    return source


def mapper_for(source: Source, choice: ColumnChoice = GUESSED, rules: Rules = RULES) -> Mapper:
    head = source.head()
    assert head is not None
    columns = with_first_rows(source.columns(), head)
    mapping = guess_mapping(columns, choice, source=source.name, rules=rules)
    return Mapper(mapping, common_dimension(head, mapping, source.name), keep_rows=True)


def batches(
    source: Source, choice: ColumnChoice = GUESSED, rules: Rules = RULES, *, rows: int = 1000
) -> list[Batch]:
    mapper = mapper_for(source, choice, rules)
    return [*source.batches(mapper, batch_rows=rows, batch_bytes=10**6)]


def load(path: str, choice: ColumnChoice = GUESSED, rules: Rules = RULES, **options: Any) -> Batch:
    (batch,) = batches(opened(path, **options), choice, rules)
    return batch


def test_texts_are_texts_and_numbers_are_numbers_that_read_back(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.csv",
        "id,zip,year,score,price,big,flag,vector\n"
        f'007,02134,2020,0.5,1.50,{LONG},true,"[1,2]"\n'
        '8,12345,-3,2,2.25,1,false,"[3,4]"\n',
    )
    batch = load(path)
    assert batch.ids == ["007", "8"]
    assert batch.metadata == [
        {
            "zip": "02134",
            "year": 2020,
            "score": 0.5,
            "price": "1.50",
            "big": "123456789012345678901",
            "flag": "true",
        },
        {"zip": "12345", "year": -3, "score": 2.0, "price": "2.25", "big": "1", "flag": "false"},
    ]
    assert load(path, rules=Rules(csv_types="text")).metadata[0]["year"] == "2020"  # type: ignore[index]
    assert load(path, csv_types="text").metadata[0]["year"] == "2020"  # type: ignore[index]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_shortest_text_of_a_number_reads_back(number: float) -> None:
    assert reads_back(repr(number)) or repr(number) == "-0.0"


@pytest.mark.parametrize(
    "text",
    ["1.50", "02", "-0", "-0.0", "+1", ".5", "1.", "1e999", "0x1", "1_0", "0.12345678901234567890", ""],
)
def test_a_number_that_would_lose_something_stays_text(text: str) -> None:
    assert not reads_back(text)


def test_an_empty_field_is_null_and_a_quoted_one_is_empty_text(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'id,a,n,vector\nx,,,"[1,2]"\ny,"",5,"[1,2]"\nz,b,"","[1,2]"\n')
    assert load(path).metadata == [None, {"a": "", "n": 5}, {"a": "b"}]


def test_a_later_value_that_is_no_number_is_a_reject(tmp_path: Path) -> None:
    lines = [f'{n},{n},"[1,2]"' for n in range(150)]
    lines[140] = '140,0140,"[1,2]"'
    path = write(tmp_path / "a.csv", "id,zip,vector\n" + "\n".join(lines))
    (batch,) = batches(opened(path))
    (reject,) = batch.rejects
    assert (reject.row, reject.field, reject.code) == (140, "metadata", "not-a-number")
    assert str(reject).endswith(
        "has text in 'zip', which the first rows show as numbers: use --csv-types text"
    )
    assert len(load(path, rules=Rules(csv_types="text"))) == 150


def test_a_column_has_one_type_in_all_files(tmp_path: Path) -> None:
    one = write(tmp_path / "1.csv", 'id,zip,n,vector\na,12345,1,"[1,2]"\n')
    other = write(tmp_path / "2.csv", 'id,zip,n,vector\nb,02134,1.5,"[1,2]"\n')
    first, second = open_sources([one, other])
    assert batches(first)[0].metadata == [{"zip": "12345", "n": 1.0}]
    assert batches(second)[0].metadata == [{"zip": "02134", "n": 1.5}]


def test_a_bad_row_costs_itself(tmp_path: Path) -> None:
    rows = [
        b'a,1,"[1,2]"',
        b"b,2",
        b'c,3,"[1,2]",x',
        b'd,\xff,"[1,2]"',
        b'e,"4,"[1,2]"',
        b'f,6,"[1,x]"',
        b'g,7,"[3,4]"',
    ]
    path = write(tmp_path / "a.csv", b"id,n,vector\n\n" + b"\n".join(rows) + b"\n")
    batch = load(path)
    assert batch.ids == ["a", "g"]
    said = {reject.row: (reject.field, reject.code, reject.message) for reject in batch.rejects}
    assert said[1] == ("line", "fields", "has 2 fields instead of 3")
    assert said[2] == ("line", "fields", "has 4 fields instead of 3")
    assert said[3][:2] == ("line", "not-utf8")
    assert said[4][:2] == ("line", "quotes")
    assert said[5][0] == "vector"
    assert [*said] == [1, 2, 3, 4, 5]
    data = Path(path).read_bytes()
    for reject in batch.rejects:
        assert reject.offset is not None
        assert data[reject.offset :].startswith(rows[reject.row])
    assert next(reject.raw for reject in batch.rejects if reject.row == 1) == "b,2"


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("stray", [False, True])
def test_reading_resumes_at_the_byte_after_what_is_done(tmp_path: Path, *, packed: bool, stray: bool) -> None:
    lines = [f'{n},"one\n""two"", {n}","[{n},1]"\n' for n in range(1, 51)]
    if stray:
        lines[20] = '21,5" pipe,"[21,1]"\n'
    data = ("id,text,vector\n" + "".join(lines)).encode()
    path = write(tmp_path / "a.csv", gzip.compress(data) if packed else data)
    source = opened(path)
    found = batches(source, rows=7)
    assert [len(batch) for batch in found] == [7] * 7 + [1]
    spans = [batch.span for batch in found]
    assert spans[0].begin == len("id,text,vector\n")
    assert spans[-1].end == len(data)
    assert all(one.end == after.begin for one, after in pairwise(spans))
    mapper = mapper_for(source)
    for done in ([spans[0], spans[3], *spans[5:]], spans[:4], around([spans[2]], source.name, None)):
        again = [*opened(path).batches(mapper, batch_rows=100, batch_bytes=10**6, done=done)]
        kept = {row for span in done for row in range(span.start, min(span.stop, 50))}
        ids = [item for batch in again for item in batch.ids]
        assert ids == [str(row + 1) for row in range(50) if row not in kept]
        texts = [text for batch in again for text in batch.contents or ()]
        assert texts == [
            text for b in found for text, i in zip(b.contents or (), b.ids, strict=True) if i in ids
        ]


@pytest.mark.parametrize(
    "vector",
    [
        "[0.1,0.2,-3e-2]",
        "{0.1,0.2,-3e-2}",
        "0.1 0.2 -3e-2",
        "0.1, 0.2, -3e-2",
        "[0.1 0.2 -3e-2]",
        "(0.1,0.2,-3e-2)",
        "[ 0.1  0.2\n -.03]",
    ],
)
def test_vectors_in_the_notations_of_text(tmp_path: Path, vector: str) -> None:
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["id", "embedding"], ["a", vector], ["b", vector]])
    batch = load(str(path))
    assert batch.vectors is not None
    np.testing.assert_array_equal(batch.vectors, np.float32([[0.1, 0.2, -0.03]] * 2))


def halfway(number: float) -> str:
    """The decimal that is exactly between a float32 and the next, and a little above: it rounds up."""
    from fractions import Fraction

    one, other = Fraction(number), Fraction(float(np.nextafter(np.float32(number), np.float32(np.inf))))
    middle = (one + other) / 2
    digits = f"{middle.numerator * 10**160 // middle.denominator}".rjust(161, "0")
    return f"{digits[:-160]}.{digits[-160:]}1"


@given(st.floats(2**-10, 100, width=32))
def test_a_number_is_the_float32_nearest_to_what_is_written(number: float) -> None:
    import tempfile

    up = np.nextafter(np.float32(number), np.float32(np.inf))
    written = halfway(number)
    with tempfile.TemporaryDirectory() as folder:
        for name, row in (("a", f'x,"[{written},1]"'), ("b", f'x,"{written} 1"')):
            path = write(Path(folder, f"{name}.csv"), f"id,vector\n{row}\n")
            assert load(path).vectors.tolist() == [[float(up), 1.0]]  # type: ignore[union-attr]
        path = write(Path(folder, "c.csv"), f"id,d_0,d_1\nx,{written},1\n")
        found = load(path, ColumnChoice(vector="d_*"), vector_columns="d_*")
        assert found.vectors.tolist() == [[float(up), 1.0]]  # type: ignore[union-attr]


@pytest.mark.parametrize("layout", ["brackets", "bare", "dimensions"])
def test_a_number_that_needs_care_and_one_that_is_none_leave_other_rows_alone(
    tmp_path: Path, layout: str
) -> None:
    rows = [["0.1", "0.2"], [halfway(0.75), "1e-40"], ["7", "-0.0"], *([["1", "2"]] * 3)]
    rows += [["x", "1"], ["0.3", ""], ["1e39", "1"]]
    header = "id,d_0,d_1" if layout == "dimensions" else "id,vector"
    lines = [header]
    for number, row in enumerate(rows):
        text = {
            "dimensions": ",".join(row),
            "bare": '"' + " ".join(row) + '"',
            "brackets": '"[' + ", ".join(row) + ']"',
        }[layout]
        lines.append(f"{number},{text}")
    path = write(tmp_path / "a.csv", "\n".join(lines) + "\n")
    name = "d_*" if layout == "dimensions" else "vector"
    options = {"vector_columns": "d_*"} if layout == "dimensions" else {}
    batch = load(path, ColumnChoice(vector=name), **options)
    assert batch.ids == ["0", "1", "2", "3", "4", "5"]
    up = np.nextafter(np.float32(0.75), np.float32(1))
    expected = np.array([[0.1, 0.2], [up, 1e-40], [7, -0.0], *([[1, 2]] * 3)], dtype=np.float32)
    assert batch.vectors is not None
    np.testing.assert_array_equal(batch.vectors.view(np.uint32), expected.view(np.uint32))
    assert [reject.row for reject in batch.rejects] == [6, 7, 8]


@pytest.mark.parametrize("kind", ["csv", "parquet", "feather"])
def test_one_column_a_dimension_in_natural_order(tmp_path: Path, kind: str) -> None:
    values = np.random.default_rng(1).standard_normal((5, 12), dtype=np.float32)
    frame = pd.DataFrame({"id": list("abcde"), "note": ["n"] * 5})
    for at in [*range(11, -1, -1)]:
        frame[f"dim_{at}"] = values[:, at]
    frame.loc[3, "dim_7"] = None
    frame.loc[4, [f"dim_{at}" for at in range(12)]] = None
    path = tmp_path / f"a.{kind}"
    if kind == "csv":
        frame.to_csv(path, index=False)
    elif kind == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_feather(path)
    batch = load(str(path), ColumnChoice(vector="dim_*"), vector_columns="dim_*")
    assert batch.ids == ["a", "b", "c"]
    np.testing.assert_array_equal(batch.vectors, values[:3])
    assert batch.metadata == [{"note": "n"}] * 3
    assert {reject.row: reject.code for reject in batch.rejects} == {3: "null-element", 4: "missing"}


@pytest.mark.parametrize(
    ("header", "pattern", "says"),
    [
        ("id,d_0,d_2", "d_*", "has 'd_1' missing among 2 columns named like 'd_*'"),
        ("id,d_2,d_3", "d_*", "has 'd_1' missing"),
        ("id,d_0,d_1,d_01", "d_*", "for the same dimension"),
        ("id,d_0,d_1", "e_*", "has no columns named like 'e_*'; it has 'id', 'd_0', 'd_1'"),
        ("id,d_0,d_1", "d_", "has no * or several"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_dimensions_are_complete(tmp_path: Path, header: str, pattern: str, says: str, kind: str) -> None:
    names = header.split(",")
    path = tmp_path / f"a.{kind}"
    frame = pl.DataFrame({name: ["a"] if name == "id" else [0.5] for name in names})
    frame.write_csv(path) if kind == "csv" else frame.write_parquet(path)
    with pytest.raises(MappingError) as raised:
        opened(str(path), vector_columns=pattern)
    assert says in str(raised.value)


def test_the_guess_names_the_flag_for_one_column_a_dimension(tmp_path: Path) -> None:
    names = [f"d{at}" for at in range(8)]
    path = write(tmp_path / "a.csv", ",".join(["id", *names]) + "\na," + ",".join(["0.25"] * 8) + "\n")
    with pytest.raises(MappingError) as raised:
        load(path)
    assert "--vector-columns 'd*'" in str(raised.value)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["a.csv", "a.txt"])
def test_the_delimiter_is_detected(tmp_path: Path, delimiter: str, name: str) -> None:
    path = tmp_path / name
    with path.open("w", newline="") as file:
        rows = [["id", "text", "vector"], ["a", "one, two; three | four\tfive", "[1,2]"], ["b", "x", "[1,2]"]]
        csv.writer(file, delimiter=delimiter).writerows(rows)
    batch = load(str(path))
    assert (batch.ids, batch.contents) == (["a", "b"], ["one, two; three | four\tfive", "x"])


def test_an_unclear_delimiter_is_not_guessed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "id;a,vector\nx;1,2\n")
    with pytest.raises(SourceError, match="may be separated by ',' or by ';'; name its delimiter"):
        opened(path)
    assert [column.name for column in opened(path, csv_delimiter=";").columns()] == ["id", "a,vector"]
    with pytest.raises(SourceError, match="can't separate fields"):
        opened(path, csv_delimiter="ab")


def test_a_header_is_needed_or_names(tmp_path: Path) -> None:
    data = 'a,some text,"[1,2]"\nb,more text,"[3,4]"\n'
    path = write(tmp_path / "a.csv", data)
    with pytest.raises(SourceError) as raised:
        opened(path)
    assert str(raised.value).endswith(
        "a.csv has no header: its first row holds a vector in column 3 of 3; name its columns with "
        "--csv-columns A,B,…"
    )
    names = ("id,text,vector",)
    assert load(path, csv_columns=names).contents == ["some text", "more text"]
    # With the very names as its first row, that is the header: of some parts, others have none.
    assert load(write(tmp_path / "b.csv", "id,text,vector\n" + data), csv_columns=names).ids == ["a", "b"]
    for wrong in (("id,id,vector",), ("id,,vector",)):
        with pytest.raises(SourceError, match="--csv-columns has"):
            opened(path, csv_columns=wrong)
    with pytest.raises(SourceError, match="two columns named 'id'"):
        opened(write(tmp_path / "c.csv", "id,id\na,b\n"))


def test_a_byte_order_mark_and_a_header_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b'\xef\xbb\xbfid,vector\r\na,"[1,2]"\r\n')
    assert load(path).ids == ["a"]
    assert opened(write(tmp_path / "b.csv", "id,vector\n")).head() is None


VALUES = np.random.default_rng(3).standard_normal((6, 8), dtype=np.float32)
TEXTS = ["plain", 'with "quotes", and', "two\nlines", "naïve ☃", "tab\there", None]


def by_pandas(path: Path) -> None:
    frame = pd.DataFrame({"id": [f"a{n}" for n in range(6)], "text": TEXTS, "n": range(6)})
    frame["embedding"] = VALUES.tolist()
    frame.to_csv(path)


def by_numpy_in_pandas(path: Path) -> None:
    frame = pd.DataFrame({"id": [f"a{n}" for n in range(6)], "text": TEXTS, "n": range(6)})
    frame["embedding"] = [*VALUES]
    frame.to_csv(path, index=False)


def by_polars(path: Path) -> None:
    frame = pl.DataFrame({"id": [f"a{n}" for n in range(6)], "text": TEXTS, "n": range(6)})
    joined = pl.Series("embedding", VALUES.tolist()).list.eval(pl.element().cast(pl.String)).list.join(" ")
    frame.with_columns(joined).write_csv(path)


def by_duckdb(path: Path) -> None:
    con = duckdb.connect()
    con.register("t", pd.DataFrame({"id": [f"a{n}" for n in range(6)], "text": TEXTS, "n": range(6)}))
    con.execute("create table v(id varchar, embedding float[])")
    con.executemany("insert into v values (?, ?)", [[f"a{n}", VALUES[n].tolist()] for n in range(6)])
    con.execute(f"copy (select t.*, embedding from t join v using (id) order by id) to '{path}' (header)")  # noqa: S608


def by_python(path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "n", "embedding"])
        writer.writerows([f"a{n}", TEXTS[n], n, VALUES[n].tolist()] for n in range(6))


def by_copy(path: Path) -> None:
    """By the documentation of COPY: tabs, \\N, backslashes."""
    table = str.maketrans({"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"})
    rows = [["id", "text", "n", "embedding"]]
    rows += [
        [
            f"a{n}",
            "\\N" if (t := TEXTS[n]) is None else t.translate(table),
            str(n),
            str(VALUES[n].tolist()).replace(" ", ""),
        ]
        for n in range(6)
    ]
    path.write_text("".join("\t".join(row) + "\n" for row in rows))


@pytest.mark.parametrize("writer", [by_pandas, by_numpy_in_pandas, by_polars, by_duckdb, by_python, by_copy])
def test_what_real_writers_write(tmp_path: Path, writer: Any) -> None:
    path = tmp_path / ("a.txt" if writer is by_copy else "a.csv")
    writer(path)
    batch = load(str(path))
    assert batch.ids == [f"a{n}" for n in range(6)]
    if writer is by_numpy_in_pandas:  # NumPy prints eight digits
        np.testing.assert_allclose(batch.vectors, VALUES, rtol=1e-6)
    else:
        np.testing.assert_array_equal(batch.vectors, VALUES)
    assert batch.contents == TEXTS
    assert batch.metadata == [{"n": n} for n in range(6)]


@pytest.mark.parametrize("name", ["postgresql-15.copy", "postgresql-15.csv"])
def test_what_postgresql_writes(name: str) -> None:
    """Files of PostgreSQL 15.18: `\\copy docs to … (header)`, and with `format csv` as well.

    The table is `docs(id text, content text, n int, zip text, made timestamptz, ok boolean, tags text[],
    embedding real[])`.
    """
    batch = load(str(Path(__file__).with_name("files") / name))
    assert batch.ids == ["007", "b", "c\\e", "e", "f", "g"]
    vectors = [
        [0.1, -2.5e-7, 3],
        [1, 2, 3.4028235e38],
        [0.33333334, 1e-45, -0.0],
        *([n] * 3 for n in (2, 3, 4)),
    ]
    assert batch.vectors is not None
    np.testing.assert_array_equal(
        batch.vectors.view(np.uint32), np.array(vectors, dtype=np.float32).view(np.uint32)
    )
    assert batch.contents == [
        "plain",
        "tab\there",
        'back\\slash, "quote"\nnew line\r\nand \\N and \\.',
        "",
        "bell \x07 vt \x0b ff \x0c bs \x08 naïve ☃",
        None,
    ]
    assert batch.metadata is not None
    first = {"n": 1, "zip": "02134", "made": "2024-05-01 12:00:00+00", "ok": "t", "tags": '{a,"b c"}'}
    assert batch.metadata[:3] == [first, {"ok": "f"}, {"n": 4, "zip": "00501", "tags": "{}"}]


def test_copy_without_a_header(tmp_path: Path) -> None:
    path = write(tmp_path / "docs.txt", "0\tsome text\t[0.5,1]\n1\tother\t[1,2]\n")
    with pytest.raises(SourceError, match="--format pgcopy --csv-columns A,B,…"):
        opened(path)
    options = {"format": "pgcopy", "csv_columns": ("id,content,embedding",)}
    assert load(path, **options).contents == ["some text", "other"]
    with pytest.raises(SourceError, match="has no header, which COPY writes with HEADER"):
        opened(path, format="pgcopy")


def test_a_file_on_a_disk_may_grow_by_whole_rows(tmp_path: Path) -> None:
    assert opened(write(tmp_path / "a.csv", 'id,vector\na,"[1,2]"\n')).appendable
    assert not opened(write(tmp_path / "b.csv", 'id,vector\na,"[1,2]"')).appendable


def test_a_csv_of_ids_for_an_array(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VALUES)
    ids = write(tmp_path / "ids.csv", "id,n\n" + "".join(f"00{n},{n}\n" for n in range(6)))
    batch = load(str(tmp_path / "v.npy"), ids_file=ids)
    assert batch.ids == [f"00{n}" for n in range(6)]
    assert batch.metadata == [{"n": n} for n in range(6)]


def test_only_what_is_needed_is_given(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'id,a,b,vector\nx,1,2,"[1,2]"\n')
    batch = load(path, ColumnChoice(metadata=("b",)))
    assert batch.metadata == [{"b": 2}]
    assert load(path, ColumnChoice(excluded=("a", "b"))).metadata is None


def test_parquet_has_the_same_dimensions_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "part=1").mkdir()
    frame = pl.DataFrame({"id": ["a"], "x": [0.5], "v0": [1.0], "v1": [2]})
    frame.write_parquet(tmp_path / "part=1" / "a.parquet")
    assert pq.read_metadata(tmp_path / "part=1" / "a.parquet").num_rows == 1
    batch = load(str(tmp_path), ColumnChoice(vector="v*"), vector_columns="v*")
    assert batch.vectors.tolist() == [[1.0, 2.0]]  # type: ignore[union-attr]
    assert batch.metadata == [{"x": 0.5, "part": 1}]
