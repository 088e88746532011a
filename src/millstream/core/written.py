"""What a task wrote, and the short way of what is most often written: a plain dict.

Most nodes return a dict of state keys, and edges that never change lead on from them. To list that
as writes, sort the writes by channel and look up which nodes the channels trigger costs more than
all else in a superstep. So what a task wrote has two forms, and one of them is in force:

* `update`, a dict that is all the task wrote but for its node's edges;
* `listed`, every write in order. Whoever asks for `writes` brings it about, and it stays in force:
  the list may be added to, which the dict would not show.

What can be known of a node's dicts when its graph is compiled is worked out by `shorten`:

* `keys`: those a dict may have to be an `update` at all. None if the node's writes have to be
  listed: it has conditional edges, or its result becomes writes in a way of its own.
* `prepare`: what is done first, in place, to what such a dict holds: messages get their ids.
* `lit`: its edges, as the signals they write.
* `direct`: the keys whose channels do no more than keep the last value, in a graph where nothing
  else happens at the end of a superstep. The update of the only task of a superstep, with no other
  keys than these, is committed by `Cells.end_step` without looking at channels.
* `lasting`: these, and the keys whose channels reduce what is written to them. They are looked at,
  but at nothing else.
* `successors`: what runs after that. `plan_pulls` then looks at no channels either.

Nothing depends on the short way: take it away and the long way does the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from millstream.constants import PUSH

if TYPE_CHECKING:
    from millstream.core.protocol import TaskPath, Write
    from millstream.core.spec import GraphSpec, NodeSpec

PUSH_TRIGGERS: Final = (PUSH,)
"""Stands for the triggers of a task that no channel triggered."""


class Written:
    """The part of a task that is committed: whose it is, what triggered it, what it wrote."""

    node: NodeSpec
    path: TaskPath
    triggers: tuple[str, ...]
    update: dict[str, Any] | None = None
    """What it wrote besides its node's edges, if that is in force. To be read, not changed."""
    listed: list[Write] | None = None
    """All writes, if that is in force."""

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node.name

    @property
    def is_pull(self) -> bool:
        """Say whether channels triggered the task, rather than a Send or a failure."""
        return self.triggers is not PUSH_TRIGGERS

    @property
    def writes(self) -> list[Write]:
        """What the task writes, in order; the list may be added to as long as it runs."""
        if self.listed is None:
            # `update` stays: it says the same until somebody adds to the list, and `task.writes +=`
            # ends in the setter.
            self.listed = [] if self.update is None else [*self.update.items(), *self.node.edges]
        return self.listed

    @writes.setter
    def writes(self, writes: list[Write]) -> None:
        self.listed, self.update = writes, None

    def put_dict(self, result: Any, to_writes: Callable[[Any], list[Write]]) -> bool:
        """Write the node's result if it is a dict that is all there is to write, but for edges.

        `to_writes` says what a dict with other keys writes, or what is wrong with it. Say whether
        it was such a dict.
        """
        keys = self.node.keys
        # Not for a subclass of dict, which may have a meaning of its own, and not where writes are
        # listed already: these would come first.
        if keys is None or type(result) is not dict or self.listed is not None:
            return False
        if keys.issuperset(result):
            if self.node.prepare is not None:
                self.node.prepare(result.items())
            # The node may keep its dict and change it before the superstep is committed.
            self.update = result.copy()
        else:
            self.listed, self.update = to_writes(result), None
        return True


def shorten(spec: GraphSpec) -> None:
    """Work out for every node which of its dicts go the short way, and what runs after them."""
    # Where channels do something at the end of a superstep they have to be looked at, and there is
    # no short way.
    if not spec.is_steady:
        return
    nodes = spec.nodes.values()
    # The nodes of a graph have few different sets of keys.
    kinds = {node.keys for node in nodes if node.keys is not None}
    lasting = {keys: (keys & spec.plain, keys & spec.lasting) for keys in kinds}
    for node in nodes:
        if node.keys is not None and spec.signals.issuperset(node.lit):
            node.direct, node.lasting = lasting[node.keys]
            # A key that triggers a node itself makes what runs next depend on what was written.
            if spec.triggers.isdisjoint(node.lasting):
                node.successors = _triggered_by(spec, node.lit)


def _triggered_by(spec: GraphSpec, signals: Iterable[str]) -> Sequence[NodeSpec]:
    """Return the nodes that signals trigger; each signal is that of one node."""
    found = [spec.triggered[name] for name in signals if name in spec.triggered]
    if len(found) == 1:
        return found[0]
    return sorted(chain.from_iterable(found), key=lambda node: node.name)
