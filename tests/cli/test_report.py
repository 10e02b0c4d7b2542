"""`--report`: the pages of real loads and inspections, opened in a real browser."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.command import vecload
from tests.cli.sources import SAMPLES, rows, write_jsonl
from tests.faults.proxy import Exchange, Proxy, answer_of

BROWSER = (
    *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--allow-file-access-from-files",
)
WIDTHS = (320, 400, 1280)


class Page(HTMLParser):
    """The facts, the table rows and the addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.facts: dict[str, str] = {}
        self.rows: list[list[str]] = []
        self.addresses: list[str] = []
        self._text = self._name = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        self.addresses += [each for each in found if not each.startswith("#")]
        if tag == "tr":
            self.rows.append([])
        self._text = ""

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "dt":
            self._name = self._text
        if tag == "dd":
            self.facts[self._name] = self._text
        if tag in ("td", "th"):
            self.rows[-1].append(self._text)


def every(third: bytes) -> Callable[[Exchange], None]:
    """Answers every third upsert itself."""

    def behave(exchange: Exchange) -> None:
        if exchange.number % 3 == 2:
            exchange.send(third)
        else:
            exchange.pass_on()

    return behave


def read(file: Path) -> Page:
    return Page(file.read_text("utf-8"))


def number(text: str) -> float:
    return float(text.replace(",", ""))


def bad_rows(folder: Path) -> Path:
    source = rows(200)
    for row in (3, 50, 120, 121, 150):
        source[row]["vector"] = [1.0]
    source[70]["id"] = ""
    return write_jsonl(folder / "rows.jsonl", source)


def test_the_figures_of_a_loads_page_are_those_of_its_summary(tmp_path: Path) -> None:
    source, file = bad_rows(tmp_path), tmp_path / "load.html"

    ended = vecload("upsert", source, "--max-errors", "9", "--batch-rows", "20", "--report", file, "--json")

    told, page = json.loads(ended.out), read(file)
    assert ended.code == 3
    for name, key in (("rows read", "read"), ("loaded", "loaded"), ("rejected", "rejected")):
        assert number(page.facts[name]) == told[key]
    assert number(page.facts["seconds"]) == pytest.approx(told["seconds"], abs=0.006)
    assert number(page.facts["items per second"]) == pytest.approx(told["items_per_second"], abs=1)
    assert page.facts["key id"] == told["key_id"]
    stages = {row[0]: number(row[1].rstrip("%")) for row in page.rows if row and row[0] in told["time"]}
    assert stages == {stage: pytest.approx(100 * part, abs=0.6) for stage, part in told["time"].items()}
    rejects = {
        (row[0], row[1]): (int(row[2]), row[3]) for row in page.rows if row[-1].startswith(str(source))
    }
    assert rejects["vector", "dimension"][0] == 5
    assert rejects["id", "empty-id"] == (1, f"{source}, row 70: is empty")
    assert f"{source}, row 50: has 1 values; the index has 8 dimensions" in rejects["vector", "dimension"][1]
    assert [str(source), "194", "6", "0"] in page.rows
    assert ["--max-errors", "9", "command line"] in page.rows
    # The whole summary is in it, too.
    text = file.read_text("utf-8")
    assert f"&quot;seconds&quot;: {told['seconds']}" in text
    assert text.count("<svg") == 2


def test_a_load_that_stops_has_a_page_that_says_why_and_what_to_do(
    service: str, index_name: str, tmp_path: Path
) -> None:
    source, file = write_jsonl(tmp_path / "rows.jsonl", rows(400)), tmp_path / "load.html"
    vecload("keygen", tmp_path / "key")
    command = ["upsert", source, "--key-file", tmp_path / "key", "--batch-rows", "10", "--report", file]
    command += ["--index", index_name]
    with Proxy(service, every(answer_of(429, b"{}", "Retry-After: 86400"))) as proxy:
        stopped = vecload(*command, "--to", proxy.url, "--give-up-after", "0.5")
    assert stopped.code == 1
    text, page = file.read_text("utf-8"), read(file)
    assert "stopped; exit code 1" in text
    assert "Run the same command again to resume." in text
    assert ["429", "1"] in [row[:2] for row in page.rows]
    # The next run replaces the page.
    ended = vecload(*command, "--to", service)
    assert (ended.code, "complete; exit code 0" in file.read_text("utf-8")) == (0, True)


def test_retries_waits_and_their_reasons_are_counted(service: str, index_name: str, tmp_path: Path) -> None:
    source, file = write_jsonl(tmp_path / "rows.jsonl", rows(300)), tmp_path / "load.html"
    vecload("keygen", tmp_path / "key")
    with Proxy(service, every(answer_of(503, b"{}", "Retry-After: 0"))) as proxy:
        ended = vecload(
            "upsert", source, "--to", proxy.url, "--key-file", tmp_path / "key", "--batch-rows", "10",
            "--report", file, "--json", "--index", index_name,
        )  # fmt: skip
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert told["retries"] > 0
    assert f"{told['retries']:,} were sent again" in file.read_text("utf-8")
    (failed,) = [row for row in read(file).rows if row and row[0] == "503"]
    assert int(failed[1]) == told["retries"]


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """A file whose vectors form two groups, with a dead dimension, two equal vectors, and values to hide."""
    chance = np.random.default_rng(3)
    vectors = chance.normal(size=(300, 16)) + np.repeat([0, 6], 150)[:, None]
    vectors[:, 5] = 0
    vectors[200] = vectors[7]
    source = [
        {
            "id": f"doc-{number}",
            "vector": vector.tolist(),
            "text": f"canary contents {number}",
            "ward": "canary-north" if number < 150 else "canary-south",
        }
        for number, vector in enumerate(vectors)
    ]
    return write_jsonl(tmp_path / "colours.jsonl", source)


def test_the_figures_of_an_inspections_page_are_those_of_its_report(tmp_path: Path, colours: Path) -> None:
    file = tmp_path / "inspection.html"

    ended = vecload("inspect", colours, "--full", "--report", file, "--json")

    assert ended.code == 0
    told, page, text = json.loads(ended.out), read(file), file.read_text("utf-8")
    assert number(page.facts["rows"]) == told["rows"] == 300
    assert number(page.facts["dimensions"]) == told["sources"][0]["dimension"] == 16
    for one in told["sources"][0]["fields"]:
        assert [one["name"], "text", str(one["distinct"]), "1%", "300"] in page.rows
    assert "Dimension 5 is always 0." in text
    assert "1 of 300 vectors equal an earlier one." in text
    assert ["2", f"{colours}, row 7", f"{colours}, row 200"] in page.rows
    assert "The vectors are not normalised" in text
    assert "Bytes of contents, before they are sealed: 17 to 19, 19 in the middle" in text
    assert text.count("<svg") == 4
    # A value of metadata is shown only if the user names its field; contents are shown never.
    assert "canary" not in text
    assert ">value 1<" in text
    assert "Coloured by the values of ward." in text
    vecload("inspect", colours, "--report", file, "--color-by", "ward")
    named = file.read_text("utf-8")
    assert ">canary-north<" in named
    assert "canary contents" not in named


def test_names_and_values_of_others_are_text(tmp_path: Path) -> None:
    name, values = "<script>alert(1)</script>", ["$\\frac{", "_x", "a\x1b[31m\u202e" + 100 * "b", None]
    source = [{**row, name: values[number % 4]} for number, row in enumerate(rows(80))]
    path, file = write_jsonl(tmp_path / "<b>&.jsonl", source), tmp_path / "page.html"

    assert vecload("inspect", path, "--report", file, "--color-by", name).code == 0

    text = file.read_text("utf-8")
    assert ">$\\frac{<" in text
    assert "> _x<" in text
    assert re.search(r">a \[31m b{10,}…<", text)
    assert ">none<" in text
    assert not [bad for bad in ("<script>", "<b>", "\x1b", "\u202e") if bad in text]
    # Without vectors of two dimensions, and for a field that is not there, a page is written, too.
    thin = write_jsonl(tmp_path / "thin.jsonl", [{"id": "a", "vector": [1.0]}, {"id": "b", "vector": [2.0]}])
    assert vecload("inspect", thin, "--report", file, "--color-by", "nothing").code == 0
    assert vecload("inspect", path, "--report", file, "--color-by", "nothing").code == 0
    assert "No item has the metadata field nothing." in file.read_text("utf-8")


def test_a_dry_run_writes_the_page_of_an_inspection(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    ended = vecload("upsert", SAMPLES / "articles.parquet", "--dry-run", "--report", file)
    assert ended.code == 0
    assert "Inspection of" in file.read_text("utf-8")


@pytest.mark.parametrize("kind", ["load", "inspection"])
def test_a_page_fits_every_screen_light_and_dark_and_needs_nothing_else(
    tmp_path: Path, colours: Path, kind: str
) -> None:
    file = tmp_path / "page.html"
    assert vecload("upsert" if kind == "load" else "inspect", colours, "--report", file).code == 0
    assert read(file).addresses == []

    seen = {scheme: in_browser(tmp_path, file, dark=scheme == "dark") for scheme in ("light", "dark")}

    for scheme, found in seen.items():
        for width, (wide, pictures, texts) in found["widths"].items():
            assert wide <= int(width), (scheme, width)
            assert pictures >= (2 if kind == "load" else 4)
            assert texts > 20 * pictures / 2  # the texts of axes are there, and inside the picture
        assert found["contrast"] > 7, scheme
    assert seen["light"]["paper"] != seen["dark"]["paper"]


MEASURE = """
<iframe id=f src="PAGE" style="border:0;height:3000px"></iframe><script>
const f = document.getElementById('f'), widths = WIDTHS, found = {};
const light = c => {
  const part = v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const [r, g, b] = c.match(/[0-9.]+/g).map(part);
  return .2126 * r + .7152 * g + .0722 * b;
};
f.onload = () => {
  const page = f.contentDocument, view = f.contentWindow;
  for (const width of widths) {
    f.style.width = width + 'px';
    const drawn = [...page.querySelectorAll('svg')].map(s => s.getBoundingClientRect());
    const inside = [...page.querySelectorAll('svg text')].filter(t => {
      const b = t.getBoundingClientRect();
      return drawn.some(d => b.left >= d.left - 1 && b.right <= d.right + 1 && b.top >= d.top - 1);
    });
    found[width] = [page.documentElement.scrollWidth, drawn.filter(d => d.width > 200).length, inside.length];
  }
  const style = view.getComputedStyle(page.body);
  const [ink, paper] = [light(style.color), light(style.backgroundColor)];
  const contrast = (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05);
  document.title = JSON.stringify({widths: found, contrast, paper: style.backgroundColor});
};
</script>
"""
"""Opens a page at several widths, and puts what is seen into the title."""


def in_browser(folder: Path, file: Path, *, dark: bool) -> dict[str, Any]:
    probe = folder / "probe.html"
    probe.write_text(
        "<!doctype html><title>-</title>"
        + MEASURE.replace("PAGE", file.name).replace("WIDTHS", json.dumps(WIDTHS))
    )
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    profile = f"--user-data-dir={folder / 'browser'}"
    ran = subprocess.run(
        [*BROWSER, scheme, profile, "--virtual-time-budget=5000", "--dump-dom", probe.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    title = re.search(r"<title>(.*?)</title>", ran.stdout)
    assert title is not None, ran.stderr
    found: dict[str, Any] = json.loads(title[1])
    return found


def test_a_file_that_is_something_else_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "rows.jsonl", rows(3))
    (tmp_path / "notes.html").write_text("<p>mine</p>")
    (tmp_path / "link.html").symlink_to("notes.html")
    for name, says in (
        ("notes.html", "is not a report of vecload"),
        ("link.html", "is not a regular file"),
        ("missing/page.html", "does not exist; make it first"),
        ("rows.jsonl", "is the file of SOURCE"),
    ):
        ended = vecload("upsert", source, "--report", tmp_path / name)
        assert ended.code == 2
        assert says in ended.error
    assert (tmp_path / "notes.html").read_text() == "<p>mine</p>"
    assert not (Path(os.environ["XDG_DATA_HOME"]) / "vecload").exists()


def test_without_matplotlib_the_command_stops_and_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ImportError")  # in place of the real one
    source, file = write_jsonl(tmp_path / "rows.jsonl", rows(3)), tmp_path / "page.html"
    ended = subprocess.run(
        [sys.executable, "-m", "vecload", "upsert", source, "--report", file],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.endswith("needs matplotlib for its pictures; pip install 'vecload[report]'\n")
    assert not file.exists()
