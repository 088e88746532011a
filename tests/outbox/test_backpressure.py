"""With `max_buffered` those who emit wait for the reader, and nobody waits for ever.

Whatever emits here does so without end, unless it is stopped: a test that hangs has found a leak.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, closing
from typing import Any

import pytest

from drivers.talking import PLACES, State, Talker, ask, graph_of, in_task
from millstream.config import get_stream_writer
from millstream.func import entrypoint, task
from millstream.graph import START, StateGraph
from millstream.types import StreamWriter

pytestmark = pytest.mark.timeout(30)

LIMIT = 4
PATIENCE = 5.0


def read(driver: Any, graph: Any, see: Callable[[int], None], count: int, **kwargs: Any) -> None:
    """Read so many items, giving everybody else a turn after each, and leave."""

    async def aread() -> None:
        async with aclosing(graph.astream({"x": 1}, **kwargs)) as items:
            async for index in anumbered(items, count):
                for _ in range(50):
                    await asyncio.sleep(0)
                see(index)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others

    if driver.name == "async":
        asyncio.run(aread())
        return
    before = set(threading.enumerate())
    with closing(graph.stream({"x": 1}, **kwargs)) as items:
        for index, _ in enumerate(itertools.islice(items, count), 1):
            see(index)
    assert set(threading.enumerate()) <= before


async def anumbered(items: AsyncIterator[Any], count: int) -> AsyncIterator[int]:
    index = 0
    async for _ in items:
        index += 1
        yield index
        if index == count:
            return


@pytest.mark.parametrize("place", PLACES)
def test_a_model_is_never_more_than_the_bound_ahead_of_the_reader(driver: Any, place: Any) -> None:
    is_async = driver.name == "async"
    begun = threading.Semaphore(0)
    model = Talker(begun=begun)
    graph = place(ask(model, is_async), is_async)
    leads: list[int] = []

    def see(index: int) -> None:
        if index == 1 and not is_async:
            for _ in range(1 + LIMIT):
                assert begun.acquire(timeout=PATIENCE)
        leads.append(model.said - index)

    options = {"stream_mode": "messages", "subgraphs": True, "max_buffered": LIMIT}
    read(driver, graph, see, 100, **options)

    assert LIMIT - 1 <= max(leads) <= LIMIT + 1


@pytest.mark.parametrize("place", PLACES)
def test_a_sync_node_that_writes_is_never_more_than_the_bound_ahead(
    driver: Any, place: Any
) -> None:
    begun, written = threading.Semaphore(0), list[int]()
    leads: list[int] = []

    def node(state: State) -> None:
        writer = get_stream_writer()
        for index in itertools.count():
            written.append(index)
            begun.release()
            writer(index)

    def see(index: int) -> None:
        if index == 1:
            for _ in range(1 + LIMIT):
                assert begun.acquire(timeout=PATIENCE)
        leads.append(len(written) - index)

    graph = place(node, False) if place is not in_task else place(node, driver.name == "async")
    options = {"stream_mode": "custom", "subgraphs": True, "max_buffered": LIMIT}
    read(driver, graph, see, 100, **options)

    assert LIMIT - 1 <= max(leads) <= LIMIT + 1


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("limit", [1, 3, 1000, None])
def test_leaving_stops_a_model_that_would_never_end(driver: Any, place: Any, limit: int) -> None:
    is_async = driver.name == "async"
    model = Talker()
    graph = place(ask(model, is_async), is_async)

    options = {"stream_mode": "messages", "subgraphs": True, "max_buffered": limit}
    read(driver, graph, lambda index: None, 10, **options)

    assert model.ended == 1


def test_two_models_are_stopped_while_they_wait(driver: Any) -> None:
    is_async = driver.name == "async"
    models = Talker(), Talker()
    graph = graph_of(a=ask(models[0], is_async), b=graph_of(c=ask(models[1], is_async)))

    class Enough(Exception):
        pass

    def see(index: int) -> None:
        if all(model.said for model in models):
            raise Enough

    options = {"stream_mode": ["messages", "custom"], "subgraphs": True, "max_buffered": 1}
    with pytest.raises(Enough):
        read(driver, graph, see, 1_000_000, **options)

    assert [model.ended for model in models] == [1, 1]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync node", "async node"])
def test_cancelling_the_reader_stops_who_waits(is_async: bool) -> None:
    begun = threading.Semaphore(0)
    model = Talker(begun=begun)
    graph = graph_of(a=graph_of(node=ask(model, is_async)))
    has_read = asyncio.Event()

    async def reader() -> None:
        options = {"stream_mode": "messages", "subgraphs": True, "max_buffered": LIMIT}
        async with aclosing(graph.astream({"x": 1}, **options)) as items:
            async for _ in items:
                has_read.set()
                await asyncio.Event().wait()

    async def work() -> None:
        reading = asyncio.create_task(reader())
        await has_read.wait()
        for _ in range(1 + LIMIT):
            await asyncio.to_thread(begun.acquire, timeout=PATIENCE)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    # Leaving the loop waits for its threads.
    asyncio.run(work())

    assert model.ended == 1


def test_everything_arrives_in_the_same_order_as_without_a_bound(driver: Any) -> None:
    is_async = driver.name == "async"
    modes = ["messages", "custom", "updates", "values", "tasks"]

    def graph() -> Any:
        model = Talker(count=30)

        def write(state: State) -> dict[str, Any]:
            for index in range(30):
                get_stream_writer()(index)
            return {"log": ["written"]}

        builder = StateGraph(State)
        builder.add_sequence([("say", graph_of(node=ask(model, is_async))), ("write", write)])
        return builder.add_edge(START, "say").compile()

    def items(**options: Any) -> list[Any]:
        seen = driver.stream(graph(), {"x": 1}, stream_mode=modes, subgraphs=True, **options)
        return [
            (mode, payload[0].content if mode == "messages" else payload)
            for _, mode, payload in seen
            if mode != "tasks"
        ]

    assert items(max_buffered=2) == items()


def test_nested_supersteps_wait_for_the_reader(driver: Any) -> None:
    steps: list[int] = []
    leads: list[int] = []

    def count(state: State) -> dict[str, Any]:
        steps.append(len(steps))
        return {"x": len(steps)}

    child = StateGraph(State).add_node(count).add_edge(START, "count")
    child.add_edge("count", "count")
    config = {"recursion_limit": 10**9}

    def see(index: int) -> None:
        leads.append(len(steps) - index)

    read(
        driver,
        graph_of(child=child.compile()),
        see,
        60,
        config=config,
        stream_mode="updates",
        subgraphs=True,
        max_buffered=LIMIT,
    )

    assert max(leads) <= LIMIT + 1


def batch(state: State) -> None:
    """Have two threads ask a model."""
    Talker(count=20).batch(["x", "y"])


def read_child(state: State) -> None:
    """Read the stream of a graph that asks a model."""
    child = graph_of(node=ask(Talker(count=20), False))
    assert len(list(child.stream(state, stream_mode="messages"))) >= 20


def call_child(state: State) -> None:
    """Call a graph that asks two models at once."""
    node = ask(Talker(count=20), False)
    graph_of(a=node, b=node).invoke(state)


def call_task(state: State) -> None:
    """Call a task that asks a model."""
    step = task(ask(Talker(count=20), False))

    @entrypoint()
    def work(state: State) -> None:
        step(state).result()

    work.invoke(state)


@pytest.mark.parametrize("wait", [batch, read_child, call_child, call_task])
def test_threads_do_not_wait_for_an_event_loop_that_waits_for_them(wait: Any) -> None:
    async def node(state: State) -> None:
        wait(state)

    async def items(limit: int | None) -> list[str]:
        options = {"stream_mode": "messages", "subgraphs": True, "max_buffered": limit}
        stream = graph_of(node=node).astream({"x": 1}, **options)
        return [message.content async for _, (message, _) in stream]

    assert sorted(asyncio.run(items(LIMIT))) == sorted(asyncio.run(items(None)))


def test_a_bound_holds_again_when_the_event_loop_goes_on() -> None:
    begun, written = threading.Semaphore(0), list[int]()
    leads: list[int] = []

    async def node(state: State, writer: StreamWriter) -> None:
        batch(state)
        await asyncio.sleep(0)  # what the loop was asked meanwhile it answers in its next turn

        def write() -> None:
            for index in itertools.count():
                written.append(index)
                begun.release()
                writer(index)

        await asyncio.to_thread(write)

    async def work() -> None:
        options = {"stream_mode": ["messages", "custom"], "max_buffered": LIMIT}
        async with aclosing(graph_of(node=node).astream({"x": 1}, **options)) as items:
            async for mode, item in items:
                if mode == "custom":
                    if item == 0:
                        for _ in range(LIMIT):
                            await asyncio.to_thread(begun.acquire, timeout=PATIENCE)
                    for _ in range(50):
                        await asyncio.sleep(0)
                    leads.append(len(written) - 1 - item)
                    if item == 50:
                        break

    asyncio.run(work())

    assert max(leads) <= LIMIT + 1


def test_an_async_node_that_writes_in_a_thread_waits() -> None:
    written: list[int] = []
    leads: list[int] = []

    async def node(state: State, writer: StreamWriter) -> None:
        for index in itertools.count():
            written.append(index)
            await asyncio.to_thread(writer, index)

    async def work() -> None:
        items = graph_of(node=node).astream({"x": 1}, stream_mode="custom", max_buffered=LIMIT)
        async with aclosing(items):
            async for item in items:
                for _ in range(50):
                    await asyncio.sleep(0)
                leads.append(len(written) - 1 - item)
                if item == 50:
                    break

    asyncio.run(work())

    assert max(leads) <= LIMIT + 1


def test_what_an_async_node_writes_is_admitted_at_once() -> None:
    async def node(state: State, writer: StreamWriter) -> None:
        for index in range(50):
            writer(index)

    async def work() -> list[Any]:
        graph = graph_of(node=node)
        return [x async for x in graph.astream({"x": 1}, stream_mode="custom", max_buffered=1)]

    assert asyncio.run(work()) == list(range(50))


def test_a_sync_model_in_the_event_loop_is_heard_at_once() -> None:
    async def node(state: State) -> None:
        Talker(count=20).invoke("go")

    async def work() -> list[Any]:
        items = graph_of(node=node).astream({"x": 1}, stream_mode="messages", max_buffered=1)
        return [message.content async for message, _ in items]

    assert asyncio.run(work())[:20] == [f"{n} " for n in range(1, 21)]


def test_a_model_in_an_event_loop_of_its_own_waits(driver: Any) -> None:
    model = Talker()

    def node(state: State) -> None:
        asyncio.run(model.ainvoke("go"))

    read(driver, graph_of(node=node), lambda _: None, 20, stream_mode="messages", max_buffered=2)

    assert model.ended == 1


def test_a_reader_that_writes_does_not_wait_for_itself(driver: Any) -> None:
    writers: list[Any] = []

    def node(state: State, writer: StreamWriter) -> None:
        writers.append(writer)
        writer("node")

    def see(index: int) -> None:
        if index == 1:
            for _ in range(3):
                writers[0]("reader")

    read(driver, graph_of(node=node), see, 2, stream_mode="custom", max_buffered=1)

    assert len(writers) == 1


def test_a_failure_does_not_wait_for_a_reader_that_waits_for_it() -> None:
    model = Talker(count=20)
    seen: list[str] = []

    async def fail(state: State) -> None:
        raise ValueError("boom")

    async def stubborn(state: State) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await model.ainvoke("go")

    async def work() -> None:
        graph = graph_of(fail=fail, stubborn=stubborn)
        async for message, _ in graph.astream({"x": 1}, stream_mode="messages", max_buffered=1):
            seen.append(message.content)

    with pytest.raises(ValueError, match="boom"):
        asyncio.run(work())

    assert model.ended == 1
    assert seen[:20] == [f"{n} " for n in range(1, 21)]


def test_a_failure_reaches_the_reader_of_a_full_buffer(driver: Any) -> None:
    def node(state: State, writer: StreamWriter) -> None:
        for index in range(10):
            writer(index)
        raise ValueError("boom")

    seen: list[int] = []
    with pytest.raises(ValueError, match="boom"):
        read(driver, graph_of(node=node), seen.append, 99, stream_mode="custom", max_buffered=1)

    assert seen == list(range(1, 11))


def test_a_writer_kept_beyond_the_end_of_its_run_is_harmless(driver: Any) -> None:
    writers: list[Any] = []

    def node(state: State, writer: StreamWriter) -> None:
        writers.append(writer)

    driver.stream(graph_of(node=node), {"x": 1}, stream_mode="custom", max_buffered=1)

    thread = threading.Thread(target=lambda: [writers[0](n) for n in range(5)])
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_buffer_that_could_hold_nothing_is_refused(driver: Any) -> None:
    graph = graph_of(node=lambda state: None)

    with pytest.raises(ValueError, match="max_buffered must be at least 1 or None, got 0"):
        driver.stream(graph, {"x": 1}, max_buffered=0)


@pytest.mark.parametrize("limit", ["5", 1.5, True])
def test_a_bound_that_is_no_whole_number_is_refused(driver: Any, limit: Any) -> None:
    graph = graph_of(node=lambda state: None)

    with pytest.raises(TypeError, match=f"max_buffered must be an integer or None, got {limit!r}"):
        driver.stream(graph, {"x": 1}, max_buffered=limit)


def test_events_have_no_bound() -> None:
    async def work() -> None:
        graph = graph_of(node=lambda state: None)
        async for _ in graph.astream_events({"x": 1}, version="v2", max_buffered=1):
            pass

    with pytest.raises(TypeError, match="astream_events has no max_buffered"):
        asyncio.run(work())
