"""Calls of tasks: many of them, from threads, left early, with savers that fail."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from typing import Any

import pytest
from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver

from millstream.func import entrypoint, task
from millstream.outbox.abandoned import RunAbandoned
from millstream.types import CachePolicy, Command, interrupt

pytestmark = pytest.mark.timeout(20)

PATIENCE = 10.0
"""Seconds after which a test that waits for something gives up."""
THREAD: Any = {"configurable": {"thread_id": "1"}}


@dataclass
class Meter:
    """Measures how many are inside at once."""

    inside: int = 0
    most: int = 0
    lock: Any = field(default_factory=threading.Lock)

    def __enter__(self) -> None:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1


@pytest.mark.parametrize("limit", [None, 1, 3])
def test_hundreds_of_tasks_that_call_tasks_all_end(driver: Any, limit: int | None) -> None:
    """A task that waits for its calls takes no place from them, so there is no deadlock."""
    meter = Meter()

    @task
    def leaf(x: int) -> int:
        with meter:
            return x

    @task
    def branch(x: int) -> int:
        return leaf(x).result() + sum(f.result() for f in [leaf(n) for n in range(3)])

    @entrypoint()
    def work(x: int) -> int:
        return sum(future.result() for future in [branch(n) for n in range(x)])

    result = driver.invoke(work, 200, {"max_concurrency": limit} if limit else None)

    assert result == sum(range(200)) + 3 * 200
    assert limit is None or meter.most <= limit


@pytest.mark.parametrize("limit", [None, 1, 3])
def test_hundreds_of_async_tasks_that_call_tasks_all_end(limit: int | None) -> None:
    meter = Meter()

    @task
    async def leaf(x: int) -> int:
        with meter:
            await asyncio.sleep(0)
            return x

    @task
    async def branch(x: int) -> int:
        return sum(await asyncio.gather(*[leaf(x) for _ in range(3)]))

    @entrypoint()
    async def work(x: int) -> int:
        return sum(await asyncio.gather(*[branch(n) for n in range(x)]))

    result = asyncio.run(work.ainvoke(200, {"max_concurrency": limit} if limit else None))

    assert result == 3 * sum(range(200))
    assert limit is None or meter.most <= limit


def test_tasks_call_each_other_a_hundred_deep(driver: Any) -> None:
    """Every caller but the last waits, so there are as many threads as the call is deep."""

    @task
    def down(x: int) -> int:
        return x if x == 0 else 1 + down(x - 1).result()

    @entrypoint()
    def work(x: int) -> int:
        return down(x).result()

    assert driver.invoke(work, 100, {"max_concurrency": 2}) == 100


def test_several_threads_of_a_workflow_call_at_once(driver: Any) -> None:
    """Each call gets an index of its own, and its caller its own result."""

    @task
    def echo(x: int) -> int:
        return x

    @entrypoint(checkpointer=InMemorySaver())
    def work(x: int) -> list[int]:
        context = contextvars.copy_context

        def call(n: int) -> int:
            return echo(n).result()

        with ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(context().run, call, n) for n in range(x)]
            return [future.result() for future in futures]

    items = driver.stream(work, 100, THREAD, stream_mode="tasks")

    assert items[-1]["result"] == {"__end__": list(range(100))}
    assert len({item["id"] for item in items}) == 101


def test_a_callback_of_a_future_may_call_the_next_task() -> None:
    """It runs where the task ended, and the driver stands in nobody's way."""
    second: Future[Future[int]] = Future()

    @task
    def step(x: int) -> int:
        return x

    @entrypoint()
    def work(x: int) -> int:
        context = contextvars.copy_context()
        step(x).add_done_callback(lambda _: second.set_result(context.run(step, x + 1)))
        return second.result(PATIENCE).result(PATIENCE)

    assert work.invoke(1) == 2


def test_code_that_outlives_its_task_cannot_call(driver: Any) -> None:
    """The error says which task it belongs to."""
    has_ended = threading.Event()
    late: Future[int] = Future()

    @task
    def step(x: int) -> int:
        return x

    def call() -> None:
        has_ended.wait(PATIENCE)
        try:
            late.set_result(step(1).result(PATIENCE))
        except BaseException as error:
            late.set_exception(error)

    @entrypoint()
    def work(x: int) -> int:
        threading.Thread(target=contextvars.copy_context().run, args=(call,)).start()
        return x

    async def outlive() -> None:
        # The loop has to be there for the call, as it would be in a server.
        await work.ainvoke(1)
        has_ended.set()
        await asyncio.to_thread(late.exception, PATIENCE)

    if driver.name == "sync":
        work.invoke(1)
        has_ended.set()
    else:
        asyncio.run(outlive())

    with pytest.raises(RuntimeError, match=r"'step' was called after 'work'.* had ended"):
        late.result(PATIENCE)


def test_closing_a_sync_stream_drops_calls_that_have_not_begun() -> None:
    """Those that run are waited for, and nobody waits for ever."""
    begun, go_on = threading.Event(), threading.Event()
    ran: list[int] = []
    outcome: list[BaseException] = []

    @task
    def slow(x: int) -> int:
        ran.append(x)
        begun.set()
        go_on.wait(PATIENCE)
        return x

    @entrypoint()
    def work(x: int) -> None:
        futures = [slow(n) for n in range(3)]
        try:
            futures[2].result(PATIENCE)
        except BaseException as error:
            outcome.append(error)
            go_on.set()
            slow(4)

    with closing(work.stream(1, {"max_concurrency": 1}, stream_mode="tasks")) as stream:
        assert [next(stream)["name"] for _ in range(4)] == ["work", "slow", "slow", "slow"]
        begun.wait(PATIENCE)

    assert ran == [0]
    assert [type(error) for error in outcome] == [RunAbandoned]


def test_leaving_an_async_stream_frees_threads_that_wait_for_calls() -> None:
    """The thread itself cannot be stopped, but what it waits for says that it is over."""
    outcome: Future[BaseException | None] = Future()

    @task
    async def slow(x: int) -> None:
        await asyncio.sleep(60)

    @entrypoint()
    def work(x: int) -> None:
        outcome.set_result(slow(x).exception(PATIENCE))

    async def leave() -> None:
        async with aclosing(work.astream(1, stream_mode="tasks")) as stream:
            async for item in stream:
                if item["name"] == "slow":
                    break

    asyncio.run(leave())

    assert isinstance(outcome.result(PATIENCE), RunAbandoned)


def test_a_workflow_goes_on_while_nobody_reads_its_stream() -> None:
    """Async calls run as the workflow makes them, whatever the reader is doing."""

    async def read() -> list[Any]:
        has_called = asyncio.Event()

        @task
        async def step(x: int) -> int:
            return x

        @entrypoint()
        async def work(x: int) -> int:
            for n in range(x):
                await step(n)
            has_called.set()
            return x

        items = []
        async for item in work.astream(3):
            if not items:
                await asyncio.wait_for(has_called.wait(), PATIENCE)
            items.append(item)
        return items

    assert asyncio.run(read()) == [{"step": 0}, {"step": 1}, {"step": 2}, {"work": 3}]


class Failing(InMemorySaver):
    """A saver that cannot store what tasks return."""

    def put_writes(self, *args: Any) -> None:
        if args[1][0][0] == "__return__":
            raise OSError("disk full")
        super().put_writes(*args)

    async def aput_writes(self, *args: Any) -> None:
        self.put_writes(*args)


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_a_saver_that_fails_in_a_call_fails_the_run(driver: Any, durability: Any) -> None:
    """Even if the workflow catches everything."""

    @task
    def step(x: int) -> int:
        return x

    @entrypoint(checkpointer=Failing())
    def work(x: int) -> int:
        try:
            return step(x).result()
        except Exception:
            return -1

    with pytest.raises(OSError, match="disk full"):
        driver.invoke(work, 1, THREAD, durability=durability)


def test_a_saver_that_fails_in_a_call_stops_what_else_runs() -> None:
    """An async run ends then, and not when everything else is done."""

    @task
    async def step(x: int) -> int:
        return x

    @task
    async def waits(x: int) -> int:
        return await asyncio.Event().wait()

    @entrypoint(checkpointer=Failing())
    async def work(x: int) -> Any:
        waiting = waits(x)
        try:
            return await step(x)
        except OSError:
            return await waiting

    with pytest.raises(OSError, match="disk full"):
        asyncio.run(asyncio.wait_for(work.ainvoke(1, THREAD, durability="sync"), PATIENCE))


class Panic(BaseException):
    """No `Exception`, like what an extension module in another language raises."""


class Panicking(Failing):
    """A saver that panics instead."""

    def put_writes(self, *args: Any) -> None:
        try:
            super().put_writes(*args)
        except OSError as error:
            raise Panic from error


def test_whatever_a_saver_raises_in_a_call_ends_the_run(driver: Any) -> None:
    """It is raised in a worker thread, and the workflow waits for the call."""

    @task
    def step(x: int) -> int:
        return x

    @entrypoint(checkpointer=Panicking())
    def work(x: int) -> int:
        return step(x).result(PATIENCE)

    with pytest.raises(Panic):
        driver.invoke(work, 1, THREAD, durability="sync")


def test_a_call_that_is_cancelled_before_it_begins_does_not_run(driver: Any) -> None:
    """Like any future that waits for a thread."""
    go_on, ran = threading.Event(), list[int]()

    @task
    def step(x: int) -> int:
        ran.append(x)
        go_on.wait(PATIENCE)
        return x

    @entrypoint(checkpointer=InMemorySaver())
    def work(x: int) -> int:
        first, *others = [step(n) for n in range(x)]
        assert [future.cancel() for future in others] == [True] * (x - 1)
        go_on.set()
        return first.result(PATIENCE)

    result = driver.invoke(work, 4, {**THREAD, "max_concurrency": 1})

    assert result == 0
    assert ran == [0]


class Recording(InMemorySaver):
    """A saver that notes what tasks returned when it is stored."""

    def __init__(self) -> None:
        super().__init__()
        self.returned: list[Any] = []

    def put_writes(self, *args: Any) -> None:
        super().put_writes(*args)
        self.returned += [value for channel, value in args[1] if channel == "__return__"]

    async def aput_writes(self, *args: Any) -> None:
        await asyncio.sleep(0)
        self.put_writes(*args)


def test_a_sync_saver_has_a_result_before_the_workflow_has_it(driver: Any) -> None:
    """What came of it may be done already when the process dies, so it is not done twice."""
    saver = Recording()
    stored: list[Any] = []

    @task
    def step(x: int) -> int:
        return x

    @entrypoint(checkpointer=saver)
    def work(x: int) -> int:
        for future in [step(n) for n in range(x)]:
            value = future.result()
            stored.append(value in saver.returned)
        return x

    driver.invoke(work, 5, THREAD, durability="sync")

    assert stored == [True] * 5


def test_results_that_were_stored_before_a_crash_are_used_after_it(driver: Any) -> None:
    """A workflow that dies with its process goes on where its calls had got to."""
    saver, runs = InMemorySaver(), list[int]()

    @task
    def step(x: int) -> int:
        runs.append(x)
        return x

    @entrypoint(checkpointer=saver)
    def work(x: int) -> list[int]:
        done = [step(n).result() for n in range(3)]
        if runs.count(0) == 1 and len(runs) == 3:
            runs.append(-1)
            raise KeyboardInterrupt
        return done

    with pytest.raises(KeyboardInterrupt):
        driver.invoke(work, 1, THREAD, durability="sync")
    result = driver.invoke(work, None, THREAD)

    assert result == [0, 1, 2]
    assert runs == [0, 1, 2, -1]


def test_a_result_from_the_cache_is_stored_with_the_thread(driver: Any) -> None:
    """So a workflow that asks, or fails, goes on with it when the cache has forgotten it."""
    cache, drawn = InMemoryCache[Any](), list[int]()
    has_failed = threading.Event()

    @task(cache_policy=CachePolicy())
    def draw(x: int) -> int:
        drawn.append(x)
        return len(drawn)

    @entrypoint(checkpointer=InMemorySaver(), cache=cache)
    def work(x: int) -> list[Any]:
        number = draw(x).result(PATIENCE)
        answer = interrupt(f"use {number}?")
        if not has_failed.is_set():
            has_failed.set()
            raise OSError("flaky")
        return [number, answer]

    def thread(name: str) -> Any:
        return {"configurable": {"thread_id": name}}

    for name in ("first", "second"):
        (asked,) = driver.invoke(work, 1, thread(name))["__interrupt__"]
        assert asked.value == "use 1?"
    cache.clear()
    with pytest.raises(OSError, match="flaky"):
        driver.invoke(work, Command(resume="yes"), thread("second"))
    result = driver.invoke(work, None, thread("second"))

    assert result == [1, "yes"]
    assert drawn == [1]


def test_unknown_arguments_of_the_decorators_give_a_warning() -> None:
    with pytest.warns(UserWarning, match="Ignoring unknown keyword arguments: colour"):
        task(colour="red")
    with pytest.warns(UserWarning, match="Ignoring unknown keyword arguments: colour"):
        entrypoint(colour="red")
