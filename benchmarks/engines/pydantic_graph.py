"""pydantic-graph: async steps, and `map` with a join for many tasks at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic_graph import GraphBuilder, reduce_sum

from benchmarks.engines.serving import serve


@dataclass
class Counter:
    """The state."""

    n: int = 0


def achain(length: int) -> Callable[[], Awaitable[None]]:
    """Count in a chain of steps, one part of the run after the other."""
    builder: Any = GraphBuilder(state_type=Counter, output_type=int)

    async def count(context: Any) -> int:
        context.state.n += 1
        return int(context.state.n)

    before = builder.start_node
    for index in range(length):
        step = builder.step(count, node_id=f"n{index}")
        builder.add(builder.edge_from(before).to(step))
        before = step
    builder.add(builder.edge_from(before).to(builder.end_node))
    graph = builder.build()

    async def run() -> None:
        seen = 0
        async with graph.iter(state=Counter()) as steps:
            async for _ in steps:
                seen += 1
        assert seen >= length, f"{seen} steps instead of {length} or more"
        assert steps.output == length, f"{steps.output} instead of {length}"

    return run


async def one(context: Any) -> int:
    """Give one."""
    return 1


def summing(builder: Any, width: int) -> Callable[[], Awaitable[None]]:
    """Return a call that runs the graph and checks the sum."""
    graph = builder.build()

    async def run() -> None:
        total = await graph.run(inputs=width)
        assert total == width, f"{total} instead of {width}"

    return run


def branches(width: int) -> Callable[[], Awaitable[None]]:
    """Run steps that start at once."""
    builder: Any = GraphBuilder(input_type=int, output_type=int)
    total = builder.join(reduce_sum, initial=0)
    steps = [builder.step(one, node_id=f"n{index}") for index in range(width)]
    builder.add(
        builder.edge_from(builder.start_node).to(*steps),
        builder.edge_from(*steps).to(total),
        builder.edge_from(total).to(builder.end_node),
    )
    return summing(builder, width)


def sends(width: int) -> Callable[[], Awaitable[None]]:
    """Run one step for each of so many items."""
    builder: Any = GraphBuilder(input_type=int, output_type=int)

    async def scatter(context: Any) -> list[int]:
        return list(range(context.inputs))

    first = builder.step(scatter, node_id="scatter")
    work = builder.step(one, node_id="work")
    total = builder.join(reduce_sum, initial=0)
    builder.add(
        builder.edge_from(builder.start_node).to(first),
        builder.edge_from(first).map().to(work),
        builder.edge_from(work).to(total),
        builder.edge_from(total).to(builder.end_node),
    )
    return summing(builder, width)


if __name__ == "__main__":
    serve({"achain": achain, "abranches": branches, "asends": sends})
