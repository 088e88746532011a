"""What is being stored when a run is cut short: nothing that had come up is left out."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from types import CodeType, FrameType
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from millstream.channels.delta import DeltaChannel
from millstream.graph import START, StateGraph
from millstream.saving.operations import PutCheckpoint, PutWrites
from millstream.saving.sync_flusher import FlushThread

pytestmark = pytest.mark.timeout(20)

THREAD: Any = {"configurable": {"thread_id": "1"}}
INPUT: Any = {"n": 0, "log": []}
DURABILITIES = ("sync", "async", "exit")
STEPS = 3


def concat(value: list[int], writes: list[list[int]]) -> list[int]:
    """Add all writes."""
    return sum(writes, value)


class State(TypedDict, total=False):
    """The log is rebuilt from all writes, so one that is missing shows."""

    n: int
    log: Annotated[list[int], DeltaChannel(concat)]


def count(state: State) -> State:
    """Take one step."""
    return {"n": state["n"] + 1, "log": [state["n"]]}


def counting(saver: Any, step: Callable[[State], Any] = count) -> Any:
    """Return a graph that takes some steps."""
    builder = StateGraph(State).add_sequence([(f"step {n}", step) for n in range(STEPS)])
    return builder.add_edge(START, "step 0").compile(checkpointer=saver)


def is_whole(values: dict[str, Any]) -> bool:
    """Say whether the log has what the number says that was written."""
    return bool(values.get("log", []) == list(range(values.get("n", 0))))


class Striking(InMemorySaver):
    """A saver in which something strikes, once, before a given operation is carried out."""

    def __init__(self, error: BaseException, at: int) -> None:
        super().__init__()
        self.error: BaseException | None = error
        self.left = at

    def strike(self) -> None:
        """Raise the error when its time has come."""
        self.left -= 1
        if self.left == 0 and self.error is not None:
            error, self.error = self.error, None
            raise error

    def put(self, *args: Any) -> Any:
        self.strike()
        return super().put(*args)

    def put_writes(self, *args: Any) -> None:
        self.strike()
        super().put_writes(*args)


@pytest.mark.parametrize("durability", DURABILITIES)
def test_ctrl_c_in_a_saver_leaves_no_gap(durability: Any) -> None:
    """Whichever operation it is; what was not stored then is stored when the run is left."""
    at, has_struck = 0, True

    while has_struck:
        at += 1
        saver = Striking(KeyboardInterrupt(), at)
        graph = counting(saver)
        with suppress(KeyboardInterrupt):
            graph.invoke(INPUT, THREAD, durability=durability)
        has_struck = saver.error is None
        values = graph.get_state(THREAD).values
        assert is_whole(values), (at, values)

    assert at > (2 * STEPS if durability != "exit" else 1)


class Plain(InMemorySaver):
    """A saver of which nobody knows that it stores at once, so that runs do not wait for it."""

    def put(self, *args: Any) -> Any:
        return super().put(*args)


class CtrlC:
    """Raises `KeyboardInterrupt` when this thread calls certain functions for the n-th time."""

    def __init__(self, functions: list[Any], at: int) -> None:
        self.codes: set[CodeType] = {function.__code__ for function in functions}
        self.left = at

    def __enter__(self) -> CtrlC:
        sys.setprofile(self._look)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    @property
    def has_struck(self) -> bool:
        """Say whether it was raised."""
        return self.left <= 0

    def _look(self, frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code in self.codes:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("durability", "functions"),
    [
        ("sync", [PutCheckpoint.store, PutWrites.store]),
        ("async", [FlushThread.submit]),
        ("exit", [PutCheckpoint.store, PutWrites.store]),
    ],
    ids=DURABILITIES,
)
def test_ctrl_c_on_the_way_to_the_saver_leaves_no_gap(
    durability: Any, functions: list[Any]
) -> None:
    """The operation that was on its way is stored too."""
    at, has_struck = 0, True

    while has_struck:
        at += 1
        graph, ctrl_c = counting(Plain()), CtrlC(functions, at)
        with suppress(KeyboardInterrupt), ctrl_c:
            graph.invoke(INPUT, THREAD, durability=durability)
        has_struck = ctrl_c.has_struck
        values = graph.get_state(THREAD).values
        assert is_whole(values), (at, values)

    assert at > (2 * STEPS if durability != "exit" else 1)


class Panic(BaseException):
    """No `Exception`, like what an extension module in another language raises."""


class Failing(InMemorySaver):
    """A saver that raises the same error every time, to sync and to async runs."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def put(self, *_: Any) -> Any:
        raise self.error

    async def aput(self, *_: Any) -> Any:
        raise self.error


@pytest.mark.parametrize("durability", DURABILITIES)
def test_whatever_a_saver_raises_fails_the_run(driver: Any, durability: Any) -> None:
    graph = counting(Failing(Panic("at the disk")))

    with pytest.raises(Panic, match="at the disk"):
        driver.invoke(graph, INPUT, THREAD, durability=durability)


@pytest.mark.parametrize("durability", DURABILITIES)
def test_a_saver_that_always_cancels_itself_fails_the_run(durability: str) -> None:
    """A cancellation from outside is tried again; this one would be tried for ever."""
    graph = counting(Failing(asyncio.CancelledError("connection lost")))

    with pytest.raises(RuntimeError, match=r"not stored: Failing was cancelled 3 times"):
        asyncio.run(graph.ainvoke(INPUT, THREAD, durability=durability))


class Gated(InMemorySaver):
    """A saver that stores nothing while its gate is shut."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.has_arrived = asyncio.Event(), asyncio.Event()
        self.gate.set()

    async def pass_gate(self) -> None:
        """Wait until the gate is open."""
        if not self.gate.is_set():
            self.has_arrived.set()
            await self.gate.wait()

    async def aput(self, *args: Any) -> Any:
        await self.pass_gate()
        return self.put(*args)

    async def aput_writes(self, *args: Any) -> None:
        await self.pass_gate()
        self.put_writes(*args)


async def let_all_run() -> None:
    """Give every asyncio task the time to come to where it waits."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.mark.parametrize("times", [1, 2, 5])
@pytest.mark.parametrize("durability", DURABILITIES)
def test_cancelling_a_run_that_stores_loses_nothing(durability: Any, times: int) -> None:
    """However often it is cancelled, it ends when everything is stored."""
    ran: list[int] = []

    async def work() -> dict[str, Any]:
        saver = Gated()

        async def step(state: State) -> State:
            if not ran:
                saver.gate.clear()
            ran.append(state["n"])
            return count(state)

        graph = counting(saver, step)
        call = asyncio.create_task(graph.ainvoke(INPUT, THREAD, durability=durability))
        await saver.has_arrived.wait()
        await let_all_run()
        for _ in range(times):
            call.cancel()
            await let_all_run()
            assert not call.done()
        saver.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert is_whole((await graph.aget_state(THREAD)).values)
        await graph.ainvoke(None, THREAD)
        return (await graph.aget_state(THREAD)).values

    values = asyncio.run(work())

    assert values == {"n": STEPS, "log": list(range(STEPS))}
    assert ran == list(range(STEPS))


class Slow(InMemorySaver):
    """A saver that lets others run before and after it has stored something."""

    async def aput(self, *args: Any) -> Any:
        await asyncio.sleep(0)
        result = self.put(*args)
        await asyncio.sleep(0)
        return result

    async def aput_writes(self, *args: Any) -> None:
        await asyncio.sleep(0)
        self.put_writes(*args)
        await asyncio.sleep(0)


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("more", [1, 2, 3])
def test_cancelling_a_run_twice_at_any_time_leaves_it_whole(durability: Any, more: int) -> None:
    """The second time while the first is obeyed."""

    ran: list[int] = []

    async def step(state: State) -> State:
        ran.append(state["n"])
        return count(state)

    async def work() -> list[dict[str, Any]]:
        left: list[dict[str, Any]] = []
        is_cancelled = True
        while is_cancelled:
            ran.clear()
            graph = counting(Slow(), step)
            call = asyncio.ensure_future(graph.ainvoke(INPUT, THREAD, durability=durability))
            for ticks in (len(left), more):
                for _ in range(ticks):
                    await asyncio.sleep(0)
                call.cancel()
            await asyncio.wait([call])
            is_cancelled = call.cancelled()
            state = await graph.aget_state(THREAD)
            assert state.created_at or not ran
            left.append(state.values)
        return left

    left = asyncio.run(work())

    assert [values for values in left if not is_whole(values)] == []
    assert left[-1]["n"] == STEPS


@pytest.mark.parametrize("durability", ["snyc", "", 7])
def test_an_unknown_durability_is_refused_before_anything_is_stored(
    driver: Any, durability: Any
) -> None:
    saver, ran = InMemorySaver(), list[State]()
    graph = counting(saver, ran.append)

    with pytest.raises(ValueError, match=f"{durability!r}; use one of sync, async, exit"):
        driver.invoke(graph, INPUT, THREAD, durability=durability)

    assert list(saver.list(THREAD)) == []
    assert ran == []


def test_an_unknown_durability_of_a_nested_call_is_refused(driver: Any) -> None:
    ran: list[State] = []
    child = counting(None, ran.append)

    def call(state: State) -> State:
        result: State = child.invoke(state, durability="snyc")
        return result

    with pytest.raises(ValueError, match="'snyc'; use one of sync, async, exit"):
        driver.invoke(counting(InMemorySaver(), call), INPUT, THREAD)

    assert ran == []


ASKED_BY: ContextVar[str] = ContextVar("asked_by", default="nobody")


class Asking(InMemorySaver):
    """A saver that looks up for whom it stores."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def put(self, *arguments: Any) -> Any:
        self.found.add(ASKED_BY.get())
        return super().put(*arguments)

    def put_writes(self, *arguments: Any) -> None:
        self.found.add(ASKED_BY.get())
        super().put_writes(*arguments)

    async def aput(self, *arguments: Any) -> Any:
        return self.put(*arguments)

    async def aput_writes(self, *arguments: Any) -> None:
        self.put_writes(*arguments)


@pytest.mark.parametrize("durability", DURABILITIES)
def test_a_saver_sees_the_context_of_who_runs_the_graph(driver: Any, durability: Any) -> None:
    """Also where it stores behind the run."""
    saver = Asking()
    token = ASKED_BY.set("somebody")
    try:
        driver.invoke(counting(saver), INPUT, THREAD, durability=durability)
    finally:
        ASKED_BY.reset(token)
    assert saver.found == {"somebody"}
