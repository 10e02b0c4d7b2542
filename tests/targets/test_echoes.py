"""What an answer repeats of its request is found, whatever it was made of, and nothing else is."""

from __future__ import annotations

import base64
import json

import pytest

from vecload.targets.echoes import EchoFilter

KEY = bytes.fromhex("8d1f7c03a95be264f0127d9c6b3ea8551c40f7d92e86b3a05dc91f7a2be46083")
API_KEY = "cdbk_Qz7Lw2Rk9Tn4"
BODY = json.dumps(
    {
        "index_name": "a-long-name-of-an-index",
        "index_key": KEY.hex(),
        "items": [
            {"id": "a", "metadata": {"note": "a Quartz Melancholia"}, "contents": "Тайна «маяка» и зебры"}
        ],
    },
    ensure_ascii=False,
    separators=(",", ":"),
).encode()
ECHOES = EchoFilter([BODY[:200], BODY[200:]], API_KEY)
FORMS = [
    KEY.hex(),
    KEY.hex().upper(),
    KEY.hex()[:32],
    KEY.hex()[32:],
    KEY.hex(" "),
    base64.b64encode(KEY).decode(),
    base64.b64encode(KEY).decode()[:22],
    base64.b64encode(KEY.hex().encode()).decode(),
    API_KEY,
    " ".join(API_KEY),
    API_KEY.upper(),
    API_KEY.encode().hex(),
    base64.b64encode(API_KEY.encode()).decode(),
]


@pytest.mark.parametrize(
    "echo", [*FORMS, "a Quartz Melancholia", "a-Quartz-Melan", "QUARTZ MELANCHOLIA", "Тайна «маяка» и зебры"]
)
def test_what_was_sent_is_not_told(echo: str) -> None:
    told = ECHOES.redacted(f"Failed to upsert: {echo} !")
    assert told.startswith("Failed to upsert: …")
    assert len(told) < len("Failed to upsert: ") + 8


@pytest.mark.parametrize(
    "text",
    [
        "Failed to upsert vectors: Invalid input: vectors must have 8 dimensions",
        "No KMS envelope for index 'a-long-name-of-an-index'",
        "body.items.3.vector.1: float_type; body.metadata_schema: missing; body.vectors_b64: missing",
        "",
    ],
)
def test_what_was_not_sent_is_told(text: str) -> None:
    assert ECHOES.redacted(text) == text


@pytest.mark.parametrize("form", FORMS)
def test_an_answer_with_a_key_in_it_is_noticed(form: str) -> None:
    answer = json.dumps({"results": [{"id": "a", "metadata": {"note": f"x {form} y"}}]}).encode()
    assert ECHOES.holds_key(answer)


def test_a_plain_key_is_noticed_in_a_large_answer() -> None:
    assert ECHOES.holds_key(b" " * 2_000_000 + KEY.hex().encode())


@pytest.mark.parametrize("api_key", [None, "", "a", "success"])
def test_an_answer_without_a_key_is_not_suspected(api_key: str | None) -> None:
    answer = b'{"status":"success","message":"Upserted 2 vectors","name":"a-long-name-of-an-index"}'
    assert not EchoFilter([BODY], api_key).holds_key(answer)
    assert not EchoFilter((), api_key).holds_key(answer)


def test_nothing_that_was_sent_is_in_its_repr() -> None:
    assert repr(ECHOES) == "EchoFilter()"


@pytest.mark.parametrize("key", ["hunter2pass", "root", "Pa-ss"])
@pytest.mark.parametrize("form", ["{}", " {} ", "({})!"])
def test_a_short_key_is_found_whole(key: str, form: str) -> None:
    echoes = EchoFilter([BODY], key)
    for written in (key, key.upper(), " ".join(key), base64.b64encode(key.encode()).decode()):
        told = echoes.redacted("Invalid API Key " + form.format(written))
        assert written not in told
        assert told.startswith("Invalid API Key ")
    assert echoes.redacted("no such index") == "no such index"
