"""A user without a home folder gets one line."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.cli.sources import rows, write_jsonl
from vecload.cli.app import run
from vecload.cli.config import own_name, read_sections
from vecload.errors import UsageError
from vecload.places import config_folder, short, store_folder


def without_a_home(check: Callable[[], None]) -> None:
    """Run a check in a process of a user who has no home folder."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            for name in [*os.environ]:
                if name == "HOME" or name.startswith("XDG_"):
                    del os.environ[name]
            # The effective user stays, who can read the modules that are yet to be imported.
            os.setresuid(12345, 0, 0)
            check()
            status = 0
        except BaseException:  # noqa: BLE001 shown, and the process ends
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_user_without_a_home_is_told_what_to_set() -> None:
    def check() -> None:
        for folder in (store_folder, config_folder):
            with pytest.raises(UsageError, match="no home folder; set HOME"):
                folder()
        assert short("/a/path") == "/a/path"

    without_a_home(check)


def test_a_user_without_a_home_has_no_configuration_of_their_own_and_misses_none(tmp_path: Path) -> None:
    (tmp_path / "named.toml").write_text('index = "x"\n')
    folder = os.open(tmp_path, os.O_RDONLY)

    def check() -> None:
        os.fchdir(folder)
        assert read_sections(None, None) == []
        with pytest.raises(UsageError, match="profile 'p' not found: this user has no home folder; set HOME"):
            read_sections(None, "p")
        assert own_name().startswith("a configuration of your own")

    without_a_home(check)


def test_a_user_without_a_home_loads_where_every_place_is_named(service: str) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_jsonl(folder / "rows.jsonl", rows(3))
        assert run(["keygen", f"{folder}/key"]) == 0
        for path in (folder, folder / "key"):
            os.chown(path, 12345, 12345)

        def check() -> None:
            os.chdir(folder)
            index = f"homeless-{os.getpid()}"
            target = ["--to", service, "--key-file", "key"]
            assert run(["index", "list", "--to", service]) == 0
            load = ["upsert", "rows.jsonl", *target, "--index", index, "--state-dir", "state"]
            assert run([*load, "--dry-run"]) == 0
            assert run(load) == 0
            assert run(["get", "doc-1", *target, "--index", index]) == 0
            assert run(["index", "delete", index, *target, "--yes"]) == 0
            assert run(["index", "list"]) == 2
            assert run(["index", "create", index, "--to", service]) == 2
            assert run(load[:-2]) == 2

        without_a_home(check)
