"""A saver that is slower than the run slows the run; what waits for it does not pile up."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any, Final, TypedDict

import pytest

from durability.promises import PER_SUPERSTEP, REPEATED, UNSTORED, may_repeat
from durability.savers import ForgetfulSaver
from millstream.graph import END, START, StateGraph

pytestmark = pytest.mark.real_time(reason="the saver is slower than the run")

STEPS: Final = 300
LAG: Final = 0.0005
THREAD: Final = {"recursion_limit": 10_000, "configurable": {"thread_id": "1"}}
BEFORE_FIRST: Final = 3
"""Operations before the first node begins: two checkpoints and the input as a task's write."""


class State(TypedDict):
    """A count and something that can be watched."""

    n: int
    payload: Any


class Payload:
    """Alive as long as a checkpoint with it is; a copy counts like the original."""

    __slots__ = ("__weakref__", "alive")

    def __init__(self, alive: weakref.WeakSet[Payload]) -> None:
        self.alive = alive
        alive.add(self)

    def __deepcopy__(self, memo: Any) -> Payload:
        return Payload(self.alive)


def loop(saver: ForgetfulSaver, begin: Callable[[int], object], payload: Any) -> Any:
    """Compile a loop of `STEPS` supersteps of one task; `begin` hears when each begins."""

    def work(state: State) -> dict[str, Any]:
        begin(state["n"])
        return {"n": state["n"] + 1, "payload": payload()}

    builder = StateGraph(State)
    builder.add_node("work", work)
    builder.add_edge(START, "work")
    builder.add_conditional_edges("work", lambda state: "work" if state["n"] < STEPS else END)
    return builder.compile(checkpointer=saver)


def test_a_run_gets_as_far_ahead_as_promised_and_no_further(driver: Any) -> None:
    begun = [threading.Event() for _ in range(STEPS)]
    ahead: list[int] = []
    # The async driver counts the operation that is being stored among those that wait.
    limit = UNSTORED if driver.name == "sync" else UNSTORED - 1
    furthest = (limit - BEFORE_FIRST) // PER_SUPERSTEP

    def begin(n: int) -> None:
        ahead.append(BEFORE_FIRST + PER_SUPERSTEP * n - saver.stored)
        begun[n].set()

    def store(number: int) -> None:
        if number == 0:
            assert begun[furthest].wait(10)

    saver = ForgetfulSaver(LAG, store)
    driver.invoke(loop(saver, begin, object), {"n": 0}, THREAD, durability="async")

    assert ahead[furthest] == BEFORE_FIRST + PER_SUPERSTEP * furthest
    assert max(ahead) <= limit
    assert saver.stored == BEFORE_FIRST + PER_SUPERSTEP * STEPS


@pytest.mark.parametrize(("durability", "held_back"), [("sync", 0), ("async", 5), ("exit", 1)])
def test_checkpoints_of_a_slow_saver_do_not_pile_up(
    driver: Any, durability: Any, held_back: int
) -> None:
    alive: weakref.WeakSet[Payload] = weakref.WeakSet()
    counts: list[int] = []
    got_ahead = threading.Event()

    def begin(n: int) -> None:
        counts.append(len(alive))
        if n == 2:
            got_ahead.set()

    def store(number: int) -> None:
        if durability == "async" and number == 0:
            assert got_ahead.wait(10)

    saver = ForgetfulSaver(LAG, store)
    graph = loop(saver, begin, lambda: Payload(alive))
    driver.invoke(graph, {"n": 0}, THREAD, durability=durability)

    # The state's own, one in the update that made it, the copy that was handed over last, and
    # those of checkpoints that wait.
    assert max(counts) <= 2 + held_back
    assert durability != "async" or max(counts) > 2


@pytest.mark.parametrize("durability", list(REPEATED))
@pytest.mark.parametrize("number", [0, 2, 3, 40])
def test_a_run_ends_with_the_error_of_its_saver_and_stores_nothing_after_it(
    driver: Any, durability: Any, number: int
) -> None:
    def store(operation: int) -> None:
        stored.append(operation)
        if operation == number:
            raise OSError("the disk is full")

    stored: list[int] = []
    begun: list[int] = []
    if durability == "exit":
        number = 0
    graph = loop(ForgetfulSaver(0, store), begun.append, object)

    with pytest.raises(OSError, match="the disk is full"):
        driver.invoke(graph, {"n": 0}, THREAD, durability=durability)

    assert stored == list(range(number + 1))
    if durability != "exit":
        assert len(begun) <= (number + UNSTORED) // PER_SUPERSTEP


@pytest.mark.parametrize("number", range(BEFORE_FIRST, BEFORE_FIRST + 2 * PER_SUPERSTEP + 1))
def test_no_more_supersteps_are_repeated_after_an_error_of_the_saver_than_after_a_kill(
    driver: Any, number: int
) -> None:
    """The saver fails when the run is as far ahead of it as it gets, and waits."""
    limit = UNSTORED if driver.name == "sync" else UNSTORED - 1
    furthest = (number + limit - BEFORE_FIRST) // PER_SUPERSTEP
    begun = [threading.Event() for _ in range(STEPS)]

    def store(operation: int) -> None:
        if operation == number:
            assert begun[furthest].wait(10)
            begun[furthest + 1].wait(0.2)  # which it does not: by then the run waits for us
            raise OSError("the disk is full")

    def begin(n: int) -> None:
        begun[n].set()

    graph = loop(ForgetfulSaver(0, store), begin, object)

    with pytest.raises(OSError, match="the disk is full"):
        driver.invoke(graph, {"n": 0}, THREAD, durability="async")

    finished = sum(event.is_set() for event in begun) - 1
    writes = range(BEFORE_FIRST, BEFORE_FIRST + PER_SUPERSTEP * finished, PER_SUPERSTEP)
    assert sum(operation >= number for operation in writes) <= may_repeat("async")
