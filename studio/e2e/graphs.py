"""Graphs that the scenes of the studio watch: they talk, ask, fail, nest and take their time."""

import asyncio
import operator
from typing import Annotated, Literal

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from pydantic import BaseModel
from typing_extensions import TypedDict

from millstream.graph import START, MessagesState, StateGraph
from millstream.types import interrupt


class Steps(TypedDict, total=False):
    upto: int
    seen: Annotated[list[int], operator.add]


async def step(state: Steps) -> Steps:
    """Take half a second."""
    await asyncio.sleep(0.5)
    return {"seen": [len(state.get("seen", []))]}


def more(state: Steps) -> str:
    return "step" if len(state["seen"]) < state["upto"] else "__end__"


slow = (
    StateGraph(Steps)
    .add_node(step)
    .add_edge(START, "step")
    .add_conditional_edges("step", more)
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
