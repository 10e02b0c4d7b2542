"""The pages of documentation, and their examples run as a reader would run them.

In a page, a block of `console` holds commands after `$ `, each followed by what it prints. A block after a
line `<!-- file: NAME -->` is the file NAME. All other blocks of `python` are one program. A page's folder
`/srv` and its service are those of the reader. `python -m tests.docs.pages PAGE` runs a page's commands and
puts what they print into the page.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("samples/*.md")])
STAND_INS = Path(__file__).parent / "stand_ins"
"""Stands in for a package that is too large to install for one import."""
PATHS = f"{ROOT}:{STAND_INS}" if find_spec("sentence_transformers") is None else f"{ROOT}"
SERVICE = "http://127.0.0.1:8000"
"""The address of the service in all pages."""
SECONDS = 120
LONGEST = 160
"""Longer lines of JSON are cut in a page."""

FENCE = re.compile(
    r"^(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
KEY_ID = r"\b[0-9a-f]{8}(?:[0-9a-f]{4})?\b"
"""Key ids, and the digests in names of key files."""
FRACTION = r"\d+\.\d{5,}(?:e-?\d+)?"
DISTANCE = r'"distance":[0-9.e-]+'
"""Of the same vector it is 0.0 on some processors, and 0.0003 on others."""
UNSTABLE = re.compile(f"{DISTANCE}|{KEY_ID}|{FRACTION}")
UNSTABLE_LINES = ("rate ", "time ")
"""Lines of which only the beginning is compared: figures of a machine."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; `file` is empty where it is not a file."""

    kind: str
    body: str
    file: str


@dataclass
class Example:
    """A command of a page, and what the page says it prints."""

    command: str
    printed: list[str]


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    for found in FENCE.finditer(page.read_text(encoding="utf-8")):
        yield Block(found["kind"], found["body"], found["file"] or "")


def examples(body: str) -> Iterator[Example]:
    """The commands of a `console` block."""
    current: Example | None = None
    for line in body.splitlines():
        if line.startswith("$ "):
            if current is not None:
                yield current
            current = Example(line.removeprefix("$ "), [])
        else:
            assert current is not None, f"no command before {line!r}"
            current.printed.append(line)
    if current is not None:
        yield current


class Reader:
    """Somebody who follows a page: an empty home, the samples at hand, `vecload` and `python` on the path.

    Args:
        folder: An empty folder, for all that the reader has.

    Attributes:
        service: The address of the reader's service; empty for one who has none.
        environment: The variables of the commands.
    """

    def __init__(self, folder: Path) -> None:
        self.home, self.work, self._srv, programs = (folder / name for name in ("home", "work", "srv", "bin"))
        own_programs = self.home / ".local" / "bin"
        for made in (self.work, self._srv / "export", programs, own_programs):
            made.mkdir(parents=True)
        (self.work / "samples").symlink_to(ROOT / "samples")
        shutil.copy(ROOT / "samples" / "articles.parquet", self._srv / "export")
        for name, call in (
            ("vecload", "-m vecload"),
            ("cyborgdb-service", "-m cyborgdb_service"),
            ("python", ""),
        ):
            program = programs / name
            # Set here, since some pages run vecload in an empty environment.
            program.write_text(f'#!/bin/sh\nPYTHONPATH="{PATHS}" exec "{sys.executable}" {call} "$@"\n')
            program.chmod(0o755)
        (own_programs / "vecload").symlink_to(programs / "vecload")
        self.service = ""
        self.environment = {
            "HOME": str(self.home),
            "PATH": f"{programs}:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "API_KEY": "a-key-of-the-reader",
        }

    def ended(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a shell command as a page has it.

        Returns:
            Its exit code, and what it printed on both streams.

        Raises:
            subprocess.TimeoutExpired: It took too long.
        """
        return subprocess.run(
            ["bash", "-c", self.here(command)],
            cwd=self.work,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def run(self, command: str) -> list[str]:
        """Run a shell command as a page has it: what it prints, as the page would show it."""
        printed = self.ended(command).stdout
        assert "Traceback" not in printed, printed
        for own, of_page in (
            (self.service or SERVICE, SERVICE),
            (str(self._srv), "/srv"),
            (str(self.work), "/home/you/vecload"),
            (str(self.home), "/home/you"),
        ):
            printed = printed.replace(own, of_page)
        return printed.splitlines()

    def here(self, text: str) -> str:
        """A text of a page with the reader's own service and folders."""
        return re.sub(r"(?<![\w.])/srv(?=/)", str(self._srv), text.replace(SERVICE, self.service or SERVICE))

    def write(self, block: Block) -> None:
        """Save a block of a page as the file it is."""
        path = self.work / block.file
        if block.file.startswith("~/"):
            path = self.home / block.file.removeprefix("~/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.here(block.body), encoding="utf-8")


def same(said: list[str], printed: list[str]) -> bool:
    """Whether a page shows what was printed, but for figures that differ from run to run.

    A line that ends with `…` stands for all lines that begin so; a line `…` for any number of lines.
    """
    if not said:
        return not printed
    if said[0] == "…":
        return any(same(said[1:], printed[skipped:]) for skipped in range(len(printed) + 1))
    return bool(printed) and _same_line(said[0], printed[0]) and same(said[1:], printed[1:])


def _same_line(said: str, printed: str) -> bool:
    for beginning in UNSTABLE_LINES:
        if said.startswith(beginning):
            return printed.startswith(beginning)
    if said.endswith("…"):
        return _rounded(printed).startswith(_rounded(said.removesuffix("…").rstrip()))
    return _rounded(said) == _rounded(printed)


def _rounded(line: str) -> str:
    """A line with its key ids left out, and fractions as exact as every machine computes them."""

    def one(found: re.Match[str]) -> str:
        name, colon, number = found[0].rpartition(":")
        if colon:
            return f"{name}:{float(number):.2f}"
        return f"{float(found[0]):.4f}" if "." in found[0] else "#"

    return UNSTABLE.sub(one, line)


def shortened(line: str) -> str:
    """A line as a page shows it."""
    if len(line) <= LONGEST or not line.lstrip().startswith(("{", '"')):
        return line
    return line[: LONGEST - 2].rstrip() + " …"


def refresh(page: Path, service: str) -> None:
    """Run a page's commands; if one prints something else than the page shows, rewrite all of it."""
    text = page.read_text(encoding="utf-8")
    as_shown = True
    with tempfile.TemporaryDirectory() as folder:
        reader = Reader(Path(folder) / "reader")
        reader.service = service

        def run_again(found: re.Match[str]) -> str:
            nonlocal as_shown
            block = Block(found["kind"], found["body"], found["file"] or "")
            if block.file:
                reader.write(block)
            if block.kind != "console":
                return found[0]
            lines = []
            for example in examples(block.body):
                printed = reader.run(example.command)
                as_shown &= same(example.printed, printed)
                shown = example.printed if "…" in example.printed else map(shortened, printed)
                lines += [f"$ {example.command}", *shown]
            return "```console\n" + "".join(f"{line}\n" for line in lines) + "```"

        fresh = FENCE.sub(run_again, text)
    if not as_shown:
        page.write_text(fresh, encoding="utf-8")


if __name__ == "__main__":
    from tests.servers import Service

    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as place, Service(Path(place)) as running:
            refresh(ROOT / name, running.url)
