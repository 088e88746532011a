"""Runs of threads over HTTP: created, streamed, waited for, joined, listed, cancelled."""

from __future__ import annotations

import json
import threading
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import waiting
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs
from server.streams import SINK, live, names, parse, start, stream, thread

pytestmark = pytest.mark.real_time(reason="the nodes of `slow` take some time")

SLOW = {"n": 3000, "delay": 0.02}
QUICK = {"n": 2, "delay": 0.0}
HI = {"messages": [{"role": "user", "content": "hi"}]}


def status_of(server: Running, at: str, run_id: str) -> str:
    response = server.http.get(f"/threads/{at}/runs/{run_id}")
    return str(response.json()["status"]) if response.status_code == 200 else "gone"


def until_running(server: Running, at: str, run_id: str) -> None:
    waiting.until(lambda: status_of(server, at, run_id) == "running")


def state_of(server: Running, at: str) -> dict[str, Any]:
    state: dict[str, Any] = server.http.get(f"/threads/{at}/state").json()
    return state


def test_a_created_run_is_pending_and_has_what_it_was_asked_for(server: Running) -> None:
    at = thread(server)
    response = server.http.post(
        f"/threads/{at}/runs",
        json={
            "assistant_id": "slow",
            "input": QUICK,
            "metadata": {"user": "u3"},
            "stream_mode": ["custom", "values"],
            "config": {"tags": ["a"], "configurable": {"x": 1, "thread_id": "evil"}},
        },
    )
    run = response.json()

    assert list(run) == [
        "run_id",
        "thread_id",
        "assistant_id",
        "metadata",
        "status",
        "kwargs",
        "multitask_strategy",
        "created_at",
        "updated_at",
        "langsmith_session_name",
    ]
    assert response.headers["content-location"] == f"/threads/{at}/runs/{run['run_id']}"
    assert run["status"] == "pending"
    assert run["metadata"] == {
        "created_by": "system",
        "user": "u3",
        "graph_id": "slow",
        "assistant_id": run["assistant_id"],
    }
    assert run["kwargs"]["config"]["tags"] == ["a"]
    configurable = run["kwargs"]["config"]["configurable"]
    assert (configurable["x"], configurable["thread_id"]) == (1, at)
    assert server.http.get(f"/threads/{at}/runs/{run['run_id']}/join").json()["seen"] == [2, -1]
    assert status_of(server, at, run["run_id"]) == "success"
    made = server.http.get(f"/threads/{at}").json()
    assert (made["status"], made["values"]["seen"], made["interrupts"]) == ("idle", [2, -1], {})
    assert made["metadata"]["graph_id"] == "slow"


def test_trap_01_a_run_has_ended_when_its_stream_has(server: Running) -> None:
    for _ in range(20):
        at = thread(server)
        events = stream(server, "slow", QUICK, at=at)
        run_id = events[0].data["run_id"]
        assert status_of(server, at, run_id) == "success"
        assert server.http.get(f"/threads/{at}").json()["status"] == "idle"


@pytest.mark.parametrize(
    ("modes", "expected"),
    [
        (["values"], ["values"] * 4),
        ([], ["values"] * 4),
        (["updates"], ["updates"] * 3),
        (["custom"], ["custom"] * 2),
        (["tasks"], ["tasks"] * 6),
        (["steps"], ["steps"] * 6),
        (["steps", "tasks"], ["tasks"] * 6),
        (["checkpoints"], ["checkpoints"] * 5),
        (["messages-tuple"], ["messages"] * 4),
        (["messages", "messages-tuple"], ["messages"] * 4),
        (
            ["messages"],
            ["messages/metadata", "messages/complete", "messages/metadata"]
            + ["messages/partial"] * 3,
        ),
        (["lifecycle"], ["lifecycle"] * 2),
    ],
    ids=lambda modes: "+".join(modes[:2]) if isinstance(modes, list) else None,
)
def test_trap_15_each_mode_has_its_events(
    server: Running, modes: list[str], expected: list[str]
) -> None:
    events = stream(server, "sink", SINK, stream_mode=modes)

    assert names(events) == ["metadata", *expected]
    assert set(events[0].data) == {"run_id", "attempt"}


def test_trap_17_a_message_has_one_id_in_tokens_and_values(server: Running) -> None:
    modes = ["messages-tuple", "values"]
    for nested in (False, True):
        events = stream(server, "sink", SINK, stream_mode=modes, stream_subgraphs=nested)
        tokens = {e.data[0]["id"] for e in events if e.name.startswith("messages")}
        values = [e.data["messages"] for e in events if e.name == "values"][-1]
        assert tokens == {message["id"] for message in values[1:]}


def test_trap_16_events_of_nested_graphs_name_them(server: Running) -> None:
    modes = ["updates", "custom", "lifecycle"]
    events = stream(server, "sink", SINK, stream_mode=modes, stream_subgraphs=True)

    assert names(events) == [
        "metadata",
        "lifecycle",
        "custom",
        "custom",
        "updates",
        "lifecycle|inner",
        "custom|inner",
        "updates|inner",
        "updates|inner",
        "lifecycle|inner",
        "updates",
        "updates",
        "lifecycle",
    ]
    told = [event.data["event"] for event in events if event.name.startswith("lifecycle")]
    assert told == ["running", "started", "completed", "completed"]


def test_trap_16_partial_messages_have_no_suffix(server: Running) -> None:
    events = stream(server, "sink", SINK, stream_mode=["messages"], stream_subgraphs=True)

    assert {event.name for event in events} == {
        "metadata",
        "messages/metadata",
        "messages/partial",
    }
    texts = [event.data[0]["content"] for event in events if event.name == "messages/partial"]
    assert texts[-1] == "final answer"
    assert "sub graph says hi" in texts


def test_metadata_of_a_token_are_short(server: Running) -> None:
    events = stream(server, "chat", HI, stream_mode="messages-tuple")
    chunk, metadata = events[1].data

    assert chunk["type"] == "AIMessageChunk"
    assert metadata["langgraph_node"] == "call_model"
    said = {"run_id", "langgraph_step", "langgraph_triggers", "langgraph_checkpoint_ns"}
    assert said < set(metadata)
    assert not {"langgraph_version", "created_by", "langgraph_request_id"} & set(metadata)
    assert len(json.dumps(metadata, separators=(",", ":"))) <= 300


def test_events_of_langchain_come_with_other_modes(server: Running) -> None:
    events = stream(server, "sink", SINK, stream_mode=["events", "values"])
    own = [event for event in events if event.name == "events"]

    assert names(events).count("values") == 4
    assert (own[0].data["event"], own[0].data["run_id"]) == (
        "on_chain_start",
        events[0].data["run_id"],
    )
    assert own[-1].data["event"] == "on_chain_end"
    assert "on_chat_model_stream" in {event.data["event"] for event in own}
    # The graph's own chunks are the other modes.
    assert ("on_chain_stream", "sink") not in {
        (event.data["event"], event.data["name"]) for event in own
    }


@pytest.mark.parametrize("modes", [["values"], ["events"]], ids=["engine", "events"])
def test_trap_09_errors_are_events(server: Running, modes: list[str]) -> None:
    at = thread(server)
    events = stream(server, "slow", {**QUICK, "boom": True}, at=at, stream_mode=modes)
    error = {"error": "ValueError", "message": "boom in tick"}

    assert (events[-1].name, events[-1].data) == ("error", error)
    made = server.http.get(f"/threads/{at}").json()
    assert (made["status"], made["error"]) == ("error", error)
    assert made["values"]["boom"] is True
    run_id = events[0].data["run_id"]
    assert status_of(server, at, run_id) == "error"
    assert server.http.get(f"/threads/{at}/runs/{run_id}/join").json() == {"__error__": error}
    waited = server.http.post(
        f"/threads/{at}/runs/wait",
        json={"assistant_id": "slow", "input": {**QUICK, "boom": True}},
    )
    assert (waited.status_code, waited.json()) == (200, {"__error__": error})


def test_input_that_no_graph_takes_is_an_error_of_the_run(server: Running) -> None:
    events = stream(server, "sink", "a string")

    assert names(events) == ["metadata", "error"]
    assert events[1].data["error"] == "InvalidUpdateError"


def test_trap_19_questions_are_asked_and_answered(server: Running) -> None:
    at = thread(server)
    events = stream(server, "hitl", HI, at=at, stream_mode=["values", "updates"])
    asked = events[-1].data["__interrupt__"]

    assert names(events)[-2:] == ["updates", "values"]
    assert events[-2].data == {"__interrupt__": asked}
    # trap 20: RemoteGraph knows no other keys
    assert set(asked[0]) == {"value", "id", "response_schema"}
    assert status_of(server, at, events[0].data["run_id"]) == "success"
    made = server.http.get(f"/threads/{at}").json()
    assert made["status"] == "interrupted"
    assert list(made["interrupts"].values()) == [asked]
    joined = server.http.get(f"/threads/{at}/runs/{events[0].data['run_id']}/join").json()
    assert joined["__interrupt__"] == asked

    answered = server.http.post(
        f"/threads/{at}/runs/wait",
        json={"assistant_id": "hitl", "command": {"resume": {asked[0]["id"]: "yes"}}},
    ).json()

    assert answered["answer"] == "yes"
    made = server.http.get(f"/threads/{at}").json()
    assert (made["status"], made["interrupts"]) == ("idle", {})


def test_waiting_for_a_run_that_asks_gives_the_question(server: Running) -> None:
    at = thread(server)
    body = {"assistant_id": "hitl", "input": HI}
    result = server.http.post(f"/threads/{at}/runs/wait", json=body).json()

    assert [question["value"] for question in result["__interrupt__"]] == [
        {"question": "approve?", "n": 1}
    ]
    assert result["messages"][0]["content"] == "hi"


def test_trap_18_breakpoints_are_empty_questions(server: Running) -> None:
    at = thread(server)
    modes = ["values", "updates"]
    events = stream(server, "sink", SINK, at=at, stream_mode=modes, interrupt_before=["last"])

    assert (events[-1].name, events[-1].data) == ("updates", {"__interrupt__": []})
    assert server.http.get(f"/threads/{at}").json()["status"] == "interrupted"
    rest = stream(server, "sink", None, at=at, stream_mode="updates")
    assert names(rest) == ["metadata", "updates"]
    assert list(rest[1].data) == ["last"]


def test_commands_update_and_go_somewhere(server: Running) -> None:
    at = thread(server)
    stream(server, "sink", SINK, at=at)
    command = {"update": {"topic": "via cmd"}, "goto": {"node": "last", "input": {"log": []}}}
    events = stream(server, "sink", None, at=at, command=command, stream_mode="updates")

    assert [list(event.data) for event in events[1:]] == [["last"]]
    assert state_of(server, at)["values"]["topic"] == "via cmd"


def test_a_run_goes_on_from_a_checkpoint(server: Running) -> None:
    at = thread(server)
    stream(server, "sink", SINK, at=at)
    history = server.http.post(f"/threads/{at}/history", json={"limit": 10}).json()
    before_last = next(state for state in history if state["next"] == ["last"])
    for where in (
        {"checkpoint_id": before_last["checkpoint"]["checkpoint_id"]},
        {"checkpoint": before_last["checkpoint"]},
    ):
        events = stream(server, "sink", None, at=at, stream_mode="updates", **where)
        assert [list(event.data) for event in events[1:]] == [["last"]]


def test_runs_are_listed_the_newest_first(server: Running) -> None:
    at = thread(server)
    made = [start(server, at, "slow", QUICK)["run_id"] for _ in range(3)]
    server.http.get(f"/threads/{at}/runs/{made[-1]}/join")

    listed = server.http.get(f"/threads/{at}/runs").json()
    page = server.http.get(f"/threads/{at}/runs?limit=1&offset=1").json()
    chosen = server.http.get(f"/threads/{at}/runs?select=run_id&select=status&status=success")

    assert [run["run_id"] for run in listed] == made[::-1]
    assert [run["run_id"] for run in page] == [made[1]]
    assert [set(run) for run in chosen.json()] == [{"run_id", "status"}] * 3
    assert server.http.get(f"/threads/{at}/runs?status=error").json() == []


def test_a_thread_that_is_not_there_has_no_list_of_runs(server: Running) -> None:
    path = f"/threads/{uuid.uuid4()}"
    missing = {"detail": f"Thread with ID {path.rpartition('/')[2]} not found"}

    for runs in ("/runs", f"/runs/{uuid.uuid4()}"):
        answer = server.http.get(path + runs)
        assert (answer.status_code, answer.json()) == (404, missing)
    at = thread(server)
    assert server.http.get(f"/threads/{at}/runs").json() == []
    answer = server.http.get(f"/threads/{at}/runs/{uuid.uuid4()}")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"input": {}}, 422),
        ({"assistant_id": "zzz"}, 422),
        ({"assistant_id": "01a1fb48-3156-7218-923e-e32fe9d85d48"}, 404),
        ({"assistant_id": "chat", "stream_mode": "bogus"}, 422),
        ({"assistant_id": "chat", "multitask_strategy": "bogus"}, 422),
        ({"assistant_id": "chat", "after_seconds": -1}, 422),
        ({"assistant_id": "chat", "after_seconds": 1e300}, 422),
        ({"assistant_id": "chat", "config": {"recursion_limit": "x"}}, 422),
        ({"assistant_id": "chat", "config": {"configurable": []}}, 422),
        ({"assistant_id": "chat", "command": {"goto": 7}}, 422),
        ({"assistant_id": "chat", "context": {"a": 1}, "config": {"configurable": {"a": 1}}}, 400),
        ([], 422),
        ("text", 422),
    ],
)
@pytest.mark.parametrize("how", ["", "/stream", "/wait"], ids=["create", "stream", "wait"])
def test_trap_10_mistakes_are_told_and_change_nothing(
    server: Running, how: str, body: Any, status: int
) -> None:
    at = thread(server)
    response = server.http.post(f"/threads/{at}/runs{how}", json=body)

    assert response.status_code == status, response.text
    assert isinstance(response.json()["detail"], str)
    assert server.http.get(f"/threads/{at}/runs").json() == []
    assert server.http.get(f"/threads/{at}").json()["status"] == "idle"


def test_trap_24_null_is_no_value(server: Running) -> None:
    body = dict.fromkeys(("context", "config", "metadata", "command", "stream_mode", "webhook"))
    assert names(stream(server, "sink", SINK, **body))[1:] == ["values"] * 4


def test_trap_23_threads_are_made_only_if_one_says_so(server: Running) -> None:
    at = str(uuid.uuid4())
    body = {"assistant_id": "chat", "input": HI}
    refused = server.http.post(f"/threads/{at}/runs/wait", json=body)
    made = server.http.post(
        f"/threads/{at}/runs/wait", json={**body, "if_not_exists": "create"}
    ).json()

    assert (refused.status_code, refused.json()) == (
        404,
        {"detail": "Thread or assistant not found."},
    )
    assert made["messages"][-1]["content"] == "hello from the fake model"


def test_trap_13_assistants_are_named_by_their_graph_or_id(server: Running) -> None:
    id = start(server, thread(server), "slow", QUICK)["assistant_id"]

    assert names(stream(server, id, QUICK)) == ["metadata", "values", "values", "values"]


def test_what_is_not_there_is_told_in_the_answer(server: Running) -> None:
    at = thread(server)
    path = f"/threads/{at}/runs/{uuid.uuid4()}"
    missing = {"error": "HTTPException", "message": "404: Run not found"}

    assert server.http.get(f"{path}/join").json() == {"__error__": missing}
    assert parse(server.http.get(f"{path}/stream").text) == [("error", missing, None)]
    assert server.http.get(path).status_code == 404
    assert server.http.delete(path).status_code == 404
    assert server.http.post(f"{path}/cancel").status_code == 404


def test_trap_02_and_04_runs_say_where_they_are(server: Running) -> None:
    at = thread(server)
    body = {"assistant_id": "slow", "input": QUICK}
    streamed = server.http.post(f"/threads/{at}/runs/stream", json=body).headers
    waited = server.http.post(f"/threads/{at}/runs/wait", json=body).headers
    path = streamed["content-location"]

    assert path.startswith(f"/threads/{at}/runs/")
    assert streamed["location"] == f"{path}/stream"
    assert streamed["content-type"] == "text/event-stream; charset=utf-8"
    assert (streamed["cache-control"], streamed["x-accel-buffering"]) == ("no-store", "no")
    assert "content-encoding" not in streamed
    assert waited["location"] == f"{waited['content-location']}/join"
    assert server.http.get(f"{path}/stream").headers["location"] == f"{path}/stream"
    assert server.http.get(f"{path}/join").headers["location"] == f"{path}/join"


@pytest.mark.parametrize("modes", [["custom"], ["events"]], ids=["engine", "events"])
@pytest.mark.parametrize("action", ["interrupt", "rollback"])
def test_a_running_run_is_cancelled(server: Running, action: str, modes: list[str]) -> None:
    at = thread(server)
    with server.http.stream(
        "POST",
        f"/threads/{at}/runs/stream",
        json={"assistant_id": "slow", "input": SLOW, "stream_mode": modes},
    ) as response:
        events = live(response)
        run_id = next(events).data["run_id"]
        next(events)
        path = f"/threads/{at}/runs/{run_id}"
        cancelled = server.http.post(f"{path}/cancel?wait=1&action={action}")
        rest = list(events)

    assert (cancelled.status_code, cancelled.json()) == (200, {})
    assert cancelled.headers["location"] == f"{path}/join"
    # trap: the stream ends without an error
    assert "error" not in names(rest)
    made = server.http.get(f"/threads/{at}").json()
    if action == "interrupt":
        assert status_of(server, at, run_id) == "interrupted"
        assert (made["status"], made["error"]["error"]) == ("interrupted", "UserInterrupt")
        assert state_of(server, at)["next"] == ["tick"]
        assert made["values"]["seen"] == []
    else:
        assert status_of(server, at, run_id) == "gone"
        assert (made["status"], made["error"]["error"]) == ("idle", "UserRollback")
        assert state_of(server, at)["checkpoint"] is None
        assert made["values"] is None
    assert server.http.post(f"{path}/cancel").status_code == 404


def test_trap_11_cancelling_without_waiting_says_nothing(server: Running) -> None:
    at = thread(server)
    run_id = start(server, at, "slow", QUICK, after_seconds=30)["run_id"]
    response = server.http.post(f"/threads/{at}/runs/{run_id}/cancel?wait=0")

    assert (response.status_code, response.content) == (202, b"")
    assert status_of(server, at, run_id) == "interrupted"
    assert server.http.get(f"/threads/{at}").json()["status"] == "idle"


def test_runs_are_cancelled_together(server: Running) -> None:
    at = thread(server)
    made = [start(server, at, "slow", SLOW)["run_id"] for _ in range(3)]
    body = {"thread_id": at, "run_ids": made[1:]}
    response = server.http.post("/runs/cancel", json=body)

    assert (response.status_code, response.content) == (204, b"")
    assert [status_of(server, at, run_id) for run_id in made[1:]] == ["interrupted"] * 2
    assert server.http.post("/runs/cancel", json=body).status_code == 404
    server.http.post(f"/threads/{at}/runs/{made[0]}/cancel?wait=true")
    assert server.http.post("/runs/cancel", json={}).status_code == 422


def test_trap_37_a_running_run_can_be_deleted(server: Running) -> None:
    at = thread(server)
    run_id = start(server, at, "slow", SLOW)["run_id"]
    until_running(server, at, run_id)

    assert server.http.delete(f"/threads/{at}/runs/{run_id}").status_code == 204
    assert status_of(server, at, run_id) == "gone"
    assert server.http.get(f"/threads/{at}").json()["status"] != "busy"


def test_a_second_run_is_rejected_on_a_busy_thread(server: Running) -> None:
    at = thread(server)
    first = start(server, at, "slow", SLOW)["run_id"]
    until_running(server, at, first)
    response = server.http.post(
        f"/threads/{at}/runs/stream",
        json={"assistant_id": "slow", "input": QUICK, "multitask_strategy": "reject"},
    )

    assert response.status_code == 409
    assert response.json()["detail"].startswith("Thread is already running a task.")
    assert len(server.http.get(f"/threads/{at}/runs").json()) == 1
    server.http.post(f"/threads/{at}/runs/{first}/cancel?wait=1")


def test_a_second_run_waits_for_the_first(server: Running) -> None:
    at = thread(server)
    first = start(server, at, "slow", {"n": 5, "delay": 0.02})["run_id"]
    events = stream(server, "slow", QUICK, at=at, stream_mode="values")

    assert status_of(server, at, first) == "success"
    assert events[-1].data["seen"] == [5, -1, 2, -1]


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
def test_a_second_run_takes_the_place_of_the_first(server: Running, strategy: str) -> None:
    at = thread(server)
    first = start(server, at, "slow", SLOW)["run_id"]
    # Who is interrupted before that leaves nothing.
    assert waiting.until(lambda: server.http.post(f"/threads/{at}/history", json={}).json())
    waiting_one = start(server, at, "slow", QUICK)["run_id"]
    events = stream(server, "slow", QUICK, at=at, multitask_strategy=strategy)

    assert events[-1].data["seen"] == [2, -1]
    ended = "interrupted" if strategy == "interrupt" else "gone"
    assert [status_of(server, at, run_id) for run_id in (first, waiting_one)] == [ended] * 2
    made = server.http.get(f"/threads/{at}").json()
    assert (made["status"], made["error"]) == ("idle", None)
    sources = [
        state["metadata"]["run_id"]
        for state in server.http.post(f"/threads/{at}/history", json={"limit": 100}).json()
    ]
    assert (first in sources) is (strategy == "interrupt")


def test_a_run_is_put_off(server: Running) -> None:
    at = thread(server)
    made = start(server, at, "slow", QUICK, after_seconds=0.3)

    assert made["status"] == "pending"
    path = f"/threads/{at}/runs/{made['run_id']}/join"
    assert server.http.get(path).json()["seen"] == [2, -1]
    # Whenever it was looked at: a busy machine has no time for that before it begins.
    first = server.http.post(f"/threads/{at}/history", json={"limit": 100}).json()[-1]
    asked, begun = (datetime.fromisoformat(each["created_at"]) for each in (made, first))
    assert begun - asked > timedelta(seconds=0.25)


@pytest.mark.parametrize("path", ["runs/stream", "runs/wait"])
@pytest.mark.parametrize("on_disconnect", ["cancel", "continue"])
def test_a_run_ends_with_its_reader_if_it_is_to(
    server: Running, path: str, on_disconnect: str
) -> None:
    at = thread(server)
    body = {"assistant_id": "slow", "input": SLOW, "on_disconnect": on_disconnect}
    with server.http.stream("POST", f"/threads/{at}/{path}", json=body) as response:
        run_id = response.headers["content-location"].rpartition("/")[2]
        until_running(server, at, run_id)
    if on_disconnect == "cancel":
        waiting.until(lambda: status_of(server, at, run_id) == "interrupted")
    else:
        # Long enough for a cancel to have been noticed: a round trip of its own.
        assert server.http.get("/ok").status_code == 200
        assert status_of(server, at, run_id) == "running"
        server.http.post(f"/threads/{at}/runs/{run_id}/cancel?wait=1")


def test_a_join_cancels_when_it_goes_away_if_it_says_so(server: Running) -> None:
    at = thread(server)
    # A mode in which it keeps talking: a join is told only of what comes.
    run_id = start(server, at, "slow", SLOW, stream_mode=["custom"])["run_id"]
    path = f"/threads/{at}/runs/{run_id}/stream?cancel_on_disconnect=true"
    with server.http.stream("GET", path) as response:
        next(live(response))
    waiting.until(lambda: status_of(server, at, run_id) == "interrupted")


def test_a_join_in_the_middle_gets_what_comes(server: Running) -> None:
    at = thread(server)
    run_id = start(server, at, "slow", SLOW, stream_mode=["custom"])["run_id"]
    with server.http.stream("GET", f"/threads/{at}/runs/{run_id}/stream") as response:
        events = live(response)
        first = next(event for event in events if event.name == "custom").data["i"]
        following = [next(events).data["i"] for _ in range(3)]
    server.http.post(f"/threads/{at}/runs/{run_id}/cancel?wait=1")

    assert following == [first + 1, first + 2, first + 3]


def test_a_stream_that_broke_before_its_first_event_is_read_from_its_beginning(
    server: Running,
) -> None:
    at = thread(server)
    body = {"stream_mode": ["custom"], "stream_resumable": True}
    made = server.http.post(
        f"/threads/{at}/runs/stream",
        json={"assistant_id": "slow", "input": {"n": 5, "delay": 0.0}, **body},
    )
    events, location = parse(made.text), made.headers["location"]

    again = server.http.get(location)
    assert parse(again.text) == events
    assert again.headers["location"] == location.replace("=-1", "=0-0")
    # Clients send the id of the last event that they have seen to the same address.
    behind = server.http.get(location, headers={"last-event-id": str(events[2].id)})
    assert parse(behind.text) == events[3:]
    assert server.http.get(location.replace("-1", "no-id")).status_code == 422


def test_many_readers_see_the_same(server: Running) -> None:
    at = thread(server)
    body = {"assistant_id": "slow", "stream_resumable": True, "stream_mode": ["custom", "values"]}
    run_id = server.http.post(
        f"/threads/{at}/runs", json={**body, "input": {"n": 30, "delay": 0.01}}
    ).json()["run_id"]
    texts: list[str] = []

    def read() -> None:
        path = f"/threads/{at}/runs/{run_id}/stream"
        texts.append(server.http.get(path, headers={"last-event-id": "-1"}).text)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()

    assert len(set(texts)) == 1
    assert len(parse(texts[0])) == 1 + 30 + 3


def test_trap_05_a_stream_is_resumed_where_it_was(server: Running) -> None:
    at = thread(server)
    body = {"stream_mode": ["custom", "values"], "stream_resumable": True}
    events = stream(server, "slow", {"n": 5, "delay": 0.0}, at=at, **body)
    path = f"/threads/{at}/runs/{events[0].data['run_id']}/stream"

    def again(id: str | None, query: str = "") -> list[Any]:
        headers = {} if id is None else {"last-event-id": id}
        return parse(server.http.get(path + query, headers=headers).text)

    assert [int(str(event.id).rpartition("-")[2]) for event in events] == [*range(1, 10)]
    for place, event in enumerate(events, 1):
        assert again(event.id) == events[place:]
    assert again("-1") == events
    assert again("0") == events
    assert again(None) == []
    # trap 7: the filter leaves metadata out
    assert again("-1", "?stream_mode=values") == [each for each in events if each.name == "values"]
    # trap 33: lists come in three forms
    both = [each for each in events if each.name in ("values", "custom")]
    for query in (
        "?stream_mode=values&stream_mode=custom",
        "?stream_mode=values,custom",
        "?stream_mode=%5B%22values%22,%22custom%22%5D",
    ):
        assert again("-1", query) == both
    assert server.http.get(path, headers={"last-event-id": "x"}).status_code == 422


def test_a_long_stream_is_read_again_from_anywhere(server: Running) -> None:
    """What is no longer in memory comes from the database: without a gap, and nothing twice."""
    at = thread(server)
    body = {"stream_mode": ["custom"], "stream_resumable": True}
    events = stream(server, "slow", {"n": 3000, "delay": 0.0}, at=at, **body)
    path = f"/threads/{at}/runs/{events[0].data['run_id']}/stream"
    rest = parse(server.http.get(path, headers={"last-event-id": str(events[1500].id)}).text)

    assert [event.data["i"] for event in events[1:]] == list(range(3000))
    assert rest == events[1501:]


def test_stateless_runs_leave_no_thread(server: Running) -> None:
    body = {"assistant_id": "slow", "input": QUICK}
    created = server.http.post("/runs", json=body)
    run = created.json()
    streamed = server.http.post("/runs/stream", json=body)
    waited = server.http.post("/runs/wait", json=body)

    assert created.headers["content-location"] == f"/runs/{run['run_id']}"
    assert run["kwargs"]["temporary"] is True
    assert names(parse(streamed.text)) == ["metadata", "values", "values", "values"]
    assert streamed.headers["location"] == f"{streamed.headers['content-location']}/stream"
    assert waited.json()["seen"] == [2, -1]
    assert waited.headers["location"].startswith("/threads/")
    at = run["thread_id"]
    waiting.until(lambda: server.http.get(f"/threads/{at}").status_code == 404)


def test_trap_04_a_stateless_stream_is_resumed_where_it_says(server: Running) -> None:
    body = {"assistant_id": "slow", "input": QUICK, "stream_resumable": True}
    streamed = server.http.post("/runs/stream", json=body)
    again = server.http.get(streamed.headers["location"], headers={"last-event-id": "-1"})

    assert again.text == streamed.text
    assert parse(again.text)[-1].data["seen"] == [2, -1]


def test_stateless_runs_keep_their_thread_if_they_are_to(server: Running) -> None:
    body = {"assistant_id": "slow", "input": QUICK, "on_completion": "keep"}
    waited = server.http.post("/runs/wait", json=body)
    at = waited.headers["location"].split("/")[2]

    assert server.http.get(f"/threads/{at}").json()["values"] == waited.json()


def test_runs_are_created_in_batches(server: Running) -> None:
    one = {"assistant_id": "slow", "input": QUICK}
    response = server.http.post("/runs/batch", json=[one, one])

    assert [run["status"] for run in response.json()] == ["pending"] * 2
    assert server.http.post("/runs/batch", json=[one, {}]).status_code == 422


def test_an_idempotency_key_makes_one_run(server: Running) -> None:
    at = thread(server)
    headers = {"idempotency-key": str(uuid.uuid4())}
    body = {"assistant_id": "slow", "input": QUICK}
    made = [
        server.http.post(f"/threads/{at}/runs", json=body, headers=headers).json()["run_id"]
        for _ in range(3)
    ]
    waited = server.http.post(f"/threads/{at}/runs/wait", json=body, headers=headers)
    streamed = server.http.post(f"/threads/{at}/runs/stream", json=body, headers=headers)

    assert len(set(made)) == 1
    assert waited.json()["seen"] == [2, -1]
    assert streamed.status_code == 409
    assert len(server.http.get(f"/threads/{at}/runs").json()) == 1


def test_an_idempotency_key_of_a_batch_is_one_for_each_of_its_runs(server: Running) -> None:
    headers = {"idempotency-key": str(uuid.uuid4())}
    kept = {"assistant_id": "slow", "input": QUICK, "on_completion": "keep"}
    first, again = (
        [
            run["run_id"]
            for run in server.http.post("/runs/batch", json=[kept] * 3, headers=headers).json()
        ]
        for _ in range(2)
    )

    assert len(set(first)) == 3
    assert again == first


def test_an_idempotency_key_holds_across_a_restart(tmp_path: Path) -> None:
    headers = {"idempotency-key": "k"}
    kept = {"assistant_id": "slow", "input": QUICK, "on_completion": "keep"}
    made = []
    for _ in range(2):
        with running(config_of(make_graphs(), tmp_path)) as server:
            made.append(server.http.post("/runs", json=kept, headers=headers).json()["run_id"])
            for path in ("/runs/wait", "/runs/stream"):
                server.http.post(path, json=kept, headers=headers)
            assert server.http.post("/threads/count", json={}).json() == 1

    assert made[0] == made[1]


def test_trap_27_a_thread_is_read_as_long_as_one_likes(server: Running) -> None:
    at = thread(server)
    with server.http.stream("GET", f"/threads/{at}/stream") as response:
        events = live(response)
        run_ids = [stream(server, "slow", QUICK, at=at)[0].data["run_id"] for _ in range(2)]
        seen = [next(events) for _ in range(10)]
    assert [each.data for each in seen if each.name == "metadata"] == [
        told
        for run_id in run_ids
        for told in (
            {"run_id": run_id, "attempt": 1},
            {"status": "run_done", "run_id": run_id},
        )
    ]
    assert names(seen)[1:4] == ["values"] * 3
    ids = [tuple(map(int, str(event.id).split("-"))) for event in seen]
    assert ids == sorted(set(ids))


@pytest.mark.parametrize("name", ["stream_mode", "stream_modes"])
def test_trap_27_a_thread_is_read_by_either_name(server: Running, name: str) -> None:
    at = thread(server)
    path = f"/threads/{at}/stream?{name}=lifecycle"
    with server.http.stream("GET", path) as response:
        events = live(response)
        stream(server, "slow", QUICK, at=at)
        seen = [next(events) for _ in range(2)]

    assert names(seen) == ["metadata"] * 2


def test_a_thread_is_read_again_from_an_event_on(server: Running) -> None:
    at = thread(server)
    said = [
        event
        for _ in range(2)
        for event in stream(server, "slow", QUICK, at=at, stream_resumable=True)
    ]
    headers = {"last-event-id": str(said[1].id)}
    with server.http.stream("GET", f"/threads/{at}/stream", headers=headers) as response:
        events = live(response)
        seen = [next(events) for _ in said[2:]]

    assert seen == said[2:]


def test_a_thread_that_is_not_there_has_no_stream(server: Running) -> None:
    assert server.http.get(f"/threads/{uuid.uuid4()}/stream").status_code == 404
