"""Every command reaches a service by the same options. What they hold goes to no other, and is not shown."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

import vecload as api
from tests.certificates import Authority, Identity
from tests.cli.command import vecload
from tests.cli.sources import rows, write_jsonl
from tests.docs.pages import ROOT
from tests.gateways import HttpProxy, PrefixGateway, TlsGateway
from tests.servers import free_port
from vecload.cli.app import app, run
from vecload.targets.reach import REACH_FIELDS, Reach
from vecload.targets.tls import tls_fault

TOKEN = "7f3a-tenant-token-9c1e"  # noqa: S105 of no service


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def identity(authority: Authority) -> Identity:
    return authority.issue("service")


@pytest.fixture(scope="module")
def client(authority: Authority) -> Identity:
    return authority.issue("client", client=True)


@pytest.fixture(scope="module")
def guarded(service: str, identity: Identity, authority: Authority) -> Iterator[TlsGateway]:
    """The real service behind TLS that asks for a client certificate."""
    with TlsGateway(service, identity, clients=str(authority.file)) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_jsonl(tmp_path / "rows.jsonl", [*rows(20), {"id": "bad"}])
    monkeypatch.chdir(tmp_path)
    return tmp_path


LOAD = (
    "upsert",
    "rows.jsonl",
    "--create-key",
    "--max-errors",
    "1",
    "--rejects",
    "bad.jsonl",
    "--reject-rows",
)


def all_commands(index: str) -> list[tuple[str, ...]]:
    """Every command that reaches a service, in an order in which each has something to do."""
    named = ("--index", index)
    return [
        ("index", "create", index, "--dimension", "8", "--create-key"),
        ("inspect", "rows.jsonl", "--max-errors", "1", "--create-key", *named),
        (*LOAD, *named),
        ("index", "list"),
        ("index", "describe", index),
        ("get", "doc-1", *named),
        ("query", "rows.jsonl", *named),
        ("rejects", "bad.jsonl", *named),
        ("index", "delete", index, "--yes"),
    ]


def test_every_command_with_a_target_has_the_options() -> None:
    group = get_command(app)
    for words in {command[: 2 if command[0] == "index" else 1] for command in all_commands("x")}:
        command = group
        for word in words:
            command = command.commands[word]  # type: ignore[attr-defined]
        names = {param.name for param in command.params}
        assert {"to", *REACH_FIELDS} <= names, words
        variables = {param.name: param.envvar for param in command.params}  # type: ignore[attr-defined]
        assert [variables[name] for name in REACH_FIELDS] == [f"VECLOAD_{n.upper()}" for n in REACH_FIELDS]


def test_every_command_reaches_a_service_of_a_company_authority(
    guarded: TlsGateway, authority: Authority, client: Identity, index_name: str
) -> None:
    ways = ("--ca-file", authority.file, "--client-cert", client.cert, "--client-key", client.key)
    with HttpProxy() as proxy:
        for command in all_commands(index_name):
            ended = vecload(*command, "--to", guarded.url, *ways, "--proxy", proxy.url)
            assert ended.code in (0, 3), (command, ended.err)
        assert len(proxy.heads) >= len(all_commands(index_name))


def test_variables_and_configuration_do_the_same(
    folder: Path, guarded: TlsGateway, authority: Authority, client: Identity
) -> None:
    given = {"CA_FILE": authority.file, "CLIENT_CERT": client.cert, "CLIENT_KEY": client.key}
    variables = {f"VECLOAD_{name}": str(value) for name, value in given.items()}
    ended = vecload("index", "list", "--to", guarded.url, variables=variables)
    assert ended.code == 0, ended.err
    lines = [f'{name.lower().replace("_", "-")} = "{value}"' for name, value in given.items()]
    (folder / "named.toml").write_text("\n".join([f'to = "{guarded.url}"', *lines]))
    ended = vecload("--config", "named.toml", "index", "list")
    assert ended.code == 0, ended.err


@pytest.mark.parametrize("command", all_commands("x")[:4])
def test_a_certificate_that_is_not_trusted_stops_a_command_at_once(
    guarded: TlsGateway, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    begun = guarded.handshakes
    code = run([*command, "--to", guarded.url])
    shown = capsys.readouterr()
    said = shown.out + shown.err
    assert code == 2
    assert "is signed by an authority that is not trusted" in said
    assert "--ca-file" in said
    assert "retrying" not in said
    assert "waiting" not in said
    assert guarded.handshakes - begun <= 2


def test_a_missing_client_certificate_has_the_exit_code_of_a_refusal(
    guarded: TlsGateway, authority: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    ways = ("--to", guarded.url, "--ca-file", str(authority.file), "--index", "x")
    for command in (("inspect", "rows.jsonl"), ("upsert", "rows.jsonl"), ("get", "a")):
        assert run([*command, *ways]) == 6
        shown = capsys.readouterr()
        assert f"{guarded.url} requires a client certificate; name yours with" in shown.out + shown.err
    run(["inspect", "rows.jsonl", "--json", "--max-errors", "1", *ways])
    report = json.loads(capsys.readouterr().out)
    assert report["exit_code"] == 6
    assert [check["name"] for check in report["checks"] if check["state"] == "wrong"] == ["target"]
    run(["upsert", "rows.jsonl", "--json", "--max-errors", "1", *ways])
    assert json.loads(capsys.readouterr().out)["exit_code"] == 6


def test_keys_travel_unencrypted_only_if_the_user_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for command in all_commands("x"):
        assert run([*command, "--to", "http://db.example.invalid"]) == 2
        shown = capsys.readouterr()
        assert (
            "keys would travel unencrypted to http://db.example.invalid; use https;" in shown.out + shown.err
        )
        assert "--insecure-http" in shown.out + shown.err
    listing = ["index", "list", "--to", "http://db.example.invalid"]
    assert run([*listing, "--insecure-http"]) == 1
    assert "no connection to http://db.example.invalid" in capsys.readouterr().err
    monkeypatch.setenv("VECLOAD_INSECURE_HTTP", "1")
    assert run(listing) == 1
    monkeypatch.setenv("VECLOAD_TO", "http://other.example.invalid")
    assert run(listing) == 2
    assert "ignoring VECLOAD_INSECURE_HTTP: VECLOAD_TO names another service" in capsys.readouterr().err


def test_what_was_set_for_one_service_is_not_used_for_another(
    folder: Path, guarded: TlsGateway, authority: Authority, client: Identity
) -> None:
    there = f"https://127.0.0.1:{free_port()}"
    settings = [
        f'ca-file = "{authority.file}"',
        f'client-cert = "{client.cert}"',
        f'client-key = "{client.key}"',
        "insecure-http = true",
    ]
    (folder / "named.toml").write_text("\n".join([f'to = "{there}"', *settings]))
    listing = ("--config", "named.toml", "index", "list")
    away = vecload(*listing, "--to", guarded.url)
    assert away.code == 2
    for name in ("ca-file", "client-cert", "client-key", "insecure-http"):
        assert f"ignoring {name} of named.toml: it is for another target" in away.err
    assert "not trusted" in away.error
    assert "unencrypted" in vecload(*listing, "--to", "http://db.example.invalid").error
    (folder / "named.toml").write_text("\n".join(settings))  # for any service
    assert vecload(*listing, "--to", guarded.url).code == 0
    (folder / "vecload.toml").write_text(settings[0])
    assert "sets ca-file: a file that vecload finds by itself may not" in vecload("index", "list").error


def test_a_path_is_shown_nowhere_and_is_a_target_of_its_own(
    folder: Path, service: str, index_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PrefixGateway(service, f"/{TOKEN}") as gateway:
        to = ("--to", f"{gateway.url}/{TOKEN}")
        said = []
        for command in all_commands(index_name)[1:-1]:
            ended = vecload(*command, *(["--json"] if command[0] in ("inspect", "upsert") else []), *to)
            assert ended.code in (0, 3), (command, ended.err)
            said.append(ended.out + ended.err)
        resumed = vecload(*LOAD, "--index", index_name, "--skip-loaded", *to)
        assert resumed.code in (0, 3), resumed.err
        for wrong in (f"{gateway.url}/{TOKEN}x", f"http://127.0.0.1:{free_port()}/{TOKEN}"):
            ended = vecload("get", "doc-1", "--index", index_name, "--to", wrong)
            assert ended.code != 0
            said.append(ended.err)
        assert (
            vecload("get", "doc-1", "--index", index_name, "--to", service).code == 2
        )  # has no key for that
    assert TOKEN not in "".join(said) + resumed.out + resumed.err
    home = Path.home()
    kept = [file for place in (home, folder) for file in place.rglob("*") if file.is_file()]
    assert any(file.parent.name == "keys" for file in kept)
    assert any(file.parent.name == "journals" for file in kept)
    for file in kept:
        assert TOKEN.encode() not in file.read_bytes() + file.name.encode(), file


def test_a_load_from_python_takes_the_same_words(
    guarded: TlsGateway, authority: Authority, client: Identity, index_name: str, tmp_path: Path
) -> None:
    key = api.generate_key()
    ways = {"ca_file": authority.file, "client_cert": str(client.cert), "client_key": client.key}
    result = api.load(rows(5), to=guarded.url, index=index_name, key=key, **ways)
    assert result.loaded == 5
    assert api.inspect(rows(5), to=guarded.url, index=index_name, key=key, **ways).exit_code == 0
    with api.connect(guarded.url, **ways) as connection:  # type: ignore[arg-type]
        assert index_name in connection.list_indexes()
    with pytest.raises(api.TargetError, match="; name the file of its authority with ca_file"):
        api.connect(guarded.url).list_indexes()
    report = api.inspect(rows(5), to=guarded.url, index=index_name, key=key)
    assert report.exit_code == 2
    assert "with ca_file" in str(report)


def test_a_certificate_that_stops_being_trusted_stops_a_load(
    service: str, authority: Authority, identity: Identity, index_name: str
) -> None:
    key = api.generate_key()
    with TlsGateway(service, identity) as gateway:

        def on_progress(progress: api.Progress) -> None:
            if progress.loaded and not at:
                at.append(gateway.handshakes)
                gateway.show(expired)

        at: list[int] = []
        expired = authority.issue("expired", begins=-3, ends=-1)
        with pytest.raises(api.TargetError, match="has expired; it must be renewed") as caught:
            api.load(
                iter(rows(3000)),
                to=gateway.url,
                index=index_name,
                key=key,
                ca_file=authority.file,
                batch_rows=10,
                concurrency=1,
                on_progress=on_progress,
            )
        assert caught.value.exit_code == 2
        assert 0 < caught.value.result.loaded < 3000
        assert gateway.handshakes - at[0] <= 4  # and no more for minutes


def test_the_page_of_networks_quotes_the_errors(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "howto" / "networks.md").read_text()
    assert run(["index", "list", "--to", "http://db.example.com:8000"]) == 2
    assert f"\n{capsys.readouterr().err}" in page
    unknown = ssl.SSLCertVerificationError(1, "")
    unknown.verify_code = 20
    assert f"\nvecload: {tls_fault(unknown, 'https://db.example.com', Reach())}\n" in page
