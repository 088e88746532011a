"""Handlers that hear when a graph stops for a person and when it goes on."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from typing_extensions import TypedDict

from millstream.callbacks import GraphCallbackHandler
from millstream.checkpoint.memory import InMemorySaver
from millstream.graph import START, StateGraph
from millstream.types import Command, interrupt


class State(TypedDict, total=False):
    n: int


class Hearing(GraphCallbackHandler):
    """Notes what it hears, and what the run is called by others."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.runs: list[UUID] = []
        self.ids: list[Any] = []
        self.places: list[str] = []

    def on_chain_start(self, *args: Any, run_id: UUID, **kwargs: Any) -> None:
        self.runs.append(run_id)

    def on_interrupt(self, event: Any) -> Any:
        self._note("stops", event, *(question.value for question in event.interrupts))

    def on_resume(self, event: Any) -> Any:
        self._note("goes on", event)

    def _note(self, what: str, event: Any, *more: Any) -> None:
        ns = tuple(name.partition(":")[0] for name in event.checkpoint_ns)
        self.heard.append((what, event.status, ns, *more))
        self.ids.append(event.run_id)
        self.places.append(event.checkpoint_id)


class AsyncHearing(Hearing):
    async def on_interrupt(self, event: Any) -> None:
        super().on_interrupt(event)

    async def on_resume(self, event: Any) -> None:
        super().on_resume(event)


def ask(state: State) -> Any:
    return {"n": interrupt("how many?")}


def chain(*nodes: tuple[str, Any], **options: Any) -> Any:
    builder = StateGraph(State).add_sequence(list(nodes))
    return builder.add_edge(START, nodes[0][0]).compile(**options)


def told(driver: Any, graph: Any, *inputs: Any, handler: Any = None) -> Hearing:
    """Return the handler after a run of one thread for each input."""
    handler = handler or Hearing()
    for given in inputs:
        config = {"configurable": {"thread_id": "1"}, "callbacks": [handler]}
        driver.invoke(graph, given, config)
    return handler


def kinds(driver: Any) -> list[type[Hearing]]:
    """Return the kinds of handlers that a driver can tell."""
    return [Hearing, AsyncHearing] if driver.name == "async" else [Hearing]


def test_a_question_and_its_answer_are_told(driver: Any) -> None:
    for kind in kinds(driver):
        graph = chain(("ask", ask), checkpointer=InMemorySaver())

        hearing = told(driver, graph, {"n": 0}, Command(resume=3), handler=kind())

        assert hearing.heard == [
            ("stops", "pending", (), "how many?"),
            ("goes on", "pending", ()),
        ]
        # A run goes on where it stopped, and is the one that other methods are told of.
        assert hearing.places[0] == hearing.places[1]
        assert set(hearing.ids) <= set(hearing.runs)


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"interrupt_before": ["b"]}, "interrupt_before"),
        ({"interrupt_after": ["a"]}, "interrupt_after"),
    ],
    ids=["before", "after"],
)
def test_a_breakpoint_is_told_with_its_side(driver: Any, options: Any, status: str) -> None:
    nodes = [(name, lambda state: {"n": 1}) for name in ("a", "b")]
    graph = chain(*nodes, checkpointer=InMemorySaver(), **options)

    hearing = told(driver, graph, {"n": 0}, None)

    assert hearing.heard == [("stops", status, ()), ("goes on", "pending", ())]


def test_a_question_of_a_nested_graph_stops_the_outermost_and_both_go_on(driver: Any) -> None:
    graph = chain(("inner", chain(("ask", ask))), checkpointer=InMemorySaver())

    hearing = told(driver, graph, {"n": 0}, Command(resume=3))

    assert hearing.heard == [
        ("stops", "pending", (), "how many?"),
        ("goes on", "pending", ()),
        ("goes on", "pending", ("inner",)),
    ]


def test_a_run_that_does_not_stop_is_not_told(driver: Any) -> None:
    graph = chain(("a", lambda state: {"n": 1}), checkpointer=InMemorySaver())

    assert told(driver, graph, {"n": 0}, {"n": 5}).heard == []


def test_a_handler_that_fails_ends_the_run_only_if_it_says_so(driver: Any) -> None:
    class Failing(Hearing):
        def on_interrupt(self, event: Any) -> Any:
            super().on_interrupt(event)
            raise LookupError("not now")

    quiet, loud = Failing(), Failing()
    loud.raise_error = True

    told(driver, chain(("ask", ask), checkpointer=InMemorySaver()), {"n": 0}, handler=quiet)
    with pytest.raises(LookupError, match="not now"):
        told(driver, chain(("ask", ask), checkpointer=InMemorySaver()), {"n": 0}, handler=loud)

    assert [each.heard for each in (quiet, loud)] == [[("stops", "pending", (), "how many?")]] * 2
