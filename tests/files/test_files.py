"""Files as people have them, through the real command into the real engine, and read back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.files.writers import WRITERS, Stored
from vecload import Key, connect, generate_key
from vecload.cli.app import run


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "files.key"
    generate_key().save(path)
    return path


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_a_file_is_stored_as_it_is(
    tmp_path: Path, key: Path, write: Callable[[Path], Stored], capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    wanted = write(folder)
    to = str(tmp_path / "store")
    options = ["--to", to, "--index", "files", "--key-file", str(key), "-q", *wanted.options]
    assert run(["upsert", wanted.source, *options]) == 0, capfd.readouterr().err
    with connect(to) as connection:
        index = connection.open_index("files", Key.load(key))
        items = index.get(wanted.ids)
        assert (index.count(), index.describe().metric) == (len(wanted.ids), wanted.metric)
    assert [item["id"] for item in items] == wanted.ids
    vectors = np.array([item["vector"] for item in items], "<f4")
    assert vectors.tobytes() == wanted.vectors.tobytes()
    # 1 == 1.0 == True: only the text tells them apart.
    assert [json.dumps(item["metadata"], sort_keys=True) for item in items] == [
        json.dumps(metadata, sort_keys=True) for metadata in wanted.metadata
    ]
    assert [item["contents"] for item in items] == wanted.contents
