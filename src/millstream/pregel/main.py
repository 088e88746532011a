"""The compiled graph, as users call it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from millstream.pregel._running.starting import StartableGraph
from millstream.pregel._structure.nodes import NodeBuilder
from millstream.typing import ConfigLike, ContextT, InputT, OutputT, StateT

if TYPE_CHECKING:
    from langgraph.cache.base import BaseCache
    from typing_extensions import Self

__all__ = ("NodeBuilder", "Pregel")


class Pregel(StartableGraph[StateT, ContextT, InputT, OutputT]):
    """A graph of nodes that communicate through channels, run in supersteps.

    `StateGraph.compile()` makes one. Made directly, it needs `nodes`, the `channels` they share,
    and which of them are input and output. `trigger_to_nodes` is worked out anyway.
    """

    def with_config(self, config: ConfigLike | None = None, **kwargs: Any) -> Self:
        """Return a copy whose config is merged into that of every call."""
        from millstream.pregel._running.request import merge_configs

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
        from millstream.drivers import caching

        bodies = self.spec.nodes
        return [
            caching.namespace_of(bodies[name].body, name)
            for name in (bodies if nodes is None else nodes)
            if name in bodies
        ]
