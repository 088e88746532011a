"""Retries, draining, caching and concurrency limits, with what they stream."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver

from drivers.small import State, fail, graph_of, with_handler
from millstream.errors import GraphDrained, NodeError
from millstream.func import entrypoint, task
from millstream.graph import START, StateGraph
from millstream.runtime import RunControl, Runtime
from millstream.types import CachePolicy, RetryPolicy, Send, StreamWriter

pytestmark = pytest.mark.timeout(20)

AT_ONCE = RetryPolicy(initial_interval=0, jitter=False)


# A handler is that of one node, or the one of all nodes.
either = pytest.mark.parametrize("is_default", [False, True], ids=["own", "default"])


# -- retries --------------------------------------------------------------------------------------


def test_waits_between_attempts_grow_by_the_factor_and_by_what_is_drawn(
    driver: Any, fake_clock: Any
) -> None:
    began = fake_clock.seconds
    attempts: list[tuple[float, float | None]] = []

    def node(state: State, runtime: Runtime[Any]) -> dict[str, Any]:
        first = runtime.execution_info.node_first_attempt_time
        attempts.append((round(fake_clock.seconds - began, 6), first))
        if len(attempts) < 4:
            raise ConnectionError("try again")
        return {"log": ["done"]}

    policy = RetryPolicy(
        initial_interval=10, backoff_factor=3, max_interval=60, max_attempts=4, jitter=True
    )
    result = driver.invoke(graph_of(node, retry_policy=policy), {"x": 1})

    # 10, 30 and, at most, 60 seconds, each with the half second that is drawn.
    assert attempts == [(0.0, began), (10.5, began), (41.0, began), (101.5, began)]
    assert result["log"] == ["done"]


def test_a_retried_node_keeps_the_custom_items_of_failed_attempts(driver: Any) -> None:
    def node(state: State, runtime: Runtime[Any]) -> dict[str, Any]:
        attempt = runtime.execution_info.node_attempt
        runtime.stream_writer(attempt)
        if attempt < 3:
            raise ConnectionError("try again")
        return {"log": [attempt]}

    items = driver.stream(
        graph_of(node, retry_policy=AT_ONCE), {"x": 1}, stream_mode=["custom", "updates"]
    )

    assert items == [
        ("custom", 1),
        ("custom", 2),
        ("custom", 3),
        ("updates", {"node": {"log": [3]}}),
    ]


def test_execution_info_tells_the_attempts_of_one_task_apart(driver: Any) -> None:
    infos: list[Any] = []

    def node(state: State, runtime: Runtime[Any]) -> None:
        infos.append(runtime.execution_info)
        if len(infos) < 3:
            raise ConnectionError("try again")

    before = time.time()
    driver.invoke(graph_of(node, retry_policy=AT_ONCE), {"x": 1})

    assert [info.node_attempt for info in infos] == [1, 2, 3]
    assert len({info.task_id for info in infos}) == 1
    assert len({info.node_first_attempt_time for info in infos}) == 1
    assert before <= infos[0].node_first_attempt_time <= time.time()
    assert infos[0].checkpoint_ns == f"node:{infos[0].task_id}"
    assert (infos[0].thread_id, infos[0].run_id) == (None, None)


def test_the_state_of_a_retried_node_is_that_of_the_first_attempt(driver: Any) -> None:
    seen: list[Any] = []
    child = graph_of(lambda state: {"log": ["child"]})

    def node(state: State) -> dict[str, Any]:
        seen.append(state)
        child.invoke({"x": 1})
        if len(seen) == 1:
            raise ConnectionError("try again")
        return {"log": ["done"]}

    result = driver.invoke(graph_of(node, retry_policy=AT_ONCE), {"x": 1})

    assert seen == [{"x": 1, "log": []}] * 2
    assert result == {"x": 1, "log": ["done"]}


def test_siblings_of_a_retried_node_run_once(driver: Any) -> None:
    ran: list[str] = []

    def fail_once(state: State) -> None:
        ran.append("retried")
        if ran.count("retried") == 1:
            raise ConnectionError("try again")

    builder = StateGraph(State)
    builder.add_node("retried", fail_once, retry_policy=AT_ONCE)
    builder.add_node("other", lambda state: ran.append("other"))
    graph = builder.add_edge(START, "retried").add_edge(START, "other").compile()

    driver.invoke(graph, {"x": 1})

    assert sorted(ran) == ["other", "retried", "retried"]


def test_a_back_off_does_not_hold_up_the_siblings(driver: Any) -> None:
    attempts: list[int] = []

    def fail_once(state: State) -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise ConnectionError("try again")

    policy = RetryPolicy(initial_interval=0.3, jitter=False)
    builder = StateGraph(State)
    builder.add_node("retried", fail_once, retry_policy=policy)
    builder.add_node("other", lambda state: {"log": [len(attempts)]})
    graph = builder.add_edge(START, "retried").add_edge(START, "other").compile()

    first, _ = driver.stream(graph, {"x": 1})
    assert first.keys() == {"other"}


def test_a_handler_runs_after_the_last_attempt(driver: Any) -> None:
    attempts: list[int] = []

    def node(state: State) -> None:
        attempts.append(1)
        raise ConnectionError(f"attempt {len(attempts)}")

    def handle(state: State, error: NodeError) -> dict[str, Any]:
        return {"log": [error.node, str(error.error), len(attempts)]}

    graph = graph_of(node, retry_policy=AT_ONCE, error_handler=handle)

    assert driver.invoke(graph, {"x": 1})["log"] == ["node", "attempt 3", 3]


@either
def test_the_default_retry_policy_is_for_handlers_too(driver: Any, is_default: bool) -> None:
    attempts: list[str] = []

    def handle(state: State, error: NodeError) -> dict[str, Any]:
        attempts.append(error.node)
        if len(attempts) < 3:
            raise ConnectionError("try again")
        return {"log": ["handled"]}

    builder = StateGraph(State).set_node_defaults(retry_policy=AT_ONCE)
    graph = with_handler(builder, fail, handle, is_default=is_default)

    assert driver.invoke(graph, {"x": 1})["log"] == ["handled"]
    assert attempts == ["node"] * 3


@either
def test_the_default_cache_policy_is_not_for_handlers(driver: Any, is_default: bool) -> None:
    handled: list[str] = []

    def handle(state: State) -> dict[str, Any]:
        handled.append("handled")
        return {"log": ["handled"]}

    builder = StateGraph(State).set_node_defaults(cache_policy=CachePolicy())
    graph = with_handler(builder, fail, handle, is_default=is_default, cache=InMemoryCache())
    driver.invoke(graph, {"x": 1})
    driver.invoke(graph, {"x": 1})

    assert handled == ["handled", "handled"]


def test_retries_are_logged(driver: Any, caplog: Any) -> None:
    errors = [ConnectionError("gone"), TimeoutError("late")]

    def node(state: State) -> None:
        if errors:
            raise errors.pop(0)

    policy = RetryPolicy(
        initial_interval=0.01, jitter=False, retry_on=(ConnectionError, TimeoutError)
    )
    with caplog.at_level("INFO", "millstream"):
        driver.invoke(graph_of(node, retry_policy=policy), {"x": 1})

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "Retrying task node after 0.01 seconds (attempt 1) after ConnectionError gone"),
        ("INFO", "Retrying task node after 0.02 seconds (attempt 2) after TimeoutError late"),
    ]
    assert [record.exc_info[0] for record in caplog.records] == [ConnectionError, TimeoutError]


def test_retries_of_a_task_are_logged(driver: Any, caplog: Any) -> None:
    errors = [ConnectionError("gone")]

    @task(retry_policy=AT_ONCE)
    def step(x: int) -> int:
        if errors:
            raise errors.pop()
        return x

    @entrypoint()
    def flow(x: int) -> int:
        return step(x).result() if driver.name == "sync" else x

    @entrypoint()
    async def aflow(x: int) -> int:
        return await step(x)

    with caplog.at_level("INFO", "millstream"):
        driver.invoke(flow if driver.name == "sync" else aflow, 1)

    assert [record.getMessage() for record in caplog.records] == [
        "Retrying task step after 0.00 seconds (attempt 1) after ConnectionError gone"
    ]


# -- draining -------------------------------------------------------------------------------------


def loop_graph(begun: threading.Event, go_on: threading.Event, **kwargs: Any) -> Any:
    """Return a graph that counts for ever, waiting in its second superstep."""

    def count(state: State) -> dict[str, Any]:
        if state["x"] == 1:
            begun.set()
            go_on.wait(5)
        return {"x": state["x"] + 1}

    builder = StateGraph(State).add_node(count).add_edge(START, "count")
    return builder.add_edge("count", "count").compile(**kwargs)


@pytest.mark.parametrize("is_nested", [False, True], ids=["root", "nested"])
def test_a_drain_from_another_thread_stops_the_run_after_its_superstep(
    driver: Any, is_nested: bool
) -> None:
    begun, go_on, control = threading.Event(), threading.Event(), RunControl()
    graph = loop_graph(begun, go_on)
    if is_nested:
        graph = graph_of(graph)

    def drain() -> None:
        begun.wait(5)
        control.request_drain("deploy")
        go_on.set()

    other = threading.Thread(target=drain)
    other.start()
    with pytest.raises(GraphDrained) as caught:
        driver.invoke(graph, {"x": 0}, control=control)
    other.join()

    assert caught.value.reason == "deploy"


@pytest.mark.parametrize("is_nested", [False, True], ids=["root", "nested"])
def test_a_drain_just_before_a_breakpoint_stops_at_the_breakpoint(
    driver: Any, is_nested: bool
) -> None:
    """The node that a person was to look at runs when they go on, and not before."""
    control, ran = RunControl(), list[str]()
    config: Any = {"configurable": {"thread_id": "1"}}

    def first(state: State) -> dict[str, Any]:
        control.request_drain("deploy")
        return {"x": 1}

    def second(state: State) -> dict[str, Any]:
        ran.append("second")
        return {"x": 2}

    builder = StateGraph(State).add_node(first).add_node(second)
    builder.add_edge(START, "first").add_edge("first", "second")
    saver = InMemorySaver()
    graph = builder.compile(checkpointer=None if is_nested else saver, interrupt_before=["second"])
    if is_nested:
        outer = StateGraph(State).add_node("inner", graph).add_edge(START, "inner")
        graph = outer.compile(checkpointer=saver)

    driver.invoke(graph, {"x": 0}, config, control=control)
    stopped = graph.get_state(config).next
    assert (stopped, ran) == ((("inner",) if is_nested else ("second",)), [])

    assert driver.invoke(graph, None, config)["x"] == 2
    assert ran == ["second"]


def test_a_drained_run_has_delivered_and_saved_its_supersteps(driver: Any) -> None:
    saver, control = InMemorySaver(), RunControl()
    config: Any = {"configurable": {"thread_id": "1"}}

    def count(state: State) -> dict[str, Any]:
        if state["x"] == 2:
            control.request_drain()
        return {"x": state["x"] + 1}

    builder = StateGraph(State).add_node(count).add_edge(START, "count")
    builder.add_conditional_edges("count", lambda state: "count" if state["x"] < 5 else "__end__")
    graph = builder.compile(checkpointer=saver)
    items: list[Any] = []

    async def read() -> None:
        async for item in graph.astream({"x": 0}, config, control=control):
            items.append(item["count"]["x"])

    with pytest.raises(GraphDrained, match="shutdown"):  # noqa: PT012  # one act, two drivers
        if driver.name == "async":
            asyncio.run(read())
        for item in graph.stream({"x": 0}, config, control=control):
            items.append(item["count"]["x"])

    assert items == [1, 2, 3]
    assert driver.invoke(graph, None, config)["x"] == 5


def test_nodes_see_a_drain_request(driver: Any) -> None:
    control = RunControl()

    def node(state: State, runtime: Runtime[Any]) -> dict[str, Any]:
        before = (runtime.drain_requested, runtime.drain_reason)
        control.request_drain("first")
        control.request_drain("second")
        return {"log": [before, (runtime.drain_requested, runtime.drain_reason)]}

    result = driver.invoke(graph_of(node), {"x": 1}, control=control)

    assert result["log"] == [(False, None), (True, "second")]


# -- caching --------------------------------------------------------------------------------------


def cached(ran: list[int], **policy: Any) -> Any:
    def node(state: State) -> dict[str, Any]:
        ran.append(state["x"])
        return {"log": [state["x"]]}

    return graph_of(
        node, cache_policy=CachePolicy(**policy), compile_with={"cache": InMemoryCache()}
    )


def test_a_cached_result_is_replayed(driver: Any) -> None:
    ran: list[int] = []
    graph = cached(ran)

    first = driver.stream(graph, {"x": 1})
    second = driver.stream(graph, {"x": 1})
    other = driver.stream(graph, {"x": 2})

    assert first == [{"node": {"log": [1]}}]
    assert second == [{"node": {"log": [1]}, "__metadata__": {"cached": True}}]
    assert other == [{"node": {"log": [2]}}]
    assert ran == [1, 2]


def test_a_cache_key_can_be_chosen(driver: Any) -> None:
    ran: list[int] = []
    graph = cached(ran, key_func=lambda state: str(state["x"] % 2))

    results = [driver.invoke(graph, {"x": x})["log"] for x in (1, 3, 2, 5)]

    assert results == [[1], [1], [2], [1]]
    assert ran == [1, 2]


def test_a_cleared_cache_is_empty(driver: Any) -> None:
    ran: list[int] = []
    graph = cached(ran)

    driver.invoke(graph, {"x": 1})
    if driver.name == "async":
        asyncio.run(graph.aclear_cache())
    else:
        graph.clear_cache(["node"])
    driver.invoke(graph, {"x": 1})

    assert ran == [1, 1]


def test_a_failure_is_not_cached(driver: Any) -> None:
    ran: list[int] = []

    def node(state: State) -> dict[str, Any]:
        ran.append(1)
        if len(ran) == 1:
            raise ValueError("once")
        return {"log": ["done"]}

    graph = graph_of(node, cache_policy=CachePolicy(), compile_with={"cache": InMemoryCache()})

    with pytest.raises(ValueError, match="once"):
        driver.invoke(graph, {"x": 1})
    results = [driver.invoke(graph, {"x": 1})["log"] for _ in range(2)]

    assert results == [["done"], ["done"]]
    assert len(ran) == 2


# -- concurrency ----------------------------------------------------------------------------------


class Gauge:
    """Notes how many are inside at once."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.inside -= 1


def fan_out(worker: Any, count: int) -> Any:
    builder = StateGraph(State)
    builder.add_node("worker", worker)
    builder.add_conditional_edges(
        START, lambda state: [Send("worker", {"x": n}) for n in range(count)]
    )
    return builder.compile()


@pytest.mark.parametrize("limit", [1, 3])
def test_max_concurrency_limits_running_tasks(driver: Any, limit: int) -> None:
    gauge, together = Gauge(), threading.Barrier(limit, timeout=10)

    def worker(state: State) -> dict[str, Any]:
        with gauge:
            together.wait()
        return {"log": [state["x"]]}

    result = driver.invoke(fan_out(worker, 12), {"x": 0}, {"max_concurrency": limit})

    assert result["log"] == list(range(12))
    assert gauge.most == limit


@pytest.mark.usefixtures("fake_clock")
def test_max_concurrency_limits_async_tasks() -> None:
    gauge = Gauge()

    async def worker(state: State) -> dict[str, Any]:
        with gauge:
            await asyncio.sleep(0.005)
        return {"log": [state["x"]]}

    result = asyncio.run(fan_out(worker, 12).ainvoke({"x": 0}, {"max_concurrency": 4}))

    assert result["log"] == list(range(12))
    assert gauge.most == 4


def test_max_concurrency_of_one_does_not_block_nested_graphs(driver: Any) -> None:
    child = fan_out(lambda state: {"log": [state["x"]]}, 3)

    def call(state: State) -> dict[str, Any]:
        return {"log": [child.invoke({"x": 0})["log"]]}

    result = driver.invoke(fan_out(call, 3), {"x": 0}, {"max_concurrency": 1})

    assert result["log"] == [[0, 1, 2]] * 3


def test_a_step_timeout_ends_the_run(driver: Any) -> None:
    stopped = threading.Event()

    def node(state: State, writer: StreamWriter) -> None:
        try:
            while not stopped.wait(0.001):
                writer("still here")
        finally:
            stopped.set()

    graph = graph_of(node)
    graph.step_timeout = 0.05

    with pytest.raises((TimeoutError, asyncio.TimeoutError)):
        driver.stream(graph, {"x": 1}, stream_mode="custom")
    assert stopped.wait(10)
