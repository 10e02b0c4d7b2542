"""The program of docs/howto/spark.md does what the page says, and prints what it shows."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
from pathlib import Path

import pytest

import vecload
from tests.clusters.spark.conftest import Cluster
from tests.docs.pages import ROOT, SERVICE, blocks

PAGE = ROOT / "docs" / "howto" / "spark.md"
FIGURE = re.compile(r"\d+\.\d\d s")

pytestmark = pytest.mark.filterwarnings(
    "ignore:PySpark does not yet fully support pandas", "ignore::ResourceWarning"
)


def test_the_program_of_the_page_prints_what_it_shows(cluster: Cluster, service: str, tmp_path: Path) -> None:
    program, printed = (block.body for block in blocks(PAGE) if block.kind in ("python", "text"))
    (tmp_path / "export").mkdir()
    (tmp_path / "vecload").mkdir()
    shutil.copy(ROOT / "samples" / "articles.parquet", tmp_path / "export")
    vecload.generate_key().save(tmp_path / "vecload" / "articles.key")
    here = program.replace("/srv", str(tmp_path)).replace(SERVICE, service)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(here, str(PAGE), "exec"), {})  # noqa: S102 the page's own program
    assert FIGURE.sub("…", said.getvalue().replace(service, SERVICE)) == FIGURE.sub("…", printed)
