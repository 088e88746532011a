"""What a unit of work costs does not depend on how much of everything else there is."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from benchmarks.null_saver import NullSaver

from slopes.graphs import Log, State, loop, nested, talking, turns, wide
from slopes.measuring import Watch, counted_growth, growth, timed_growth, work_of

CONFIG = {"recursion_limit": 5000, "configurable": {"thread_id": "1"}}
FLAT = 1.1
"""For bytecodes: what repeats exactly may differ by what grows with the size of numbers."""
FLAT_TIME = 1.6
"""For times: more memory is touched, and other processes take their share of the caches.

A copy of everything in every superstep would be far beyond it.
"""


@pytest.fixture(
    params=[
        pytest.param(False, id="unsaved", marks=pytest.mark.long),
        pytest.param(True, id="saved"),
    ]
)
def saver(request: pytest.FixtureRequest) -> NullSaver | None:
    """Run with a saver that keeps nothing, and with none, which is less of the same work."""
    return NullSaver() if request.param else None


# That nothing leads to the idle nodes is said of the graph, too.
@pytest.mark.filterwarnings("ignore::millstream.warnings.GraphWarning")
def test_idle_nodes_cost_nothing(driver: Any, saver: NullSaver | None) -> None:
    is_async = driver.name == "async"
    graphs = [loop(50, is_async=is_async, idle=idle, saver=saver) for idle in (0, 10_000)]
    alone, crowded = (partial(driver.stream, graph, {"n": 0}, CONFIG) for graph in graphs)

    assert work_of(crowded) <= FLAT * work_of(alone)
    assert growth(alone, crowded, limit=FLAT_TIME) <= FLAT_TIME


@pytest.mark.parametrize("mode", ["updates", "values"])
def test_each_key_written_costs_the_same(driver: Any, mode: str) -> None:
    """Four times the keys are four times the work; were it quadratic, it would be sixteen."""
    graphs = [wide(keys, is_async=driver.name == "async") for keys in (500, 2000)]
    few, many = (partial(driver.stream, graph, {"k0": 0}, stream_mode=mode) for graph in graphs)

    assert work_of(many) <= 4 * FLAT * work_of(few)
    assert growth(few, many, limit=4 * FLAT_TIME) <= 4 * FLAT_TIME


def test_late_steps_cost_what_early_ones_cost(driver: Any, saver: NullSaver | None) -> None:
    assert counted_growth(partial(run_loop, driver, saver, State)) <= FLAT


@pytest.mark.long
def test_a_growing_list_costs_only_its_reducer(driver: Any, saver: NullSaver | None) -> None:
    """The reducer copies 950 items instead of 150, which is next to nothing in C."""
    run = partial(run_loop, driver, saver, Log)

    assert counted_growth(run) <= FLAT
    assert timed_growth(run, limit=FLAT_TIME) <= FLAT_TIME


def run_loop(driver: Any, saver: NullSaver | None, state: Any, watch: Watch) -> None:
    """Run a loop of a thousand supersteps to its end."""
    is_async = driver.name == "async"
    graph = loop(1001, is_async=is_async, state=state, saver=saver, watch=watch)
    driver.stream(graph, {"n": 0, "lines": []}, CONFIG)


def test_a_run_costs_the_same_beside_others() -> None:
    graph = turns(3)

    async def run(count: int) -> None:
        await asyncio.gather(*(graph.ainvoke({"n": 0}) for _ in range(count)))

    few = work_of(lambda: asyncio.run(run(10)))
    many = work_of(lambda: asyncio.run(run(500)))

    assert many <= 50 * FLAT * few


@pytest.mark.parametrize("subgraphs", [False, True], ids=["root", "subgraphs"])
def test_each_level_of_nesting_costs_the_same(driver: Any, subgraphs: bool) -> None:
    """From 6 to 8 levels it costs what it costs from 2 to 4.

    Nearly: to ask whether anybody still reads, a run asks all those around it.
    """
    is_async = driver.name == "async"

    def work(depth: int) -> int:
        graph = nested(depth, is_async=is_async)
        return work_of(partial(driver.stream, graph, {"n": 0}, subgraphs=subgraphs))

    assert work(8) - work(6) <= 1.2 * (work(4) - work(2))


def test_each_token_costs_the_same(driver: Any) -> None:
    is_async = driver.name == "async"

    def work(tokens: int) -> int:
        graph = talking(tokens, is_async=is_async)
        return work_of(partial(driver.stream, graph, {"n": 0}, stream_mode="messages"))

    assert work(2000) <= 10 * FLAT * work(200)
