from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.loading import Loading
from tests.servers import Service


@pytest.fixture
def service_on(tmp_path: Path) -> Callable[[Path], Service]:
    """Makes a service on a folder that holds a store already; `with` starts it."""
    return lambda store: Service(tmp_path / "service", data=store)


@pytest.fixture
def loading(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Loading:
    return Loading(tmp_path, capsys)
