"""Several processes parse: the batches are those of one process, in order, and no process stays behind."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vecload.batch import Batch, Span
from vecload.errors import Interrupted, SourceError, VecloadError
from vecload.mapping import ColumnMapping, Mapper
from vecload.readers.json.blocks import Block
from vecload.readers.json.jsonl import JsonlSource
from vecload.readers.json.mapped import BlockMapper, Task
from vecload.readers.json.workers import Parsers, automatic
from vecload.readers.prefetch import batches
from vecload.readers.storage.files import LocalFile

MAPPER = Mapper(ColumnMapping("id", "vector", "contents"), 2)
KEEPING = Mapper(ColumnMapping("id", "vector", "contents"), 2, keep_rows=True)


@pytest.fixture(scope="module")
def parsers() -> Iterator[Parsers]:
    with Parsers(2, pays_from=0) as started:
        yield started


class StreamedSource(JsonlSource):
    """Of a file that other processes can't read for themselves, as one that is compressed or far away."""

    def __init__(self, path: str, **options: Any) -> None:
        super().__init__(path, **options)
        local = LocalFile(path)

        class Elsewhere:
            name = location = path
            nbytes = local.nbytes
            stored_part = 1.0

            def open(self) -> BinaryIO:
                return local.open()

        self._file = Elsewhere()  # type: ignore[assignment]


def told(batch: Batch) -> tuple[Any, ...]:
    """All of a batch, as values that can be compared."""
    vectors = batch.vectors
    assert vectors is not None
    assert vectors.dtype == np.float32
    assert vectors.flags.c_contiguous
    raw = batch.origin.raw
    return (
        batch.ids,
        vectors.tobytes(),
        json.dumps(batch.metadata),
        batch.contents,
        batch.span,
        batch.item_rows().tolist(),
        batch.rejects,
        [*(batch.origin.offsets or ())],
        None if raw is None else [raw(position) for position in range(len(batch.span))],
    )


def good(number: int) -> bytes:
    row = {"id": str(number), "vector": [number + 1, 0.1], "n": number, "contents": "é" * (number % 9)}
    return json.dumps(row, ensure_ascii=number % 2 == 0).encode()


LINES = st.one_of(
    st.integers(0, 99).map(good),
    st.sampled_from(
        [
            b"",
            b" \t",
            b"\r",
            b"not json",
            b"[1]",
            b'{"id": 5, "vector": [1, true]}',
            b'{"id": 18446744073709551617, "vector": [1, 2], "big": 36893488147419103232}',
            b'{"id": "twice", "vector": [9], "vector": [1, 2]}',
            b'{"id": "a", "vector": [1, 2, 3], "contents": {"$bytes": "AP8="}}',
            b'{"id": "b", "vector": [9007199254740993, 1e39]}',
            b'{"id": "c", "vector": "[1, 2]", "m": {"vector": [3, 4]}}',
            b'{"id": "long", "vector": [1, 2], "m": "' + b"x" * 300 + b'"}',
            b"\xef\xbb\xbf{}",
        ]
    ),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(LINES, max_size=40),
    bom=st.booleans(),
    crlf=st.booleans(),
    end=st.booleans(),
    rows=st.integers(1, 7),
    size=st.integers(1, 700),
    kind=st.sampled_from([JsonlSource, StreamedSource]),
    mapper=st.sampled_from([MAPPER, KEEPING]),
    data=st.data(),
)
def test_the_batches_are_those_of_one_process_and_a_resumed_load_reads_just_the_rest(
    tmp_path: Path,
    parsers: Parsers,
    lines: list[bytes],
    bom: bool,
    crlf: bool,
    end: bool,
    rows: int,
    size: int,
    kind: type[JsonlSource],
    mapper: Mapper,
    data: st.DataObject,
) -> None:
    path = tmp_path / "rows.jsonl"
    newline = b"\r\n" if crlf else b"\n"
    whole = b"\xef\xbb\xbf" * bom + newline.join(lines) + newline * end
    path.write_bytes(whole)
    source = kind(str(path), line_max_bytes=250)
    options: dict[str, Any] = {"batch_rows": rows, "batch_bytes": size}

    alone = [told(batch) for batch in source.batches(mapper, **options)]
    together = [told(batch) for batch in source.batches(mapper, **options, parsers=parsers)]
    assert together == alone

    # The rows, numbers and offsets are those of the plain reading, which knows no blocks.
    plain = [told(mapper.map(piece)) for piece in source.read(batch_rows=10**6, batch_bytes=10**9)]
    for part in (0, 5, 6, 7):
        assert [one for batch in alone for one in batch[part]] == [
            one for batch in plain for one in batch[part]
        ]
    assert b"".join(batch[1] for batch in alone) == b"".join(batch[1] for batch in plain)
    spans: list[Span] = [batch[4] for batch in alone]
    assert all(one.stop == other.start for one, other in pairwise(spans))

    done = [span for span in spans if data.draw(st.booleans())]
    finished = {row for span in done for row in range(span.start, span.stop)}
    rest = [*source.batches(mapper, **options, done=done, parsers=parsers)]
    assert [n for batch in rest for n in range(batch.span.start, batch.span.stop)] == [
        n for span in spans for n in range(span.start, span.stop) if n not in finished
    ]
    kept = {row: item_id for batch in alone for row, item_id in zip(batch[5], batch[0], strict=True)}
    assert {row: i for b in rest for row, i in zip(b.item_rows().tolist(), b.ids, strict=True)} == {
        row: item_id for row, item_id in kept.items() if row not in finished
    }


def write(path: Path, count: int) -> JsonlSource:
    path.write_bytes(b"".join(good(number) + b"\n" for number in range(count)))
    return JsonlSource(str(path))


def test_no_process_is_started_for_little_input(tmp_path: Path) -> None:
    source = write(tmp_path / "a", 1000)
    with Parsers(2, source.nbytes) as parsers:
        assert (
            sum(map(len, source.batches(MAPPER, batch_rows=100, batch_bytes=10**4, parsers=parsers))) == 1000
        )
        assert parsers.workers == []
    with Parsers(0, 10**12) as parsers:
        assert not parsers.pay(10**12)


def test_processes_are_started_in_the_middle_of_a_stream_that_turns_out_long(tmp_path: Path) -> None:
    write(tmp_path / "a", 3000)
    source = StreamedSource(str(tmp_path / "a"))
    with Parsers(1, pays_from=source.nbytes // 2) as parsers:
        batches = source.batches(MAPPER, batch_rows=100, batch_bytes=source.nbytes // 9, parsers=parsers)
        first = next(iter(batches))
        ids = [*first.ids, *(item_id for batch in batches for item_id in batch.ids)]
        assert len(parsers.workers) == 1
    assert ids == [str(number) for number in range(3000)]


def test_a_process_that_is_killed_ends_the_load_and_says_so(tmp_path: Path) -> None:
    source = write(tmp_path / "a", 3000)
    with Parsers(2, pays_from=0) as parsers:
        batches = iter(source.batches(MAPPER, batch_rows=10, batch_bytes=1000, parsers=parsers))
        assert next(batches).ids[0] == "0"
        os.kill(parsers.workers[0].process.pid, signal.SIGKILL)
        with pytest.raises(
            VecloadError, match=r"parsed .*a was ended by signal 9.*run the same command"
        ) as told_so:
            list(batches)
        assert told_so.value.exit_code == 1
        assert parsers.workers == []


def test_what_is_left_in_the_middle_is_not_taken_for_the_next_source(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a", 500), write(tmp_path / "b", 40)
    with Parsers(2, pays_from=0) as parsers:
        batches = first.batches(MAPPER, batch_rows=10, batch_bytes=1000, parsers=parsers)
        next(iter(batches))
        batches.close()  # type: ignore[attr-defined]
        after = list(second.batches(MAPPER, batch_rows=10, batch_bytes=1000, parsers=parsers))
    assert [batch.span.source for batch in after] == [second.name] * len(after)
    assert sum(map(len, after)) == 40


def test_a_file_that_vanishes_is_a_source_error(tmp_path: Path, parsers: Parsers) -> None:
    source = write(tmp_path / "a", 500)
    batches = iter(source.batches(MAPPER, batch_rows=10, batch_bytes=1000, parsers=parsers))
    (tmp_path / "a").unlink()
    with pytest.raises(SourceError, match="No such file"):
        list(batches)


def test_a_process_finds_another_file_where_its_parent_found_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    source = write(path, 3000)
    task = Task(source.name, MAPPER, 10, 2**20, 10**6, LocalFile(str(path)))
    block = Block(0, source.nbytes)
    with BlockMapper(task) as mapper:
        assert sum(map(len, mapper.map(block))) == 3000
    os.truncate(path, source.nbytes - 1)
    with BlockMapper(task) as mapper, pytest.raises(SourceError, match="it became shorter"):
        mapper.map(block)
    write(tmp_path / "b", 3000)
    (tmp_path / "b").replace(path)
    with BlockMapper(task) as mapper, pytest.raises(SourceError, match="another file took its place"):
        mapper.map(block)


def test_a_block_that_ends_early_is_not_taken_for_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "a"
    source = write(path, 3000)
    task = Task(source.name, MAPPER, 10, 2**20, 10**6, LocalFile(str(path)))
    with BlockMapper(task) as mapper:
        mapper.map(Block(0, len(good(0)) + 1))
        os.truncate(path, source.nbytes // 2)
        with pytest.raises(SourceError, match="it became shorter"):
            mapper.map(Block(0, source.nbytes))


@pytest.mark.parametrize("started", [0, 1])
def test_where_no_process_can_be_started_this_one_parses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: int
) -> None:
    start, count = subprocess.Popen, 0

    def refuse(*arguments: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count > started:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return start(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", refuse)
    source = write(tmp_path / "a", 500)
    with Parsers(2, pays_from=0) as parsers:
        for _ in range(2):
            batches = source.batches(KEEPING, batch_rows=10, batch_bytes=1000, parsers=parsers)
            assert [item_id for batch in batches for item_id in batch.ids] == [*map(str, range(500))]
        assert len(parsers.workers) == started


def test_processes_know_no_secret_and_leave_a_terminals_signals_to_their_parent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VECLOAD_API_KEY", "the-api-key")
    with Parsers(1, pays_from=0) as parsers:
        list(write(tmp_path / "a", 10).batches(MAPPER, batch_rows=10, batch_bytes=1000, parsers=parsers))
        (worker,) = parsers.workers
        environment = Path(f"/proc/{worker.process.pid}/environ").read_bytes()
        assert b"PATH=" in environment
        assert b"VECLOAD" not in environment
        assert os.getpgid(worker.process.pid) != os.getpgid(0)
    assert worker.process.returncode is not None


PARENT = """
import sys, time
from vecload.mapping import ColumnMapping, Mapper
from vecload.readers.json.jsonl import JsonlSource
from vecload.readers.json.workers import Parsers
source, parsers = JsonlSource(sys.argv[1]), Parsers(2, pays_from=0)
mapper = Mapper(ColumnMapping("id", "vector"), 2)
for batch in source.batches(mapper, batch_rows=9, batch_bytes=999, parsers=parsers):
    print(*(worker.process.pid for worker in parsers.workers), flush=True)
    time.sleep(60)
"""


def test_processes_end_when_whoever_started_them_is_killed(tmp_path: Path) -> None:
    write(tmp_path / "a", 3000)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "a")], stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        parent.send_signal(signal.SIGKILL)
    assert len(pids) == 2
    until = time.monotonic() + 10
    while alive := [pid for pid in pids if _running(pid)]:
        assert time.monotonic() < until, alive
        time.sleep(0.01)


def _running(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_auto_is_one_process_a_core_and_none_on_one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, count in ((1, 0), (2, 2), (3, 3), (64, 4)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: set(range(cores)))
        assert automatic() == count


MEASURED = """
import sys
from pathlib import Path
from vecload.mapping import ColumnMapping, Mapper
from vecload.readers.prefetch import batches
from vecload.readers.json.jsonl import JsonlSource
from vecload.readers.json.workers import Parsers

def peak(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))

mapper, rows = Mapper(ColumnMapping("id", "vector", "contents"), 256), 0
with Parsers(2, pays_from=0) as parsers:
    source = JsonlSource(sys.argv[1])
    for batch in batches(source, mapper, batch_rows=1000, batch_bytes=6_000_000, parsers=parsers):
        rows += len(batch)
    print(rows, *map(peak, ["self", *(worker.process.pid for worker in parsers.workers)]))
"""


def test_memory_does_not_grow_with_the_input(tmp_path: Path) -> None:
    vector = [0.123456789 + number for number in range(256)]
    row = json.dumps({"id": "a", "vector": vector, "contents": "x" * 500, "year": 2024}).encode() + b"\n"
    peaks = []
    for count in (4_000, 16_000):
        (tmp_path / "a").write_bytes(row * count)
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, str(tmp_path / "a")], capture_output=True, text=True, check=True
        )
        rows, *found = map(int, done.stdout.split())
        assert rows == count
        peaks.append(sum(found))
    assert peaks[1] < 1.1 * peaks[0]
    assert peaks[1] * 1024 < 400e6


def test_a_process_that_stands_still_holds_up_no_stop(tmp_path: Path) -> None:
    source = write(tmp_path / "a", 3000)
    number = [0]
    with Parsers(2, pays_from=0) as parsers:
        taken = batches(
            source, MAPPER, batch_rows=10, batch_bytes=1000, parsers=parsers, interrupted=lambda: number[0]
        )
        assert next(taken).ids[0] == "0"
        pids = [worker.process.pid for worker in parsers.workers]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        number[0] = signal.SIGTERM
        with pytest.raises(Interrupted) as stopped:
            list(taken)
    assert stopped.value.exit_code == 143
