"""When nobody reads any more, what threads of tasks emit ends them, and nothing is kept of it.

Without a bound, and with one alike: see also `test_backpressure`.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import itertools
import threading
import weakref
from collections.abc import Callable
from contextlib import aclosing, closing
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from drivers.talking import PLACES, State, Talker, ask, graph_of, in_task
from millstream.config import get_stream_writer
from millstream.func import entrypoint, task
from millstream.graph import START, StateGraph
from millstream.graph.message import MessagesState, push_message
from millstream.prebuilt import ToolNode, ToolRuntime
from millstream.types import StreamWriter

pytestmark = [pytest.mark.timeout(30), pytest.mark.usefixtures("no_thread_is_left")]

PATIENCE = 5.0


def wait_for_threads() -> None:
    """Wait until no thread of a run is left."""
    for thread in threading.enumerate():
        if thread.name.startswith("millstream"):
            thread.join(PATIENCE)


def leave(driver: Any, graph: Any, input: Any, count: int = 1, **options: Any) -> list[Any]:
    """Read so many items and leave; return when no thread of the run is left."""

    async def read() -> list[Any]:
        items: list[Any] = []
        async with aclosing(graph.astream(input, **options)) as stream:
            async for item in stream:
                items.append(item)
                if len(items) == count:
                    break
        return items

    if driver.name == "async":
        items = asyncio.run(read())  # waits for the loop's threads, not for those of the run
        wait_for_threads()
        return items
    with closing(graph.stream(input, **options)) as stream:
        return list(itertools.islice(stream, count))


class Endless:
    """Emits without end, and notes how that ended."""

    def __init__(self, emit: Callable[[int], object]) -> None:
        self.emit = emit
        self.errors: list[str] = []

    def __call__(self) -> None:
        try:
            for index in itertools.count():
                self.emit(index)
        except BaseException as error:
            self.errors.append(type(error).__name__)
            raise


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("limit", [None, 3])
def test_a_writer_ends_a_node_that_nobody_reads(driver: Any, place: Any, limit: int | None) -> None:
    endless = Endless(lambda index: get_stream_writer()(index))

    def node(state: State) -> None:
        endless()

    graph = place(node, place is in_task and driver.name == "async")
    leave(driver, graph, {"x": 1}, 10, stream_mode="custom", subgraphs=True, max_buffered=limit)

    assert endless.errors == ["RunAbandoned"]


@pytest.mark.parametrize("place", PLACES)
def test_a_sync_model_that_nobody_hears_is_stopped(driver: Any, place: Any) -> None:
    model = Talker()
    graph = place(ask(model, False), place is in_task and driver.name == "async")

    leave(driver, graph, {"x": 1}, 10, stream_mode="messages", subgraphs=True)

    assert model.ended == 1


def test_models_in_threads_of_a_node_are_stopped(driver: Any) -> None:
    model = Talker()

    def node(state: State) -> None:
        model.batch(["a", "b", "c"])

    leave(driver, graph_of(node=node), {"x": 1}, 10, stream_mode="messages")

    assert model.ended >= 1


def test_messages_that_are_pushed_end_a_node(driver: Any) -> None:
    endless = Endless(lambda index: push_message(AIMessage("m", id=str(index))))

    def node(state: MessagesState) -> None:
        endless()

    builder = StateGraph(MessagesState).add_node("node", node).add_edge(START, "node")
    leave(driver, builder.compile(), {"messages": []}, 10, stream_mode="messages")

    assert endless.errors == ["RunAbandoned"]


@pytest.mark.parametrize("mode", ["custom", "tools"])
def test_a_tool_ends_even_where_its_errors_are_handled(driver: Any, mode: str) -> None:
    errors: list[str] = []

    @tool
    def emit(runtime: ToolRuntime) -> None:
        """Emit."""
        endless = Endless(runtime.emit_output_delta if mode == "tools" else runtime.stream_writer)
        endless.errors = errors
        endless()

    call = {"name": "emit", "args": {}, "id": "c", "type": "tool_call"}
    builder = StateGraph(MessagesState)
    builder.add_node("tools", ToolNode([emit], handle_tool_errors=True))
    builder.add_edge(START, "tools")
    asked = {"messages": [AIMessage("", tool_calls=[call])]}
    leave(driver, builder.compile(), asked, 10, stream_mode=mode)

    assert errors == ["RunAbandoned"]


def test_a_stream_that_a_node_reads_ends_with_the_stream_around_it() -> None:
    """Though what is read there goes to nobody else."""
    model = Talker()
    child = graph_of(node=ask(model, False))

    def node(state: State, writer: StreamWriter) -> None:
        for index, _ in enumerate(child.stream(state, stream_mode="messages")):
            if index == 10:
                writer("reading")

    for _ in range(3):
        with closing(graph_of(node=node).stream({"x": 1}, stream_mode="custom")) as stream:
            assert next(stream) == "reading"

    assert model.ended == 3


def test_a_failure_ends_the_threads_of_other_nodes() -> None:
    """An async run does not wait for them: they would go on without anybody to tell."""
    begun = threading.Event()
    endless = Endless(lambda index: (get_stream_writer()(index), begun.set()))

    def node(state: State) -> None:
        endless()

    async def fail(state: State) -> None:
        await asyncio.to_thread(begun.wait, PATIENCE)
        raise ValueError("boom")

    async def work() -> None:
        async for _ in graph_of(node=node, fail=fail).astream({"x": 1}, stream_mode="custom"):
            pass

    with pytest.raises(ValueError, match="boom"):
        asyncio.run(work())

    assert endless.errors == ["RunAbandoned"]


def test_a_call_of_a_task_ends_its_thread_when_the_event_loop_stands_still() -> None:
    """The run was left, and its loop may never run again: nobody would answer the call."""
    begun, is_left, has_ended = threading.Event(), threading.Event(), threading.Event()
    errors: list[str] = []

    @task
    def leaf() -> None:
        """Never run."""

    @entrypoint()
    def flow(_: int) -> None:
        begun.set()
        is_left.wait(PATIENCE)
        try:
            leaf().result(PATIENCE)
        except BaseException as error:
            errors.append(type(error).__name__)
        has_ended.set()

    async def leave() -> None:
        reading = asyncio.ensure_future(flow.ainvoke(1))
        await asyncio.to_thread(begun.wait, PATIENCE)
        reading.cancel()
        await asyncio.wait([reading])

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(leave())
        is_left.set()
        has_ended.wait(2 * PATIENCE)
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    assert errors == ["RunAbandoned"]


@pytest.mark.parametrize("is_failing", [False, True], ids=["left", "failed"])
def test_a_model_is_stopped_when_nobody_reads_its_events(is_failing: bool) -> None:
    begun = threading.Semaphore(0)
    model = Talker(begun=begun)

    async def fail(state: State) -> None:
        await asyncio.to_thread(begun.acquire, timeout=PATIENCE)
        if is_failing:
            raise ValueError("boom")
        await asyncio.Event().wait()

    async def read() -> None:
        graph = graph_of(node=ask(model, False), fail=fail)
        async with aclosing(graph.astream_events({"x": 1}, version="v2")) as events:
            async for event in events:
                if event["event"] == "on_chat_model_stream" and not is_failing:
                    break

    try:
        asyncio.run(read())
    except ValueError:
        assert is_failing

    assert model.ended == 1


class Item:
    """Something that can be referred to weakly."""


@pytest.mark.parametrize("is_ended", [False, True], ids=["left", "ended"])
@pytest.mark.parametrize("is_thread", [False, True], ids=["here", "thread"])
@pytest.mark.parametrize("limit", [None, 1])
def test_nothing_is_kept_of_what_nobody_will_read(
    driver: Any, is_ended: bool, is_thread: bool, limit: int | None
) -> None:
    """A writer may outlive its run: in a thread, in a task, in the reader's hands."""
    writers: list[StreamWriter] = []

    def node(state: State, writer: StreamWriter) -> None:
        writers.append(writer)
        writer("node")

    def last(state: State) -> None:
        pass

    builder = StateGraph(State).add_sequence([node, last]).add_edge(START, "node")
    count = 99 if is_ended else 1
    items = leave(
        driver,
        builder.compile(),
        {"x": 1},
        count,
        stream_mode="custom",
        max_buffered=limit,
    )
    kept: list[weakref.ref[Item]] = []
    errors: list[str] = []

    def emit() -> None:
        try:
            for _ in range(3):
                item = Item()
                kept.append(weakref.ref(item))
                writers[0](item)
        except BaseException as error:
            errors.append(type(error).__name__)

    if is_thread:
        thread = threading.Thread(target=emit)
        thread.start()
        thread.join(PATIENCE)
    else:
        emit()

    gc.collect()
    assert items == ["node"]
    assert [ref() for ref in kept] == [None] * len(kept)
    assert errors == (["RunAbandoned"] if is_thread and not is_ended else [])


def test_a_coroutine_may_emit_while_it_cleans_up() -> None:
    """It is cancelled: raising besides would keep it from doing the rest."""
    cleaned: list[str] = []

    async def node(state: State, writer: StreamWriter) -> None:
        try:
            writer("begun")
            await asyncio.Event().wait()
        finally:
            writer("cleaning up")
            cleaned.append("yes")

    async def read() -> None:
        async with aclosing(graph_of(node=node).astream({"x": 1}, stream_mode="custom")) as items:
            async for _ in items:
                break

    asyncio.run(read())

    assert cleaned == ["yes"]


def test_a_result_is_stored_though_nobody_hears_its_messages() -> None:
    """What a node has done is not undone because the reader has gone."""
    saver = InMemorySaver()
    config: Any = {"configurable": {"thread_id": "1"}}

    def node(state: MessagesState, writer: StreamWriter) -> Any:
        try:
            while True:
                writer("working")
        except BaseException:
            return {"messages": [AIMessage("done", id="1")]}

    def other(state: MessagesState) -> None:
        raise AssertionError("the run was left")

    builder = StateGraph(MessagesState).add_sequence([node, other]).add_edge(START, "node")
    graph = builder.compile(checkpointer=saver)
    with closing(graph.stream({"messages": []}, config, stream_mode=["custom", "messages"])) as s:
        next(s)

    saved = graph.get_state(config)
    assert [message.content for message in saved.values["messages"]] == ["done"]
    assert saved.next == ("other",)


class Knot:
    """Refers to itself, so that only the collector can free it."""

    def __init__(self, **held: Any) -> None:
        self.__dict__.update(held, knot=self)


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_the_collector_may_close_a_stream_in_a_thread_of_its_run(durability: str) -> None:
    """It does so wherever it strikes; the thread must not wait for itself."""
    saver = InMemorySaver()
    config: Any = {"configurable": {"thread_id": "1"}}
    is_dropped = threading.Event()
    has_ended = threading.Event()

    def node(state: State, writer: StreamWriter) -> None:
        try:
            writer("begun")
            assert is_dropped.wait(PATIENCE)
            gc.collect()
            while True:
                writer("more")
        finally:
            has_ended.set()

    def quick(state: State) -> dict[str, Any]:
        return {"log": ["quick"]}

    def read() -> None:
        graph = graph_of(node=node, quick=quick, saver=saver)
        stream = graph.stream(
            {"x": 1}, config, stream_mode=["custom", "updates"], durability=durability
        )
        knot = Knot(stream=stream)
        assert {next(knot.stream)[0] for _ in range(2)} == {"custom", "updates"}

    gc.disable()
    try:
        read()
        is_dropped.set()
        assert has_ended.wait(PATIENCE)
    finally:
        gc.enable()
    wait_for_threads()

    saved = saver.get_tuple(config)
    assert saved is not None
    assert [value for _, channel, value in saved.pending_writes if channel == "log"] == [["quick"]]


def drop(stream: Any) -> None:
    """Read an item, and leave the stream to the collector."""
    knot = Knot(stream=stream)
    del stream
    next(knot.stream)


def test_the_collector_may_close_a_stream_in_a_thread_that_a_node_waits_for() -> None:
    is_dropped = threading.Event()
    has_ended = threading.Event()

    def collect() -> None:
        assert is_dropped.wait(PATIENCE)
        gc.collect()

    def node(state: State, writer: StreamWriter) -> None:
        writer("begun")
        thread = threading.Thread(target=contextvars.copy_context().run, args=(collect,))
        thread.start()
        thread.join()
        has_ended.set()

    gc.disable()
    try:
        drop(graph_of(node=node).stream({"x": 1}, stream_mode="custom"))
        is_dropped.set()
        assert has_ended.wait(PATIENCE)
    finally:
        gc.enable()


def test_the_collector_may_close_a_stream_in_the_thread_that_stores() -> None:
    is_dropped = threading.Event()
    has_ended = threading.Event()

    class Collecting(InMemorySaver):
        def put(self, *args: Any) -> Any:
            if threading.current_thread().name == "millstream-store":
                assert is_dropped.wait(PATIENCE)
                gc.collect()
                has_ended.set()
            return super().put(*args)

    config: Any = {"configurable": {"thread_id": "1"}}
    graph = graph_of(node=lambda state: None, saver=Collecting())
    gc.disable()
    try:
        drop(graph.stream({"x": 1}, config, stream_mode="values", durability="async"))
        is_dropped.set()
        assert has_ended.wait(PATIENCE)
    finally:
        gc.enable()


def test_the_collector_may_close_a_stream_while_a_task_is_called() -> None:
    """Then the thread holds what closing needs."""
    is_dropped = threading.Event()
    has_ended = threading.Event()

    @task
    def step(index: int) -> int:
        gc.collect()
        return index

    @entrypoint()
    def work(x: Any) -> None:
        try:
            get_stream_writer()("begun")
            assert is_dropped.wait(PATIENCE)
            for index in itertools.count():
                step(index).result()
        finally:
            has_ended.set()

    gc.disable()
    try:
        drop(work.stream(1, stream_mode="custom"))
        is_dropped.set()
        assert has_ended.wait(PATIENCE)
    finally:
        gc.enable()


class Errors(BaseCallbackHandler):
    """Keeps what handlers are told of errors."""

    def __init__(self) -> None:
        self.told: list[BaseException] = []

    def on_chain_error(self, error: BaseException, **_: Any) -> None:
        self.told.append(error)


@pytest.mark.parametrize("is_nested", [False, True], ids=["root", "nested"])
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_handlers_and_the_thread_hear_nothing_of_how_nodes_are_stopped(
    is_nested: bool, durability: Any
) -> None:
    def talk(state: State, writer: StreamWriter) -> None:
        for number in itertools.count():
            writer(number)

    child = graph_of(a=talk, b=talk)
    builder = StateGraph(State).add_node("a", child if is_nested else talk).add_node("b", talk)
    saver, errors = Recording(), Errors()
    graph = builder.add_edge(START, "a").add_edge(START, "b").compile(checkpointer=saver)
    config = {"configurable": {"thread_id": "1"}, "callbacks": [errors]}
    stream = graph.stream({}, config, stream_mode="custom", subgraphs=True, durability=durability)

    for _ in range(10):
        next(stream)
    stream.close()

    assert errors.told
    assert {type(error) for error in errors.told} <= {asyncio.CancelledError, GeneratorExit}
    assert [write for write in saver.written if write[0] == "__error__"] == []


class Recording(InMemorySaver):
    """Keeps the writes that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[Any] = []

    def put_writes(self, config: Any, writes: Any, *args: Any) -> None:
        self.written += writes
        super().put_writes(config, writes, *args)


def test_nobody_complains_of_calls_that_were_dropped() -> None:
    complaints: list[Any] = []
    begun = asyncio.Event()

    @task
    async def wait() -> None:
        begun.set()
        await asyncio.sleep(60)

    @entrypoint()
    async def flow(_: int) -> None:
        ignored = [wait() for _ in range(5)]
        await asyncio.sleep(60)
        await asyncio.gather(*ignored)

    async def leave() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
        running = asyncio.create_task(flow.ainvoke(1, {"max_concurrency": 1}))
        await begun.wait()
        running.cancel()
        await asyncio.wait([running])
        gc.collect()
        await asyncio.sleep(0)

    asyncio.run(leave())
    gc.collect()

    assert complaints == []
