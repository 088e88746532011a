"""Changing a saved thread from outside: in whose name, and what becomes of the tasks under way.

Nothing runs here. Somebody says what tasks of some nodes wrote, or that the tasks of the coming
superstep are not to run, and the outcome is a checkpoint like any other. The machine is one that
was loaded and not started; afterwards it is of no further use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from millstream.constants import INTERRUPT
from millstream.core.resuming import end_left, with_pending_writes
from millstream.core.tasks import Task
from millstream.core.versions import newest

if TYPE_CHECKING:
    from millstream.core.checkpoints import Lineage, SaveCheckpoint
    from millstream.core.machine import RunMachine
    from millstream.core.protocol import Write
    from millstream.core.spec import NodeSpec


class UpdateTask(Task):
    """A task that did not run: somebody says what it wrote.

    What waits to trigger its node has then done so, and is used up.
    """

    def __init__(self, machine: RunMachine, node: NodeSpec, index: int, id: str) -> None:
        super().__init__(machine, node, (INTERRUPT, index), (INTERRUPT,))
        # Not derived like others: it is the id of the task that it stands for, where one waits.
        self._id = id


def last_writer(machine: RunMachine, entry: str | None) -> str | None:
    """Return the node that was the last to see something new, None if it cannot be told.

    `entry` is the node that takes the input, the first to write to a thread without history.
    """
    nodes = machine.spec.nodes
    # No need to look, and a thread without a checkpoint has nothing to look at.
    if len(nodes) == 1:
        return next(iter(nodes))
    sightings = [
        (version, name)
        for name, seen in _lineage(machine).seen.items()
        if name in nodes
        for version in seen.values()
    ]
    # Nobody has run yet, so whoever writes stands in for the node that takes the input.
    if not sightings:
        return entry
    last = newest(version for version, _ in sightings)
    names = [name for version, name in sightings if version == last]
    return names[0] if len(names) == 1 else None


def apply_updates(machine: RunMachine, tasks: Sequence[UpdateTask]) -> SaveCheckpoint:
    """Apply the writes of one superstep that did not run; the tasks under way are dropped.

    Raises what a channel raises that refuses its writes.
    """
    lineage = _lineage(machine)
    touched: list[str] = []
    # Before the writes get their versions: what they change is news to all nodes.
    lineage.mark_seen(tasks)
    machine.cells.end_step(tasks, touched)
    lineage.bump(touched)
    return _record(machine)


def skip_tasks(machine: RunMachine) -> SaveCheckpoint:
    """End the coming superstep with what its tasks have written so far, and run none of them."""
    machine.apply_pending_commands()
    tasks = with_pending_writes(machine, machine.pending_tasks())
    if tasks:
        end_left(machine, tasks)
    return _record(machine)


def give_input(machine: RunMachine, writes: Sequence[Write]) -> SaveCheckpoint:
    """Write the input of a run that is not started; the tasks under way stay where they are."""
    lineage = _lineage(machine)
    touched: list[str] = []
    # Not the end of a superstep: the signals of tasks under way stay lit.
    machine.cells.apply(writes, touched, is_step=False)
    lineage.bump(touched)
    return lineage.record(machine.cells, "input", machine.step, None)


def _lineage(machine: RunMachine) -> Lineage:
    assert machine.lineage is not None, "without checkpoints there is nothing to change"
    return machine.lineage


def _record(machine: RunMachine) -> SaveCheckpoint:
    # The first superstep of a thread that never had an input counts as 0.
    step = max(machine.step, 0)
    return _lineage(machine).record(machine.cells, "update", step, None)
