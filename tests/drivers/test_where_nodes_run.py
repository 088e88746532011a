"""Async runs call functions in threads, and sync runnables in the thread of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, TypedDict

import pytest
from langchain_core.runnables import RunnableLambda

from millstream._base.runnable import RunnableCallable
from millstream.func import entrypoint, task
from millstream.graph import START, StateGraph

pytestmark = pytest.mark.timeout(20)


class State(TypedDict, total=False):
    where: str


def where(state: Any) -> State:
    """Return whether an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return {"where": "thread"}
    return {"where": "loop"}


class Thing:
    def __call__(self, state: State) -> State:
        return where(state)

    def method(self, state: State) -> State:
        return where(state)


FUNCTIONS: dict[str, Any] = {
    "function": lambda state: where(state),
    "object": Thing(),
    "method": Thing().method,
    "partial": partial(where),
    "lambda": RunnableLambda(where),
}
RUNNABLES: dict[str, Any] = {
    "runnable": RunnableCallable(where),
    "untraced": RunnableCallable(where, trace=False),
    "sequence": RunnableCallable(lambda state: state) | RunnableCallable(where),
    "bound": RunnableCallable(where).with_config(tags=["a"]),
}


def graph_of(node: Any, **options: Any) -> Any:
    return StateGraph(State).add_node("n", node, **options).add_edge(START, "n").compile()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_may_block(name: str) -> None:
    assert asyncio.run(graph_of(FUNCTIONS[name]).ainvoke({})) == {"where": "thread"}


@pytest.mark.parametrize("name", RUNNABLES)
def test_a_runnable_without_an_async_function_has_the_loop(name: str) -> None:
    assert asyncio.run(graph_of(RUNNABLES[name]).ainvoke({})) == {"where": "loop"}


@pytest.mark.parametrize(
    ("wrap", "expected"), [(lambda f: f, "thread"), (RunnableCallable, "loop")]
)
def test_paths_and_error_handlers_are_called_like_nodes(
    wrap: Callable[[Any], Any], expected: str
) -> None:
    seen: list[str] = []

    def path(state: State) -> str:
        seen.append(where(state)["where"])
        return "end"

    def handle(state: State) -> State:
        seen.append(where(state)["where"])
        return {}

    def fail(state: State) -> None:
        raise OSError

    builder = StateGraph(State).add_node("n", lambda state: None).add_node("end", lambda s: None)
    builder.add_conditional_edges("n", wrap(path), ["end"])
    builder.add_node("fail", fail, error_handler=wrap(handle)).add_edge("end", "fail")
    asyncio.run(builder.add_edge(START, "n").compile().ainvoke({}))

    assert seen == [expected] * 2


def test_tasks_and_entrypoints_may_block() -> None:
    @task
    def step() -> str:
        return where(None)["where"]

    @entrypoint()
    def flow(x: int) -> str:
        return where(None)["where"]

    @entrypoint()
    async def aflow(x: int) -> str:
        return await step()

    async def both() -> list[str]:
        return [await flow.ainvoke(1), await aflow.ainvoke(1)]

    assert asyncio.run(both()) == ["thread", "thread"]


def test_a_sync_runnable_works_in_a_loop_without_threads() -> None:
    async def run() -> Any:
        loop = asyncio.get_running_loop()
        loop.run_in_executor = None  # type: ignore[assignment,method-assign]  # whatever calls it fails
        return await graph_of(RunnableCallable(where)).ainvoke({})

    assert asyncio.run(run()) == {"where": "loop"}


def test_what_a_sync_runnable_raises_reaches_the_caller_of_an_async_run() -> None:
    def stop(state: State) -> State:
        raise StopIteration("enough")

    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(graph_of(RunnableCallable(stop, trace=False)).ainvoke({}))
