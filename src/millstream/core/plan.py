"""Which nodes run in the next superstep, and why.

A node runs when one of the channels it listens to has changed since the node last saw it. Inside a
run the channels updated by the previous superstep are known, so only the nodes they trigger are
looked at; after loading a checkpoint without that record, versions decide.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence, Set
from typing import TYPE_CHECKING

from millstream.constants import PUSH, TASKS
from millstream.core.old_formats import old_id
from millstream.core.tasks import Task
from millstream.core.written import PUSH_TRIGGERS

if TYPE_CHECKING:
    from millstream.core.cells import Cells
    from millstream.core.checkpoints import Lineage
    from millstream.core.progress import Progress
    from millstream.core.spec import GraphSpec, NodeSpec

logger = logging.getLogger(__name__)


def plan_pulls(machine: Progress) -> list[Task]:
    """Return one task for each node that the last superstep triggered."""
    nodes, updated = machine.cells.successors, machine.updated
    # `successors` are known after a superstep that was committed the short way (`written`).
    if nodes is None and updated is not None:
        nodes = plan_triggered(machine.spec, updated)
    elif nodes is None:
        assert machine.lineage is not None, "a run that saves nothing knows what it updated"
        nodes = plan_unseen(machine.spec, machine.cells, machine.lineage)
        return with_old_ids(
            machine, [Task(machine, node, node.path, node.triggers) for node in nodes]
        )
    tasks = []
    for node in nodes:  # up to Python 3.11 a comprehension would cost as much as a task
        tasks.append(Task(machine, node, node.path, node.triggers))  # noqa: PERF401
    return tasks


def plan_triggered(spec: GraphSpec, updated: Set[str]) -> Sequence[NodeSpec]:
    """Return the nodes that the updated channels trigger, by name."""
    triggered = spec.triggered
    sources = spec.triggers & updated
    if len(sources) == 1:
        # One channel changed that triggers anything, as in every chain: its nodes are sorted
        # already.
        (name,) = sources
        return triggered[name]
    # By name, in which order their writes are applied; a set, because several channels may trigger
    # one node.
    return sorted({node for name in sources for node in triggered[name]}, key=_name)


def plan_unseen(spec: GraphSpec, cells: Cells, lineage: Lineage) -> list[NodeSpec]:
    """Return the nodes with an unseen trigger, in the order in which they were added.

    Only channels that were written are looked at: a graph may have thousands that never are.
    """
    unseen = {
        node
        for name in lineage.versions
        # A version alone triggers nobody: a signal that went out has one too.
        if name in spec.triggered and cells.is_available(name)
        for node in spec.triggered[name]
        if lineage.is_triggered(node.name, name)
    }
    return sorted(unseen, key=lambda node: spec.order[node.name])


def plan_sends(machine: Progress) -> list[Task]:
    """Return one task for each Send of the previous superstep, in order."""
    tasks: list[Task] = []
    # The position among all Sends is part of the task's id, so those that are ignored count too.
    for index, packet in enumerate(machine.cells.get(TASKS) or ()):
        try:
            # Not by class: what a saver loads may be a Send of the other library.
            name, argument = packet.node, packet.arg
        except AttributeError:
            raise TypeError(
                f"expected a Send in channel {TASKS!r}, got {packet!r}; "
                f"it was written by another program or an older version"
            ) from None
        node = machine.spec.nodes.get(name)
        if node is None:
            logger.warning("Ignoring unknown node name %s in pending sends", name)
            continue
        task = Task(machine, node, (PUSH, index, False), PUSH_TRIGGERS)
        task.input = argument
        # Sends that were stored by older versions have none.
        timeout = getattr(packet, "timeout", None)
        if timeout is not None:
            task.timeout = timeout
        tasks.append(task)
    return with_old_ids(machine, tasks)


def with_old_ids(machine: Progress, tasks: list[Task]) -> list[Task]:
    """Give tasks that began in an older format the ids that they had in it."""
    lineage = machine.lineage
    # Only where writes are stored under the old ids is there anything to be found by them.
    if lineage is not None and lineage.old_triggers is not None and machine.pending_writes:
        for task in tasks:
            task.rename(old_id(task, lineage.old_triggers, machine.pending_writes))
    return tasks


def _name(node: NodeSpec) -> str:
    return node.name
