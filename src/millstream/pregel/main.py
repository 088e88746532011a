"""The compiled graph, as users call it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from millstream._base.bounded import BoundedDict
from millstream._base.state_classes import NO_ALIASES
from millstream.channels.topic import Topic
from millstream.constants import TASKS
from millstream.drivers import caching
from millstream.modes.parts import Shape
from millstream.pregel._running.request import merge_configs
from millstream.pregel._running.starting import StartableGraph
from millstream.pregel._structure.compiling import as_policies, compile_graph, validate_graph
from millstream.pregel._structure.nodes import NodeBuilder, PregelNode
from millstream.pregel._structure.subgraphs import find_subgraph
from millstream.types import Send
from millstream.typing import ConfigLike, ContextT, InputT, OutputT, StateT

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.cache.base import BaseCache
    from langgraph.store.base import BaseStore
    from typing_extensions import Self

    from millstream.core.spec import GraphSpec
    from millstream.drivers.options import Subscription
    from millstream.types import (
        All,
        CachePolicy,
        Checkpointer,
        RetryPolicy,
        StreamMode,
    )

__all__ = ("NodeBuilder", "Pregel")


class Pregel(StartableGraph[StateT, ContextT, InputT, OutputT]):
    """A graph of nodes that communicate through channels, run in supersteps.

    `StateGraph.compile()` makes one. Made directly, it needs `nodes`, the `channels` they share,
    and which of them are input and output. `trigger_to_nodes` is worked out anyway.
    """

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

    @property
    def spec(self) -> GraphSpec:
        """The compiled form, computed once, when the graph is validated or first run."""
        if self._spec is None:
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

    def with_config(self, config: ConfigLike | None = None, **kwargs: Any) -> Self:
        """Return a copy whose config is merged into that of every call."""
        merged = merge_configs([layer for layer in (self.config, config, kwargs) if layer])
        merged.setdefault("configurable", {})
        return self.copy({"config": merged})

    def clear_cache(self, nodes: Sequence[str] | None = None) -> None:
        """Forget the cached results of these nodes, of all nodes by default."""
        self._cache_to_clear().clear(self._cache_namespaces(nodes))

    async def aclear_cache(self, nodes: Sequence[str] | None = None) -> None:
        """Forget the cached results of these nodes, of all nodes by default."""
        await self._cache_to_clear().aclear(self._cache_namespaces(nodes))

    def _cache_to_clear(self) -> BaseCache[Any]:
        if self.cache is None:
            raise ValueError("No cache is set for this graph. Cannot clear cache.")
        return self.cache

    def _cache_namespaces(self, nodes: Sequence[str] | None) -> list[tuple[str, ...]]:
        bodies = self.spec.nodes
        return [
            caching.namespace_of(bodies[name].body, name)
            for name in (bodies if nodes is None else nodes)
            if name in bodies
        ]
