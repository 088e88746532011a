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
        assert waiting.until(lambda: server.http.get("/readyz").status_code == 503)
        assert status(under_way) == "running"
        third = start(server, thread(server), "chat", {"messages": []})
        gate.set()
        assert waiting.until(lambda: server.service.scheduler.active == 0)
        assert [status(run) for run in (under_way, second, third)] == [
            "success",
            "pending",
            "pending",
        ]
        # What does not end by itself is ended when nothing goes on any more.
        assert reader.is_alive()
        server.loop.call_soon_threadsafe(server.service.cut)
        reader.join()
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
        assert waiting.until(lambda: server.http.get("/readyz").status_code == 503)
        # What is asked meanwhile is answered, on connections that are not kept.
        answer = server.http.get(paths[1])
        assert (answer.json()["status"], answer.headers["connection"]) == ("pending", "close")
        first.wait()
        quiet.wait()
        server.process.communicate(timeout=30)
        server.http.close()
    # It has ended in the time that was left; the second one has not begun in that time.
    assert (first.is_cut, quiet.is_cut) == (False, True)
    assert faults(server) == []
    with closing(sqlite3.connect(tmp_path / ".millstream" / "server.db")) as db:
        found = dict(db.execute("SELECT run_id, status FROM runs"))
    ended = [found[path.rpartition("/")[2]] for path in paths]
    assert ended == ["success", "pending"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("sent", "times"),
    [(signal.SIGTERM, 1), (signal.SIGTERM, 2), (signal.SIGINT, 2)],
    ids=["once", "twice", "twice-by-hand"],
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


STUCK = """
import threading
from langgraph.graph import START, StateGraph


def stay(state):
    threading.Event().wait(state["seconds"])
    return {}


graph = StateGraph(dict).add_node(stay).add_edge(START, "stay").compile()
"""


def stuck(server: Process, seconds: float) -> str:
    """Start a run that does not stop for so long, and return its path."""
    at = server.http.post("/threads", json={}).json()["thread_id"]
    body = {"assistant_id": "graph", "input": {"seconds": seconds}}
    run = server.http.post(f"/threads/{at}/runs", json=body).json()["run_id"]
    path = f"/threads/{at}/runs/{run}"
    assert waiting.until(lambda: server.http.get(path).json()["status"] == "running")
    return path


@pytest.mark.long
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, -15), (signal.SIGINT, 130)])
def test_who_is_told_twice_ends_at_once(sent: signal.Signals, code: int, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(STUCK)
    arguments = ("serve", "app.py:graph", "--port", "0", "--grace", "600")
    with serving(tmp_path, *arguments) as server:
        stuck(server, 600)
        server.process.send_signal(sent)
        # It waits for the run.
        assert waiting.until(lambda: server.http.get("/readyz").status_code == 503)
        server.process.send_signal(sent)
        server.process.communicate(timeout=30)
        server.http.close()

    assert server.process.returncode == code
    assert faults(server) == []


@pytest.mark.long
def test_the_process_ends_whatever_a_node_does_and_the_next_one_goes_on(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(STUCK)
    arguments = ("serve", "app.py:graph", "--port", "0")
    with serving(tmp_path, *arguments, "--grace", "0") as server:
        path = stuck(server, 600)
        server.process.send_signal(signal.SIGTERM)
        server.process.communicate(timeout=60)
        server.http.close()

    assert server.process.returncode == -signal.SIGTERM
    [told] = faults(server)
    assert "Not all has stopped 7 s after the signal to end" in told
    with serving(tmp_path, *arguments) as server:
        run = server.http.get(path).json()
        assert run["status"] in ("pending", "running")
        server.process.kill()
        server.process.communicate()
        server.http.close()
