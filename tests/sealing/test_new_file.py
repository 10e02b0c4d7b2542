from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from vecload.sealing.new_file import make_new, write_new

CALLS = ("open", "write", "fsync", "link")


@pytest.fixture(params=["without a name", "with a name"])
def _aside(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of writing a file aside."""
    if request.param == "with a name":
        monkeypatch.delattr(os, "O_TMPFILE")


def failing(monkeypatch: pytest.MonkeyPatch, fail_at: int) -> Callable[[], int]:
    """Let the n-th call and all later ones fail as on a full disk; how many calls there were."""
    count = 0

    def fails(call: Callable[..., Any]) -> Callable[..., Any]:
        def failed(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count >= fail_at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(*args, **kwargs)

        return failed

    for name in CALLS:
        monkeypatch.setattr(os, name, fails(getattr(os, name)))
    return lambda: count


@pytest.mark.usefixtures("_aside")
def test_a_new_file_holds_all_that_was_written_and_is_its_owners_alone(tmp_path: Path) -> None:
    data = os.urandom(100_000)
    write_new(tmp_path / "new", data)
    assert [file.name for file in tmp_path.iterdir()] == ["new"]
    assert (tmp_path / "new").read_bytes() == data
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600
    assert (tmp_path / "new").stat().st_nlink == 1


@pytest.mark.usefixtures("_aside")
def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("old", "link"):
        with pytest.raises(FileExistsError):
            write_new(tmp_path / name, b"new")
    assert (tmp_path / "old").read_text() == "precious"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link", "old"]


@pytest.mark.usefixtures("_aside")
def test_a_disk_that_is_full_at_any_call_leaves_nothing(tmp_path: Path) -> None:
    for fail_at in range(1, 50):
        with pytest.MonkeyPatch.context() as patched:
            calls = failing(patched, fail_at)
            with suppress(OSError):
                write_new(tmp_path / "new", b"x" * 100)
            if calls() < fail_at:
                break
        assert [*tmp_path.iterdir()] == [], fail_at
    assert fail_at > 5
    assert (tmp_path / "new").read_bytes() == b"x" * 100


def test_a_file_is_synced_before_it_has_its_name_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    fsync, link = os.fsync, os.link

    def sync(descriptor: int) -> None:
        seen.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def name(*args: Any, **kwargs: Any) -> None:
        seen.append("link")
        link(*args, **kwargs)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "link", name)
    write_new(tmp_path / "new", b"new")
    assert seen == ["file", "link", "folder"]


def test_a_folder_that_cannot_be_synced_is_as_good_as_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def sync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "as some file systems have it")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    write_new(tmp_path / "new", b"new")
    assert (tmp_path / "new").read_bytes() == b"new"


def test_a_file_is_claimed_before_it_has_its_name(tmp_path: Path) -> None:
    named: list[bool] = []
    descriptor = make_new(tmp_path / "new", b"new", claim=lambda _: named.append((tmp_path / "new").exists()))
    os.close(descriptor)
    assert named == [False]


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    before = len([*Path("/proc/self/fd").iterdir()])
    write_new(tmp_path / "new", b"new")
    for _ in range(3):
        with pytest.raises(FileExistsError):
            write_new(tmp_path / "new", b"new")
    assert len([*Path("/proc/self/fd").iterdir()]) == before
