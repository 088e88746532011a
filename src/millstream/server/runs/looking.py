"""`Looking`: rows are looked at when somebody has rung for them, all that are due at once."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from typing import Any, Final

from millstream.server.storage.database import DatabaseClosedError

logger = logging.getLogger("millstream.server")

TOGETHER: Final = 500
"""How many are looked at in one query."""


class Looking:
    """One look at a time. Who becomes due while it is under way is looked at in the next one.

    So nothing is missed between a look and a ring, and however many ring, there are not more looks
    than the database answers. Used in one event loop.
    """

    def __init__(
        self,
        look: Callable[[Collection[str]], Awaitable[None]],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        """Take what looks at some by their ids, and what starts a task that its owner waits for."""
        self._look = look
        self._spawn = spawn
        self._due: set[str] = set()
        self._is_under_way = False
        self._is_closed = False

    def at(self, ids: Iterable[str]) -> None:
        """Have these looked at soon."""
        self._due.update(ids)
        if self._due and not self._is_under_way and not self._is_closed:
            self._is_under_way = True
            self._spawn(self._go_on())

    def close(self) -> None:
        """Look no more."""
        self._is_closed = True
        self._due.clear()

    async def _go_on(self) -> None:
        try:
            while self._due:
                due = [self._due.pop() for _ in range(min(TOGETHER, len(self._due)))]
                await self._look(due)
        except DatabaseClosedError:
            return
        except Exception as error:
            # Everything is looked at again when the lease is renewed.
            logger.warning("what other replicas do is not seen: %s", error)
        finally:
            self._is_under_way = False
