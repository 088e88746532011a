"""The graph around the agents: it remembers customers, and keeps conversations short."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import RemoveMessage
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command

from shop.agents import reception, rentals, workshop
from shop.state import DeskState, Visit, say

LONGEST = 12
"""Messages that are kept."""


def make_desk(saver: Any, store: Any) -> Any:
    """Return the whole, compiled."""
    builder = StateGraph(DeskState, context_schema=Visit)
    builder.add_node("recall", recall, destinations=("reception", "rentals", "workshop"))
    for make in (reception, rentals, workshop):
        builder.add_node(make.__name__, make())
    builder.add_node("remember", remember)
    builder.add_node("shorten", shorten)
    builder.add_edge(START, "recall")
    builder.add_conditional_edges("remember", is_long, {True: "shorten", False: END})
    builder.add_edge("shorten", END)
    return builder.compile(checkpointer=saver, store=store, name="desk")


def recall(state: DeskState, runtime: Runtime[Visit]) -> Command[Any]:
    """Look up the customer, and go on with whoever talked last."""
    assert runtime.store is not None
    found = runtime.store.search(("customers", runtime.context.customer))
    known = sorted(item.value["text"] for item in found)
    if known and not state.get("active"):
        say(f"knows {runtime.context.customer}: {'; '.join(known)}")
    return Command(goto=state.get("active") or "reception", update={"known": known})


def remember(state: DeskState, runtime: Runtime[Visit]) -> None:
    """Keep what was agreed, for the next visit."""
    assert runtime.store is not None
    for number, deal in enumerate(state.get("deals") or ()):
        what = deal["what"] if isinstance(deal["what"], str) else ", ".join(deal["what"])
        value = {"text": f"{deal['kind']} of {what}", "price": deal["price"]}
        runtime.store.put(("customers", runtime.context.customer), f"deal-{number}", value)


def is_long(state: DeskState) -> bool:
    """Say whether the conversation has more messages than are kept."""
    return len(state["messages"]) > LONGEST


def shorten(state: DeskState) -> dict[str, Any]:
    """Forget the oldest messages, up to one of the customer."""
    kept = state["messages"][-LONGEST // 2 :]
    while kept and kept[0].type != "human":
        kept = kept[1:]
    dropped = state["messages"][: len(state["messages"]) - len(kept)]
    say(f"forgot {len(dropped)} messages")
    return {"messages": [RemoveMessage(id=message.id) for message in dropped if message.id]}
