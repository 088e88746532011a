"""The loop of the process: it does nothing until it is asked, or told to end."""

from __future__ import annotations

import signal
import socket
import threading
from email.utils import formatdate
from typing import Any

import httpx
import uvicorn

import waiting
from millstream.server.sleeping import SleepingServer


class Counting(SleepingServer):
    """Counts its ticks."""

    ticks = 0

    async def on_tick(self, counter: int) -> bool:
        self.ticks += 1
        return await super().on_tick(counter)


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answer with nothing."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


def test_a_server_ticks_once_and_dates_its_answers_and_ends_when_it_is_told(
    monkeypatch: Any,
) -> None:
    seconds = [1_800_000_000.0]
    monkeypatch.setattr("millstream.server.sleeping.now", lambda: seconds[0])
    options = uvicorn.Config(application, log_config=None, lifespan="off")
    server = Counting(options)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            assert waiting.until(lambda: server.ticks == 1)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
                for _ in range(3):
                    seconds[0] += 86_400
                    wanted = formatdate(seconds[0], usegmt=True)
                    assert http.get("/").headers.get_list("date") == [wanted]
        finally:
            server.handle_exit(signal.SIGTERM, None)
            thread.join(10)
    assert not thread.is_alive()
    assert server.ticks == 1


def test_who_is_told_to_end_before_the_loop_is_there_ends() -> None:
    server = SleepingServer(uvicorn.Config(application, log_config=None, lifespan="off"))
    server.handle_exit(signal.SIGTERM, None)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        thread.join(10)
    assert not thread.is_alive()
