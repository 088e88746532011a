"""States as most programs have them: a list that a reducer joins, and messages."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Annotated, Any, Final

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from typing_extensions import TypedDict

from benchmarks.chain import build_of
from benchmarks.peers import PEERS, Peer, streams, word
from benchmarks.rows import Group, Row, ceiling

ENTRIES: Final = 5.0
"""Microseconds a step may take that adds an entry to a list."""
MESSAGES: Final = 10.0
"""Microseconds a step may take that adds a message."""


class Log(TypedDict):
    """A list that every step makes longer."""

    entries: Annotated[list[str], operator.add]


def add_entry(state: Log) -> Log:
    """Add an entry."""
    return {"entries": ["entry"]}


async def aadd_entry(state: Log) -> Log:
    """Add an entry, as a coroutine."""
    return {"entries": ["entry"]}


def conversation(length: int) -> list[AnyMessage]:
    """Return messages that have an id, as those of models have."""
    kinds = (HumanMessage, AIMessage)
    return [kinds[n % 2](content="word " * 20, id=f"message {n}") for n in range(length)]


def talk_of(peer: Peer) -> type:
    """Return a state with messages and a number."""
    return TypedDict("Talk", {"n": int, "messages": Annotated[list, peer.add_messages]})  # type: ignore[operator]


def answerers(replies: list[AnyMessage]) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return a node that adds the next reply, and its async twin.

    Replies are made before, because making a message takes longer than the step around it.
    """

    def answer(state: Any) -> Any:
        return {"messages": [replies[len(state["messages"])]]}

    async def aanswer(state: Any) -> Any:
        return {"messages": [replies[len(state["messages"])]]}

    return answer, aanswer


def groups(length: int = 100) -> list[Group]:
    """Return the groups of this area."""
    messages = conversation(length + 1)
    answer, aanswer = answerers(messages)
    rows = []
    for is_async in (False, True):
        joined = [build_of(p, Log, aadd_entry if is_async else add_entry, length) for p in PEERS]
        spoken = [build_of(p, talk_of(p), aanswer if is_async else answer, length) for p in PEERS]
        for name, graphs, input, limit in (
            ("a list with operator.add", joined, {"entries": []}, ENTRIES),
            ("add_messages", spoken, {"messages": messages[:1]}, MESSAGES),
        ):
            streamed = streams(graphs, input, length, is_async=is_async, stream_mode="updates")
            # What an async step costs besides is in the area `chain`.
            goals = () if is_async else (ceiling(limit),)
            title = f"chain of {length}, {name}, {word(is_async)}"
            rows.append(Row(title, "step", length, streamed, goals))
    return [Group("states with reducers, growing with each step", tuple(rows))]
