"""The process of a server: it starts, says where it is, and ends."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import webbrowser
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import uvicorn
from starlette.applications import Starlette

from millstream.server.application import app
from millstream.server.collecting import little_collecting
from millstream.server.config import ServerConfig
from millstream.server.connections import patient
from millstream.server.errors import ConfigError
from millstream.server.log_lines import writing
from millstream.server.reloading import reload_on_change
from millstream.server.sleeping import SleepingServer
from millstream.version import __version__


def run(
    config: ServerConfig,
    listening: socket.socket,
    *,
    reload: bool,
    browser: bool,
    patience: int,
    say: Callable[[str], None],
) -> None:
    """Serve on a socket until the process is told to end; `say` is given the line of the start."""
    url = address(config, listening)

    @asynccontextmanager
    async def around(application: Starlette) -> AsyncIterator[None]:
        service = application.state.service
        stop = asyncio.Event()
        watching = asyncio.create_task(reload_on_change(service, stop)) if reload else None
        graphs = ", ".join(service.catalog.ids())
        say(f"millstream {__version__} serves {graphs} on {url} (API: {url}/docs)")
        if browser:
            await asyncio.to_thread(webbrowser.open, f"{url}/docs")
        try:
            with little_collecting():
                yield
        finally:
            stop.set()
            if watching is not None:
                watching.cancel()
                with suppress(asyncio.CancelledError):
                    await watching

    application = app(config, around=around)
    options = uvicorn.Config(
        application,
        loop="asyncio" if sys.platform == "win32" else "uvloop",
        http=patient(config.limits.request_seconds),
        ws="websockets-sansio",
        ws_max_size=config.max_request_bytes,
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=patience,
    )
    logging.getLogger("uvicorn.error").addFilter(_is_no_cut)
    with listening, writing(config.log_format, config.log_level), _refusing(application):
        _Server(options, application).run(sockets=[listening])


class _Server(SleepingServer):
    """A server whose runs know at once that it is to end."""

    def __init__(self, options: uvicorn.Config, application: Starlette) -> None:
        super().__init__(options)
        self._application = application

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin nothing more, end what does not end by itself, and give the rest its time."""
        self._application.state.service.drain()
        await super().shutdown(sockets)


@contextmanager
def _refusing(application: Starlette) -> Iterator[None]:
    """Have a configuration that cannot be raised as what it is, and not told at length."""

    def is_other(record: logging.LogRecord) -> bool:
        return not hasattr(application.state, "refusal")

    told = logging.getLogger("uvicorn.error")
    told.addFilter(is_other)
    try:
        yield
    except SystemExit:
        if not hasattr(application.state, "refusal"):
            raise
    finally:
        told.removeFilter(is_other)
    refusal: ConfigError | None = getattr(application.state, "refusal", None)
    if refusal is not None:
        raise refusal


def _is_no_cut(record: logging.LogRecord) -> bool:
    """Say whether something is no stream that was cut off at the end, as it has to be.

    Its reader sees that it has not ended, and comes back for the rest of it.
    """
    error = record.exc_info[1] if record.exc_info else None
    told = record.msg if isinstance(record.msg, str) else ""
    return not (
        isinstance(error, asyncio.CancelledError)
        or told.startswith("Cancel %s running task")
        # Told twice to end: what is open is not waited for.
        or told.rstrip().endswith("asyncio.exceptions.CancelledError")
    )


def address(config: ServerConfig, listening: socket.socket) -> str:
    """Return the URL of a server that listens."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "localhost"
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}{config.http.mount_prefix}"
