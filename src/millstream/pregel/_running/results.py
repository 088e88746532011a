"""What `invoke` returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from millstream.constants import INTERRUPT
from millstream.modes.encoders import coerce
from millstream.modes.names import VALUES
from millstream.types import GraphOutput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from millstream.drivers.run import Run

RESULT: Final = VALUES
"""The mode of which `invoke` returns the last item."""


def final_output(run: Run, version: str) -> Any:
    """Return a run's final state with the questions it stopped at, as the version wants it."""
    value, interrupts = run.output(), run.machine.interrupts
    if version == "v1":
        return with_questions(value, interrupts)
    if interrupts and not isinstance(value, dict):
        value = {}
    if isinstance(value, dict) and run.shape.output is not None:
        value = coerce(run.shape.output, value)
    return GraphOutput(value=value, interrupts=tuple(interrupts))


def with_questions(value: Any, interrupts: Sequence[Any]) -> Any:
    """Return a final state with the questions that its run has stopped at, if there are any."""
    if not interrupts:
        return value
    state = value if isinstance(value, dict) else {}
    return {**state, INTERRUPT: list(interrupts)}
