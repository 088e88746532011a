"""What type checkers say about starting runs, their handles and logs; checked, never run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from typing_extensions import TypedDict, assert_type

from millstream.graph import StateGraph
from millstream.graph.state import CompiledStateGraph
from millstream.runs import Event, EventLog, EventReader, HandleStatus, MemoryLog, RunHandle
from millstream.runtime import RunControl
from millstream.stream import AsyncGraphRunStream, GraphRunStream
from millstream.types import Command, Interrupt


class State(TypedDict):
    x: int


class Output(TypedDict):
    answer: str


@dataclass
class Context:
    user: str


Graph = CompiledStateGraph[State, Context, State, Output]


def check_sync(graph: Graph) -> None:
    with graph.start({"x": 1}, context=Context("Ada"), control=RunControl()) as run:
        assert_type(run, RunHandle[Output])
        assert_type(run.events(after=3), EventReader)
        assert_type(run.stream_events(), GraphRunStream)
        assert_type(run.astream_events(), AsyncGraphRunStream)
        for event in run.events():
            assert_type(event, Event)
            assert_type(event.seq, int)
            assert_type(event.namespace, tuple[str, ...])
            assert_type(event.mode, str)
            assert_type(event.data, Any)
        assert_type(run.wait(timeout=1.5), Output)
        assert_type(run.output, Output)
        assert_type(run.status, HandleStatus)
        assert_type(run.interrupts, tuple[Interrupt[Any], ...])
        assert_type(run.error, BaseException | None)
    run.cancel()
    run.drain("enough")


async def check_async(graph: Graph) -> None:
    config = {"configurable": {"thread_id": "1"}}
    run = await graph.astart(Command(resume=1), config, stream_mode=["values", "custom"])
    async with run:
        async for event in run.events():
            assert_type(event, Event)
        assert_type(await run.await_end(), Output)


def check_logs(log: EventLog) -> None:
    assert_type(log.read(after=2, limit=3)[0], Event)
    check_logs(MemoryLog())


def check_own_log(graph: Graph, log: EventLog) -> None:
    assert_type(graph.start({"x": 1}, log=log), RunHandle[Output])


def check_refusals(graph: Graph) -> None:
    graph.start({"x": 1}, stream_mode="nonsense")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    graph.start({"x": 1}, max_buffered=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    StateGraph(State).compile().start({"x": 1}, context=Context("Ada"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
