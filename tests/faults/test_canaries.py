"""Nothing secret is in what vecload says or writes, whatever a server does with what it was sent.

Each secret is a canary: a text that stands nowhere else. A server echoes those that it got in every place of
an answer; afterwards every output and every file is searched for each canary, also spaced, as base64 or hex,
and halved.
"""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.faults.echoing import FORMS, PLACES, Echoing
from tests.faults.forked import Forks
from vecload.sealing import Key

RUNS = 300
RUN_SECONDS = 60
INDEX_KEY = bytes.fromhex("8d1f7c03a95be264f0127d9c6b3ea8551c40f7d92e86b3a05dc91f7a2be46083")
CONTENTS_KEY = bytes.fromhex("f3b09a62d7c4158e4b7f90a1c2d6e3857a9c0f1e2b3d4c5a6978e7f1a0b2c3d4")
API_KEY = "root-Qz7Lw2Rk9Tn4Vb6Xj1Mf8Ph3"  # with a user token no index key would be sent
CONTENTS = "the Patient Zebrafish confessed on tuesday to the lighthouse keeper"
METADATA = "diagnosis Quartz Melancholia stage fourteen"
PASSWORD = "hunter2-Vermilion-Ocelot-Password"  # noqa: S105 a canary
SESSION = "session-Token-Ultramarine-Pangolin-77"

SENT = (INDEX_KEY.hex(), API_KEY, CONTENTS, METADATA)
"""What a service is sent."""
CANARIES: Mapping[str, str] = {
    "index key": INDEX_KEY.hex(),
    "index key as base64": base64.b64encode(INDEX_KEY).decode(),
    "contents key": CONTENTS_KEY.hex(),
    "contents key as base64": base64.b64encode(CONTENTS_KEY).decode(),
    "API key": API_KEY,
    "contents": CONTENTS,
    "metadata": METADATA,
    "password": PASSWORD,
    "query": SESSION,
}
SOURCE = [
    {"id": name, "vector": [last] + [1.5] * 31, "metadata": {"note": METADATA}, "contents": CONTENTS}
    for name, last in (("a", 1), ("b", 2), ("c", None))
]

LOAD = ("upsert", "SOURCE", "--index", "docs", "--json", "--max-errors", "100%", "--give-up-after", "0.2")
COMMANDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "load": (
        (*LOAD, "--rejects", "FOLDER/rejects.jsonl", "--reject-rows"),
        ("describe", "upsert_binary", "num_vectors", "query_metadata", "get"),
    ),
    "load unsealed": ((*LOAD, "--no-seal", "--wire", "json", "--rejects", "FOLDER/r.jsonl"), ("upsert",)),
    "load and train": ((*LOAD, "--train", "--explain"), ("train", "upsert_binary")),
    "inspect": (
        ("inspect", "SOURCE", "--index", "docs", "--json", "--items", "0"),
        ("describe", "num_vectors", "get", "query_metadata"),
    ),
    "get": (("get", "a", "b", "--index", "docs"), ("describe", "get")),
    "get of the only index": (("get", "a"), ("list",)),
    "query": (
        ("query", json.dumps([1.5] * 32), "--index", "docs", "--contents"),
        ("describe", "query", "get"),
    ),
    "list": (("index", "list"), ("list",)),
    "describe": (("index", "describe", "docs"), ("describe", "num_vectors")),
    "create": (("index", "create", "docs", "--dimension", "32"), ("create",)),
    "delete": (("index", "delete", "docs", "--yes"), ("describe", "num_vectors", "delete")),
}
WATCHED = ("upsert", "inspect")
"""Commands of these that have a log."""
LOG = ("--verbose", "--log-file", "FOLDER/log", "--log-format", "json")
OUTPUTS: tuple[tuple[str, ...], ...] = (
    LOG,
    (*LOG[:-1], "text"),
    ("--verbose",),
    ("--verbose", "--log-format", "json"),
    (*LOG[1:], "--quiet"),
    (),
)
"""What else a run writes, in turn; every file of it is searched."""
METRICS = ("--metrics", "FOLDER/load.prom")
REPORT = ("--report", "FOLDER/page.html")
REPORT_EVERY = 24
"""Of so many runs one writes a page: its pictures take more than a second."""


def outputs_of(arguments: tuple[str, ...], number: int) -> tuple[str, ...]:
    """The options of further outputs for one of many runs of a command."""
    if arguments[0] not in WATCHED:
        return ()
    chosen = OUTPUTS[number % len(OUTPUTS)]
    if number % REPORT_EVERY == 0:
        chosen = (*chosen, *REPORT)
    if arguments[0] == "upsert":
        return (*chosen, *METRICS)
    return tuple(option for option in chosen if option != "--quiet")


def squeezed(text: str) -> str:
    """Letters and digits alone, small: what spaces, dashes and capitals leave the same."""
    return "".join(c for c in text if c.isascii() and c.isalnum()).lower()


def needles() -> dict[str, str]:
    """What to search for: every canary in every form, whole and in halves."""
    found = {}
    for name, canary in CANARIES.items():
        for form, text in (
            ("plain", canary),
            ("base64", base64.b64encode(canary.encode()).decode().rstrip("=")),
            ("hex", canary.encode().hex()),
        ):
            half = len(text) // 2
            # The last characters of base64 depend on what follows.
            for part, some in (("first half", text[: half - 2]), ("last half", text[half + 2 : -2])):
                found[f"{name}, {form}, {part}"] = squeezed(some)
    return found


NEEDLES = needles()


def canaries_in(said: bytes) -> list[str]:
    text = squeezed(said.decode("utf-8", "replace"))
    return [name for name, needle in NEEDLES.items() if needle in text]


def runs() -> list[tuple[str, str, str, str]]:
    """Command, what is asked, place, form: each place with each thing asked comes several times."""
    chance = random.Random(11)  # noqa: S311 no secret
    asked = [(name, path) for name, (_, paths) in COMMANDS.items() for path in paths]
    every = [(*one, place, form) for one in asked for place in PLACES for form in FORMS]
    plain = [(*asked[i % len(asked)], place, "plain") for i, place in enumerate(PLACES)]
    return plain + chance.sample(every, RUNS - len(plain))


class Runner:
    """Runs commands against the echoing service, each with folders of its own."""

    def __init__(self, folder: Path, forks: Forks, server: Echoing) -> None:
        self._folder, self._forks, self._server = folder, forks, server
        self.source = folder / "rows.jsonl"
        self.source.write_text("".join(json.dumps(row) + "\n" for row in SOURCE))
        self._key = folder / "key.toml"
        Key(INDEX_KEY, CONTENTS_KEY).save(self._key)

    def run(self, arguments: tuple[str, ...], number: int, *options: str) -> tuple[int, list[str]]:
        """Exit code, and what was found in outputs and files; the folders are gone afterwards."""
        place = self._folder / str(number)
        for name in ("tmp", "home", "files"):
            (place / name).mkdir(parents=True)
        filled = [
            each.replace("SOURCE", str(self.source)).replace("FOLDER", str(place / "files"))
            for each in (*arguments, *outputs_of(arguments, number))
        ]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(place / "home"),
            "TMPDIR": str(place / "tmp"),
            "VECLOAD_API_KEY": API_KEY,
            "VECLOAD_KEY_FILE": str(self._key),
            "VECLOAD_TO": self._server.url,
            "GITHUB_STEP_SUMMARY": str(place / "files/summary.md"),
        }
        run = self._forks.start(
            ("-m", "vecload", *filled, *options), place / "files/out", place / "files/err", environment
        )
        code = run.wait(RUN_SECONDS)
        found = [
            f"{name} in {file.relative_to(place)}"
            for file in sorted(place.rglob("*"))
            if file.is_file()
            for name in canaries_in(file.read_bytes())
        ]
        unclean = [
            *_obeyed((place / "files/err").read_bytes(), "err"),
            *_obeyed((place / "files/out").read_bytes(), "out"),
        ]
        said = (place / "files/err").read_text(errors="replace")
        if "Traceback" in said or "a defect" in said:
            unclean.append(said)
        shutil.rmtree(place)
        return code, found + unclean


def _obeyed(said: bytes, where: str) -> list[str]:
    """What a terminal would obey."""
    bad = {c for c in said.decode("utf-8", "replace") if not c.isprintable() and c != "\n"}
    return [f"{c!r} in {where}" for c in sorted(bad)]


@pytest.fixture(scope="module")
def server() -> Iterator[Echoing]:
    with Echoing(SENT) as running:
        yield running


@pytest.fixture
def runner(tmp_path: Path, forks: Forks, server: Echoing) -> Runner:
    return Runner(tmp_path, forks, server)


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_secret_is_said_or_written_whatever_a_server_echoes(
    runner: Runner, server: Echoing, command: str
) -> None:
    leaks, unasked = {}, set()
    some = [each for each in runs() if each[0] == command]
    for number, (_, asked, place, form) in enumerate(some):
        server.asked, server.place, server.form, server.echoed = asked, place, form, 0
        _, found = runner.run(COMMANDS[command][0], number)
        if found:
            leaks[f"{asked}: {place}: {form}"] = found
        if not server.echoed:
            unasked.add(asked)
    assert leaks == {}
    # The server was asked for it each time, and had something to echo.
    assert unasked == set()


def test_the_runs_are_as_many_as_they_are_said_to_be() -> None:
    assert len(runs()) == RUNS
    assert {place for _, _, place, form in runs() if form == "plain"} == {*PLACES}
    assert {form for *_, form in runs()} == {*FORMS}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CANARIES)
def test_the_search_finds_a_canary_in_every_form(name: str, form: str) -> None:
    found = canaries_in(f"vecload: {FORMS[form](CANARIES[name])} is said".encode())
    assert any(each.startswith(f"{name},") for each in found)


def test_the_search_finds_a_canary_in_outputs_and_files(runner: Runner, server: Echoing) -> None:
    server.asked = "nothing"
    planted = runner.source.with_name(f"{METADATA}.jsonl")
    planted.write_text(json.dumps(SOURCE[0]) + "\n")
    _, found = runner.run((*LOAD[:1], str(planted), *LOAD[2:], "--state-dir", "FOLDER/state"), 0)
    assert {each.partition(" in ")[2] for each in found if "journal" in each or "/state/" in each}
    assert "metadata, plain, first half in files/out" in found
    _, found = runner.run((*LOAD[:1], f"{METADATA}.missing", *LOAD[2:]), 1)
    assert "metadata, plain, last half in files/err" in found


@pytest.mark.parametrize(
    "arguments",
    [
        ("--to", f"http://someone:{PASSWORD}@127.0.0.1:1"),
        ("--to", f"https://{PASSWORD}@127.0.0.1:1/v1"),
        ("--to", f"http://127.0.0.1:1/?token={SESSION}"),
        ("--to", f"http://127.0.0.1:1/v1?token={SESSION}#{SESSION}"),
        ("--to", f"http://127.0.0.1:1/{SESSION}?"),
        ("--to", f"ftp://127.0.0.1:1/?token={SESSION}"),
        ("--to", f"http://[::1/?token={SESSION}"),
        ("--to", f"http://127.0.0.1:99999/?token={SESSION}"),
        (f"s3://someone:{PASSWORD}@bucket/rows.jsonl",),
    ],
)
def test_a_password_or_a_query_of_an_address_is_not_repeated(
    runner: Runner, arguments: tuple[str, ...]
) -> None:
    for number, command in enumerate(
        (LOAD, ("inspect", "SOURCE", "--items", "0"), ("index", "list"), ("get", "a"))
    ):
        if arguments[0] == "--to" or number < 2:
            code, found = runner.run((*command, *arguments), number)
            assert (code, found) == (2, [])


@pytest.mark.parametrize(
    "arguments",
    [
        ("--to", f"http://127.0.0.1:1/{SESSION}"),
        ("--to", f"https://127.0.0.1:1/{SESSION}/v1"),
        ("--to", "https://127.0.0.1:1", "--proxy", f"http://someone:{PASSWORD}@127.0.0.1:1"),
        ("--to", f"http://127.0.0.1:1/{SESSION}", "--proxy", f"http://{PASSWORD}@127.0.0.1:1"),
    ],
)
def test_a_path_and_the_password_of_a_proxy_are_not_repeated(
    runner: Runner, arguments: tuple[str, ...]
) -> None:
    for number, command in enumerate((*[LOAD] * len(OUTPUTS), ("index", "list"), ("get", "a"))):
        code, found = runner.run((*command, *arguments), number)
        assert (code, found) == (1, [])


@pytest.mark.parametrize("command", ["upsert", "inspect", "get", "query", "index list"])
@pytest.mark.parametrize("how", [(), ("--json",)])
def test_the_configuration_that_holds_is_shown_without_secrets(
    runner: Runner, command: str, how: tuple[str, ...]
) -> None:
    options = ["--proxy", f"http://someone:{PASSWORD}@127.0.0.1:1"]
    if command != "index list":
        options += ["--key-command", f"echo {SESSION}"]
    refused = 0 if command == "index list" else 2  # a credential is compared with the address
    for number, (to, code) in enumerate(
        (
            (f"http://someone:{PASSWORD}@127.0.0.1:1", refused),
            (f"https://127.0.0.1:1/?token={SESSION}", refused),
            (f"https://127.0.0.1:1/{SESSION}", 0),
        )
    ):
        arguments = ("config", *command.split(), "--to", to, *options, *how)
        assert runner.run(arguments, number) == (code, [])


def test_every_kind_of_output_is_searched(runner: Runner, server: Echoing) -> None:
    server.asked = "nothing"
    planted = runner.source.with_name(f"{METADATA}.jsonl")
    planted.write_text(json.dumps(SOURCE[0]) + "\n")
    found = [runner.run((*LOAD[:1], str(planted), *LOAD[2:]), number)[1] for number in range(len(OUTPUTS))]
    places = {each.rpartition(" in ")[2] for one in found for each in one}
    assert {"files/log", "files/err"} <= places
    named = runner.run((*LOAD[:1], "SOURCE", "--index", METADATA, *LOAD[4:]), 0)[1]
    assert {"files/load.prom", "files/summary.md"} <= {each.rpartition(" in ")[2] for each in named}
