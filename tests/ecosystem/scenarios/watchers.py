"""Packages that watch from outside: they wrap LangChain's callback managers and graphs' streams."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langgraph.func import entrypoint, task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import create_react_agent
from openinference.instrumentation.langchain import LangChainInstrumentor
from opentelemetry.instrumentation.langchain import LangchainInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from scenarios import Play, scenario
from scenarios.models import Scripted, calls, says
from scenarios.recording import Recorder

ASKED: Any = {"messages": [HumanMessage("Mail", id="question")]}


@tool
def look_up(word: str) -> str:
    """Look a word up."""
    return f"{word}: a word"


def _team() -> Any:
    """Return an agent with a tool inside a graph that chooses where to go."""
    model = Scripted(turns=[calls(("look_up", {"word": "mail"})), says("Done")])
    agent = create_react_agent(model, [look_up], name="agent")
    builder = StateGraph(MessagesState)
    builder.add_node("first", lambda state: None)
    builder.add_node("agent", agent)
    builder.add_edge(START, "first").add_conditional_edges("first", lambda _: "agent", ["agent"])
    return builder.compile(name="team")


@task
def double(x: int) -> int:
    """Double a number."""
    return 2 * x


@entrypoint()
def flow(x: int) -> int:
    """Double a number twice."""
    return double(double(x).result()).result()


@contextmanager
def _watched(record: Recorder, label: str, instrumentor: Any) -> Iterator[None]:
    """Note the tree of spans that an instrumentation makes of what happens meanwhile."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor.instrument(tracer_provider=provider)
    try:
        yield
    finally:
        instrumentor.uninstrument()
    record(label, _tree(list(exporter.get_finished_spans()), None))


def _tree(spans: list[ReadableSpan], parent: int | None) -> list[Any]:
    """Return the names of the spans in one span, each with those in it, as they began."""
    below = [span for span in spans if (span.parent.span_id if span.parent else None) == parent]
    below.sort(key=lambda span: span.start_time or 0)
    return [
        {"span": span.name, "inside": _tree(spans, span.context.span_id), "ok": span.status.is_ok}
        for span in below
    ]


def _play(record: Recorder, instrumentor: Any) -> None:
    with _watched(record, "invoke", instrumentor):
        _team().invoke(ASKED)
    with _watched(record, "stream", instrumentor):
        list(_team().stream(ASKED, stream_mode=["updates", "messages"], subgraphs=True))
    with _watched(record, "tasks", instrumentor):
        flow.invoke(1)
    with _watched(record, "v3", instrumentor):
        run: Any = _team().stream_events(ASKED, version="v3")
        record("state", len(run.output["messages"]))


async def _play_async(record: Recorder, instrumentor: Any) -> None:
    with _watched(record, "ainvoke", instrumentor):
        await _team().ainvoke(ASKED)
    with _watched(record, "v3", instrumentor):
        run: Any = await _team().astream_events(ASKED, version="v3")
        record("state", len((await run.output())["messages"]))


@scenario("openinference-instrumentation-langchain", "spans of an agent, tasks and run streams")
def openinference() -> Play:
    return lambda record: _play(record, LangChainInstrumentor())


@scenario("openinference-instrumentation-langchain", "spans of an agent and run streams, async")
def openinference_async() -> Play:
    return lambda record: _play_async(record, LangChainInstrumentor())


@scenario("opentelemetry-instrumentation-langchain", "spans of an agent, tasks and run streams")
def openllmetry() -> Play:
    return lambda record: _play(record, LangchainInstrumentor())


@scenario("opentelemetry-instrumentation-langchain", "spans of an agent and run streams, async")
def openllmetry_async() -> Play:
    return lambda record: _play_async(record, LangchainInstrumentor())
