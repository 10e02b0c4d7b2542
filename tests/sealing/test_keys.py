from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import os
import pickle
import re
import shlex
import stat
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import cyborgdb
import pytest

from vecload.errors import ItemTypeError, ItemValueError, KeyFileError, VecloadError
from vecload.sealing import Key, Opener, Sealer, generate_key
from vecload.sealing.key_text import MadeFor
from vecload.sealing.keys import as_key, stored_key_paths

INDEX_KEY = bytes(range(1, 33))
CONTENTS_KEY = bytes(range(101, 133))
OLD_KEY = bytes(range(201, 233))
HEX = INDEX_KEY.hex()


def private(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(0o600)
    return path


def python(code: str) -> str:
    return shlex.join([sys.executable, "-c", code])


def said(action: Callable[[], object]) -> str:
    """The message of the KeyFileError: one line, and no key in it."""
    with pytest.raises(KeyFileError) as failed:
        action()
    message = str(failed.value)
    assert "\n" not in message
    for key in (INDEX_KEY, CONTENTS_KEY, OLD_KEY):
        assert key.hex()[:16] not in message.lower()
        assert key.hex()[-16:] not in message.lower()
    return message


# --- keys ---


def test_a_generated_key_has_two_different_keys_and_is_new_each_time() -> None:
    one, other = generate_key(), generate_key()
    assert not one.derived
    assert len({one.index_key, one.contents_key, other.index_key, other.contents_key}) == 4


def test_without_a_contents_key_it_is_derived_by_hkdf_of_the_index_key() -> None:
    prk = hmac.new(bytes(32), INDEX_KEY, hashlib.sha256).digest()
    expected = hmac.new(prk, b"vecload/contents-key/v1\x01", hashlib.sha256).digest()
    key = Key(INDEX_KEY)
    assert key.derived
    assert key.contents_key == expected


def test_a_key_may_be_a_contents_key_alone_which_seals_and_opens_no_index() -> None:
    key = Key(None, CONTENTS_KEY)
    assert (key.index_key, key.contents_key, key.derived) == (None, CONTENTS_KEY, False)
    assert key.key_id == Key(INDEX_KEY, CONTENTS_KEY).key_id
    assert said(lambda: key.index_key_for("docs", "a.key")) == (
        "index 'docs' needs its index key, and a.key contains a contents key alone; "
        "name a key file that contains the index key"
    )
    assert Key(INDEX_KEY).index_key_for("docs", "a.key") == INDEX_KEY


def test_old_contents_keys_open_and_never_seal() -> None:
    before = Sealer(OLD_KEY, "docs").seal(["a"], ["before"])[0] or ""
    key = Key(INDEX_KEY, CONTENTS_KEY, (OLD_KEY,))
    assert Opener(key.opening_keys, "docs").open("a", before) == "before"
    assert key.opening_keys[0] == key.contents_key == CONTENTS_KEY


def test_a_mutable_key_given_is_copied() -> None:
    given = [bytearray(key) for key in (INDEX_KEY, CONTENTS_KEY, OLD_KEY)]
    key = Key(given[0], given[1], (given[2],))  # type: ignore[arg-type]
    for each in given:
        each[:] = bytes(32)
    assert key == Key(INDEX_KEY, CONTENTS_KEY, (OLD_KEY,))


@pytest.mark.parametrize(
    ("keys", "error"),
    [
        ((), ItemValueError),
        ((None, None, (OLD_KEY,)), ItemValueError),
        ((None, bytes(32)), ItemValueError),
        ((HEX,), ItemTypeError),
        ((INDEX_KEY, HEX), ItemTypeError),
        ((INDEX_KEY, CONTENTS_KEY, (HEX,)), ItemTypeError),
        ((INDEX_KEY[:31],), ItemValueError),
        ((INDEX_KEY + b"x",), ItemValueError),
        ((INDEX_KEY, b""), ItemValueError),
        ((INDEX_KEY, CONTENTS_KEY, (OLD_KEY[:16],)), ItemValueError),
        ((bytes(32),), ItemValueError),
        ((INDEX_KEY, bytes(32)), ItemValueError),
        ((INDEX_KEY, INDEX_KEY), ItemValueError),
        ((INDEX_KEY, bytearray(INDEX_KEY)), ItemValueError),
    ],
)
def test_what_is_no_key_is_refused_without_being_shown(keys: tuple[object, ...], error: type) -> None:
    with pytest.raises(error) as failed:
        Key(*keys)  # type: ignore[arg-type]
    assert HEX[:16] not in str(failed.value)
    assert repr(INDEX_KEY)[2:20] not in str(failed.value)


def test_the_python_api_takes_a_key_or_32_bytes_for_one() -> None:
    key = Key(INDEX_KEY, CONTENTS_KEY)
    assert as_key(key) is key
    assert as_key(INDEX_KEY) == Key(INDEX_KEY)
    with pytest.raises(ItemTypeError):
        as_key(HEX)  # type: ignore[arg-type]


def test_a_key_shows_its_key_id_alone() -> None:
    key = Key(INDEX_KEY, CONTENTS_KEY, (OLD_KEY,))
    assert repr(key) == str(key) == f"Key(key_id={key.key_id})"
    assert len(key.key_id) == 8
    assert key.key_id not in (INDEX_KEY.hex()[:8], CONTENTS_KEY.hex()[:8])


def test_a_key_cannot_be_pickled_copied_or_hashed() -> None:
    key = Key(INDEX_KEY)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="can't be pickled"):
            pickle.dumps(key, protocol)
    with pytest.raises(TypeError, match="can't be pickled"):
        copy.deepcopy(key)
    with pytest.raises(TypeError, match="unhashable"):
        hash(key)


# --- keys alone, as other tools write them ---

SDK_KEY = bytes(range(128, 160))
"""Like what `cyborgdb.Client.generate_key(save=True)` writes: 32 bytes, seldom text."""
FORMS = {
    "32 bytes": SDK_KEY,
    "64 hex digits": SDK_KEY.hex().encode(),
    "64 hex digits, upper case, a line": SDK_KEY.hex().upper().encode() + b"\n",
    "64 hex digits, a line of Windows": b" " + SDK_KEY.hex().encode() + b" \r\n",
    "base64": base64.b64encode(SDK_KEY),
    "base64, a line": base64.b64encode(SDK_KEY) + b"\n",
    "base64 for URLs": base64.urlsafe_b64encode(SDK_KEY),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_key_alone_is_the_index_key_and_its_form_is_known(tmp_path: Path, form: str) -> None:
    key = Key.load(private(tmp_path / "a.key", FORMS[form]))
    assert key == Key(SDK_KEY)
    assert key.derived
    assert key.bare == re.split(",| for", form)[0]


@pytest.mark.parametrize("form", FORMS)
def test_a_key_alone_in_the_contents_key_file_is_the_contents_key(tmp_path: Path, form: str) -> None:
    key = Key.load_contents_key(private(tmp_path / "a.key", FORMS[form]))
    assert key == Key(None, SDK_KEY)


def test_the_key_that_the_sdk_saves_is_read_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    saved = cyborgdb.Client.generate_key(save=True)
    file = tmp_path / ".cyborgdb" / "index_key"
    assert "chmod 600" in said(lambda: Key.load(file))
    file.chmod(0o600)
    assert Key.load(file) == Key(saved)


@pytest.mark.parametrize(
    "text",
    [
        SDK_KEY[:-1],
        SDK_KEY + b"\n",
        SDK_KEY * 2,
        b"a password of thirty-two letters",
        b"0123456789abcdef" * 2,
        HEX.encode()[:-1],
        HEX.encode() + b"0",
        b"0x" + HEX.encode(),
        HEX.encode() * 2,
        HEX.encode() + b"\n" + HEX.encode(),
        (HEX[:32] + "\n" + HEX[32:]).encode(),
        base64.b64encode(SDK_KEY)[:-1],
        base64.b64encode(SDK_KEY[:-1]),
        base64.b64encode(SDK_KEY + b"x"),
        base64.b64encode(SDK_KEY)[:-2] + b"9=",
        b"\xef\xbb\xbf" + HEX.encode(),
        HEX.encode("utf-16"),
        bytes(32),
        b"00" * 32,
        b"-----BEGIN PRIVATE KEY-----\n",
    ],
)
def test_what_is_like_a_key_alone_is_no_key(tmp_path: Path, text: bytes) -> None:
    path = private(tmp_path / "a.key", text)
    message = said(lambda: Key.load(path))
    assert str(path) in message
    # Another key would open nothing.
    assert "create a key file" not in message


def test_the_contents_key_file_may_be_a_key_file(tmp_path: Path) -> None:
    Key(INDEX_KEY, CONTENTS_KEY, (OLD_KEY,)).save(tmp_path / "both.key")
    Key(None, CONTENTS_KEY).save(tmp_path / "alone.key")
    Key(INDEX_KEY).save(tmp_path / "index.key")
    assert Key.load_contents_key(tmp_path / "both.key") == Key(None, CONTENTS_KEY, (OLD_KEY,))
    assert Key.load_contents_key(tmp_path / "alone.key") == Key(None, CONTENTS_KEY)
    assert "no contents_key" in said(lambda: Key.load_contents_key(tmp_path / "index.key"))


def test_an_index_key_alone_takes_the_contents_key_of_another_and_never_a_second_one() -> None:
    alone = Key(None, CONTENTS_KEY, (OLD_KEY,))
    assert Key(INDEX_KEY).with_contents_key(alone) == Key(INDEX_KEY, CONTENTS_KEY, (OLD_KEY,))
    assert Key(INDEX_KEY, CONTENTS_KEY).with_contents_key(alone) == Key(INDEX_KEY, CONTENTS_KEY, (OLD_KEY,))
    assert "different contents keys" in said(lambda: Key(INDEX_KEY, OLD_KEY).with_contents_key(alone))
    assert "so a service" in said(lambda: Key(INDEX_KEY).with_contents_key(Key(None, INDEX_KEY)))


# --- key files ---


@pytest.mark.parametrize("index", ["docs", 'a "b" \\ c', "\x7f\n", "größe 🔑"])
def test_a_key_file_may_name_the_index_it_was_made_for(tmp_path: Path, index: str) -> None:
    key = Key(INDEX_KEY, CONTENTS_KEY, (OLD_KEY,))
    key.made_for = MadeFor(index, "http://localhost:8000")
    key.save(tmp_path / "a.key")
    loaded = Key.load(tmp_path / "a.key")
    assert loaded == key
    assert loaded.made_for == key.made_for


def test_a_folder_that_is_not_text_goes_unnamed(tmp_path: Path) -> None:
    key = Key(INDEX_KEY, CONTENTS_KEY)
    key.made_for = MadeFor("docs", "/data/\udcff")
    key.save(tmp_path / "a.key")
    assert Key.load(tmp_path / "a.key").made_for is None


@pytest.mark.parametrize(
    "key",
    [
        Key(INDEX_KEY, CONTENTS_KEY, (OLD_KEY, bytes(range(32)))),
        Key(INDEX_KEY, CONTENTS_KEY),
        Key(INDEX_KEY),
        Key(None, CONTENTS_KEY),
        Key(None, CONTENTS_KEY, (OLD_KEY,)),
    ],
    ids=["with old keys", "two keys", "derived", "contents key alone", "contents keys alone"],
)
def test_a_key_file_gives_back_the_key_that_was_saved(tmp_path: Path, key: Key) -> None:
    key.save(tmp_path / "key.toml")
    found = Key.load(tmp_path / "key.toml")
    assert found == key
    assert found.derived == key.derived


def test_a_key_file_is_toml_with_lower_case_hex(tmp_path: Path) -> None:
    Key(INDEX_KEY, CONTENTS_KEY, (OLD_KEY,)).save(tmp_path / "key.toml")
    assert tomllib.loads((tmp_path / "key.toml").read_text()) == {
        "index_key": INDEX_KEY.hex(),
        "contents_key": CONTENTS_KEY.hex(),
        "old_contents_keys": [{"contents_key": OLD_KEY.hex()}],
    }


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_new_key_file_is_readable_by_its_owner_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        generate_key().save(tmp_path / "key.toml")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key.toml").stat().st_mode) == 0o600


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path = private(tmp_path / "key.toml", "precious")
    assert "exists" in said(lambda: generate_key().save(path))
    assert path.read_text() == "precious"


def test_a_key_is_not_written_through_a_link(tmp_path: Path) -> None:
    link = tmp_path / "key.toml"
    link.symlink_to(tmp_path / "elsewhere")
    assert "exists" in said(lambda: generate_key().save(link))
    assert not (tmp_path / "elsewhere").exists()


def test_a_key_file_in_a_missing_folder_cannot_be_written(tmp_path: Path) -> None:
    assert "No such file" in said(lambda: generate_key().save(tmp_path / "missing" / "key.toml"))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666, 0o644, 0o610])
def test_a_key_file_open_to_others_is_refused_with_the_command_that_mends_it(
    tmp_path: Path, mode: int
) -> None:
    path = tmp_path / "my key.toml"
    generate_key().save(path)
    path.chmod(mode)
    message = said(lambda: Key.load(path))
    command = message[message.index("chmod") :]
    assert shlex.split(command) == ["chmod", "600", str(path)]


def test_a_key_file_behind_another_users_link_is_refused(tmp_path: Path) -> None:
    generate_key().save(tmp_path / "key.toml")
    link = tmp_path / "link.toml"
    link.symlink_to(tmp_path / "key.toml")
    assert Key.load(link) == Key.load(tmp_path / "key.toml")
    os.lchown(link, 12345, 12345)
    assert "symbolic link that belongs to another user" in said(lambda: Key.load(link))


def test_a_missing_key_file_and_a_folder_are_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    assert (
        said(lambda: Key.load(missing)) == f"the key file {missing} can't be read: No such file or directory"
    )
    assert "Is a directory" in said(lambda: Key.load(tmp_path))


def test_a_named_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "is not a file" in said(lambda: Key.load(tmp_path / "pipe"))


def test_a_key_file_over_16_kib_is_refused_and_one_of_16_kib_is_read(tmp_path: Path) -> None:
    text = f'index_key = "{HEX}"\n#'
    fits = private(tmp_path / "fits.toml", text.ljust(16 * 1024, "x"))
    assert Key.load(fits) == Key(INDEX_KEY)
    larger = private(tmp_path / "larger.toml", text.ljust(16 * 1024 + 1, "x"))
    assert "larger than 16 KiB" in said(lambda: Key.load(larger))


@pytest.mark.parametrize(
    "text",
    [
        HEX[:-1],
        f"index_key = {HEX}",
        f'index_key = "{HEX}',
        f'index_key = "{HEX}"\nindex_key = "{HEX}"',
        f'index_key = "{HEX}" "{HEX}"',
        b"\xff\xfe" + HEX.encode(),
        f'[[index_key]]\nx = "{HEX}"',
        f'index_key = ["{HEX}"]',
        f'index_key = "{HEX}"\n{HEX} = "contents"',
        f'index_key = "{HEX}"\n"key {HEX}" = "contents"',
        "",
        f'[[old_contents_keys]]\ncontents_key = "{HEX}"',
        f'contents_key = "{"00" * 32}"',
        f'index_key = "0x{HEX[2:]}"',
        f'index_key = "{HEX[:-2]}"',
        f'index_key = "{HEX[:-2]} \\n"',
        f'index_key = "{HEX}0"',
        f'index_key = "{"zz" + HEX[2:]}"',
        f'index_key = "{HEX}"\ncontents_key = "{HEX[1:]}"',
        f'index_key = "{HEX}"\ncontents_key = 7',
        f'index_key = "{HEX}"\nold_contents_keys = "{HEX}"',
        f'index_key = "{HEX}"\nold_contents_keys = ["{HEX}"]',
        f'index_key = "{HEX}"\n[[old_contents_keys]]\nkey = "{HEX}"',
        f'index_key = "{"00" * 32}"',
        f'index_key = "{HEX}"\ncontents_key = "{"00" * 32}"',
        f'index_key = "{HEX}"\ncontents_key = "{HEX.upper()}"',
    ],
)
def test_a_malformed_key_file_is_one_error_that_never_quotes_it(tmp_path: Path, text: str | bytes) -> None:
    path = private(tmp_path / "key.toml", text)
    assert str(path) in said(lambda: Key.load(path))


def test_a_misspelt_entry_of_a_key_file_is_named(tmp_path: Path) -> None:
    path = private(tmp_path / "key.toml", f'index_key = "{HEX}"\ncontent_key = "{HEX}"')
    assert "'content_key'" in said(lambda: Key.load(path))


def test_capital_hex_digits_are_the_same_key(tmp_path: Path) -> None:
    upper = Key.from_hex(HEX.upper(), CONTENTS_KEY.hex().upper(), where="the environment")
    assert upper == Key(INDEX_KEY, CONTENTS_KEY)


@pytest.mark.parametrize("value", ["", "short", HEX + "\n", HEX[:-1] + "g", HEX[:-1] + "\u0663"])
def test_a_variable_that_is_no_key_is_named_and_not_shown(value: str) -> None:
    assert "VECLOAD_INDEX_KEY" in said(lambda: Key.from_hex(value, None, where="VECLOAD_INDEX_KEY"))


def test_what_was_sealed_with_a_key_that_is_refused_now_opens_with_it_as_an_old_key() -> None:
    for weak in (bytes(32), INDEX_KEY):
        sealed = Sealer(weak, "docs").seal(["a"], ["before"])[0] or ""
        assert (
            Opener(Key(INDEX_KEY, CONTENTS_KEY, (weak,)).opening_keys, "docs").open("a", sealed) == "before"
        )


# --- key commands ---


def test_a_key_commands_output_is_a_key_file() -> None:
    text = f'index_key = "{HEX}"\ncontents_key = "{CONTENTS_KEY.hex()}"\n'
    assert Key.from_command(python(f"print({text!r})")) == Key(INDEX_KEY, CONTENTS_KEY)


def test_no_shell_runs_a_key_command(tmp_path: Path) -> None:
    echo = f"""echo 'index_key = "{HEX}"' '#' "$HOME" ; touch {shlex.quote(str(tmp_path / "made"))}"""
    assert Key.from_command(echo) == Key(INDEX_KEY)
    assert not (tmp_path / "made").exists()


def test_a_key_command_that_fails_is_an_error_even_if_it_printed_a_key() -> None:
    message = said(lambda: Key.from_command(python(f"print('index_key = \"{HEX}\"'); raise SystemExit(3)")))
    assert "exit code 3" in message


def test_a_key_command_that_prints_no_key_file_is_an_error_that_does_not_quote_it() -> None:
    assert "not a key file" in said(lambda: Key.from_command(python(f"print('{HEX[1:]}')")))
    assert "not a key file" in said(
        lambda: Key.from_command(python(f"import os; os.write(1, b'\\xff{HEX}')"))
    )


def test_a_slow_key_command_is_ended_at_its_time_limit() -> None:
    begun = time.monotonic()
    assert "took over 0.2 s" in said(lambda: Key.from_command("sleep 20", seconds=0.2))
    assert time.monotonic() - begun < 5


def test_a_key_command_whose_child_keeps_the_pipe_open_is_ended_at_its_time_limit() -> None:
    begun = time.monotonic()
    assert "took over 0.3 s" in said(lambda: Key.from_command("sh -c 'sleep 8; :'", seconds=0.3))
    assert time.monotonic() - begun < 5


def test_a_key_command_that_closes_its_output_and_lingers_is_ended_at_its_time_limit() -> None:
    code = "import os, time; os.close(1); time.sleep(20)"
    begun = time.monotonic()
    assert "took over 1 s" in said(lambda: Key.from_command(python(code), seconds=1))
    assert time.monotonic() - begun < 10


def test_a_key_command_that_prints_without_end_is_ended_at_16_kib() -> None:
    begun = time.monotonic()
    assert "larger than 16 KiB" in said(lambda: Key.from_command("yes", seconds=20))
    assert time.monotonic() - begun < 5


def test_a_key_command_that_is_not_found_is_named() -> None:
    message = said(lambda: Key.from_command("vecload-no-such-program --key"))
    assert message.startswith("the key command 'vecload-no-such-program' can't be run")


@pytest.mark.parametrize("command", ["", "   ", "pass 'unbalanced", "pass \\", "a\0b"])
def test_a_key_command_that_is_no_command_is_an_error(command: str) -> None:
    assert "can't be run" in said(lambda: Key.from_command(command))


# --- the key store ---


def test_the_default_key_differs_by_target_and_by_index(tmp_path: Path) -> None:
    places = {
        stored_key_paths(tmp_path, location, index)[0]
        for location in ("http://localhost:8000", "http://localhost:8001", "/data")
        for index in ("docs", "Docs", "do cs", "do_cs", "")
    }
    assert len(places) == 15


@pytest.mark.parametrize(
    "name",
    ["../x", "..", ".", "/etc/passwd", "a/b", "n" * 200, "文" * 200, "a\0b", "", "~", "-rf", " ", "CON"],
)
def test_the_default_key_stays_in_its_folder_whatever_the_index_is_called(tmp_path: Path, name: str) -> None:
    path = stored_key_paths(tmp_path, "http://localhost:8000", name)[0]
    assert path.parent == tmp_path / "keys"
    assert path.name.isascii()
    assert path.name.isprintable()
    assert len(path.name) <= 100
    assert not path.name.startswith((".", "~"))
    path.parent.mkdir()
    generate_key().save(path)


def test_the_default_key_of_an_index_is_found_again(tmp_path: Path) -> None:
    # Whoever changes this loses their users' keys.
    path = stored_key_paths(tmp_path, "http://localhost:8000", "docs")[0]
    digest = hashlib.sha256(b"http://localhost:8000\0docs").hexdigest()
    assert path == tmp_path / "keys" / f"docs-{digest[:12]}.toml"


@pytest.mark.parametrize(
    "spellings",
    [
        ["http://localhost:8000", "http://127.0.0.1:8000", "http://[::1]:8000", "http://127.3.2.1:8000"],
        ["http://localhost", "http://127.0.0.1:80", "http://[::1]"],
        ["https://127.0.0.1:443", "https://localhost"],
        ["https://db.example.com", "https://db.example.com:443"],
    ],
)
def test_the_spellings_of_one_target_are_one_in_the_key_store_and_old_files_are_found(
    tmp_path: Path, spellings: list[str]
) -> None:
    paths = [stored_key_paths(tmp_path, each, "docs") for each in spellings]
    assert len({each[0] for each in paths}) == 1
    assert paths[0][0] == stored_key_paths(tmp_path, spellings[0], "docs")[0]
    for spelling, own in zip(spellings, paths, strict=True):
        digest = hashlib.sha256(f"{spelling}\0docs".encode()).hexdigest()
        assert tmp_path / "keys" / f"docs-{digest[:12]}.toml" in own, "a file of an earlier version"


def test_other_targets_stay_apart_in_the_key_store(tmp_path: Path) -> None:
    places = (
        "http://localhost:8000",
        "http://localhost:8001",
        "https://localhost:8000",
        "http://10.0.0.1:8000",
    )
    places += ("http://localhost.example.com:8000", "/var/lib/store", "http://128.0.0.1:8000", "localhost")
    assert len({stored_key_paths(tmp_path, place, "docs")[0] for place in places}) == len(places)


def test_every_key_error_is_one_of_ours() -> None:
    assert issubclass(KeyFileError, VecloadError)
    assert KeyFileError("x").exit_code == 2


@pytest.mark.parametrize("value", ["[" * 5000, "9" * 5000, "[" * 16000])
def test_what_no_parser_takes_is_not_a_key_file(tmp_path: Path, value: str) -> None:
    path = tmp_path / "key.toml"
    path.write_text(f"index_key={value}")
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="is not a key file"):
        Key.load(path)
