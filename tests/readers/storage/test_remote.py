from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.stores import BUCKET, CREDENTIALS
from vecload.errors import SourceError, SourceUnreachable
from vecload.readers.storage.expand import FileFinder
from vecload.readers.storage.files import LocalFile, unreadable
from vecload.readers.storage.remote import RemoteFile, failure


@pytest.fixture
def places(bucket: tuple[str, Any], monkeypatch: pytest.MonkeyPatch) -> FileFinder:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return FileFinder(bucket[0])


def put(bucket: tuple[str, Any], **objects: bytes) -> None:
    for key, body in objects.items():
        bucket[1].put_object(Bucket=BUCKET, Key=key.replace("__", "/"), Body=body)


def test_a_file_is_read_from_any_place(bucket: tuple[str, Any], places: FileFinder) -> None:
    data = os.urandom(100_000)
    put(bucket, any__file=data)
    (file,) = places.find("s3://vectors/any/file")
    assert isinstance(file, RemoteFile)
    assert (file.name, file.location, file.nbytes) == (*["s3://vectors/any/file"] * 2, len(data))
    with file.open() as stream:
        assert stream.read(10) == data[:10]
        stream.seek(99_990)
        assert stream.read() == data[-10:]
    with file.arrow() as stream:
        assert stream.read() == data


def test_a_fingerprint_tells_another_object_of_the_same_size(
    bucket: tuple[str, Any], places: FileFinder
) -> None:
    put(bucket, print__a=b"one")
    before = places.find("s3://vectors/print/a")[0].fingerprint()
    assert places.find("s3://vectors/print/a")[0].fingerprint() == before
    put(bucket, print__a=b"two")
    assert places.find("s3://vectors/print/a")[0].fingerprint() != before


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("tree", ["tree/a1.jsonl", "tree/b/a2.jsonl", "tree/b/c/a3.jsonl"]),
        ("tree/", ["tree/a1.jsonl", "tree/b/a2.jsonl", "tree/b/c/a3.jsonl"]),
        ("tree/*", ["tree/a1.jsonl", "tree/b/a2.jsonl", "tree/b/c/a3.jsonl"]),
        ("tree/b*", ["tree/b/a2.jsonl", "tree/b/c/a3.jsonl"]),
        ("tree/**", ["tree/a1.jsonl", "tree/b/a2.jsonl", "tree/b/c/a3.jsonl"]),
        ("tree/**/*", ["tree/a1.jsonl", "tree/b/a2.jsonl", "tree/b/c/a3.jsonl"]),
        ("tree/**/[bc]", ["tree/b/a2.jsonl", "tree/b/c/a3.jsonl"]),
        ("tree/*/**", ["tree/b/a2.jsonl", "tree/b/c/a3.jsonl"]),
        ("tree/*/a?.jsonl", ["tree/b/a2.jsonl"]),
        ("tree/**/a[!1].jsonl", ["tree/b/a2.jsonl", "tree/b/c/a3.jsonl"]),
    ],
)
def test_folders_and_patterns_are_as_on_disks(
    bucket: tuple[str, Any], places: FileFinder, tmp_path: Path, name: str, found: list[str]
) -> None:
    names = ("tree/_SUCCESS", "tree/a1.jsonl", "tree/b/a2.jsonl", "tree/b/c/a3.jsonl")
    put(bucket, **{each.replace("/", "__"): b"{}" for each in names})
    assert [file.name for file in places.find(f"s3://vectors/{name}")] == [f"s3://vectors/{f}" for f in found]
    for each in names:
        (tmp_path / each).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / each).write_bytes(b"{}")
    assert [file.name for file in places.find(f"{tmp_path}/{name}")] == [f"{tmp_path}/{f}" for f in found]


@pytest.mark.parametrize(
    ("name", "says"),
    [("nothing/x*", "no file matches"), ("nothing", "does not exist")],
)
def test_what_is_not_there_is_said(places: FileFinder, name: str, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        places.find(f"s3://vectors/{name}")


def test_a_store_that_fails_may_answer_later_and_one_that_refuses_will_not() -> None:
    away = failure("s3://b/k", OSError("AWS Error NETWORK_CONNECTION: curlCode: 7; Details: refused"))
    no = failure("s3://b/k", OSError("AWS Error ACCESS_DENIED during HeadObject operation"))
    assert isinstance(away, SourceUnreachable)
    assert (away.exit_code, no.exit_code) == (1, 2)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "AWS Error UNKNOWN (HTTP status 400) during ListObjectsV2: SECRET",
            "the store answers UNKNOWN HTTP status 400",
        ),
        (
            "AWS Error NO_SUCH_BUCKET during ListObjectsV2 operation: SECRET",
            "the store answers NO_SUCH_BUCKET",
        ),
        ("AWS Error [code 103] during HeadObject operation: SECRET", "the store answers [code 103]"),
        ("AWS Error NETWORK_CONNECTION: curlCode: 7, SECRET", "connection refused"),
        ("AWS Error NETWORK_CONNECTION: curlCode: 99, SECRET", "the connection failed (curl 99)"),
        ("google::cloud::Status(UNAVAILABLE: SECRET)", "the store answers UNAVAILABLE"),
        ("When reading: AWS Error ACCESS_DENIED: SECRET", "refuses these credentials"),
    ],
)
def test_a_stores_own_words_are_not_repeated(said: str, shown: str) -> None:
    said = said.replace("SECRET", "a-secret-token")
    for error in (failure("s3://b/k", OSError(said)), unreadable(RemoteFileNamed(), OSError(said))):
        assert "a-secret-token" not in str(error)
    assert shown in str(failure("s3://b/k", OSError(said)))


class RemoteFileNamed(LocalFile):
    def __init__(self) -> None:
        self.name = "s3://b/k"
