"""Rejects: how many are too many, and the file that holds them."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.loading.batches import reject_of
from vecload.batch import Reject
from vecload.errors import JournalError, RowsRejected, UsageError
from vecload.loading.rejects import (
    PERCENT_FROM_ROWS,
    ErrorLimit,
    RejectFile,
    may_start_anew,
    rejects_held,
    too_many,
)

OLDER = orjson.dumps(reject_of(4, "/data/older")) + b"\n"


def written(path: Path) -> list[int]:
    return [orjson.loads(line)["row"] for line in path.read_bytes().splitlines()]


def test_no_reject_is_allowed_by_default() -> None:
    assert not ErrorLimit().exceeded(0, 10**9, ended=True)
    assert ErrorLimit().exceeded(1, 10**9, ended=False)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("0", ErrorLimit(0)),
        ("12", ErrorLimit(12)),
        ("0%", ErrorLimit(None, 0.0)),
        ("1.5%", ErrorLimit(None, 1.5)),
        ("100%", ErrorLimit(None, 100.0)),
    ],
)
def test_a_limit_is_a_number_or_a_percentage(text: str, limit: ErrorLimit) -> None:
    assert ErrorLimit.parse(text) == limit


@pytest.mark.parametrize("text", ["", "%", "-1", "-1%", "101%", "1.5", "nan%", "inf%", "many", "1 %%"])
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^max_errors "):
        ErrorLimit.parse(text)


@given(
    allowed=st.integers(0, 100), rejected=st.integers(0, 200), read=st.integers(0, 10**6), ended=st.booleans()
)
def test_a_number_is_exceeded_by_one_more(allowed: int, rejected: int, read: int, ended: bool) -> None:
    assert ErrorLimit(allowed).exceeded(rejected, read, ended=ended) == (rejected > allowed)


def test_a_percentage_is_judged_once_enough_rows_were_read_and_at_the_end() -> None:
    limit = ErrorLimit.parse("1%")
    assert not limit.exceeded(999, PERCENT_FROM_ROWS - 1, ended=False)
    assert limit.exceeded(11, PERCENT_FROM_ROWS, ended=False)
    assert not limit.exceeded(10, PERCENT_FROM_ROWS, ended=False)
    assert limit.exceeded(1, 99, ended=True)
    assert not limit.exceeded(1, 100, ended=True)


def test_no_percentage_means_no_reject_even_in_a_short_source() -> None:
    assert ErrorLimit.parse("0%").exceeded(1, 5, ended=True)
    assert not ErrorLimit.parse("100%").exceeded(5, 5, ended=True)


def test_the_error_names_the_first_row_and_how_many_there_were() -> None:
    assert "rows, row 3" in str(too_many(reject_of(3), 1))
    error = too_many(reject_of(3), 7)
    assert isinstance(error, RowsRejected)
    assert "7 rows rejected so far" in str(error)
    assert "--max-errors" in error.hint


def test_rejects_are_appended_one_a_line_with_their_place_and_reason(tmp_path: Path) -> None:
    file = RejectFile(str(tmp_path / "r.jsonl"))
    file.write([reject_of(1, "/data/rows"), reject_of(5)])
    file.write([reject_of(9)])
    assert written(tmp_path / "r.jsonl") == [1, 5, 9]
    assert file.length == (tmp_path / "r.jsonl").stat().st_size
    file.close()
    first = orjson.loads((tmp_path / "r.jsonl").read_bytes().splitlines()[0])
    assert first == {
        "source": "/data/rows",
        "row": 1,
        "field": "vector",
        "code": "not-finite",
        "message": "holds NaN",
        "id": "i1",
        "offset": 10,
    }


@pytest.mark.parametrize("before", [None, 0o644, 0o666])
def test_the_file_is_readable_by_its_owner_alone(tmp_path: Path, before: int | None) -> None:
    path = tmp_path / "r.jsonl"
    if before is not None:
        path.write_bytes(OLDER)
        path.chmod(before)
    RejectFile(str(path)).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_load_that_begins_starts_the_file_anew(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(OLDER)
    RejectFile(str(path)).close()
    assert path.read_bytes() == b""


@pytest.mark.parametrize("there", [b"", OLDER, OLDER + OLDER[:40], OLDER[:60], OLDER[:4]])
def test_a_reject_file_may_be_started_anew_even_if_its_first_line_was_cut_short(
    tmp_path: Path, there: bytes
) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(there)
    assert may_start_anew(str(path))


@pytest.mark.parametrize(
    "there",
    [
        b"notes\n",
        b"\n",
        b"PAR1\x00\x01",
        b'{"id": "a", "vector": [1.0]}\n',
        b'{"source": "web", "row": "x", "code": "y"}\n',
        b'{"source":"web","id":"a"}',
        b'{"source":"web","id":"a"\n',
        b"[1]\n",
        b'"source"\n',
    ],
)
def test_what_is_no_reject_file_is_never_emptied(tmp_path: Path, there: bytes) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(there)
    with pytest.raises(UsageError, match="is not a reject file"):
        RejectFile(str(path))
    assert path.read_bytes() == there


def test_a_resumed_load_cuts_off_what_was_written_after_the_last_commit(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    file = RejectFile(str(path))
    file.write([reject_of(1)])
    recorded = file.length
    file.write([reject_of(2)])
    file.close()
    resumed = RejectFile(str(path), recorded)
    resumed.write([reject_of(3)])
    resumed.close()
    assert written(path) == [1, 3]


def test_a_file_shorter_than_it_was_left_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"short")
    with pytest.raises(JournalError, match="shorter than when the load stopped"):
        RejectFile(str(path), 100)
    assert path.read_bytes() == b"short"


@pytest.mark.parametrize("there", [b"notes\n" * 50, OLDER.replace(b"holds", b"does not hold") * 9])
def test_a_file_that_is_not_as_it_was_left_is_not_cut(tmp_path: Path, there: bytes) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(there)
    with pytest.raises(JournalError, match="changed since the load stopped"):
        RejectFile(str(path), 2 * len(OLDER))
    assert path.read_bytes() == there


def test_a_line_that_was_cut_by_a_full_disk_is_no_part_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.jsonl"
    file = RejectFile(str(path))
    file.write([reject_of(1)])
    recorded = file.length

    class HalfFull:
        """The open file on a disk that has room for ten bytes more."""

        def __init__(self, real: Any) -> None:
            self._real = real
            self._room = 10

        def write(self, content: bytes) -> int:
            if not self._room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written: int = self._real.write(content[: self._room])
            self._room -= written
            return written

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

    monkeypatch.setattr(file, "_file", HalfFull(file._file))  # noqa: SLF001
    with pytest.raises(JournalError, match="No space left"):
        file.write([reject_of(2)])
    assert path.stat().st_size == recorded + 10
    assert file.length == recorded
    with pytest.raises(JournalError, match="No space left"):
        file.write([reject_of(3)])
    assert path.stat().st_size == recorded + 10
    file.close()
    resumed = RejectFile(str(path), recorded)
    resumed.write([reject_of(2)])
    resumed.close()
    assert written(path) == [1, 2]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS])
def test_rejects_that_did_not_reach_the_disk_are_not_counted_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    file = RejectFile(str(tmp_path / "r.jsonl"))

    def fails(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(JournalError, match=os.strerror(number)):
        file.write([reject_of(1)])
    assert file.length == 0
    file.close()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"precious")
    (tmp_path / "r.jsonl").symlink_to(tmp_path / "target")
    with pytest.raises(JournalError, match=r"r\.jsonl"):
        RejectFile(str(tmp_path / "r.jsonl"))
    assert (tmp_path / "target").read_bytes() == b"precious"


@pytest.mark.parametrize("path", ["missing/r.jsonl", "."])
def test_a_path_that_can_not_be_written_is_refused_with_its_name(tmp_path: Path, path: str) -> None:
    with pytest.raises(JournalError, match="can't be written"):
        RejectFile(str(tmp_path / path))


def test_two_loads_do_not_share_a_file(tmp_path: Path) -> None:
    path = str(tmp_path / "r.jsonl")
    first = RejectFile(path)
    first.write([reject_of(1)])
    with pytest.raises(JournalError, match="another load is writing") as caught:
        RejectFile(path)
    assert "its own file" in caught.value.hint
    assert written(tmp_path / "r.jsonl") == [1]
    first.close()
    RejectFile(path).close()


def test_each_write_sees_whether_the_file_still_holds_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    file = RejectFile(str(path))
    file.write([reject_of(1)])
    path.unlink()
    file.write([reject_of(2)])
    assert (written(path), file.held) == ([1, 2], 2)
    file.write([reject_of(3)])
    os.truncate(path, 5)
    for _ in range(2):
        with pytest.raises(JournalError, match="was truncated by another program"):
            file.write([reject_of(4)])
    assert path.stat().st_size == 5
    file.close()


def test_a_file_that_is_removed_together_with_its_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    path = tmp_path / "folder" / "r.jsonl"
    file = RejectFile(str(path))
    file.check()
    file.write([reject_of(1)])
    path.unlink()
    path.parent.rmdir()
    with pytest.raises(JournalError, match="can't be written: No such file"):
        file.check()
    file.close()


def test_what_a_file_holds_is_counted_when_a_load_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    file = RejectFile(str(path))
    file.write([reject_of(1), reject_of(2)])
    length = file.length
    file.write([reject_of(3)])
    assert (file.held, rejects_held(str(path), length), rejects_held(str(path), file.length)) == (3, 2, 3)
    file.close()
    resumed = RejectFile(str(path), length)
    assert resumed.held == 2
    resumed.close()
    assert rejects_held(str(tmp_path / "missing"), 10) == 0
    (tmp_path / "other").write_text("a\nb\n")
    assert rejects_held(str(tmp_path / "other"), 4) == 0


def test_what_took_the_place_of_the_file_is_neither_opened_nor_changed(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    os.mkfifo(path, 0o644)
    with pytest.raises(JournalError, match="can't be written: it is a FIFO"):
        RejectFile(str(path))
    assert stat.S_IMODE(path.lstat().st_mode) == 0o644


def test_what_to_do_is_what_can_be_done_where_rejects_are_recorded() -> None:
    reject = Reject("a.jsonl", 1, "vector", "nan", "holds NaN")
    assert "; fix the row, or skip bad rows with --max-errors" in str(too_many(reject, 1))
    assert "; fix the rows and load from the start with --fresh, or skip" in str(
        too_many(reject, 2, recorded=True)
    )
