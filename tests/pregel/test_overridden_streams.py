"""Whoever replaces `stream` or `astream` sees every run, and nobody can tell from the results."""

from __future__ import annotations

import asyncio
import operator
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from millstream.config import get_stream_writer
from millstream.errors import GraphRecursionError
from millstream.graph import START, StateGraph
from millstream.graph.state import CompiledStateGraph
from millstream.pregel import Pregel
from millstream.types import Command, interrupt

pytestmark = pytest.mark.timeout(20)


class State(TypedDict, total=False):
    n: int
    log: Annotated[list[Any], operator.add]


class Model(BaseModel):
    n: int = 0


def add(state: State) -> State:
    return {"n": state["n"] + 1}


def add_to_model(model: Model) -> dict[str, int]:
    return {"n": model.n + 1}


def ask(state: State) -> State:
    return {"log": [interrupt("why?")]}


def ask_again(state: State) -> State:
    return {"log": [interrupt("when?"), interrupt("where?")]}


def nothing(state: State) -> None:
    return None


def fail(state: State) -> State:
    raise OSError("no")


def graph_of(*nodes: Any, schema: Any = State, saver: bool = False, name: str = "g") -> Any:
    """Return a graph that runs nodes one after the other."""
    builder = StateGraph(schema)
    previous = START
    for index, node in enumerate(nodes):
        builder.add_node(f"n{index}", node).add_edge(previous, f"n{index}")
        previous = f"n{index}"
    return builder.compile(checkpointer=InMemorySaver() if saver else None, name=name)


class Seen(list[tuple[str, str]]):
    """Which graphs were streamed, and by which method."""

    def wrapper(self, name: str, method: Any) -> Any:
        """Return a function that takes note and does what the method does."""
        if name == "stream":

            def stream(graph: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
                self.append((name, graph.name))
                yield from method(graph, *args, **kwargs)

            return stream

        async def astream(graph: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            self.append((name, graph.name))
            async for item in method(graph, *args, **kwargs):
                yield item

        return astream


class Proxy:
    """What packages put on a class: an object that binds itself, as those of `wrapt`."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __get__(self, graph: Any, owner: Any) -> Any:
        return self if graph is None else lambda *a, **k: self.function(graph, *a, **k)


METHODS = ("stream", "astream")


def on_the_class(graph: Any, seen: Seen, patch: pytest.MonkeyPatch) -> Any:
    for name in METHODS:
        patch.setattr(Pregel, name, seen.wrapper(name, getattr(Pregel, name)))
    return graph


def as_a_proxy(graph: Any, seen: Seen, patch: pytest.MonkeyPatch) -> Any:
    for name in METHODS:
        patch.setattr(Pregel, name, Proxy(seen.wrapper(name, getattr(Pregel, name))))
    return graph


def on_the_compiled_class(graph: Any, seen: Seen, patch: pytest.MonkeyPatch) -> Any:
    for name in METHODS:
        patch.setattr(CompiledStateGraph, name, seen.wrapper(name, getattr(Pregel, name)))
    return graph


def in_a_subclass(graph: Any, seen: Seen, patch: pytest.MonkeyPatch) -> Any:
    methods = {name: seen.wrapper(name, getattr(Pregel, name)) for name in METHODS}
    graph.__class__ = type("Sub", (CompiledStateGraph,), methods)
    return graph


def on_the_instance(graph: Any, seen: Seen, patch: pytest.MonkeyPatch) -> Any:
    for name in METHODS:
        wrapped = seen.wrapper(name, getattr(Pregel, name))
        patch.setattr(graph, name, wrapped.__get__(graph), raising=False)
    return graph


Wrap = Callable[[Any, Seen, pytest.MonkeyPatch], Any]
WAYS = [on_the_class, as_a_proxy, on_the_compiled_class, in_a_subclass, on_the_instance]


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def wrap(request: pytest.FixtureRequest) -> Wrap:
    """Give one way of replacing both methods; the test runs once with each."""
    way: Wrap = request.param
    return way


@pytest.fixture
def seen() -> Seen:
    return Seen()


def method_of(driver: Any) -> str:
    return "stream" if driver.name == "sync" else "astream"


def test_invoke_is_seen(
    driver: Any, wrap: Wrap, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = wrap(graph_of(add), seen, monkeypatch)

    assert driver.invoke(graph, {"n": 1}) == {"n": 2, "log": []}
    assert seen == [(method_of(driver), "g")]


def test_batch_is_seen(
    driver: Any, wrap: Wrap, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = wrap(graph_of(add), seen, monkeypatch)
    if driver.name == "sync":
        results = graph.batch([{"n": 1}, {"n": 5}])
    else:
        results = asyncio.run(graph.abatch([{"n": 1}, {"n": 5}]))

    assert [result["n"] for result in results] == [2, 6]
    assert seen == [(method_of(driver), "g")] * 2


def test_a_nested_call_is_seen(
    driver: Any, wrap: Wrap, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = wrap(graph_of(add, name="inner"), seen, monkeypatch)

    async def call(state: State) -> Any:
        return await inner.ainvoke(state)

    node = call if driver.name == "async" else inner.invoke
    assert driver.invoke(graph_of(inner, name="outer"), {"n": 1})["n"] == 2
    assert seen.count((method_of(driver), "inner")) == 1
    assert driver.invoke(graph_of(node, name="outer"), {"n": 1})["n"] == 2
    assert seen.count((method_of(driver), "inner")) == 2


def test_a_copy_is_seen_too(
    driver: Any, wrap: Wrap, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = wrap(graph_of(add), seen, monkeypatch).with_config(tags=["a"])

    assert driver.invoke(graph, {"n": 1})["n"] == 2
    assert seen == [(method_of(driver), "g")]


def events_of(driver: Any, graph: Any, input: Any, **kwargs: Any) -> tuple[list[Any], Any]:
    """Return the events of a run stream, without times and ids, and its output."""

    async def read() -> tuple[list[Any], Any]:
        run = await graph.astream_events(input, version="v3", **kwargs)
        return [event async for event in run], await run.output()

    if driver.name == "async":
        log, output = asyncio.run(read())
    else:
        run = graph.stream_events(input, version="v3", **kwargs)
        log, output = list(run), run.output
    shown = [
        (
            event["method"],
            [part.split(":")[0] for part in event["params"]["namespace"]],
            event["params"]["data"] if event["method"] == "values" else None,
        )
        for event in log
    ]
    return shown, output


def started(driver: Any, graph: Any, input: Any, config: Any = None, **kwargs: Any) -> Any:
    """Return what a run that was started leaves: its events, its status, its output."""

    def shown(run: Any) -> Any:
        names = [[each.split(":")[0] for each in event.namespace] for event in run.events()]
        said = [(event.seq, event.mode, event.data) for event in run.events()]
        return names, said, run.status, run.interrupts, None if run.error else run.output

    async def astart() -> Any:
        async with await graph.astart(input, config, **kwargs) as run:
            async for _ in run.events():
                pass
            return shown(run)

    if driver.name == "async":
        return asyncio.run(astart())
    with graph.start(input, config, **kwargs) as run:
        for _ in run.events():
            pass
        return shown(run)


@pytest.mark.parametrize(
    "make",
    [
        lambda: graph_of(add),
        lambda: graph_of(add_to_model, schema=Model),
        lambda: graph_of(graph_of(add), graph_of(add, fail)),
        lambda: graph_of(add, ask, saver=True),
        lambda: graph_of(nothing),
    ],
    ids=["plain", "model", "failing", "asking", "without updates"],
)
@pytest.mark.parametrize(
    "options",
    [{}, {"stream_mode": "updates"}, {"stream_mode": ["values", "tasks"], "subgraphs": True}],
    ids=["default", "one mode", "subgraphs"],
)
def test_a_run_that_is_started_is_seen_and_stays_the_same(
    driver: Any,
    wrap: Wrap,
    seen: Seen,
    make: Callable[[], Any],
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thread = {"configurable": {"thread_id": "1"}}
    expected = started(driver, make(), {"n": 1}, thread, **options)
    graph = wrap(make(), seen, monkeypatch)

    found = started(driver, graph, {"n": 1}, thread, **options)

    assert without_task_ids(found) == without_task_ids(expected)
    assert seen[0] == (method_of(driver), "g")


def without_task_ids(value: Any) -> Any:
    """Return something without what is different in every run."""
    if isinstance(value, dict):
        return {key: without_task_ids(item) for key, item in value.items() if key != "id"}
    if isinstance(value, (list, tuple)):
        return [without_task_ids(item) for item in value]
    if isinstance(value, Exception):
        return repr(value)
    return value.value if type(value).__name__ == "Interrupt" else value


@pytest.mark.real_time(reason="a node talks until it is stopped")
def test_a_run_that_is_started_is_stopped_through_what_replaces_the_stream(
    driver: Any, wrap: Wrap, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, ended = threading.Event(), threading.Event()

    def talk(state: State) -> None:
        try:
            while True:
                get_stream_writer()("still here")
                began.set()
                time.sleep(0.001)
        finally:
            ended.set()

    async def sleep(state: State) -> None:
        try:
            began.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def astart() -> Any:
        async with await graph.astart({"n": 1}) as run:
            await asyncio.to_thread(began.wait, 10)
        return run

    graph = wrap(graph_of(sleep if driver.name == "async" else talk), seen, monkeypatch)
    if driver.name == "async":
        run = asyncio.run(astart())
    else:
        with graph.start({"n": 1}) as run:
            assert began.wait(10)

    assert run.status == "cancelled"
    assert ended.is_set()


@pytest.mark.parametrize("make", [lambda: graph_of(add), lambda: graph_of(graph_of(add))])
def test_a_run_stream_is_seen_and_stays_the_same(
    driver: Any,
    wrap: Wrap,
    seen: Seen,
    make: Callable[[], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = events_of(driver, make(), {"n": 1})
    graph = wrap(make(), seen, monkeypatch)

    assert events_of(driver, graph, {"n": 1}) == expected
    assert seen[0] == (method_of(driver), "g")


def test_a_run_stream_inside_a_node_keeps_its_namespace(
    driver: Any, wrap: Wrap, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = graph_of(graph_of(add))
    found: list[Any] = []

    async def awatch(state: State) -> State:
        run = await inner.astream_events(state, version="v3")
        found.append([event["params"]["namespace"] async for event in run])
        return {"n": (await run.output())["n"]}

    def watch(state: State) -> State:
        run = inner.stream_events(state, version="v3")
        found.append([event["params"]["namespace"] for event in run])
        return {"n": run.output["n"]}

    outer = graph_of(awatch if driver.name == "async" else watch)
    assert driver.invoke(outer, {"n": 1})["n"] == 2
    wrap(inner, seen, monkeypatch)
    assert driver.invoke(outer, {"n": 1})["n"] == 2

    first, second = ([[len(ns), len(set(ns))] for ns in names] for names in found)
    assert first == second
    assert seen


def test_events_of_a_replaced_astream_are_the_same(
    wrap: Wrap, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read(graph: Any) -> list[tuple[str, str]]:
        stream = graph.astream_events({"n": 1}, version="v2")
        return [(event["event"], event["name"]) async for event in stream]

    expected = asyncio.run(read(graph_of(add)))

    assert asyncio.run(read(wrap(graph_of(add), seen, monkeypatch))) == expected
    assert seen == [("astream", "g")]


GRAPHS: dict[str, Callable[[], Any]] = {
    "plain": lambda: graph_of(add, add),
    "nothing written": lambda: graph_of(nothing, saver=True),
    "a question": lambda: graph_of(add, ask, saver=True),
    "two questions": lambda: graph_of(ask_again, saver=True),
    "a nested question": lambda: graph_of(graph_of(add, ask), saver=True),
    "a model": lambda: graph_of(add_to_model, schema=Model),
    "a failure": lambda: graph_of(add, fail, saver=True),
}
ARGUMENTS: list[dict[str, Any]] = [
    {},
    {"output_keys": "n"},
    {"interrupt_before": ["n0"]},
    {"stream_mode": "updates"},
    {"stream_mode": ["values", "updates"]},
    {"stream_mode": "values", "subgraphs": True},
    {"stream_mode": ["values"], "subgraphs": True},
]


def outcomes(driver: Any, graph: Any, arguments: dict[str, Any]) -> list[Any]:
    """Return what a thread of two runs returns or raises."""
    config = {"configurable": {"thread_id": "1"}}
    found: list[Any] = []
    for given in ({"n": 1}, Command(resume="x"))[: 2 if graph.checkpointer else 1]:
        try:
            found.append(driver.invoke(graph, given, config, **arguments))
        except Exception as error:
            found.append(repr(error))
    return found


def without_ids(value: Any) -> Any:
    """Return a result whose parts can be compared between two threads."""
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return [without_ids(item) for item in value]
    if isinstance(value, dict):
        return {key: without_ids(item) for key, item in value.items() if key != "ns"}
    if type(value).__name__ == "Interrupt":
        return value.value
    if type(value).__name__ == "GraphOutput":
        return [without_ids(value.value), without_ids(value.interrupts)]
    return value if not isinstance(value, str) else value.split(":")[0]


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_results_are_those_of_the_engine_itself(
    driver: Any, name: str, version: str, arguments: dict[str, Any], seen: Seen
) -> None:
    graph = GRAPHS[name]()
    if "interrupt_before" in arguments and not graph.checkpointer:
        arguments = {}
    expected = outcomes(driver, graph, {**arguments, "version": version})
    with pytest.MonkeyPatch.context() as patch:
        wrapped = in_a_subclass(GRAPHS[name](), seen, patch)
        found = outcomes(driver, wrapped, {**arguments, "version": version})

    assert without_ids(found) == without_ids(expected)
    assert seen


def test_a_wrapper_that_changes_items_changes_the_result(driver: Any) -> None:
    def hide(item: Any) -> Any:
        mode, payload = item
        return (mode, {**payload, "n": "hidden"}) if mode == "values" else item

    class Hiding(CompiledStateGraph):  # type: ignore[type-arg]  # of any state
        def stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
            return map(hide, super().stream(*args, **kwargs))

        async def astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            async for item in super().astream(*args, **kwargs):
                yield hide(item)

    graph = graph_of(add)
    graph.__class__ = Hiding

    assert driver.invoke(graph, {"n": 1})["n"] == "hidden"


def test_errors_pass_through_a_wrapper(
    driver: Any, wrap: Wrap, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = wrap(graph_of(add, add, add), seen, monkeypatch)

    with pytest.raises(GraphRecursionError):
        driver.invoke(graph, {"n": 1}, {"recursion_limit": 2})


def test_cancelling_closes_the_stream_of_a_wrapper() -> None:
    told: list[str] = []
    running = asyncio.Event()

    async def wait(state: State) -> None:
        told.append("runs")
        running.set()
        await asyncio.Event().wait()

    class Watching(CompiledStateGraph):  # type: ignore[type-arg]  # of any state
        async def astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            try:
                async for item in super().astream(*args, **kwargs):
                    yield item
            finally:
                told.append("closed")

    async def cancel() -> None:
        graph = graph_of(wait)
        graph.__class__ = Watching
        task = asyncio.create_task(graph.ainvoke({"n": 1}))
        await running.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()

    asyncio.run(cancel())
    assert told == ["runs", "closed"]
