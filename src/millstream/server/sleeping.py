"""uvicorn's server without its tick: a process that nobody asks for anything sleeps."""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from time import time as now
from typing import TYPE_CHECKING, Any

import uvicorn

if TYPE_CHECKING:
    from types import FrameType

    from starlette.types import ASGIApp, Receive, Scope, Send


class SleepingServer(uvicorn.Server):
    """Ends when it is told to; what the tick sees to besides is the date in the headers."""

    def __init__(self, config: uvicorn.Config) -> None:
        """Serve what a configuration says; its application is wrapped."""
        config.app = self._dated(config.app)
        super().__init__(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = asyncio.Event()
        self.told_by: int | None = None
        """The signal that has told it to end."""
        self._second = 0

    async def main_loop(self) -> None:
        """Return when the server is told to end."""
        self._loop = asyncio.get_running_loop()
        # The headers are made; and it may have been told before there was a loop to wake.
        if not await self.on_tick(0):
            await self._told.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take note of a signal; whoever runs the server raises it again, when all is done."""
        self.told_by = sig
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._told.set)

    def _dated(self, application: Any) -> ASGIApp:
        async def dated(scope: Scope, receive: Receive, send: Send) -> None:
            second = int(now())
            headers = self.server_state.default_headers
            if second != self._second and headers:
                self._second = second
                # In place: what answers this request has the list already.
                headers[0] = (b"date", formatdate(second, usegmt=True).encode())
            await application(scope, receive, send)

        return dated
