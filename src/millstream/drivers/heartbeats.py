"""Signs of life of an attempt that has an idle timeout, from wherever its code is at work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler

if TYPE_CHECKING:
    from millstream._base.clock import Clock


class Heartbeats:
    """When an attempt last gave a sign of life.

    What happens in it happens in the attempts around it, too: those of the nodes that call its
    graph, or its task. May be told from any thread.
    """

    __slots__ = ("_around", "_clock", "_handler", "_is_auto", "last")

    def __init__(self, around: Heartbeats | None, clock: Clock, *, is_auto: bool) -> None:
        self._clock = clock
        self.last = self._clock.monotonic()
        self._around = around
        self._is_auto = is_auto
        self._handler: HeartbeatHandler | None = None

    def heartbeat(self) -> None:
        """Take note that code of the attempt says that it is alive."""
        self.last = self._clock.monotonic()
        if self._around is not None:
            self._around.heartbeat()

    def record_event(self) -> None:
        """Take note of an event, for policies that count events."""
        # Around it another policy may hold: each decides for itself what it counts.
        if self._is_auto:
            self.last = self._clock.monotonic()
        if self._around is not None:
            self._around.record_event()

    @property
    def handler(self) -> HeartbeatHandler:
        """A handler that takes every event among LangChain's callbacks for a sign of life."""
        if self._handler is None:
            self._handler = HeartbeatHandler(self)
        return self._handler


class HeartbeatHandler(BaseCallbackHandler):
    """Tells a watch of every event."""

    run_inline = True
    is_tap = True
    """Not for the callbacks of nested graphs: the engine gives their tasks one of their own."""

    def __init__(self, heartbeats: Heartbeats) -> None:
        self._heartbeats = heartbeats

    def _record_event(self, *args: Any, **kwargs: Any) -> None:
        self._heartbeats.record_event()


# Every event there is, those too that a later version of LangChain adds.
for _name in dir(BaseCallbackHandler):
    if _name.startswith("on_"):
        setattr(HeartbeatHandler, _name, HeartbeatHandler._record_event)
