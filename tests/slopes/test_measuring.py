"""What measures slopes sees one that is put there on purpose, wherever it is."""

from __future__ import annotations

import threading
from functools import partial
from math import inf
from typing import Any

import pytest

from slopes.graphs import loop
from slopes.measuring import Watch, counted_growth, counted_work, growth, timed_growth, work_of

LONG = {"recursion_limit": 5000}


def scan(count: int) -> None:
    """Do a bit of work for each of so many things."""
    for _ in range(count):
        pass


def test_counts_repeat() -> None:
    assert len({work_of(lambda: scan(100)) for _ in range(5)}) == 1


def test_each_turn_of_a_loop_is_counted() -> None:
    few, many = work_of(lambda: scan(10)), work_of(lambda: scan(1010))

    assert (many - few) % 1000 == 0
    assert many - few > 1000


def test_work_in_other_threads_is_counted() -> None:
    def elsewhere(count: int) -> None:
        thread = threading.Thread(target=scan, args=(count,))
        thread.start()
        thread.join()

    assert work_of(lambda: elsewhere(10_000)) > work_of(lambda: scan(10_000))


def test_counting_ends_with_the_block() -> None:
    with counted_work() as work:
        scan(10)
    before = work()

    scan(10)

    assert work() == before + 1


def test_a_copy_is_timed() -> None:
    """It is one bytecode, however long the list."""
    short, long = [0] * 100, [0] * 100_000

    assert work_of(lambda: short.copy()) == work_of(lambda: long.copy())
    assert growth(short.copy, long.copy, limit=inf) > 2


def test_a_node_that_looks_at_everything_shows_a_slope(driver: Any) -> None:
    """A loop over the idle nodes is counted, a copy of them is timed."""
    idle = [0] * 10_000

    def copy(n: int) -> None:
        for _ in range(100):
            idle.copy()

    alone, scanning, copying = (
        loop(50, is_async=driver.name == "async", watch=watch)
        for watch in (lambda n: None, lambda n: scan(len(idle)), copy)
    )
    runs = [partial(driver.invoke, graph, {"n": 0}, LONG) for graph in (alone, scanning, copying)]

    assert work_of(runs[1]) > 2 * work_of(runs[0])
    assert growth(runs[0], runs[2], limit=inf) > 2


@pytest.mark.long
def test_a_node_that_looks_back_shows_a_slope(driver: Any) -> None:
    """A loop over all earlier supersteps is counted, a copy of their results is timed."""

    def run(look: Watch, watch: Watch) -> None:
        def begin(n: int) -> None:
            watch(n)
            look(n)

        graph = loop(1001, is_async=driver.name == "async", watch=begin)
        driver.invoke(graph, {"n": 0}, LONG)

    def copy(n: int) -> None:
        for _ in range(n):
            list(range(50))

    assert counted_growth(partial(run, scan)) > 1.5
    assert timed_growth(partial(run, copy), limit=inf) > 2
