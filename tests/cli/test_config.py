"""Configuration files: whose settings count, and which secrets go where."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.main import get_command

from tests.cli.command import vecload
from tests.cli.sources import rows, write_jsonl
from vecload.cli.app import app
from vecload.cli.config import FOUND_MAY_SET, default_map
from vecload.errors import UsageError

CANARY = "canary-of-an-api-key"


class Spy(ThreadingHTTPServer):
    """A host that looks like a service without indexes, and keeps all that it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.heard: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Spy

    def _hear(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.heard.append(f"{self.path}\n{self.headers}{body.decode()}")
        answer = b'{"indexes": []}' if "list" in self.path else b'{"detail": "No KMS envelope"}'
        self.send_response(200 if "list" in self.path else 404)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = _hear  # noqa: N815 the base class looks for these names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 as the base class has it
        pass


@contextmanager
def spying() -> Iterator[Spy]:
    with Spy() as spy:
        threading.Thread(target=spy.serve_forever, daemon=True).start()
        yield spy
        spy.shutdown()


@pytest.fixture
def spy() -> Iterator[Spy]:
    with spying() as running:
        yield running


@pytest.fixture
def other_spy() -> Iterator[Spy]:
    with spying() as running:
        yield running


@pytest.fixture
def api_key_file(tmp_path: Path) -> Path:
    file = tmp_path / "api.key"
    file.write_text(CANARY)
    file.chmod(0o600)
    return file


@pytest.fixture
def config() -> Path:
    """The user's own configuration."""
    file = Path(os.environ["XDG_CONFIG_HOME"]) / "vecload" / "config.toml"
    file.parent.mkdir(parents=True)
    return file


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder that somebody else wrote."""
    folder = tmp_path / "cloned"
    folder.mkdir()
    write_jsonl(folder / "rows.jsonl", rows(3))
    return folder


def key_of(file: Path) -> str:
    vecload("keygen", file)
    return file.read_text().split('"')[1]


@pytest.mark.parametrize(
    "command", [("inspect", "rows.jsonl"), ("upsert", "rows.jsonl"), ("index", "list"), ("get", "a")]
)
@pytest.mark.parametrize("table", ["", "[upsert]\n", "[index.list]\n", "[profiles.x]\n"])
def test_a_file_that_is_found_sends_nothing_to_whom_its_author_likes(
    tmp_path: Path, project: Path, spy: Spy, api_key_file: Path, command: tuple[str, ...], table: str
) -> None:
    key_file = tmp_path / "my.key"
    key = key_of(key_file)
    settings = f'{table}to = "{spy.url}"\nkey-file = "{key_file}"\napi-key-file = "{api_key_file}"\n'
    (project / "vecload.toml").write_text(settings)

    chosen = ("--profile", "x") if "profiles" in table else ()
    ended = vecload(*chosen, *command, cwd=project, variables={"VECLOAD_API_KEY": CANARY})

    assert spy.heard == []
    assert ended.code == 2
    profile = ", profile 'x'" if chosen else ""
    assert ended.error.startswith(f"vecload: vecload.toml of this folder{profile} sets ")
    for name in ("to", "key-file", "api-key-file"):
        assert name in ended.error
    assert ".config" in ended.error or "config.toml" in ended.error
    assert "--config vecload.toml" in ended.error
    assert CANARY not in ended.err + ended.out
    assert key not in ended.err + ended.out


@pytest.mark.parametrize(
    "setting",
    [
        'to = "./elsewhere"',
        'endpoint-url = "http://127.0.0.1:1"',
        'key-file = "x"',
        'key-command = "touch ran"',
        'api-key-file = "x"',
        "seal = false",
        "embed = true",
        "[index.delete]\nyes = true",
    ],
)
def test_no_setting_of_targets_keys_or_consent_counts_in_a_file_that_is_found(
    project: Path, setting: str
) -> None:
    (project / "vecload.toml").write_text(f"{setting}\n")
    ended = vecload("upsert", "rows.jsonl", cwd=project)
    assert ended.code == 2
    assert setting.rpartition("\n")[2].partition(" ")[0] in ended.error
    assert sorted(file.name for file in project.iterdir()) == ["rows.jsonl", "vecload.toml"]


@pytest.mark.parametrize(
    "setting",
    [
        "quiet = true",
        "[upsert]\nquiet = true",
        "q = true",
        'metadata-column = ["title", "text"]',
        '[inspect]\nmetadata-column = ["title", "text"]',
        'contents-column = ["title"]',
        'vector-column = "x"',
        'rename = ["text=title"]',
        'metadata-exclude = ["text"]',
        'recipe = "qdrant"',
        'vector-dtype = "uint8"',
        "binary-as-text = true",
        "generate-ids = true",
        'nan = "omit"',
        'max-errors = "100%"',
        'repeated-ids = "last"',
        "allow-zero-vectors = true",
        "dry-run = true",
        "require-sealed = false",
        'embedding-model = "x"',
        "resume-wait = 0",
        'state-dir = "x"',
        'rejects = "x"',
        "reject-rows = true",
        'retry-rejects = "x"',
        'ids-file = "x"',
        'sources = ["/etc/passwd"]',
        '[upsert]\nsources = ["/etc/passwd"]',
        'file = "x"',
    ],
)
def test_a_file_that_is_found_sets_nothing_that_leaks_loses_redirects_or_silences(
    project: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.chdir(project)
    (project / "vecload.toml").write_text(f"{setting}\n")
    with pytest.raises(UsageError) as refused:
        default_map(get_command(app), None, None)
    assert setting.rpartition("\n")[2].partition(" ")[0] in str(refused.value)


def test_every_option_that_a_file_that_is_found_may_set_is_one() -> None:
    flags = {
        flag
        for command in get_command(app).commands.values()  # type: ignore[attr-defined] # a group
        for each in command.params
        for flag in each.opts
    }
    assert {f"--{name}" for name in FOUND_MAY_SET} <= flags


def test_private_text_stays_sealed_whatever_a_file_that_is_found_says(project: Path) -> None:
    (project / "vecload.toml").write_text('quiet = true\n[upsert]\nmetadata-column = ["text", "title"]\n')
    refused = vecload("upsert", "rows.jsonl", cwd=project)
    assert refused.code == 2
    assert "sets metadata-column, quiet: " in refused.error
    (project / "vecload.toml").write_text('index = "x"\n[upsert]\nid-column = ["id"]\nbatch-rows = 2\n')
    ended = vecload("upsert", "rows.jsonl", cwd=project)
    assert ended.code == 0, ended.err
    assert "using vecload.toml of this folder\n" in ended.err
    assert re.search("^columns .*text", ended.err, re.MULTILINE)


def test_rows_that_share_an_id_are_rejected_where_a_file_that_is_found_names_the_column(
    project: Path, config: Path
) -> None:
    write_jsonl(project / "rows.jsonl", [row | {"group": "a"} for row in rows(3)])
    (project / "vecload.toml").write_text('[upsert]\nid-column = ["group"]\n')
    stopped = vecload("upsert", "rows.jsonl", cwd=project)
    assert stopped.code == 4
    assert "--repeated-ids last" in stopped.err
    assert vecload("upsert", "rows.jsonl", "--repeated-ids", "last", cwd=project).code == 0
    assert vecload("upsert", "rows.jsonl", "--id-column", "group", "--fresh", cwd=project).code == 0
    (project / "vecload.toml").unlink()
    config.write_text('[upsert]\nid-column = ["group"]\n')
    assert vecload("upsert", "rows.jsonl", "--fresh", cwd=project).code == 0


def test_no_file_sets_what_is_no_long_option(config: Path) -> None:
    for setting, says in (
        ('sources = ["x"]', "sets 'sources', which is not an option"),
        ("q = true", "sets 'q', which is not an option"),
        ("[index]\nbatch = 1", "sets 'batch', which is not an option"),
        ('[upsert.to]\na = "x"', "has a table 'to' in [upsert]: that is an option"),
    ):
        config.write_text(f"{setting}\n")
        with pytest.raises(UsageError, match=re.escape(says)):
            default_map(get_command(app), None, None)


def test_the_same_file_counts_if_it_is_named(project: Path) -> None:
    (project / "vecload.toml").write_text('to = "./here"\n')
    assert vecload("--config", "vecload.toml", "upsert", "rows.jsonl", cwd=project).code == 0
    assert (project / "here").is_dir()
    named = vecload("index", "list", cwd=project, variables={"VECLOAD_CONFIG": "vecload.toml"})
    assert named.out == "rows\n"


def test_a_file_that_others_can_write_is_refused(project: Path, config: Path) -> None:
    for file in (project / "vecload.toml", config):
        file.write_text("[upsert]\nbatch-rows = 5\n")
        file.chmod(0o666)
        assert "can be written by others" in vecload("index", "list", cwd=project).error
        file.chmod(0o600)


def test_the_users_own_configuration_and_its_profiles_name_targets_and_keys(
    config: Path, spy: Spy, other_spy: Spy, api_key_file: Path
) -> None:
    config.write_text(
        f'[profiles.one]\nto = "{spy.url}"\napi-key-file = "{api_key_file}"\n'
        f'[profiles.other]\nto = "{other_spy.url}"\n[profiles.other.index.list]\n'
    )
    one = vecload("--profile", "one", "index", "list")
    other = vecload("index", "list", variables={"VECLOAD_PROFILE": "other"})
    assert (one.code, other.code) == (0, 0), one.err + other.err
    assert CANARY in spy.heard[0]
    assert len(other_spy.heard) == 1
    assert CANARY not in other_spy.heard[0]
    missing = vecload("--profile", "none", "index", "list")
    assert missing.code == 2
    assert "profile 'none' is not in" in missing.error
    assert "(it has: one, other)" in missing.error


def test_a_profile_comes_before_the_rest_and_the_folders_file_before_the_users(
    config: Path, project: Path
) -> None:
    config.write_text('index = "own"\n[profiles.p]\nindex = "profile"\n')
    vecload("upsert", "rows.jsonl", cwd=project)
    (project / "vecload.toml").write_text('index = "folder"\n')
    vecload("upsert", "rows.jsonl", cwd=project)
    vecload("--profile", "p", "upsert", "rows.jsonl", cwd=project)
    vecload("--profile", "p", "upsert", "rows.jsonl", "--index", "flag", cwd=project)
    assert vecload("index", "list", cwd=project).out.split() == ["flag", "folder", "own", "profile"]


def test_a_credential_stored_for_one_target_is_not_sent_to_another(
    tmp_path: Path, config: Path, project: Path, spy: Spy, other_spy: Spy, api_key_file: Path
) -> None:
    key_file = tmp_path / "my.key"
    key = key_of(key_file)
    config.write_text(f'to = "{spy.url}"\napi-key-file = "{api_key_file}"\nkey-file = "{key_file}"\n')
    command = ("upsert", "rows.jsonl", "--no-create")

    vecload(*command, cwd=project)
    assert CANARY in spy.heard[0]
    assert key in spy.heard[0]
    spelled = vecload(*command, "--to", spy.url.replace("http://", "HTTP://") + "/v1", cwd=project)
    assert CANARY in spy.heard[-1], spelled.err

    by_flag = vecload(*command, "--to", other_spy.url, cwd=project)
    by_variable = vecload(*command, cwd=project, variables={"VECLOAD_TO": other_spy.url})
    for ended in (by_flag, by_variable):
        assert "api-key-file of " in ended.err
        assert "key-file of " in ended.err
        assert "it is for another target" in ended.err
    assert len(other_spy.heard) >= 2
    assert CANARY not in str(other_spy.heard)
    assert key not in str(other_spy.heard)


def test_a_key_file_set_without_a_target_is_for_this_machine_alone(
    tmp_path: Path, config: Path, project: Path, spy: Spy
) -> None:
    key_file = tmp_path / "my.key"
    key = key_of(key_file)
    config.write_text(f'key-file = "{key_file}"\n')
    here = vecload("upsert", "rows.jsonl", cwd=project)
    away = vecload("upsert", "rows.jsonl", "--to", spy.url, "--no-create", cwd=project)
    assert key_file.name in here.err
    assert here.code == 0
    assert "ignoring key-file of " in away.err
    assert key not in str(spy.heard)


def test_an_api_key_file_without_its_service_is_refused(config: Path, api_key_file: Path) -> None:
    config.write_text(f'api-key-file = "{api_key_file}"\n')
    assert "sets api-key-file without the service that it is for" in vecload("index", "list").error


@pytest.mark.parametrize("how", ["VECLOAD_API_KEY", "VECLOAD_API_KEY_FILE"])
def test_a_variable_goes_to_the_target_of_the_variables_alone(
    spy: Spy, other_spy: Spy, api_key_file: Path, how: str
) -> None:
    variables = {how: CANARY if how == "VECLOAD_API_KEY" else str(api_key_file), "VECLOAD_TO": spy.url}
    vecload("index", "list", variables=variables)
    vecload("index", "list", "--to", other_spy.url, variables=variables)
    assert CANARY in spy.heard[0]
    assert len(other_spy.heard) == 1
    assert CANARY not in other_spy.heard[0]
    del variables["VECLOAD_TO"]
    vecload("index", "list", "--to", other_spy.url, variables=variables)
    assert CANARY in other_spy.heard[1]


@pytest.mark.parametrize("how", ["VECLOAD_INDEX_KEY", "VECLOAD_KEY_FILE", "VECLOAD_KEY_COMMAND"])
def test_an_index_key_of_the_variables_goes_to_no_other_service(
    tmp_path: Path, project: Path, spy: Spy, other_spy: Spy, how: str
) -> None:
    key_file = tmp_path / "my.key"
    key = key_of(key_file)
    value = {"VECLOAD_INDEX_KEY": key, "VECLOAD_KEY_FILE": str(key_file)}.get(how, f"cat {key_file}")
    variables = {how: value, "VECLOAD_TO": spy.url}
    vecload("upsert", "rows.jsonl", "--no-create", cwd=project, variables=variables)
    vecload("upsert", "rows.jsonl", "--no-create", "--to", other_spy.url, cwd=project, variables=variables)
    assert key in str(spy.heard)
    assert other_spy.heard != []
    assert key not in str(other_spy.heard)


def test_that_a_file_is_in_use_is_said_in_one_line_unless_it_is_to_be_quiet(
    config: Path, project: Path
) -> None:
    config.write_text("[upsert]\nbatch-rows = 5\n[profiles.p]\nindex = 'x'\n")
    (project / "vecload.toml").write_text("[upsert]\nwire = 'json'\n")
    ended = vecload("--profile", "p", "upsert", "rows.jsonl", cwd=project)
    (line,) = [line for line in ended.err.splitlines() if line.startswith("using ")]
    assert "config.toml and vecload.toml of this folder and " in line
    assert "profile 'p'" in line
    assert "using" not in vecload("upsert", "rows.jsonl", "-q", cwd=project).err
    quiet = vecload("upsert", "rows.jsonl", cwd=project, variables={"VECLOAD_QUIET": "1"})
    assert "using" not in quiet.err
    assert "using" not in vecload("index", "list", cwd=project).err, "it sets nothing for that command"


@pytest.mark.parametrize(
    "source",
    [
        "https://user:secret@host/x.parquet?signature=secret",
        "https://host/x.parquet?signature=secret",
        "file://user:secret@host/x.parquet",
        "s3://user:secret@bucket/x.parquet",
    ],
)
@pytest.mark.parametrize("command", ["upsert", "inspect"])
def test_the_secrets_of_a_url_are_never_repeated(command: str, source: str) -> None:
    ended = vecload(command, source, "--json")
    assert ended.code == 2
    assert "secret" not in ended.out + ended.err


def test_the_secrets_of_an_endpoint_are_never_repeated() -> None:
    ended = vecload("upsert", "s3://bucket/x.parquet", "--endpoint-url", "http://user:secret@127.0.0.1:1")
    assert ended.code == 2
    assert "holds a user, a password or a query" in ended.error
    assert "secret" not in ended.out + ended.err


DEEP = f"a = {'[' * 5000}\n"
LONG = f"a = {'9' * 5000}\n"


@pytest.mark.parametrize("text", [DEEP, LONG, "a.b" + ".c" * 5000 + " = 1\n", "#" * (1 << 20) + "\n"])
@pytest.mark.parametrize("named", [False, True])
def test_a_file_that_no_parser_takes_is_one_line(project: Path, text: str, named: bool) -> None:
    (project / "vecload.toml").write_text(text)
    ended = vecload(*(("--config", "vecload.toml") if named else ()), "index", "list", cwd=project)
    assert ended.code == 2
    assert ended.error.startswith("vecload: vecload.toml "), ended.err


def test_a_pipe_where_a_file_is_looked_for_is_refused_and_not_waited_for(project: Path, config: Path) -> None:
    for file in (project / "vecload.toml", config):
        os.mkfifo(file, 0o600)
        ended = vecload("index", "list", cwd=project)
        assert ended.code == 2
        assert f"{file.name} is not a regular file" in ended.error
        file.unlink()


def test_a_pipe_that_is_named_is_read(project: Path) -> None:
    read, write = os.pipe()
    os.write(write, b'index = "of-the-pipe"\n')
    os.close(write)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(project)
        sections = default_map(get_command(app), f"/dev/fd/{read}", None)[1]
    os.close(read)
    assert sections[0].values == {"index": "of-the-pipe"}


@pytest.mark.parametrize("command", ["upsert", "inspect", "index"])
def test_the_home_of_nobody_is_one_line(project: Path, command: str) -> None:
    arguments = ("index", "list") if command == "index" else (command, "rows.jsonl")
    ended = vecload(*arguments, "--to", "~nouser/x", cwd=project)
    assert ended.code == 2
    assert "the home folder in '~nouser/x' does not exist" in ended.err + ended.out
    assert "defect" not in ended.err
    assert not (project / "~nouser").exists()
