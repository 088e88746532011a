"""Crons: runs that are begun when their time has come.

A cron that was due several times while the server did not run is due once when it runs again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from langchain_core.utils.uuid import uuid7

from millstream.server.api.bodies.runs import RunCreate
from millstream.server.clock import Chore, Clock, stamp
from millstream.server.encryption.context import enter_context
from millstream.server.errors import ApiError
from millstream.server.runs.requests import Asker, NewRun, plan_run
from millstream.server.schedules import next_after, time_of
from millstream.server.storage import crons as rows

if TYPE_CHECKING:
    from millstream.server.priorities import Priorities
    from millstream.server.runs.scheduler import Scheduler
    from millstream.server.runs.turns import Settings
    from millstream.server.storage.database import Database

logger = logging.getLogger("millstream.server")

_TOGETHER: Final = 100
"""Crons whose runs are stored at a time."""
_PUT_OFF: Final = timedelta(hours=1)


class Crons(Chore):
    """Begins the runs of crons, and sleeps until the next is due."""

    def __init__(
        self,
        db: Database,
        scheduler: Scheduler,
        clock: Clock,
        ttl: Mapping[str, Any] | None = None,
        priorities: Priorities | None = None,
        *,
        again_after: float | None = None,
    ) -> None:
        """Make them; `ttl` is how long threads live that are made for runs.

        After so many seconds they look again by themselves: where another replica was told of a
        cron, which may be gone.
        """
        super().__init__("millstream-crons", clock, again_after=again_after)
        self._ttl = ttl
        self._priorities = priorities
        self._db = db
        self._scheduler = scheduler

    async def do(self) -> datetime | None:
        """Begin the runs of all crons that are due; return when the next one is."""
        now = self.clock.now()
        while due := await self._db.read(rows.due, stamp(now), _TOGETHER):
            await asyncio.gather(*(self._fire(cron, now) for cron in due))
        found = await self._db.read(rows.next_due)
        return None if found is None else datetime.fromisoformat(found)

    async def _fire(self, cron: Mapping[str, Any], now: datetime) -> None:
        schedule, zone, end_time = cron["schedule"], cron["timezone"], cron["end_time"]
        try:
            following = next_after(now, schedule, zone, end_time)
        except ApiError as error:
            # A zone that the machine has no more, or not yet: others must not wait for that.
            logger.warning("cron %s is put off by an hour: %s", cron["cron_id"], error.detail)
            await self._db.write(_pass_over, cron, (now + _PUT_OFF).isoformat())
            return
        to = None if following is None else following.isoformat()
        enter_context(cron["asker"].get("sealing"))
        try:
            if end_time is not None and time_of(end_time) < now:
                await self._db.write(rows.advance, cron, None)
                return
            await self._scheduler.submit(
                cron["assistant_id"],
                _plan(cron, self._ttl, await self._settings(cron)),
                cron["asker"]["filters"],
                create=partial(rows.fire, known=cron, to=to),
            )
        except rows.ChangedCronError:
            # It is looked up again.
            pass
        except Exception as error:
            logger.warning("cron %s cannot run, and is left out: %s", cron["cron_id"], error)
            await self._db.write(_pass_over, cron, to)

    async def _settings(self, cron: Mapping[str, Any]) -> Settings | None:
        if self._priorities is None:
            return None
        return await self._priorities.of(
            cron["assistant_id"],
            cron["thread_id"],
            cron["asker"]["filters"],
            user=cron["asker"]["user"],
            metadata=_metadata(cron),
            cron_id=cron["cron_id"],
        )


def _pass_over(connection: Any, cron: Mapping[str, Any], to: str | None) -> None:
    with suppress(rows.ChangedCronError):
        rows.advance(connection, cron, to)


def _metadata(cron: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of the runs of a cron."""
    return {**(cron["payload"].get("metadata") or {}), "cron_id": cron["cron_id"]}


def _plan(cron: Mapping[str, Any], ttl: Mapping[str, Any] | None, settings: Settings | None) -> Any:
    """Return what plans the run of a cron."""
    payload = dict(cron["payload"])
    config = dict(payload.get("config") or {})
    configurable = dict(config.get("configurable") or {})
    # It is laid over what is asked for, where a context excludes a configurable.
    configurable.pop("cron_id", None)
    config["configurable"] = configurable
    payload["config"] = config
    payload["metadata"] = _metadata(cron)
    payload["on_completion"] = cron["on_run_completed"] or "delete"
    body = RunCreate.model_validate(payload)
    is_stateless = cron["thread_id"] is None
    known = cron["asker"]
    asker = Asker(
        str(uuid4()),
        known["user"],
        {"cron_id": cron["cron_id"]},
        marks=known["marks"],
        sealing=known.get("sealing") or {},
    )
    run_id = str(uuid7())
    thread_id = str(uuid7()) if is_stateless else cron["thread_id"]

    def plan(assistant: Mapping[str, Any], now: datetime) -> NewRun:
        return plan_run(
            body,
            run_id=run_id,
            thread_id=thread_id,
            assistant=assistant,
            now=now,
            asker=asker,
            is_stateless=is_stateless,
            ttl=ttl,
            settings=settings,
        )

    return plan
