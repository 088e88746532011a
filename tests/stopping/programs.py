"""Programs that leave runs in ways that once hung: each is one turn, and checks what it left."""

from __future__ import annotations

import asyncio
import operator
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any, Final

from langgraph.checkpoint.memory import InMemorySaver
from typing_extensions import TypedDict

from millstream.config import get_stream_writer
from millstream.func import entrypoint, task
from millstream.graph import START, StateGraph
from waiting import until

LIVE: Final = {"stream_mode": "custom"}
THREAD: Final[Any] = {"configurable": {"thread_id": "1"}}


class Saver(InMemorySaver):
    """Stores behind the run, as one of a database, and fails at the operation it is told."""

    def __init__(self, fails_at: int = -1) -> None:
        super().__init__()
        self.left = fails_at

    def put(self, *args: Any) -> Any:
        self._count()
        return super().put(*args)

    def put_writes(self, *args: Any) -> None:
        self._count()
        super().put_writes(*args)

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise OSError("the disk is full")


@task
def leaf(number: int) -> int:
    """Return the number."""
    return number


@task
def mid(number: int) -> int:
    """Call three leaves, and say something while they run."""
    called = [leaf(each) for each in range(3)]
    get_stream_writer()(number)
    return sum(each.result() for each in called)


def flow(saver: Any = None) -> Any:
    """Return a workflow whose tasks call tasks."""

    @entrypoint(checkpointer=saver)
    def flow(_: int) -> int:
        return sum(each.result() for each in [mid(number) for number in range(3)])

    return flow


class State(TypedDict):
    x: Annotated[list[str], operator.add]


def at_once(saver: Any = None) -> Any:
    """Return a graph that runs three nodes at once, and a fourth after them."""
    builder = StateGraph(State)
    for name in "abcd":
        builder.add_node(name, _node(name))
    for name in "abc":
        builder.add_edge(START, name)
    return builder.add_edge(["a", "b", "c"], "d").compile(checkpointer=saver)


def in_a_row(saver: Any = None) -> Any:
    """Return a graph of two nodes, one after the other."""
    builder = StateGraph(State)
    builder.add_node("a", _node("a")).add_node("b", _node("b"))
    return builder.add_edge(START, "a").add_edge("a", "b").compile(checkpointer=saver)


def _node(name: str) -> Callable[[State], State]:
    return lambda state: {"x": [name]}


def threads() -> list[str]:
    """Return the names of the engine's threads that are alive."""
    return [each.name for each in threading.enumerate() if each.name.startswith("millstream")]


def press_ctrl_c() -> None:
    """Send the signal to the main thread, which may be waiting, from another one."""
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


# Tasks that call tasks.


def close() -> None:
    """Close a stream while tasks call tasks."""
    stream = flow().stream(1, **LIVE)
    next(stream)
    stream.close()


def drop() -> None:
    """Drop the last reference to such a stream."""
    stream = flow().stream(1, **LIVE)
    next(stream)
    del stream


def abort() -> None:
    """Stop the run stream of such a run."""
    run = flow().stream_events(1, version="v3")
    for event in run:
        if event["method"] == "custom":
            break
    run.abort()


def fail_to_save() -> None:
    """Have the saver fail at any of its operations."""
    saver = Saver(fails_at=random.randint(1, 12))
    with suppress(OSError):
        flow(saver).invoke(1, THREAD, durability=random.choice(["sync", "async", "exit"]))


def interrupt() -> None:
    """Press Ctrl-C while the tasks run, or while their run is closed."""
    graph = flow(Saver())
    stream = graph.stream(1, THREAD, durability=random.choice(["async", "exit"]), **LIVE)
    presser = threading.Timer(random.random() * 0.004, press_ctrl_c)
    try:
        presser.start()
        next(stream)
        stream.close()
        presser.join()
        time.sleep(0.05)  # which ends it, if it has not come yet
    except KeyboardInterrupt:
        # It need not come: within the collector Python drops it.
        presser.join()
    stream.close()


def run_out_of_time() -> None:
    """Have the superstep time out while the tasks run."""
    graph = flow()
    graph.step_timeout = random.random() * 0.002
    with suppress(TimeoutError):
        graph.invoke(1)


# Async run streams.


class Own(BaseException):
    """Neither an error nor a signal of the engine."""


def fail_oddly() -> None:
    """Have a node raise what is no `Exception`, with several readers."""

    async def read() -> list[Any]:
        run = await failing.astream_events({"x": []}, version="v3")
        readings = (run.output(), run.interrupts(), _all(run), _all(run.values))
        return await asyncio.gather(*readings, return_exceptions=True)

    def fail(_: State) -> None:
        raise Own

    builder = StateGraph(State).add_node("fail", fail).add_node("beside", _node("beside"))
    failing = builder.add_edge(START, "fail").add_edge(START, "beside").compile()
    assert [type(each) for each in asyncio.run(read())] == [Own] * 4


def cancel_everything() -> None:
    """Cancel all tasks at some moment, as programs do that shut down."""

    async def read() -> None:
        run = await at_once(Saver()).astream_events(
            {"x": []}, THREAD, version="v3", durability="exit"
        )
        for reading in (run.output(), _all(run), _all(run.values)):
            tasks.append(asyncio.ensure_future(reading))
        for _ in range(random.randint(0, 60)):
            await asyncio.sleep(0)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    tasks: list[Any] = []
    asyncio.run(read())


async def _all(source: Any) -> list[Any]:
    return [item async for item in source]


# Threads that cannot be started.


@contextmanager
def no_more_threads(after: int) -> Iterator[None]:
    """Refuse to start more threads than so many, as Python does at the limit of the system."""
    start, left = threading.Thread.start, [after]

    def limited(thread: threading.Thread) -> None:
        if left[0] == 0:
            raise RuntimeError("can't start new thread")
        left[0] -= 1
        start(thread)

    threading.Thread.start = limited  # type: ignore[method-assign]  # what this is about
    try:
        yield
    finally:
        threading.Thread.start = start  # type: ignore[method-assign]


def starve(run: Callable[[Any], Any]) -> None:
    """Have a run fail to start any of its threads; it fails with that error."""
    after = -1
    has_failed = True
    while has_failed:
        after += 1
        has_failed = False
        with no_more_threads(after):
            try:
                run(Saver())
            except RuntimeError as error:
                if str(error) != "can't start new thread":
                    raise
                has_failed = True
        assert left() == [], after
    assert after > 0


def starve_calls() -> None:
    """Starve tasks that call tasks."""
    starve(lambda saver: flow(saver).invoke(1, THREAD))


def starve_live_calls() -> None:
    """Starve tasks that call tasks, with a reader."""
    starve(lambda saver: list(flow(saver).stream(1, THREAD, **LIVE)))


def starve_nodes() -> None:
    """Starve nodes that run at once."""
    starve(lambda saver: at_once(saver).invoke({"x": []}, THREAD))


def starve_async_calls() -> None:
    """Starve tasks that are not async in an async run."""
    starve(lambda saver: asyncio.run(flow().ainvoke(1)))


TURNS: Final = (
    close,
    drop,
    abort,
    fail_to_save,
    interrupt,
    run_out_of_time,
    fail_oddly,
    cancel_everything,
    starve_calls,
    starve_live_calls,
    starve_nodes,
    starve_async_calls,
)


def left(patience: float = 10.0) -> list[str]:
    """Return the engine's threads that are alive, once there are none or patience has ended."""
    until(lambda: not threads(), patience)
    return threads()
