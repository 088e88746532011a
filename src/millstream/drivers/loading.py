"""Which checkpoint a run goes on from, and the chain of those that follow.

Three things can name the checkpoint: the caller, by `checkpoint_id` or, for nested graphs,
`checkpoint_map`; a run further up that goes on from an old checkpoint, so that a graph nested in it
sees its own state as it was then; or nobody, and it is the newest one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from millstream._base.clock import Stamps
from millstream.constants import NS_END, NS_SEP
from millstream.core.checkpoints import BRANCH, Lineage
from millstream.core.pending_writes import ResumePoint
from millstream.core.resuming import BRANCHES
from millstream.core.tasks import task_id_of
from millstream.drivers.requests import LoadCheckpoint, carry_out
from millstream.drivers.run_request import NONE_NAMED
from millstream.saving import delta_history
from millstream.saving.capabilities import next_version
from millstream.saving.recorder import Recorder

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

    from millstream.drivers.context import TaskContext
    from millstream.drivers.requests import SaverGen
    from millstream.drivers.run_scope import RunScope


@dataclass(frozen=True, slots=True)
class LoadedCheckpoint:
    """The checkpoint a run goes on from, if there is one."""

    saved: CheckpointTuple | None = None
    point: ResumePoint = ResumePoint.LATEST
    newest_id: str = ""
    """The newest checkpoint there is, where the run does not simply go on from it."""
    is_moved: bool = False
    """The checkpoint is of another namespace than the run."""
    named_checkpoints: Mapping[str, str] = field(default_factory=lambda: NONE_NAMED)
    """Namespace -> checkpoint id, of the checkpoints to go on from and those they were made in."""

    @property
    def is_newest(self) -> bool:
        """Say whether the run simply goes on from wherever the thread is."""
        return self.point is ResumePoint.LATEST and not self.newest_id

    @property
    def is_branch(self) -> bool:
        """Say whether the run leaves newer checkpoints beside it, because it was asked to."""
        if self.is_moved or self.saved is None:
            return self.point is not ResumePoint.LATEST or bool(self.newest_id)
        return self.newest_id not in ("", self.saved.checkpoint["id"])


UNSAVED: Final = LoadedCheckpoint()
"""What a run without a saver goes on from: nothing."""


def find_start(run: RunScope) -> SaverGen[LoadedCheckpoint]:
    """Ask for what is needed, and return the checkpoint the run goes on from."""
    spec, newest, names = run.spec, run.load_config(), run.named_checkpoints
    # A checkpoint of a nested graph was named: the graphs around it go on from where it was made.
    if names and run.parent is None and run.ns not in names:
        names = yield from _with_enclosing(run)
    named = run.named_checkpoint(names)
    if named is None:
        before = None
        if run.replay is not None and run.parent is not None and run.replay.visit(run.ns):
            # What it had stored before the root's checkpoint; it does not matter what came after.
            before = run.load_config(run.replay.checkpoint_id)
        saved = yield LoadCheckpoint(newest, spec, before)
        newest_id = "" if before is None else checkpoint_id((yield LoadCheckpoint(newest)))
        return LoadedCheckpoint(saved, newest_id=newest_id, named_checkpoints=names)
    is_moved = run.ns not in names
    former = run.former_config(named) if is_moved else run.load_config(named)
    saved = yield LoadCheckpoint(former, spec)
    newest_id = checkpoint_id((yield LoadCheckpoint(newest)))
    # The past is the root's affair: a nested run that is named is where its caller wants it.
    is_newest = run.parent is not None or saved is None or saved.checkpoint["id"] == newest_id
    place = ResumePoint.NAMED if is_newest and not is_moved else ResumePoint.PAST
    return LoadedCheckpoint(saved, place, newest_id, is_moved, names)


def _with_enclosing(run: RunScope) -> SaverGen[Mapping[str, str]]:
    """Return what the caller named, with the checkpoints that a nested one was made in."""
    # Any of them: each knows those that it was made in.
    ns, id = next(iter(run.named_checkpoints.items()))
    config = run.load_config(id)
    config["configurable"]["checkpoint_ns"] = ns
    saved: CheckpointTuple | None = yield LoadCheckpoint(config)
    parents = {} if saved is None else (saved.metadata or {}).get("parents") or {}
    return {**parents, **run.named_checkpoints}


def former_ns(parent: TaskContext, number: int) -> str:
    """Return the namespace that a graph called by a task had before its run began a branch.

    Empty where nobody asks for a checkpoint of it, or it is the same.
    """
    run, task = parent.run, parent.task
    lineage = run.machine.lineage
    if not (run.named_checkpoints and run.is_resuming_step and run.origin_id) or lineage is None:
        return ""
    base = run.request.nesting.former_ns or run.ns
    name = f"{base}{NS_SEP}{task.name}" if base else task.name
    # A fork stores a checkpoint of its own, which has taken a number.
    step = task.step if lineage.id == run.origin_id else task.step - 1
    ns = f"{name}{NS_END}{task_id_of(run.origin_id, f'{name}{step}{task.place}')}"
    return f"{ns}{NS_SEP}{number}" if number else ns


def checkpoint_id(saved: CheckpointTuple | None) -> str:
    """Return the id of a checkpoint, empty if there is none."""
    return "" if saved is None else saved.checkpoint["id"]


@dataclass(frozen=True, slots=True)
class SavedRun:
    """What a run that saves has: its recorder, and the chain of checkpoints it continues."""

    recorder: Recorder
    lineage: Lineage
    stamps: Stamps
    """Makes the ids of checkpoints, for nested runs too."""
    origin_id: str
    """The checkpoint that the run goes on from."""
    parent_config: RunnableConfig | None
    """The config of the checkpoint before that."""


def open_recorder(run: RunScope, loaded: LoadedCheckpoint) -> SavedRun:
    """Return the recorder of a run that saves, and the chain of checkpoints it continues."""
    saver, saved = run.saver, loaded.saved
    assert saver is not None, "only a run with a saver has a recorder"
    stamps = _stamps(run, loaded)
    is_saved_at_end = run.request.durability == "exit"
    history = None
    if is_saved_at_end:
        has_parent = saved is not None and not loaded.is_moved
        history = delta_history.new_history(run.spec, has_parent=has_parent, stamp=stamps.stamp)
    config = {"metadata": run.metadata, "configurable": run.saved_configurable()}
    ns = config["configurable"].get("checkpoint_ns", "")
    head = BRANCH if loaded.is_branch else (ns, checkpoint_id(saved) or None)
    recorder = Recorder(saver, config, run.request.durability, history, head, run.request.ahead)
    lineage = Lineage(
        stamp=stamps.stamp,
        next_version=next_version(saver),
        parents=run.checkpoint_map,
        is_saved_at_end=is_saved_at_end,
        deltas=delta_history.new_log(
            run.spec,
            is_saved_at_end=is_saved_at_end,
            is_parent_shared=loaded.point is ResumePoint.PAST,
        ),
    )
    origin_id, parent_config = checkpoint_id(saved), None
    if saved is not None:
        written = (name for _, name, _ in saved.pending_writes or ())
        lineage.load(saved.checkpoint, saved.metadata or {}, written)
        if loaded.is_moved:
            lineage.move()
        elif saved.parent_config is not None:
            parent_config = saved.parent_config
            lineage.parent_id = parent_config["configurable"].get("checkpoint_id")
    return SavedRun(recorder, lineage, stamps, origin_id, parent_config)


def _stamps(run: RunScope, loaded: LoadedCheckpoint) -> Stamps:
    """Return what makes the ids of the checkpoints that follow."""
    stamps = None if run.parent is None else run.parent.run.stamps
    if stamps is None:
        stamps = Stamps(run.clock)
    # Ids grow with time, and the next one must be the newest whatever the clock says.
    stamps.see(checkpoint_id(loaded.saved), loaded.newest_id)
    return stamps


def before_branch(saved: CheckpointTuple) -> str:
    """Return the id of the checkpoint that nested graphs had not yet run after.

    A branch made by an update was begun later than what nested graphs did on the way.
    """
    is_branch = (saved.metadata or {}).get("source") in BRANCHES
    # The checkpoint that the update was made to is what they had run before.
    config = saved.parent_config if is_branch and saved.parent_config else saved.config
    id: str = config["configurable"]["checkpoint_id"]
    return id


async def load(run: RunScope, saver: BaseCheckpointSaver[Any]) -> LoadedCheckpoint:
    """Load what the run goes on from, which is `UNSAVED` where there is no saver."""
    return await carry_out(find_start(run), saver, run.waits)
