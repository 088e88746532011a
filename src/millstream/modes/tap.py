"""What all taps have in common: the ears of stream consumers among LangChain's callbacks."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final

from langchain_core.callbacks import BaseCallbackHandler
from typing_extensions import Self

if TYPE_CHECKING:
    from millstream.modes.parts import Emit, Namespace, Shape

NOBODY: Final[tuple[None, None]] = (None, None)
"""Which model began last, when none did that is still heard.

Whoever hears tokens remembers that one: its run id need not be looked up, and the hash of a UUID,
which is Python code, costs as much as what is done for the token."""


class Tap(BaseCallbackHandler):
    """Hears what happens in the tasks of one run, for one consumer of one stream mode.

    A nested run has a tap of its own for each consumer that wants to hear it, see `below`. Taps are
    safe to use from several threads.
    """

    mode: ClassVar[str]
    is_tap = True
    """Not a listener to runs: a graph with no other handler needs no callbacks."""
    run_inline = True
    """Called in the thread and context of who is heard."""
    ignore_agent = True
    ignore_chain = True
    ignore_chat_model = True
    ignore_custom_event = True
    ignore_llm = True
    ignore_retriever = True
    ignore_retry = True

    def __init__(
        self, emit: Emit, namespace: Namespace, shape: Shape | None, *, has_subgraphs: bool
    ) -> None:
        self._emit = emit
        self._namespace = namespace
        self._shape = shape
        self.has_subgraphs = has_subgraphs

    def below(self, namespace: Namespace) -> Self | None:
        """Return the tap for a nested run, None if the consumer does not want to hear it."""
        if not self.has_subgraphs:
            return None
        shared = self._shared()
        return type(self)(self._emit, namespace, self._shape, has_subgraphs=True, **shared)

    def _shared(self) -> dict[str, Any]:
        """Return the arguments that taps of nested runs have in common with this one."""
        return {}

    def relay(self, namespace: Namespace, payload: Any) -> None:
        """Send what a tap elsewhere has made for this one's consumer."""
        # Of a graph below nobody here knows the classes.
        shape = self._shape if namespace == self._namespace else None
        self._emit((namespace, self.mode, payload, shape))

    def _emit_payload(self, payload: Any) -> None:
        self._emit((self._namespace, self.mode, payload, self._shape))


async def _call_and_wait(
    call: Callable[..., None], room: Awaitable[None], *a: Any, **k: Any
) -> None:
    call(*a, **k)
    await room


class WaitingCall(functools.partial[Any]):
    """A method of a tap that has who is heard wait for room: in a coroutine, by awaiting.

    LangChain has one handler hear sync and async models. Async ones await what is a coroutine
    function, such as a partial of one. Sync ones run a coroutine they are given in an event loop
    of its own, which would cost more than the token; anything else they ignore. So this does all
    but the waiting at once.
    """

    def __new__(cls, call: Callable[..., None], room: Awaitable[None]) -> Self:
        """Make a call that tells, and returns what is to be awaited."""
        # A partial of a coroutine function, which is what `iscoroutinefunction` looks through.
        return super().__new__(cls, _call_and_wait, call, room)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Awaitable[None]:
        """Tell, and return what is to be awaited."""
        # Called before anything is awaited: the token is sent even if nobody awaits the result.
        call, room = self.args
        call(*args, **kwargs)
        awaitable: Awaitable[None] = room
        return awaitable
