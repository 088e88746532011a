"""Packages that watch every run: wrapped callback managers, and LangSmith."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterator
from typing import Any, TypedDict
from unittest import mock

import pytest
from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.language_models import FakeListChatModel
from langchain_core.runnables import RunnableLambda
from langsmith import Client, configure, get_current_run_tree, traceable, tracing_context

from millstream._base.runnable import RunnableCallable
from millstream.func import entrypoint, task
from millstream.graph import START, StateGraph
from millstream.types import RetryPolicy

pytestmark = pytest.mark.timeout(20)


class State(TypedDict, total=False):
    a: int


def graph_of(*nodes: Any, name: str = "g", **options: Any) -> Any:
    """Return a graph that runs nodes one after the other."""
    builder = StateGraph(State)
    previous = START
    for index, node in enumerate(nodes):
        builder.add_node(f"n{index}", node, **options).add_edge(previous, f"n{index}")
        previous = f"n{index}"
    return builder.compile(name=name)


def for_driver(driver: Any, sync: Any, is_async: Any) -> Any:
    """Return the function of the two that suits the driver."""
    return is_async if driver.name == "async" else sync


def read(driver: Any, graph: Any, version: str | None) -> None:
    """Run a graph with `invoke`, or as a run stream."""

    async def aread() -> None:
        await (await graph.astream_events({"a": 0}, version="v3")).output()

    if version is None:
        driver.invoke(graph, {"a": 0})
    elif driver.name == "async":
        asyncio.run(aread())
    else:
        assert graph.stream_events({"a": 0}, version="v3").output is not None


# -- packages that wrap how callback managers are made --------------------------------------------


class Tree(BaseCallbackHandler):
    """Hears of runs, and knows which is in which."""

    run_inline = True

    def __init__(self) -> None:
        self.told: dict[Any, tuple[str, Any]] = {}

    def _begin(self, kind: str, **about: Any) -> None:
        self.told[about["run_id"]] = (about.get("name") or kind, about["parent_run_id"])

    def on_chain_start(self, serialized: Any, inputs: Any, **about: Any) -> None:
        self._begin("chain", **about)

    def on_chat_model_start(self, serialized: Any, messages: Any, **about: Any) -> None:
        self._begin("model", **about)

    def shown(self, parent: Any = None) -> list[Any]:
        """Return the names of runs, each with what is in it."""
        inside = [(name, run) for run, (name, above) in self.told.items() if above == parent]
        return [(name, below) if (below := self.shown(run)) else name for name, run in inside]


class ByHand:
    """A wrapper as `wrapt` makes it: an object that is no function and passes for one."""

    def __init__(self, wrapped: Any, wrapper: Any) -> None:
        self.wrapped, self.wrapper = wrapped, wrapper

    def __getattr__(self, name: str) -> Any:
        return getattr(self.wrapped, name)

    def __get__(self, instance: Any, owner: Any) -> Any:
        if instance is None:
            return self
        return lambda *args, **kwargs: self.wrapper(self.wrapped, instance, args, kwargs)


def with_functools(wrapped: Any, wrapper: Any) -> Any:
    """Wrap a method as most people do."""

    @functools.wraps(wrapped)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return wrapper(wrapped, self, args, kwargs)

    return method


@pytest.fixture(params=[ByHand, with_functools])
def tree(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """Give a handler that is put into every manager, as instrumentations do."""
    tree = Tree()

    def made(wrapped: Any, manager: Any, args: Any, kwargs: Any) -> None:
        wrapped(manager, *args, **kwargs)
        if tree not in manager.inheritable_handlers:
            manager.add_handler(tree, True)

    method = request.param(BaseCallbackManager.__init__, made)
    monkeypatch.setattr(BaseCallbackManager, "__init__", method)
    return tree


MODEL = FakeListChatModel(responses=["hello"])


def talk(state: State) -> State:
    return {"a": len(MODEL.invoke("hi").content)}


async def atalk(state: State) -> State:
    return {"a": len((await MODEL.ainvoke("hi")).content)}


@pytest.mark.parametrize("version", [None, "v3"])
def test_wrapped_managers_hear_of_graphs_nodes_and_models(
    driver: Any, tree: Tree, version: str | None
) -> None:
    node = for_driver(driver, talk, atalk)

    read(driver, graph_of(node, graph_of(node, name="inner")), version)

    assert tree.shown() == [("g", [("n0", ["model"]), ("n1", [("inner", [("n0", ["model"])])])])]


def test_wrapped_managers_hear_of_tasks(driver: Any, tree: Tree) -> None:
    @task
    def double(x: int) -> int:
        return 2 * x

    @task
    async def adouble(x: int) -> int:
        return 2 * x

    @entrypoint()
    def flow(x: int) -> int:
        return double(x).result()

    @entrypoint()
    async def aflow(x: int) -> int:
        return await adouble(x)

    driver.invoke(for_driver(driver, flow, aflow), 1)

    prefix = for_driver(driver, "", "a")
    assert tree.shown() == [("LangGraph", [(f"{prefix}flow", [f"{prefix}double"])])]


def test_wrapped_managers_hear_of_events(tree: Tree) -> None:
    async def events() -> list[str]:
        stream = graph_of(atalk).astream_events({"a": 0}, version="v2")
        return [event["event"] async for event in stream]

    assert asyncio.run(events())[0] == "on_chain_start"
    assert tree.shown() == [("g", [("n0", ["model"])])]


def test_without_a_wrapper_nobody_is_told(driver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told = mock.Mock()
    monkeypatch.setattr("millstream.drivers.tracing.start_graph", told)

    driver.invoke(graph_of(lambda state: None), {"a": 0})

    assert not told.called


# -- LangSmith ------------------------------------------------------------------------------------


class Recorded(Client):
    """A client that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(
            api_url="http://127.0.0.1:9",
            api_key="none",
            auto_batch_tracing=False,
            session=mock.Mock(),
            info={},
        )
        self.told: dict[str, tuple[str, str | None]] = {}

    def create_run(self, name: str, inputs: Any, run_type: Any, **about: Any) -> None:
        parent = about.get("parent_run_id")
        self.told[str(about["id"])] = (name, None if parent is None else str(parent))

    def update_run(self, run_id: Any, *args: Any, **about: Any) -> None:
        pass

    def shown(self, parent: str | None = None) -> list[Any]:
        """Return the names of runs, each with what is in it."""
        inside = [(name, run) for run, (name, above) in self.told.items() if above == parent]
        return [(name, below) if (below := self.shown(run)) else name for name, run in inside]


@pytest.fixture
def client() -> Iterator[Recorded]:
    """Give LangSmith's client, for which tracing is on."""
    client = Recorded()
    with tracing_context(enabled=True, client=client):
        yield client


@traceable
def helper() -> str | None:
    tree = get_current_run_tree()
    return None if tree is None else tree.name


@traceable
async def ahelper() -> str | None:
    return current()


def current() -> str | None:
    tree = get_current_run_tree()
    return None if tree is None else tree.name


class Names(list[str | None]):
    """What the current run was called, wherever somebody looked."""

    def node(self, driver: Any) -> Callable[[Any], Any]:
        """Return a node that looks, and calls a traceable function."""

        def look(state: Any) -> None:
            self.append(current())
            self.append(helper())

        async def alook(state: Any) -> None:
            self.append(current())
            self.append(await ahelper())

        return for_driver(driver, look, alook)

    def path(self, driver: Any) -> Callable[[Any], Any]:
        """Return a path that does."""

        def where(state: Any) -> str:
            self.node(driver)(state)
            return "n1"

        async def awhere(state: Any) -> str:
            await self.node(driver)(state)
            return "n1"

        return for_driver(driver, where, awhere)


@pytest.mark.parametrize("version", [None, "v3"])
def test_the_current_run_is_the_nodes(driver: Any, client: Recorded, version: str | None) -> None:
    names = Names()
    node, called = names.node(driver), for_driver(driver, "helper", "ahelper")

    read(driver, graph_of(node, graph_of(node, name="inner")), version)

    assert names == ["n0", called, "n0", called]
    assert client.shown() == [("g", [("n0", [called]), ("n1", [("inner", [("n0", [called])])])])]
    assert current() is None


def test_the_current_run_is_that_of_a_sync_node_in_an_async_run(client: Recorded) -> None:
    names = Names()

    def look(state: State) -> None:
        names.append(helper())
        names.append(current())

    asyncio.run(graph_of(look).ainvoke({"a": 0}))

    assert names == ["helper", "n0"]
    assert client.shown() == [("g", [("n0", ["helper"])])]


def test_the_current_run_is_each_nodes_own_side_by_side(driver: Any, client: Recorded) -> None:
    builder = StateGraph(State)
    names = {name: Names() for name in ("left", "right")}
    for name, own in names.items():
        builder.add_node(name, own.node(driver)).add_edge(START, name)

    driver.invoke(builder.compile(), {"a": 0})

    assert [own[0] for own in names.values()] == ["left", "right"]


def test_the_current_run_is_that_of_the_path_of_an_edge(driver: Any, client: Recorded) -> None:
    names = Names()
    called = for_driver(driver, "helper", "ahelper")
    builder = StateGraph(State)
    builder.add_node("n0", lambda state: None).add_node("n1", names.node(driver))
    builder.add_conditional_edges("n0", names.path(driver), ["n1"])

    driver.invoke(builder.add_edge(START, "n0").compile(name="g"), {"a": 0})

    where = for_driver(driver, "where", "awhere")
    assert names == [where, called, "n1", called]
    assert client.shown() == [("g", [("n0", [(where, [called])]), ("n1", [called])])]


def test_the_current_run_is_that_of_a_task_and_of_an_entrypoint(
    driver: Any, client: Recorded
) -> None:
    names = Names()
    look = names.node(driver)

    @task
    def step() -> None:
        look(None)

    @task
    async def astep() -> None:
        await look(None)

    @entrypoint()
    def flow(x: int) -> None:
        look(None)
        step().result()
        names.append(current())

    @entrypoint()
    async def aflow(x: int) -> None:
        await look(None)
        await astep()
        names.append(current())

    driver.invoke(for_driver(driver, flow, aflow), 1)

    a = for_driver(driver, "", "a")
    assert names == [f"{a}flow", f"{a}helper", f"{a}step", f"{a}helper", f"{a}flow"]
    assert client.shown() == [
        ("LangGraph", [(f"{a}flow", [f"{a}helper", (f"{a}step", [f"{a}helper"])])])
    ]


def test_a_second_attempt_is_not_a_part_of_the_first(driver: Any, client: Recorded) -> None:
    names = Names()

    def fail_once(state: State) -> None:
        names.append(current())
        if len(names) == 1:
            raise OSError

    async def afail_once(state: State) -> None:
        fail_once(state)

    policy = RetryPolicy(initial_interval=0, jitter=False, retry_on=OSError)
    graph = graph_of(for_driver(driver, fail_once, afail_once), retry_policy=policy)

    driver.invoke(graph, {"a": 0})

    assert names == ["n0", "n0"]
    assert client.shown() == [("g", ["n0", "n0"])]


def test_a_graph_called_by_a_traceable_function_is_in_its_run(
    driver: Any, client: Recorded
) -> None:
    inner = graph_of(lambda state: None, name="inner")

    @traceable
    def ask(state: State) -> None:
        inner.invoke(state)

    @traceable
    async def aask(state: State) -> None:
        await inner.ainvoke(state)

    node = for_driver(driver, lambda state: ask(state), lambda state: aask(state))
    a = for_driver(driver, "", "a")

    driver.invoke(graph_of(RunnableLambda(node) if a == "" else RunnableLambda(aask)), {"a": 0})

    assert str(client.shown()).count("'inner', ['n0']") == 1
    assert f"('{a}ask', [('inner', ['n0'])])" in str(client.shown())


def test_the_current_run_is_that_of_a_runnable_callable(driver: Any, client: Recorded) -> None:
    names = Names()
    look = names.node(driver)
    step = RunnableCallable(*for_driver(driver, (look,), (None, look)), name="step")

    if driver.name == "sync":
        step.invoke(None)
    else:
        asyncio.run(step.ainvoke(None))

    assert names[0] == "step"


def test_tracing_that_is_switched_on_for_the_process_is_seen(driver: Any) -> None:
    client = Recorded()
    names = Names()
    configure(client=client, enabled=True)
    try:
        driver.invoke(graph_of(names.node(driver)), {"a": 0})
    finally:
        configure(client=None, enabled=None)

    assert names[0] == "n0"
    assert client.shown() == [("g", [("n0", [names[1]])])]
