"""Which checkpoint a run goes on from, and the chain of those that follow.

Three things can name the checkpoint: the caller, by `checkpoint_id` or, for nested graphs,
`checkpoint_map`; a run further up that goes on from an old checkpoint, so that a graph nested in it
sees its own state as it was then; or nobody, and it is the newest one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from millstream.constants import NS_END, NS_SEP
from millstream.core.known import Place
from millstream.core.machine import BRANCHES
from millstream.core.snapshot import Lineage
from millstream.drivers import delta
from millstream.drivers.clock import Stamps
from millstream.drivers.exchange import Load, acarry_out, carry_out
from millstream.drivers.persistence import Journal
from millstream.drivers.storing import next_version

if TYPE_CHECKING:
    from langgraph.checkpoint.base import CheckpointTuple

    from millstream.drivers.exchange import Steps
    from millstream.drivers.run import Run


@dataclass(frozen=True, slots=True)
class Loaded:
    """The checkpoint a run goes on from, if there is one."""

    saved: CheckpointTuple | None = None
    place: Place = Place.LATEST
    newest_id: str = ""
    """The newest checkpoint there is, where the run does not simply go on from it."""


UNSAVED: Final = Loaded()
"""What a run without a saver goes on from: nothing."""


@dataclass(slots=True)
class Replay:
    """A thread's past that is being run again, for the graphs nested in it."""

    checkpoint_id: str
    """Nested graphs see their state as it was before this checkpoint."""
    _visited: set[str] = field(default_factory=set)

    def visit(self, ns: str) -> bool:
        """Say whether the namespace is entered for the first time; task ids do not count."""
        name = NS_SEP.join(segment.split(NS_END, 1)[0] for segment in ns.split(NS_SEP))
        is_first = name not in self._visited
        self._visited.add(name)
        return is_first


def find_start(run: Run) -> Steps[Loaded]:
    """Ask for what is needed, and return the checkpoint the run goes on from."""
    spec, newest = run.spec, run.load_config()
    named = run.named_checkpoint()
    if named is None:
        before = None
        if run.replay is not None and run.parent is not None and run.replay.visit(run.ns):
            before = run.load_config(run.replay.checkpoint_id)
        saved = yield Load(newest, spec, before)
        newest_id = "" if before is None else checkpoint_id((yield Load(newest)))
        return Loaded(saved, newest_id=newest_id)
    saved = yield Load(run.load_config(named), spec)
    newest_id = checkpoint_id((yield Load(newest)))
    is_newest = run.parent is not None or saved is None or saved.checkpoint["id"] == newest_id
    return Loaded(saved, Place.NAMED if is_newest else Place.PAST, newest_id)


def checkpoint_id(saved: CheckpointTuple | None) -> str:
    """Return the id of a checkpoint, empty if there is none."""
    return "" if saved is None else saved.checkpoint["id"]


def open_journal(run: Run, loaded: Loaded) -> Lineage:
    """Give a run that saves its journal, and return the chain of checkpoints it continues."""
    saver, saved = run.saver, loaded.saved
    assert saver is not None, "only a run with a saver has a journal"
    stamps = run.stamps = _stamps(run, loaded)
    is_saved_at_end = run.durability == "exit"
    history = None
    if is_saved_at_end:
        history = delta.new_history(run.spec, has_parent=saved is not None, stamp=stamps.stamp)
    config = {"metadata": run.metadata, "configurable": run.saved_configurable()}
    run.journal = Journal(saver, config, run.durability, history)
    lineage = Lineage(
        stamp=stamps.stamp,
        next_version=next_version(saver),
        parents=run.checkpoint_map,
        is_saved_at_end=is_saved_at_end,
        deltas=delta.new_log(
            run.spec,
            is_saved_at_end=is_saved_at_end,
            is_parent_shared=loaded.place is Place.PAST,
        ),
    )
    if saved is not None:
        written = (name for _, name, _ in saved.pending_writes or ())
        lineage.load(saved.checkpoint, saved.metadata or {}, written)
        if saved.parent_config is not None:
            run.saved_parent = saved.parent_config
            lineage.parent_id = saved.parent_config["configurable"].get("checkpoint_id")
    return lineage


def _stamps(run: Run, loaded: Loaded) -> Stamps:
    """Return what makes the ids of the checkpoints that follow."""
    stamps = None if run.parent is None else run.parent.run.stamps
    if stamps is None:
        stamps = Stamps()
    stamps.see(checkpoint_id(loaded.saved), loaded.newest_id)
    return stamps


def before_branch(saved: CheckpointTuple) -> str:
    """Return the id of the checkpoint that nested graphs had not yet run after.

    A branch made by an update was begun later than what nested graphs did on the way.
    """
    is_branch = (saved.metadata or {}).get("source") in BRANCHES
    config = saved.parent_config if is_branch and saved.parent_config else saved.config
    id: str = config["configurable"]["checkpoint_id"]
    return id


def load(run: Run) -> Loaded:
    """Load what the run goes on from, in this thread."""
    return UNSAVED if run.saver is None else carry_out(find_start(run), run.saver)


async def aload(run: Run) -> Loaded:
    """Load what the run goes on from."""
    return UNSAVED if run.saver is None else await acarry_out(find_start(run), run.saver)
