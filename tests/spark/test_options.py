"""Options of a write: their names, their values, and what they may not hold."""

from __future__ import annotations

import pickle
import secrets
from dataclasses import fields
from typing import Any

import pytest

from vecload.errors import UsageError, VecloadError
from vecload.options import LoadOptions
from vecload.sealing.references import Reference
from vecload.spark.options import PLACE, REFUSED, as_options, read_options
from vecload.targets.reach import REACH_FIELDS

NEEDED = {"to": "https://example.com", "index": "docs"}


@pytest.mark.parametrize("name", ["vector_column", "vector-column", "vectorColumn", "VECTORCOLUMN"])
def test_a_name_is_known_in_every_spelling(name: str) -> None:
    assert read_options({**NEEDED, name: "emb"}).load.vector_column == "emb"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("id_column", "doc, chunk", ("doc", "chunk")),
        ("id_column", '["a,b", "c"]', ("a,b", "c")),
        ("max_errors", "10", 10),
        ("max_errors", "1%", "1%"),
        ("dimension", "768", 768),
        ("batch_rows", "auto", "auto"),
        ("batch_rows", "500", 500),
        ("resume_wait", "0.5", 0.5),
        ("seal", "False", False),
        ("embed", "true", True),
        ("generate_ids", "rows", "rows"),
        ("generate_ids", "true", True),
        ("repeated_ids", "assume-unique", "assume-unique"),
        ("unfilterable", "title,url", ("title", "url")),
        ("id_prefix", "", ""),
    ],
)
def test_a_text_becomes_the_value_of_its_option(name: str, text: str, value: Any) -> None:
    assert getattr(read_options({**NEEDED, name: text}).load, name) == value


def test_every_option_of_a_load_is_one_or_says_why_not() -> None:
    names = {one.name for one in fields(LoadOptions)}
    assert {*REFUSED} <= names
    for name in REFUSED:
        with pytest.raises(UsageError, match=f"option {name} can't be used with Spark; "):
            read_options({**NEEDED, name: "x"})
    assert not {*names} & {*PLACE, *REACH_FIELDS}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"vector_colum": "x"}, "there is no option vector_colum; did you mean vector_column?"),
        ({"zzz": "x"}, "there is no option zzz; see docs/howto/spark.md"),
        ({"to": "somewhere/store"}, "option to is not the URL of a service; name the service"),
        ({"to": ""}, "option to is not the URL of a service"),
        ({"index": ""}, "option index is missing"),
        ({"report": " "}, "option report is empty"),
        ({"embed": "maybe"}, "option embed is 'maybe', neither true nor false"),
        ({"insecure_http": "1"}, "option insecure_http is neither true nor false"),
        ({"id_column": "[1]"}, "option id_column is not a list of names"),
        ({"dimension": "many"}, "dimension is 'many', not a number"),
        ({"max_errors": "-1"}, "max_errors -1 is neither a number of rows nor a percentage"),
        ({"repeated_ids": "first"}, "repeated_ids 'first' is not one of reject, last, assume-unique"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_options({**NEEDED, **options})
    assert said in str(raised.value)


def test_an_option_that_is_missing_is_named() -> None:
    with pytest.raises(UsageError, match="option to is missing; name the service"):
        read_options({"index": "docs"})
    with pytest.raises(UsageError, match="option index is missing"):
        read_options({"to": "https://example.com"})


@pytest.mark.parametrize("name", ["key", "contents_key", "api_key"])
@pytest.mark.parametrize("form", ["{}", "env:{}=", "Bearer {}", "key:{}"])
def test_a_secret_itself_is_refused_and_not_repeated(name: str, form: str) -> None:
    secret = secrets.token_hex(32)
    with pytest.raises(UsageError, match=f"option {name} is not a reference to a secret") as raised:
        read_options({**NEEDED, name: form.format(secret)})
    assert secret not in str(raised.value)


@pytest.mark.parametrize("text", ["", "env", "env:", "file:", "command: ", "env:A B"])
def test_a_reference_that_leads_nowhere_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="option key is not a reference to a secret; write env:NAME"):
        read_options({**NEEDED, "key": text})


def test_several_services_are_one_target() -> None:
    both = read_options({"shards": "http://one:8000, http://two:8000", "index": "docs"})
    assert both.to == "http://one:8000,http://two:8000"
    with pytest.raises(UsageError, match="options to and shards exclude each other"):
        read_options({**NEEDED, "shards": "http://one:8000"})


@pytest.mark.parametrize("name", ["to", "shards", "proxy"])
def test_a_password_in_an_address_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(UsageError, match=f"option {name} holds a user or a password") as raised:
        read_options({**NEEDED, name: "https://somebody:hunter2@example.com"})
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("odd", ["a" * 64, "Bearer_" + "k" * 40, "x y"])
def test_what_is_no_name_of_an_option_is_not_repeated(odd: str) -> None:
    with pytest.raises(UsageError, match="there is no option of that name"):
        read_options({**NEEDED, odd: "x"})


def test_what_the_workers_get_holds_references_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    key, api_key = secrets.token_hex(32), secrets.token_hex(20)
    monkeypatch.setenv("DOCS_KEY", key)
    monkeypatch.setenv("DOCS_API_KEY", api_key)
    options = read_options({**NEEDED, "key": "env:DOCS_KEY", "api_key": "env:DOCS_API_KEY"})
    assert options.secrets.key == Reference("env", "DOCS_KEY")
    place = options.place
    assert place.api_key == api_key
    found = place.keys.named()
    assert found is not None
    assert found[0].index_key.hex() == key
    for said in (pickle.dumps(options), repr(options).encode(), repr(place).encode()):
        assert key.encode() not in said
        assert api_key.encode() not in said


def test_an_error_is_in_the_words_of_a_write() -> None:
    error = as_options(
        VecloadError(
            "a row is bad", hint="fix the row, or skip bad rows with --max-errors and --rejects FILE"
        )
    )
    assert str(error) == "a row is bad; fix the row, or skip bad rows with option max_errors"
    error = as_options(VecloadError("gone", hint="load everything again with --fresh"))
    assert str(error) == "gone; write the DataFrame again"
