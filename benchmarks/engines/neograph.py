"""NeoGraph: a core in C++ with nodes in Python, which are sync functions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import neograph_engine as ng

from benchmarks.engines.serving import serve

MESSAGES: Final = [{"role": "user", "content": "x" * 1000} for _ in range(50)]


@ng.node("count")
def count(state: Any) -> list[Any]:
    """Count."""
    return [ng.ChannelWrite("n", state.get("n") + 1)]


@ng.node("count messages")
def count_messages(state: Any) -> list[Any]:
    """Count, after a look at the messages."""
    assert len(state.get("messages")) == len(MESSAGES)
    return [ng.ChannelWrite("n", state.get("n") + 1)]


@ng.node("add")
def add(state: Any) -> list[Any]:
    """Add one."""
    return [ng.ChannelWrite("parts", [1])]


class Scatter(ng.GraphNode):
    """Starts one task for each number."""

    def get_name(self) -> str:
        """Return the node's name."""
        return "scatter"

    def run(self, input: Any) -> list[Any]:
        """Send them all."""
        return [ng.Send("work", {"item": index}) for index in range(input.state.get("width"))]


ng.NodeFactory.register_type("scatter", lambda name, config, context: Scatter())


def compiled(nodes: dict[str, str], edges: list[tuple[str, str]], **reducers: str) -> Any:
    """Compile the graph whose nodes are of these types."""
    definition = {
        "schema_version": ng.TOPOLOGY_SCHEMA_VERSION,
        "name": "benchmark",
        "channels": {name: {"reducer": reducer} for name, reducer in reducers.items()},
        "nodes": {name: {"type": kind} for name, kind in nodes.items()},
        "edges": [{"from": start, "to": end} for start, end in edges],
    }
    return ng.GraphEngine.compile(definition, ng.NodeContext(), stderr_notices=False)


def config(input: dict[str, Any], steps: int) -> Any:
    """Return what one run is to do."""
    mode = ng.StreamMode.UPDATES
    return ng.RunConfig(input=input, max_steps=steps + 1, stream_mode=mode)


def check(result: Any, seen: list[Any], channel: str, expected: Any, events: int) -> None:
    """Compare what a run did with what it had to do."""
    found = result.output["channels"][channel]["value"]
    assert found == expected, f"{found} instead of {expected}"
    assert len(seen) == events, f"{len(seen)} events instead of {events}"


def streams(graph: Any, input: dict[str, Any], *expected: Any, steps: int) -> Callable[[], None]:
    """Return a call that streams a run and checks it."""

    def run() -> None:
        seen: list[Any] = []
        check(graph.run_stream(config(input, steps), seen.append), seen, *expected)

    return run


def chained(length: int, kind: str) -> Any:
    """Compile a chain."""
    names = [f"n{index}" for index in range(length)]
    edges = list(zip([ng.START_NODE, *names], [*names, ng.END_NODE], strict=True))
    return compiled(dict.fromkeys(names, kind), edges, n="overwrite", messages="append")


def chain(length: int) -> Callable[[], None]:
    """Count in a chain of nodes."""
    return streams(chained(length, "count"), {"n": 0}, "n", length, length, steps=length)


def achain(length: int) -> Callable[[], Awaitable[None]]:
    """Count in a chain of nodes, beside an event loop."""
    graph = chained(length, "count")

    async def run() -> None:
        seen: list[Any] = []
        result = await graph.run_stream_async(config({"n": 0}, length), seen.append)
        check(result, seen, "n", length, length)

    return run


def messages(length: int) -> Callable[[], None]:
    """Count in a chain of nodes that look at fifty messages."""
    graph = chained(length, "count messages")
    input = {"n": 0, "messages": MESSAGES}
    return streams(graph, input, "n", length, length, steps=length)


def branches(width: int) -> Callable[[], None]:
    """Run nodes that start at once."""
    names = [f"n{index}" for index in range(width)]
    edges = [(ng.START_NODE, name) for name in names] + [(name, ng.END_NODE) for name in names]
    graph = compiled(dict.fromkeys(names, "add"), edges, parts="append")
    return streams(graph, {}, "parts", [1] * width, width, steps=1)


def sends(width: int) -> Callable[[], None]:
    """Send so many inputs to one node."""
    graph = compiled(
        {"scatter": "scatter", "work": "add"},
        [(ng.START_NODE, "scatter"), ("work", ng.END_NODE)],
        parts="append",
        width="overwrite",
        item="overwrite",
    )
    return streams(graph, {"width": width}, "parts", [1] * width, width, steps=2)


if __name__ == "__main__":
    serve(
        {
            "chain": chain,
            "achain": achain,
            "messages": messages,
            "branches": branches,
            "sends": sends,
        }
    )
