"""What the pages say is so: their commands run, print what they show, and their links lead somewhere."""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import signal
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.cli.options_table import BEGIN, options_tables
from tests.cli.sources import write_jsonl
from tests.docs.pages import PAGES, ROOT, SECONDS, SERVICE, Reader, blocks, examples, same
from tests.servers import Service, free_port
from vecload import __version__

README = ROOT / "README.md"
HOWTO = ROOT / "docs" / "howto"
NAMED_FILE = re.compile(r"`((?:vecload|tests|samples|docs|benchmarks)/[\w/.]+\.\w+)[` ]")
LINK = re.compile(r"\]\(([^)#:\s]*)(?:#([^)\s]*))?\)")


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def with_blocks(kind: str) -> list[Path]:
    return [page for page in PAGES if any(block.kind == kind and not block.file for block in blocks(page))]


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path / "reader")


@pytest.fixture(scope="module")
def pages_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service for the pages alone; no two pages load into an index of the same name."""
    with Service(tmp_path_factory.mktemp("pages-service")) as running:
        yield running.url


@pytest.mark.parametrize("page", with_blocks("console"), ids=named)
def test_the_commands_of_a_page_print_what_it_shows(
    page: Path, reader: Reader, request: pytest.FixtureRequest
) -> None:
    if SERVICE in page.read_text():
        reader.service = request.getfixturevalue("pages_service")
    for block in blocks(page):
        if block.file:
            reader.write(block)
        elif block.kind == "console":
            for example in examples(block.body):
                printed = reader.run(example.command)
                assert same(example.printed, printed), (example.command, example.printed, printed)


@pytest.mark.parametrize("page", with_blocks("python"), ids=named)
def test_the_python_of_a_page_runs(page: Path, reader: Reader) -> None:
    own = [block.body for block in blocks(page) if block.kind == "python" and not block.file]
    (reader.work / "page.py").write_text(reader.here("\n".join(own)))
    ended = reader.ended("python page.py")
    assert ended.returncode == 0, ended.stdout


VECTOR = [0.1] * 8


def damaged_gzip(path: Path) -> None:
    packed = bytearray(gzip.compress(json.dumps({"id": "a", "vector": VECTOR}).encode()))
    packed[-8] ^= 1  # of the checksum
    path.write_bytes(packed)


def parts(path: Path) -> None:
    path.mkdir()
    for number, ids in enumerate((range(6), range(5, 9))):
        rows = {"id": [str(one) for one in ids], "vector": [VECTOR] * len(ids)}
        pq.write_table(pa.table(rows), path / f"part-{number}.parquet")


def hybrid(path: Path) -> None:
    sparse = [None, {"indices": [1], "values": [0.5]}]
    pq.write_table(pa.table({"id": ["a", "b"], "values": [VECTOR] * 2, "sparse_values": sparse}), path)


def two_vectors(path: Path) -> None:
    write_jsonl(path, [{"id": "a", "title_vec": [0.1, 0.2], "body_vec": [0.3, 0.4]}])


def a_short_vector(path: Path) -> None:
    rows = [{"id": f"doc-{row + 1}", "vector": [0.1] * (383 if row == 41 else 384)} for row in range(50)]
    write_jsonl(path, rows)


@pytest.mark.parametrize(
    ("page", "source", "write"),
    [
        ("sources.md", "v.npy", lambda path: np.save(path, np.ones((3, 8), np.float32))),
        ("sources.md", "crc.jsonl.gz", damaged_gzip),
        ("mapping.md", "two.jsonl", two_vectors),
        ("mapping.md", "parts", parts),
        ("mapping.md", "hybrid.parquet", hybrid),
        ("exit-codes.md", "data.jsonl", a_short_vector),
    ],
)
def test_an_error_is_the_one_that_a_page_quotes(
    page: str, source: str, write: Callable[[Path], None], reader: Reader
) -> None:
    write(reader.work / source)
    error = reader.run(f"vecload upsert {source} --index docs --quiet")[-1]
    assert error.startswith("vecload: ")
    assert f"\n{error}\n" in (ROOT / "docs" / page).read_text()


def test_a_page_that_shows_something_else_is_noticed() -> None:
    shown = [
        "rows   300 read",
        "rate   1 items/s",
        "key (key id 0123abcd)",
        '{"distance":0.7667474150657654,…',
        "…",
        "end",
    ]
    printed = [
        "rows   300 read",
        "rate   2 items/s",
        "key (key id ffffffff)",
        '{"distance":0.7667475,"x":1}',
        "a",
        "end",
    ]
    assert same(shown, printed)
    assert not same(shown, [line.replace("300", "301") for line in printed])
    assert not same(shown, [line.replace("0.766", "0.866") for line in printed])
    assert not same(shown, printed[:-1])
    assert not same(shown, [*printed, "more"])
    assert not same([], printed)


def test_the_cells_of_the_notebook_run(reader: Reader) -> None:
    cells = [block.body for block in blocks(HOWTO / "notebooks.md") if block.file.startswith("cell-")]
    assert len(cells) > 3
    reader.ended("vecload keygen articles.key")
    (reader.work / "cells.py").write_text("\n".join(cells))
    ended = reader.ended("python cells.py")
    assert ended.returncode == 0, ended.stdout
    assert "300 of 300 rows" in ended.stdout


def test_the_line_of_the_crontab_is_the_one_that_was_tried() -> None:
    page = (HOWTO / "cron.md").read_text()
    crontab = next(block.body for block in blocks(HOWTO / "cron.md") if block.file == "crontab")
    line = crontab.splitlines()[-1].split(maxsplit=5)[-1]
    assert f"$ env -i HOME=\"$HOME\" PATH=/usr/bin:/bin sh -c '{line}'\n" in page


@pytest.mark.parametrize("workflow", ["test.yml", "seed.yml"])
def test_the_steps_of_a_workflow_run(workflow: str, reader: Reader, pages_service: str) -> None:
    job = yaml.safe_load(file_of(HOWTO / "ci.md", workflow))["jobs"].popitem()[1]
    reader.ended("mkdir data && cp samples/articles.parquet data && vecload keygen seed.key")
    key = tomllib.loads((reader.work / "seed.key").read_text())
    values = {"VECLOAD_TO": pages_service, "VECLOAD_API_KEY": "x"}
    values |= {f"VECLOAD_{name.upper()}": key[name] for name in ("index_key", "contents_key")}
    reader.environment |= {name: values[name] for name in job.get("env", {})}
    steps = [step["run"] for step in job["steps"] if "run" in step and step["name"] != "Install"]
    script = "\n".join(f"bash -eo pipefail -c {shlex.quote(step)} || exit" for step in steps)
    port = str(free_port())
    process = subprocess.Popen(
        ["bash", "-c", script.replace("8000", port).replace("articles --", f"articles-{port} --")],
        cwd=reader.work,
        env=reader.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        printed = process.communicate(timeout=SECONDS)[0]
    finally:
        if "cyborgdb-service" in script:
            os.killpg(process.pid, signal.SIGTERM)  # the job leaves it running
    assert process.returncode == 0, printed
    if workflow == "seed.yml":
        assert '"loaded":300' in (reader.work / "summary.json").read_text()
    else:
        assert '"jargon-0001","distance":0.0' in printed


def test_the_job_of_kubernetes_loads_with_nothing_but_its_own_variables(
    reader: Reader, pages_service: str, index_name: str
) -> None:
    job: dict[str, Any] = next(
        found
        for found in yaml.safe_load_all(file_of(HOWTO / "kubernetes.md", "load.yaml"))
        if found["kind"] == "Job"
    )
    [container] = job["spec"]["template"]["spec"]["containers"]
    reader.ended("mkdir data state && cp samples/articles.parquet data && vecload keygen job.key")
    key = tomllib.loads((reader.work / "job.key").read_text())
    secret = {"index-key": key["index_key"], "contents-key": key["contents_key"], "api-key": "x"}
    mounted = {mount["mountPath"]: str(reader.work / mount["name"]) for mount in container["volumeMounts"]}
    variables = {
        one["name"]: secret[one["valueFrom"]["secretKeyRef"]["key"]] if "valueFrom" in one else pages_service
        for one in container["env"]
    }
    arguments = [
        re.sub(r"^/\w+", lambda found: mounted[found[0]], argument) for argument in container["args"]
    ]
    arguments[arguments.index("articles")] = index_name
    reader.environment = {"PATH": reader.environment["PATH"], **variables}
    ended = reader.ended(shlex.join(["vecload", *arguments]))
    assert ended.returncode == 0, ended.stdout
    assert "300 loaded" in ended.stdout
    assert list((reader.work / "state").glob("*.sqlite"))
    assert not list(reader.home.glob(".[!l]*"))


def file_of(page: Path, name: str) -> str:
    return next(block.body for block in blocks(page) if block.file == name)


def test_every_python_file_of_a_page_compiles() -> None:
    files = [(page, block) for page in PAGES for block in blocks(page) if block.file.endswith(".py")]
    assert files
    for page, block in files:
        compile(block.body, f"{page.name}: {block.file}", "exec")


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target, anchor in LINK.findall(page.read_text()):
            to = page.parent / target if target else page
            assert to.exists(), f"{named(page)} links to {target}"
            if anchor:
                assert anchor in anchors(to), f"{named(page)} links to {target}#{anchor}"


def test_the_files_of_the_project_that_a_page_names_are_there() -> None:
    for page in PAGES:
        for name in NAMED_FILE.findall(page.read_text()):
            assert (ROOT / name).exists(), f"{named(page)} names {name}"


def test_the_layout_in_the_design_has_every_module_and_no_other() -> None:
    layout = (ROOT / "docs" / "design.md").read_text().partition("## Layout")[2].split("```")[1]
    modules = {path.stem for path in (ROOT / "vecload").rglob("*.py") if not path.stem.startswith("_")}
    assert modules - set(re.findall(r"\w+", layout)) == set()
    assert {name for name in re.findall(r"\b(\w+)\.py", layout) if not name.startswith("_")} <= modules


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_index_of_the_pages_has_them_all() -> None:
    folder = ROOT / "docs"
    linked = {(folder / target).resolve() for target, _ in LINK.findall((folder / "README.md").read_text())}
    assert {page for page in PAGES if folder in page.parents} <= linked | {folder / "README.md"}


def test_the_readme_is_short_and_names_the_wheel_of_this_version() -> None:
    readme = README.read_text()
    assert len(readme.splitlines()) <= 150
    assert set(re.findall(r"vecload-([\w.]+)-py3-none-any", readme)) == {__version__}


def test_the_page_of_options_has_the_tables_of_the_command_line() -> None:
    page = (ROOT / "docs" / "options.md").read_text()
    assert page.partition(BEGIN)[2] == "\n" + options_tables()


def test_readme_and_package_name_the_platforms() -> None:
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    systems = {one.rpartition(" :: ")[2] for one in classifiers if one.startswith("Operating System")}
    assert systems == {"Linux", "MacOS"}
    assert "runs on Linux and macOS" in README.read_text()
