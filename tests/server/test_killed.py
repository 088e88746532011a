"""Servers that are killed with runs in flight, and started again on the same files."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

import waiting
from server.streams import Event, parse_block
from server.test_serving import Process, serving

APP: Final = """
import asyncio, operator
from typing import Annotated, TypedDict
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt


class Steps(TypedDict, total=False):
    left: int
    delay: float
    seen: Annotated[list[int], operator.add]


async def step(state):
    done = len(state.get("seen", ()))
    get_stream_writer()({"begun": done})
    await asyncio.sleep(state.get("delay", 0))
    return {"left": state["left"] - 1, "seen": [done]}


def more(state):
    return "step" if state["left"] > 0 else "__end__"


def ask(state):
    return {"seen": [interrupt("how many?")]}


builder = StateGraph(Steps).add_node(step).add_edge(START, "step")
steps = builder.add_conditional_edges("step", more).compile()
asks = StateGraph(Steps).add_node(ask).add_edge(START, "ask").compile()
"""
MODES: Final = ["values", "updates", "custom", "tasks", "checkpoints"]
UNDER_WAY: Final = ("pending", "running")
BEHIND: Final = 8
"""How many operations a saver may be behind a run."""


class Stream:
    """A client that reads a resumable stream, and comes back where it was when it breaks."""

    def __init__(
        self, server: Process, thread_id: str, count: int, delay: float, durability: str
    ) -> None:
        self.thread_id = thread_id
        self.count = count
        self.events: list[Event] = []
        self.run_id = ""
        self.is_whole = False
        body = {
            "assistant_id": "steps",
            "input": {"left": count, "delay": delay},
            "stream_mode": MODES,
            "durability": durability,
            "stream_resumable": True,
            "if_not_exists": "create",
            "on_disconnect": "continue",
        }
        path = f"/threads/{thread_id}/runs/stream"
        self._thread = threading.Thread(target=self._read, args=(server, "POST", path, body))
        self._thread.start()

    def go_on(self, server: Process) -> None:
        """Read on at another server."""
        self.wait()
        path = f"/threads/{self.thread_id}/runs/{self.run_id}/stream"
        self._thread = threading.Thread(target=self._read, args=(server, "GET", path, None))
        self._thread.start()

    def wait(self) -> None:
        """Wait until its connection has ended."""
        self._thread.join()

    def _read(self, server: Process, method: str, path: str, body: Any) -> None:
        last = self.events[-1].id if self.events else "-1"
        headers = {} if body else {"last-event-id": str(last)}
        url = str(server.http.base_url).rstrip("/") + path
        with (
            suppress(httpx.HTTPError),
            httpx.stream(method, url, json=body, headers=headers, timeout=30) as response,
        ):
            assert response.status_code == 200
            self.run_id = response.headers["content-location"].rpartition("/")[2]
            rest = ""
            for text in response.iter_text():
                *blocks, rest = (rest + text).split("\r\n\r\n")
                self.events += filter(None, map(parse_block, blocks))
            self.is_whole = True

    def check(self, state: Mapping[str, Any]) -> None:
        """Compare what was said with what is stored."""
        expected = list(range(self.count))
        assert state["values"]["seen"] == expected
        ids = [tuple(map(int, str(event.id).split("-"))) for event in self.events]
        assert ids == sorted(set(ids))
        attempts = [event.data["attempt"] for event in self._of("metadata")]
        assert attempts == sorted(set(attempts))
        deaths = len(attempts) - 1
        # What tells the state comes once, as if nothing had happened.
        assert [event.data.get("seen", []) for event in self._of("values")] == [
            expected[:n] for n in range(self.count + 1)
        ]
        assert [event.data["step"]["seen"] for event in self._of("updates")] == [
            [n] for n in expected
        ]
        tasks = [event.data for event in self._of("tasks")]
        assert [task["id"] for task in tasks[::2]] == [task["id"] for task in tasks[1::2]]
        assert [task["result"]["seen"] for task in tasks[1::2]] == [[n] for n in expected]
        ids = [
            event.data["config"]["configurable"]["checkpoint_id"]
            for event in self._of("checkpoints")
        ]
        assert ids == sorted(set(ids))
        assert ids[-1] == state["checkpoint"]["checkpoint_id"]
        assert len(ids) == self.count + 2
        # What a task says in its course is said again by the next attempt.
        begun = [event.data["begun"] for event in self._of("custom")]
        assert set(begun) == set(expected)
        assert len(begun) <= self.count + BEHIND * deaths, begun

    def _of(self, mode: str) -> Iterator[Event]:
        return (event for event in self.events if event.name == mode)


class Flight:
    """Runs of every kind, what was acknowledged of them, and what has to become of them."""

    def __init__(self, server: Process, rng: random.Random) -> None:
        self.acknowledged: list[tuple[str, str]] = []
        self.expected: dict[str, int] = {}
        self.streams = [
            Stream(
                server,
                thread(server),
                rng.randint(5, 60),
                rng.choice([0, 0.002, 0.02]),
                rng.choice(["sync", "async"]),
            )
            for _ in range(4)
        ]
        self.asking = thread(server)
        self.is_stopped = False
        self._server = server
        self._rng = rng
        self._thread = threading.Thread(target=self._create)
        self._thread.start()

    def _create(self) -> None:
        with suppress(httpx.HTTPError):
            self._run(self.asking, assistant_id="asks", input={})
            queue = thread(self._server)
            for _ in range(3):
                self._steps(queue, self._rng.randint(1, 20))
            for _ in range(8):
                self._steps(thread(self._server), self._rng.choice([1, 3, 40]))
            self._steps(thread(self._server), 3, after_seconds=1)
            self._server.http.post(
                "/runs", json={"assistant_id": "steps", "input": {"left": 9, "delay": 0.01}}
            )
            for _ in range(40):
                self._steps(thread(self._server), 2)

    def _steps(self, at: str, count: int, **more: Any) -> None:
        wait = self._rng.choice([0, 0.005])
        self._run(at, assistant_id="steps", input={"left": count, "delay": wait}, **more)
        self.expected[at] = self.expected.get(at, 0) + count

    def _run(self, at: str, **body: Any) -> None:
        made = self._server.http.post(f"/threads/{at}/runs", json=body)
        assert made.status_code == 200, made.text
        self.acknowledged.append((at, made.json()["run_id"]))

    def wait(self) -> None:
        """Wait until nothing is asked for any more."""
        self._thread.join()
        for stream in self.streams:
            stream.wait()

    def check(self, server: Process) -> None:
        """Wait until all have ended, and look what they have left."""
        http = server.http
        streamed = [stream for stream in self.streams if stream.run_id]
        for at, run_id in [*self.acknowledged, *((s.thread_id, s.run_id) for s in streamed)]:
            path = f"/threads/{at}/runs/{run_id}"
            assert http.get(path).status_code == 200, path
            assert waiting.until(lambda p=path: http.get(p).json()["status"] not in UNDER_WAY)
            assert http.get(path).json()["status"] == "success"
        for at, count in self.expected.items():
            # The last one may be stored without anybody having been told.
            assert waiting.until(lambda at=at: status(server, at) != "busy")
            seen = http.get(f"/threads/{at}/state").json()["values"]["seen"]
            assert seen == list(range(len(seen)))
            assert len(seen) >= count
        assert waiting.until(
            lambda: not http.post("/threads/search", json={"status": "busy"}).json()
        )
        for stream in streamed:
            stream.wait()
            assert stream.is_whole
            stream.check(http.get(f"/threads/{stream.thread_id}/state").json())
        if self.acknowledged:
            assert status(server, self.asking) == "interrupted"
            answer = {"assistant_id": "asks", "command": {"resume": 7}}
            left = http.post(f"/threads/{self.asking}/runs/wait", json=answer).json()
            assert left == {"seen": [7]}


def thread(server: Process) -> str:
    """Make a thread."""
    return str(server.http.post("/threads", json={}).json()["thread_id"])


def status(server: Process, at: str) -> str:
    """Return how a thread stands."""
    return str(server.http.get(f"/threads/{at}").json()["status"])


def kill_at_random(here: Path, kills: int, seed: int) -> None:
    """Kill a server again and again, and look after each restart."""
    rng = random.Random(seed)
    (here / "app.py").write_text(APP)
    config = {"graphs": {"steps": "./app.py:steps", "asks": "./app.py:asks"}}
    (here / "langgraph.json").write_text(json.dumps(config))
    with ExitStack() as stack:
        server = stack.enter_context(serving(here, "serve", "--port", "0"))
        for _ in range(kills):
            flight = Flight(server, rng)
            threading.Event().wait(rng.uniform(0.02, 1.5))
            server.process.kill()
            server.process.communicate()
            server.http.close()
            flight.wait()
            server = stack.enter_context(serving(here, "serve", "--port", "0"))
            for stream in flight.streams:
                if stream.run_id:
                    stream.go_on(server)
            flight.check(server)
        assert server.end() == 130
        assert "Traceback" not in server.errors.read_text()


@pytest.mark.long
@pytest.mark.timeout(600)  # six servers are started, whatever else the machine has to do
@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_lost_at_whatever_moment_a_server_is_killed(seed: int, tmp_path: Path) -> None:
    kill_at_random(tmp_path, 5, seed=100 + seed)
