from __future__ import annotations

import os
from pathlib import Path

import pytest

from vecload.errors import SourceError
from vecload.readers.storage.files import LocalFile, digest_of_ends, located


def test_a_file_is_known_by_what_it_holds_and_not_by_where_it_lies_or_when_it_was_written(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"a" * 3_000_000)
    first = LocalFile(str(path)).fingerprint()
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(path.read_bytes())
    os.utime(copy, ns=(1, 1))
    assert LocalFile(str(copy)).fingerprint() == first
    status = path.stat()
    prints = {first}
    # Each byte counts, with the times put back.
    for place in (0, 1_500_000, 2_999_999):
        content = bytearray(b"a" * 3_000_000)
        content[place] = ord("b")
        with path.open("r+b") as file:
            file.write(content)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert not LocalFile(str(path)).holds(first)
        prints.add(LocalFile(str(path)).fingerprint())
    # And so does its length.
    with path.open("ab") as file:
        file.write(b"b")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    prints.add(LocalFile(str(path)).fingerprint())
    assert len(prints) == 5


def test_a_file_begins_as_its_fingerprint_says_when_it_was_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one\ntwo\n")
    found = LocalFile(str(path))
    whole, beginning = found.fingerprint(), found.fingerprint(4)
    with path.open("ab") as file:
        file.write(b"three\n")
    now = LocalFile(str(path))
    assert now.holds(whole, begins=True)
    assert not now.holds(whole)
    assert found.grew_from(whole)
    path.write_bytes(b"one\nTWO\n")
    edited = LocalFile(str(path))
    assert edited.holds(beginning, begins=True)
    assert not edited.holds(whole, begins=True)
    assert not edited.holds(LocalFile(str(path)).fingerprint(4))


def test_a_fingerprint_of_an_earlier_version_still_holds_where_it_tells_enough(tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    for path, size in ((small, 2 * 2**20), (large, 2 * 2**20 + 1)):
        path.write_bytes(os.urandom(size))
        status = path.stat()
        with path.open("rb") as file:
            ends = digest_of_ends(file, size)
        known = f"{status.st_dev}:{status.st_ino}:{size}:{status.st_mtime_ns}:{ends}"
        assert LocalFile(str(path)).holds(known)
        os.utime(path, ns=(1, 1))
        assert LocalFile(str(path)).holds(known) == (path == small)
        with path.open("r+b") as file:
            file.write(b"other")
        assert not LocalFile(str(path)).holds(known)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"missing can't be read: No such file"):
        LocalFile(str(tmp_path / "missing"))


def test_a_file_whose_name_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jsonl")
    Path(name).write_bytes(b"{}")
    with pytest.raises(SourceError, match=r"caf\\xe9\.jsonl is not UTF-8; rename it"):
        LocalFile(name)


@pytest.mark.parametrize(
    ("name", "location"),
    [
        ("s3://bucket/key with space/a%20b.parquet", "s3://bucket/key with space/a%20b.parquet"),
        ("S3://bucket/folder/", "s3://bucket/folder"),
        ("gcs://bucket/a", "gs://bucket/a"),
        ("hdfs://host:8020/a", "hdfs://host:8020/a"),
        ("file:///no/such%20file", "/no/such file"),
        ("file://localhost/no/such", "/no/such"),
        ("/no/../no/such", "/no/such"),
        ("-", "-"),
    ],
)
def test_a_place_has_one_name_however_it_is_spelled(name: str, location: str) -> None:
    assert located(name) == location
    assert located(location) == location


def test_a_link_and_its_file_are_one_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert located(str(tmp_path / "link")) == located(str(tmp_path / "file"))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("s3://AKIAEXAMPLE:SECRET-KEY@bucket/key", "a s3:// name holds credentials"),
        ("ftp://host/file", "ftp:// is not a storage that vecload reads"),
        ("file://host/file", "names another machine"),
    ],
)
def test_names_that_lead_nowhere_are_refused_and_secrets_in_them_not_repeated(name: str, says: str) -> None:
    with pytest.raises(SourceError) as refused:
        located(name)
    assert says in str(refused.value)
    assert "SECRET" not in str(refused.value)
