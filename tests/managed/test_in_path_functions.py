"""Path functions of conditional edges see managed values as nodes do."""

from __future__ import annotations

from typing import Any, TypedDict

import pytest
from typing_extensions import NotRequired

from millstream.graph import END, START, StateGraph
from millstream.managed import IsLastStep, RemainingSteps

LIMIT = 6


class State(TypedDict):
    x: int
    left: RemainingSteps
    is_last: IsLastStep


class Partial(TypedDict, total=False):
    x: int
    left: NotRequired[RemainingSteps]
    is_last: IsLastStep


def seen_of(state: Any) -> tuple[Any, Any]:
    """Return the managed values of a state."""
    return state.get("left"), state.get("is_last")


@pytest.mark.parametrize("schema", [State, Partial])
def test_a_path_function_sees_what_its_node_saw(driver: Any, schema: Any) -> None:
    seen: list[tuple[str, Any, Any]] = []

    def node(state: Any) -> Any:
        seen.append(("node", *seen_of(state)))
        return {"x": state["x"] + 1}

    def path(state: Any) -> str:
        seen.append(("path", *seen_of(state)))
        return END if state["x"] == 2 else "node"

    builder = StateGraph(schema).add_node("node", node).add_edge(START, "node")
    graph = builder.add_conditional_edges("node", path, ["node", END]).compile()

    driver.invoke(graph, {"x": 0}, {"recursion_limit": LIMIT})

    assert seen == [(name, LIMIT - step, False) for step in (1, 2) for name in ("node", "path")]


def test_a_path_function_can_end_a_graph_in_time(driver: Any) -> None:
    """Without it this graph would run until the recursion limit raises an error."""
    builder = StateGraph(State).add_node("node", lambda state: {"x": state["x"] + 1})
    builder.add_edge(START, "node")
    builder.add_conditional_edges("node", lambda s: END if s["is_last"] else "node", ["node", END])

    result = driver.invoke(builder.compile(), {"x": 0}, {"recursion_limit": LIMIT})

    assert result == {"x": LIMIT - 1}


def test_the_path_function_of_start_sees_the_limit(driver: Any) -> None:
    seen: list[tuple[Any, Any]] = []

    def path(state: State) -> str:
        seen.append(seen_of(state))
        return "node"

    builder = StateGraph(State).add_node("node", lambda state: {"x": 1})
    graph = builder.add_conditional_edges(START, path, ["node", END]).compile()

    driver.invoke(graph, {"x": 0}, {"recursion_limit": LIMIT})

    assert seen == [(LIMIT, False)]
