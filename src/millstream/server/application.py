"""The ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from millstream.server.api import (
    assistants,
    runs,
    stateless_runs,
    store,
    system,
    thread_state,
    thread_stream,
    threads,
)
from millstream.server.api.routing import reply, routes
from millstream.server.config import GraphSource, ServerConfig
from millstream.server.service import Service

RESOURCES: Final = (
    assistants,
    runs,
    stateless_runs,
    store,
    system,
    thread_state,
    thread_stream,
    threads,
)
"""The modules whose operations there are: importing them registers these."""
EXPOSED: Final = ("x-pagination-total", "x-pagination-next", "content-location", "location")


def app(graphs: ServerConfig | Mapping[str, Any]) -> Starlette:
    """Return an ASGI application that serves graphs: a configuration, or graphs by their ids.

    What it needs is opened by its lifespan, which a server starts, and which an application that
    mounts it starts with `async with app.router.lifespan_context(app)`.
    """
    config = graphs if isinstance(graphs, ServerConfig) else _config_of(graphs)

    @asynccontextmanager
    async def lifespan(application: Starlette) -> AsyncIterator[None]:
        async with Service.open(config) as service:
            application.state.service = service
            yield

    return Starlette(
        routes=routes(),
        lifespan=lifespan,
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=["*"],
                allow_methods=["*"],
                allow_headers=["*"],
                expose_headers=EXPOSED,
                allow_private_network=True,
            )
        ],
        exception_handlers={HTTPException: _refuse},
    )


def _config_of(graphs: Mapping[str, Any]) -> ServerConfig:
    return ServerConfig(
        graphs={
            id: graph if isinstance(graph, GraphSource) else GraphSource(graph)
            for id, graph in graphs.items()
        }
    )


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return reply({"detail": error.detail}, error.status_code, error.headers)
