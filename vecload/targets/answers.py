"""The service's answers: each becomes an acknowledgement, a checked value, or an error of ours.

The service reports the same fault in several ways (docs/cyborgdb.md): a wrong index key is a 404 on one
thread and a 401 on another, a locked store is a 400, and a missing index is a 404 about an envelope.

Answers may repeat the request, which contains keys, contents and metadata. The service's 422 bodies do, so of
them errors show only the places and kinds of the faults. A proxy may do so with any status, in another form:
with spaces, in other letters, as base64. So errors show a text only if it begins like one of the service's
own, only up to the first quotation mark or brace, with which every JSON value of the request begins, and
without what EchoFilter (echoes.py) finds. It compares letters and digits alone.
"""

from __future__ import annotations

import email.utils
import json
import math
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, get_args

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
    TrainingFailed,
    Unauthorised,
    VecloadError,
    WrongKey,
)
from vecload.options import Metric
from vecload.safe_text import one_line
from vecload.targets.base import DIMENSION_MAX, IndexInfo
from vecload.targets.queries import Hit, hit_of

RETRY_AFTER_MAX_SECONDS = 300.0
COUNT_MAX = 2**63 - 1

_UPSERTED = re.compile(r"Upserted ([0-9]{1,18}) vectors")

_OWN = re.compile(
    r"(Failed to |Operation failed|Index not found|Wrong encryption key|No KMS envelope|KMS |"
    r"AWS (?:KMS|Secrets Manager|STS) |Unknown KMS registry entry|"
    r"[Ii]ndex '|Index was not |Invalid |API Key is |This operation requires|User management requires|"
    r"There was an error parsing the body|"
    r"BatchPushVariable |Item limit reached|[Ee]mbedding |Unexpected server error|Request timeout|"
    r"Training failed|Training )"
)
"""How messages of the service and of its engine begin (0.18)."""
_WORD = re.compile(r"[A-Za-z0-9_-]{1,40}")
_PLACES = 8
"""Parts of a fault's place that are shown: deeper ones come from the request."""
_UNEXPLAINED = b"Internal Server Error"
"""All that the service says where it fails outside of its own handling of errors."""
_JSON = re.compile(r'["{]')

_Maker = Callable[[str], VecloadError]


def _wrong_key(detail: str) -> VecloadError:
    return WrongKey(
        f"the service refuses the index key ({detail})", hint="name the right one with --key-file"
    )


def _unauthorised(detail: str) -> VecloadError:
    return Unauthorised(
        f"the service refuses the API key ({detail})", hint="set VECLOAD_API_KEY, or use --api-key-file"
    )


def _denied(detail: str) -> VecloadError:
    return Unauthorised(
        f"the API key is a user token without the permission for this ({detail})",
        hint="use a token of this index, with the permissions 'read' and 'write' to load",
    )


def _not_its_index(detail: str) -> VecloadError:
    return Unauthorised(
        f"the API key is a user token of another index, or it was revoked ({detail})",
        hint="name the token's index with --index, or set VECLOAD_API_KEY to a token of this one",
    )


def _not_root(detail: str) -> VecloadError:
    return RootKeyNeeded(
        f"the API key is a user token, and only the service's root API key may do this ({detail})",
        hint="set VECLOAD_API_KEY to the root API key; a user token reads and writes the items of one index",
    )


def _kms_failed(detail: str) -> VecloadError:
    """What a failure of the service's KMS means: it is not reached, or it refuses."""
    if "request failed" in detail or any(code in detail for code in _KMS_PASSING):
        busy = Busy(
            f"the service can't get the index key from its KMS at the moment ({detail})",
            hint="run again when the service reaches its KMS",
            status=503,
        )
        failed: VecloadError = busy
    else:
        failed = KmsRefused(
            f"the service can't get the index key from its KMS ({detail})",
            hint="whoever runs the service must correct its KMS settings",
        )
    failed.refused = True  # whatever the status: without the key it did nothing
    return failed


_KMS_PASSING = (
    "Throttling",
    "TooManyRequests",
    "DependencyTimeout",
    "KeyUnavailable",
    "KMSInternal",
    "InternalService",
    "ServiceUnavailable",
    "InternalFailure",
)
"""How codes of AWS begin that may pass by themselves."""


def _locked(detail: str) -> VecloadError:
    return StoreLocked(
        f"another process holds the service's store ({detail})", hint="stop the other process, then run again"
    )


def _limit(detail: str) -> VecloadError:
    return ItemLimit(
        f"the index is full ({detail})",
        hint="the items that it has stay; near the limit, rows that replace items are refused too; "
        "the service needs a CyborgDB licence key to hold more",
    )


_MEANINGS: tuple[tuple[str, _Maker], ...] = (
    ("Index not found: permission denied", _not_its_index),
    ("permission denied", _denied),
    ("requires an admin", _not_root),
    ("AWS KMS ", _kms_failed),
    ("AWS Secrets Manager ", _kms_failed),
    ("AWS STS ", _kms_failed),
    ("KMS error: ", _kms_failed),
    ("no longer in the YAML registry", _kms_failed),
    (
        "Unknown KMS registry entry",
        lambda detail: IndexMismatch(
            f"the service has no KMS of that name ({detail})",
            hint="name one from kms.registry of the service's configuration with --kms",
        ),
    ),
    ("locked by another store", _locked),
    ("Item limit reached", _limit),
    ("Wrong encryption key", _wrong_key),
    ("Failed to unwrap DEK", _wrong_key),
    (
        "client_kek required",
        lambda detail: IndexKeyNeeded(
            f"the service needs the index key ({detail})", hint="name a key file that contains it"
        ),
    ),
    (
        "do not supply index_key",
        lambda detail: KmsBacked(
            f"the index is KMS-backed, and an index key was sent ({detail})",
            hint="name a key file with the contents key alone",
        ),
    ),
    ("No KMS envelope", lambda detail: IndexNotFound(f"the service has no such index ({detail})")),
    ("Config item not found", lambda detail: IndexNotFound(f"the index is not created yet ({detail})")),
    ("does not exist", lambda detail: IndexNotFound(f"the service has no such index ({detail})")),
    ("already exists", lambda detail: IndexExists(f"the service already has that index ({detail})")),
    (
        "not set up for automatic embedding",
        lambda detail: IndexMismatch(
            f"the index has no embedding model ({detail})",
            hint="omit --embed, and give every row a vector",
        ),
    ),
)
"""Parts of the engine's messages that say more than the status, and what each means."""


def error_of(
    status: int, headers: Mapping[str, str], body: bytes, redact: Callable[[str], str] = one_line
) -> VecloadError:
    """The error that an answer other than 200 means.

    Args:
        status: HTTP status.
        headers: Response headers, by lower-case names.
        body: The response's body.
        redact: Makes a text of the body safe to show.

    Returns:
        An error without keys, contents or parts of request bodies.
    """
    message, detail = _message_in(status, body)
    detail = redact(detail) or "no reason given"
    for part, make in _MEANINGS:
        if part in message:
            return make(detail)
    if status in (401, 403):
        return _unauthorised(detail)
    if status == 408 or status == 429 or status >= 500:
        busy = Busy(f"the service answered {status} ({detail})", status=status)
        busy.unexplained = status == 500 and body == _UNEXPLAINED
        busy.retry_after = retry_after_seconds(headers.get("retry-after"), time.time())
        return busy
    if status in (400, 413, 422):
        return BatchRefused(f"the service refused the request with {status} ({detail})")
    if 300 <= status < 400:
        return TargetError(
            f"the service answered with a redirect ({status}), which is not followed",
            hint="give --to the service's own address",
        )
    return TargetError(
        f"the service answered {status} ({detail})", hint="is this the address of a CyborgDB service?"
    )


def check_upserted(body: bytes, items: int) -> None:
    """Check that the body of a 200 acknowledges that many items.

    Raises:
        NotAcknowledged: It is not JSON, does not report success, or has another number of items.
    """
    answer = object_of(body)
    message = answer.get("message")
    counted = _UPSERTED.fullmatch(message) if isinstance(message, str) else None
    if answer.get("status") != "success" or counted is None:
        raise NotAcknowledged("the service answered 200, but did not acknowledge the upsert")
    if int(counted[1]) != items:
        raise NotAcknowledged(f"the service acknowledged {counted[1]} of {items} items")


def check_deleted(answer: dict[str, Any]) -> None:
    """Check that an answer says that items were deleted.

    Raises:
        NotAcknowledged: It does not.
    """
    if answer.get("status") != "success":
        raise NotAcknowledged("the service answered 200, but did not acknowledge the deletion")


def check_trained(answer: dict[str, Any]) -> None:
    """Check that an answer says that a training succeeded.

    Raises:
        TrainingFailed: It does not.
    """
    if answer.get("status") != "success":
        message = answer.get("message")
        reason = one_line(_own(message)) if isinstance(message, str) else ""
        raise TrainingFailed(
            f"the index was not trained ({reason or 'no reason given'})",
            hint="the loaded items stay, and queries find them",
        )


def object_of(body: bytes) -> dict[str, Any]:
    """The JSON object in a body. Integers of up to 4300 digits stay exact; every number is finite.

    Raises:
        NotAcknowledged: The body is not a JSON object.
    """
    try:
        answer = json.loads(body, parse_constant=_refused, parse_float=_finite)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise NotAcknowledged(
            "the service answered 200, but not with a JSON object",
            hint="is this the address of a CyborgDB service?",
        )
    return answer


def _refused(constant: str) -> float:
    raise ValueError(constant)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number


def hits_of(answer: dict[str, Any], queries: int, ranked_by: str | None = None) -> list[list[Hit]]:
    """The results in an answer to a query, for each of its vectors.

    Args:
        answer: The answer.
        queries: How many vectors the query had. For a single one the service returns its results alone.
        ranked_by: What every result must have: `distance` or `score`; None is neither.

    Raises:
        NotAcknowledged: The answer has something else.
    """
    results = answer.get("results")
    groups = [results] if queries == 1 else results
    try:
        if not isinstance(groups, list) or len(groups) != queries:
            raise TypeError
        found = [[hit_of(result) for result in results_of({"results": group})] for group in groups]
        if ranked_by and any(getattr(hit, ranked_by) is None for hits in found for hit in hits):
            raise TypeError
        return found
    except (KeyError, TypeError, ValueError, OverflowError):
        raise NotAcknowledged("the service returned results in an unknown form") from None


def texts_of(answer: dict[str, Any], field: str) -> list[str]:
    """A field that is a list of texts.

    Raises:
        NotAcknowledged: It is not.
    """
    texts = answer.get(field)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise NotAcknowledged(f"the service returned no list of {field}")
    return texts


def number_of(answer: dict[str, Any], field: str) -> int:
    """A field that is a whole number.

    Raises:
        NotAcknowledged: It is not.
    """
    number = answer.get(field)
    if type(number) is not int or not 0 <= number <= COUNT_MAX:
        raise NotAcknowledged(f"the service returned no number as {field}")
    return number


def retry_after_seconds(value: str | None, now: float) -> float | None:
    """The seconds of a Retry-After header, which is a number or a date; 300 at most.

    Args:
        value: The header, if there is one.
        now: Seconds since the epoch.
    """
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - now
        except (ValueError, OverflowError):
            return None
    if seconds != seconds:
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_MAX_SECONDS)


def _message_in(status: int, body: bytes) -> tuple[str, str]:
    """What the body says about the fault: all of it, and the part that is the service's own text."""
    try:
        answer = json.loads(body)
        detail = answer.get("detail", "") if isinstance(answer, dict) else ""
    except (ValueError, RecursionError):
        detail = body.decode("utf-8", "replace")
    if isinstance(detail, list):
        return "", "; ".join(_place(fault) for fault in detail[:3])
    if status == 422 or not isinstance(detail, str):
        return "", ""
    return detail, _own(detail)


def _own(detail: str) -> str:
    """The part of a text that is the service's own; nothing if it does not begin like one of its messages."""
    # After "Invoked with" come the arguments of the engine's call, which include the index key.
    detail = detail.partition("Invoked with")[0].removeprefix('"')
    return _JSON.split(detail, maxsplit=1)[0] if _OWN.match(detail) else ""


def _place(fault: Any) -> str:
    if not isinstance(fault, dict):
        return "invalid"
    place = fault.get("loc")
    where = ".".join(map(_name, place[:_PLACES])) if isinstance(place, list) else "request"
    return f"{where}: {_name(fault.get('type', 'invalid'))}"


def _name(part: Any) -> str:
    """A part of a place, or a kind of fault, if it is a number or a short word."""
    return str(part) if _WORD.fullmatch(str(part)) else "…"


def results_of(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The results in an answer to a get or a query, each of them an object with an id.

    Raises:
        NotAcknowledged: The answer has something else.
    """
    results = answer.get("results")
    if not isinstance(results, list) or not all(
        isinstance(result, dict) and isinstance(result.get("id"), str) for result in results
    ):
        raise NotAcknowledged("the service answered without results")
    return results


def index_info(name: str, answer: dict[str, Any]) -> IndexInfo:
    """The description of an index in an answer, checked: people see it, and it decides what is sent.

    Raises:
        NotAcknowledged: The answer has something else.
    """
    schema = answer.get("metadata_schema") or {}
    metric = answer.get("metric")
    try:
        if not isinstance(metric, str) or metric not in get_args(Metric) or not isinstance(schema, dict):
            raise TypeError
        for field, policy in schema.items():
            field.encode()
            if not isinstance(policy, dict) or not all(type(value) is bool for value in policy.values()):
                raise TypeError
        return IndexInfo(
            name=name,
            dimension=_whole(answer["dimension"] or 0, DIMENSION_MAX),
            metric=metric,
            trained=bool(answer["is_trained"]),
            n_lists=_whole(answer["n_lists"], COUNT_MAX),
            metadata_schema=schema,
            bm25=_bm25(answer.get("bm25")),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        raise NotAcknowledged("the service described the index in an unknown form") from None


def _bm25(config: Any) -> dict[str, Any] | None:
    if config is None:
        return None
    version = config.get("analyzer_version")
    if not isinstance(version, str | None):
        raise TypeError
    return {"k1": float(config["k1"]), "b": float(config["b"]), "analyzer_version": version}


def _whole(number: Any, most: int) -> int:
    if type(number) is not int or not 0 <= number <= most:
        raise ValueError
    return number
