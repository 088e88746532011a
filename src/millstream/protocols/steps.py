"""Steps: that nodes begin and end, without what they are given and return.

Run streams keep what they know of tasks to themselves. With `StepTransformer` they tell this much
of it, as the server's stream mode `steps` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from millstream.modes.names import STEPS, TASKS
from millstream.stream import StreamChannel, StreamTransformer

if TYPE_CHECKING:
    from millstream.modes.protocol_events import ProtocolEvent


def step_of(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is told of a task, from what the stream mode `tasks` says of it."""
    phase = "started" if "triggers" in task else "ended"
    return {"event": phase, "id": task["id"], "name": task["name"]}


class StepTransformer(StreamTransformer):
    """The steps of the graph and of all graphs in it, as events of the method `steps`."""

    _native: ClassVar[bool] = True
    required_stream_modes: ClassVar[tuple[str, ...]] = (TASKS,)
    _methods = frozenset(required_stream_modes)

    def __init__(self, scope: tuple[str, ...] = ()) -> None:
        """Tell of the graph that is there, and of those in it."""
        super().__init__(scope)
        self._log: StreamChannel[dict[str, Any]] = StreamChannel(STEPS)

    def init(self) -> dict[str, Any]:
        """Return what the run stream offers."""
        return {STEPS: self._log}

    def process(self, event: ProtocolEvent) -> bool:
        """Tell what is known of a task."""
        params = event["params"]
        if event["method"] == TASKS:
            self._log.push({**step_of(params["data"]), "namespace": params["namespace"]})
        return True
