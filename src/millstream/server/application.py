"""The ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)
from functools import partial
from time import monotonic
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount

from millstream.server import state
from millstream.server.api import (
    a2a,
    agui,
    aisdk,
    assistants,
    completions,
    crons,
    event_streaming,
    mcp,
    openapi,
    recordings,
    responses,
    runs,
    stateless_runs,
    store,
    system,
    thread_state,
    thread_stream,
    threads,
)
from millstream.server.api.routing import reply, routes
from millstream.server.api.sockets import sockets
from millstream.server.clock import Clock
from millstream.server.config import GraphSource, ServerConfig
from millstream.server.custom import load_custom, surround
from millstream.server.errors import ConfigError
from millstream.server.log_lines import log_request
from millstream.server.service import Service
from millstream.server.studio import studio_routes

RESOURCES: Final = (
    a2a,
    agui,
    aisdk,
    assistants,
    completions,
    event_streaming,
    mcp,
    crons,
    openapi,
    recordings,
    responses,
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


Around = Callable[[Starlette], AbstractAsyncContextManager[None]]


def app(
    graphs: ServerConfig | Mapping[str, Any],
    *,
    around: Around | None = None,
    clock: Clock | None = None,
) -> Starlette:
    """Return an ASGI application that serves graphs: a configuration, or graphs by their ids.

    What it needs is opened by its lifespan, which a server starts, and which an application that
    mounts it starts with `async with app.router.lifespan_context(app)`. `around` is entered when
    all is open, and left before it is closed. `clock` is the time of day.
    """
    config = graphs if isinstance(graphs, ServerConfig) else _config_of(graphs)
    custom = load_custom(config)

    @asynccontextmanager
    async def lifespan(application: Starlette) -> AsyncIterator[Any]:
        async with AsyncExitStack() as stack:
            try:
                service = await stack.enter_async_context(Service.open(config, clock))
            except ConfigError as error:
                # For who has started it: a server only logs what it fails with.
                application.state.refusal = error
                raise
            application.state.service = service
            service.scheduler.elsewhere.threads.on_state = partial(state.tell, service)
            theirs = nullcontext() if custom is None else custom.router.lifespan_context(custom)
            async with theirs as given, around(application) if around else nullcontext():
                yield given

    prefix = config.http.mount_prefix
    unserved = _unserved(config)
    known: list[BaseRoute] = [*routes(unserved), *sockets(unserved)]
    if config.role != "worker" and not config.http.disable_ui:
        known.extend(studio_routes())
    application = Starlette(
        routes=[Mount(prefix, routes=known)] if prefix else known,
        lifespan=lifespan,
        middleware=[_cors(config.http.cors or {})],
        exception_handlers={HTTPException: _refuse},
    )
    if custom is not None and config.role != "worker":
        whole = surround(custom, known, application, config.http)
        application.router.routes = [Mount(prefix, app=whole)]
    return application


def _unserved(config: ServerConfig) -> frozenset[str]:
    """Return the resources that are not served; who only carries out runs just tells how it is."""
    if config.role != "worker":
        return config.http.disabled
    names = {resource.__name__.rpartition(".")[2] for resource in RESOURCES}
    return config.http.disabled | names - {"system"}


def _cors(given: Mapping[str, Any]) -> Middleware:
    pattern = given.get("allow_origin_regex")
    origins = given.get("allow_origins", [] if pattern else ["*"])
    return Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_origin_regex=pattern,
        allow_methods=given.get("allow_methods", ["*"]),
        allow_headers=given.get("allow_headers", ["*"]),
        allow_credentials=given.get("allow_credentials", False),
        expose_headers=[*EXPOSED, *given.get("expose_headers", ())],
        max_age=given.get("max_age", 600),
        allow_private_network=True,
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
    service: Service = request.app.state.service
    log_request(request, error.status_code, monotonic(), service.logging_headers)
    return reply({"detail": error.detail}, error.status_code, error.headers)
