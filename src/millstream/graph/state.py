"""The builder of graphs whose nodes share a state."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, overload

from langchain_core.runnables import Runnable

from millstream._base.runnable import coerce_to_runnable
from millstream._base.state_classes import aliases_of
from millstream.channels.last_value import LastValue
from millstream.constants import END, RESERVED, START
from millstream.graph._builder.arguments import (
    RUN_AGAIN,
    V05,
    V10,
    check_name,
    name_and_action,
    path_name,
    refuse_unknown,
    renamed,
)
from millstream.graph._builder.branches import BranchSpec
from millstream.graph._builder.compiled import CompiledStateGraph
from millstream.graph._builder.node_spec import NodeDefaults, StateNodeSpec, declarations, size_of
from millstream.graph._builder.state_channels import check_schema, schema_fields
from millstream.graph._builder.uncompiled import Uncompiled
from millstream.pregel._structure.declared import breakpoint_names
from millstream.types import TimeoutPolicy, ensure_valid_checkpointer
from millstream.typing import ContextT, InputT, OutputT, StateT

if TYPE_CHECKING:
    from langgraph.cache.base import BaseCache
    from langgraph.store.base import BaseStore
    from typing_extensions import Self, Unpack

    from millstream.channels.base import BaseChannel
    from millstream.drivers.executor import Executor
    from millstream.graph._builder.node_types import InT, NodeOptions, Path, StateNode
    from millstream.saving.places import Place
    from millstream.types import All, CachePolicy, Checkpointer, RetryPolicy, TracePolicy

__all__ = ("CompiledStateGraph", "StateGraph")

logger = logging.getLogger(__name__)

DEFAULT_HANDLER: Final = "__default_error_handler__"
HANDLER_PREFIX: Final = "__error_handler__"


class StateGraph(Uncompiled, Generic[StateT, ContextT, InputT, OutputT]):
    """Build a graph whose nodes read and write a shared state.

    `state_schema` is a TypedDict, dataclass, pydantic model or other annotated class; each key may
    name a reducer, `Annotated[list, operator.add]`, that combines what nodes write to it. A class
    without annotations makes the whole state one value. Nothing runs before `compile`.
    """

    def __init__(
        self,
        state_schema: type[StateT],
        context_schema: type[ContextT] | None = None,
        *,
        input_schema: type[InputT] | None = None,
        output_schema: type[OutputT] | None = None,
        **kwargs: Any,
    ) -> None:
        context_schema = renamed(kwargs, "config_schema", "context_schema", context_schema, V10)
        input_schema = renamed(kwargs, "input", "input_schema", input_schema, V05)
        output_schema = renamed(kwargs, "output", "output_schema", output_schema, V05)
        refuse_unknown(kwargs, "StateGraph")
        self.nodes: dict[str, StateNodeSpec] = {}
        self.edges: set[tuple[str, str]] = set()
        self.branches: defaultdict[str, dict[str, BranchSpec]] = defaultdict(dict)
        self.waiting_edges: set[tuple[tuple[str, ...], str]] = set()
        self.schemas: dict[Any, dict[str, Any]] = {}
        self.channels: dict[str, BaseChannel[Any, Any, Any]] = {}
        self.managed: dict[str, Any] = {}
        self.aliases: dict[str, str] = {}
        self.compiled = False
        self.state_schema = state_schema
        self.input_schema: Any = input_schema or state_schema
        self.output_schema: Any = output_schema or state_schema
        self.context_schema = context_schema
        self._node_defaults = NodeDefaults()
        self._add_schema(self.state_schema)
        self._add_schema(self.input_schema, allow_managed=self.input_schema is state_schema)
        self._add_schema(self.output_schema, allow_managed=self.output_schema is state_schema)

    def __repr__(self) -> str:
        name = getattr(self.state_schema, "__name__", None) or "a state"
        return f"<{type(self).__name__} of {name}: {size_of(self)}>"

    def _add_schema(self, schema: Any, /, allow_managed: bool = True) -> None:
        check_schema(schema)
        if schema in self.schemas:
            return
        channels, managed = schema_fields(schema)
        if managed and not allow_managed:
            name = getattr(schema, "__name__", str(schema))
            raise ValueError(
                f"Invalid managed channels detected in {name}: {', '.join(managed)}. "
                "Managed channels are not permitted in Input/Output schema."
            )
        for key, channel in channels.items():
            known = self.channels.get(key)
            if known is None or known == channel or isinstance(channel, LastValue):
                self.channels.setdefault(key, channel)
            else:
                raise ValueError(f"Channel '{key}' already exists with a different type")
        for key, value in managed.items():
            if self.managed.setdefault(key, value) is not value:
                raise ValueError(f"Managed value '{key}' already exists with a different type")
        self.aliases.update(aliases_of(schema))
        self.schemas[schema] = {**channels, **managed}

    def set_node_defaults(
        self,
        *,
        retry_policy: RetryPolicy | Sequence[RetryPolicy] | None = None,
        cache_policy: CachePolicy[Any] | None = None,
        error_handler: Callable[..., Any] | Runnable[Any, Any] | None = None,
        timeout: float | timedelta | TimeoutPolicy | None = None,
    ) -> Self:
        """Set policies for the nodes that do not bring their own; applied by `compile`.

        `retry_policy` and `timeout` are for error handlers too, `cache_policy` and `error_handler`
        for all other nodes.
        """
        defaults = self._node_defaults
        if retry_policy is not None:
            defaults.retry_policy = retry_policy
        if cache_policy is not None:
            defaults.cache_policy = cache_policy
        if error_handler is not None:
            defaults.error_handler = error_handler
        if timeout is not None:
            defaults.timeout = TimeoutPolicy.coerce(timeout)
        return self

    @overload
    def add_node(
        self,
        node: StateNode[InT, ContextT],
        *,
        input_schema: type[InT],
        **options: Unpack[NodeOptions],
    ) -> Self: ...

    @overload
    def add_node(
        self,
        node: str,
        action: StateNode[InT, ContextT],
        *,
        input_schema: type[InT],
        **options: Unpack[NodeOptions],
    ) -> Self: ...

    @overload
    def add_node(
        self,
        node: StateNode[StateT, ContextT],
        *,
        input_schema: None = None,
        **options: Unpack[NodeOptions],
    ) -> Self: ...

    @overload
    def add_node(
        self,
        node: str,
        action: StateNode[StateT, ContextT],
        *,
        input_schema: None = None,
        **options: Unpack[NodeOptions],
    ) -> Self: ...

    @overload
    def add_node(
        self,
        node: StateNode[Any, ContextT],
        *,
        input_schema: None = None,
        **options: Unpack[NodeOptions],
    ) -> Self: ...

    @overload
    def add_node(
        self,
        node: str,
        action: StateNode[Any, ContextT],
        *,
        input_schema: None = None,
        **options: Unpack[NodeOptions],
    ) -> Self: ...

    def add_node(
        self,
        node: Any,
        action: Any = None,
        *,
        defer: bool = False,
        metadata: dict[str, Any] | None = None,
        input_schema: Any = None,
        retry_policy: RetryPolicy | Sequence[RetryPolicy] | None = None,
        cache_policy: CachePolicy[Any] | None = None,
        error_handler: Callable[..., Any] | Runnable[Any, Any] | None = None,
        destinations: dict[str, str] | tuple[str, ...] | None = None,
        timeout: float | timedelta | TimeoutPolicy | None = None,
        trace_policy: TracePolicy | None = None,
        executor: Executor | None = None,
        **kwargs: Any,
    ) -> Self:
        """Add a node: something that reads the state and returns an update of it.

        Args:
            node: The name, followed by `action`; or the action alone, named by itself.
            action: A function, sync or async, a runnable or a compiled graph. It is given the
                state and, by name, any of `config`, `writer`, `store`, `runtime`. It returns a
                dict of the keys it changes, a `Command`, a list of these, or None.
            defer: Run when nothing else is left to run.
            metadata: What traces and streams tell of the node.
            input_schema: Class whose keys it reads; the annotation of its first parameter says so
                otherwise, and without one it reads the whole state.
            retry_policy: Which failures are tried again; of several the first that fits counts.
            cache_policy: Reuse results of the same input. The graph needs a cache.
            error_handler: Called with the state and a parameter `error: NodeError` when the node
                has failed for good, instead of failing the run.
            destinations: Where its commands may go, for drawings: names, or name -> label.
            timeout: Seconds, or more precisely a `TimeoutPolicy`; for async nodes.
            trace_policy: What traces show of input and output.
            executor: Where it runs, a `ProcessExecutor` for example; here if neither this nor
                `compile` says otherwise. See `millstream.executors`.

        Raises:
            ValueError: The name is taken, reserved, or contains `|` or `:`.

        Example:
            >>> from typing_extensions import TypedDict
            >>> from millstream.graph import START, StateGraph
            >>> class State(TypedDict):
            ...     sacks: int
            >>> def grind(state: State) -> State:
            ...     return {"sacks": state["sacks"] - 1}
            >>> graph = StateGraph(State).add_node(grind).add_edge(START, "grind").compile()
            >>> graph.invoke({"sacks": 3})
            {'sacks': 2}
        """
        if kwargs:
            retry_policy = renamed(kwargs, "retry", "retry_policy", retry_policy, V05)
            input_schema = renamed(kwargs, "input", "input_schema", input_schema, V05)
            refuse_unknown(kwargs, "add_node")
        name, action = name_and_action(node, action)
        self._warn_if_compiled("a node")
        check_name(name, self.nodes)
        runnable = coerce_to_runnable(action, name=name, trace=False)
        ends = destinations
        if ends is None or input_schema is None:
            declared_input, declared_ends = declarations(action)
            input_schema = declared_input if input_schema is None else input_schema
            ends = declared_ends if ends is None else ends
        if input_schema is not None:
            self._add_schema(input_schema)
        handler = None
        if error_handler is not None:
            handler = f"{HANDLER_PREFIX}{name}"
            self._add_handler(handler, error_handler, input_schema)
        self.nodes[name] = StateNodeSpec(
            runnable=runnable,
            metadata=metadata,
            input_schema=input_schema or self.state_schema,
            retry_policy=retry_policy,
            cache_policy=cache_policy,
            error_handler_node=handler,
            ends=ends,
            defer=defer,
            timeout=TimeoutPolicy.coerce(timeout),
            trace_policy=trace_policy,
            executor=executor,
        )
        return self

    def _add_handler(self, name: str, action: Any, input_schema: Any) -> None:
        self.nodes[name] = StateNodeSpec(
            runnable=coerce_to_runnable(action, name=name, trace=False),
            metadata=None,
            input_schema=input_schema or self.state_schema,
            retry_policy=None,
            cache_policy=None,
            is_error_handler=True,
            ends=declarations(action)[1],
        )

    def add_sequence(
        self, nodes: Sequence[StateNode[Any, ContextT] | tuple[str, StateNode[Any, ContextT]]]
    ) -> Self:
        """Add nodes, or `(name, node)` pairs, and an edge from each to the next."""
        if len(nodes) < 1:
            raise ValueError("Sequence requires at least one node.")
        previous: str | None = None
        for item in nodes:
            node, action = item if isinstance(item, tuple) and len(item) == 2 else (item, None)
            name, action = name_and_action(node, action)
            if name in self.nodes:
                raise ValueError(
                    f"Node names must be unique: node with the name '{name}' already exists. "
                    "If you need to use two different runnables/callables with the same name "
                    "(for example, using `lambda`), please provide them as tuples "
                    f"(name, runnable/callable). {RUN_AGAIN}"
                )
            self.add_node(name, action)
            if previous is not None:
                self.add_edge(previous, name)
            previous = name
        return self

    def add_edge(self, start_key: str | list[str], end_key: str) -> Self:
        """Run `end_key` after `start_key`; after all of them when it is a list.

        Raises `ValueError` for an edge that starts at END or ends at START.
        """
        self._warn_if_compiled("an edge")
        if isinstance(start_key, str):
            if start_key == END:
                raise ValueError("END cannot be a start node")
            if end_key == START:
                raise ValueError("START cannot be an end node")
            self.edges.add((start_key, end_key))
            return self
        for start in start_key:
            if start == END:
                raise ValueError("END cannot be a start node")
            if start not in self.nodes:
                raise ValueError(f"Need to add_node `{start}` first")
        if end_key == START:
            raise ValueError("START cannot be an end node")
        if end_key != END and end_key not in self.nodes:
            raise ValueError(f"Need to add_node `{end_key}` first")
        self.waiting_edges.add((tuple(start_key), end_key))
        return self

    def add_conditional_edges(
        self,
        source: str,
        path: Path,
        path_map: dict[Any, str] | list[str] | None = None,
    ) -> Self:
        """Let `path` say, after `source`, where the run goes next.

        Args:
            source: The node after which `path` is asked, or START.
            path: Function, sync or async, or runnable. It is given the state with what `source`
                wrote, and answers with a node's name, END, a `Send`, or a list of these.
            path_map: Answer -> node, where answers are no names; or the names that are possible.
                A `Literal` return annotation says so, too. Drawings show other edges as possible.

        Raises:
            ValueError: `source` has a path of this name, or, from `compile`, no such target.

        Example:
            >>> from typing_extensions import TypedDict
            >>> from millstream.graph import END, START, StateGraph
            >>> class State(TypedDict):
            ...     sacks: int
            >>> builder = StateGraph(State)
            >>> _ = builder.add_node("grind", lambda state: {"sacks": state["sacks"] - 1})
            >>> def is_done(state: State) -> bool:
            ...     return state["sacks"] == 0
            >>> _ = builder.add_conditional_edges("grind", is_done, {True: END, False: "grind"})
            >>> builder.add_edge(START, "grind").compile().invoke({"sacks": 3})
            {'sacks': 0}
        """
        self._warn_if_compiled("an edge")
        runnable = coerce_to_runnable(path, name=path_name(path), trace=True)
        name = runnable.name or "condition"
        if name in self.branches[source]:
            raise ValueError(f"Branch with name `{name}` already exists for node `{source}`")
        branch = BranchSpec.from_path(runnable, path_map, infer_schema=True)
        self.branches[source][name] = branch
        if branch.input_schema is not None:
            self._add_schema(branch.input_schema)
        return self

    def set_entry_point(self, key: str) -> Self:
        """Start the run at this node: an edge from START."""
        return self.add_edge(START, key)

    def set_conditional_entry_point(
        self,
        path: Path,
        path_map: dict[Any, str] | list[str] | None = None,
    ) -> Self:
        """Let `path` say where the run starts: a conditional edge from START."""
        return self.add_conditional_edges(START, path, path_map)

    def set_finish_point(self, key: str) -> Self:
        """End after this node: an edge to END."""
        return self.add_edge(key, END)

    def validate(self, interrupt: Sequence[str] | None = None) -> Self:
        """Check that all edges connect known nodes and that there is a way in."""
        from millstream.graph._builder.edge_checks import check_sources, check_targets

        check_sources(self)
        check_targets(self, self._node_defaults, DEFAULT_HANDLER)
        for name in self.nodes:
            if name in RESERVED:
                raise ValueError(f"Node name '{name}' is reserved")
        for name in interrupt or ():
            if name not in self.nodes:
                raise ValueError(f"Interrupt node `{name}` not found")
        self.compiled = True
        return self

    def compile(
        self,
        checkpointer: Checkpointer | Place = None,
        *,
        cache: BaseCache[Any] | None = None,
        store: BaseStore | None = None,
        interrupt_before: All | list[str] | None = None,
        interrupt_after: All | list[str] | None = None,
        debug: bool = False,
        name: str | None = None,
        transformers: Sequence[Callable[[tuple[str, ...]], Any]] | None = None,
        executor: Executor | None = None,
    ) -> CompiledStateGraph[StateT, ContextT, InputT, OutputT]:
        """Check the graph and make it runnable.

        Args:
            checkpointer: Saves the state after every superstep, so that runs can stop, go on and be
                looked at. None is the saver of the graph around it. For nested graphs, True keeps
                a state of their own from call to call and False saves nothing. A path is a
                `SqliteJournal` in that file, a `"postgresql://..."` URL a `PostgresJournal`: one
                for all graphs of the process that name it, closed when they are gone.
            cache: Where nodes with a `cache_policy` have their results.
            store: What nodes get as `store` and `runtime.store`: memory beyond one thread.
            interrupt_before: Nodes before which a run stops, to be continued with
                `invoke(None, config)`; `"*"` is all of them.
            interrupt_after: Nodes after which it stops.
            debug: Print what happens.
            name: The graph's name for traces, and for a graph that has it as a node.
            transformers: Factories of `StreamTransformer`s that each of its run streams gets.
            executor: Where nodes run that do not say so themselves, nested graphs aside; see
                `millstream.executors`.

        Raises:
            ValueError: There is no way in, an edge or breakpoint names no node, or no saver can be
                where `checkpointer` says.
            TypeError: `checkpointer` is no saver.

        Example:
            >>> from millstream.checkpoint.memory import InMemorySaver
            >>> from millstream.graph import START, MessagesState, StateGraph
            >>> builder = StateGraph(MessagesState).add_edge(START, "answer")
            >>> _ = builder.add_node("answer", lambda state: {"messages": "Hello!"})
            >>> graph = builder.compile(InMemorySaver())
            >>> thread = {"configurable": {"thread_id": "1"}}
            >>> _ = graph.invoke({"messages": "Hi"}, thread)
            >>> len(graph.invoke({"messages": "Still there?"}, thread)["messages"])
            4
        """
        from millstream.graph._checking.certain import warn_of_certain
        from millstream.saving.places import saver_of

        saver = ensure_valid_checkpointer(saver_of(checkpointer))
        before, after = breakpoint_names(interrupt_before), breakpoint_names(interrupt_after)
        named = [] if before == "*" else list(before)
        self.validate(named if after == "*" else [*named, *after])
        graph = CompiledStateGraph.from_builder(
            self,
            defaults=replace(self._node_defaults, executor=executor),
            default_handler=DEFAULT_HANDLER,
            checkpointer=saver,
            cache=cache,
            store=store,
            interrupt_before_nodes=before,
            interrupt_after_nodes=after,
            debug=debug,
            name=name or "LangGraph",
            stream_transformers=transformers,
        )
        warn_of_certain(graph, self)
        return graph

    def _warn_if_compiled(self, what: str) -> None:
        if self.compiled:
            logger.warning(
                "Adding %s to a graph that has already been compiled. "
                "This will not be reflected in the compiled graph.",
                what,
            )
