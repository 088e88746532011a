"""The harness sees what it must see; everything here takes milliseconds."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from benchmarks.chain import build
from benchmarks.harness import Effort, Samples, Verdict, interleave, judge, measure
from benchmarks.peers import PEERS, consumer
from benchmarks.report import describe
from benchmarks.rows import (
    FLOOR,
    LANGGRAPH,
    MILLSTREAM,
    NEOGRAPH,
    TASKS,
    Call,
    Contender,
    Group,
    Kind,
    Row,
    added,
    added_fraction,
    at_least,
    at_most_beyond,
    ceiling,
    fraction,
    growth,
    multiple,
)

from millstream.core.machine import RunMachine

pytestmark = pytest.mark.real_time(reason="what is planted takes time, and is measured")

THREE_ROUNDS = Effort(seconds=0.0, rounds=3, sample=0.0)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Give the test an event loop of its own."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def test_contenders_take_turns_in_the_order_of_the_rows() -> None:
    order: list[str] = []

    def clock(name: str) -> Callable[[int], float]:
        def take(count: int) -> float:
            order.append(f"{name} x{count}")
            return 0.5

        return take

    rounds = interleave(
        [(None, clock("a"), 1), (lambda: order.append("before b"), clock("b"), 4)], 0.0, 3
    )

    assert order == ["a x1", "before b", "b x4"] * 3
    assert rounds == [[0.5, 0.5]] * 3


def test_rounds_go_on_until_the_time_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def take(count: int) -> float:
        nonlocal now
        now += 0.5 * count
        return 0.5 * count

    monkeypatch.setattr(time, "perf_counter", lambda: now)

    assert interleave([(None, take, 1)], 2.0, 1) == [[0.5]] * 4


def _idle() -> None:
    pass


def _nap() -> None:
    time.sleep(0.002)


async def _aidle() -> None:
    pass


async def _anap() -> None:
    await asyncio.sleep(0.002)


@pytest.mark.parametrize(("quick", "slow"), [(_idle, _nap), (_aidle, _anap)], ids=["sync", "async"])
def test_a_planted_slowdown_is_seen(
    quick: Call, slow: Call, loop: asyncio.AbstractEventLoop
) -> None:
    contenders = (Contender(MILLSTREAM, slow), Contender(LANGGRAPH, quick))
    row = Row("work", "step", 10, contenders, (ceiling(100), fraction("work", 2)))

    results = measure(Group("planted", (row,)), THREE_ROUNDS, loop)

    assert len(results["work", MILLSTREAM].values) == 3
    assert 200 <= results["work", MILLSTREAM].best <= results["work", MILLSTREAM].median
    assert results["work", LANGGRAPH].best < 100
    assert [verdict.is_met for verdict in judge(row, results)] == [False, False]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_slowdown_planted_in_the_engine_is_seen(
    is_async: bool, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = build(PEERS[0], 10, is_async=is_async)
    run: Any = consumer(graph, {"n": 0}, 10, is_async=is_async, stream_mode="updates")
    commit = RunMachine.commit

    def slow_commit(*args: Any, **kwargs: Any) -> Any:
        time.sleep(0.001)
        return commit(*args, **kwargs)

    def plant() -> None:
        monkeypatch.setattr(RunMachine, "commit", slow_commit)

    def row(title: str, between: Callable[[], None]) -> Row:
        contenders = (Contender(MILLSTREAM, run, between),)
        return Row(title, "step", 10, contenders, (growth("as it is", 10),))

    rows = (
        row("as it is", monkeypatch.undo),
        row("once more", monkeypatch.undo),
        row("slow", plant),
    )

    results = measure(Group("planted", rows), THREE_ROUNDS, loop)

    met = {row.title: verdict.is_met for row in rows for verdict in judge(row, results)}
    assert met == {"as it is": True, "once more": True, "slow": False}
    assert results["slow", MILLSTREAM].best > 1000


def test_quick_work_is_repeated_within_a_sample(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, now = 0, 0.0

    def call() -> None:
        nonlocal calls, now
        calls += 1
        now += 0.0005

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    row = Row("work", "step", 1, (Contender(MILLSTREAM, call),))
    effort = Effort(seconds=0.0, rounds=2, sample=0.01)

    results = measure(Group("quick", (row,)), effort, loop)

    assert calls >= 2 * 20
    assert results["work", MILLSTREAM].best == pytest.approx(500)


def test_what_is_between_samples_is_not_counted(loop: asyncio.AbstractEventLoop) -> None:
    row = Row("work", "step", 1, (Contender(MILLSTREAM, _idle, _nap),))

    results = measure(Group("between", (row,)), THREE_ROUNDS, loop)

    assert results["work", MILLSTREAM].best < 1000


def test_gauges_are_read_at_the_same_time_and_not_timed(loop: asyncio.AbstractEventLoop) -> None:
    both = threading.Barrier(2, timeout=10)

    def read(supersteps: int) -> float:
        both.wait()
        return supersteps / 10

    contenders = (
        Contender(MILLSTREAM, read, kind=Kind.GAUGE),
        Contender(LANGGRAPH, read, kind=Kind.GAUGE),
    )
    effort = Effort(seconds=0.0, rounds=3, sample=0.0, supersteps=50)

    results = measure(Group("memory", (Row("peak", "MB", 1, contenders),)), effort, loop)

    assert results == {("peak", name): Samples((5.0,)) for name in (MILLSTREAM, LANGGRAPH)}


def test_solo_gauges_are_read_in_turns(loop: asyncio.AbstractEventLoop) -> None:
    order: list[str] = []

    def gauge(name: str, value: float) -> Contender:
        def read(supersteps: int) -> float:
            order.append(name)
            return value * supersteps + len(order)

        return Contender(name, read, kind=Kind.SOLO)

    row = Row("lag", "", 1, (gauge(MILLSTREAM, 2.0), gauge(LANGGRAPH, 3.0)), measure="ms")
    effort = Effort(seconds=0.0, rounds=9, sample=0.0, supersteps=100, readings=2)

    results = measure(Group("lag", (row,)), effort, loop)

    assert order == [MILLSTREAM, LANGGRAPH] * 2
    assert results == {
        ("lag", MILLSTREAM): Samples((201.0, 203.0)),
        ("lag", LANGGRAPH): Samples((302.0, 304.0)),
    }


def test_work_that_clocks_itself_is_told_how_often_to_do_it(
    loop: asyncio.AbstractEventLoop,
) -> None:
    counts: list[int] = []

    def work(count: int) -> float:
        counts.append(count)
        return 0.001 * count

    row = Row("work", "step", 10, (Contender(MILLSTREAM, work, kind=Kind.CLOCKED),))
    effort = Effort(seconds=0.0, rounds=2, sample=0.004)

    results = measure(Group("work", (row,)), effort, loop)

    assert counts == [1, 1, 1, 4, 4]
    assert results["work", MILLSTREAM].values == pytest.approx((100.0, 100.0))


def test_what_can_be_done_once_is_not_repeated_within_a_sample(
    loop: asyncio.AbstractEventLoop,
) -> None:
    order: list[str] = []
    contender = Contender(
        MILLSTREAM, lambda: order.append("work"), lambda: order.append("begin"), kind=Kind.ONCE
    )
    effort = Effort(seconds=0.0, rounds=2, sample=10.0)

    measure(Group("work", (Row("work", "step", 1, (contender,)),)), effort, loop)

    assert order == ["begin", "work"] * 3


def test_contenders_are_closed_even_when_one_fails(loop: asyncio.AbstractEventLoop) -> None:
    closed: list[str] = []

    async def aclose() -> None:
        closed.append("async")

    def fail() -> None:
        raise OSError("broken")

    contenders = (
        Contender(MILLSTREAM, fail, after=lambda: closed.append("sync")),
        Contender(LANGGRAPH, _aidle, after=aclose),
    )

    with pytest.raises(OSError, match="broken"):
        measure(Group("work", (Row("work", "step", 1, contenders),)), THREE_ROUNDS, loop)

    assert closed == ["sync", "async"]


def test_goals_compare_the_best_rounds() -> None:
    goals = (
        ceiling(9.0),
        fraction("wide", 10),
        growth("narrow", 1.3),
        at_most_beyond("narrow", 1.5),
        added("wide", 5.0),
        added_fraction("wide", 50),
    )
    row = Row("wide", "key", 1, (), goals)
    results = {
        ("wide", MILLSTREAM): Samples((12.0, 10.0, 30.0)),
        ("wide", LANGGRAPH): Samples((200.0, 150.0)),
        ("wide", FLOOR): Samples((6.0, 8.0)),
        ("narrow", MILLSTREAM): Samples((8.0, 9.0)),
    }

    verdicts = judge(row, results)

    reached = [10.0, 10.0 / 150.0, 1.25, 2.0, 4.0, 4.0 / 144.0]
    assert [verdict.reached for verdict in verdicts] == reached
    assert [verdict.is_met for verdict in verdicts] == [False, True, True, False, True, False]


@pytest.mark.parametrize(("is_rate", "best"), [(False, 1.0), (True, 9.0)])
def test_best_and_median_of_samples(is_rate: bool, best: float) -> None:
    samples = Samples((5.0, 1.0, 9.0, 2.0), is_rate)

    assert (samples.best, samples.median) == (best, 3.5)


@pytest.mark.parametrize(("reached", "is_met"), [(44_999.0, False), (45_000.0, True)])
def test_a_rate_has_to_reach_its_goal(reached: float, is_met: bool) -> None:
    row = Row("crowd", "", 1, (), (at_least(45_000, "steps/s"),), "steps/s", is_rate=True)

    (verdict,) = judge(row, {("crowd", MILLSTREAM): Samples((10.0, reached), is_rate=True)})

    assert verdict == Verdict(row.goals[0], reached)
    assert verdict.is_met == is_met


def test_a_goal_against_somebody_who_is_not_there_is_not_met() -> None:
    row = Row("chain", "step", 1, (), (fraction("chain", 6, NEOGRAPH), ceiling(5)))

    verdicts = judge(row, {("chain", MILLSTREAM): Samples((4.0,))})

    assert [(verdict.reached, verdict.is_met) for verdict in verdicts] == [(None, False), (4, True)]


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        (Verdict(ceiling(10), 8.04), "PASS 8.0 of 10 µs"),
        (Verdict(ceiling(10), 12.0), "FAIL 12.0 of 10 µs"),
        (Verdict(ceiling(20, "MB"), 30.0), "FAIL 30.0 of 20 MB"),
        (Verdict(fraction("row", 14), 1 / 15.5), "PASS 1/15.5 of 1/14"),
        (Verdict(fraction("row", 2.5), 1 / 3.0), "PASS 1/3.00 of 1/2.5"),
        (Verdict(at_most_beyond("row", 10), 12.3), "FAIL +12.3 of +10 MB"),
        (Verdict(added("row", 8), 7.0), "PASS 7.0 of 8 µs added"),
        (Verdict(added_fraction("row", 2), 1 / 4.0), "PASS 1/4.00 of 1/2 added"),
        (Verdict(growth("row", 1.15), 1.2), "FAIL 1.20x of 1.15x"),
        (Verdict(multiple("row", 2.2, TASKS), 2.0), f"PASS 2.00x of 2.2x of {TASKS}"),
        (Verdict(fraction("row", 6, NEOGRAPH), 0.2), f"FAIL 1/5.00 of 1/6 of {NEOGRAPH}"),
        (Verdict(fraction("row", 6), 1.5), "FAIL 1.50x of 1/6"),
        (Verdict(fraction("row", 6), None), "FAIL not measured of 1/6"),
        (
            Verdict(at_least(45_000, "steps/s"), 40_000),
            "FAIL 40,000.0 of 45,000 steps/s",
        ),
    ],
)
def test_outcomes_read_as_reached_of_allowed(verdict: Verdict, text: str) -> None:
    assert describe(verdict).plain == text
