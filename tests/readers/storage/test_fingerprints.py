from __future__ import annotations

import io

import pytest

from vecload.readers.storage.files import LOCAL, REMOTE, Sampling, by_samples, fingerprint_of, holds

SMALL = Sampling(100, 5, 10)


def test_a_large_file_is_known_by_samples_from_its_first_byte_to_its_last() -> None:
    content = bytes(1000)
    first = fingerprint_of(io.BytesIO(content), 1000, SMALL)
    assert by_samples([first])
    seen = []
    for place in range(1000):
        other = bytearray(content)
        other[place] = 1
        if fingerprint_of(io.BytesIO(other), 1000, SMALL) != first:
            seen.append(place)
    assert seen == [place for begin in (0, 247, 495, 742, 990) for place in range(begin, begin + 10)]


def test_a_small_file_is_known_whole() -> None:
    first = fingerprint_of(io.BytesIO(bytes(100)), 100, SMALL)
    assert not by_samples([first])
    for place in range(100):
        other = bytearray(100)
        other[place] = 1
        assert fingerprint_of(io.BytesIO(other), 100, SMALL) != first


@pytest.mark.parametrize("sampling", [LOCAL, REMOTE])
def test_no_more_is_read_of_a_large_file_than_of_the_largest_that_is_read_whole(sampling: Sampling) -> None:
    class Counting(io.BytesIO):
        total = 0

        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            self.total += size
            return bytes(size)

    stream = Counting()
    fingerprint_of(stream, 10**12, sampling)
    assert stream.total <= sampling.whole_bytes


def test_a_file_that_became_shorter_than_it_was_said_to_be_can_not_be_read() -> None:
    with pytest.raises(OSError, match="shorter"):
        fingerprint_of(io.BytesIO(bytes(10)), 11, SMALL)


@pytest.mark.parametrize("known", ["", "print", "1:2", "a:b:c:d"])
def test_what_is_no_fingerprint_holds_of_nothing(known: str) -> None:
    assert not holds(io.BytesIO(b"a"), 1, known, "1:2:3:4")
