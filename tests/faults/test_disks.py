"""Disks that fail under the journal and the reject file: the load stops, and goes on when there is room."""

from __future__ import annotations

import os
import random
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.loads import Load
from tests.faults.oracle import write_source
from tests.faults.proxy import Exchange, Proxy

SEED = int(os.environ.get("VECLOAD_SEED", "0"))


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    folder = tmp_path / "tiny"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "vecload-tests", str(folder)]
    if subprocess.run(command, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, *, leave: int) -> None:
    """Take all the room but some pages: as much as is left, while a load takes of it too."""
    with suppress(OSError), (folder / "filler").open("wb", buffering=0) as filler:
        while (free := os.statvfs(folder)).f_bavail > leave:
            filler.write(b"\0" * free.f_bsize * (free.f_bavail - leave))


@pytest.mark.parametrize("what", ["journal", "rejects"])
@pytest.mark.parametrize("at", [0, 7, 60])
def test_a_disk_that_fills_up_stops_the_load_which_goes_on_when_there_is_room(
    tmp_path: Path, tiny_disk: Path, service: str, new_name: Callable[[], str], what: str, at: int
) -> None:
    chance = random.Random(SEED + at)  # noqa: S311
    source = write_source(tmp_path / "source.jsonl", SEED, 2000, bad=range(3, 2000, 4))
    filled = threading.Event()

    def fills(exchange: Exchange) -> None:
        if exchange.number == at:
            fill(tiny_disk, leave=chance.randrange(3))
            filled.set()
        exchange.pass_on()

    with Proxy(service, fills) as proxy:
        options = ("--batch-rows", "5", "--concurrency", "4", "--max-errors", "1000")
        load = Load(tmp_path / "load", source, proxy.url, options, index=new_name(), store=service)
        if what == "journal":
            load.state = tiny_disk / "state"
        else:
            load.rejects = tiny_disk / "rejects.jsonl"
        stopped = load.run()
        assert stopped.code == 1, stopped.err
        assert "full" in stopped.err or "No space left" in stopped.err
        assert filled.wait(10)
        (tiny_disk / "filler").unlink()
        proxy.behave = Exchange.pass_on
        load.run_until_done(most=1, code=3)


@pytest.mark.parametrize("what", ["state", "rejects"])
def test_a_read_only_disk_stops_the_load_before_anything_is_sent(
    tmp_path: Path, tiny_disk: Path, service: str, new_name: Callable[[], str], what: str
) -> None:
    source = write_source(tmp_path / "source.jsonl", SEED, 50)
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with Proxy(service) as proxy:
        load = Load(tmp_path / "load", source, proxy.url, index=new_name(), store=service)
        where = getattr(load, what)
        setattr(load, what, tiny_disk / what)
        stopped = load.run()
        assert stopped.code == 1, stopped.err
        assert "ead-only file system" in stopped.err
        assert proxy.upserts == 0
        setattr(load, what, where)
        load.run_until_done(most=1)
