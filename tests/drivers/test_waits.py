"""One life of a task for both drivers: what it waits for, and how a sync run carries it out."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from drivers.small import State, graph_of
from millstream.drivers.waits import finish
from millstream.errors import NodeError
from millstream.graph import START, StateGraph
from millstream.types import RetryPolicy


async def give(value: Any) -> Any:
    """Return without waiting."""
    return value


async def wait() -> None:
    """Wait for an event loop."""
    await asyncio.sleep(0)


def test_a_coroutine_that_does_not_wait_is_carried_out_without_a_loop() -> None:
    async def both() -> tuple[Any, Any]:
        return await give(1), await give(2)

    assert finish(both) == (1, 2)


def test_a_coroutine_of_a_sync_run_must_not_wait_for_a_loop() -> None:
    with pytest.raises(RuntimeError, match="waits for an event loop"):
        finish(wait)


def test_an_error_leaves_a_coroutine_as_it_was_raised() -> None:
    async def fail() -> None:
        raise KeyError("k")

    with pytest.raises(KeyError, match="k"):
        finish(fail)


@pytest.mark.parametrize("attempts", [1, 2])
def test_a_stop_iteration_is_what_a_handler_is_given(driver: Any, attempts: int) -> None:
    """With a retry policy a coroutine has the task's life, and those cannot carry one."""
    seen: list[type[BaseException]] = []

    def stop(state: State) -> State:
        raise StopIteration("enough")

    def handle(state: State, error: NodeError) -> State:
        seen.append(type(error.error))
        return {}

    policy = None if attempts == 1 else RetryPolicy(max_attempts=attempts, retry_on=KeyError)
    builder = StateGraph(State).add_node("n", stop, retry_policy=policy, error_handler=handle)

    driver.invoke(builder.add_edge(START, "n").compile(), {"x": 0, "log": []})

    assert seen == [StopIteration if driver.name == "sync" else RuntimeError]


def test_attempts_wait_as_long_as_their_policy_says(driver: Any, fake_clock: Any) -> None:
    attempts: list[float] = []

    def fail_twice(state: State) -> State:
        attempts.append(fake_clock.seconds)
        if len(attempts) < 3:
            raise ConnectionError
        return {}

    policy = RetryPolicy(max_attempts=3, initial_interval=10.0, backoff_factor=2, jitter=False)
    graph = graph_of(fail_twice, retry_policy=policy)

    driver.invoke(graph, {"x": 0, "log": []})

    pauses = [after - before for before, after in pairwise(attempts)]
    assert pauses == pytest.approx([10.0, 20.0])
