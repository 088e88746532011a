"""Runs in the traces of those who ask for them."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

import waiting
from millstream.server import tracing
from server.fixtures import Running

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_run_joins_the_trace_of_who_asks_for_it(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "TRACER", provider.get_tracer("test"))
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    thread = server.http.post("/threads", json={}).json()["thread_id"]
    for boom in (False, True):
        run = {"assistant_id": "slow", "input": {"n": 1, "delay": 0, "boom": boom}}
        server.http.post(f"/threads/{thread}/runs/wait", json=run, headers=headers)
    server.http.post(f"/threads/{thread}/runs/wait", json=run)

    assert waiting.until(lambda: len(exporter.get_finished_spans()) == 3)
    first, second, third = exporter.get_finished_spans()
    assert [f"{span.context.trace_id:032x}" == TRACE for span in (first, second, third)] == [
        True,
        True,
        False,
    ]
    assert first.parent is not None
    assert f"{first.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert third.parent is None
    assert first.name == "run slow"
    assert (first.attributes or {})["millstream.thread_id"] == thread
    assert second.status.status_code is StatusCode.ERROR
    assert second.status.description == "ValueError"
    provider.shutdown()
