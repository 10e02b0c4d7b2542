"""Damaged files: the same rows or one clear error; no wrong row where a checksum exists; never a crash."""

from __future__ import annotations

import gzip
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, arrow_seeds, jsonl_seeds, npz_seeds, parquet_seeds
from tests.fuzz.worker import outcome
from vecload.readers.parquet.footer import Compact

SECONDS = 60.0
"""After which a damaged file counts as having hung the reader."""
EXAMPLES = int(os.environ.get("VECLOAD_DAMAGES", "30"))
CHEAP = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

Outcome = tuple[list[list[Any]], str]


class Worker:
    """A process that reads files, and whose end is seen."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "damaged"
        with (folder / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )

    def __call__(self, data: bytes) -> Outcome:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        self._path.write_bytes(data)
        process.stdin.write(f"{self._path}\n")
        process.stdin.flush()
        assert select.select([process.stdout], [], [], SECONDS)[0], "the reader hangs"
        answer = process.stdout.readline()
        assert answer, f"the reader's process ended with {process.wait()}: {self._path.parent / 'stderr'}"
        rows, error = json.loads(answer)
        return rows, error

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def read(tmp_path: Path) -> Iterator[Worker]:
    worker = Worker(tmp_path)
    yield worker
    worker.close()


def flipped(data: bytes, bit: int) -> bytes:
    return data[: bit // 8] + bytes([data[bit // 8] ^ (1 << bit % 8)]) + data[bit // 8 + 1 :]


def pages(data: bytes) -> list[range]:
    """Where the contents of pages are, for which the file has checksums: their headers have none."""
    size = int.from_bytes(data[-8:-4], "little")
    footer = Compact(data[-8 - size : -8]).struct()
    found: list[range] = []
    for group in footer[4]:
        for column in group[1]:
            of = column[3]
            at = min(of[9], of.get(11, of[9]))
            end = at + of[7]
            while at < end:
                header = Compact(data[at:])
                fields = header.struct()
                begin = at + header.at
                at = begin + fields[3]
                assert 4 in fields, "every page has a checksum"
                found.append(range(begin, at))
    return found


PARQUET = dict(zip(("plain", "snappy", "zstd", "pages"), parquet_seeds(), strict=True))


@pytest.mark.parametrize("name", PARQUET)
@CHEAP
@given(choice=st.data())
def test_a_bit_that_flips_in_a_page_with_a_checksum_changes_no_row_that_is_loaded(
    read: Worker, name: str, choice: st.DataObject
) -> None:
    data = PARQUET[name]
    page = choice.draw(st.sampled_from(pages(data)))
    bit = choice.draw(st.integers(page.start * 8, page.stop * 8 - 1))
    sound, _ = outcome_of(read, data)
    rows, error = read(flipped(data, bit))
    assert "is damaged" in error
    assert rows == sound[: len(rows)]


@pytest.mark.parametrize("name", PARQUET)
@CHEAP
@given(choice=st.data())
def test_a_bit_that_flips_anywhere_in_parquet_ends_in_rows_or_one_error(
    read: Worker, name: str, choice: st.DataObject
) -> None:
    # Most of a small file's bits are in its footer.
    data = PARQUET[name]
    read(flipped(data, choice.draw(st.integers(0, len(data) * 8 - 1))))


@pytest.mark.parametrize("name", PARQUET)
@CHEAP
@given(choice=st.data())
def test_parquet_that_was_cut_off_is_no_parquet(read: Worker, name: str, choice: st.DataObject) -> None:
    data = PARQUET[name]
    rows, error = read(data[: choice.draw(st.integers(0, len(data) - 1))])
    assert rows == []
    assert error


def test_a_footer_of_which_arrow_makes_a_crash_is_an_error(read: Worker) -> None:
    # Asked for a column whose histograms have another length, pyarrow 26 ends the process: an exception in
    # C++ that nothing catches. Its reader of rows catches it.
    data = PARQUET["plain"]
    size = int.from_bytes(data[-8:-4], "little")
    lists_of_numbers = [at for at in range(len(data) - 8 - size, len(data) - 8) if data[at] & 15 == 6]
    errors = [read(flipped(data, at * 8 + bit))[1] for at in lists_of_numbers for bit in (4, 5)]
    assert any("histogram size mismatch" in error for error in errors)


@CHEAP
@given(choice=st.data())
def test_damaged_arrow_ipc_ends_in_rows_or_one_error(read: Worker, choice: st.DataObject) -> None:
    data = choice.draw(st.sampled_from(arrow_seeds()))
    if choice.draw(st.booleans()):
        read(flipped(data, choice.draw(st.integers(0, len(data) * 8 - 1))))
    else:
        sound, _ = outcome_of(read, data)
        rows, error = read(data[: choice.draw(st.integers(1, len(data) - 1))])
        assert rows == sound[: len(rows)]
        assert error


def outcome_of(read: Worker, data: bytes) -> Outcome:
    rows, error = read(data)
    assert error == ""
    return rows, error


@CHEAP
@given(choice=st.data())
def test_gzip_that_is_read_to_its_end_without_an_error_holds_the_rows_that_were_written(
    tmp_path: Path, choice: st.DataObject
) -> None:
    path = tmp_path / "rows.jsonl.gz"
    plain = b"".join(b'{"id": "doc-%d", "vector": [%d.5, 1]}\n' % (i, i) for i in range(40))
    data = gzip.compress(plain, mtime=0)
    path.write_bytes(data)
    sound, error = outcome(path)
    assert (len(sound), error) == (40, "")
    if choice.draw(st.booleans()):
        path.write_bytes(flipped(data, choice.draw(st.integers(0, len(data) * 8 - 1))))
    else:
        path.write_bytes(data[: choice.draw(st.integers(0, len(data) - 1))])
    rows, error = outcome(path)
    assert error or rows == sound


@CHEAP
@given(choice=st.data())
def test_zstd_and_json_lines_have_no_checksum_and_end_in_rows_or_one_error(
    tmp_path: Path, choice: st.DataObject
) -> None:
    name = choice.draw(st.sampled_from(["rows.jsonl", "rows.jsonl.zst"]))
    plain = choice.draw(st.sampled_from(jsonl_seeds()))
    data = plain if name == "rows.jsonl" else pa.compress(plain, "zstd", asbytes=True)
    for _ in range(choice.draw(st.integers(1, 3))):
        data = flipped(data, choice.draw(st.integers(0, len(data) * 8 - 1)))
    (tmp_path / name).write_bytes(data[: choice.draw(st.integers(1, len(data)))])
    outcome(tmp_path / name)


@CHEAP
@given(choice=st.data())
def test_a_damaged_archive_of_arrays_that_is_read_without_an_error_holds_what_was_written(
    tmp_path: Path, choice: st.DataObject
) -> None:
    (data,) = npz_seeds()
    (tmp_path / "rows.npz").write_bytes(data)
    sound, error = outcome(tmp_path / "rows.npz")
    assert (len(sound), error) == (2, "")
    cut = choice.draw(st.integers(1, len(data)))
    (tmp_path / "rows.npz").write_bytes(flipped(data, choice.draw(st.integers(0, len(data) * 8 - 1)))[:cut])
    rows, error = outcome(tmp_path / "rows.npz")
    assert error or rows == sound


@pytest.mark.parametrize("data", [PARQUET["plain"], *arrow_seeds()], ids=["parquet", "file", "stream"])
def test_a_column_whose_name_is_no_text_is_an_error(read: Worker, data: bytes) -> None:
    rows, error = read(data.replace(b"when", b"whe\xf9"))
    assert rows == []
    assert "is not a readable" in error


def test_an_archive_whose_names_are_no_text_and_an_array_that_ends_in_its_header_are_errors(
    tmp_path: Path,
) -> None:
    (data,) = npz_seeds()
    named = bytearray(data.replace(b"ids.npy", b"id\xf9.npy"))
    entry = named.rindex(b"PK\x01\x02", 0, named.rindex(b"id\xf9.npy"))
    named[entry + 9] |= 8  # names are UTF-8, it says
    (tmp_path / "rows.npz").write_bytes(named)
    assert "not a readable .npz archive" in outcome(tmp_path / "rows.npz")[1]
    for begun in (
        b"\x93NUMPY\x01",
        b"\x93NUMPY\x01\0\x10\0{'descr': (\n     ",
        b"\x93NUMPY\x01\0\x90\x01" + b"(" * 400,
    ):
        (tmp_path / "rows.npy").write_bytes(begun)
        assert "not a readable NumPy array" in outcome(tmp_path / "rows.npy")[1]


@CHEAP
@given(st.integers(0, 200 * 8 - 1))
def test_a_damaged_line_of_json_lines_changes_no_other_row(tmp_path: Path, bit: int) -> None:
    lines = [b'{"id": "doc-%d", "vector": [%d.5, 1], "n": %d}' % (i, i, i) for i in range(120)]
    # Behind the first rows, of which the columns are told.
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(lines))
    sound, _ = outcome(tmp_path / "rows.jsonl")
    begin = sum(len(line) + 1 for line in lines[:110])
    bit = begin * 8 + bit % (len(lines[110]) * 8)
    (tmp_path / "rows.jsonl").write_bytes(flipped(b"\n".join(lines), bit))
    rows, error = outcome(tmp_path / "rows.jsonl")
    assert error == ""
    known = {json.dumps(row[1:]) for row in sound}
    changed = [row for row in rows if json.dumps(row[1:]) not in known]
    assert len(changed) <= 2  # a flipped bit may make a newline of it
    assert len(rows) - len(changed) == 119


@pytest.mark.parametrize("name", TARGETS)
def test_every_fuzz_target_takes_its_seeds_and_some_damage(name: str) -> None:
    target = TARGETS[name]
    for seed in target.seeds():
        target.run(seed)
        if name not in ("parquet", "arrow"):  # whose crashes would end this process
            for bit in range(0, len(seed) * 8, max(1, len(seed) * 8 // 15)):
                target.run(flipped(seed, bit))
