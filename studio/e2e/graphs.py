"""Graphs that the scenes of the studio watch: they talk, ask, fail, nest and take their time.

What takes its time waits at a gate, a file that a scene writes a number into: so a scene decides
how far a run comes, however busy the machine is.
"""

import asyncio
import operator
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Literal

from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import BaseModel
from typing_extensions import TypedDict

from millstream.graph import START, MessagesState, StateGraph
from millstream.types import Send, interrupt

GATES = Path(os.environ.get("STUDIO_GATES", "."))


async def passed(gate: str, number: int) -> None:
    """Wait until a gate is open for more than `number`."""
    path = GATES / gate
    while True:
        if path.is_file() and int(path.read_text()) > number:
            return
        # Another process opens it.
        await asyncio.sleep(0.02)


class Steps(TypedDict, total=False):
    upto: int
    gate: str
    seen: Annotated[list[int], operator.add]


async def step(state: Steps) -> Steps:
    """Wait at the gate, or take half a second."""
    number = len(state.get("seen", []))
    if gate := state.get("gate"):
        await passed(gate, number)
    else:
        await asyncio.sleep(0.5)
    return {"seen": [number]}


def more(state: Steps) -> str:
    return "step" if len(state["seen"]) < state["upto"] else "__end__"


slow = (
    StateGraph(Steps)
    .add_node(step)
    .add_edge(START, "step")
    .add_conditional_edges("step", more)
    .compile()
)


class Parts(TypedDict, total=False):
    count: int
    gate: str
    done: Annotated[list[int], operator.add]


async def part(state: dict[str, Any]) -> Parts:
    await passed(state["gate"], state["number"])
    return {"done": [state["number"]]}


def parts(state: Parts) -> list[Send]:
    return [Send("part", {"number": n, "gate": state["gate"]}) for n in range(state["count"])]


def gather(state: Parts) -> Parts:
    return {}


fans = (
    StateGraph(Parts)
    .add_node(part)
    .add_node(gather)
    .add_conditional_edges(START, parts, ["part"])
    .add_edge("part", "gather")
    .compile()
)


class Choice(BaseModel):
    colour: Literal["red", "blue"]
    reason: str = ""


class Asked(TypedDict, total=False):
    answer: Annotated[list[str], operator.add]


def choose(state: Asked) -> Asked:
    given = interrupt("Which colour?", response_schema=Choice)
    chosen = given if isinstance(given, dict) else given.model_dump()
    return {"answer": [f"{chosen['colour']}: {chosen['reason']}"]}


asks = StateGraph(Asked).add_node(choose).add_edge(START, "choose").compile()


class Note(TypedDict, total=False):
    text: str


def fail(state: Note) -> Note:
    raise ValueError(f"<img src=x onerror=document.title='owned'> {state['text']}")


fails = StateGraph(Note).add_node(fail).add_edge(START, "fail").compile()

HOSTILE = "<script>document.title='owned'</script> [link](javascript:alert(1)) ![x](https://example.com/x.png)"


async def speak(state: MessagesState) -> MessagesState:
    model = GenericFakeChatModel(
        messages=iter([AIMessage(f"You said: {state['messages'][-1].content} {HOSTILE}")])
    )
    return {"messages": [await model.ainvoke(state["messages"])]}


inner = StateGraph(MessagesState).add_node(speak).add_edge(START, "speak").compile()
talks = StateGraph(MessagesState).add_node("team", inner).add_edge(START, "team").compile()


class Said(MessagesState):
    gate: str


class Counting(BaseChatModel):
    """Counts aloud as far as a gate is open."""

    gate: str
    upto: int = 10

    @property
    def _llm_type(self) -> str:
        return "counting"

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **more: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for number in range(self.upto):
            await passed(self.gate, number)
            yield ChatGenerationChunk(message=AIMessageChunk(f"word{number} "))

    def _generate(self, messages: list[BaseMessage], *args: Any, **more: Any) -> ChatResult:
        text = "".join(f"word{number} " for number in range(self.upto))
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])


async def count(state: Said) -> dict[str, Any]:
    return {"messages": [await Counting(gate=state["gate"]).ainvoke(state["messages"])]}


counter = StateGraph(Said).add_node(count).add_edge(START, "count").compile()
counts = (
    StateGraph(Said)
    .add_node("before", lambda state: {})
    .add_node("team", counter)
    .add_edge(START, "before")
    .add_edge("before", "team")
    .compile()
)


DOT = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg"
    "=="
)
MARKDOWN = f"""# The answer

It is **forty-two**, see [the book](https://example.com/book) or [not](javascript:alert(1)):

| question | answer |
|---|---|
| what | `42` |

- one
  - two

![a dot](data:image/png;base64,{DOT}) ![spy](https://example.com/spy.png) <b>HTML</b>
"""


class Priced(BaseChatModel):
    """Says what it has to say, and how many tokens that took."""

    model_name: str
    text: str

    @property
    def _llm_type(self) -> str:
        return "priced"

    def _generate(self, messages: list[BaseMessage], *args: Any, **more: Any) -> ChatResult:
        message = AIMessage(
            self.text,
            usage_metadata={
                "input_tokens": 1000,
                "output_tokens": 200,
                "total_tokens": 1200,
                "input_token_details": {"cache_read": 400},
            },
            response_metadata={"model_name": self.model_name},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


async def plan(state: MessagesState) -> dict[str, Any]:
    return {"messages": [await Priced(model_name="mill-small", text="A plan.").ainvoke("plan")]}


async def write(state: MessagesState) -> dict[str, Any]:
    return {"messages": [await Priced(model_name="mill-large", text=MARKDOWN).ainvoke("write")]}


priced = (
    StateGraph(MessagesState)
    .add_node(plan)
    .add_node(write)
    .add_edge(START, "plan")
    .add_edge("plan", "write")
    .compile()
)


class Held(TypedDict, total=False):
    kind: str
    value: Any


NASTY = {
    "script": HOSTILE,
    "bidi": "\u202eexe.gpj\u202c \u2066left\u2069 \u200f",
    "ansi": "\x1b[2J\x1b]0;owned\x07\x1b[31mred",
    "long": "x" * 300_000,
    "<b onclick=alert(1)>key</b>\u202e": [
        "javascript:alert(1)",
        "data:text/html,<script>1</script>",
    ],
    "messages": [
        {
            "type": "ai",
            "content": [
                {"type": "text", "text": HOSTILE},
                {"type": "image_url", "image_url": {"url": "https://example.com/spy.png"}},
                {
                    "type": "image_url",
                    "image_url": {"url": "data:image/svg+xml,<svg onload=alert(1)/>"},
                },
            ],
            "name": "<i>\u202ename",
            "tool_calls": [{"name": "<u>tool\u202e", "args": {"a": HOSTILE}, "id": "1"}],
        }
    ],
    "__proto__": {"toString": "owned"},
}


def hold(state: Held) -> Held:
    if state.get("kind") == "ask":
        return {"value": interrupt(NASTY)}
    if state.get("kind") == "fail":
        raise RuntimeError(NASTY["bidi"] + NASTY["ansi"] + NASTY["long"])
    return {"value": NASTY}


hostile = StateGraph(Held).add_node(hold).add_edge(START, "hold").compile()
