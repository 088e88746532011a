"""What type checkers say about run streams and their projections; checked, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models.chat_model_stream import AsyncChatModelStream, ChatModelStream
from langchain_core.messages import AIMessage
from typing_extensions import assert_type

from millstream.graph import MessagesState
from millstream.graph.state import CompiledStateGraph
from millstream.prebuilt import ToolCallTransformer
from millstream.stream import (
    AsyncGraphRunStream,
    AsyncSubgraphRunStream,
    GraphRunStream,
    LifecyclePayload,
    ProtocolEvent,
    StreamChannel,
    StreamTransformer,
    SubgraphRunStream,
    SubgraphStatus,
    UpdatesTransformer,
)
from millstream.stream._transformers.tool_calls import ToolCallStream
from millstream.stream.run_stream import StreamMux, convert_to_protocol_event

Graph = CompiledStateGraph[MessagesState, None, MessagesState, MessagesState]


class Counting(StreamTransformer):
    """A transformer with a channel of its own."""

    required_stream_modes = ("updates",)

    def init(self) -> dict[str, Any]:
        self.counts: StreamChannel[int] = StreamChannel("counts", maxlen=8)
        return {"counts": self.counts}

    def process(self, event: ProtocolEvent) -> bool:
        assert_type(event["method"], str)
        assert_type(event["params"]["namespace"], list[str])
        self.counts.push(1)
        return True


def check_sync(graph: Graph) -> None:
    run = graph.stream_events({"messages": []}, version="v3", transformers=[Counting])
    assert_type(run, GraphRunStream)
    for event in run:
        assert_type(event, ProtocolEvent)
        assert_type(event.get("seq"), int | None)
    for message in run.messages:
        assert_type(message, ChatModelStream)
        assert_type(message.output, AIMessage)
    for handle in run.subgraphs:
        assert_type(handle, SubgraphRunStream)
        assert_type(handle.path, tuple[str, ...])
        assert_type(handle.graph_name, str | None)
        assert_type(handle.trigger_call_id, str | None)
        assert_type(handle.status, SubgraphStatus)
        assert_type(handle.error, str | None)
        for below in handle.subgraphs:
            assert_type(below, SubgraphRunStream)
    for payload in run.lifecycle:
        assert_type(payload, LifecyclePayload)
    for call in run.tool_calls:
        assert_type(call, ToolCallStream)
    assert_type(run.values, StreamChannel[Any])
    assert_type(run.updates.tee(2), tuple[Iterator[dict[str, Any]], ...])
    assert_type(run.interleave("values", "messages"), Iterator[tuple[str, Any]])
    assert_type(run.output, Any)
    assert_type(run.interrupted, bool)
    assert_type(run.interrupts, list[Any])
    run.abort()


def check_leaving(graph: Graph) -> None:
    ways = [UpdatesTransformer, ToolCallTransformer]
    with graph.stream_v2({"messages": []}, {"tags": ["t"]}, transformers=ways) as run:
        assert_type(run, GraphRunStream)


async def check_async(graph: Graph) -> None:
    run = await graph.astream_events({"messages": []}, version="v3", transformers=[Counting])
    assert_type(run, AsyncGraphRunStream)
    async for event in run:
        assert_type(event, ProtocolEvent)
    async for message in run.messages:
        assert_type(message, AsyncChatModelStream)
        assert_type(await message, AIMessage)
    async for handle in run.subgraphs:
        assert_type(handle, AsyncSubgraphRunStream)
        assert_type(await handle.output(), Any)
    assert_type(run.custom.atee(2), tuple[AsyncIterator[Any], ...])
    assert_type(run.interleave("values"), AsyncIterator[tuple[str, Any]])
    assert_type(await run.output(), Any)
    assert_type(await run.interrupted(), bool)
    assert_type(await run.interrupts(), list[Any])
    await run.abort()


async def check_async_leaving(graph: Graph) -> None:
    async with await graph.astream_v2({"messages": []}) as run:
        assert_type(run, AsyncGraphRunStream)


def check_mux() -> None:
    mux = StreamMux(factories=[Counting], is_async=False)
    event = convert_to_protocol_event({"type": "custom", "ns": (), "data": 1})
    assert_type(event, ProtocolEvent)
    mux.push(event)
    mux.close()


def check_refusals(graph: Graph, run: AsyncGraphRunStream) -> None:
    graph.stream_events({"messages": []}, version="v4")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    StreamChannel[int]().push("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    for _ in run:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
