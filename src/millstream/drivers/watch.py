"""Signs of life of an attempt that has an idle timeout, from wherever its code is at work."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import BaseCallbackHandler

from millstream.drivers import clock


class Watch:
    """When an attempt last gave a sign of life.

    What happens in it happens in the attempts around it, too: those of the nodes that call its
    graph, or its task. May be told from any thread.
    """

    __slots__ = ("_around", "_handler", "_is_auto", "last")

    def __init__(self, around: Watch | None, *, is_auto: bool) -> None:
        self.last = clock.monotonic()
        self._around = around
        self._is_auto = is_auto
        self._handler: SignsOfLife | None = None

    def heartbeat(self) -> None:
        """Take note that code of the attempt says that it is alive."""
        self.last = clock.monotonic()
        if self._around is not None:
            self._around.heartbeat()

    def note(self) -> None:
        """Take note of an event, for policies that count events."""
        if self._is_auto:
            self.last = clock.monotonic()
        if self._around is not None:
            self._around.note()

    @property
    def handler(self) -> SignsOfLife:
        """A handler that takes every event among LangChain's callbacks for a sign of life."""
        if self._handler is None:
            self._handler = SignsOfLife(self)
        return self._handler


class SignsOfLife(BaseCallbackHandler):
    """Tells a watch of every event."""

    run_inline = True
    is_tap = True
    """Not for the callbacks of nested graphs: the engine gives their tasks one of their own."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def _note(self, *args: Any, **kwargs: Any) -> None:
        self._watch.note()


for _name in dir(BaseCallbackHandler):
    if _name.startswith("on_"):
        setattr(SignsOfLife, _name, SignsOfLife._note)
