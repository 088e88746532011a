"""The state of one run: its channels, and the values they show.

Three things keep a superstep's cost small and independent of the size of the graph. Channels are
copied from the compiled graph when they are first written, so idle ones do not exist. The current
value of every channel a node or a consumer may read is kept in a plain dict, `values`, so that
reading the whole state is one `dict.copy`. And the two commonest kinds need no channel object at
all: a shown channel that keeps the last value has it there, and the channels that only say "run
this node next", the signals, hold their last write until the superstep ends.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.serde.types import _DeltaSnapshot

from millstream.channels.base import BaseChannel
from millstream.channels.delta import replaces_value
from millstream.constants import (
    ERROR,
    ERROR_SOURCE_NODE,
    INTERRUPT,
    MISSING,
    NO_WRITES,
    PUSH,
    RESUME,
    RETURN,
    TASKS,
)

if TYPE_CHECKING:
    from millstream.core.protocol import Write
    from millstream.core.spec import GraphSpec, NodeSpec
    from millstream.core.written import Written

logger = logging.getLogger(__name__)

NOT_CHANNELS = frozenset((NO_WRITES, PUSH, RESUME, INTERRUPT, RETURN, ERROR, ERROR_SOURCE_NODE))
"""Names that tasks write for the record, not for a channel."""

Grouped = dict[str, list[Any]]


class Cells:
    """The channels of one run."""

    __slots__ = (
        "_fading",
        "_is_sorted",
        "_lit",
        "_spec",
        "live",
        "replaced",
        "successors",
        "values",
    )

    def __init__(self, spec: GraphSpec, saved: Mapping[str, Any] | None = None) -> None:
        self._spec = spec
        self.live: dict[str, BaseChannel[Any, Any, Any]] = {}
        """The channels that have been touched and are neither signals nor plain."""
        self.values: dict[str, Any] = {}
        """Values of the shown channels that have one, in declaration order."""
        self._fading: set[str] = set()
        self._is_sorted = True
        self.replaced: set[str] = set()
        """Delta channels that a superstep replaced, until a checkpoint takes note of it."""
        lit: dict[str, Any] = {}
        self._lit: Mapping[str, Any] = lit
        """The signals that were written, with what was written last. Replaced, never changed."""
        self.successors: Sequence[NodeSpec] | None = None
        """The nodes that the last superstep triggered, if that is clear without looking."""
        saved = saved or {}
        # Channels that are neither saved nor hold a first value are empty, and come into being when
        # they are written.
        for name in spec.initial if not saved else dict.fromkeys((*spec.initial, *saved)):
            if name in spec.signals:
                lit[name] = saved[name]
            elif name in spec.plain:
                self.values[name] = saved[name]
                self._is_sorted = False
            elif name in spec.channels:
                channel = spec.channels[name].from_checkpoint(saved.get(name, MISSING))
                self.live[name] = channel
                if channel.is_available():
                    self._record_change(name, channel, None, set())
        self._sort()

    def copy(self) -> Cells:
        """Return the same state, of which nothing is shared that can change."""
        twin = copy.copy(self)
        twin.live = {name: channel.copy() for name, channel in self.live.items()}
        twin.values, twin._fading = dict(self.values), set(self._fading)
        twin.replaced = set(self.replaced)
        return twin

    def restore(self, earlier: Cells) -> None:
        """Take over the state of a copy."""
        for name in self.__slots__:
            setattr(self, name, getattr(earlier, name))

    def apply(
        self,
        writes: Sequence[Write],
        touched: list[str] | None = None,
        *,
        is_step: bool = True,
        tasks: Iterable[Written] = (),
    ) -> set[str]:
        """Apply writes, and return the names of the channels that now hold a new value.

        `touched` collects every channel that changed in any way. At the end of a superstep
        (`is_step`), channels that live for one step only and were not written lose their value.
        `tasks` are those that wrote, if any did. Raises what a channel raises that refuses.
        """
        spec, values = self._spec, self.values
        signals, plain = spec.signals, spec.plain
        before = self._lit
        # The end of a superstep puts out the signals it began with: the nodes they trigger have
        # run. An input or a command comes between supersteps, and what was due stays due.
        lit = self._lit = {} if is_step else dict(before)
        self.successors = None
        updated: set[str] = set()
        others: Grouped = {}
        for name, value in writes:
            if name in signals:
                lit[name] = value
            elif name in plain:
                # A second write in one superstep. A plain channel refuses it, and its own message
                # is the one that programs know.
                if name in updated:
                    spec.channels[name].copy().update((values[name], value))  # says what is wrong
                if name not in values:
                    self._is_sorted = False
                values[name] = value
            else:
                others.setdefault(name, []).append(value)
                continue
            updated.add(name)
        if touched is not None:
            touched += dict.fromkeys(name for name, _ in writes if name in updated)  # in order
            # A signal that goes out has changed too: savers are given a version for it, under which
            # nothing is stored, or they would go on to show its last value.
            touched += [name for name in before if name not in lit]
        if self._fading and is_step:
            self._fade(others, touched, updated)
        if others:
            self._update(others, tasks, touched, updated)
        if not self._is_sorted:
            self._sort()
        return updated

    def _update(
        self,
        writes: Grouped,
        tasks: Iterable[Written],
        touched: list[str] | None,
        updated: set[str],
    ) -> None:
        """Have channels update themselves."""
        live, channels = self.live, self._spec.channels
        for name, values in writes.items():
            channel = live.get(name)
            if channel is None:
                # Programs go on when they write a key that nobody declared; LangGraph warns of it
                # and no more.
                if name not in channels:
                    self._warn(name, tasks)
                    continue
                channel = live[name] = channels[name].copy()
            if channel.update(values):
                self._record_change(name, channel, touched, updated)

    def _warn(self, name: str, tasks: Iterable[Written]) -> None:
        """Say that there is no such channel, unless it is a name for the record."""
        if not tasks:
            logger.warning("The input wrote to unknown channel %s, ignoring it.", name)
        elif name not in NOT_CHANNELS:
            for task in tasks:
                if any(name == written for written, _ in task.writes):
                    logger.warning(
                        "Task %s with path %s wrote to unknown channel %s, ignoring it.",
                        task.name,
                        task.path,
                        name,
                    )

    def _fade(self, written: Grouped, touched: list[str] | None, updated: set[str]) -> None:
        """End the life of what lives for one superstep and was not written again."""
        # The set changes while channels fade, and `difference` has made another one.
        for name in self._fading.difference(written):
            channel = self.live[name]
            if channel.update(()):
                self._record_change(name, channel, touched, updated)

    def consume(self, names: Iterable[str], touched: list[str] | None) -> None:
        """Tell the channels that a task which they triggered has run."""
        for name in names:
            channel = self.live.get(name)
            if channel is not None and channel.consume():
                self._record_change(name, channel, touched, set())

    def end_step(self, tasks: Sequence[Written], touched: list[str] | None) -> set[str]:
        """Apply the writes of a superstep's tasks and return the channels that hold new values."""
        update, node = tasks[0].update, tasks[0].node
        direct = node.direct
        # See `written`. With several tasks two could write one key, and fading channels want to be
        # told that the superstep is over.
        if direct is not None and update is not None and len(tasks) == 1 and not self._fading:
            if direct.issuperset(update):
                return self._take(update, node, touched)
            if node.lasting.issuperset(update):
                return self._reduce(update, node, touched)
        spec = self._spec
        writes = writes_of(tasks)
        # Stored writes do not say which of them came in one superstep, so the next checkpoint
        # stores the whole value: see `deltas`.
        if spec.deltas:
            self.replaced |= {n for n, v in writes if n in spec.deltas and replaces_value(v)}
        if spec.has_consumers:
            for task in tasks:
                # A task of a Send was not triggered by the barrier, which goes on waiting.
                if task.node.consumes and task.is_pull:
                    self.consume(task.node.consumes, touched)
        updated = self.apply(writes, touched, tasks=tasks)
        # Sends are work too: what is deferred waits for all there is.
        if spec.finishing and TASKS not in updated and spec.triggered.keys().isdisjoint(updated):
            updated |= self.finish(touched)
        return updated

    def _take(self, update: dict[str, Any], node: NodeSpec, touched: list[str] | None) -> set[str]:
        """Do what `apply` does, for the only task of a superstep that only wrote plain values."""
        lit, values = node.lit, self.values
        if touched is not None:
            touched += [*update, *lit]
            touched += [name for name in self._lit if name not in lit]
        # The node's own mapping, shared by all runs of the graph: `_lit` is never changed in place.
        self._lit = lit
        self.successors = node.successors
        # Once all keys have a value none can be new, and sorting is needed for new ones alone.
        if len(values) < len(self._spec.shown) and not values.keys() >= update.keys():
            self._is_sorted = False
        values.update(update)
        if not self._is_sorted:
            self._sort()
        return {*update, *lit}

    def _reduce(
        self, update: dict[str, Any], node: NodeSpec, touched: list[str] | None
    ) -> set[str]:
        """Do the same, where some of the values are for channels with a reducer.

        What these make of them is a plain value.
        """
        plain, live, values = self._spec.plain, self.live, update.copy()
        for name in update:
            if name not in plain:
                channel = live.get(name)
                if channel is None:
                    channel = live[name] = self._spec.channels[name].copy()
                channel.update((update[name],))
                values[name] = channel.get()
        return self._take(values, node, touched)

    def finish(self, touched: list[str] | None) -> set[str]:
        """Tell the channels that no work is left, and return those that now have a value.

        One that would trigger a deferred node is not told while another such node is due that may
        lead to it: there is work left for it to wait for.
        """
        updated: set[str] = set()
        behind = self._spec.behind
        due: set[str] = set()
        if behind:
            # Asked of copies: `finish` changes the channel, and which of them may is not known yet.
            due = {name for name in behind if name in self.live and self.live[name].copy().finish()}
        for name in self._spec.finishing:
            channel = self.live.get(name)
            if channel is None or (name in behind and not behind[name].isdisjoint(due)):
                continue
            if channel.finish():
                self._record_change(name, channel, touched, updated)
        self._sort()
        return updated

    def preview(self, writes: Sequence[Write]) -> dict[str, Any]:
        """Return the shown values as they would be if the superstep had only these writes.

        Values that are new come last, whatever their place in the declaration.
        """
        shown = self._spec.shown
        # Fading channels are told even if they are not written: they are empty after the superstep.
        grouped: Grouped = {name: [] for name in self._fading if name in shown}
        for name, value in writes:
            if name in shown:
                grouped.setdefault(name, []).append(value)
        values = self.values.copy()
        for name, pending in grouped.items():
            # Of a channel that was never written the compiled graph has the empty one, which all
            # runs share.
            channel = self.live.get(name, self._spec.channels[name]).copy()
            channel.update(pending)
            if channel.is_available():
                values[name] = channel.get()
            else:
                values.pop(name, None)
        return values

    def is_available(self, name: str) -> bool:
        """Say whether the channel holds a value."""
        channel = self.live.get(name)
        if channel is None:
            return name in self._lit or name in self.values
        return channel.is_available()

    def get(self, name: str, default: Any = None) -> Any:
        """Return the channel's value, or `default` when it has none."""
        channel = self.live.get(name)
        if channel is None:
            return self.values.get(name, default)
        return channel.get() if channel.is_available() else default

    def saved_values(self, names: Collection[str]) -> dict[str, Any]:
        """Return what a checkpoint stores of the named channels."""
        # Signals and plain channels store what a channel object of their kind would: the value
        # itself.
        stored = {name: value for name, value in self._lit.items() if name in names}
        plain = self._spec.plain
        stored |= {n: value for n, value in self.values.items() if n in plain and n in names}
        for name, channel in self.live.items():
            if name in names and (value := channel.checkpoint()) is not MISSING:
                stored[name] = value
        return stored

    def snapshots(self, names: Iterable[str]) -> dict[str, Any]:
        """Return what a checkpoint stores of delta channels to keep their whole value."""
        # A copy, because a saver may serialize later than the next superstep changes the value.
        return {name: _DeltaSnapshot(copy.copy(self.live[name].get())) for name in names}

    def _record_change(
        self,
        name: str,
        channel: BaseChannel[Any, Any, Any],
        touched: list[str] | None,
        updated: set[str],
    ) -> None:
        """Show a channel's new value, or that it has none any more."""
        if touched is not None:
            touched.append(name)
        if not channel.is_available():
            self._fading.discard(name)
            self.values.pop(name, None)
            return
        updated.add(name)
        if channel.is_transient:
            self._fading.add(name)
        if name in self._spec.shown:
            if name not in self.values:
                self._is_sorted = False
            self.values[name] = channel.get()

    def _sort(self) -> None:
        """Bring the shown values back into declaration order after new ones have come."""
        if self._is_sorted:
            return
        self._is_sorted = True
        position = self._spec.shown
        # Nearly always the new keys came in the declared order, and one look at each finds that
        # out.
        last = -1
        for name in self.values:
            if position[name] < last:
                ordered = sorted(self.values, key=position.__getitem__)
                self.values = {name: self.values[name] for name in ordered}
                return
            last = position[name]


def writes_of(tasks: Sequence[Written]) -> Sequence[Write]:
    """Return what the tasks wrote, in their order."""
    if len(tasks) == 1:
        return tasks[0].writes
    return [write for task in tasks for write in task.writes]
