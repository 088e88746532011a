"""What type checkers say about the kit for tests; checked, never run."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, ToolCall
from typing_extensions import assert_type

from millstream.graph import MessagesState
from millstream.graph.state import CompiledStateGraph
from millstream.testing import (
    FakeClock,
    ModelCall,
    NetworkGuard,
    NodeResult,
    Pause,
    RecordedModel,
    ScriptedModel,
    arun_node,
    fake_clock,
    no_network,
    run_node,
    tool_call,
)
from millstream.types import Interrupt, Send


def check_models() -> None:
    """Scripts take every kind of turn, and models are LangChain's."""
    call = tool_call("double", {"number": 1})
    assert_type(call, ToolCall)
    model = ScriptedModel(
        "a text",
        call,
        AIMessage("whole"),
        TimeoutError,
        ConnectionError("cut"),
        ["a", Pause(1), call, ValueError],
        lambda asked: asked.text,
        repeat=True,
    )
    as_usual: list[BaseChatModel] = [model, RecordedModel("run.jsonl.gz", node="speak")]
    assert_type(model.calls, list[ModelCall])
    assert_type(model.calls[0].tools, tuple[str, ...])
    as_usual[0].invoke("?")


async def check_nodes(graph: CompiledStateGraph[MessagesState, Any, Any, Any]) -> None:
    """One node is run by its name or a `Send`."""
    result = run_node(graph, "speak", {"messages": "Hi"}, {"tags": ["a"]}, answers=["yes"])
    assert_type(result, NodeResult)
    assert_type(result.questions, tuple[Interrupt, ...])
    assert_type(await arun_node(graph, Send("speak", 1), context=None), NodeResult)


def check_surroundings() -> None:
    """What is opened says what it is."""
    with fake_clock() as clock, no_network(hosts=["a"], loopback=True) as guard:
        assert_type(clock, FakeClock)
        assert_type(guard, NetworkGuard)
        assert_type(guard.refused, list[str])
