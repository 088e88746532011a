"""One node is run as its graph would run it."""

from __future__ import annotations

import asyncio
import operator
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel
from typing_extensions import TypedDict

from millstream.errors import NodeTimeoutError
from millstream.graph import END, START, MessagesState, StateGraph
from millstream.runtime import Runtime
from millstream.store.memory import InMemoryStore
from millstream.testing import arun_node, fake_clock, run_node
from millstream.types import Command, RetryPolicy, Send, TimeoutPolicy, interrupt


class State(TypedDict, total=False):
    """What most graphs here are about."""

    number: int
    log: Annotated[list[str], operator.add]


def graph_of(*nodes: Any, **options: Any) -> Any:
    """Return a graph of nodes one after the other."""
    return (
        StateGraph(State)
        .add_sequence(list(nodes))
        .add_edge(START, name_of(nodes[0]))
        .compile(**options)
    )


def name_of(node: Any) -> str:
    """Return the name of a node that is a function, or has one beside it."""
    return node[0] if isinstance(node, tuple) else node.__name__


@pytest.fixture(params=["sync", "async"])
def run(request: pytest.FixtureRequest) -> Any:
    """Give `run_node`, or what does the same in an event loop."""
    if request.param == "sync":
        return run_node
    return lambda *given, **named: asyncio.run(arun_node(*given, **named))


def first(state: State) -> State:
    """Say that it was there."""
    return {"log": ["first"]}


def double(state: State) -> State:
    """Double a number."""
    return {"number": 2 * state["number"], "log": ["double"]}


def test_a_node_finds_the_state_and_no_other_node_runs(run: Any) -> None:
    result = run(graph_of(first, double, ("last", first)), "double", {"number": 3, "log": ["in"]})

    assert result.update == {"number": 6, "log": ["double"]}
    assert result.state == {"number": 6, "log": ["in", "double"]}
    assert result.goto == ("last",)
    assert (result.questions, result.custom, result.command) == ((), (), None)


def test_the_last_node_leads_nowhere() -> None:
    assert run_node(graph_of(first, double), "double", {"number": 1}).goto == ()


def test_a_node_may_need_no_state() -> None:
    result = run_node(graph_of(double, first), "first")

    assert result.state == {"log": ["first"]}


def test_what_a_node_raises_is_raised(run: Any) -> None:
    def fail(state: State) -> State:
        raise LookupError("nothing there")

    builder = StateGraph(State).add_node(fail, error_handler=first).add_edge(START, "fail")

    with pytest.raises(LookupError, match="nothing there"):
        run(builder.compile(), "fail", {"number": 1})


def test_questions_are_answered_in_their_order(run: Any) -> None:
    def ask(state: State) -> Command[Any]:
        name, age = interrupt("name?"), interrupt("age?")
        return Command(update={"log": [f"{name} {age}"]}, goto="first")

    builder = StateGraph(State).add_node(ask, destinations=("first",)).add_node(first)
    graph = builder.add_edge(START, "ask").compile()

    asked = [run(graph, "ask", {"number": 1}, answers=given) for given in ([], ["Ada"])]
    done = run(graph, "ask", {"number": 1}, answers=["Ada", 36])

    assert [[q.value for q in each.questions] for each in asked] == [["name?"], ["age?"]]
    assert [each.goto for each in asked] == [(), ()]
    assert (done.update, done.goto, done.questions) == ({"log": ["Ada 36"]}, ("first",), ())


def test_an_answer_that_nobody_asks_for_is_an_error() -> None:
    with pytest.raises(AssertionError, match="given 2 answers, and has asked 0 questions"):
        run_node(graph_of(first), "first", {"number": 1}, answers=[1, 2])


def test_a_node_has_context_store_writer_and_config(run: Any) -> None:
    @dataclass
    class Context:
        user: str

    def use(state: State, runtime: Runtime[Context], config: RunnableConfig) -> State:
        assert runtime.store is not None
        runtime.stream_writer("seen")
        found = runtime.store.get(("notes",), "a")
        user, tag = runtime.context.user, config["configurable"]["tag"]
        return {"log": [user, tag, str(found and found.value["text"])]}

    store = InMemoryStore()
    store.put(("notes",), "a", {"text": "kept"})
    graph = StateGraph(State, Context).add_node(use).add_edge(START, "use").compile()

    result = run(
        graph,
        "use",
        {"number": 1},
        {"configurable": {"tag": "blue"}},
        context=Context("Ada"),
        store=store,
    )

    assert result.update == {"log": ["Ada", "blue", "kept"]}
    assert result.custom == ("seen",)


def test_conditional_edges_see_what_the_node_wrote() -> None:
    def route(state: State) -> list[Any]:
        return [Send("first", {"number": state["number"]}), "last"]

    builder = StateGraph(State).add_node(double).add_node(first).add_node("last", first)
    builder.add_edge(START, "first").add_edge(START, "double")
    builder.add_conditional_edges("double", route, ["first", "last"])

    result = run_node(builder.compile(), "double", {"number": 4})

    assert result.goto == ("last", Send("first", {"number": 8}))


def test_the_argument_of_a_send_is_the_input() -> None:
    def measure(word: str) -> State:
        return {"number": len(word)}

    builder = StateGraph(State).add_node(first).add_node(measure).add_edge(START, "first")
    builder.add_edge(START, "measure").add_edge("measure", END)

    result = run_node(builder.compile(), Send("measure", "mill"), {"log": ["in"]})

    assert (result.update, result.state) == ({"number": 4}, {"number": 4, "log": ["in"]})


def test_a_command_for_the_graph_around_is_shown(run: Any) -> None:
    def leave(state: State) -> Command[Any]:
        return Command(graph=Command.PARENT, goto="elsewhere", update={"number": 9})

    result = run(graph_of(leave), "leave", {"number": 1})

    assert result.command is not None
    assert (result.command.goto, result.command.update) == ("elsewhere", {"number": 9})
    assert (result.update, result.goto) == (None, ())


def test_a_key_that_is_written_twice_is_shown_twice() -> None:
    def twice(state: State) -> list[Any]:
        return [Command(update={"log": ["a"]}), Command(update={"log": ["b"]})]

    assert run_node(graph_of(twice), "twice").update == [{"log": ["a"]}, {"log": ["b"]}]


def test_a_node_gets_its_class_of_the_state() -> None:
    class Model(BaseModel):
        number: int = 0
        name: str = "nobody"

    seen: list[Any] = []

    def look(state: Model) -> dict[str, Any]:
        seen.append(state)
        return {"name": "somebody"}

    graph = StateGraph(Model).add_node(look).add_edge(START, "look").compile()

    result = run_node(graph, "look", {"number": 3})

    assert seen == [Model(number=3)]
    assert result.update == {"name": "somebody"}


def test_messages_are_made_of_texts_as_in_a_run() -> None:
    def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": f"You said {state['messages'][-1].text}"}

    graph = StateGraph(MessagesState).add_node(answer).add_edge(START, "answer").compile()

    result = run_node(graph, "answer", {"messages": "hi"})

    assert [m.text for m in result.state["messages"]] == ["hi", "You said hi"]


def test_retries_and_timeouts_are_those_of_the_graph() -> None:
    attempts: list[int] = []

    async def slow(state: State) -> State:
        attempts.append(1)
        await asyncio.sleep(60 if len(attempts) == 3 else 0)
        raise ConnectionError("not yet")

    builder = StateGraph(State)
    builder.add_node(
        "slow",
        slow,
        timeout=TimeoutPolicy(run_timeout=5),
        retry_policy=RetryPolicy(max_attempts=3, retry_on=ConnectionError),
    )
    graph = builder.add_edge(START, "slow").compile()

    with fake_clock() as clock, pytest.raises(NodeTimeoutError):
        asyncio.run(arun_node(graph, "slow", {"number": 1}))

    assert (len(attempts), len(clock.slept)) == (3, 2)


def test_breakpoints_and_the_saver_of_the_graph_stay_out() -> None:
    class NoSaver:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError("the graph's own saver is used")

    graph = graph_of(first, double, interrupt_before=["double"])
    graph.checkpointer = NoSaver()

    assert run_node(graph, "double", {"number": 1}).update == {"number": 2, "log": ["double"]}


def test_nested_graphs_run_as_a_node_does(run: Any) -> None:
    def ask(state: State) -> State:
        return {"number": interrupt("which?")}

    graph = graph_of(("inner", graph_of(ask)), first)

    assert run(graph, "inner", {"number": 1}).questions[0].value == "which?"
    assert run(graph, "inner", {"number": 1}, answers=[7]).update["number"] == 7


def test_a_state_without_keys_is_a_bare_value() -> None:
    builder = StateGraph(Annotated[int, operator.add])  # type: ignore[arg-type]
    builder.add_node("double", lambda total: total).add_edge(START, "double")

    result = run_node(builder.compile(), "double", 21)

    assert (result.update, result.state, result.goto) == (21, 42, ())


def test_a_node_that_waits_for_others_runs_by_itself() -> None:
    builder = StateGraph(State).add_node(first).add_node(double).add_node("last", first, defer=True)
    builder.add_edge(START, "first").add_edge(START, "double").add_edge(["first", "double"], "last")
    graph = builder.compile()

    assert run_node(graph, "last", {"number": 1}).update == {"log": ["first"]}
    # The edge waits for the other one as well.
    assert run_node(graph, "first", {"number": 1}).goto == ()


def test_a_wrong_name_is_told_of() -> None:
    with pytest.raises(ValueError, match="no node 'frist'; it has double, first"):
        run_node(graph_of(first, double), "frist", {})
    with pytest.raises(TypeError, match="compiled StateGraph"):
        run_node(StateGraph(State), "first", {})  # type: ignore[arg-type]
