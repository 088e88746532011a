"""Servers that are told to end while streams are open."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import httpx
import pytest

import waiting
from millstream.graph import START, StateGraph
from server.fixtures import config_of, running
from server.graphs import make_graphs
from server.streams import Event, parse, parse_block, start, thread
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


def faults(server: Process) -> list[str]:
    """Return what a server has logged besides what it was asked."""
    return [line for line in server.errors.read_text().splitlines() if " INFO " not in line]


def test_a_server_that_is_told_to_end_begins_nothing_more(tmp_path: Path) -> None:
    gate = threading.Event()

    async def wait(state: dict[str, int]) -> dict[str, int]:
        await asyncio.to_thread(gate.wait, 60)
        return {}

    waits = StateGraph(dict).add_node("wait", wait).add_edge(START, "wait").compile()
    graphs = {"waits": waits, **make_graphs()}
    config = config_of(graphs, tmp_path, n_jobs_per_worker=1)

    def status(run: dict[str, object]) -> str:
        path = f"/threads/{run['thread_id']}/runs/{run['run_id']}"
        return str(server.http.get(path).json()["status"])

    def read(is_open: threading.Event) -> None:
        with httpx.stream("GET", f"{server.url}/threads/{at}/stream", timeout=30) as response:
            is_open.set()
            with pytest.raises(httpx.RemoteProtocolError):
                response.read()

    with running(config) as server:
        at = thread(server)
        under_way = start(server, at, "waits", {})
        second = start(server, thread(server), "chat", {"messages": []})
        is_open = threading.Event()
        reader = threading.Thread(target=read, args=(is_open,))
        reader.start()
        assert is_open.wait(30)
        server.loop.call_soon_threadsafe(server.service.drain)
        # What does not end by itself is ended; what does goes on.
        reader.join()
        assert status(under_way) == "running"
        third = start(server, thread(server), "chat", {"messages": []})
        gate.set()
        assert waiting.until(lambda: server.service.scheduler.active == 0)
        assert [status(run) for run in (under_way, second, third)] == [
            "success",
            "pending",
            "pending",
        ]
    # The next process finds them.
    with running(config) as server:
        assert waiting.until(lambda: status(second) == status(third) == "success")


@pytest.mark.long
def test_the_process_begins_nothing_more_from_the_signal_on(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    arguments = ("serve", "app.py:steps", "--port", "0", "--workers-per-process", "1")
    with serving(tmp_path, *arguments) as server:
        paths = []
        for delay in (1, 0):
            at = server.http.post("/threads", json={}).json()["thread_id"]
            body = {"assistant_id": "steps", "input": {"left": 1, "delay": delay}}
            run = server.http.post(f"/threads/{at}/runs", json=body).json()["run_id"]
            paths.append(f"/threads/{at}/runs/{run}")
        quiet = Open(server, "GET", f"/threads/{at}/stream")
        first = Open(server, "GET", f"{paths[0]}/stream")
        assert quiet.is_begun.wait(30)
        assert first.is_begun.wait(30)
        server.process.send_signal(signal.SIGTERM)
        quiet.wait()
        assert quiet.is_cut
        assert server.process.poll() is None
        first.wait()
        server.process.communicate(timeout=30)
        server.http.close()
    # It has ended in the time that was left; the second one has not begun in that time.
    assert not first.is_cut
    assert faults(server) == []
    with closing(sqlite3.connect(tmp_path / ".millstream" / "server.db")) as db:
        found = dict(db.execute("SELECT run_id, status FROM runs"))
    ended = [found[path.rpartition("/")[2]] for path in paths]
    assert ended == ["success", "pending"]


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
    assert faults(server) == []
    with serving(tmp_path, *arguments) as server:
        last = {"last-event-id": str(run.events[-1].id)}
        rest = parse(server.http.get(f"{run.run_path}/stream", headers=last, timeout=60).text)
        updates = [event.data for event in [*run.events, *rest] if event.name == "updates"]
        assert [update["step"]["seen"] for update in updates] == [[n] for n in range(16)]
        assert server.http.get(run.run_path).json()["status"] == "success"
