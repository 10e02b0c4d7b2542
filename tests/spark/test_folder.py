"""The report folder: files whole or not at all, that only their owner reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.stores import BUCKET, CREDENTIALS
from vecload.errors import JournalError, SourceError, UsageError
from vecload.spark.folder import ReportFolder


@pytest.fixture(params=["path", "file URI", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReportFolder:
    if request.param != "s3":
        return ReportFolder(
            ("file://" if request.param == "file URI" else "") + str(tmp_path / "a" / "report")
        )
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    url, _ = request.getfixturevalue("bucket")
    return ReportFolder(f"s3://{BUCKET}/{tmp_path.name}", url)


def test_files_are_written_joined_and_deleted(folder: ReportFolder, tmp_path: Path) -> None:
    folder.check()
    assert folder.read("summary.json") is None
    folder.write("summary.json", b"{}")
    folder.write("summary.json", b"[]")  # replaces it
    assert folder.read("summary.json") == b"[]"
    (tmp_path / "local").write_bytes(b"lines\n" * 1000)
    folder.put("tasks/j/1", tmp_path / "local")
    folder.write("tasks/j/2", b"end\n")
    folder.join("rejects.jsonl", ["tasks/j/1", "tasks/j/2"])
    assert folder.read("rejects.jsonl") == b"lines\n" * 1000 + b"end\n"
    folder.delete(["tasks/j/1", "tasks/j/2", "tasks/j/none"])
    assert folder.read("tasks/j/1") is None


def test_only_the_owner_reads_the_files(tmp_path: Path) -> None:
    folder = ReportFolder(str(tmp_path))
    folder.write("a", b"x")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_that_can_not_be_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="report reports is not an absolute path; the tasks run in other"):
        ReportFolder("reports").check()
    (tmp_path / "file").write_text("x")
    with pytest.raises(JournalError, match=r"/file can't be written: .*; name a folder that the driver"):
        ReportFolder(str(tmp_path / "file")).check()
    with pytest.raises(SourceError, match=r"abfss:// is not a storage"):
        ReportFolder("abfss://c@account/x").check()


def test_a_store_that_refuses_is_named(bucket: tuple[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(JournalError, match=r"s3://no-such-bucket/x can't be written"):
        ReportFolder("s3://no-such-bucket/x", bucket[0]).check()
