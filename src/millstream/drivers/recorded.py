"""What a run tells its recording, besides what it tells as to any consumer; see `recording`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from millstream.constants import MISSING
from millstream.core.state import RunStatus
from millstream.errors import GraphDrained, GraphInterrupt
from millstream.outbox.abandoned import RunAbandoned

if TYPE_CHECKING:
    from millstream.drivers.run import Run
    from millstream.modes.parts import Emit, Part
    from millstream.recording.lines import Status
    from millstream.recording.tape import Tape

LEFT: tuple[type[BaseException], ...] = (
    GeneratorExit,
    KeyboardInterrupt,
    SystemExit,
    RunAbandoned,
    asyncio.CancelledError,
)
"""What ends a run whose reader has gone, or has stopped it."""


def emit_custom_to(tape: Tape, run: Run, emit: Emit | None, *, has_subgraphs: bool) -> Emit:
    """Return where custom items of a run go, and of those nested in it that have no consumer.

    `emit` is where they would go without a recording.
    """
    if emit is None:
        return tape.emit
    own, namespace = emit, run.namespace

    def emit_recorded(part: Part) -> None:
        tape.emit(part)
        # Nested runs would not emit to one who does not want to see them.
        if has_subgraphs or part[0] == namespace:
            own(part)

    return emit_recorded


def end_recording(run: Run, error: BaseException | None) -> None:
    """Tell the recording how the run has ended, if it has one."""
    tape = run.request.recording
    if tape is None:
        return
    status = _status(run, error)
    output = MISSING
    if run.result.is_result_wanted and status in ("success", "interrupted"):
        output = run.output()
    tape.end(status, None if isinstance(error, (*LEFT, GraphInterrupt)) else error, output)


def _status(run: Run, error: BaseException | None) -> Status:
    if error is None:
        stopped = (RunStatus.PAUSED, RunStatus.BREAKPOINT)
        return "interrupted" if run.machine.status in stopped else "success"
    if isinstance(error, GraphInterrupt):
        return "interrupted"
    if isinstance(error, GraphDrained):
        return "drained"
    return "cancelled" if isinstance(error, LEFT) else "error"
