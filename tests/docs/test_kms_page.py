"""The page about KMS-backed indexes and user tokens: its commands run, with a real service and moto's KMS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import ROOT as CHECKOUT
from tests.docs.pages import SERVICE, Reader, blocks, examples, same
from tests.kms import ROOT, SLOT, service_with_kms
from tests.servers import Service

PAGE = CHECKOUT / "docs" / "howto" / "kms-and-tokens.md"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    folder = tmp_path / "service"
    folder.mkdir()
    with service_with_kms(folder) as (running, _):
        yield running


def secret(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


def test_the_commands_of_the_page_print_what_it_shows(service: Service, tmp_path: Path) -> None:
    reader = Reader(tmp_path / "reader")
    reader.service = service.url
    secret(reader.work / "root", ROOT)
    reader.environment["API_KEY_FILE"] = "root"
    for block in blocks(PAGE):
        if block.kind == "yaml":
            assert yaml.safe_load(block.body)["kms"]["registry"][SLOT]["provider"] == "aws-kms"
        elif block.kind == "py":
            variables = {"root_api_key": ROOT}
            exec(block.body.replace(SERVICE, service.url), variables)  # noqa: S102 of a page of this project
            secret(reader.work / "token", str(variables["token"]))
        elif block.kind == "sh":
            for example in examples(block.body):
                printed = reader.run(example.command)
                assert same(example.printed, printed), (example.command, example.printed, printed)
