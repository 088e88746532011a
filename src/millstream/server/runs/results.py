"""Who waits for the results of runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from millstream.server.encoding import dumps
from millstream.server.runs.lifecycle import UNDER_WAY
from millstream.server.runs.runner import NOTHING
from millstream.server.storage import runs

if TYPE_CHECKING:
    from millstream.server.storage.containment import Filters
    from millstream.server.storage.database import Database

NOT_FOUND: Final = {"error": "HTTPException", "message": "404: Run not found"}
"""What those get who wait for a run that is not there; the answer has begun by then."""


class Results:
    """Tells those who wait how runs have ended."""

    def __init__(self, db: Database, follow: Callable[[str, str], Awaitable[bool]]) -> None:
        """Make one; `follow` is given a run and its thread.

        It has one followed that another replica holds, and says whether it has not ended.
        """
        self._db = db
        self._follow = follow
        self._waiters: dict[str, set[asyncio.Future[bytes]]] = {}

    def expect(self, run_id: str) -> asyncio.Future[bytes]:
        """Return what will be the result of a run, as JSON."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        waiters = self._waiters.setdefault(run_id, set())
        waiters.add(future)

        def forget(_: object) -> None:
            waiters.discard(future)
            if not waiters and self._waiters.get(run_id) is waiters:
                del self._waiters[run_id]

        future.add_done_callback(forget)
        return future

    async def of(self, run_id: str, thread_id: str | None, filters: Filters | None) -> bytes:
        """Return the result of a run as JSON, when it has ended."""
        # Before one looks: it may end meanwhile.
        expected = self.expect(run_id)
        try:
            row = await self._db.read(runs.outcome, run_id, thread_id, filters)
            if row is not None and row.status in UNDER_WAY:
                if await self._follow(run_id, row.thread_id):
                    return await expected
                row = await self._db.read(runs.outcome, run_id, thread_id, filters)
            return dumps({"__error__": NOT_FOUND}) if row is None else _result_of(row)
        finally:
            expected.cancel()

    async def known(self, run_id: str) -> bytes:
        """Return the result of a run that has ended, as far as rows tell it."""
        row = await self._db.read(runs.outcome, run_id, None, None)
        return NOTHING if row is None else _result_of(row)

    def are_awaited(self, run_id: str) -> bool:
        """Whether anybody waits for a run."""
        return run_id in self._waiters

    def resolve(self, run_id: str, result: bytes) -> None:
        """Tell those who wait for a run its result."""
        for waiter in list(self._waiters.get(run_id, ())):
            if not waiter.done():
                waiter.set_result(result)

    def close(self) -> None:
        """Have nobody wait any more."""
        for waiters in list(self._waiters.values()):
            for waiter in list(waiters):
                if not waiter.done():
                    waiter.cancel()


def _result_of(row: Any) -> bytes:
    """Return the result of a run that has ended, from its row and that of its thread."""
    if row.status in ("error", "timeout"):
        return dumps({"__error__": row.error})
    if row.status == "interrupted":
        return NOTHING
    asked = [one for each in (row.thread_interrupts or {}).values() for one in each]
    values = row.thread_values
    if asked and isinstance(values, dict):
        values = {**values, "__interrupt__": asked}
    return dumps(values)
