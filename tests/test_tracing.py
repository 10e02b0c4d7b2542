"""Spans of OpenTelemetry, recorded by its own SDK in memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import vecload
from tests.cli.sources import rows, write_jsonl
from tests.faults.proxy import Exchange, Proxy, answer_of


@pytest.fixture(scope="module")
def recorder() -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def spans(recorder: InMemorySpanExporter) -> Iterator[InMemorySpanExporter]:
    recorder.clear()
    yield recorder
    recorder.clear()


def by_name(spans: InMemorySpanExporter) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for span in spans.get_finished_spans():
        found.setdefault(span.name, []).append(span)
    return found


def test_requests_are_within_batches_within_a_load_within_the_callers_span(
    spans: InMemorySpanExporter, tmp_path: Path
) -> None:
    source = write_jsonl(tmp_path / "rows.jsonl", rows(30))
    with trace.get_tracer("a caller").start_as_current_span("nightly"):
        vecload.load(source, to=tmp_path / "store", batch_rows=10)
    found = by_name(spans)
    (nightly,), (load,) = found["nightly"], found["vecload.load"]
    assert load.parent.span_id == nightly.context.span_id
    assert {batch.parent.span_id for batch in found["vecload.batch"]} == {load.context.span_id}
    assert len(found["vecload.batch"]) == len(found["vecload.request"]) == 3
    batches = {batch.context.span_id for batch in found["vecload.batch"]}
    assert {request.parent.span_id for request in found["vecload.request"]} == batches
    spans_of = {
        (one.attributes["vecload.start"], one.attributes["vecload.stop"]) for one in found["vecload.batch"]
    }
    assert spans_of == {(0, 10), (10, 20), (20, 30)}
    assert all(one.attributes["vecload.items"] == 10 for one in found["vecload.batch"])
    assert all(request.kind is trace.SpanKind.CLIENT for request in found["vecload.request"])
    assert all(one.status.is_ok for all_of in found.values() for one in all_of)


def test_an_error_is_the_status_of_its_spans_without_values(
    spans: InMemorySpanExporter, tmp_path: Path, service: str, index_name: str
) -> None:
    source = write_jsonl(tmp_path / "rows.jsonl", rows(3))

    def busy(exchange: Exchange) -> None:
        if exchange.number == 0:
            exchange.send(answer_of(503, b'{"detail": "a text of the server"}', "Retry-After: 0"))
        else:
            exchange.pass_on()

    with Proxy(service, busy) as proxy:
        vecload.load(source, to=proxy.url, index=index_name, create_key=True)
    failed, passed = sorted(by_name(spans)["vecload.request"], key=lambda one: one.start_time)
    assert failed.status.status_code is trace.StatusCode.ERROR
    assert failed.attributes["http.response.status_code"] == 503
    assert failed.attributes["vecload.attempt"] == 1
    assert passed.attributes["vecload.attempt"] == 2
    assert failed.events == ()
    (batch,) = by_name(spans)["vecload.batch"]
    assert batch.attributes["vecload.retries"] == 1
    spans.clear()
    with pytest.raises(vecload.VecloadError):
        vecload.load(tmp_path / "missing.jsonl", to=tmp_path / "store")
    (load,) = by_name(spans)["vecload.load"]
    assert "missing.jsonl can't be read" in load.status.description
    assert load.events == ()
    text = "".join(span.to_json() for span in spans.get_finished_spans())
    assert "Title" not in text
    assert "The text of" not in text


def test_a_process_without_opentelemetry_does_not_import_it(tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "rows.jsonl", rows(3))
    program = (
        "import sys, vecload\n"
        f"vecload.load({str(source)!r}, to={str(tmp_path / 'store')!r})\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
