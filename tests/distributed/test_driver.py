"""Loads whose splits workers load: the same items, counts and rejects as of a load by one process."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import vecload
from tests.distributed.conftest import Place, write
from tests.distributed.processes import Processes
from tests.faults.proxy import Exchange, Proxy
from vecload.distributed.driver import run_distributed
from vecload.loading.caller import Caller
from vecload.loading.journal import Journal
from vecload.loading.request import request_of
from vecload.loading.result import LoadResult
from vecload.sealing.references import Reference, SecretReferences

PER_SPLIT = 100


def distributed(
    place: Place, sources: Any, engine: Processes | None = None, caller: Caller | None = None, **fields: Any
) -> LoadResult:
    request = request_of(
        sources,
        to=place.to,
        index=place.index,
        key=str(place.key),
        api_key=None,
        options=None,
        changes={"rows_per_split": PER_SPLIT, "resume_wait": 0, **fields},
    )
    secrets = SecretReferences.of(request.keys)
    return run_distributed(request, lambda: engine or Processes(), caller or Caller(), secrets=secrets)


def alone(place: Place, sources: Any, **fields: Any) -> LoadResult:
    return vecload.load(sources, to=place.to, index=place.index, key=place.key, **fields)


def rejects_in(file: Path) -> list[Any]:
    return sorted(
        [json.loads(line) for line in file.read_text().splitlines()], key=lambda r: (r["source"], r["row"])
    )


def outcome(result: LoadResult) -> dict[str, Any]:
    return {
        name: getattr(result, name)
        for name in ("status", "read", "loaded", "rejected", "skipped", "repeated", "exit_code")
    }


def three_files(folder: Path, **how: Any) -> Path:
    for number in range(3):
        write(folder / f"{number}.parquet", [f"{number}-{row}" for row in range(230)], **how)
    return folder


def test_every_item_is_as_a_load_by_one_process_stores_it(tmp_path: Path, place: Callable[[], Place]) -> None:
    one, several = place(), place()
    files = three_files(tmp_path / "in", missing=[3, 120])
    expected = alone(one, files, max_errors=10, rejects=tmp_path / "one")
    result = distributed(several, files, max_errors=10, rejects=str(tmp_path / "several"))
    assert outcome(result) == outcome(expected)
    assert (result.splits, result.attempts) == (9, 9)
    assert several.items() == one.items()
    assert len(one.items()) == 684
    assert rejects_in(tmp_path / "several") == rejects_in(tmp_path / "one")
    assert vecload.verify(files, to=one.to, index=several.index, key=one.key, max_errors=10).equal


@pytest.mark.parametrize("policy", ["reject", "last"])
def test_ids_in_several_splits_and_files_end_as_in_a_load_by_one_process(
    tmp_path: Path, place: Callable[[], Place], policy: str
) -> None:
    folder = tmp_path / "in"
    ids = [f"a{row}" for row in range(230)]
    write(folder / "0.parquet", [*ids[:200], *ids[:30]], missing=[5, 31, 205])
    write(folder / "1.parquet", [f"b{row}" for row in range(100)] + ["a5", "a6", "b1", "a150"], missing=[40])
    write(folder / "2.parquet", ["b40", "b41", "a31", "a31", "c"])
    one, several = place(), place()
    fields = {"max_errors": 100, "repeated_ids": policy}
    expected = alone(one, folder, **fields, rejects=tmp_path / "one")
    result = distributed(several, folder, **fields, rejects=str(tmp_path / "several"))
    assert outcome(result) == outcome(expected)
    assert result.repeated > 30
    assert several.items() == one.items()
    ours, theirs = rejects_in(tmp_path / "several"), rejects_in(tmp_path / "one")
    assert [(r["source"], r["row"], r["code"]) for r in ours] == [
        (r["source"], r["row"], r["code"]) for r in theirs
    ]


def test_ids_that_are_assumed_to_be_unique_are_not_read_before(
    tmp_path: Path, place: Callable[[], Place]
) -> None:
    engine = Processes()
    files = three_files(tmp_path / "in")
    result = distributed(place(), files, engine, repeated_ids="assume-unique")
    assert (result.loaded, len(engine.pickled)) == (690, result.splits)
    assert "ids    assumed to be unique: not compared" in result.lines()


def test_the_ids_of_many_splits_are_read_by_few_tasks(tmp_path: Path, place: Callable[[], Place]) -> None:
    engine = Processes()
    result = distributed(place(), three_files(tmp_path / "in"), engine)
    assert (result.loaded, result.splits, len(engine.pickled)) == (690, 9, 9 + engine.workers)


def test_a_split_whose_worker_is_killed_is_loaded_again(tmp_path: Path, place: Callable[[], Place]) -> None:
    files = three_files(tmp_path / "in", missing=[3])
    engine, there, said = Processes(), place(), []
    with Proxy(there.to) as proxy:

        def dies(exchange: Exchange) -> None:
            exchange.pass_on()
            if exchange.number == 4:
                engine.kill_one()

        proxy.behave = dies
        result = distributed(
            replace(there, to=proxy.url),
            files,
            engine,
            Caller(say=said.append),
            max_errors=3,
            rejects=str(tmp_path / "rejects"),
            batch_rows=20,
        )
    assert (result.loaded, result.rejected, result.splits) == (687, 3, 9)
    assert result.attempts == 10
    assert sum("a worker died" in line for line in said) == 1
    assert len(rejects_in(tmp_path / "rejects")) == 3
    assert vecload.verify(files, to=there.to, index=there.index, key=there.key, max_errors=3).equal


def test_a_split_that_kills_every_worker_ends_the_load(tmp_path: Path, place: Callable[[], Place]) -> None:
    class Dies(Processes):
        def wait(self, seconds: float) -> list[Any]:
            if self._running:
                self.kill_one()
            return super().wait(seconds)

    with pytest.raises(vecload.TargetError, match="its worker died 3 times; look at") as stopped:
        distributed(place(), write(tmp_path / "a.parquet", ["a", "b"]), Dies(), repeated_ids="last")
    assert stopped.value.result.exit_code == 1


def test_a_load_that_stopped_is_ended_by_either_kind_of_load(
    tmp_path: Path, place: Callable[[], Place]
) -> None:
    files = three_files(tmp_path / "in", missing=[3, 120])
    fields: dict[str, Any] = {"max_errors": 6, "rejects": str(tmp_path / "rejects")}
    there, stop = place(), threading.Event()
    caller = Caller(stop=stop, on_progress=lambda progress: stop.set() if progress.read > 250 else None)
    with pytest.raises(vecload.Interrupted) as stopped:
        distributed(there, files, caller=caller, **fields)
    partly = stopped.value.result
    assert 250 < partly.read < 690
    stop.clear()
    last = 0

    def stop_in_a_split(progress: Any) -> None:
        nonlocal last
        last = progress.read
        if progress.read > partly.read + 40:
            stop.set()

    with pytest.raises(vecload.Interrupted):
        alone(there, files, **fields, batch_rows=20, concurrency=1, on_progress=stop_in_a_split, stop=stop)
    result = distributed(there, files, **fields)
    assert (result.read, result.rejected, result.loaded + result.skipped) == (690, 6, 684)
    assert partly.read < result.skipped + result.rejected < 690
    assert vecload.verify(files, to=there.to, index=there.index, key=there.key, max_errors=6).equal
    assert len(rejects_in(tmp_path / "rejects")) == 6
    again = alone(there, files, **fields, skip_loaded=True)
    assert (again.loaded, again.skipped) == (0, 684)


def test_too_many_rejects_stop_the_load_and_name_the_row(tmp_path: Path, place: Callable[[], Place]) -> None:
    files = three_files(tmp_path / "in", missing=[130])
    with pytest.raises(vecload.RowsRejected, match=r"row 130 .*rows rejected so far") as stopped:
        distributed(place(), files, max_errors=1, rejects=str(tmp_path / "rejects"))
    assert stopped.value.exit_code == 4
    assert {reject["row"] for reject in rejects_in(tmp_path / "rejects")} == {130}


def test_what_a_worker_gets_holds_no_secret(tmp_path: Path, place: Callable[[], Place]) -> None:
    there, engine = place(), Processes()
    key = vecload.Key.load(there.key)
    api_key = tmp_path / "api.key"
    api_key.write_text("canary-of-the-api-key")
    api_key.chmod(0o600)
    request = request_of(
        write(tmp_path / "a.parquet", ["a", "b"], group=1),
        to=there.to,
        index=there.index,
        key=str(there.key),
        api_key="canary-of-the-api-key",
        options=None,
        changes={"rows_per_split": 1},
    )
    secrets = SecretReferences.of(request.keys, Reference("file", str(api_key)))
    assert run_distributed(request, lambda: engine, Caller(), secrets=secrets).loaded == 2
    sent = b"".join(engine.pickled)
    assert str(api_key).encode() in sent
    for secret in (b"canary", b"private", key.index_key, key.contents_key, key.index_key.hex().encode()):
        assert secret not in sent


def test_faults_of_the_network_are_the_workers_to_retry(tmp_path: Path, place: Callable[[], Place]) -> None:
    files, there = three_files(tmp_path / "in"), place()

    def sometimes(exchange: Exchange) -> None:
        if exchange.number % 3 == 0:
            exchange.reset() if exchange.number % 2 else exchange.send(
                b"HTTP/1.1 429 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
            )
        else:
            exchange.pass_on()

    with Proxy(there.to, sometimes) as proxy:
        result = distributed(replace(there, to=proxy.url), files, batch_rows=50)
    assert result.loaded == 690
    assert result.retries >= 5
    assert vecload.verify(files, to=there.to, index=there.index, key=there.key).equal


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"changed_only": True}, "--changed-only does not work with a load on a cluster"),
        ({"split": "0/2"}, "--split does not work with a load on a cluster"),
        ({"to": "folder"}, "workers can't share an embedded store"),
    ],
)
def test_what_a_cluster_can_not_do_is_refused(
    tmp_path: Path, place: Callable[[], Place], fields: dict[str, Any], message: str
) -> None:
    there = place()
    if "to" in fields:
        there = replace(there, to=str(tmp_path / fields.pop("to")))
    with pytest.raises(vecload.UsageError, match=message):
        distributed(there, write(tmp_path / "a.parquet", ["a"]), **fields)


def test_other_files_than_parquet_are_refused_before_anything_is_created(
    tmp_path: Path, place: Callable[[], Place]
) -> None:
    there = place()
    (tmp_path / "a.jsonl").write_text('{"id": "a", "vector": [1, 2]}\n')
    with pytest.raises(vecload.SourceError, match="is JSON Lines, and only Parquet can be split"):
        distributed(there, tmp_path / "a.jsonl")
    assert there.index not in vecload.connect(there.to).list_indexes()


def test_progress_counts_rows_of_all_workers(tmp_path: Path, place: Callable[[], Place]) -> None:
    seen: list[Any] = []
    began = time.monotonic()
    distributed(place(), three_files(tmp_path / "in"), caller=Caller(on_progress=seen.append))
    assert [one.read for one in seen] == sorted(one.read for one in seen)
    assert (seen[-1].read, seen[-1].rows, seen[-1].part) == (690, 690, 1.0)
    assert 0 < seen[-1].seconds < time.monotonic() - began


def test_rejects_that_were_written_before_the_journal_are_not_written_twice(
    tmp_path: Path, place: Callable[[], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    files, there = three_files(tmp_path / "in", missing=[3, 120]), place()
    fields: dict[str, Any] = {"max_errors": 9, "rejects": str(tmp_path / "rejects")}
    commit, commits = Journal.commit, 0

    def dies(self: Journal, *, reject_bytes: int | None, finished: bool = False) -> None:
        nonlocal commits
        commits += 1
        if commits > 4:
            raise vecload.VecloadError("killed here")
        commit(self, reject_bytes=reject_bytes, finished=finished)

    with monkeypatch.context() as faults:
        faults.setattr(Journal, "commit", dies)
        with pytest.raises(vecload.VecloadError, match="killed here"):
            distributed(there, files, **fields)
    assert len(rejects_in(tmp_path / "rejects")) > 0
    result = distributed(there, files, **fields)
    assert result.skipped > 0
    assert (result.read, result.rejected) == (690, 6)
    found = [(reject["source"], reject["row"]) for reject in rejects_in(tmp_path / "rejects")]
    assert len(found) == len({*found}) == 6
