"""What the service answers, word for word as it does, becomes the right error with nothing secret in it."""

from __future__ import annotations

import email.utils
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vecload.errors import (
    BatchRefused,
    Busy,
    IndexExists,
    IndexKeyNeeded,
    IndexMismatch,
    IndexNotFound,
    ItemLimit,
    KmsBacked,
    KmsRefused,
    NotAcknowledged,
    RootKeyNeeded,
    StoreLocked,
    TargetError,
    Unauthorised,
    VecloadError,
    WrongKey,
)
from vecload.targets.answers import (
    check_upserted,
    error_of,
    object_of,
    retry_after_seconds,
)

KEY = "0123456789abcdef" * 4
NOW = 1_800_000_000.0


def answer(status: int, detail: Any, **headers: str) -> VecloadError:
    return error_of(status, headers, json.dumps({"detail": detail}).encode())


@pytest.mark.parametrize(
    ("status", "detail", "kind", "exit_code"),
    [
        (401, "API Key is required", Unauthorised, 6),
        (401, "Invalid API Key", Unauthorised, 6),
        (401, "Invalid user API key", Unauthorised, 6),
        (
            401,
            'AWS KMS Decrypt request failed: Could not connect to the endpoint URL: "http://kms/"',
            Busy,
            1,
        ),
        (
            401,
            "AWS KMS Decrypt failed: ThrottlingException: An error occurred (ThrottlingException)",
            Busy,
            1,
        ),
        (401, "AWS KMS Decrypt failed: AccessDeniedException: An error occurred (A)", KmsRefused, 6),
        (401, "AWS Secrets Manager get_secret_value failed: AccessDeniedException: no", KmsRefused, 6),
        (
            401,
            "AWS STS AssumeRole for role_arn='arn:aws:iam::1:role/r' failed: AccessDenied: no",
            KmsRefused,
            6,
        ),
        (
            401,
            "index 'k' references kms_name='main' which is no longer in the YAML registry; restore the slot",
            KmsRefused,
            6,
        ),
        (
            502,
            'KMS error: AWS KMS Encrypt request failed: Could not connect to the endpoint URL: "http://kms/"',
            Busy,
            1,
        ),
        (502, "KMS error: AWS KMS Encrypt failed: DisabledException: key is disabled", KmsRefused, 6),
        (400, "\"Unknown KMS registry entry: 'nope'. Known: ['main']\"", IndexMismatch, 2),
        (403, "This operation requires an admin (root) API key", RootKeyNeeded, 6),
        (403, "Failed to upsert vectors: permission denied", Unauthorised, 6),
        (404, "Index not found: permission denied", Unauthorised, 6),
        (
            404,
            "Index not found: Index 'nope' does not exist at the configured storage target",
            IndexNotFound,
            2,
        ),
        (401, "Wrong encryption key for index 't'", WrongKey, 6),
        (
            404,
            "Index not found: Failed to unwrap DEK for index 't': the supplied KEK does not authenticate it",
            WrongKey,
            6,
        ),
        (401, "index 'l2' is provider=none; client_kek required", IndexKeyNeeded, 2),
        (400, "index 'k' is KMS-backed; do not supply index_key. The service resolves it.", KmsBacked, 6),
        (400, "index 'k' is KMS-backed (provider=aws-kms); do not supply index_key. The", KmsBacked, 6),
        (404, "No KMS envelope for index 'nope'", IndexNotFound, 2),
        (400, "KMS blob already exists for index 'a'.", IndexExists, 2),
        (
            400,
            "Failed to create index: Invalid input: Index name emb already exists",
            IndexExists,
            2,
        ),
        (
            400,
            "Failed to upsert vectors: Invalid input: [AlreadyOpen]: data dir /d is locked by another store",
            StoreLocked,
            1,
        ),
        (
            400,
            "Invalid input: Item limit reached: this index is capped at 1000000 items (currently 1000000).",
            ItemLimit,
            1,
        ),
        (
            400,
            "Invalid input: Index was not set up for automatic embedding generation, so vectors are needed.",
            IndexMismatch,
            2,
        ),
        (
            400,
            "BatchPushVariable [InvalidArgument]: batch payload exceeds max_record_size",
            BatchRefused,
            1,
        ),
        (400, "There was an error parsing the body", BatchRefused, 1),
        (413, "Request Entity Too Large", BatchRefused, 1),
        (408, "Request timeout", Busy, 1),
        (429, "slow down", Busy, 1),
        (500, "Internal error", Busy, 1),
        (502, "Bad Gateway", Busy, 1),
        (503, "embedding model unavailable: Could not resolve host", Busy, 1),
        (404, "Not Found", TargetError, 1),
        (405, "Method Not Allowed", TargetError, 1),
        (307, "", TargetError, 1),
        (201, "", TargetError, 1),
    ],
)
def test_each_message_of_the_service_means_one_error(
    status: int, detail: str, kind: type[VecloadError], exit_code: int
) -> None:
    error = answer(status, detail)
    assert type(error) is kind
    assert error.exit_code == exit_code


@pytest.mark.parametrize(
    "detail",
    [
        "AWS KMS Decrypt request failed: Could not connect to the endpoint",
        "KMS error: AWS KMS Encrypt request failed: Could not connect to the endpoint",
        "AWS KMS Decrypt failed: KMSInternalException: An error occurred",
    ],
)
def test_a_kms_that_is_not_reached_is_tried_again_and_not_taken_for_a_wrong_key(detail: str) -> None:
    error = answer(401, detail)
    assert isinstance(error, Busy)
    assert (error.retryable, error.splittable, error.status) == (True, False, 503)
    assert error.refused  # the service did nothing, so a pending key need not stay
    assert "KMS" in str(error)
    assert "--key-file" not in str(error)


def test_the_names_of_the_kms_that_a_service_has_are_shown() -> None:
    error = answer(400, "\"Unknown KMS registry entry: 'nope'. Known: ['main', 'other']\"")
    assert "Known: ['main', 'other']" in str(error)
    assert "--kms" in error.hint


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_worth_another_try_and_keeps_its_status(status: int) -> None:
    error = answer(status, "busy")
    assert isinstance(error, Busy)
    assert (error.retryable, error.splittable, error.status) == (True, False, status)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_a_batch_is_refused_with_may_be_split_and_never_repeated(status: int) -> None:
    error = answer(status, "no")
    assert isinstance(error, BatchRefused)
    assert (error.retryable, error.splittable) == (False, True)


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 405, 418])
def test_nothing_else_is_worth_another_try(status: int) -> None:
    assert not getattr(answer(status, "no"), "retryable", False)


@pytest.mark.parametrize(
    "detail",
    [
        [
            {
                "type": "int_parsing",
                "loc": ["body", "items", 0, "vector"],
                "msg": f"Input should be valid, got {KEY}",
                "input": {"index_key": KEY, "contents": "a secret text"},
                "ctx": {"error": f"a secret text {KEY.upper()}"},
            }
        ],
        {"index_key": KEY, "contents": "a secret text"},
        f"a secret text {KEY}",
        [f"a secret text {KEY}"],
        [[KEY]],
    ],
)
def test_a_422_that_echoes_the_request_shows_neither_key_nor_contents(detail: Any) -> None:
    error = answer(422, detail)
    shown = f"{error} {error!r} {error.args} {vars(error)}".lower()
    assert KEY not in shown
    assert "secret" not in shown


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_a_key_in_any_other_message_is_blotted_out(status: int) -> None:
    error = answer(status, f"Failed to load index: key {KEY} and {KEY.upper()} of the index")
    assert KEY not in f"{error} {error!r}".lower()
    assert "of the index" in str(error)


REQUEST = (
    '{"index_key": "k", "items": [{"id": "a", "contents": "a secret text", "metadata": {"b": "secret"}}]}'
)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 413, 418, 422, 429, 500, 502, 503])
@pytest.mark.parametrize(
    "body",
    [
        REQUEST,
        f"<html>blocked: {REQUEST}</html>",
        "a secret text is too long",
        json.dumps({"detail": REQUEST}),
        json.dumps({"detail": "a secret text is too long"}),
        json.dumps({"detail": f"Failed to upsert vectors: {REQUEST}"}),
        json.dumps({"detail": f"Failed to upsert vectors: {REQUEST!r}"}),
        json.dumps({"detail": f"item limit reached: {REQUEST}; permission denied"}),
        json.dumps({"detail": [{"loc": ["body"], "type": "a", "msg": REQUEST, "input": REQUEST}]}),
        json.dumps({"detail": [{"loc": ["body", "a secret text"], "type": REQUEST}]}),
        json.dumps({"message": "a secret text"}),
    ],
)
def test_no_status_lets_an_echo_of_the_request_be_shown(status: int, body: str) -> None:
    error = error_of(status, {}, body.encode())
    assert "secret" not in f"{error} {error!r} {error.args} {vars(error)}"


@pytest.mark.parametrize(
    "detail",
    [
        "Failed to upsert vectors: Invalid input: vectors must have 8 dimensions",
        "BatchPushVariable [InvalidArgument]: batch payload exceeds max_record_size",
        "Invalid distance metric: dot",
        "Failed to create index: embedding model unavailable: Could not resolve host",
    ],
)
def test_what_the_service_says_itself_is_repeated(detail: str) -> None:
    assert detail in str(answer(400, detail))


def test_a_422_names_the_places_of_the_faults() -> None:
    error = answer(422, [{"type": "float_type", "loc": ["body", "items", 3, "vector", 1], "input": None}])
    assert "body.items.3.vector.1: float_type" in str(error)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"Internal Server Error",
        b"<html>\n<b>no</b></html>",
        b"\xff\xfe\x00",
        b"[1]",
        b"[" * 100_000,
        b"nul",
    ],
)
def test_a_body_of_any_kind_makes_a_message_of_one_short_line(body: bytes) -> None:
    for status in (400, 404, 422, 500):
        message = str(error_of(status, {}, body))
        assert message.isprintable()
        assert len(message) < 500


def test_a_retry_after_reaches_the_error() -> None:
    error = answer(503, "unavailable", **{"retry-after": "30"})
    assert isinstance(error, TargetError)
    assert error.retry_after == 30


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        ("30", 30),
        ("2.5", 2.5),
        (" 7 ", 7),
        ("-5", 0),
        ("86400", 300),
        ("9" * 400, 300),
        ("1e999", 300),
        ("inf", 300),
        ("-inf", 0),
        ("nan", None),
        ("soon", None),
        ("30 seconds", None),
        ("0x10", None),
        (email.utils.formatdate(NOW + 12, usegmt=True), 12),
        (email.utils.formatdate(NOW - 3600, usegmt=True), 0),
        (email.utils.formatdate(NOW + 10**6, usegmt=True), 300),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 300),
        ("Fri, 99 Dec 2026 99:99:99 GMT", None),
        ("Mon, 01 Jan 2026 00:00:00 +99999999", None),
    ],
)
def test_a_retry_after_is_seconds_to_wait_of_300_at_the_most(
    header: str | None, seconds: float | None
) -> None:
    assert retry_after_seconds(header, NOW) == seconds


@given(
    st.text(max_size=40)
    | st.from_regex(r"\A[A-Za-z]{0,4},? ?\d{0,5}[ -][A-Za-z]{0,4}[ -]\d{0,6} [\d:.]{0,12} ?[+-]?\w{0,8}\Z")
)
@example(",")
@example(" ")
@example("Mon, 01 Jan 0001 00:00:00 -0000")
@example("1 Jan 99999999999999999999 00:00:00")
def test_a_retry_after_of_garbage_never_fails(header: str) -> None:
    seconds = retry_after_seconds(header, NOW)
    assert seconds is None or 0 <= seconds <= 300


def test_an_acknowledgement_names_as_many_items_as_were_sent() -> None:
    check_upserted(b'{"status":"success","message":"Upserted 3 vectors"}', 3)
    check_upserted(
        b'{"status":"success","message":"Upserted 3 vectors","training_triggered":true,'
        b'"training_message":"Index training has been triggered (vectors: 66000)"}',
        3,
    )


@pytest.mark.parametrize(
    "body",
    [
        b'{"status":"success","message":"Upserted 2 vectors"}',
        b'{"status":"success","message":"Upserted 33 vectors"}',
        b'{"status":"error","message":"Upserted 3 vectors"}',
        b'{"status":"success","message":"Upserted three vectors"}',
        b'{"status":"success","message":3}',
        b'{"status":"success"}',
        b'{"message":"Upserted 3 vectors"}',
        b'{"ok":true}',
        b"[]",
        b"null",
        b"",
        b"<html>welcome to the hotel wifi</html>",
        b"\xff",
        b"[" * 100_000,
        b'{"status":"success","message":"Upserted 3 vectors"',
    ],
)
def test_any_other_answer_acknowledges_nothing(body: bytes) -> None:
    with pytest.raises(NotAcknowledged) as caught:
        check_upserted(body, 3)
    assert caught.value.retryable


def test_integers_of_any_size_in_an_answer_stay_exact() -> None:
    assert object_of(b'{"n":%d}' % 10**30) == {"n": 10**30}


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity", "9" * 5000])
def test_numbers_that_are_none_are_no_answer(number: str) -> None:
    with pytest.raises(NotAcknowledged):
        object_of(b'{"result":' + number.encode() + b"}")
    with pytest.raises(NotAcknowledged):
        check_upserted(b'{"status":"success","message":"Upserted ' + number.encode() + b' vectors"}', 3)
