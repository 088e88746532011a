"""Servers that are told to end while streams are open."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import httpx
import pytest

from server.streams import Event, parse, parse_block
from server.test_killed import APP, MODES
from server.test_serving import Process, serving


class Open:
    """A stream that is read in a thread of its own."""

    def __init__(self, server: Process, method: str, path: str, **options: object) -> None:
        self.url = str(server.http.base_url).rstrip("/") + path
        self.events: list[Event] = []
        self.is_begun = threading.Event()
        self.is_cut = False
        self.run_path = ""
        self._thread = threading.Thread(target=self._read, args=(method, options))
        self._thread.start()

    def _read(self, method: str, options: dict[str, object]) -> None:
        try:
            with httpx.stream(method, self.url, timeout=60, **options) as response:  # type: ignore[arg-type]
                self.run_path = response.headers.get("content-location", "")
                rest = ""
                self.is_begun.set()
                for text in response.iter_text():
                    *blocks, rest = (rest + text).split("\r\n\r\n")
                    self.events += filter(None, map(parse_block, blocks))
        except httpx.RemoteProtocolError:
            self.is_cut = True

    def wait(self) -> None:
        """Wait until it has ended."""
        self._thread.join()


@pytest.mark.long
@pytest.mark.parametrize(
    ("sent", "times"), [(signal.SIGTERM, 1), (signal.SIGINT, 2)], ids=["once", "twice"]
)
def test_open_streams_are_cut_and_runs_go_on_later(
    sent: signal.Signals, times: int, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(APP)
    arguments = ("serve", "app.py:steps", "--port", "0", "--log-level", "warning")
    with serving(tmp_path, *arguments) as server:
        at = server.http.post("/threads", json={}).json()["thread_id"]
        body = {
            "assistant_id": "steps",
            "input": {"left": 16, "delay": 0.5},
            "stream_mode": MODES,
            "stream_resumable": True,
        }
        run = Open(server, "POST", f"/threads/{at}/runs/stream", json=body)
        quiet = Open(server, "GET", f"/threads/{at}/stream")
        waits = Open(server, "POST", "/runs/wait", json={**body, "stream_resumable": False})
        for stream in (run, quiet, waits):
            assert stream.is_begun.wait(30)
        for _ in range(times):
            server.process.send_signal(sent)
            threading.Event().wait(0.3)
        server.process.communicate(timeout=30)
        server.http.close()
        for stream in (run, quiet, waits):
            stream.wait()
            # Whoever reads it knows that it has not come to its end.
            assert stream.is_cut

    assert server.process.returncode == (-sent if sent == signal.SIGTERM else 130)
    assert server.errors.read_text() == ""
    with serving(tmp_path, *arguments) as server:
        last = {"last-event-id": str(run.events[-1].id)}
        rest = parse(server.http.get(f"{run.run_path}/stream", headers=last, timeout=60).text)
        updates = [event.data for event in [*run.events, *rest] if event.name == "updates"]
        assert [update["step"]["seen"] for update in updates] == [[n] for n in range(16)]
        assert server.http.get(run.run_path).json()["status"] == "success"
