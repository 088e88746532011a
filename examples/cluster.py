"""Count the prime numbers below a limit, in parts that run side by side on a Ray cluster.

    split -> sieve (one task per part, on the cluster) -> add_up

`python examples/cluster.py 5_000_000` starts a cluster on this machine, or goes to the one that
`RAY_ADDRESS` names. What the parts say while they run comes to this program as it happens. Needs
`pip install 'millstream[ray]'`.
"""

from __future__ import annotations

import itertools
import math
import operator
import os
import sys
from typing import Annotated, Any

from typing_extensions import TypedDict

from millstream.executors import RayExecutor
from millstream.graph import END, START, StateGraph
from millstream.types import RetryPolicy, Send, StreamWriter

PARTS = 8
LIMIT = 2_000_000


class State(TypedDict, total=False):
    """What the nodes share."""

    limit: int
    counts: Annotated[list[int], operator.add]
    total: int


class Part(TypedDict):
    """Numbers from `low` on, below `high`."""

    low: int
    high: int


def split(state: State) -> list[Send]:
    """Share the numbers among tasks."""
    limit = state["limit"]
    edges = [limit * part // PARTS for part in range(PARTS + 1)]
    pairs = itertools.pairwise(edges)
    return [Send("sieve", Part(low=low, high=high)) for low, high in pairs]


def sieve(part: Part, writer: StreamWriter) -> State:
    """Count the primes of a part, with the sieve of Eratosthenes."""
    low, high = max(part["low"], 2), part["high"]
    is_prime = bytearray([1]) * max(high - low, 0)
    for number in range(2, math.isqrt(high) + 1):
        first = max(number * number, -(-low // number) * number)
        for multiple in range(first, high, number):
            is_prime[multiple - low] = 0
    count = sum(is_prime)
    writer(f"{count} primes from {low} to {high - 1}, says process {os.getpid()}")
    return {"counts": [count]}


def add_up(state: State) -> State:
    """Add up what the parts have."""
    return {"total": sum(state["counts"])}


def build(executor: RayExecutor) -> Any:
    """Return the graph; a part whose worker dies is counted again by another one."""
    builder = StateGraph(State)
    builder.add_node("sieve", sieve, executor=executor, retry_policy=RetryPolicy(max_attempts=3))
    builder.add_node("add_up", add_up)
    builder.add_conditional_edges(START, split, ["sieve"])
    builder.add_edge("sieve", "add_up").add_edge("add_up", END)
    return builder.compile()


def main(limit: int = LIMIT) -> None:
    """Count, and print what is said meanwhile."""
    try:
        executor = RayExecutor()
    except ImportError as error:
        sys.exit(str(error))
    with executor:
        for mode, item in build(executor).stream(
            {"limit": limit}, stream_mode=["custom", "values"]
        ):
            if mode == "custom":
                print(item)
            elif "total" in item:
                print(f"{item['total']} primes below {limit}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
