exec(open('/tmp/w/me/p1.py').read().split("sub('vecload")[0])
sub('vecload/readers/storage.py',('''        stream = cast(BinaryIO, Path(self.path).open("rb", buffer_bytes))
''','''        stream = Path(self.path).open("rb", buffer_bytes)  # noqa: SIM115 it is given away
'''),(', cast\n','\n'),("was only appended to since, as its ends tell.","was only appended to since.\n\n        Its ends tell, as they were."))
sub('tests/readers/test_parallel.py',('''def test_processes_know_no_secret''','''def test_a_file_that_is_replaced_or_cut_in_mid_load_is_not_taken_for_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for number in (0, 2):
        source = write(path, 3000)
        with Parsers(number, pays_from=0) as parsers:
            batches = iter(source.batches(MAPPER, batch_rows=10, batch_bytes=1000, parsers=parsers))
            if number:
                write(tmp_path / "b", 3000)
                (tmp_path / "b").replace(path)
            else:
                next(batches)
                os.truncate(path, 1_500_000 if source.nbytes > 3_000_000 else source.nbytes // 2)
            with pytest.raises(SourceError, match=r"a changed while it was loaded: .*--fresh") as told_so:
                list(batches)
            assert told_so.value.exit_code == 2


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
    with BlockMapper(task) as mapper, pytest.raises(SourceError, match="another file stands in its place"):
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


def test_processes_know_no_secret'''),
('import json\nimport os\n','import errno\nimport json\nimport os\n'),
('from vecload.readers.jsonl import JsonlSource\nfrom vecload.readers.parallel import Parsers, automatic\n','from vecload.readers.blocks import Block\nfrom vecload.readers.jsonl import JsonlSource\nfrom vecload.readers.lines import BlockMapper, Task\nfrom vecload.readers.parallel import Parsers, automatic\n'))
s=open('tests/readers/test_parallel.py').read()
a=s.index("def test_a_file_that_is_replaced_or_cut_in_mid"); b=s.index("def test_a_process_finds_another_file")
s=s[:a]+s[b:]
open('tests/readers/test_parallel.py','w').write(s)
sub('vecload/readers/parallel.py',('''        ours, theirs = socket.socketpair()
        with theirs:
''','''        ours, theirs = socket.socketpair()
        with ExitStack() as failed, theirs:
            failed.callback(ours.close)
'''),('''                process_group=0,
            )
''','''                process_group=0,
            )
            failed.pop_all()
'''),('''        if not self.workers:
            self.workers += [Worker() for _ in range(self._count)]
''','''        if not self._start():
            with BlockMapper(task) as mapper:
                yield from map(mapper.map, blocks)
            return
'''),('''    def close(self) -> None:
        """End the processes."""
''','''    def _start(self) -> bool:
        """Start the processes, as many as can be; False if none can, and this one has to parse."""
        # Those that a machine has no room for are not asked for again.
        with suppress(OSError):
            while len(self.workers) < self._count:
                self.workers.append(Worker())
        self._count = len(self.workers)
        return self._count > 0

    def close(self) -> None:
        """End the processes."""
'''),('''        self.process.kill()
        self.process.wait()
''','''        self.process.kill()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(END_SECONDS)
'''),('''    code = worker.process.wait()
    how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
''','''    try:
        code = worker.process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        how = "does not answer, nor end"
    else:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
'''),('''_QUEUED = 2
''','''END_SECONDS = 1.0
"""How long one that was killed is waited for: it ends at once, unless a disk holds it up."""
_QUEUED = 2
'''),('from collections.abc import Iterator\n','from collections.abc import Iterator\nfrom contextlib import ExitStack, suppress\n'),
('import Task, raw_lines','import BlockMapper, Task, raw_lines'))
