"""What a forked child inherits: an index of a service works in both, an embedded store says it does not."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecload
from vecload.errors import ForkedStore, Unreachable

KEY = vecload.Key(bytes(range(32)), bytes(range(32, 64)))
IDS = [f"item-{i}" for i in range(300)]
CALLS = 100
CHILD_SECONDS = 300
"""A child that hangs ends then; a slow machine is no hang."""
BUSY = "item-busy"
"""Is replaced all the time. Meanwhile the engine may count one item less, or give it without its contents."""
PROCESSES = 4
"""That one test uses at most; each has an item of its own."""
LOST = 3
"""Connections that a slow machine may lose: the service drops idle ones without a word."""


def filled(connection: vecload.Connection, name: str) -> vecload.Index:
    index = connection.create_index(name, KEY, dimension=4)
    index.upsert_binary(IDS, np.ones((300, 4)), contents=[f"of {item_id}" for item_id in IDS])
    return index


def in_child(do: Callable[[], object]) -> int:
    """Fork, and return how the child ended: 0 if it did it; it is not waited for without end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads run: that is what is tested
        pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    signal.alarm(CHILD_SECONDS)
    try:
        do()
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 a child of a test never goes on as the test
        os.write(2, f"{error!r}"[:2000].encode())
        os._exit(1)


@contextmanager
def used_meanwhile(index: vecload.Index) -> Iterator[list[int]]:
    """Threads that use an index, so that a fork comes in the middle of requests and of locks."""
    over, wrong = threading.Event(), []

    def use() -> None:
        while not over.is_set():
            with suppress(Unreachable):
                if len(index.get(IDS, ["contents"])) != 300:
                    wrong.append(1)
            index.upsert([{"id": BUSY, "vector": [1, 1, 1, 1], "contents": f"of {BUSY}"}])

    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield wrong
    finally:
        over.set()
        for thread in threads:
            thread.join(30)


def use_often(index: vecload.Index, calls: int = CALLS) -> None:
    lost, own = 0, f"item-of-{os.getpid()}"
    for number in range(calls):
        try:
            items = index.get(IDS, ["contents"])
        except Unreachable:
            lost += 1
            assert lost <= LOST
            continue
        assert [item["contents"] for item in items] == [f"of {item_id}" for item_id in IDS]
        if number % 10 == 0:
            index.upsert([{"id": own, "vector": [1, 1, 1, 1], "contents": f"of {own}"}])
            assert 300 < index.count() <= 301 + PROCESSES


def test_an_index_of_a_service_is_used_by_parent_and_child(service: str, index_name: str) -> None:
    with vecload.connect(service) as connection:
        index = filled(connection, index_name)
        with used_meanwhile(index) as wrong:
            for _ in range(3):
                assert in_child(lambda: use_often(index, CALLS // 3)) == 0
        assert wrong == []
        use_often(index, 3)
        assert index.count() == 300 + 5  # the busy one, of three children, of this process


def test_an_index_of_a_service_is_used_by_processes_of_a_pool(service: str, index_name: str) -> None:
    with vecload.connect(service) as connection:
        index = filled(connection, index_name)
        context = multiprocessing.get_context("fork")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            children = [context.Process(target=use_often, args=(index, CALLS // 2)) for _ in range(2)]
            for child in children:
                child.start()
        use_often(index, 10)
        for child in children:
            child.join(CHILD_SECONDS)
        assert [child.exitcode for child in children] == [0, 0]
        assert index.count() == 300 + 3


def test_a_child_that_closes_or_frees_what_it_inherits_leaves_the_parents_connections(
    service: str, index_name: str
) -> None:
    held: list[Any] = [vecload.connect(service)]
    held.append(filled(held[0], index_name))
    assert in_child(held[0].close) == 0
    assert in_child(held.clear) == 0
    sockets = _sockets()
    assert len(held[1].get(IDS)) == 300
    assert _sockets() == sockets  # the same connection: nobody shut it down
    held[0].close()


def _sockets() -> set[str]:
    links = set()
    for each in Path("/proc/self/fd").iterdir():
        try:
            links.add(str(each.readlink()))
        except OSError:
            continue
    return {link for link in links if link.startswith("socket:")}


@pytest.mark.parametrize(
    "ask",
    [
        lambda _, index: index.get(IDS),
        lambda _, index: index.upsert([{"id": "a", "vector": [1, 2, 3, 4]}]),
        lambda _, index: index.query([1, 2, 3, 4]),
        lambda _, index: index.count(),
        lambda _, index: index.list_ids(),
        lambda _, index: index.describe(),
        lambda connection, _: connection.list_indexes(),
        lambda connection, _: connection.create_index("other", KEY),
        lambda connection, _: connection.open_index("docs", KEY),
        lambda connection, _: connection.delete_index("docs", KEY),
        lambda connection, _: vecload.connect(connection.location).open_index("docs", KEY),
        lambda connection, _: vecload.connect(connection.location + "-2").create_index("docs", KEY),
    ],
)
def test_an_embedded_store_says_at_once_that_a_child_cannot_use_it(
    embedded_folder: Path, ask: Callable[[Any, Any], object]
) -> None:
    with vecload.connect(embedded_folder) as connection:
        index = filled(connection, "docs")

        def child() -> None:
            with pytest.raises(ForkedStore, match="spawn"):
                ask(connection, index)

        with used_meanwhile(index):
            assert in_child(child) == 0
        use_often(index, 3)


PROGRAM = """
import gc, os, signal, sys, numpy as np, vecload
folder, how = sys.argv[1:]
key = vecload.Key(bytes(range(32)), bytes(range(32, 64)))
if how != "unused":
    connection = vecload.connect(folder)
    index = connection.create_index("docs", key, dimension=4)
    index.upsert_binary(["a"], np.ones((1, 4)))
pid = os.fork()
if not pid:
    signal.alarm(200)
    if how == "freed":
        del index, connection
        gc.collect()
    if how == "unused":
        index = vecload.connect(folder).create_index("docs", key, dimension=4)
        index.upsert_binary(["a"], np.ones((1, 4)))
        assert index.count() == 1
    sys.exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) and 3)
"""


@pytest.mark.parametrize("how", ["left", "freed", "unused"])
def test_a_child_of_a_process_with_an_embedded_store_ends_as_any(embedded_folder: Path, how: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, str(embedded_folder), how],
        check=False,
        timeout=CHILD_SECONDS,
        capture_output=True,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
