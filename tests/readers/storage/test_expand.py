from __future__ import annotations

from pathlib import Path

import pytest

from vecload.errors import SourceError
from vecload.readers import open_sources
from vecload.readers.storage.expand import FileFinder, leads_to

ROW = b'{"id": "a", "vector": [1, 2]}\n'


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(ROW)


def below(folder: Path, name: str) -> list[str]:
    return [str(Path(file.name).relative_to(folder)) for file in FileFinder().find(name)]


def test_a_folder_is_its_files_sorted_at_any_depth_without_what_is_no_data(tmp_path: Path) -> None:
    make(
        tmp_path, "b/2.jsonl", "b/10.jsonl", "a.jsonl", "_SUCCESS", "_metadata", ".a.crc", "c/.hidden/x.jsonl"
    )
    make(tmp_path, "_temporary/0/x.jsonl", "year=2024/x.jsonl", "_day=1/x.jsonl", "README.md", "state.json")
    found = ["_day=1/x.jsonl", "a.jsonl", "b/10.jsonl", "b/2.jsonl", "year=2024/x.jsonl"]
    assert below(tmp_path, str(tmp_path)) == found
    assert below(tmp_path, f"{tmp_path}/") == found


def test_links_to_folders_are_followed_but_not_in_a_circle(tmp_path: Path) -> None:
    make(tmp_path, "data/a.jsonl", "other/b.jsonl")
    (tmp_path / "data/link").symlink_to(tmp_path / "other")
    (tmp_path / "data/circle").symlink_to(tmp_path / "data")
    assert below(tmp_path, str(tmp_path / "data")) == ["data/a.jsonl", "data/link/b.jsonl"]


def test_a_pattern_is_what_matches_sorted_and_a_file_of_that_very_name_goes_before(tmp_path: Path) -> None:
    make(tmp_path, "a1.jsonl", "a2.jsonl", "b.txt", "c/a3.jsonl", "x[1].jsonl", "x1.jsonl", "c/_SUCCESS")
    assert below(tmp_path, f"{tmp_path}/c/*") == ["c/a3.jsonl"]
    assert below(tmp_path, f"{tmp_path}/c/_*") == ["c/_SUCCESS"]
    assert below(tmp_path, f"{tmp_path}/a*.jsonl") == ["a1.jsonl", "a2.jsonl"]
    assert below(tmp_path, f"{tmp_path}/**/a?.jsonl") == ["a1.jsonl", "a2.jsonl", "c/a3.jsonl"]
    assert below(tmp_path, f"{tmp_path}/x[1].jsonl") == ["x[1].jsonl"]
    with pytest.raises(SourceError, match="no file matches"):
        FileFinder().find(f"{tmp_path}/z*")


def test_a_file_uri_is_a_path(tmp_path: Path) -> None:
    make(tmp_path, "a b.jsonl")
    (file,) = FileFinder().find(f"file://{tmp_path}/a%20b.jsonl")
    assert file.location == str((tmp_path / "a b.jsonl").resolve())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("t/_delta_log/0.json", "a Delta table"),
        ("t/.hoodie/x", "a Hudi table"),
        ("t/_versions/1.manifest", "a Lance table"),
        ("t/metadata/v1.metadata.json", "an Iceberg table"),
    ],
)
def test_a_folder_whose_files_hold_deleted_rows_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    make(tmp_path, "t/a.parquet", name)
    with pytest.raises(SourceError, match=kind):
        FileFinder().find(str(tmp_path / "t"))


def test_a_file_found_twice_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "a.jsonl")
    with pytest.raises(SourceError, match=r"a\.jsonl is named twice"):
        open_sources([str(tmp_path), f"{tmp_path}/a.jsonl"])


def test_an_empty_part_of_a_folder_of_lines_is_no_error_and_empty_parquet_is(
    tmp_path: Path,
) -> None:
    make(tmp_path, "a.jsonl", "b.jsonl")
    (tmp_path / "b.jsonl").write_bytes(b"")
    assert [source.name for source in open_sources([str(tmp_path)])] == [str(tmp_path / "a.jsonl")]
    (tmp_path / "c.parquet").write_bytes(b"")
    with pytest.raises(SourceError, match=r"c\.parquet is empty"):
        open_sources([str(tmp_path)])


def test_a_stranger_in_a_folder_is_named_and_not_passed_by(tmp_path: Path) -> None:
    make(tmp_path, "a.jsonl")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(SourceError, match=r"notes\.txt is neither"):
        open_sources([str(tmp_path)])


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("data", "data/new.jsonl"),
        ("data", "data/deep/er/new.txt"),
        ("data/", "data/_new.jsonl"),
        ("data", "data/.new.jsonl"),
        ("data", "data/README.md"),
        ("data", "other/new.jsonl"),
        ("data/a.jsonl", "data/new.jsonl"),
        ("data/*.jsonl", "data/new.jsonl"),
        ("data/*.jsonl", "data/new.txt"),
        ("data/*.jsonl", "data/deep/new.jsonl"),
        ("data/*.jsonl", "data/_new.jsonl"),
        ("data/_*", "data/_new.jsonl"),
        ("data/**/*.jsonl", "data/deep/new.jsonl"),
        ("d*", "data/deep/new.jsonl"),
        ("d*", "data/deep/_new.jsonl"),
        ("link", "data/new.jsonl"),
        ("link/*", "data/new.jsonl"),
    ],
)
def test_a_name_leads_to_a_file_that_it_would_find_were_it_there(
    tmp_path: Path, name: str, file: str
) -> None:
    make(tmp_path, "data/a.jsonl", "data/deep/b.jsonl", "data/_c.jsonl", "other/a.jsonl")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    told = leads_to(str(tmp_path / name), str(tmp_path / file))
    make(tmp_path, file)
    found = {Path(each.name).resolve() for each in FileFinder().find(str(tmp_path / name))}
    assert told == (tmp_path / file in found)


def test_standard_input_and_stores_lead_to_no_file_of_this_machine(tmp_path: Path) -> None:
    assert not leads_to("-", str(tmp_path / "a"))
    assert not leads_to(f"s3:/{tmp_path}/*", str(tmp_path / "a"))
