"""What ends a run reaches all of its readers, whatever it is."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any, Final

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from stream.reading import FOREVER, Reader, State, at_once, fail, row, say

pytestmark = pytest.mark.timeout(30)

THREAD: Final = {"configurable": {"thread_id": "1"}}
MOMENTS: Final = 60
"""Turns of the event loop after which the run has certainly come to where it waits."""


class Own(BaseException):
    """Neither an error nor a signal of the engine."""


ERRORS: Final[list[BaseException]] = [Own("mine"), GeneratorExit("mine"), ValueError("mine")]
if sys.version_info >= (3, 11):
    several = [Own("mine"), ValueError("mine")]
    ERRORS.append(BaseExceptionGroup("mine", several))  # noqa: F821  # since Python 3.11


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("make", [row, at_once])
@pytest.mark.parametrize("is_nested", [False, True], ids=["root", "nested"])
def test_every_reader_gets_what_a_node_raises(
    reader: Reader, error: BaseException, make: Callable[..., Any], is_nested: bool
) -> None:
    graph = make("a", fail(error))
    if is_nested:
        graph = row(graph)

    async def scenario() -> None:
        run = await reader.open(graph)
        found = await reader.together(
            reader.output(run), reader.all(run), reader.all(run.values), reader.interrupts(run)
        )
        again = await reader.together(reader.output(run), reader.interrupts(run))

        assert [type(each) for each in (*found, *again)] == [type(error)] * 6

    reader.run(scenario())


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("count", [1, 3])
def test_tasks_that_are_all_cancelled_end_the_run_like_a_stream(
    durability: Any, count: int
) -> None:
    """At each moment: everything has stopped and is stored when all have been awaited."""
    reached = [asyncio.run(cancelled_after(turns, durability, count)) for turns in range(MOMENTS)]

    assert {False, True} == set(reached)


async def cancelled_after(turns: int, durability: Any, count: int) -> bool:
    """Cancel all tasks after so many turns; say whether the endless node had begun by then."""
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
    begun: list[int] = []
    stopped: list[int] = []

    async def endless(state: State) -> None:
        begun.append(1)
        try:
            await asyncio.sleep(FOREVER)
        finally:
            stopped.append(1)

    graph = row(say("a"), endless, checkpointer=InMemorySaver())
    run = await graph.astream_events({"x": 1}, THREAD, version="v3", durability=durability)
    readings = [run.output, lambda: read(run), lambda: read(run.values)][:count]
    tasks = [asyncio.ensure_future(reading()) for reading in readings]
    for _ in range(turns):
        await asyncio.sleep(0)

    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)

    assert asyncio.all_tasks() == {asyncio.current_task()}, turns
    assert all(task.cancelled() for task in tasks), turns
    assert stopped == begun, turns
    stored = graph.get_state(THREAD).values
    assert not begun or stored == {"x": 1, "log": ["a"]}, turns
    assert complaints == [], turns
    return bool(begun)


async def read(source: Any) -> list[Any]:
    return [item async for item in source]
