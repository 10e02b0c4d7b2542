from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import sqlite3
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from vecload.errors import SourceError
from vecload.readers import ReadOptions, open_sources
from vecload.readers.json.jsonl import JsonlSource
from vecload.readers.parquet.reader import ParquetSource

ROW = b'{"id": "a", "vector": [1, 2]}\n'


def parquet_bytes() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"id": ["a", "b"], "vector": [[1.0], [2.0]]}), stream)
    return stream.getvalue()


def zip_bytes() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("rows.jsonl", ROW)
    return stream.getvalue()


def numpy_bytes() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.ones(3))
    return stream.getvalue()


def feather_1_bytes() -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is old
        feather.write_feather(pa.table({"id": ["a"]}), stream, version=1)
    return stream.getvalue()


def refusal(path: Path) -> str:
    with pytest.raises(SourceError) as failed:
        open_sources([str(path)])
    message = str(failed.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) < len(str(path)) + 300
    return message.removeprefix(str(path)).strip()


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    assert refusal(tmp_path / "rows.parquet") == "can't be read: No such file or directory"


def test_an_empty_folder_says_so(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "is a folder without data files"


@pytest.mark.parametrize("name", ["rows.parquet", "rows.jsonl", "rows"])
def test_an_empty_file_says_so(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert refusal(tmp_path / name) == "is empty"


NO_IDS = (
    "holds vectors without ids; name a file of them with --ids-file, or number them with --generate-ids rows"
)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: lzma.compress(ROW), "is xz, which vecload can't read; unpack it first: xz -d"),
        (lambda: bz2.compress(ROW), "is bzip2, which vecload can't read; unpack it first: bzip2 -d"),
        (zip_bytes, "is a zip archive without NumPy arrays; unpack it first"),
        (lambda: pickle.dumps([1], 5), "is a Python pickle, which vecload can't read; write it to Parquet"),
        (
            lambda: gzip.compress(parquet_bytes()),
            "is gzip of a format that can't be read compressed; unpack it first: gzip -d",
        ),
        (numpy_bytes, NO_IDS),
        (
            feather_1_bytes,
            "is Feather version 1, which vecload can't read; write it to Parquet, or to Feather version 2",
        ),
    ],
    ids=[
        "xz",
        "bzip2",
        "zip",
        "pickle",
        "parquet.gz",
        "numpy",
        "feather",
    ],
)
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet", "rows"])
def test_a_file_of_another_kind_says_which_and_what_to_do(
    tmp_path: Path, make: Callable[[], bytes], says: str, name: str
) -> None:
    (tmp_path / name).write_bytes(make())
    assert refusal(tmp_path / name) == says


def test_an_sqlite_database_is_known(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "rows.db")
    database.execute("create table items (id)")
    database.commit()
    database.close()
    assert "an SQLite database" in refusal(tmp_path / "rows.db")


@pytest.mark.parametrize("head", [b"\x00\x01\x02\x03" * 100, b"words alone\n", b"PAR"])
def test_what_is_neither_kind_says_so(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "rows.parquet").write_bytes(head)
    assert refusal(tmp_path / "rows.parquet") == (
        "is neither Parquet, JSON Lines, CSV, Arrow IPC nor NumPy; "
        "name its format with --format if it is one of them"
    )


@pytest.mark.parametrize("kept", [4, 8, 50, -1, -8, -100])
def test_a_truncated_parquet_file_is_no_readable_one(tmp_path: Path, kept: int) -> None:
    (tmp_path / "rows.parquet").write_bytes(parquet_bytes()[:kept])
    assert refusal(tmp_path / "rows.parquet").startswith("is not a readable Parquet file:")


def test_a_parquet_file_with_a_broken_footer_is_no_readable_one(tmp_path: Path) -> None:
    whole = bytearray(parquet_bytes())
    footer = int.from_bytes(whole[-8:-4], "little")
    whole[-8 - footer : -8] = b"\xa5" * footer
    (tmp_path / "rows.parquet").write_bytes(whole)
    assert refusal(tmp_path / "rows.parquet").startswith("is not a readable Parquet file:")


def test_one_bad_source_is_found_before_any_is_read(tmp_path: Path) -> None:
    good = tmp_path / "good.jsonl"
    good.write_bytes(ROW)
    with pytest.raises(SourceError, match=r"missing\.jsonl"):
        open_sources([str(good), str(tmp_path / "missing.jsonl")])


def test_a_source_named_twice_is_an_error(tmp_path: Path) -> None:
    good = tmp_path / "good.jsonl"
    good.write_bytes(ROW)
    with pytest.raises(SourceError, match=r"good\.jsonl is named twice"):
        open_sources([str(good), str(good)])


def test_what_a_file_holds_counts_and_not_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(parquet_bytes())
    (tmp_path / "b.parquet").write_bytes(ROW)
    (tmp_path / "c").write_bytes(b"\xef\xbb\xbf\n\n  " + ROW)
    sources = open_sources([str(tmp_path / name) for name in ("a.jsonl", "b.parquet", "c")])
    assert [type(source) for source in sources] == [ParquetSource, JsonlSource, JsonlSource]
    for source in sources:
        source.close()


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.ndjson", "rows.JSON"])
def test_lines_that_are_no_json_are_rejects_where_the_name_says_json_lines(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not json\n" + ROW)
    (source,) = open_sources([str(tmp_path / name)])
    (rows,) = source.read(batch_rows=10, batch_bytes=1000)
    assert rows.ids("id").values == ["", "a"]
    assert set(rows.broken) == {0}


@pytest.mark.parametrize(
    "packed",
    [ROW, gzip.compress(ROW), pa.Codec("zstd").compress(ROW, asbytes=True)],
    ids=["plain", "gzip", "zstd"],
)
def test_what_a_format_is_said_to_be_goes_before_what_it_looks_like(tmp_path: Path, packed: bytes) -> None:
    (tmp_path / "rows").write_bytes(packed)
    (source,) = open_sources([str(tmp_path / "rows")], ReadOptions(format="jsonl"))
    assert isinstance(source, JsonlSource)
    if packed == ROW:
        with pytest.raises(SourceError, match="is not a readable Parquet file"):
            open_sources([str(tmp_path / "rows")], ReadOptions(format="parquet"))


def test_a_source_knows_its_name_and_its_size(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(ROW)
    (source,) = open_sources([str(tmp_path / "rows.jsonl")])
    assert (source.name, source.nbytes, source.total_rows) == (str(tmp_path / "rows.jsonl"), len(ROW), None)


@pytest.mark.parametrize("blank", [b"\n" * 100, b" " * 3_000_000, b"\r\n" * 40])
def test_blanks_before_what_tells_a_format_do_not_hide_it(tmp_path: Path, blank: bytes) -> None:
    row = b'{"id": "a", "vector": [1.0, 2.0]}'
    for content, kind in (
        (b"[" + row + b"," + row + b"]", "a JSON array"),
        (row + b"\n" + row, "JSON Lines"),
    ):
        (tmp_path / "a.json").write_bytes(blank + content + blank)
        (source,) = open_sources([str(tmp_path / "a.json")])
        assert source.kind in (kind, "a JSON document")
        assert sum(len(rows.span) for rows in source.read(batch_rows=10, batch_bytes=10**6)) == 2
