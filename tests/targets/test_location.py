"""A service's address that is misspelt is an error, and never a folder; all that is a path is one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecload.errors import UsageError
from vecload.targets import connect_target
from vecload.targets.location import check_folder_name, redacted_address, redacted_url

HOSTS = [
    "vectors.example.com",
    "example.com",
    "vectors.example.com.",
    "VECTORS.EXAMPLE.COM",
    "vectors.example.com:8000",
    "vectors.example.com/",
    "vectors.example.com/v1",
    "vectors.example.com:8000/anything",
    "localhost",
    "localhost:8000",
    "localhost:8000/",
    "localhost:8000/v1",
    "10.0.0.1",
    "10.0.0.1:8000",
    "[::1]",
    "[::1]:8000",
    "::1",
    "fe80::1",
    ":8000",
    "user:secret@vectors.example.com",
    "user:secret@localhost:8000",
    "localhost:8000/secret",
]
BROKEN = [
    "http:/host",
    "http:/host:8000",
    "http:host",
    "https:/vectors.example.com/v1",
    "http//host",
    "HTTP//host:8000",
    "https//host",
    "htp:/host",
    "http:",
    "https:/user:secret@host",
    "http//user:secret@host?token=secret",
    "http:/host/secret",
    "http:host/secret",
    "http//host/secret",
]
URLS = [
    "http://",
    "https://",
    "htp://host",
    "htp://",
    "http:///host",
    "://host",
    "http://user:secret@host?x=secret",
    "http://host/secret",
    "http://host:8000/v1/secret",
    "ftp://host/secret",
    "http://host:99999/secret",
]
FOLDERS = [
    "store",
    "my-store",
    "my_store.d1",
    ".store",
    "..",
    ".",
    "./vectors.example.com",
    "./localhost:8000",
    "../10.0.0.1",
    "/srv/vectors.example.com",
    "some/vectors.example.com",
    "vectors.example.com/some/folder",
    "~/store",
    "v1.2",
    "2024.05",
    "http",
    "http/store",
    "https-store",
    "a b.com",
    "C:/store",
    "@",
    "",
]


@pytest.mark.parametrize("location", [*HOSTS, *BROKEN, *URLS])
def test_what_looks_like_a_host_or_a_broken_url_makes_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as failed:
        connect_target(location)
    assert [*tmp_path.iterdir()] == []
    assert "http://" in str(failed.value) or "VECLOAD_API_KEY" in str(failed.value)
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_path_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    check_folder_name(name)


@pytest.mark.parametrize("name", ["vectors.example.com", "localhost", "10.0.0.1:8000"])
def test_a_folder_that_is_there_is_one_whatever_it_looks_like(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    with connect_target(name) as target:
        assert target.location == str(tmp_path / name)


def test_a_path_object_names_a_folder_unless_a_url_was_made_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with connect_target(Path("vectors.example.com")) as target:
        assert target.location == str(tmp_path / "vectors.example.com")
    with pytest.raises(UsageError):
        connect_target(Path("http://vectors.example.com"))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://host:8000/v1", "http://host:8000/v1"),
        ("http://user:secret@host/x?token=secret#secret", "http://…"),
        ("user:secret@host", "…"),
        ("https:/user:se/cr@et@host", "https:/…"),
        ("host?secret", "host"),
    ],
)
def test_a_url_is_shown_without_user_password_and_query(url: str, expected: str) -> None:
    assert redacted_url(url) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://host:8000", "http://host:8000"),
        ("http://host:8000/v1", "http://host:8000/v1"),
        ("http://host:8000/v1/secret", "http://host:8000/…"),
        ("http://host/secret?token=secret", "http://host/…"),
        ("http://user:secret@host/secret", "http://…"),
        ("http:/host/secret", "http:/host/…"),
        ("http//host/secret", "http//host/…"),
        ("host:8000/secret", "host:8000/…"),
        ("http://", "http://"),
    ],
)
def test_a_services_address_is_shown_without_its_path(url: str, expected: str) -> None:
    assert redacted_address(url) == expected


@given(st.text(), st.text(), st.text())
def test_no_password_is_ever_shown(user: str, password: str, query: str) -> None:
    url = f"http://{user}:<{password}>@host?<{query}>"
    assert "<" not in redacted_url(url)
