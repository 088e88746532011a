"""Bodies of requests about crons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from millstream.server.api.bodies.base import Body, JsonObject, Limit, ListOf, Offset
from millstream.server.api.bodies.runs import RunCreate

Key = Literal[
    "cron_id",
    "assistant_id",
    "thread_id",
    "user_id",
    "end_time",
    "schedule",
    "timezone",
    "payload",
    "next_run_date",
    "metadata",
    "on_run_completed",
    "enabled",
    "created_at",
    "updated_at",
    "now",
]
OnCompletion = Literal["delete", "keep"]


class CronCreate(RunCreate):
    """Runs that are asked for again and again."""

    schedule: str
    timezone: str | None = None
    end_time: str | None = None
    enabled: bool = True
    on_run_completed: OnCompletion | None = None

    def asked(self) -> dict[str, Any]:
        """Return what a handler is given of it."""
        return {
            "payload": self.model_dump(exclude_unset=True),
            "schedule": self.schedule,
            "end_time": self.end_time,
            "cron_id": None,
            "user_id": None,
            "metadata": self.metadata,
        }

    def take(self, value: Mapping[str, Any]) -> None:
        """Be what a handler has made of that; what runs cannot change."""
        given = {**(value.get("payload") or {}), "metadata": value.get("metadata")}
        for name in type(self).model_fields:
            if given.get(name) is not None and name not in ("assistant_id", "schedule"):
                setattr(self, name, given[name])


class CronPatch(CronCreate):
    """What is to be different about a cron; a null takes what may be missing away."""

    assistant_id: str = ""
    schedule: str = ""

    @model_validator(mode="wrap")
    @classmethod
    def _null_is_taken_away(cls, given: Any, handler: Any) -> Any:
        found = handler(given)
        if isinstance(given, dict):
            found.__pydantic_fields_set__.update(
                key for key in ("timezone", "end_time", "webhook") if given.get(key, "") is None
            )
        return found


class CronCount(Body):
    """Which crons are meant."""

    assistant_id: str | None = None
    thread_id: str | None = None
    enabled: bool | None = None
    metadata: JsonObject = Field(default_factory=dict)


class CronSearch(CronCount):
    """Which crons are wanted, and what of them."""

    limit: Limit = 10
    offset: Offset = 0
    sort_by: Literal[
        "cron_id",
        "assistant_id",
        "thread_id",
        "created_at",
        "updated_at",
        "next_run_date",
        "end_time",
    ] = "created_at"
    sort_order: Literal["asc", "desc"] = "desc"
    select: ListOf[Key] | None = None
