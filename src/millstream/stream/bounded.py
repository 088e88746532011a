"""A `MessageTap` whose tokens wait until its consumer has room for more."""

from __future__ import annotations

import functools
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from millstream.stream.messages import MessageTap

if TYPE_CHECKING:
    from millstream.stream.parts import Namespace, Put, Shape


class BoundedTap(MessageTap):
    """Makes models wait: in a thread `put` blocks, in an event loop `room` is awaited."""

    def __init__(
        self,
        put: Put,
        namespace: Namespace,
        shape: Shape | None,
        *,
        room: Awaitable[None],
        has_subgraphs: bool,
        seen: set[str | None] | None = None,
    ) -> None:
        super().__init__(put, namespace, shape, has_subgraphs=has_subgraphs, seen=seen)
        self.room = room

    def below(self, namespace: Namespace) -> BoundedTap | None:
        """Return the tap for a nested run, None if the consumer does not want to hear it."""
        if not self._has_subgraphs:
            return None
        return BoundedTap(
            self._put,
            namespace,
            self._shape,
            room=self.room,
            has_subgraphs=True,
            seen=self._seen,
        )

    @property
    def on_llm_new_token(self) -> TokenCall:  # type: ignore[override]  # callable like the method
        """Send a chunk, and have an async model wait for room."""
        return TokenCall(_hear, self)


async def _hear(tap: BoundedTap, *args: Any, **kwargs: Any) -> None:
    MessageTap.on_llm_new_token(tap, *args, **kwargs)
    await tap.room


class TokenCall(functools.partial[Any]):
    """A call of `_hear` that does all but the waiting at once.

    LangChain has one handler hear sync and async models. Async ones await what is a coroutine
    function, such as a partial of one. Sync ones run a coroutine they are given in an event loop
    of its own, which would cost more than the token; anything else they ignore.
    """

    def __call__(self, /, *args: Any, **kwargs: Any) -> Awaitable[None]:
        """Send a chunk, and return what is to be awaited."""
        tap: BoundedTap = self.args[0]
        MessageTap.on_llm_new_token(tap, *args, **kwargs)
        return tap.room
