"""What a graph consists of, and how its runs are to be: all that was given to compile it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from millstream._base.bounded import BoundedDict
from millstream._base.state_classes import NO_ALIASES
from millstream._base.texts import counted
from millstream.channels.topic import Topic
from millstream.constants import TASKS
from millstream.pregel._structure.declared import (
    as_policies,
    split_channels,
    validate_graph,
    visible,
)
from millstream.pregel._structure.nodes import NodeBuilder, PregelNode
from millstream.pregel.protocol import PregelProtocol
from millstream.types import Send
from millstream.typing import ContextT, InputT, OutputT, StateT

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.cache.base import BaseCache
    from langgraph.store.base import BaseStore
    from typing_extensions import Self

    from millstream.core.spec import GraphSpec
    from millstream.modes.subscription import Subscription
    from millstream.types import (
        All,
        CachePolicy,
        Checkpointer,
        RetryPolicy,
        StreamMode,
    )


class GraphDefinition(PregelProtocol[StateT, ContextT, InputT, OutputT]):
    """A compiled graph as what opens its runs, reads its state or draws it sees it.

    `Pregel` adds what can be done with it.
    """

    nodes: dict[str, PregelNode]
    channels: dict[str, Any]
    input_channels: str | Sequence[str]
    output_channels: str | Sequence[str]
    interrupt_before_nodes: All | Sequence[str]
    interrupt_after_nodes: All | Sequence[str]
    # On the class too, for those who look there: `Mock(spec=Pregel)` has what the class has.
    stream_mode: StreamMode = "values"
    stream_eager: bool = False
    stream_channels: str | Sequence[str] | None = None
    step_timeout: float | None = None
    checkpointer: Checkpointer = None
    store: BaseStore | None = None
    cache: BaseCache[Any] | None = None
    retry_policy: Sequence[RetryPolicy] = ()
    cache_policy: CachePolicy[Any] | None = None
    context_schema: type[ContextT] | None = None
    config: RunnableConfig | None = None
    name: str = "LangGraph"

    aliases: Mapping[str, str] = NO_ALIASES
    """Other names of state keys, as pydantic models may have them -> the keys."""
    _stored_classes: frozenset[tuple[str, str]] | None = None

    def __init__(
        self,
        *,
        nodes: Mapping[str, PregelNode | NodeBuilder],
        channels: Mapping[str, Any] | None,
        auto_validate: bool = True,
        stream_mode: StreamMode = "values",
        stream_eager: bool = False,
        output_channels: str | Sequence[str],
        stream_channels: str | Sequence[str] | None = None,
        interrupt_after_nodes: All | Sequence[str] = (),
        interrupt_before_nodes: All | Sequence[str] = (),
        input_channels: str | Sequence[str],
        step_timeout: float | None = None,
        debug: bool | None = None,
        checkpointer: Checkpointer = None,
        store: BaseStore | None = None,
        cache: BaseCache[Any] | None = None,
        retry_policy: RetryPolicy | Sequence[RetryPolicy] = (),
        cache_policy: CachePolicy[Any] | None = None,
        context_schema: type[ContextT] | None = None,
        config: RunnableConfig | None = None,
        trigger_to_nodes: Mapping[str, Sequence[str]] | None = None,
        node_error_handler_map: Mapping[str, str] | None = None,
        name: str = "LangGraph",
        stream_transformers: Sequence[Callable[[tuple[str, ...]], Any]] | None = None,
    ) -> None:
        from millstream.modes.parts import Shape

        self.nodes: dict[str, PregelNode] = {
            key: node.build() if isinstance(node, NodeBuilder) else node
            for key, node in nodes.items()
        }
        self.channels: dict[str, Any] = dict(channels or {})
        self.channels.setdefault(TASKS, Topic(Send, accumulate=False))
        self.stream_mode = stream_mode
        self.stream_eager = stream_eager
        self.output_channels = output_channels
        self.stream_channels = stream_channels
        self.interrupt_after_nodes = interrupt_after_nodes
        self.interrupt_before_nodes = interrupt_before_nodes
        self.input_channels = input_channels
        self.step_timeout = step_timeout
        self.debug = bool(debug)
        self.checkpointer = checkpointer
        self.store = store
        self.cache = cache
        self.retry_policy = as_policies(retry_policy)
        self.cache_policy = cache_policy
        self.context_schema = context_schema
        self.config = config
        self.node_error_handler_map = dict(node_error_handler_map or {})
        self.name = name
        self.stream_transformers = tuple(stream_transformers or ())
        self.shape = Shape()
        self.subscriptions: dict[tuple[Any, ...], Subscription] = BoundedDict()
        """What callers have asked to see -> how it is shown. Bounded: they may ask for any keys."""
        self._spec: GraphSpec | None = None
        if auto_validate:
            self.validate()

    def __repr__(self) -> str:
        saver = "" if not self.checkpointer else f"; saver {type(self.checkpointer).__name__}"
        return f"<{type(self).__name__} {self.name!r}: {self._size()}{saver}>"

    def _size(self) -> str:
        channels = visible(split_channels(self.channels)[0])
        # That of an entrypoint has the name of its function.
        nodes = f"node {next(iter(self.nodes))!r}" if len(self.nodes) == 1 else None
        return f"{nodes or counted(len(self.nodes), 'node')}, {counted(len(channels), 'channel')}"

    @property
    def spec(self) -> GraphSpec:
        """The compiled form, computed once, when the graph is validated or first run."""
        if self._spec is None:
            # Imported with the first graph that is compiled: it knows what nodes are run by.
            from millstream.pregel._structure.compiling import compile_graph
            from millstream.pregel._structure.subgraphs import find_subgraph

            for node in self.nodes.values():
                if not node.subgraphs and (found := find_subgraph(node.bound)) is not None:
                    node.subgraphs = (found,)
            self._spec = compile_graph(
                nodes=self.nodes,
                channels=self.channels,
                output_keys=self.output_channels,
                stream_keys=self.stream_channels_asis,
                retry=self.retry_policy,
                cache=self.cache_policy,
                handlers=self.node_error_handler_map,
                aliases=self.aliases,
            )
        return self._spec

    def validate(self) -> Self:
        """Check that nodes and channels fit together; `ValueError` says what does not."""
        validate_graph(
            self.nodes,
            self.channels,
            self.input_channels,
            self.output_channels,
            self.stream_channels,
            (self.interrupt_after_nodes, self.interrupt_before_nodes),
        )
        self._spec = None
        assert self.spec is not None
        return self

    def copy(self, update: Mapping[str, Any] | None = None) -> Self:
        """Return a copy with some attributes replaced."""
        twin = copy.copy(self)
        for key, value in (update or {}).items():
            setattr(twin, key, value)
        if update and not {"config", "name", "checkpointer", "store", "cache"} >= update.keys():
            twin._spec = None
        return twin

    @property
    def managed(self) -> Mapping[str, Any]:
        """The values that are computed from the run."""
        return split_channels(self.channels)[1]

    @property
    def stream_channels_asis(self) -> str | Sequence[str]:
        """The channels that streams show: one bare value, or a list of keys."""
        if self.stream_channels:
            return self.stream_channels
        return list(visible(split_channels(self.channels)[0]))

    @property
    def stream_channels_list(self) -> Sequence[str]:
        """The channels that streams show, always as a list."""
        channels = self.stream_channels_asis
        return [channels] if isinstance(channels, str) else channels

    def stored_classes(self) -> frozenset[tuple[str, str]]:
        """Return module and name of the classes that this graph's checkpoints may hold.

        Only what `LANGGRAPH_STRICT_MSGPACK` asks for: empty when it is not set.
        """
        from millstream.saving.allowlist import is_strict

        return self.state_classes() if is_strict() else frozenset()

    def state_classes(self) -> frozenset[tuple[str, str]]:
        """Return module and name of the classes that this graph declares for its state."""
        if self._stored_classes is None:
            from millstream.saving.allowlist import declared_classes

            types = [kind for c in self.channels.values() for kind in _stored_types(c)]
            self._stored_classes = declared_classes([*types, *self._declared_schemas()])
        return self._stored_classes

    def _declared_schemas(self) -> Sequence[Any]:
        return () if self.context_schema is None else (self.context_schema,)


def _stored_types(channel: Any) -> tuple[Any, ...]:
    return tuple(getattr(channel, kind, None) for kind in ("ValueType", "UpdateType"))
