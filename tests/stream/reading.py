"""One way to read run streams with both drivers, small graphs, and transformers to watch them."""

from __future__ import annotations

import asyncio
import gc
import operator
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Annotated, Any, ClassVar

from typing_extensions import TypedDict

from millstream.graph import START, StateGraph
from millstream.stream import StreamChannel, StreamTransformer

FOREVER = 60.0


def either(left: int, right: int) -> int:
    """Let parallel nodes write the same number."""
    return right


class State(TypedDict, total=False):
    x: Annotated[int, either]
    log: Annotated[list[Any], operator.add]


def say(name: str) -> Any:
    """Return a node that logs its name."""
    return lambda state: {"log": [name]}


def fail(error: BaseException) -> Any:
    """Return a node that raises a new error like this one."""

    def node(state: State) -> None:
        raise type(error)(*error.args)

    return node


def row(*nodes: Any, **options: Any) -> Any:
    """Compile a graph that runs these nodes, or those that log these names, one after another.

    Nodes without a name are called `n0`, `n1`, ... by their place.
    """
    builder = StateGraph(State)
    before = START
    for index, node in enumerate(nodes):
        name = node if isinstance(node, str) else f"n{index}"
        builder.add_node(name, say(node) if isinstance(node, str) else node)
        builder.add_edge(before, name)
        before = name
    return builder.compile(**options)


def at_once(*nodes: Any, **options: Any) -> Any:
    """Compile a graph that runs all these nodes in one superstep."""
    builder = StateGraph(State)
    for index, node in enumerate(nodes):
        builder.add_node(f"n{index}", say(node) if isinstance(node, str) else node)
        builder.add_edge(START, f"n{index}")
    return builder.compile(**options)


def logs(states: list[Any]) -> list[Any]:
    """Return what each state has logged."""
    return [state.get("log", []) for state in states]


class Steps(StreamTransformer):
    """Offers `steps`, the length of the log after each superstep of the graph itself."""

    required_stream_modes: ClassVar[tuple[str, ...]] = ("values",)
    maxlen: ClassVar[int | None] = None
    name: ClassVar[str | None] = None

    def init(self) -> dict[str, Any]:
        self.channel: StreamChannel[int] = StreamChannel(self.name, maxlen=self.maxlen)
        return {"steps": self.channel}

    def process(self, event: Any) -> bool:
        params = event["params"]
        if event["method"] == "values" and params["namespace"] == list(self.scope):
            self.channel.push(len(params["data"]["log"]))
        return True


def steps(maxlen: int | None = None, name: str | None = None) -> type[Steps]:
    """Return a `SaverGen` whose channel has this name and holds back the run at so many items."""
    return type("Steps", (Steps,), {"maxlen": maxlen, "name": name})


class Reader:
    """One way to read the run streams of both drivers.

    Everything is awaited. With the sync driver nothing ever suspends: what waits blocks its thread.
    """

    is_async = False

    def run(self, scenario: Coroutine[Any, Any, Any]) -> Any:
        """Run a scenario; fail if it leaves anything behind."""
        return finish(scenario)

    async def open(self, graph: Any, *transformers: Any, config: Any = None, **options: Any) -> Any:
        """Return a run stream, given `{"x": 1}`, that has not begun."""
        given = options.pop("given", {"x": 1})
        return graph.stream_events(
            given, config, version="v3", transformers=transformers, **options
        )

    def iterator(self, source: Any) -> Any:
        """Subscribe to a projection."""
        return iter(source)

    def tee(self, source: Any, count: int) -> Any:
        """Subscribe several times to a projection."""
        return source.tee(count)

    async def next(self, iterator: Any, *default: Any) -> Any:
        """Return the next item of an iterator."""
        return next(iterator, *default)

    async def each(self, source: Any) -> AsyncIterator[Any]:
        """Yield the items of anything to iterate over."""
        for item in source:
            yield item

    async def all(self, source: Any) -> list[Any]:
        """Return all items."""
        return [item async for item in self.each(source)]

    async def until_error(self, source: Any) -> list[Any]:
        """Return all items, and the error after them."""
        found: list[Any] = []
        try:
            async for item in self.each(source):
                found.append(item)
        except Exception as error:
            found.append(error)
        return found

    async def close(self, iterator: Any) -> None:
        """Close an iterator."""
        iterator.close()

    async def output(self, run: Any) -> Any:
        """Return the output of a run."""
        return run.output

    async def interrupts(self, run: Any) -> Any:
        """Return whether a run was interrupted, and its questions."""
        return run.interrupted, run.interrupts

    async def abort(self, run: Any) -> None:
        """Abort a run."""
        run.abort()

    async def inside(self, run: Any, body: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Return what the body returns, called inside of `with run`."""
        with run:
            return await body()

    def node(self, action: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Return a node that awaits an action."""
        return lambda state: finish(action())

    def flag(self) -> Any:
        """Return something that can be set and waited for."""
        return Flag()

    async def together(self, *readers: Coroutine[Any, Any, Any]) -> list[Any]:
        """Run readers at the same time; return what each returns or raises."""
        found: list[Any] = [None] * len(readers)

        def read(index: int, reader: Coroutine[Any, Any, Any]) -> None:
            try:
                found[index] = finish(reader)
            except BaseException as error:
                found[index] = error

        threads = [threading.Thread(target=read, args=each) for each in enumerate(readers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    async def until(self, happened: Callable[[], bool]) -> None:
        """Let others run until something has happened that has no event of its own."""
        turn = threading.Event()
        while not happened():
            turn.wait(0.001)


class Flag:
    """An event of threads that is awaited."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Let those go on who wait."""
        self._event.set()

    async def wait(self) -> None:
        """Wait until it is set."""
        self._event.wait()


class AsyncReader(Reader):
    """The same with the async driver."""

    is_async = True

    def run(self, scenario: Coroutine[Any, Any, Any]) -> Any:
        """Run a scenario; fail if a task is left or if anything complains to the loop."""
        complaints: list[Any] = []

        async def main() -> Any:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, told: complaints.append(told))
            result = await scenario
            gc.collect(1)
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return result

        result = asyncio.run(main())
        gc.collect(1)
        assert complaints == []
        return result

    async def open(self, graph: Any, *transformers: Any, config: Any = None, **options: Any) -> Any:
        given = options.pop("given", {"x": 1})
        return await graph.astream_events(
            given, config, version="v3", transformers=transformers, **options
        )

    def iterator(self, source: Any) -> Any:
        return aiter(source)

    def tee(self, source: Any, count: int) -> Any:
        return source.atee(count)

    async def next(self, iterator: Any, *default: Any) -> Any:
        return await anext(iterator, *default)

    async def each(self, source: Any) -> AsyncIterator[Any]:
        async for item in source:
            yield item

    async def close(self, iterator: Any) -> None:
        await iterator.aclose()

    async def output(self, run: Any) -> Any:
        return await run.output()

    async def interrupts(self, run: Any) -> Any:
        return await run.interrupted(), await run.interrupts()

    async def abort(self, run: Any) -> None:
        await run.abort()

    async def inside(self, run: Any, body: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        async with run:
            return await body()

    def node(self, action: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        async def node(state: State) -> Any:
            return await action()

        return node

    def flag(self) -> Any:
        return asyncio.Event()

    async def together(self, *readers: Coroutine[Any, Any, Any]) -> list[Any]:
        return list(await asyncio.gather(*readers, return_exceptions=True))

    async def until(self, happened: Callable[[], bool]) -> None:
        while not happened():  # noqa: ASYNC110  # what is waited for has no event of its own
            await asyncio.sleep(0)


def finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return the result of a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    finally:
        coroutine.close()
    raise RuntimeError("a scenario of the sync driver awaits something that is not its reader's")
