"""Reading and changing what is saved of a graph's threads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from millstream.allowlist import declared_classes, is_strict
from millstream.constants import CONF
from millstream.drivers.delta import acomplete, complete
from millstream.drivers.exchange import acarry_out, carry_out
from millstream.drivers.metadata import with_texts
from millstream.pregel.inspection import InspectableGraph
from millstream.pregel.savers import Site, locate
from millstream.pregel.snapshots import read_state, show_saved
from millstream.pregel.updating import checked, update_state
from millstream.types import StateUpdate
from millstream.typing import ConfigLike, ContextT, InputT, OutputT, StateT

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.store.base import BaseStore

    from millstream.core.spec import GraphSpec
    from millstream.stream.parts import Shape
    from millstream.types import Checkpointer, StateSnapshot


class SavedGraph(InspectableGraph[StateT, ContextT, InputT, OutputT]):
    """What can be done with a compiled graph's saved state; `Pregel` adds how it runs.

    Everywhere the config names the thread, by `configurable.thread_id`, and may name one checkpoint
    of it, by `checkpoint_id`, or the state of a nested graph, by `checkpoint_ns`. Without a saver
    `ValueError` is raised, without a thread `KeyError`.
    """

    checkpointer: Checkpointer
    store: BaseStore | None
    config: ConfigLike | None
    shape: Shape
    _stored_classes: frozenset[tuple[str, str]] | None = None

    @property
    def spec(self) -> GraphSpec:
        """The compiled form."""
        raise NotImplementedError

    def stored_classes(self) -> frozenset[tuple[str, str]]:
        """Return module and name of the classes that this graph's checkpoints may hold.

        Only what `LANGGRAPH_STRICT_MSGPACK` asks for: empty when it is not set.
        """
        if not is_strict():
            return frozenset()
        if self._stored_classes is None:
            types = [kind for c in self.channels.values() for kind in _stored_types(c)]
            self._stored_classes = declared_classes([*types, *self._declared_schemas()])
        return self._stored_classes

    def _declared_schemas(self) -> Sequence[Any]:
        return () if self.context_schema is None else (self.context_schema,)

    def get_state(self, config: ConfigLike, *, subgraphs: bool = False) -> StateSnapshot:
        """Return the state of a thread, or of one checkpoint of it.

        Without a `checkpoint_id` the snapshot shows where the thread is now: with what finished
        tasks of an interrupted superstep wrote, and only the others in `next`. With one it shows
        the superstep as it began.

        Args:
            config: Names the thread: `{"configurable": {"thread_id": ...}}`; also a checkpoint of
                it, by `checkpoint_id`, or a nested graph, by `checkpoint_ns`.
            subgraphs: Put the state of nested graphs that have been interrupted in their tasks.

        Returns:
            `values`, the nodes that are `next`, `tasks` with their errors and questions, all
            `interrupts`, and the `config` that finds this checkpoint again. A thread that nobody
            knows has empty values.

        Raises:
            ValueError: The graph has no saver.
            KeyError: The config names no thread.

        Example:
            >>> from millstream.checkpoint.memory import InMemorySaver
            >>> from millstream.graph import START, MessagesState, StateGraph
            >>> builder = StateGraph(MessagesState).add_edge(START, "answer")
            >>> _ = builder.add_node("answer", lambda state: {"messages": "Hello!"})
            >>> graph = builder.compile(InMemorySaver(), interrupt_before=["answer"])
            >>> thread = {"configurable": {"thread_id": "1"}}
            >>> _ = graph.invoke({"messages": "Hi"}, thread)
            >>> graph.get_state(thread).next
            ('answer',)
        """
        site = locate(self, config)
        return carry_out(read_state(site, with_nested=subgraphs), site.saver)

    async def aget_state(self, config: ConfigLike, *, subgraphs: bool = False) -> StateSnapshot:
        """Return the state of a thread; see `get_state`."""
        site = locate(self, config)
        return await acarry_out(read_state(site, with_nested=subgraphs), site.saver)

    def get_state_history(
        self,
        config: ConfigLike,
        *,
        filter: dict[str, Any] | None = None,
        before: ConfigLike | None = None,
        limit: int | None = None,
    ) -> Iterator[StateSnapshot]:
        """Yield the checkpoints of a thread, the newest first.

        `filter` names metadata they must have, `before` a checkpoint they must be older than.
        """
        site = locate(self, config)
        where, older = _history_config(site), _before(before)
        # All at once: a saver must not hold its cursor while somebody else reads or writes.
        for saved in list(site.saver.list(where, before=older, limit=limit, filter=filter)):
            whole = complete(site.saver, saved, self.spec)
            yield show_saved(site, whole)

    async def aget_state_history(
        self,
        config: ConfigLike,
        *,
        filter: dict[str, Any] | None = None,
        before: ConfigLike | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[StateSnapshot]:
        """Yield the checkpoints of a thread, the newest first; see `get_state_history`."""
        site = locate(self, config)
        where, older = _history_config(site), _before(before)
        found = site.saver.alist(where, before=older, limit=limit, filter=filter)
        for saved in [saved async for saved in found]:
            whole = await acomplete(site.saver, saved, self.spec)
            yield show_saved(site, whole)

    def update_state(
        self,
        config: ConfigLike,
        values: dict[str, Any] | Any | None,
        as_node: str | None = None,
        task_id: str | None = None,
    ) -> RunnableConfig:
        """Write to the state of a thread as if a node had returned `values`.

        The node's edges say what runs next; conditional ones are called.

        Args:
            config: Names the thread, and the checkpoint to go on from if not the newest; see
                `get_state`.
            values: What the node returns: a dict of state keys, a `Command`, or None.
            as_node: The node; the last one that ran by default. Three names are special:
                `"__end__"` with `values` None ends the superstep under way without its unfinished
                tasks, `"__input__"` makes `values` the input of the next run, and `"__copy__"`
                repeats the checkpoint, then applies a list of `(values, as_node)`.
            task_id: Which of the waiting tasks of the node is meant.

        Returns:
            The config of the new checkpoint.

        Raises:
            InvalidUpdateError: An unknown node, one that cannot be told, or what a node must not
                return; nothing is stored then.

        Example:
            >>> from typing_extensions import TypedDict
            >>> from millstream.checkpoint.memory import InMemorySaver
            >>> from millstream.graph import START, StateGraph
            >>> class State(TypedDict):
            ...     sacks: int
            >>> builder = StateGraph(State).add_edge(START, "grind")
            >>> _ = builder.add_node("grind", lambda state: {"sacks": state["sacks"] - 1})
            >>> graph = builder.compile(InMemorySaver())
            >>> thread = {"configurable": {"thread_id": "1"}}
            >>> graph.invoke({"sacks": 3}, thread)
            {'sacks': 2}
            >>> _ = graph.update_state(thread, {"sacks": 9})
            >>> graph.get_state(thread).values
            {'sacks': 9}
        """
        return self.bulk_update_state(config, [[StateUpdate(values, as_node, task_id)]])

    async def aupdate_state(
        self,
        config: ConfigLike,
        values: dict[str, Any] | Any,
        as_node: str | None = None,
        task_id: str | None = None,
    ) -> RunnableConfig:
        """Write to the state of a thread; see `update_state`."""
        return await self.abulk_update_state(config, [[StateUpdate(values, as_node, task_id)]])

    def bulk_update_state(
        self, config: ConfigLike, supersteps: Sequence[Sequence[StateUpdate]]
    ) -> RunnableConfig:
        """Write to the state of a thread several times, one checkpoint for each superstep.

        The updates of one superstep are applied together, each in the name of its `as_node`.
        Returns the config of the last checkpoint; see `update_state`.
        """
        site = locate(self, config, must_exist=True)
        steps = checked(site.graph.spec, supersteps)
        return carry_out(update_state(site, steps), site.saver)

    async def abulk_update_state(
        self, config: ConfigLike, supersteps: Sequence[Sequence[StateUpdate]]
    ) -> RunnableConfig:
        """Write to the state of a thread several times; see `bulk_update_state`."""
        site = locate(self, config, must_exist=True)
        steps = checked(site.graph.spec, supersteps)
        return await acarry_out(update_state(site, steps), site.saver)


def _history_config(site: Site) -> Any:
    named: Mapping[str, Any] = {**site.configurable, "checkpoint_ns": site.ns}
    return {**site.config, CONF: named}


def _before(config: ConfigLike | None) -> Any:
    return config and {**config, CONF: with_texts(config.get(CONF) or {})}


def _stored_types(channel: Any) -> tuple[Any, ...]:
    return tuple(getattr(channel, kind, None) for kind in ("ValueType", "UpdateType"))
