from __future__ import annotations

import base64
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sealing import make_vectors
from vecload.errors import SealError
from vecload.sealing import Opener, Sealer, envelope

KEY = bytes(range(32))
GOLDEN = (
    "564c45310101f6699567000102030405060708090a0b0c0d0e0f2e7be6d37c83adeb08ad36cde6ed5521c7bd971ed2ab4e0e20558756"
    "ca62f7cd000000000000000000000000fdfecc7debf2ef2c1844786781969f01f1be0bb10807"
)
VECTORS: list[dict[str, Any]] = json.loads(make_vectors.VECTORS.read_text(encoding="ascii"))

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=50)


def names(case: dict[str, Any]) -> str:
    return case["comment"]


def seal_one(item_id: str, contents: str | bytes, *, sealer: Sealer | None = None) -> bytes:
    (stored,) = (sealer or Sealer(KEY, "docs")).seal([item_id], [contents])
    assert stored is not None
    return base64.b64decode(stored)


def salt_of(sealed: bytes) -> bytes:
    return sealed[10:26]


def nonce_of(stored: str | None) -> bytes:
    assert stored is not None
    return base64.b64decode(stored)[58:70]


def test_the_golden_vector_is_sealed_byte_for_byte() -> None:
    sealer = Sealer(KEY, "docs", urandom=lambda size: bytes(range(16)) if size == 16 else bytes(size))
    assert seal_one("item-1", "héllo", sealer=sealer).hex() == GOLDEN


def test_the_documented_golden_vector_is_the_one_that_is_sealed() -> None:
    document = (Path(__file__).parents[2] / "docs" / "envelope.md").read_text("utf-8")
    assert GOLDEN in document.replace("\n", "")
    assert f"its {len(VECTORS)} vectors" in document


def test_the_file_of_vectors_is_what_the_second_implementation_makes_and_holds_at_least_100() -> None:
    assert make_vectors.vectors() == VECTORS
    assert len(VECTORS) >= 100
    assert len({case["comment"] for case in VECTORS}) == len(VECTORS)


@pytest.mark.parametrize("case", [case for case in VECTORS if "envelope" in case], ids=names)
def test_every_vector_has_its_outcome(case: dict[str, Any]) -> None:
    opener = Opener([bytes.fromhex(case["contents_key"])], case["index"])
    sealed = bytes.fromhex(case["envelope"])
    stored = base64.b64encode(sealed).decode()
    if case["expect"] == "ok":
        plaintext = bytes.fromhex(case["plaintext"])
        expected = plaintext.decode() if case["type"] == "text" else plaintext
        assert opener.open_envelope(case["id"], sealed) == expected
        assert opener.open(case["id"], stored) == expected
        return
    with pytest.raises(SealError) as failed:
        opener.open_envelope(case["id"], sealed)
    assert failed.value.outcome == case["expect"]
    if case["expect"] == "bad magic":
        assert opener.open(case["id"], stored) == stored
    else:
        with pytest.raises(SealError) as failed:
            opener.open(case["id"], stored)
        assert failed.value.outcome == case["expect"]


@pytest.mark.parametrize("case", [case for case in VECTORS if "stored" in case], ids=names)
@pytest.mark.parametrize("form", [str, bytes], ids=["from the service", "from the engine"])
def test_every_stored_vector_has_its_outcome(case: dict[str, Any], form: type) -> None:
    opener = Opener([bytes.fromhex(case["contents_key"])], case["index"])
    stored = case["stored"] if form is str else case["stored"].encode()
    if case["expect"] == "not sealed":
        assert opener.open(case["id"], stored) == stored
    elif case["expect"] == "ok":
        assert opener.open(case["id"], stored) == bytes.fromhex(case["plaintext"]).decode()
    else:
        with pytest.raises(SealError) as failed:
            opener.open(case["id"], stored)
        assert failed.value.outcome == case["expect"]


@given(
    index=texts.filter(bool), item_id=texts.filter(bool), contents=st.one_of(texts, st.binary(max_size=200))
)
def test_what_is_sealed_opens_as_the_same_value_of_the_same_type(
    index: str, item_id: str, contents: str | bytes
) -> None:
    stored = Sealer(KEY, index).seal([item_id], [contents])[0]
    assert stored is not None
    assert stored.startswith("VkxFMQE")
    found = Opener([KEY], index).open(item_id, stored)
    assert type(found) is type(contents)
    assert found == contents


@given(contents=st.one_of(texts, st.binary(max_size=40)), data=st.data(), mask=st.integers(1, 255))
@settings(max_examples=300)
def test_an_envelope_with_any_byte_changed_never_opens(
    contents: str | bytes, data: st.DataObject, mask: int
) -> None:
    sealed = bytearray(seal_one("item-1", contents))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= mask
    with pytest.raises(SealError):
        Opener([KEY], "docs").open_envelope("item-1", bytes(sealed))


@given(garbage=st.binary(max_size=200))
def test_garbage_after_the_magic_is_one_clear_error(garbage: bytes) -> None:
    with pytest.raises(SealError):
        Opener([KEY], "docs").open("item-1", base64.b64encode(b"VLE1" + garbage).decode())


@given(stored=st.one_of(texts, st.binary(max_size=100)).filter(lambda value: not envelope.is_sealed(value)))
def test_stored_values_that_were_never_sealed_are_returned_as_given(stored: str | bytes) -> None:
    assert Opener([KEY], "docs").open("item-1", stored) is stored


def test_absent_contents_stay_absent_and_empty_ones_are_sealed() -> None:
    sealed = Sealer(KEY, "docs").seal(["a", "b", "c"], [None, "", b""])
    opener = Opener([KEY], "docs")
    assert sealed[0] is None
    assert [opener.open(item, stored or "") for item, stored in zip("bc", sealed[1:], strict=True)] == [
        "",
        b"",
    ]


def test_contents_are_sealed_whichever_iterable_holds_them() -> None:
    stored = Sealer(KEY, "docs").seal(["a", "b"], (each for each in ("one", b"two")))
    assert Opener([KEY], "docs").open("b", stored[1] or "") == b"two"


def test_ids_and_contents_of_different_lengths_are_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        Sealer(KEY, "docs").seal(["a", "b"], ["one"])


def test_a_sealer_keeps_its_segment_from_batch_to_batch() -> None:
    sealer = Sealer(KEY, "docs")
    assert salt_of(seal_one("a", "x", sealer=sealer)) == salt_of(seal_one("b", "y", sealer=sealer))


def test_two_sealers_never_share_a_segment() -> None:
    assert salt_of(seal_one("a", "x")) != salt_of(seal_one("a", "x"))


def test_a_segment_ends_at_its_bound_of_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, "SEGMENT_ITEMS", 3)
    sealer = Sealer(KEY, "docs")
    salts = [salt_of(seal_one("a", "x", sealer=sealer)) for _ in range(7)]
    assert [salts.count(salt) for salt in dict.fromkeys(salts)] == [3, 3, 1]


def test_a_segment_ends_at_its_bound_of_plaintext(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, "SEGMENT_BYTES", 10)
    sealer = Sealer(KEY, "docs")
    salts = [salt_of(seal_one("a", "xxxxx", sealer=sealer)) for _ in range(5)]
    assert [salts.count(salt) for salt in dict.fromkeys(salts)] == [2, 2, 1]


def test_the_bounds_of_a_segment_are_the_documented_ones() -> None:
    assert (envelope.SEGMENT_ITEMS, envelope.SEGMENT_BYTES) == (16_777_216, 68_719_476_736)


def test_absent_contents_use_up_no_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, "SEGMENT_ITEMS", 2)
    sealer = Sealer(KEY, "docs")
    before = salt_of(seal_one("a", "x", sealer=sealer))
    sealer.seal(["a"] * 5, [None] * 5)
    assert salt_of(seal_one("a", "x", sealer=sealer)) == before


def test_a_forked_child_begins_a_segment_of_its_own() -> None:
    sealer = Sealer(KEY, "docs")
    before = seal_one("a", "parent", sealer=sealer)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover
        os.write(writing, seal_one("a", "child", sealer=sealer))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        of_child = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    assert Opener([KEY], "docs").open_envelope("a", of_child) == "child"
    assert salt_of(of_child) != salt_of(before)
    assert salt_of(seal_one("a", "parent", sealer=sealer)) == salt_of(before)


def test_no_two_items_of_a_segment_share_a_nonce() -> None:
    sealer = Sealer(KEY, "docs")
    nonces = [nonce_of(stored) for _ in range(20) for stored in sealer.seal(["a"] * 100, ["x"] * 100)]
    assert len(set(nonces)) == 2000


def test_nonces_of_a_batch_come_from_one_call_for_randomness() -> None:
    asked: list[int] = []

    def urandom(size: int) -> bytes:
        asked.append(size)
        return os.urandom(size)

    Sealer(KEY, "docs", urandom=urandom).seal(["a", "b", "c"], ["x", None, b"y"])
    assert asked == [16, 24]


def test_two_threads_share_a_sealer_and_every_item_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, "SEGMENT_ITEMS", 500)
    sealer, opener = Sealer(KEY, "docs"), Opener([KEY], "docs")
    sealed: list[tuple[str, str | None]] = []

    def work(name: str) -> None:
        for batch in range(30):
            ids = [f"{name}-{batch}-{i}" for i in range(50)]
            sealed.extend(zip(ids, sealer.seal(ids, ids), strict=True))

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(opener.open(item_id, stored or "") == item_id for item_id, stored in sealed)
    assert len({nonce_of(stored) for _, stored in sealed}) == 3000
    salts = [salt_of(base64.b64decode(stored or "")) for _, stored in sealed]
    assert max(salts.count(salt) for salt in set(salts)) <= 500


def test_an_opener_keeps_a_bounded_number_of_subkeys_and_still_opens_every_segment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(envelope, "OPENER_SEGMENTS", 2)
    opener = Opener([KEY], "docs")
    segments = [seal_one("a", str(number)) for number in range(5)]
    found = [opener.open_envelope("a", sealed) for sealed in segments + segments]
    assert found == ["0", "1", "2", "3", "4"] * 2


def test_an_old_key_opens_what_it_sealed() -> None:
    old = bytes(range(32, 64))
    stored = Sealer(old, "docs").seal(["a"], ["before"])[0]
    assert Opener([KEY, old], "docs").open("a", stored or "") == "before"


def test_an_error_names_the_item_and_the_key_id_and_never_the_contents() -> None:
    sealed = bytearray(seal_one("item-1", "the secret contents"))
    sealed[-1] ^= 1
    with pytest.raises(SealError) as failed:
        Opener([KEY], "docs").open_envelope("item-1", bytes(sealed))
    message = str(failed.value)
    assert "'item-1'" in message
    assert envelope.key_id_of(KEY).hex() in message
    assert "secret" not in message


def test_neither_a_sealer_nor_an_opener_shows_its_key() -> None:
    for shown in (repr(Sealer(KEY, "docs")), repr(Opener([KEY], "docs"))):
        assert "f6699567" in shown
        assert KEY.hex() not in shown
        assert repr(KEY)[2:-1] not in shown
