"""Reading and changing what is saved of a graph's threads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from millstream.pregel import _engine as engine
from millstream.pregel._structure.inspection import InspectableGraph
from millstream.types import StateUpdate
from millstream.typing import ConfigLike, ContextT, InputT, OutputT, StateT

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from millstream.types import StateSnapshot


class SavedGraph(InspectableGraph[StateT, ContextT, InputT, OutputT]):
    """What can be done with a compiled graph's saved state; `Pregel` adds how it runs.

    Everywhere the config names the thread, by `configurable.thread_id`, and may name one checkpoint
    of it, by `checkpoint_id`, or the state of a nested graph, by `checkpoint_ns`. Without a saver
    `ValueError` is raised, without a thread `KeyError`.
    """

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
        location = engine.locations.locate(self, config)
        return engine.waits.finish(
            engine.requests.carry_out,
            engine.snapshots.read_state(location, with_nested=subgraphs),
            location.saver,
            engine.waits.BLOCKING,
        )

    async def aget_state(self, config: ConfigLike, *, subgraphs: bool = False) -> StateSnapshot:
        """Return the state of a thread; see `get_state`."""
        location = engine.locations.locate(self, config)
        return await engine.requests.carry_out(
            engine.snapshots.read_state(location, with_nested=subgraphs),
            location.saver,
            engine.waits.AWAITING,
        )

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
        location = engine.locations.locate(self, config)
        where, older = location.history_config, engine.locations.named(before)
        # All at once: a saver must not hold its cursor while somebody else reads or writes.
        for saved in list(location.saver.list(where, before=older, limit=limit, filter=filter)):
            whole = engine.waits.finish(
                engine.requests.completed, location.saver, saved, self.spec, engine.waits.BLOCKING
            )
            yield engine.snapshots.show_saved(location, whole)

    async def aget_state_history(
        self,
        config: ConfigLike,
        *,
        filter: dict[str, Any] | None = None,
        before: ConfigLike | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[StateSnapshot]:
        """Yield the checkpoints of a thread, the newest first; see `get_state_history`."""
        location = engine.locations.locate(self, config)
        where, older = location.history_config, engine.locations.named(before)
        found = location.saver.alist(where, before=older, limit=limit, filter=filter)
        for saved in [saved async for saved in found]:
            whole = await engine.requests.completed(
                location.saver, saved, self.spec, engine.waits.AWAITING
            )
            yield engine.snapshots.show_saved(location, whole)

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
        location = engine.locations.locate(self, config, must_exist=True)
        steps = engine.updates.checked(location.graph.spec, supersteps)
        return engine.waits.finish(
            engine.requests.carry_out,
            engine.updates.update_state(location, steps),
            location.saver,
            engine.waits.BLOCKING,
        )

    async def abulk_update_state(
        self, config: ConfigLike, supersteps: Sequence[Sequence[StateUpdate]]
    ) -> RunnableConfig:
        """Write to the state of a thread several times; see `bulk_update_state`."""
        location = engine.locations.locate(self, config, must_exist=True)
        steps = engine.updates.checked(location.graph.spec, supersteps)
        return await engine.requests.carry_out(
            engine.updates.update_state(location, steps), location.saver, engine.waits.AWAITING
        )
