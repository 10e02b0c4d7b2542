"""Files of vectors alone: what real and hostile ones become."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from vecload.batch import Batch
from vecload.errors import SourceError
from vecload.mapping import ColumnChoice, Mapper, Rules
from vecload.mapping.first_rows import with_first_rows
from vecload.mapping.guess import guess_mapping
from vecload.readers import ReadOptions, open_sources

FLOATS = np.random.default_rng(1).standard_normal((7, 12), dtype=np.float32)
BYTES = np.random.default_rng(1).integers(1, 255, (7, 12)).astype(np.uint8)
ROWS = Rules(generate_ids="rows")


def vecs(values: np.ndarray[Any, Any]) -> bytes:
    return b"".join(struct.pack("<i", values.shape[1]) + row.tobytes() for row in values)


def bin_of(values: np.ndarray[Any, Any]) -> bytes:
    return struct.pack("<II", *values.shape) + values.tobytes()


def load(path: Path, **options: Any) -> Batch:
    (source,) = open_sources([str(path)], ReadOptions(ids_needed="ids_file" in options, **options))
    head = source.head()
    assert head is not None
    columns = with_first_rows(source.columns(), head)
    mapping = guess_mapping(columns, ColumnChoice(), source=source.name, rules=ROWS)
    found = [*source.batches(Mapper(mapping, 12), batch_rows=4, batch_bytes=10**6)]
    assert [len(batch) for batch in found] == [4, 3]
    vectors = np.concatenate([batch.vectors for batch in found if batch.vectors is not None])
    ids = [item for batch in found for item in batch.ids]
    return Batch(ids=ids, vectors=vectors, metadata=None, contents=None, span=found[0].span)


@pytest.mark.parametrize(
    ("name", "data", "values"),
    [
        ("a.fvecs", vecs(FLOATS), FLOATS),
        ("a.bvecs", vecs(BYTES), BYTES),
        ("a.fbin", bin_of(FLOATS), FLOATS),
        ("a.u8bin", bin_of(BYTES), BYTES),
        ("a.i8bin", bin_of(BYTES.astype(np.int8)), BYTES.astype(np.int8)),
    ],
)
def test_vectors_are_read_and_numbered(
    tmp_path: Path, name: str, data: bytes, values: np.ndarray[Any, Any]
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    batch = load(path)
    assert batch.ids == [*"0123456"]
    np.testing.assert_array_equal(batch.vectors, values.astype(np.float32))
    (tmp_path / "ids.txt").write_text("".join(f"id-{n}\n" for n in range(7)))
    assert load(path, ids_file=str(tmp_path / "ids.txt")).ids[6] == "id-6"
    other = tmp_path / "other"
    other.write_bytes(data)
    assert load(other, format=path.suffix[1:]).ids == batch.ids
    with pytest.raises(SourceError, match="or number them with --generate-ids rows"):
        open_sources([str(path)])


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.fvecs", vecs(FLOATS)[:-1], "not whole vectors of 12 dimensions"),
        ("a.fvecs", struct.pack("<ii", -1, 0), "claims 4,294,967,295 dimensions"),
        ("a.fvecs", struct.pack("<ii", 0, 0), "claims 0 dimensions"),
        ("a.bvecs", b"abc", "has 3 bytes, too few"),
        ("a.fbin", struct.pack("<II", 2**32 - 1, 12) + FLOATS.tobytes(), "its header claims 4,294,967,295"),
        ("a.fbin", struct.pack("<II", 7, 2**31) + FLOATS.tobytes(), "claims 2,147,483,648 dimensions"),
        ("a.u8bin", bin_of(BYTES) + b"x", "not whole vectors"),
        ("a.ivecs", vecs(BYTES), "holds the neighbours of queries, not vectors"),
        ("a.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "is not a readable HDF5 file"),
    ],
)
def test_a_wrong_header_is_refused(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SourceError) as raised:
        open_sources([str(tmp_path / name)], ReadOptions(ids_needed=False))
    assert says in str(raised.value)


def test_every_row_of_fvecs_has_the_dimension_of_the_first(tmp_path: Path) -> None:
    data = bytearray(vecs(FLOATS))
    data[5 * 52 : 5 * 52 + 4] = struct.pack("<i", 11)
    (tmp_path / "a.fvecs").write_bytes(data)
    with pytest.raises(SourceError, match="row 5 claims 11 dimensions, and the first has 12"):
        load(tmp_path / "a.fvecs")


def test_the_vectors_of_ann_benchmarks_are_its_dataset_train(tmp_path: Path) -> None:
    path = tmp_path / "glove.hdf5"
    with h5py.File(path, "w") as file:
        file.attrs["distance"] = "angular"
        file.create_dataset("train", data=FLOATS, chunks=(3, 12), compression="gzip")
        file.create_dataset("test", data=FLOATS[:2])
        file.create_dataset("neighbors", data=np.zeros((2, 3), np.int32))
    np.testing.assert_array_equal(load(path).vectors, FLOATS)
    (source,) = open_sources([str(path)], ReadOptions(ids_needed=False))
    assert source.export is not None
    assert source.export.metric == "cosine"
    assert source.kind == "HDF5, dataset 'train'"


def test_hdf5_does_not_lead_to_other_files(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["train"] = FLOATS
    layout = h5py.VirtualLayout((7, 12), "f4")
    layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "train", (7, 12))
    (tmp_path / "raw").write_bytes(FLOATS.tobytes())
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["train"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "train")
        file["soft"] = h5py.SoftLink("/train")
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("raw", (7, 12), "f4", external=[(str(tmp_path / "raw"), 0, 336)])
    with pytest.raises(SourceError, match="has no dataset 'train', and 0 tables of numbers"):
        open_sources([str(tmp_path / "a.h5")], ReadOptions(ids_needed=False))


def test_a_chunk_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("train", (10**6, 1000), "f4", chunks=(10**5, 1000), compression="gzip")
    with pytest.raises(SourceError, match="has chunks of 400,000,000 bytes"):
        open_sources([str(tmp_path / "a.h5")], ReadOptions(ids_needed=False))
