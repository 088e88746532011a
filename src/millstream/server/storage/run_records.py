"""What queries about runs are told, and what they tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from millstream.server.log.event_ids import START, EventId
from millstream.server.runs.lifecycle import RunInput, RunStatus

if TYPE_CHECKING:
    from millstream.server.log.run_log import Entry


class Holder(NamedTuple):
    """Who carries out a run."""

    replica_id: str
    revision: str = ""
    """Of its graphs."""


@dataclass(frozen=True, slots=True)
class Job:
    """A run that is to be carried out now."""

    run_id: str
    thread_id: str
    assistant_id: str
    kwargs: Mapping[str, Any]
    metadata: Mapping[str, Any]
    attempt: int
    last: EventId = START
    """The last event that is stored of the attempts before."""
    stop: RunInput | None = None
    """It was to stop before that attempt had ended."""
    priority: int = 0
    is_followed: bool = False
    """Another replica reads it."""
    said_ms: int = 0
    """When the last of all was said that was said in its thread before."""

    @property
    def graph_id(self) -> str:
        """The graph that runs."""
        return str(self.kwargs["config"]["configurable"]["graph_id"])

    @property
    def is_resumable(self) -> bool:
        """Whether its events are stored."""
        return bool(self.kwargs["resumable"])

    @property
    def tells_protocol(self) -> bool:
        """Whether it tells protocol events, see `server.v3`."""
        return bool(self.kwargs.get("protocol"))

    @property
    def is_temporary(self) -> bool:
        """Whether its thread ends with it."""
        return bool(self.kwargs["temporary"])


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A run that was cancelled, or that whoever carries it out is to cancel."""

    run_id: str
    thread_id: str
    by: RunInput
    is_running: bool


@dataclass(frozen=True, slots=True)
class Created:
    """What has become of a new run."""

    run: dict[str, Any]
    """As clients see it."""
    job: Job | None = None
    """It starts now."""
    superseded: Sequence[Cancelled] = ()
    start_at: str | None = None
    """Not before this time."""
    is_new: bool = True
    """It was not known by its idempotency key."""


@dataclass(slots=True)
class End:
    """How a run has ended."""

    input: RunInput
    error: dict[str, str] | None = None
    raised_at: str | None = None
    """Where in the code the error was raised."""
    values: Any = None
    """The state of the thread, None if there is none."""
    interrupts: dict[str, Any] = field(default_factory=dict)
    """What the thread waits for, by task."""
    is_asking: bool = False
    """It has stopped at a question or a breakpoint."""
    is_kept: bool = False
    """The thread keeps the values it has."""
    unstored: Sequence[Entry] = ()
    """The events that are not stored yet."""
    is_uncertain: bool = False
    """Of what it has told it is not known whether all of it is stored."""
    said_ms: int = 0
    """When its last event was said."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What the end of a run has led to."""

    status: RunStatus | None
    """None if it had ended before."""
    next_job: Job | None = None
    """The run of the same thread that starts now."""
    has_queued: bool = False
    """A run of the same thread wants nothing but a slot now."""
