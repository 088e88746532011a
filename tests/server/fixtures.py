"""A server in this process: the application on a real uvicorn, on a free port."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import uvicorn

import waiting
from millstream.server.application import app
from millstream.server.clock import Clock
from millstream.server.config import GraphSource, ServerConfig
from millstream.server.connections import patient
from millstream.server.sleeping import SleepingServer
from server.databases import begin_with_tables, of_directory


class Running(NamedTuple):
    """A server that answers."""

    url: str
    application: Any
    http: httpx.Client

    @property
    def service(self) -> Any:
        """Return what its handlers are given."""
        return self.application.state.service

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the event loop that serves."""
        loop: asyncio.AbstractEventLoop = self.application.state.loop
        return loop


def config_of(graphs: Mapping[str, Any], directory: Path, **options: Any) -> ServerConfig:
    """Return the configuration of a server with these graphs, whose files are in a directory."""
    sources = {id: GraphSource(graph) for id, graph in graphs.items()}
    if "database" not in options:
        options["database"] = of_directory(directory)
    return ServerConfig(graphs=sources, directory=directory, **options)


@asynccontextmanager
async def _noting(application: Any) -> AsyncIterator[None]:
    application.state.loop = asyncio.get_running_loop()
    yield


class _Server(SleepingServer):
    """A server that ends when nobody is connected any more, and not a tenth of a second later."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self._wait_tasks_to_complete()
        await self.lifespan.shutdown()

    async def _wait_tasks_to_complete(self) -> None:
        state = self.server_state
        await waiting.auntil(lambda: not state.connections and not state.tasks)
        for server in self.servers:
            await server.wait_closed()


@contextmanager
def running(config: ServerConfig, clock: Clock | None = None) -> Iterator[Running]:
    """Serve until the block ends; then nothing of it is left."""
    if config.postgres is None:
        begin_with_tables(config.database_path)
    application = app(config, around=_noting, clock=clock)
    options = uvicorn.Config(
        application,
        log_level="warning",
        lifespan="on",
        http=patient(config.limits.request_seconds),
        ws="websockets-sansio",
    )
    server = _Server(options)
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    thread = threading.Thread(target=server.run, args=([listening],), name="test-server")
    thread.start()
    try:
        waiting.until(lambda: server.started or not thread.is_alive())
        assert server.started, "the server ended before it was up: see its log"
        url = f"http://127.0.0.1:{port}"
        # Without verify=False it would read all certificates, which takes 20 ms.
        with httpx.Client(base_url=url, timeout=30, verify=False) as http:
            yield Running(url, application, http)
    finally:
        server.handle_exit(signal.SIGTERM, None)
        thread.join()
        listening.close()
