"""Who waits for the results of runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

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

    def __init__(self, db: Database) -> None:
        self._db = db
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
            if row is None:
                return dumps({"__error__": NOT_FOUND})
            if row.status in UNDER_WAY:
                return await expected
            if row.status in ("error", "timeout"):
                return dumps({"__error__": row.error})
            if row.status == "interrupted":
                return NOTHING
            asked = [one for each in (row.thread_interrupts or {}).values() for one in each]
            values = row.thread_values
            if asked and isinstance(values, dict):
                values = {**values, "__interrupt__": asked}
            return dumps(values)
        finally:
            expected.cancel()

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
