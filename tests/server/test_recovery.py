"""Servers that go on with what another one has left: its files as they were at a moment."""

from __future__ import annotations

import operator
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from typing_extensions import TypedDict

import waiting
from millstream.graph import START, StateGraph
from millstream.server.api import runs as runs_api
from millstream.server.storage import runs as storage
from millstream.types import interrupt
from server.copies import copy_files, journal_of
from server.fixtures import Running, config_of, running
from server.streams import Event, parse, start, thread

COUNT = 6


class Steps(TypedDict, total=False):
    seen: Annotated[list[int], operator.add]


class Gate:
    """What a node waits for at one step, until it is opened."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.is_open = False
        self.is_reached = False

    async def step(self, state: Steps) -> dict[str, Any]:
        done = len(state.get("seen", ()))
        if done == self.at:
            self.is_reached = True
            await waiting.auntil(lambda: self.is_open)
        return {"seen": [done]}

    def graphs(self) -> dict[str, Any]:
        """Return a graph that takes `COUNT` steps."""
        builder = StateGraph(Steps).add_node("step", self.step).add_edge(START, "step")
        builder.add_conditional_edges(
            "step", lambda state: "step" if len(state["seen"]) < COUNT else "__end__"
        )
        return {"steps": builder.compile()}


def left_by(here: Path, gate: Gate, act: Callable[[Running], None]) -> Path:
    """Return a copy of the files of a server whose run waits at a gate."""
    copy = here / "copy"
    with running(config_of(gate.graphs(), here / "first")) as server:
        act(server)
        assert waiting.until(lambda: gate.is_reached)
        copy_files(here / "first", copy)
        gate.is_open = True
    return copy


def ended(server: Running, at: str, run_id: str) -> str:
    """Return how a run has ended, when it has."""
    path = f"/threads/{at}/runs/{run_id}"
    server.http.get(f"{path}/join")
    return str(server.http.get(path).json()["status"])


def data(events: list[Event], name: str) -> list[Any]:
    return [event.data for event in events if event.name == name]


def test_runs_go_on_from_their_checkpoints_and_streams_with_them(tmp_path: Path) -> None:
    gate = Gate(3)
    known: dict[str, str] = {}

    def act(server: Running) -> None:
        at = known["thread"] = thread(server)
        modes = ["values", "updates"]
        run = start(server, at, "steps", {}, stream_mode=modes, stream_resumable=True)
        known["run"] = run["run_id"]
        known["next"] = start(server, at, "steps", {"seen": [-1]})["run_id"]

    copy = left_by(tmp_path, gate, act)
    with running(config_of(gate.graphs(), copy)) as server:
        at, run_id = known["thread"], known["run"]
        path = f"/threads/{at}/runs/{run_id}/stream"
        events = parse(server.http.get(path, headers={"last-event-id": "-1"}).text)

        assert [told["attempt"] for told in data(events, "metadata")] == [1, 2]
        assert data(events, "updates") == [{"step": {"seen": [n]}} for n in range(COUNT)]
        assert [told["seen"] for told in data(events, "values")] == [
            list(range(n)) for n in range(1, COUNT + 1)
        ]
        ids = [tuple(map(int, str(event.id).split("-"))) for event in events]
        assert [seq for _, seq in ids] == list(range(1, len(ids) + 1))
        assert ids == sorted(ids)
        assert ended(server, at, run_id) == "success"
        assert ended(server, at, known["next"]) == "success"
        assert server.http.get(f"/threads/{at}").json()["status"] == "idle"
        seen = server.http.get(f"/threads/{at}/state").json()["values"]["seen"]
        assert seen == [*range(COUNT), -1, COUNT + 1]


def test_a_run_whose_task_has_stored_its_writes_goes_on(tmp_path: Path) -> None:
    gate = Gate(3)
    known: dict[str, str] = {}

    def act(server: Running) -> None:
        known["thread"] = thread(server)
        known["run"] = start(server, known["thread"], "steps", {}, durability="sync")["run_id"]

    copy = left_by(tmp_path, gate, act)
    with journal_of(copy) as journal:
        graph = gate.graphs()["steps"].copy(update={"checkpointer": journal})
        place: Any = {"configurable": {"thread_id": known["thread"]}}
        state = graph.get_state(place)
        writes = [("seen", [3]), ("branch:to:step", None)]
        journal.put_writes(state.config, writes, state.tasks[0].id)
        # It is not to run again, and more is to run after it.
        assert graph.get_state(place).next == ()
    with running(config_of(gate.graphs(), copy)) as server:
        assert ended(server, known["thread"], known["run"]) == "success"
        values = server.http.get(f"/threads/{known['thread']}/state").json()["values"]
        assert values == {"seen": list(range(COUNT))}


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_what_a_command_writes_is_written_once(durability: str, tmp_path: Path) -> None:
    gate = Gate(3)
    known: dict[str, str] = {}

    def act(server: Running) -> None:
        at = known["thread"] = thread(server)
        first = start(server, at, "steps", {}, interrupt_before=["step"])
        assert ended(server, at, first["run_id"]) == "success"
        given = {"command": {"update": {"seen": [7, 8, 9]}}, "durability": durability}
        known["run"] = start(server, at, "steps", None, **given)["run_id"]

    copy = left_by(tmp_path, gate, act)
    with running(config_of(gate.graphs(), copy)) as server:
        assert ended(server, known["thread"], known["run"]) == "success"
        values = server.http.get(f"/threads/{known['thread']}/state").json()["values"]
        assert values == {"seen": [7, 8, 9, 3, 4, 5]}


class Said(TypedDict, total=False):
    said: str


def ask_twice(state: Said) -> dict[str, Any]:
    return {"said": f"{interrupt('first?')} {interrupt('second?')}"}


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_an_answer_is_given_to_the_question_it_was_meant_for(
    durability: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder = StateGraph(Said).add_node(ask_twice).add_edge(START, "ask_twice")
    graphs = {"asks": builder.compile()}
    finish = storage.finish
    ends: list[str] = []

    def copy_at_the_second_end(connection: Any, run_id: str, *args: Any, **kwargs: Any) -> Any:
        ends.append(run_id)
        if len(ends) == 2:
            copy_files(tmp_path / "first", tmp_path / "copy")
        return finish(connection, run_id, *args, **kwargs)

    monkeypatch.setattr(storage, "finish", copy_at_the_second_end)
    with running(config_of(graphs, tmp_path / "first")) as server:
        at = thread(server)
        server.http.post(f"/threads/{at}/runs/wait", json={"assistant_id": "asks", "input": {}})
        answer = {"command": {"resume": "one"}, "durability": durability}
        asked = server.http.post(
            f"/threads/{at}/runs/wait", json={"assistant_id": "asks", **answer}
        ).json()
        assert [each["value"] for each in asked["__interrupt__"]] == ["second?"]

    monkeypatch.setattr(storage, "finish", finish)
    with running(config_of(graphs, tmp_path / "copy")) as server:
        assert ended(server, at, ends[1]) == "success"
        state = server.http.get(f"/threads/{at}/state").json()
        assert [each["value"] for each in state["interrupts"]] == ["second?"]
        answer = {"assistant_id": "asks", "command": {"resume": "two"}}
        left = server.http.post(f"/threads/{at}/runs/wait", json=answer).json()
        assert left == {"said": "one two"}


@pytest.mark.parametrize(("action", "left"), [("interrupt", [0, 1]), ("rollback", None)])
def test_a_run_that_was_cancelled_stays_so(action: str, left: Any, tmp_path: Path) -> None:
    gate = Gate(2)
    known: dict[str, str] = {}

    def act(server: Running) -> None:
        known["thread"] = thread(server)
        known["run"] = start(server, known["thread"], "steps", {})["run_id"]
        # What is asked of it is stored, and nobody is there to stop it.
        server.service.scheduler._note_cancelled = lambda cancelled: None
        assert waiting.until(lambda: gate.is_reached)
        path = f"/threads/{known['thread']}/runs/{known['run']}/cancel"
        assert server.http.post(path, params={"action": action}).status_code == 202

    copy = left_by(tmp_path, gate, act)
    with running(config_of(gate.graphs(), copy)) as server:
        at = known["thread"]
        path = f"/threads/{at}/runs/{known['run']}"
        server.http.get(f"{path}/join")
        found = server.http.get(path)
        assert found.status_code == (200 if left else 404)
        assert not left or found.json()["status"] == "interrupted"
        assert server.http.get(f"/threads/{at}").json()["status"] != "busy"
        values = server.http.get(f"/threads/{at}/state").json()["values"]
        assert values.get("seen") == left


def test_a_run_whose_server_ends_in_one_superstep_is_given_up(tmp_path: Path) -> None:
    known: dict[str, str] = {}

    def act(server: Running) -> None:
        if not known:
            known["thread"] = thread(server)
            # Each time the same superstep is stored when its files are copied.
            more = {"stream_resumable": True, "durability": "sync"}
            run = start(server, known["thread"], "steps", {}, **more)
            known["run"] = run["run_id"]

    here = tmp_path
    for _ in range(3):
        gate = Gate(2)
        copy = left_by(here, gate, act)
        here = here / "next"
        here.mkdir()
        copy.rename(here / "first")
    with running(config_of(Gate(2).graphs(), here / "first")) as server:
        at, run_id = known["thread"], known["run"]
        assert ended(server, at, run_id) == "error"
        found = server.http.get(f"/threads/{at}").json()
        assert (found["status"], found["error"]["error"]) == ("error", "RunLostError")
        assert "in which it carried out 'step'" in found["error"]["message"]
        assert found["values"] == {"seen": [0, 1]}
        path = f"/threads/{at}/runs/{run_id}/stream"
        last = parse(server.http.get(path, headers={"last-event-id": "-1"}).text)[-1]
        assert (last.name, last.data["error"]) == ("error", "RunLostError")


def test_a_nested_graph_that_gets_on_is_not_given_up_with_its_superstep(tmp_path: Path) -> None:
    known: dict[str, str] = {}
    gates: list[Gate] = []

    def graphs(gate: Gate) -> dict[str, Any]:
        inner = gate.graphs()["steps"]
        return {
            "outer": StateGraph(Steps).add_node("inner", inner).add_edge(START, "inner").compile()
        }

    def run_until(gate: Gate, here: Path, there: Path) -> None:
        with running(config_of(graphs(gate), here)) as server:
            if not known:
                more = {"stream_resumable": True, "durability": "sync"}
                known["thread"] = thread(server)
                known["run"] = start(server, known["thread"], "outer", {}, **more)["run_id"]
            assert waiting.until(lambda: gate.is_reached)
            copy_files(here, there)
            gate.is_open = True
        gates.append(gate)

    for place in range(1, 5):
        run_until(Gate(place), tmp_path / str(place), tmp_path / str(place + 1))
    with running(config_of(graphs(Gate(-1)), tmp_path / "5")) as server:
        assert ended(server, known["thread"], known["run"]) == "success"
        found = server.http.get(f"/threads/{known['thread']}/state").json()
    assert len(gates) == 4
    assert found["values"] == {"seen": list(range(COUNT))}


def test_a_run_that_ends_while_its_reader_comes_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(3)
    look = runs_api._place

    async def look_until_it_ends(call: Any, row: Any, after: Any) -> Any:
        place = await look(call, row, after)
        gate.is_open = True
        scheduler = call.service.scheduler
        await waiting.auntil(lambda: not scheduler.active)
        return place

    monkeypatch.setattr(runs_api, "_place", look_until_it_ends)
    with running(config_of(gate.graphs(), tmp_path)) as server:
        at = thread(server)
        run_id = start(server, at, "steps", {}, stream_mode="updates", stream_resumable=True)[
            "run_id"
        ]
        assert waiting.until(lambda: gate.is_reached)
        path = f"/threads/{at}/runs/{run_id}/stream"
        events = parse(server.http.get(path, headers={"last-event-id": "-1"}).text)

    assert len(data(events, "updates")) == COUNT
