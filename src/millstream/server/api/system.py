"""What the server says of itself."""

from __future__ import annotations

from time import perf_counter
from typing import Literal

from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import Connection, text
from starlette.responses import Response

from millstream.compat.names import VERSION
from millstream.server.api.bodies.base import Query
from millstream.server.api.routing import Call, operation, refusal, reply
from millstream.server.metrics import waiting
from millstream.version import __version__


class OkQuery(Query):
    """What `/ok` can be asked."""

    check_db: bool = False


@operation("GET", "/", auth=None)
async def root(call: Call, query: OkQuery) -> Response:
    """Say that the server is up."""
    return await ok(call, query)


@operation("GET", "/ok", auth=None)
async def ok(call: Call, query: OkQuery) -> Response:
    """Say that the server is up, and with `check_db` that its database is."""
    if query.check_db:
        await call.service.db.read(_answers)
    return reply({"ok": True, "services": {}})


@operation("GET", "/livez", auth=None)
async def livez(call: Call) -> Response:
    """Say whether the process can be left alone; if it has to be ended, with 503."""
    return _well(await call.service.health.dead())


@operation("GET", "/readyz", auth=None)
async def readyz(call: Call) -> Response:
    """Say whether requests may be sent here: 503 when it ends, or has no database or lease."""
    return _well(await call.service.health.unready())


def _well(fault: str | None) -> Response:
    return reply({"ok": True}) if fault is None else refusal(503, fault)


@operation("GET", "/info", auth=None)
async def info(call: Call) -> Response:
    """Tell which version this is and what it has."""
    return reply(
        {
            "version": __version__,
            # Clients look for features of LangGraph's engine by this one.
            "langgraph_py_version": VERSION,
            "flags": {
                "assistants": True,
                "crons": True,
                "langsmith": False,
                "langsmith_tracing_replicas": False,
                "langsmith_tracing_session_on_runs": False,
            },
            "host": {
                "kind": "self-hosted",
                "project_id": None,
                "host_revision_id": None,
                "revision_id": None,
                "tenant_id": None,
            },
        }
    )


class MetricsQuery(Query):
    """What `/metrics` can be asked."""

    format: Literal["prometheus", "json"] = "prometheus"


@operation("GET", "/metrics", auth=None)
async def metrics(call: Call, query: MetricsQuery) -> Response:
    """Tell what the server has done and what waits, for Prometheus or as JSON."""
    service = call.service
    known = service.metrics
    known.active = service.scheduler.active
    known.refused = service.limits.refused
    known.replicas = 1 + len(service.membership.others)
    known.rings_sent, known.rings_received = service.bell.sent, service.bell.received
    known.waiting = await service.db.read(waiting, with_median=query.format == "json")
    asked_at = perf_counter()
    await service.run_loop.call(_come_round())
    known.lag = perf_counter() - asked_at
    if query.format == "json":
        return reply(known.json())
    return Response(known.text(), media_type=CONTENT_TYPE_LATEST)


async def _come_round() -> None:
    """Show that the event loop of the graphs gets round to something."""


def _answers(connection: Connection) -> None:
    connection.execute(text("SELECT 1"))
