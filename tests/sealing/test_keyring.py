from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from vecload.errors import KeyFileError
from vecload.sealing import Key, generate_key
from vecload.sealing import keyring as key_store_module
from vecload.sealing.keyring import PendingKey, confirm, find_stored, pending_key, pending_path, tidy

WAIT_SECONDS = 120


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the key of an index will be; the key store is still to be made."""
    return tmp_path / "config" / "keys" / "docs.toml"


def never() -> None:
    raise AssertionError("nobody else holds the key")


def files(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


def test_a_pending_key_is_on_the_disk_while_it_is_held_and_stays_there(path: Path) -> None:
    with pending_key(path, never) as pending:
        assert pending is not None
        assert Key.load(pending_path(path)) == pending.key
    assert files(path) == ["docs.toml.pending"]
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert find_stored(path) == key_store_module.StoredKey(pending.key, pending_path(path), pending=True)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, KeyFileError])
def test_whatever_happens_meanwhile_a_pending_key_stays(path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), pending_key(path, never):
        raise error("x")
    assert files(path) == ["docs.toml.pending"]


def test_a_pending_key_is_taken_up_and_then_no_refusal_removes_it(path: Path) -> None:
    with pending_key(path, never) as first:
        pass
    with pending_key(path, never) as second:
        assert first is not None
        assert second is not None
        assert (second.key, second.made) == (first.key, False)
        second.discard()
    assert files(path) == ["docs.toml.pending"]


def test_a_key_that_nobody_else_can_have_used_is_removed_when_it_was_refused(path: Path) -> None:
    with pending_key(path, never) as pending:
        assert pending is not None
        pending.discard()
    assert files(path) == []


def test_where_nothing_can_be_locked_no_key_is_removed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(descriptor: int, how: int) -> None:
        raise OSError("no locks here")

    monkeypatch.setattr(key_store_module.fcntl, "flock", cannot)
    with pending_key(path, never) as pending:
        assert pending is not None
        pending.discard()
    assert files(path) == ["docs.toml.pending"]


def test_a_confirmed_key_is_the_key_file_and_nothing_else_is_left(path: Path) -> None:
    with pending_key(path, never) as pending:
        assert pending is not None
        pending.confirm()
    assert files(path) == ["docs.toml"]
    assert Key.load(path) == pending.key
    assert path.stat().st_nlink == 1


def test_what_a_kill_left_of_a_confirmed_key_is_removed(path: Path) -> None:
    with pending_key(path, never):
        pass
    os.link(pending_path(path), path)
    tidy(path)
    assert files(path) == ["docs.toml"]


def test_tidying_leaves_a_pending_key_that_is_another(path: Path) -> None:
    with pending_key(path, never):
        pass
    tidy(path)
    generate_key().save(path)
    tidy(path)
    assert files(path) == ["docs.toml", "docs.toml.pending"]


def test_a_key_confirmed_twice_or_removed_by_hand_is_there_all_the_same(path: Path) -> None:
    with pending_key(path, never) as pending:
        assert pending is not None
        confirm(path, pending.key)
        pending.confirm()
        path.unlink()
        pending.confirm()
    assert Key.load(path) == pending.key


def test_a_key_file_of_another_key_is_not_replaced_and_the_pending_key_stays(path: Path) -> None:
    other = generate_key()
    with pending_key(path, never) as pending:
        assert pending is not None
        other.save(path)
        with pytest.raises(KeyFileError, match="contains another key") as failed:
            pending.confirm()
    assert str(pending_path(path)) in str(failed.value)
    assert Key.load(path) == other
    assert Key.load(pending_path(path)) == pending.key


def waited_for(path: Path, end: Callable[[PendingKey], None]) -> tuple[PendingKey, PendingKey | None]:
    """A pending key that ends somehow, and what another thread gets that waited for it."""
    waiting, keys = threading.Event(), []

    def other() -> None:
        with pending_key(path, waiting.set) as pending:
            keys.append(pending)

    with pending_key(path, never) as pending:
        assert pending is not None
        thread = threading.Thread(target=other)
        thread.start()
        assert waiting.wait(WAIT_SECONDS)
        end(pending)
    thread.join(WAIT_SECONDS)
    (got,) = keys
    return pending, got


def test_one_process_at_a_time_holds_the_pending_key(path: Path) -> None:
    _, got = waited_for(path, PendingKey.confirm)
    assert got is None, "the key file is there by now"
    assert files(path) == ["docs.toml"]


def test_whoever_waited_for_a_key_that_was_removed_makes_one(path: Path) -> None:
    removed, got = waited_for(path, PendingKey.discard)
    assert got is not None
    assert got.made
    assert got.key != removed.key
    assert Key.load(pending_path(path)) == got.key


def test_a_key_store_that_cannot_be_made_or_written_is_one_error(path: Path) -> None:
    path.parent.parent.write_text("a file")
    with pytest.raises(KeyFileError, match="can't be created: Not a directory"), pending_key(path, never):
        pass
