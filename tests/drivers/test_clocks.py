"""A run has the clock of the context it was opened in, and so has all that it calls."""

from __future__ import annotations

import contextvars
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver

from millstream._base.clock import SYSTEM, Clock, current, given
from millstream.graph import START, StateGraph
from millstream.runtime import Runtime
from millstream.types import RetryPolicy


class State(TypedDict, total=False):
    began: float


class Still(Clock):
    """A clock that stands, and says what it was asked."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.seconds

    timestamp = monotonic

    def now(self) -> str:
        return str(self.seconds)

    def draw(self) -> float:
        return 0.25

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.slept.append(seconds)

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)


def look(state: State, runtime: Runtime) -> State:
    assert runtime.execution_info is not None
    return {"began": runtime.execution_info.node_first_attempt_time or 0.0}


def looking() -> Any:
    return StateGraph(State).add_node("look", look).add_edge(START, "look").compile()


def test_runs_have_the_clock_that_was_given(driver: Any) -> None:
    with given(Still(1.0)):
        first = driver.invoke(looking(), {})
    with given(Still(2.0)):
        second = driver.invoke(looking(), {})

    assert (first["began"], second["began"]) == (1.0, 2.0)
    assert current() is SYSTEM


def test_nested_graphs_have_the_clock_of_their_run(driver: Any) -> None:
    inner = looking()

    def call(state: State, config: RunnableConfig) -> State:
        with ThreadPoolExecutor(1) as threads:
            # In a thread that knows nothing of the context, but by the config.
            return threads.submit(contextvars.Context().run, inner.invoke, {}, config).result()

    graph = StateGraph(State).add_node("call", call).add_edge(START, "call").compile()
    with given(Still(3.0)):
        assert driver.invoke(graph, {}) == {"began": 3.0}


def test_attempts_wait_by_the_clock_of_their_run(driver: Any) -> None:
    clock, tried = Still(0.0), []

    def fail(state: State) -> State:
        tried.append(clock.seconds)
        if len(tried) < 3:
            raise ValueError("not yet")
        return {}

    policy = RetryPolicy(1000.0, max_interval=1e9, retry_on=ValueError)
    builder = StateGraph(State).add_node("fail", fail, retry_policy=policy)
    graph = builder.add_edge(START, "fail").compile()

    with given(clock):
        driver.invoke(graph, {})

    # Most of an hour, for those who wait by another clock; what is drawn is added.
    assert tried == [0.0, 1000.25, 3000.5]


def test_checkpoints_are_stamped_by_the_clock_of_their_run(driver: Any) -> None:
    builder = StateGraph(State).add_node("look", look).add_edge(START, "look")
    graph = builder.compile(InMemorySaver())
    thread = {"configurable": {"thread_id": "1"}}

    with given(Still(4.0)):
        driver.invoke(graph, {}, thread)

    assert {snapshot.created_at for snapshot in graph.get_state_history(thread)} == {"4.0"}
