"""How far a run has come: what its rules decide by, and what its tasks may look at.

The machine extends it with its decisions and carries it on. Rules are given this part, which they
can look at without knowing what the machine does next, and so are tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from millstream.core import pending_writes
from millstream.core.cells import Cells
from millstream.core.strands import read_places

if TYPE_CHECKING:
    from millstream.core.answers import Answers
    from millstream.core.checkpoints import Lineage
    from millstream.core.protocol import RunLimits, Write
    from millstream.core.spec import GraphSpec
    from millstream.core.tasks import Task

NO_PLACES: Final[Mapping[str, Sequence[int]]] = MappingProxyType({})


class Progress:
    """The graph, the channels, the place in the thread, and the superstep of one run."""

    tasks: Sequence[Task] = ()
    """The tasks of the superstep in progress."""
    failure: Task | None
    """The task whose error ended the run."""
    leaving: Sequence[Task] = ()
    """The tasks of this superstep that ended with a command for a graph around this one."""
    updated: set[str] | None = None
    """The channels that hold new values since the last superstep; None if only their versions say
    which they are."""
    is_stopped_after: bool
    """The run stops at a breakpoint, and does so after a node, not before one."""
    _checkpoint_id: str | None = None
    _places: Mapping[str, Mapping[str, Sequence[int]]] | None = None

    def __init__(
        self,
        spec: GraphSpec,
        limits: RunLimits,
        new_id: Callable[[], str],
        ns: str,
        lineage: Lineage | None,
        saved_values: Mapping[str, Any] | None,
        stored_writes: Iterable[tuple[str, str, Any]],
        answers: Answers | None,
    ) -> None:
        self.spec = spec
        self.limits = limits
        self.new_id = new_id
        self.ns = ns
        self.lineage = lineage
        self.cells = Cells(spec, saved_values)
        # The number of the superstep that is made next. That of the input of a new thread is -1,
        # taking it into the state is 0, so the first nodes run in 1, as in LangGraph.
        self.step: int = lineage.metadata.get("step", -2) + 1 if lineage is not None else -1
        # The last superstep that may run. A new run begins at -1, which leaves the hidden one (0)
        # and `limits.steps` others.
        self.stop = self.step + limits.steps + 1
        self.answers = answers
        """Answers for the questions of this run, those of the enclosing run by default."""
        # Asked in every superstep; up to Python 3.11, what stands on a class is slow to look up.
        self.failure = None
        self.is_stopped_after = False
        self._pending_writes = pending_writes.sort_by_task(stored_writes) if stored_writes else {}

    @property
    def checkpoint_id(self) -> str:
        """The id of the checkpoint this superstep starts from."""
        return self._name_checkpoint()

    def _name_checkpoint(self) -> str:
        """Return that id; a run that saves nothing makes one up when it is first asked."""
        # Made up once for the whole run: ids of tasks are made of it and of the number of the
        # superstep.
        if self.lineage is not None and self.lineage.id:
            return self.lineage.id
        if self._checkpoint_id is None:
            self._checkpoint_id = self.new_id()
        return self._checkpoint_id

    @property
    def pending_writes(self) -> Mapping[str, list[Write]]:
        """Writes stored with the loaded checkpoint, by task id."""
        return self._pending_writes

    def places_of(self, task: Task) -> Mapping[str, Sequence[int]]:
        """Return the numbers of the graphs that strands of the task called before, by place."""
        # Read once: what is stored beside the loaded checkpoint does not change.
        if self._places is None:
            self._places = read_places(self._pending_writes)
        return self._places.get(task.id, NO_PLACES)
