"""The builder of graphs whose nodes share a state."""

from __future__ import annotations

import functools
import logging
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, overload

from langchain_core.runnables import Runnable

from millstream.channels.last_value import LastValue
from millstream.constants import END, NS_END, NS_SEP, RESERVED, START
from millstream.drivers.routes import route_error
from millstream.graph.branch import BranchSpec
from millstream.graph.compiled import CompiledStateGraph
from millstream.graph.fields import called_function, schema_fields
from millstream.graph.node_spec import NodeDefaults, StateNodeSpec, declarations
from millstream.pregel.compiling import breakpoint_names
from millstream.runnable import callable_name, coerce_to_runnable
from millstream.state_classes import aliases_of
from millstream.types import TimeoutPolicy, ensure_valid_checkpointer
from millstream.typing import ContextT, InputT, OutputT, StateT
from millstream.warnings import LangGraphDeprecatedSinceV05, LangGraphDeprecatedSinceV10

if TYPE_CHECKING:
    from langgraph.cache.base import BaseCache
    from langgraph.store.base import BaseStore
    from typing_extensions import Self, Unpack

    from millstream.channels.base import BaseChannel
    from millstream.graph.node_types import InT, NodeOptions, Path, StateNode
    from millstream.types import All, CachePolicy, Checkpointer, RetryPolicy, TracePolicy

__all__ = ("CompiledStateGraph", "StateGraph")

logger = logging.getLogger(__name__)

DEFAULT_HANDLER: Final = "__default_error_handler__"
HANDLER_PREFIX: Final = "__error_handler__"


class StateGraph(Generic[StateT, ContextT, InputT, OutputT]):
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
        context_schema = _renamed(kwargs, "config_schema", "context_schema", context_schema, V10)
        input_schema = _renamed(kwargs, "input", "input_schema", input_schema, V05)
        output_schema = _renamed(kwargs, "output", "output_schema", output_schema, V05)
        _refuse_unknown(kwargs, "StateGraph")
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

    def _add_schema(self, schema: Any, /, allow_managed: bool = True) -> None:
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
        **kwargs: Any,
    ) -> Self:
        """Add a node: a function, runnable or graph, named by itself or by the first argument.

        Its first parameter's annotation, or `input_schema`, says which keys it reads. With `defer`
        it runs when nothing else is left to run. `error_handler` is called instead of failing the
        run; `destinations` are for drawings. Raises `ValueError` for a name that is taken,
        reserved or contains `|` or `:`.
        """
        if kwargs:
            retry_policy = _renamed(kwargs, "retry", "retry_policy", retry_policy, V05)
            input_schema = _renamed(kwargs, "input", "input_schema", input_schema, V05)
            _refuse_unknown(kwargs, "add_node")
        name, action = _name_and_action(node, action)
        self._warn_if_compiled("a node")
        self._check_name(name)
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

    def _check_name(self, name: str) -> None:
        if name in self.nodes:
            raise ValueError(f"Node `{name}` already present.")
        if name in (START, END):
            raise ValueError(f"Node `{name}` is reserved.")
        for character in (NS_SEP, NS_END):
            if character in name:
                raise ValueError(
                    f"'{character}' is a reserved character and is not allowed in the node names."
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
            name, action = _name_and_action(node, action)
            if name in self.nodes:
                raise ValueError(
                    f"Node names must be unique: node with the name '{name}' already exists. "
                    "If you need to use two different runnables/callables with the same name "
                    "(for example, using `lambda`), please provide them as tuples "
                    "(name, runnable/callable)."
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

        `path` is called with the state, what `source` wrote included, and answers with a node
        name, a `Send`, or a list of these. `path_map`, or a `Literal` return annotation, maps
        answers to nodes.
        """
        self._warn_if_compiled("an edge")
        runnable = coerce_to_runnable(path, name=_path_name(path), trace=True)
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
        self._check_sources()
        self._check_targets()
        for name in self.nodes:
            if name in RESERVED:
                raise ValueError(f"Node name '{name}' is reserved")
        for name in interrupt or ():
            if name not in self.nodes:
                raise ValueError(f"Interrupt node `{name}` not found")
        self.compiled = True
        return self

    def _check_sources(self) -> None:
        sources = {start for start, _ in self.edges}
        sources.update(start for starts, _ in self.waiting_edges for start in starts)
        sources.update(self.branches)
        sources.update(name for name, spec in self.nodes.items() if spec.ends)
        unknown = sources - self.nodes.keys() - {START}
        if unknown:
            start = min(unknown)
            raise route_error(
                f"Found edge starting at unknown node '{start}'", start, self.nodes, start
            )
        if START not in sources:
            raise ValueError(
                "Graph must have an entrypoint: add at least one edge from START to another node"
            )

    def _check_targets(self) -> None:
        known = {*self.nodes, END}
        for source, branches in self.branches.items():
            for name, branch in branches.items():
                for end in (branch.ends or {}).values():
                    if end not in known:
                        problem = (
                            f"At '{source}' node, '{name}' branch found unknown target '{end}'"
                        )
                        raise route_error(problem, end, self.nodes, source)
        unknown = sorted(
            ((start, end) for start, end in self.edges if end not in known), key=lambda e: e[::-1]
        )
        ends = {name: spec.ends for name, spec in self.nodes.items()}
        if self._node_defaults.error_handler is not None:
            ends[DEFAULT_HANDLER] = declarations(self._node_defaults.error_handler)[1]
        unknown += [(name, end) for name in ends for end in ends[name] if end not in known]
        for start, end in unknown[:1]:
            problem = f"Found edge ending at unknown node `{end}`, starting at '{start}'"
            raise route_error(problem, end, self.nodes, start)

    def compile(
        self,
        checkpointer: Checkpointer = None,
        *,
        cache: BaseCache[Any] | None = None,
        store: BaseStore | None = None,
        interrupt_before: All | list[str] | None = None,
        interrupt_after: All | list[str] | None = None,
        debug: bool = False,
        name: str | None = None,
        transformers: Sequence[Callable[[tuple[str, ...]], Any]] | None = None,
    ) -> CompiledStateGraph[StateT, ContextT, InputT, OutputT]:
        """Check the graph and make it runnable.

        `checkpointer` saves its state after every superstep; `True` and `False` are for subgraphs:
        keep state of their own, or none. `interrupt_before` and `interrupt_after` name nodes at
        which runs stop, `"*"` all of them. Raises `ValueError` for a graph that cannot run.
        """
        checkpointer = ensure_valid_checkpointer(checkpointer)
        before, after = breakpoint_names(interrupt_before), breakpoint_names(interrupt_after)
        named = [] if before == "*" else list(before)
        self.validate(named if after == "*" else [*named, *after])
        return CompiledStateGraph.from_builder(
            self,
            defaults=self._node_defaults,
            default_handler=DEFAULT_HANDLER,
            checkpointer=checkpointer,
            cache=cache,
            store=store,
            interrupt_before_nodes=before,
            interrupt_after_nodes=after,
            debug=debug,
            name=name or "LangGraph",
            stream_transformers=transformers,
        )

    def _warn_if_compiled(self, what: str) -> None:
        if self.compiled:
            logger.warning(
                "Adding %s to a graph that has already been compiled. "
                "This will not be reflected in the compiled graph.",
                what,
            )


V05: Final = LangGraphDeprecatedSinceV05
V10: Final = LangGraphDeprecatedSinceV10


def _renamed(
    kwargs: dict[str, Any],
    old: str,
    new: str,
    value: Any,
    category: type[DeprecationWarning],
) -> Any:
    """Return an argument that may have been given under its old name, which warns."""
    if old not in kwargs:
        return value
    warnings.warn(
        f"`{old}` is deprecated and will be removed. Please use `{new}` instead.",
        category=category,
        stacklevel=3,
    )
    given = kwargs.pop(old)
    return given if value is None else value


def _refuse_unknown(kwargs: Mapping[str, Any], where: str) -> None:
    if kwargs:
        names = ", ".join(sorted(kwargs))
        warnings.warn(f"{where} ignores unknown keyword arguments: {names}", stacklevel=3)


def _name_and_action(node: Any, action: Any) -> tuple[str, Any]:
    """Return a node's name and what it runs; the name is the action's own if none is given."""
    if isinstance(node, str):
        if action is None:
            raise RuntimeError(f"node {node!r} has no action: pass the function it runs")
        return node, action
    if isinstance(node, Runnable):
        func = called_function(node)
        is_unnamed = isinstance(func, functools.partial) and getattr(node, "name", None) is None
        return callable_name(func) if is_unnamed else node.get_name(), node
    if not callable(node) and not isinstance(node, Mapping):
        coerce_to_runnable(node)
    return callable_name(node), node


def _path_name(path: Any) -> str | None:
    if isinstance(path, Runnable):
        return None
    func = path.func if isinstance(path, functools.partial) else path
    name: str | None = getattr(func, "__name__", None)
    return "condition" if name == "<lambda>" or name is None else name
