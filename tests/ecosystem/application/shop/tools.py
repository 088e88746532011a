"""What agents can do: look around, ask for approval, hand the customer over."""

from __future__ import annotations

from typing import Annotated, Any

from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool, InjectedToolCallId, tool
from langgraph.prebuilt import InjectedState, ToolRuntime
from langgraph.types import Command, interrupt

from shop.state import Agent, Visit, say

BICYCLES = {
    "heron": {"size": "large", "per_day": 12},
    "swift": {"size": "medium", "per_day": 15},
    "wren": {"size": "small", "per_day": 9},
    "kite": {"size": "medium", "per_day": 22},
}


@tool
def opening_hours() -> str:
    """Say when the shop is open."""
    return "We are open from nine to six, and closed on Mondays."


@tool
def find_bicycles(size: str) -> str:
    """Find bicycles of a size."""
    found = {name: facts for name, facts in BICYCLES.items() if facts["size"] == size.lower()}
    if not found:
        raise ValueError(f"There is no size {size!r}.")
    say(f"looked at {len(BICYCLES)} bicycles")
    offers = [f"{name} for {facts['per_day']} a day" for name, facts in found.items()]
    return f"We have {' and '.join(offers)}."


@tool
def rent(
    bicycle: str,
    days: int,
    call_id: Annotated[str, InjectedToolCallId],
    runtime: ToolRuntime[Visit],
) -> Command[Any]:
    """Rent out a bicycle, after somebody has approved the price."""
    price = BICYCLES[bicycle.lower()]["per_day"] * days
    answer = interrupt({"question": f"Rent {bicycle} for {days} days at {price}?"})
    if answer.get("price") is not None:
        price = answer["price"]
    if not answer["approved"]:
        return Command(
            update={
                "messages": [ToolMessage("I cannot do that today, sorry.", tool_call_id=call_id)]
            }
        )
    say(f"booked for {runtime.context.customer}")
    deal = {"kind": "rental", "what": bicycle, "price": price}
    text = f"Done: {bicycle} is yours for {days} days. That makes {price}."
    return Command(update={"messages": [ToolMessage(text, tool_call_id=call_id)], "deals": [deal]})


@tool
def inspect_damage(damage: str, call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
    """Have the mechanics look at what is broken."""
    parts = [part.strip() for part in damage.replace(" and ", ",").split(",")]
    text = f"Looking at: {', '.join(parts)}."
    return Command(update={"damages": parts, "messages": [ToolMessage(text, tool_call_id=call_id)]})


def handover(to: Agent, what_for: str) -> BaseTool:
    """Return a tool that gives the customer to another agent."""

    @tool(f"hand_over_to_{to}", description=f"Hand over for {what_for}.")
    def hand_over(
        state: Annotated[dict[str, Any], InjectedState],
        call_id: Annotated[str, InjectedToolCallId],
    ) -> Command[Any]:
        say(f"handed over to {to}")
        note = ToolMessage(f"Over to {to}.", tool_call_id=call_id, name=f"hand_over_to_{to}")
        return Command(
            goto=to,
            graph=Command.PARENT,
            update={"active": to, "messages": [*state["messages"], note]},
        )

    return hand_over
