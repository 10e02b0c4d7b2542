"""A user without a home folder gets one line."""

from __future__ import annotations

import os

import pytest

from vecload.config import config_folder, short, store_folder
from vecload.errors import UsageError


def test_a_user_without_a_home_is_told_what_to_set() -> None:
    pid = os.fork()
    if not pid:
        status = 1
        try:
            for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
                os.environ.pop(name, None)
            os.setuid(12345)
            for folder in (store_folder, config_folder):
                with pytest.raises(UsageError, match="no home folder; set HOME"):
                    folder()
            assert short("/a/path") == "/a/path"
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
