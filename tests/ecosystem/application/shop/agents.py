"""The agents: each is a graph that talks, uses tools, and talks about what they gave."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, SystemMessage
from langchain_core.tools import BaseTool
from langgraph.graph import END, START, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.runtime import Runtime
from langgraph.types import Command, RetryPolicy, Send

from shop.model import RuleModel
from shop.state import DamageState, DeskState, Visit, say
from shop.tools import find_bicycles, handover, inspect_damage, opening_hours, rent

PRICES = {"chain": 20, "brake": 15, "wheel": 60}
MECHANICS = {"Olga": 0, "Piet": 4}
"""Mechanics, and what they add to the price."""


def reception() -> Any:
    """Return the agent who greets."""
    model = RuleModel(
        rules=[
            (r"\bopen\b", "opening_hours", {}),
            (r"\b(broken|repair|creaks)", "hand_over_to_workshop", {}),
            (r"\b(rent|bike|bicycle)", "hand_over_to_rentals", {}),
        ],
        otherwise="Good day. Do you want to rent a bicycle, or have one repaired?",
    )
    tools = [opening_hours, handover("rentals", "renting"), handover("workshop", "repairs")]
    return _agent("reception", model, tools).compile(name="reception")


def rentals() -> Any:
    """Return the agent who rents out bicycles."""
    model = RuleModel(
        rules=[
            (r"take the (\w+) for (\d+)", "rent", {"bicycle": r"\1", "days": r"\2"}),
            (r"\b(small|medium|large|huge)\b", "find_bicycles", {"size": r"\1"}),
            (r"\b(broken|repair|creaks)", "hand_over_to_workshop", {}),
        ],
        otherwise="Which size do you need: small, medium or large?",
    )
    tools = [find_bicycles, rent, handover("workshop", "repairs")]
    return _agent("rentals", model, tools).compile(name="rentals")


def workshop() -> Any:
    """Return the agent who has bicycles repaired: every mechanic makes an offer for every part."""
    model = RuleModel(
        rules=[
            (r"broken:? (.+)", "inspect_damage", {"damage": r"\1"}),
            (r"\brent", "hand_over_to_rentals", {}),
        ],
        otherwise="What is broken?",
    )
    tools = [inspect_damage, handover("rentals", "renting")]
    builder = _agent("workshop", model, tools, after_tools=_to_mechanics, state=DamageState)
    builder.add_node("quote", Quoting(), retry_policy=RetryPolicy(initial_interval=0.01))
    builder.add_node("offer", _offer)
    builder.add_edge("quote", "offer")
    builder.add_edge("offer", "give back")
    return builder.compile(name="workshop")


def _agent(
    name: str,
    model: RuleModel,
    tools: list[BaseTool],
    *,
    after_tools: Any = None,
    state: type[Any] = DeskState,
) -> StateGraph[Any, Visit]:
    bound = model.bind_tools(tools)

    def talk(state: DeskState, runtime: Runtime[Visit]) -> dict[str, Any]:
        known = f" Known: {', '.join(state['known'])}." if state.get("known") else ""
        prompt = SystemMessage(f"You are {name}. You talk to {runtime.context.customer}.{known}")
        said = bound.invoke([prompt, *state["messages"]])
        said.name = name
        return {"messages": [said]}

    builder: StateGraph[Any, Visit] = StateGraph(state, context_schema=Visit)
    builder.add_node("talk", talk)
    builder.add_node("tools", ToolNode(tools, handle_tool_errors=str))
    builder.add_edge(START, "talk")
    builder.add_node("give back", _give_back)
    builder.add_conditional_edges("talk", tools_condition, {"tools": "tools", END: "give back"})
    if after_tools is None:
        builder.add_edge("tools", "talk")
    else:
        builder.add_conditional_edges("tools", after_tools, ["quote", "talk"])
    return builder


def _give_back(state: DeskState) -> Command[Any]:
    """End this agent's turn; like a handover, this says where the desk goes on."""
    update = {"messages": state["messages"], "deals": state.get("deals") or []}
    return Command(graph=Command.PARENT, goto="remember", update=update)


def _to_mechanics(state: DamageState) -> list[Send] | str:
    if not state.get("damages"):
        return "talk"
    return [
        Send("quote", {"part": part, "mechanic": mechanic})
        for part in state["damages"]
        for mechanic in MECHANICS
    ]


class Quoting:
    """A mechanic makes an offer; the first time somebody asks, nobody hears it."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, state: dict[str, str]) -> dict[str, Any]:
        self.asked += 1
        if self.asked == 1:
            raise ConnectionError("it is loud in the workshop")
        price = PRICES.get(state["part"].split()[-1], 30) + MECHANICS[state["mechanic"]]
        return {"quotes": [{**state, "price": price}]}


def _offer(state: DamageState) -> dict[str, Any]:
    best = [
        min((q for q in state["quotes"] if q["part"] == part), key=lambda quote: quote["price"])
        for part in state["damages"]
    ]
    total = sum(quote["price"] for quote in best)
    say(f"{len(state['quotes'])} offers for {len(best)} parts")
    lines = [f"{quote['mechanic']} does the {quote['part']} for {quote['price']}" for quote in best]
    text = f"{'; '.join(lines)}. That makes {total}."
    deal = {"kind": "repair", "what": state["damages"], "price": total}
    return {"messages": [AIMessage(text, name="workshop")], "deals": [deal], "damages": []}
