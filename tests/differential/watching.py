"""Reading run streams: one way for both drivers, and what is seen without what is timing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langchain_core.messages import AIMessage

from differential.engines import Engine
from differential.ordering import settled
from differential.registry import DRIVERS, probe
from differential.render import mask, render

OPT_IN: Final = {
    "updates": "UpdatesTransformer",
    "custom": "CustomTransformer",
    "checkpoints": "CheckpointsTransformer",
    "tasks": "TasksTransformer",
    "debug": "DebugTransformer",
}
"""Projections that are not there unless asked for, and what provides them."""


class Reader:
    """One way to read the run streams of both drivers.

    Everything is awaited; in the sync driver nothing ever waits, see `watched`.
    """

    __slots__ = ("driver",)

    def __init__(self, driver: str) -> None:
        self.driver = driver

    @property
    def is_async(self) -> bool:
        """Say whether the streams are those of the async driver."""
        return self.driver == "async"

    async def open(self, graph: Any, given: Any, config: Any = None, **kwargs: Any) -> Any:
        """Return a run stream that has not begun."""
        if self.is_async:
            return await graph.astream_events(given, config, version="v3", **kwargs)
        return graph.stream_events(given, config, version="v3", **kwargs)

    async def invoke(self, graph: Any, given: Any, config: Any = None) -> Any:
        """Run a graph that nobody watches."""
        if self.is_async:
            return await graph.ainvoke(given, config)
        return graph.invoke(given, config)

    async def each(self, source: Any) -> AsyncIterator[Any]:
        """Yield the items of a stream, a projection or anything else to iterate over."""
        if self.is_async:
            async for item in source:
                yield item
        else:
            for item in source:
                yield item

    async def all(self, source: Any, show: Callable[[Any], Any] = render) -> list[Any]:
        """Return what `show` makes of each item when it comes, and at the end the error, if any."""
        found: list[Any] = []
        try:
            async for item in self.each(source):
                found.append(show(item))
        except Exception as error:
            found.append(error)
        return found

    async def some(self, source: Any, count: int) -> list[Any]:
        """Return the first items of an iterator, which can be gone on with."""
        found: list[Any] = []
        for _ in range(count):
            found.append(await source.__anext__() if self.is_async else next(source))
        return found

    def iterator(self, source: Any) -> Any:
        """Subscribe to a projection."""
        return source.__aiter__() if self.is_async else iter(source)

    def tee(self, source: Any, count: int) -> Any:
        """Return several iterators over one projection."""
        return source.atee(count) if self.is_async else source.tee(count)

    async def output(self, run: Any) -> Any:
        """Drive the run to its end for its last state, or its error."""
        return await self._end(run, "output")

    async def interrupted(self, run: Any) -> Any:
        """Drive the run to its end and say whether it asks, or return its error."""
        return await self._end(run, "interrupted")

    async def interrupts(self, run: Any) -> Any:
        """Drive the run to its end for its questions, or its error."""
        return await self._end(run, "interrupts")

    async def end(self, run: Any) -> list[Any]:
        """Return all three, in this order."""
        return [await self._end(run, name) for name in ("output", "interrupted", "interrupts")]

    async def _end(self, run: Any, name: str) -> Any:
        try:
            return await getattr(run, name)() if self.is_async else getattr(run, name)
        except Exception as error:
            return error

    async def abort(self, run: Any) -> None:
        """Leave the run."""
        result = run.abort()
        if self.is_async:
            await result

    async def log(self, run: Any, *, has_parallel: bool = False) -> list[Any]:
        """Return the lines of the raw event log; parallel work in an order without timing."""
        events: list[Seen] = []
        ends: list[Any] = []
        try:
            async for event in self.each(run):
                events.append(see(event))
        except Exception as error:
            ends.append(error)
        events = bounded(events)
        return [*(canonical(events) if has_parallel else show(events)), *ends]


Scenario = Callable[[Engine, Reader], Coroutine[Any, Any, Any]]


def watched(
    name: str, *, rows: Sequence[str], drivers: tuple[str, ...] = DRIVERS, **options: Any
) -> Callable[[Scenario], Scenario]:
    """Register `async (engine, reader) -> facts`, compared once per driver.

    The sync driver has no event loop: what never waits needs none.
    """

    def register(scenario: Scenario) -> Scenario:
        @probe(name, rows=rows, drivers=drivers, **options)
        def run(engine: Engine, driver: str) -> Any:
            facts = scenario(engine, Reader(driver))
            return asyncio.run(facts) if driver == "async" else finish(facts)

        return scenario

    return register


def finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return the result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    finally:
        coroutine.close()
    raise RuntimeError("a scenario of the sync driver waits for something")


async def caught(action: Callable[[], Any]) -> Any:
    """Return what an action returns, awaited if need be, or the exception that it raises."""
    try:
        result = action()
        return await result if isinstance(result, Awaitable) else result
    except Exception as error:
        return error


@dataclass(frozen=True, slots=True)
class Seen:
    """An event of the log as it was when it came: payloads are live objects."""

    method: str
    namespace: tuple[str, ...]
    event: str
    """Which lifecycle event it is, if it is one."""
    key: str
    """What tells parallel work of the root apart that has no namespace of its own."""
    text: str
    metadata: str


def see(event: Any) -> Seen:
    """Read one event of the log, without its number and the time."""
    method, params = event["method"], event["params"]
    data, namespace = params["data"], tuple(params["namespace"])
    kind = key = metadata = ""
    if method == "messages":
        data, known = data
        key = known["langgraph_checkpoint_ns"]
        metadata = render({"metadata": known})
    elif method == "lifecycle":
        # The event is the root's, what happened is the child's.
        kind, namespace = data["event"], tuple(data["namespace"])
    text = [method, f"of {'/'.join(namespace)}" if namespace else "", render(plain(data))]
    if params.get("interrupts"):
        text.append(f"asks {render(settled(params['interrupts']))}")
    return Seen(method, namespace, kind, key, " ".join(filter(None, text)), metadata)


def bounded(events: Sequence[Seen]) -> list[Seen]:
    """Move the start of each child before whatever else is known of it, and its end after it.

    The reference says that a child starts when its first task does, and that it ends when the task
    ends that called it.
    """
    found: list[Seen] = []
    for event in events:
        depth = len(event.namespace)
        places = [i for i, e in enumerate(found) if e.namespace[:depth] == event.namespace]
        if event.event and places:
            found.insert(places[0] if event.event == "started" else places[-1] + 1, event)
        else:
            found.append(event)
    return found


def show(events: Sequence[Seen]) -> list[str]:
    """Return the lines of events, with metadata where they differ from those of the last line."""
    lines: list[str] = []
    last = ""
    for event in events:
        lines.append(event.text)
        if event.metadata and event.metadata != last:
            lines.append(event.metadata)
            last = event.metadata
    return lines


def canonical(events: Sequence[Seen], depth: int = 0) -> list[str]:
    """Return the lines of events in an order that does not depend on which task was first.

    The values of a graph end its supersteps, within a superstep each child has its own events in
    order; which child is first is decided by what it does.
    """
    lines: list[str] = []
    children: dict[str, list[Seen]] = {}
    for event in events:
        if len(event.namespace) > depth:
            children.setdefault(event.namespace[depth], []).append(event)
        elif event.method == "values":
            lines += [*_grouped(children, depth), event.text]
            children = {}
        else:
            # A node that says something, like a child that has nothing else.
            children.setdefault(event.key or event.text, []).append(event)
    return lines + _grouped(children, depth)


def _grouped(children: dict[str, list[Seen]], depth: int) -> list[str]:
    groups: list[list[str]] = []
    for events in children.values():
        own = [event for event in events if len(event.namespace) <= depth + 1]
        if len(own) == len(events) and not any(event.method == "values" for event in own):
            groups.append(show(events))
            continue
        first = [e for e in events[:1] if e.event == "started"]
        last = [e for e in events[-1:] if e.event not in ("", "started")]
        inner = events[len(first) : len(events) - len(last)]
        groups.append([*show(first), *canonical(inner, depth + 1), *show(last)])
    groups.sort(key=lambda lines: mask("\n".join(lines)))
    return [line for lines in groups for line in lines]


def plain(value: Any) -> Any:
    """Return `value` with what models said as plain text.

    The reference turns the content of messages into lists of blocks when a run is watched.
    """
    if isinstance(value, AIMessage) and isinstance(value.content, list):
        return value.model_copy(update={"content": value.text})
    if type(value) in (list, tuple):
        return type(value)(map(plain, value))
    if type(value) is dict:
        return {key: plain(inner) for key, inner in value.items()}
    return value


def shown(value: Any) -> str:
    """Return a text for an item of a projection, with what models said as plain text."""
    return render(settled(plain(value)))


def later(engine: Engine, items: Sequence[Any]) -> list[Any]:
    """Leave out the first snapshot of a child, which handles of the reference do not see."""
    return list(items if engine.root == "langgraph" else items[1:])


def opt_in(engine: Engine, *names: str) -> list[Any]:
    """Return the transformers of projections that are not there by default."""
    return [getattr(engine.stream, OPT_IN[name]) for name in names or OPT_IN]


async def said(reader: Reader, message: Any) -> dict[str, Any]:
    """Return what a message's handle shows: deltas first, then wholes."""
    if reader.is_async:
        text, thoughts = await message.text, await message.reasoning
        calls, output = await message.tool_calls, await message.output
    else:
        text, thoughts = message.text.get(), message.reasoning.get()
        calls, output = message.tool_calls.get(), message.output
    return {
        "words": await reader.all(message.text),
        "thoughts": await reader.all(message.reasoning),
        "chunks": await reader.all(message.tool_calls),
        "text": text,
        "reasoning": thoughts,
        "calls": calls,
        "output": render(output),
        "usage": getattr(output, "usage_metadata", None),
        "response": output.response_metadata,
        "id": message.message_id,
        "namespace": message.namespace,
        "node": message.node,
        "done": message.done,
    }


async def tree(reader: Reader, run: Any, read: Callable[[Any], Awaitable[Any]]) -> list[Any]:
    """Return what every handle shows when it comes, what `read` finds in it, and how it ends."""
    found: list[Any] = []
    try:
        async for handle in reader.each(run.subgraphs):
            about = [handle.path, handle.graph_name, handle.trigger_call_id]
            about += [handle.status, handle.error, type(handle).__name__]
            inside = await read(handle)
            output, interrupted, interrupts = await reader.end(handle)
            after = [handle.status, handle.error, shown(output), interrupted, interrupts]
            found.append([about, inside, after])
    except Exception as error:
        found.append(error)
    return found
