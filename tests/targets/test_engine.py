"""The engine is installed next to vecload or missing: then the error says how to install it."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from vecload.errors import EngineMissing
from vecload.targets import connect_target
from vecload.targets.engine import ENGINE, install_command


def test_without_the_engine_both_ways_on_are_named(
    embedded_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cyborgdb_core", None)
    with pytest.raises(EngineMissing) as caught:
        connect_target(embedded_folder)
    assert caught.value.exit_code == 2
    assert "pip install 'cyborgdb-core>=0.18,<0.19'" in str(caught.value)
    assert "URL of a service" in str(caught.value)
    assert not embedded_folder.exists()


@pytest.mark.parametrize(
    ("prefix", "file", "command"),
    [
        ("share/pipx/venvs/vecload", "", "pipx inject vecload '{}'"),
        ("anywhere", "pipx_metadata.json", "pipx inject vecload '{}'"),
        ("uv/tools/vecload", "uv-receipt.toml", "uv tool install --with '{}' vecload"),
        ("venv", "pyvenv.cfg", "pip install '{}'"),
    ],
)
def test_the_command_for_the_engine_fits_the_environment(
    tmp_path: Path, prefix: str, file: str, command: str
) -> None:
    (tmp_path / prefix).mkdir(parents=True)
    if file:
        (tmp_path / prefix / file).touch()
    assert install_command(tmp_path / prefix) == command.format(ENGINE)


def test_the_engines_versions_are_those_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["optional-dependencies"]["embedded"] == [ENGINE]


def test_an_engine_that_can_not_be_imported_says_why(
    embedded_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cyborgdb_core.py").write_text("raise ImportError('libgomp.so.1 is missing')")
    monkeypatch.delitem(sys.modules, "cyborgdb_core", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EngineMissing, match=r"can't be imported \(libgomp\.so\.1 is missing\); install"):
        connect_target(embedded_folder)
