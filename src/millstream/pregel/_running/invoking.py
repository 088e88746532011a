"""Running a compiled graph: `stream`, `invoke` and their async twins."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, overload

from typing_extensions import TypedDict

from millstream.pregel import _engine as engine
from millstream.pregel._running.event_streams import EventStreamGraph
from millstream.pregel._running.overrides import ainvoke_overridden, invoke_overridden
from millstream.typing import ConfigLike, ContextT, InputT, OutputT, StateT

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from millstream._types.stream_parts import StreamPart
    from millstream.recording.recording import RecordTo
    from millstream.runtime import RunControl
    from millstream.types import All, Command, Durability, GraphOutput, StreamMode

OtherMode: TypeAlias = Literal[
    "updates", "checkpoints", "tasks", "debug", "messages", "custom", "tools"
]
"""With any of these, `invoke` returns all items."""


class InvokeOptions(TypedDict, Generic[ContextT], total=False):
    """What `invoke` can be told by name, beside what its result depends on."""

    context: ContextT | None
    print_mode: StreamMode | Sequence[StreamMode]
    output_keys: str | Sequence[str] | None
    interrupt_before: All | Sequence[str] | None
    interrupt_after: All | Sequence[str] | None
    durability: Durability | None
    control: RunControl | None
    subgraphs: bool
    debug: bool | None
    record: RecordTo | None
    checkpoint_during: bool | None
    """Deprecated: `durability` says more."""


class StreamOptions(InvokeOptions[ContextT], Generic[ContextT], total=False):
    """What `stream` can be told by name."""

    stream_mode: StreamMode | Sequence[StreamMode] | None
    max_buffered: int | None


class InvokableGraph(EventStreamGraph[StateT, ContextT, InputT, OutputT]):
    """How a compiled graph runs; `Pregel` adds what it consists of."""

    @overload  # type: ignore[override]  # named options instead of **kwargs
    def stream(
        self,
        input: InputT | dict[str, Any] | Command[Any] | None,
        config: ConfigLike | None = None,
        *,
        version: Literal["v2"],
        **options: Unpack[StreamOptions[ContextT]],
    ) -> Generator[StreamPart[StateT, OutputT], None, None]: ...

    @overload
    def stream(
        self,
        input: InputT | dict[str, Any] | Command[Any] | None,
        config: ConfigLike | None = None,
        *,
        version: Literal["v1"] = "v1",
        **options: Unpack[StreamOptions[ContextT]],
    ) -> Generator[Any, None, None]: ...

    def stream(
        self,
        input: InputT | dict[str, Any] | Command[Any] | None,
        config: ConfigLike | None = None,
        *,
        context: ContextT | None = None,
        stream_mode: StreamMode | Sequence[StreamMode] | None = None,
        print_mode: StreamMode | Sequence[StreamMode] = (),
        output_keys: str | Sequence[str] | None = None,
        interrupt_before: All | Sequence[str] | None = None,
        interrupt_after: All | Sequence[str] | None = None,
        durability: Durability | None = None,
        control: RunControl | None = None,
        subgraphs: bool = False,
        debug: bool | None = None,
        version: Literal["v1", "v2"] = "v1",
        max_buffered: int | None = None,
        record: RecordTo | None = None,
        **kwargs: Any,
    ) -> Generator[Any, None, None]:
        """Run the graph in this thread and yield what happens, as it happens.

        Nothing runs before the first item is requested. Closing the iterator ends the run when the
        running node functions have ended: the next token or custom item of one raises a
        `BaseException` in it.

        Args:
            input: The input, a `Command` that answers a question, or None to go on.
            config: With a saver `{"configurable": {"thread_id": ...}}`; also `recursion_limit`,
                `max_concurrency`, `callbacks`, `tags`, `metadata`.
            context: What nodes find in `runtime.context`, an instance of the `context_schema`.
            stream_mode: What to see: `values`, the state after each superstep; `updates`, what each
                node wrote; `messages`, tokens as `(chunk, metadata)`; `custom`, what nodes give
                to their writer; `tools`, `tasks`, `checkpoints`, `debug`. The mode of the graph,
                `updates`, by default. One mode yields bare payloads, several `(mode, payload)`.
            print_mode: Modes to print as well.
            output_keys: The state keys to show; those of the output schema by default.
            interrupt_before: Nodes before which to stop, instead of those given to `compile`.
            interrupt_after: Nodes after which to stop.
            durability: When checkpoints are saved: `sync`, before the next superstep; `async`,
                while it runs, which is the default; `exit`, when the run ends.
            control: A switch that stops the run between two supersteps.
            subgraphs: Show nested graphs, too, with their namespace, a tuple of `node:task_id`, in
                front of each item.
            debug: Print what happens.
            version: `v2` yields `StreamPart` dicts with `type`, `ns` and `data`, for any modes.
            max_buffered: How many items may be there unread before a node that writes more custom
                items or tokens has to wait; by default nodes do not wait for a slow reader.
            record: The path of a file that everything the run says is kept in, or a `Recording`.
            kwargs: Deprecated arguments; a warning names those nobody knows.

        Raises:
            GraphRecursionError: The config's `recursion_limit` was reached.
            ValueError: An unknown mode, version or key.
            Exception: What a node raises, after everything emitted before.

        Example:
            >>> from millstream.graph import START, MessagesState, StateGraph
            >>> def answer(state: MessagesState, writer) -> dict:
            ...     writer("thinking")
            ...     return {"messages": "Hello!"}
            >>> builder = StateGraph(MessagesState).add_node(answer).add_edge(START, "answer")
            >>> modes = ["custom", "updates"]
            >>> for mode, item in builder.compile().stream({"messages": "Hi"}, stream_mode=modes):
            ...     print(mode, list(item) if mode == "updates" else item)
            custom thinking
            updates ['answer']
        """
        options = engine.opening.CallOptions(
            context,
            stream_mode,
            print_mode,
            output_keys,
            interrupt_before,
            interrupt_after,
            durability,
            control,
            subgraphs,
            debug,
            version,
            max_buffered,
            record,
            kwargs,
        )
        return engine.sync.drive(partial(engine.opening.open_call, self, input, config, options))

    @overload  # type: ignore[override]  # named options instead of **kwargs
    def astream(
        self,
        input: InputT | dict[str, Any] | Command[Any] | None,
        config: ConfigLike | None = None,
        *,
        version: Literal["v2"],
        **options: Unpack[StreamOptions[ContextT]],
    ) -> AsyncGenerator[StreamPart[StateT, OutputT], None]: ...

    @overload
    def astream(
        self,
        input: InputT | dict[str, Any] | Command[Any] | None,
        config: ConfigLike | None = None,
        *,
        version: Literal["v1"] = "v1",
        **options: Unpack[StreamOptions[ContextT]],
    ) -> AsyncGenerator[Any, None]: ...

    def astream(
        self,
        input: InputT | dict[str, Any] | Command[Any] | None,
        config: ConfigLike | None = None,
        *,
        context: ContextT | None = None,
        stream_mode: StreamMode | Sequence[StreamMode] | None = None,
        print_mode: StreamMode | Sequence[StreamMode] = (),
        output_keys: str | Sequence[str] | None = None,
        interrupt_before: All | Sequence[str] | None = None,
        interrupt_after: All | Sequence[str] | None = None,
        durability: Durability | None = None,
        control: RunControl | None = None,
        subgraphs: bool = False,
        debug: bool | None = None,
        version: Literal["v1", "v2"] = "v1",
        max_buffered: int | None = None,
        record: RecordTo | None = None,
        **kwargs: Any,
    ) -> AsyncGenerator[Any, None]:
        """Run the graph and yield what happens, as it happens; see `stream`.

        Async nodes run as asyncio tasks, sync ones in worker threads. Closing the iterator, or
        cancelling the task that reads it, cancels all running async nodes and nested graphs and
        returns when they have stopped.

        With `max_buffered`, models called in an async way wait between tokens while that many items
        have not been read, and so do sync nodes, which are in threads. A call of the writer from an
        async node cannot wait; `await asyncio.to_thread(writer, item)` does.
        """
        options = engine.opening.CallOptions(
            context,
            stream_mode,
            print_mode,
            output_keys,
            interrupt_before,
            interrupt_after,
            durability,
            control,
            subgraphs,
            debug,
            version,
            max_buffered,
            record,
            kwargs,
        )
        return engine.aio.drive(partial(engine.opening.open_call, self, input, config, options))

    @overload  # type: ignore[override]  # named options instead of **kwargs
    def invoke(  # type: ignore[overload-overlap]  # text is a sequence, too
        self,
        input: InputT | dict[str, Any] | Command[Any] | None,
        config: ConfigLike | None = None,
        *,
        stream_mode: Literal["values"] = "values",
        version: Literal["v2"],
        **options: Unpack[InvokeOptions[ContextT]],
    ) -> GraphOutput[OutputT]: ...

    @overload
    def invoke(
        self,
        input: InputT | dict[str, Any] | Command[Any] | None,
        config: ConfigLike | None = None,
        *,
        stream_mode: OtherMode | Sequence[StreamMode],
        version: Literal["v2"],
        **options: Unpack[InvokeOptions[ContextT]],
    ) -> list[StreamPart[StateT, OutputT]]: ...

    @overload
    def invoke(  # type: ignore[overload-overlap]  # text is a sequence, too
        self,
        input: InputT | dict[str, Any] | Command[Any] | None,
        config: ConfigLike | None = None,
        *,
        stream_mode: Literal["values"] = "values",
        version: Literal["v1"] = "v1",
        **options: Unpack[InvokeOptions[ContextT]],
    ) -> dict[str, Any] | Any: ...

    @overload
    def invoke(
        self,
        input: InputT | dict[str, Any] | Command[Any] | None,
        config: ConfigLike | None = None,
        *,
        stream_mode: OtherMode | Sequence[StreamMode],
        version: Literal["v1"] = "v1",
        **options: Unpack[InvokeOptions[ContextT]],
    ) -> list[Any]: ...

    def invoke(
        self,
        input: InputT | dict[str, Any] | Command[Any] | None,
        config: ConfigLike | None = None,
        *,
        context: ContextT | None = None,
        stream_mode: StreamMode | Sequence[StreamMode] = "values",
        print_mode: StreamMode | Sequence[StreamMode] = (),
        output_keys: str | Sequence[str] | None = None,
        interrupt_before: All | Sequence[str] | None = None,
        interrupt_after: All | Sequence[str] | None = None,
        durability: Durability | None = None,
        control: RunControl | None = None,
        version: Literal["v1", "v2"] = "v1",
        **kwargs: Any,
    ) -> Any:
        """Run the graph and return its final state: what draining `stream` would leave.

        Args:
            input: The input, a `Command` that answers a question, or None to go on.
            config: With a saver `{"configurable": {"thread_id": ...}}`; see `stream`.
            context: What nodes find in `runtime.context`, an instance of the `context_schema`.
            stream_mode: With another mode than `values` the list of all items is returned.
            print_mode: Modes to print.
            output_keys: The state keys to return; those of the output schema by default.
            interrupt_before: Nodes before which to stop, instead of those given to `compile`.
            interrupt_after: Nodes after which to stop.
            durability: When checkpoints are saved: `sync`, `async` or `exit`; see `stream`.
            control: A switch that stops the run between two supersteps.
            version: `v2` returns a `GraphOutput` with `value`, an instance of the state class, and
                `interrupts`.
            kwargs: `subgraphs`, `debug` and `record` are those of `stream`.

        Returns:
            A dict of the output keys, None when nothing was written to them. The questions at which
            the run stopped are under `__interrupt__`.

        Raises:
            Exception: What `stream` raises.

        Example:
            >>> from typing_extensions import TypedDict
            >>> from millstream.graph import START, StateGraph
            >>> class State(TypedDict):
            ...     word: str
            >>> builder = StateGraph(State).add_edge(START, "shout")
            >>> _ = builder.add_node("shout", lambda state: {"word": state["word"].upper()})
            >>> builder.compile().invoke({"word": "mill"})
            {'word': 'MILL'}
            >>> builder.compile().invoke({"word": "mill"}, version="v2").value["word"]
            'MILL'
        """
        options = engine.opening.CallOptions(
            context,
            stream_mode,
            print_mode,
            output_keys,
            interrupt_before,
            interrupt_after,
            durability,
            control,
            kwargs.pop("subgraphs", False),
            kwargs.pop("debug", None),
            version,
            None,
            kwargs.pop("record", None),
            kwargs,
            stream_mode == "values",
        )
        graph: Any = self
        cls = type(graph)
        if cls.stream is not cls._own_stream or "stream" in graph.__dict__:
            return invoke_overridden(graph, input, config, options)
        request = engine.opening.open_call(graph, input, config, options)
        driver = engine.sync.SyncDriver()
        items = list(driver.items(lambda: request))
        if not options.is_result_wanted:
            return items
        return engine.results.final_output(driver.run, version)

    @overload  # type: ignore[override]  # named options instead of **kwargs
    async def ainvoke(  # type: ignore[overload-overlap]  # text is a sequence, too
        self,
        input: InputT | dict[str, Any] | Command[Any] | None,
        config: ConfigLike | None = None,
        *,
        stream_mode: Literal["values"] = "values",
        version: Literal["v2"],
        **options: Unpack[InvokeOptions[ContextT]],
    ) -> GraphOutput[OutputT]: ...

    @overload
    async def ainvoke(
        self,
        input: InputT | dict[str, Any] | Command[Any] | None,
        config: ConfigLike | None = None,
        *,
        stream_mode: OtherMode | Sequence[StreamMode],
        version: Literal["v2"],
        **options: Unpack[InvokeOptions[ContextT]],
    ) -> list[StreamPart[StateT, OutputT]]: ...

    @overload
    async def ainvoke(  # type: ignore[overload-overlap]  # text is a sequence, too
        self,
        input: InputT | dict[str, Any] | Command[Any] | None,
        config: ConfigLike | None = None,
        *,
        stream_mode: Literal["values"] = "values",
        version: Literal["v1"] = "v1",
        **options: Unpack[InvokeOptions[ContextT]],
    ) -> dict[str, Any] | Any: ...

    @overload
    async def ainvoke(
        self,
        input: InputT | dict[str, Any] | Command[Any] | None,
        config: ConfigLike | None = None,
        *,
        stream_mode: OtherMode | Sequence[StreamMode],
        version: Literal["v1"] = "v1",
        **options: Unpack[InvokeOptions[ContextT]],
    ) -> list[Any]: ...

    async def ainvoke(
        self,
        input: InputT | dict[str, Any] | Command[Any] | None,
        config: ConfigLike | None = None,
        *,
        context: ContextT | None = None,
        stream_mode: StreamMode | Sequence[StreamMode] = "values",
        print_mode: StreamMode | Sequence[StreamMode] = (),
        output_keys: str | Sequence[str] | None = None,
        interrupt_before: All | Sequence[str] | None = None,
        interrupt_after: All | Sequence[str] | None = None,
        durability: Durability | None = None,
        control: RunControl | None = None,
        version: Literal["v1", "v2"] = "v1",
        **kwargs: Any,
    ) -> Any:
        """Run the graph and return its final state; see `invoke`."""
        options = engine.opening.CallOptions(
            context,
            stream_mode,
            print_mode,
            output_keys,
            interrupt_before,
            interrupt_after,
            durability,
            control,
            kwargs.pop("subgraphs", False),
            kwargs.pop("debug", None),
            version,
            None,
            kwargs.pop("record", None),
            kwargs,
            stream_mode == "values",
        )
        graph: Any = self
        cls = type(graph)
        if cls.astream is not cls._own_astream or "astream" in graph.__dict__:
            return await ainvoke_overridden(graph, input, config, options)
        request = engine.opening.open_call(graph, input, config, options)
        driver = engine.aio.AsyncDriver()
        items = [item async for item in driver.items(lambda: request)]
        if not options.is_result_wanted:
            return items
        return engine.results.final_output(driver.run, version)

    # What tells that somebody has replaced one of them, in a subclass or from outside.
    _own_stream: Final = stream
    _own_astream: Final = astream
    _own_invoke: Final = invoke
    _own_ainvoke: Final = ainvoke
