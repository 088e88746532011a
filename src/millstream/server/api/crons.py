"""Crons: runs that are begun again and again, as a schedule says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.utils.uuid import uuid7
from starlette.responses import Response

from millstream.server.api.bodies.crons import CronCount, CronCreate, CronPatch, CronSearch
from millstream.server.api.routing import Call, empty, operation, reply, uuid_of
from millstream.server.api.run_creation import assistant_id_of
from millstream.server.clock import stamp
from millstream.server.encryption.context import sealing_context
from millstream.server.errors import ApiError
from millstream.server.runs.requests import check
from millstream.server.schedules import check_schedule, next_after, time_of, zone_of
from millstream.server.storage import crons as rows

COLUMNS = ("schedule", "timezone", "end_time", "enabled", "on_run_completed", "metadata")
"""What a cron has of its body besides the payload."""


@operation("POST", "/runs/crons", auth=("crons", "create"), gives=("cron_id",))
async def create(call: Call, body: CronCreate) -> Response:
    """Begin runs without a thread as a schedule says."""
    return await _create(call, body, None)


@operation("POST", "/threads/{thread_id}/runs/crons", auth=("crons", "create"), gives=("cron_id",))
async def create_in_thread(call: Call, body: CronCreate) -> Response:
    """Begin runs in a thread as a schedule says."""
    return await _create(call, body, call["thread_id"])


@operation("POST", "/runs/crons/search", auth=("crons", "search"))
async def search(call: Call, body: CronSearch) -> Response:
    """Find crons."""
    wanted = {**body.model_dump(), **_ids(call, body)}
    page = await call.service.db.read(rows.search, **wanted, filters=call.filters)
    return reply(page.rows, headers=page.headers)


@operation("POST", "/runs/crons/count", auth=("crons", "search"))
async def count(call: Call, body: CronCount) -> Response:
    """Count crons."""
    wanted = {**body.model_dump(), **_ids(call, body)}
    return reply(await call.service.db.read(rows.count_all, **wanted, filters=call.filters))


@operation("GET", "/runs/crons/{cron_id}", auth=("crons", "read"))
async def get(call: Call) -> Response:
    """Return a cron."""
    return reply(await call.service.db.read(rows.need, call["cron_id"], call.filters))


@operation("PATCH", "/runs/crons/{cron_id}", auth=("crons", "update"))
async def patch(call: Call, body: CronPatch) -> Response:
    """Change a cron."""
    changes = body.model_dump(include=body.model_fields_set)
    _check_times(body, changes)
    call.service.webhooks.policy.check(body.webhook)
    now = call.service.crons.clock.now()

    def change(known: Mapping[str, Any]) -> dict[str, Any]:
        payload = {**known["payload"], **changes}
        if "config" in changes:
            payload["config"] = _named(changes["config"], call["cron_id"])
        check(body.model_copy(update=_settings(payload)))
        row = {key: changes[key] for key in COLUMNS if key in changes}
        row |= {"payload": payload, "updated_at": stamp(now)}
        # What was due while it was off is not made up for.
        if not row.keys().isdisjoint(("schedule", "timezone", "end_time", "enabled")):
            row["next_run_date"] = _next(now, {**known, **row})
        return row

    changed = await call.service.db.write(rows.patch, call["cron_id"], change, call.filters)
    call.service.crons.wake()
    return reply(changed)


@operation("DELETE", "/runs/crons/{cron_id}", auth=("crons", "delete"), status=204)
async def delete(call: Call) -> Response:
    """Delete a cron."""
    await call.service.db.write(rows.delete, call["cron_id"], call.filters)
    return empty()


async def _create(call: Call, body: CronCreate, thread_id: str | None) -> Response:
    assistant_id = assistant_id_of(call, body.assistant_id)
    given = body.model_dump(exclude_unset=True)
    check_schedule(body.schedule)
    _check_times(body, given)
    check(body)
    call.service.webhooks.policy.check(body.webhook)
    cron_id = str(uuid7())
    now = call.service.crons.clock.now()
    row = {key: getattr(body, key) for key in COLUMNS}
    if thread_id is None and body.on_run_completed is None:
        # What is done is shown.
        row["on_run_completed"] = "delete"
    row |= {
        "cron_id": cron_id,
        "assistant_id": assistant_id,
        "thread_id": thread_id,
        "user_id": "" if call.user is None else call.user.identity,
        "payload": {
            **given,
            "assistant_id": assistant_id,
            "config": _named(body.config, cron_id),
        },
        "next_run_date": _next(now, row),
        "created_at": stamp(now),
        "updated_at": stamp(now),
        "asker": {
            "user": call.user,
            "filters": call.filters,
            "marks": call.marks,
            "sealing": sealing_context(),
        },
    }
    made = await call.service.db.write(rows.create, row, call.filters)
    call.service.crons.wake()
    return reply(made)


def _check_times(body: CronCreate, given: Mapping[str, Any]) -> None:
    if "schedule" in given:
        check_schedule(body.schedule)
    zone_of(body.timezone)
    if body.end_time is not None:
        time_of(body.end_time)


def _next(now: Any, row: Mapping[str, Any]) -> str | None:
    due = next_after(now, row["schedule"], row["timezone"], row["end_time"])
    return None if due is None else due.isoformat()


def _named(config: Mapping[str, Any], cron_id: str) -> dict[str, Any]:
    configurable = config.get("configurable") or {}
    if not isinstance(configurable, dict):
        raise ApiError(422, "config.configurable must be an object")
    return {**config, "configurable": {**configurable, "cron_id": cron_id}}


def _settings(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return config and context as they were given."""
    config = payload.get("config") or {}
    configurable = dict(config.get("configurable") or {})
    configurable.pop("cron_id", None)
    return {
        "config": {**config, "configurable": configurable},
        "context": payload.get("context") or {},
    }


def _ids(call: Call, body: CronCount) -> dict[str, str | None]:
    return {
        "assistant_id": body.assistant_id and assistant_id_of(call, body.assistant_id),
        "thread_id": body.thread_id and uuid_of(body.thread_id, "thread"),
    }
