"""Where a graph's state is saved: the saver, and the place in its threads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from millstream.config import task_context_of
from millstream.constants import (
    CONF,
    CONFIG_KEY_CHECKPOINT_ID,
    CONFIG_KEY_CHECKPOINT_MAP,
    CONFIG_KEY_CHECKPOINT_NS,
    CONFIG_KEY_CHECKPOINTER,
    CONFIG_KEY_THREAD_ID,
    NS_END,
    NS_SEP,
)
from millstream.drivers.metadata import with_texts
from millstream.errors import MissingThreadError
from millstream.pregel._running.request import merge_configs
from millstream.pregel._structure.inspection import InspectableGraph
from millstream.typing import ConfigLike

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from millstream.core.tasks import Task
    from millstream.drivers.context import TaskContext
    from millstream.pregel._structure.definition import GraphDefinition


def saver_of(
    graph: GraphDefinition[Any, Any, Any, Any],
    configurable: Mapping[str, Any],
    parent: TaskContext | None = None,
) -> BaseCheckpointSaver[Any] | None:
    """Return the saver of a graph, None without one.

    A graph called in a task uses that of the task's run, any other what `configurable` gives it
    or what it was compiled with, seen so that it stores objects under the names LangGraph does.
    """
    if graph.checkpointer is False:
        return None
    if parent is not None:
        saver: Any = parent.run.saver
    else:
        saver = configurable.get(CONFIG_KEY_CHECKPOINTER)
        if saver is None:
            saver = graph.checkpointer
        if saver is True:
            raise RuntimeError("checkpointer=True cannot be used for root graphs.")
    if saver is None:
        return None
    # Imported with the first saver, because the serializer is slow to import.
    from millstream.wire import wired

    return cast("BaseCheckpointSaver[Any]", wired(saver, graph.stored_classes()))


@dataclass(frozen=True, slots=True)
class StateLocation:
    """A graph, and where in a thread its state is saved."""

    graph: InspectableGraph[Any, Any, Any, Any]
    saver: BaseCheckpointSaver[Any]
    config: dict[str, Any]
    """What the caller said, without what is private to the engine."""

    @property
    def configurable(self) -> dict[str, Any]:
        """The part of the config that names thread, namespace and checkpoint."""
        named: dict[str, Any] = self.config[CONF]
        return named

    @property
    def ns(self) -> str:
        """The namespace of the graph, empty for the root."""
        return str(self.configurable.get(CONFIG_KEY_CHECKPOINT_NS) or "")

    @property
    def is_named(self) -> bool:
        """Say whether one checkpoint is named, rather than wherever the thread is."""
        return bool(self.configurable.get(CONFIG_KEY_CHECKPOINT_ID))

    @property
    def history_config(self) -> Any:
        """The config by which a saver lists the checkpoints of this place."""
        named: Mapping[str, Any] = {**self.configurable, CONFIG_KEY_CHECKPOINT_NS: self.ns}
        return {**self.config, CONF: named}

    def at(self, config: Mapping[str, Any]) -> StateLocation:
        """Return the site of another checkpoint of the same graph."""
        moved = {**self.config, CONF: {**self.configurable, **config[CONF]}}
        return replace(self, config=moved)

    def newest(self) -> StateLocation:
        """Return the site of wherever the thread is."""
        return self.at({CONF: {CONFIG_KEY_CHECKPOINT_ID: None}})

    def inside(self, task: Task) -> StateLocation | None:
        """Return the site of the graph that a task runs, None if it runs none."""
        for nested in self.graph.nodes[task.name].subgraphs[:1]:
            if isinstance(nested, InspectableGraph) and nested.checkpointer is not False:
                return replace(self, graph=nested, config=self.inside_config(task, nested))
        return None

    def inside_config(self, task: Task, nested: Any = None) -> dict[str, Any]:
        """Return the config that names the state of the graph that a task runs."""
        is_stateful = nested is not None and nested.checkpointer is True
        # A graph that keeps its state is the same for all tasks of its node.
        ns = without_ids(task.ns) if is_stateful else task.ns
        thread = self.configurable[CONFIG_KEY_THREAD_ID]
        return {CONF: {CONFIG_KEY_THREAD_ID: thread, CONFIG_KEY_CHECKPOINT_NS: ns}}


def named(config: ConfigLike | None) -> Any:
    """Return a caller's config of a checkpoint with the texts that savers know it by."""
    return config and {**config, CONF: with_texts(config.get(CONF) or {})}


def locate(
    graph: InspectableGraph[Any, Any, Any, Any],
    config: ConfigLike | None,
    *,
    must_exist: bool = False,
) -> StateLocation:
    """Find out whose state a config names: the graph's own, or that of one nested in it.

    With `must_exist`, a namespace that belongs to no graph raises `ValueError`.
    """
    merged = merge_configs([layer for layer in (graph.config, config) if layer])
    configurable = merged.get(CONF) or {}
    context = task_context_of(config) if config else None
    saver = saver_of(graph, configurable, context)
    if saver is None:
        raise ValueError("No checkpointer set")
    named = with_texts({k: v for k, v in configurable.items() if not k.startswith("__")})
    if named.get(CONFIG_KEY_THREAD_ID) is None:
        raise MissingThreadError(CONFIG_KEY_THREAD_ID)
    ns = named.get(CONFIG_KEY_CHECKPOINT_NS)
    # A saver in the config means that the graph is nested, and has been found already.
    if ns and context is None and CONFIG_KEY_CHECKPOINTER not in configurable:
        graph = _nested_graph(graph, without_ids(ns), must_exist=must_exist)
    if ns and graph.checkpointer is True:
        named[CONFIG_KEY_CHECKPOINT_NS] = _name_of_call(ns)
    merged[CONF] = named
    return StateLocation(graph, saver, merged)


def without_ids(ns: str) -> str:
    """Return a namespace as names of nodes only: without task ids and numbers of calls."""
    first, *others = ns.split(NS_SEP)
    segments = [first, *(segment for segment in others if not segment.isdigit())]
    return NS_SEP.join(segment.split(NS_END, 1)[0] for segment in segments)


def _name_of_call(ns: str) -> str:
    """Return the namespace of a graph that keeps its state: the first call has no number."""
    _, _, number = ns.partition(NS_SEP)[2].rpartition(NS_SEP)
    return f"{without_ids(ns)}{NS_SEP}{number}" if number.isdigit() else without_ids(ns)


def with_map(config: Mapping[str, Any], metadata: Mapping[str, Any] | None) -> RunnableConfig:
    """Return the config of a checkpoint with those of the enclosing graphs, if there are any."""
    mapped = dict(config)
    parents = (metadata or {}).get("parents")
    if parents:
        named = config[CONF]
        # So that whoever goes on from it takes the graphs around it along.
        ids = {**parents, named[CONFIG_KEY_CHECKPOINT_NS]: named[CONFIG_KEY_CHECKPOINT_ID]}
        mapped[CONF] = {**named, CONFIG_KEY_CHECKPOINT_MAP: ids}
    return cast("RunnableConfig", mapped)


def _nested_graph(
    graph: InspectableGraph[Any, Any, Any, Any], path: str, *, must_exist: bool
) -> InspectableGraph[Any, Any, Any, Any]:
    for _, nested in graph.get_subgraphs(namespace=path, recurse=True):
        if isinstance(nested, InspectableGraph):
            return nested
    if must_exist:
        raise ValueError(f"Subgraph {path} not found")
    return graph
