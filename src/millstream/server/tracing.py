"""Spans of OpenTelemetry: a run joins the trace of whoever asked for it.

Where no SDK is set up they are nothing, and cost next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, get_tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from millstream.version import __version__

if TYPE_CHECKING:
    from millstream.server.storage.run_records import End, Job

TRACER: Tracer = get_tracer("millstream.server", __version__)
_PROPAGATOR: Final = TraceContextTextMapPropagator()
_HEADERS: Final = ("traceparent", "tracestate")


def trace_of(headers: Mapping[str, str]) -> dict[str, str]:
    """Return what a request says of the trace that it belongs to."""
    return {name: headers[name] for name in _HEADERS if name in headers}


@contextmanager
def run_span(job: Job) -> Iterator[Span]:
    """Have what a run does belong to a span of its own."""
    trace = job.kwargs.get("trace")
    context = _PROPAGATOR.extract(trace) if trace else None
    attributes: dict[str, str | int] = {
        "millstream.run_id": job.run_id,
        "millstream.thread_id": job.thread_id,
        "millstream.assistant_id": job.assistant_id,
        "millstream.attempt": job.attempt,
    }
    name = f"run {job.graph_id}"
    with TRACER.start_as_current_span(name, context, SpanKind.SERVER, attributes) as span:
        yield span


def note_end(span: Span, end: End) -> None:
    """Note with a span how its run has ended."""
    span.set_attribute("millstream.end", end.input)
    if end.input in ("failed", "time_up"):
        span.set_status(Status(StatusCode.ERROR, (end.error or {}).get("error")))
