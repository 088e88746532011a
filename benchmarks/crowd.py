"""Many runs at once in one process: `-m benchmarks.crowd WHO RUNS STEPS` prints JSON.

`steps/s` is what all of them do together. `ms` is the 99th percentile of how late a coroutine is
that wants to run every millisecond beside them, from before they start until after they end. `kB`
is by how much they let the process grow, per run. `floor` as WHO is a coroutine for each run that
awaits the nodes in place and gives others a turn after each.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import math
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from typing_extensions import TypedDict

from benchmarks.memory import peak, present
from benchmarks.rows import FLOOR

TICK: Final = 0.001
WARM_UP: Final = 10
"""Runs of the first, unmeasured crowd."""
RESOLUTION: Final = 0.1
"""kB per run; less cannot be told from nothing."""


class State(TypedDict):
    """One number."""

    n: int


async def count(state: State) -> State:
    """Count."""
    return {"n": state["n"] + 1}


def run_of(who: str, steps: int) -> Callable[[], Awaitable[None]]:
    """Return what makes one run and checks it."""
    if who == FLOOR:
        return by_hand(steps)
    graph = build(who, steps)

    async def run() -> None:
        updates = graph.astream({"n": 0}, {"recursion_limit": 1000}, stream_mode="updates")
        seen = 0
        async for update in updates:
            assert update == {f"n{seen}": {"n": seen + 1}}
            seen += 1
        assert seen == steps, f"{seen} steps instead of {steps}"

    return run


def build(root: str, steps: int) -> Any:
    """Compile a chain, with the one library that is measured."""
    library = importlib.import_module(f"{root}.graph")
    builder = library.StateGraph(State)
    for index in range(steps):
        builder.add_node(f"n{index}", count)
        builder.add_edge(f"n{index - 1}" if index else library.START, f"n{index}")
    return builder.compile()


def by_hand(steps: int) -> Callable[[], Awaitable[None]]:
    """Return what does the same without an engine."""

    async def run() -> None:
        state: State = {"n": 0}
        for _ in range(steps):
            state = {**state, **await count(state)}
            await asyncio.sleep(0)
        assert state["n"] == steps

    return run


async def crowd(run: Callable[[], Awaitable[None]], runs: int) -> tuple[float, list[float]]:
    """Let so many runs compete; return the seconds they took, and how late the ticker was in ms."""
    lags: list[float] = []
    is_over = False

    async def tick() -> None:
        while not is_over:
            asked = time.perf_counter()
            await asyncio.sleep(TICK)
            lags.append((time.perf_counter() - asked - TICK) * 1000)

    ticker = asyncio.create_task(tick())
    await asyncio.sleep(0)
    started = time.perf_counter()
    await asyncio.gather(*(run() for _ in range(runs)))
    seconds = time.perf_counter() - started
    is_over = True
    await ticker
    return seconds, lags


def percentile(values: list[float], share: float) -> float:
    """Return the smallest value that so many of them do not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


async def main(who: str, runs: int, steps: int) -> dict[str, float]:
    """Measure one crowd."""
    run = run_of(who, steps)
    await crowd(run, WARM_UP)
    gc.collect()
    gc.freeze()
    before = present()
    seconds, lags = await crowd(run, runs)
    return {
        "steps/s": runs * steps / seconds,
        "ms": percentile(lags, 0.99),
        "kB": max(RESOLUTION, (peak() - before) * 1000 / runs),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))
