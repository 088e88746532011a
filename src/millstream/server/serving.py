"""The process of a server: it starts, says where it is, and ends."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from types import FrameType
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette

from millstream.server.application import app
from millstream.server.collecting import little_collecting
from millstream.server.config import ServerConfig
from millstream.server.connections import patient
from millstream.server.errors import ConfigError
from millstream.server.leaving import Closing, no_longer_kept, stop_accepting
from millstream.server.log_lines import writing
from millstream.server.reloading import reload_on_change
from millstream.server.sleeping import SleepingServer
from millstream.server.studio import is_built
from millstream.version import __version__

logger = logging.getLogger("millstream.server")

PATIENCE: Final = 1
"""Seconds that open requests have when no run is waited for any more."""
LAST: Final = 7.0
"""Seconds behind the grace, after which the process ends whatever it is at."""
KEPT: Final = 6.0
"""Seconds for which connections are kept open that others may use again, where requests go to
another server: longer than any of them is kept while the server goes on."""


def run(
    config: ServerConfig,
    listening: socket.socket,
    *,
    reload: bool,
    browser: bool,
    say: Callable[[str], None],
) -> None:
    """Serve on a socket until the process is told to end; `say` is given the line of the start.

    The signal that has told it is raised again at the end.
    """
    url = address(config, listening)
    has_studio = is_built() and config.role != "worker" and not config.http.disable_ui

    @asynccontextmanager
    async def around(application: Starlette) -> AsyncIterator[None]:
        service = application.state.service
        stop = asyncio.Event()
        watching = asyncio.create_task(reload_on_change(service, stop)) if reload else None
        graphs = ", ".join(service.catalog.ids())
        pages = {"studio": f"{url}/studio/"} if has_studio else {}
        pages["API"] = f"{url}/docs"
        named = ", ".join(f"{name}: {page}" for name, page in pages.items())
        say(f"millstream {__version__} serves {graphs} on {url} ({named})")
        if browser:
            _show(next(iter(pages.values())))
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
    closing = Closing(application)
    options = uvicorn.Config(
        closing,
        loop="asyncio" if sys.platform == "win32" else "uvloop",
        http=patient(config.limits.request_seconds),
        ws="websockets-sansio",
        ws_max_size=config.max_request_bytes,
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=PATIENCE,
    )
    logging.getLogger("uvicorn.error").addFilter(_is_no_cut)
    seconds = {"grace": config.grace_seconds, "drain": config.drain_seconds}
    server = _Server(options, application, closing, **seconds)
    with listening, writing(config.log_format, config.log_level), _refusing(application, server):
        try:
            server.run(sockets=[listening])
        finally:
            server.is_over.set()
    if server.told_by is not None:
        signal.raise_signal(server.told_by)


class _Server(SleepingServer):
    """A server that lets runs go on for a while when it is told to end, and ends in any case."""

    def __init__(
        self,
        options: uvicorn.Config,
        application: Starlette,
        closing: Closing,
        *,
        grace: float,
        drain: float,
    ) -> None:
        super().__init__(options)
        self._application = application
        self._closing = closing
        self._grace = grace
        self._drain = drain
        self._starting: asyncio.Task[Any] | None = None
        """What waits until all is open."""
        self.is_over: Final = threading.Event()
        """Nothing is left of it."""

    @property
    def is_given_up(self) -> bool:
        """Whether it was told to end before it served."""
        return self.told_by is not None and not self.started

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End in order when told once, at once when told again, or before it serves."""
        if self.told_by is not None:
            _leave(sig)
        super().handle_exit(sig, frame)
        if self.is_given_up and self._loop is not None:
            # Not here: a thread that is started while another one is being started waits for ever.
            self._loop.call_soon_threadsafe(self._give_up)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, unless the process is told to end before that.

        Who starts may wait for others for long, and nobody waits for who has not started: what has
        begun is undone when the loop ends.
        """
        self._loop, self._starting = asyncio.get_running_loop(), asyncio.current_task()
        try:
            if not self.should_exit:
                await super().startup(sockets)
        except asyncio.CancelledError:
            if self.told_by is None:
                raise
        finally:
            self._starting = None

    def _give_up(self) -> None:
        if self._starting is not None:
            self._end_within(PATIENCE)
            self._starting.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer while runs go on, for the grace; then end what does not end by itself."""
        service = self._application.state.service
        service.drain()
        self._closing.begin()
        await service.look_for_heirs(PATIENCE)
        kept = KEPT if service.has_heirs else 0
        self._end_within(max(self._grace, self._drain + kept) + kept + LAST)
        handing_over = asyncio.ensure_future(service.hand_over())
        idle = asyncio.ensure_future(service.scheduler.wait_idle(self._grace))
        await asyncio.sleep(self._drain)
        if service.has_heirs:
            await stop_accepting(self, sockets or ())
            await no_longer_kept(self, KEPT)
        await idle
        await asyncio.wait([handing_over], timeout=PATIENCE)
        handing_over.cancel()
        service.cut()
        if service.has_heirs:
            # Streams do not end their connections, and these have been kept since they have ended.
            await no_longer_kept(self, KEPT)
        await super().shutdown(sockets)

    def _end_within(self, seconds: float) -> None:
        end = threading.Thread(target=self._end, args=(seconds,), name="millstream-end")
        end.daemon = True
        end.start()

    def _end(self, seconds: float) -> None:
        """End the process when it does not end by itself: the next one goes on with its runs."""
        if self.is_over.wait(seconds):
            return
        logger.warning("Not all has stopped %g s after the signal to end: it is left", seconds)
        time.sleep(0.1)  # until that is written
        sig = self.told_by or signal.SIGTERM
        os.kill(os.getpid(), sig)
        time.sleep(1)
        # Nobody has heard it.
        os._exit(128 + sig)


def _leave(sig: int) -> None:
    """End the process as the signal does; what is stored is whole at every moment."""
    if sig != signal.SIGINT:
        signal.signal(sig, signal.SIG_DFL)
        os.kill(os.getpid(), sig)
    # As shells have it. The first process of a container is not ended by signals.
    os._exit(128 + sig)


def _show(page: str) -> None:
    """Have a browser show a page; one in the terminal returns when it has, which takes a server."""
    threading.Thread(target=webbrowser.open, args=(page,), daemon=True).start()


@contextmanager
def _refusing(application: Starlette, server: _Server) -> Iterator[None]:
    """Have a configuration that cannot be raised as what it is, and not told at length.

    Nor is told at length what a start was at that is given up.
    """

    def is_other(record: logging.LogRecord) -> bool:
        return not (hasattr(application.state, "refusal") or server.is_given_up)

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
    is_cut = isinstance(error, asyncio.CancelledError)
    return not (is_cut or told.startswith("Cancel %s running task"))


def address(config: ServerConfig, listening: socket.socket) -> str:
    """Return the URL of a server that listens."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "localhost"
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}{config.http.mount_prefix}"
