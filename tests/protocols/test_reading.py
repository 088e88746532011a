"""What events tell, in whatever order they come."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage, ToolMessage

from millstream.protocols import facts
from millstream.protocols.reading import Reader
from millstream.types import Command


def event(method: str, data: Any, *namespace: str) -> Any:
    params = {"namespace": list(namespace), "timestamp": 0, "data": data}
    return {"type": "event", "method": method, "params": params}


def spoken(kind: str, message_id: str = "m", **more: Any) -> Any:
    metadata = {"run_id": message_id, "langgraph_node": "agent"}
    return event("messages", ({"event": kind, "id": message_id, **more}, metadata))


def tool(kind: str, **more: Any) -> Any:
    return event("tools", {"event": kind, "tool_call_id": "c", "tool_name": "weigh", **more})


BEGUN = [
    spoken("message-start", role="ai"),
    spoken(
        "content-block-start",
        index=0,
        content={"type": "tool_call_chunk", "id": "c", "name": "weigh", "args": ""},
    ),
    spoken("content-block-delta", index=0, delta={"type": "tool-call-delta", "args": "{}"}),
]
MADE = [
    spoken(
        "content-block-finish",
        index=0,
        content={"type": "tool_call", "id": "c", "name": "weigh", "args": {}},
    ),
    spoken("message-finish"),
]
ANSWERED = [tool("tool-started", input={}), tool("tool-finished", output="a hundred")]
CALL = [
    facts.CallBegan("c", "weigh", "m"),
    facts.CallGrew("c", "{}"),
    facts.CallMade("c", "weigh", "m", {}),
    facts.CallAnswered("c", "weigh", "a hundred"),
]


def told(*events: Any, calls: Any = None) -> list[facts.Fact]:
    reader = Reader(calls)
    return [fact for each in events for fact in reader.read(each)]


def of_calls(found: list[facts.Fact]) -> list[facts.Fact]:
    return [fact for fact in found if type(fact).__name__.startswith("Call")]


def test_a_call_is_told_once_whenever_its_message_ends() -> None:
    assert of_calls(told(*BEGUN, *MADE, *ANSWERED)) == CALL
    assert of_calls(told(*BEGUN, *ANSWERED, *MADE)) == CALL


def test_a_tool_that_nobody_has_called_has_a_call_of_its_own() -> None:
    assert told(*ANSWERED) == [
        facts.CallBegan("c", "weigh", None),
        facts.CallMade("c", "weigh", None, {}),
        CALL[-1],
    ]


def test_another_message_may_make_a_call_with_the_same_id() -> None:
    again = [{**each, "params": {**each["params"]}} for each in (*BEGUN, *MADE)]
    for each in again:
        said, metadata = each["params"]["data"]
        each["params"]["data"] = ({**said, "id": "n"}, {**metadata, "run_id": "n"})
    found = of_calls(told(*BEGUN, *MADE, *ANSWERED, *again, *ANSWERED))

    assert [type(fact) for fact in found] == [type(fact) for fact in CALL] * 2


@pytest.mark.parametrize(
    "written",
    [
        {"messages": [ToolMessage("a hundred", tool_call_id="c")]},
        {"messages": ToolMessage("a hundred", tool_call_id="c")},
        {"messages": [{"type": "tool", "tool_call_id": "c", "content": "a hundred"}]},
        [{"messages": [ToolMessage("a hundred", tool_call_id="c")]}],
    ],
)
def test_a_node_may_answer_for_a_tool(written: Any) -> None:
    answer = event("updates", {"node": written})

    assert of_calls(told(*BEGUN, *MADE, answer)) == CALL
    # Of a call that nobody waits for it says nothing.
    assert told(answer) == []


def test_a_command_has_the_answer_of_its_tool() -> None:
    answer = ToolMessage("a hundred", tool_call_id="c")
    output = Command(update={"messages": [answer]})
    found = told(tool("tool-finished", output=output), calls={"c": "weigh"})

    assert found == [CALL[-1]]


def test_a_question_is_told_once_and_by_the_outermost_graph() -> None:
    question = {"id": "q", "value": "Shall it turn?"}
    inner = event("updates", {"__interrupt__": [question]}, "miller:1")
    outer = event("updates", {"__interrupt__": [question]})
    values = event("values", {"n": 1, "__interrupt__": [question]})

    assert told(inner, outer, values) == [
        facts.Asked("q", "Shall it turn?", namespace=("miller:1",)),
        facts.StateChanged({"n": 1}),
    ]


def test_what_people_and_tools_say_is_not_said_again() -> None:
    human = event("messages", (HumanMessage("hi"), {}))

    assert told(human, spoken("message-start", role="human"), spoken("message-finish")) == []


def test_what_is_open_is_closed_at_the_end() -> None:
    reader = Reader()
    delta = spoken("content-block-delta", index=0, delta={"type": "text-delta", "text": "It "})
    for each in (spoken("message-start", role="ai"), delta):
        list(reader.read(each))

    assert list(reader.close("cut")) == [
        facts.BlockEnded("text", "m:0", "m", "It "),
        facts.MessageEnded("m", {}, error="cut"),
    ]
    assert list(reader.close()) == []


@pytest.mark.parametrize("cut", [spoken("message-finish"), spoken("error", message="cut"), None])
def test_a_call_whose_message_breaks_off_ends(cut: Any) -> None:
    reader = Reader()
    begun = [fact for each in BEGUN for fact in reader.read(each)]
    ended = list(reader.read(cut) if cut is not None else reader.close("cut"))

    assert of_calls([*begun, *ended]) == [*CALL[:2], facts.CallBrokenOff("c", "weigh", "m", "{}")]
    assert isinstance(ended[-1], facts.MessageEnded)
    assert reader.waiting == {}
    # Nobody has called it: a tool that starts has a call of its own.
    assert of_calls(list(reader.read(tool("tool-started", input={})))) == [
        facts.CallBegan("c", "weigh", None),
        facts.CallMade("c", "weigh", None, {}),
    ]


def test_a_call_that_its_tool_has_told_does_not_break_off() -> None:
    assert of_calls(told(*BEGUN, *ANSWERED, spoken("error", message="cut"))) == CALL


def test_a_piece_that_goes_on_later_is_another_one() -> None:
    def say(index: int, kind: str, text: str) -> Any:
        delta = {"type": f"{kind}-delta", kind: text}
        return spoken("content-block-delta", index=index, delta=delta)

    found = told(
        spoken("message-start", role="ai"),
        say(0, "reasoning", "Hm."),
        say(1, "text", "It "),
        say(0, "reasoning", "Yes."),
    )

    assert [fact.block_id for fact in found if isinstance(fact, facts.BlockBegan)] == [
        "m:0", "m:1", "m:2",
    ]  # fmt: skip
    assert [fact.text for fact in found if isinstance(fact, facts.BlockEnded)] == ["Hm.", "It "]
