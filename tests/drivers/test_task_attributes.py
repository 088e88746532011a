"""What is set on a `@task` after it was made counts for the next call."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest
from langgraph.cache.memory import InMemoryCache

from millstream.errors import NodeTimeoutError
from millstream.func import entrypoint, task
from millstream.types import CachePolicy, RetryPolicy

pytestmark = pytest.mark.timeout(20)

AGAIN = RetryPolicy(initial_interval=0, jitter=False, max_attempts=3, retry_on=OSError)


def calling(driver: Any, step: Any, **options: Any) -> Any:
    """Return a workflow that calls a task."""

    @entrypoint(**options)
    def flow(x: int) -> Any:
        return step(x).result()

    @entrypoint(**options)
    async def aflow(x: int) -> Any:
        return await step(x)

    return aflow if driver.name == "async" else flow


def test_another_function(driver: Any) -> None:
    @task
    def step(x: int) -> str:
        return "first"

    flow = calling(driver, step)
    before = driver.invoke(flow, 1)
    inner = step.func
    step.func = lambda x: f"second, after {inner(x)}"

    assert (before, driver.invoke(flow, 1)) == ("first", "second, after first")


def test_an_async_function_in_place_of_a_sync_one() -> None:
    @task
    def step(x: int) -> Any:
        return "sync"

    async def replacement(x: int) -> str:
        await asyncio.sleep(0)
        return "async"

    step.func = replacement

    @entrypoint()
    async def flow(x: int) -> Any:
        return await step(x)

    assert asyncio.run(flow.ainvoke(1)) == "async"


@pytest.mark.parametrize("policy", [AGAIN, [AGAIN], (AGAIN,)])
def test_a_retry_policy(driver: Any, policy: Any) -> None:
    attempts: list[int] = []

    @task
    def step(x: int) -> int:
        attempts.append(x)
        if len(attempts) < 3:
            raise OSError("no")
        return len(attempts)

    step.retry_policy = policy

    assert driver.invoke(calling(driver, step), 1) == 3


def test_no_retry_policy_any_more(driver: Any) -> None:
    attempts: list[int] = []

    @task(retry_policy=AGAIN)
    def step(x: int) -> None:
        attempts.append(x)
        raise OSError("no")

    step.retry_policy = None
    with pytest.raises(OSError, match="no"):
        driver.invoke(calling(driver, step), 1)

    assert attempts == [1]


def test_a_cache_policy(driver: Any) -> None:
    calls: list[int] = []

    @task
    def step(x: int) -> int:
        calls.append(x)
        return len(calls)

    step.cache_policy = CachePolicy()
    flow = calling(driver, step, cache=InMemoryCache())

    assert [driver.invoke(flow, 1), driver.invoke(flow, 1)] == [1, 1]


def test_a_timeout() -> None:
    @task
    async def step(x: int) -> None:
        await asyncio.Event().wait()

    step.timeout = 0.01

    @entrypoint()
    async def flow(x: int) -> None:
        await step(x)

    with pytest.raises(NodeTimeoutError):
        asyncio.run(flow.ainvoke(1))


def test_a_timeout_of_a_sync_function_is_refused_at_the_call(driver: Any) -> None:
    @task
    def step(x: int) -> None:
        pass

    step.timeout = 1

    with pytest.raises(ValueError, match=r"only supported for async nodes .* Task 'step' is sync"):
        driver.invoke(calling(driver, step), 1)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_task_is_one_of_its_own(copied: Any) -> None:
    policy = RetryPolicy(max_attempts=9)
    before = found_by_name.retry_policy

    other = copied(found_by_name)
    other.retry_policy = policy

    assert other is not found_by_name
    assert (found_by_name.retry_policy, other.retry_policy) == (before, policy)


@task
def found_by_name(text: str) -> str:
    """Stand in this module under its name."""
    return text
