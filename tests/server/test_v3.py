"""Commands and event streams of the protocol, over server-sent events."""

from __future__ import annotations

import random
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import waiting
from server.fixtures import Running
from server.protocol import (
    ALL,
    command,
    data_of,
    is_end,
    listening,
    refused,
    result,
    run,
    text_of,
    until,
)
from server.streams import SINK, Event, names, start, stream, thread

HI = {"messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def at() -> str:
    """Give the id of a thread that there is not."""
    return str(uuid.uuid4())


def keys(events: list[Event]) -> list[str]:
    return [event.data["event_id"] for event in events]


def test_a_run_that_is_started_by_a_command_tells_its_events(server: Running, at: str) -> None:
    events = run(server, at, "chat", HI)

    lifecycle = [data["event"] for data in data_of(events, "lifecycle")]
    messages = [data["event"] for data in data_of(events, "messages")]
    assert lifecycle == ["running", "completed"]
    assert messages == [
        "message-start",
        "content-block-start",
        *["content-block-delta"] * 9,
        "content-block-finish",
        "message-finish",
    ]
    assert text_of(events) == "hello from the fake model"
    last = data_of(events, "values")[-1]["messages"][-1]
    assert (last["type"], last["content"]) == ("ai", "hello from the fake model")
    assert set(last) == {"type", "content", "id"}


def test_every_channel_has_something_of_a_run_with_tools(server: Running, at: str) -> None:
    events = run(server, at, "tools", {"messages": [{"role": "user", "content": "1+2"}]})

    assert {event.name for event in events} == {*ALL} - {"input", "custom"}
    assert [data["event"] for data in data_of(events, "tools")] == [
        "tool-started",
        "tool-finished",
    ]
    assert [data["node"] for data in data_of(events, "updates")] == ["agent", "tools", "agent"]
    checkpoints = data_of(events, "checkpoints")
    assert [one["step"] for one in checkpoints] == [-1, 0, 1, 2, 3]
    assert [one.get("parent_id") for one in checkpoints[1:]] == [
        one["id"] for one in checkpoints[:-1]
    ]


def test_what_nested_graphs_say_is_told_with_their_namespace(server: Running, at: str) -> None:
    events = run(server, at, "sink", SINK)

    assert [data["event"] for data in data_of(events, "lifecycle", nested=True)] == [
        "started",
        "completed",
    ]
    assert text_of(events, nested=True) == "sub graph says hi"
    assert text_of(events) == "final answer"
    assert data_of(events, "custom") == [
        {"payload": {"progress": 1}},
        {"payload": "a plain string"},
    ]
    assert data_of(events, "custom", nested=True) == [{"payload": {"sub": "a", "topic": "cats"}}]


def test_events_are_numbered_on_from_run_to_run(server: Running, at: str) -> None:
    with listening(server, at) as live:
        result(server, at, "run.start", assistant_id="chat", input=HI)
        first = until(live, is_end)
        result(server, at, "run.start", assistant_id="chat", input=HI)
        second = until(live, is_end)
    with listening(server, at) as live:
        again = [*until(live, is_end), *until(live, is_end)]

    events = first + second
    assert [event.data["seq"] for event in events] == [*range(1, len(events) + 1)]
    assert [event.id for event in events] == [str(event.data["seq"]) for event in events]
    assert again == events


def test_trap_26_a_stream_listens_to_a_thread_that_there_is_not_yet(
    server: Running, at: str
) -> None:
    with listening(server, at, "lifecycle", "input") as live:
        assert server.http.get(f"/threads/{at}").status_code == 404
        result(server, at, "run.start", assistant_id="chat", input=HI)

        assert [event.name for event in until(live, is_end)] == ["lifecycle", "lifecycle"]
    assert server.http.get(f"/threads/{at}").json()["status"] == "idle"


def test_trap_28_a_stream_stays_and_the_ids_of_its_events_are_the_same_for_everybody(
    server: Running, at: str
) -> None:
    with listening(server, at, "values") as one, listening(server, at) as other:
        result(server, at, "run.start", assistant_id="chat", input=HI)
        both = until(other, is_end)
        result(server, at, "run.start", assistant_id="chat", input=HI)
        both += until(other, is_end)
        # Its connection is that of the first run still.
        values = until(one, lambda event: event.data["seq"] == last_value(both))

    assert len({*keys(both)}) == len(both)
    assert keys(values) == keys([event for event in both if event.name == "values"])


def last_value(events: list[Event]) -> int:
    return max(event.data["seq"] for event in events if event.name == "values")


def test_trap_29_a_question_has_its_payload_under_both_names(server: Running, at: str) -> None:
    events = run(server, at, "hitl", HI)

    [asked] = data_of(events, "input.requested")
    assert asked["payload"] == asked["value"] == {"question": "approve?", "n": 1}
    assert [data["event"] for data in data_of(events, "lifecycle")] == ["running", "interrupted"]


def test_trap_30_commands_that_fail_are_answered_and_no_http_error(
    server: Running, at: str
) -> None:
    assert refused(server, at, "run.start", input={}) == "invalid_argument"
    assert refused(server, at, "run.start", assistant_id="zzz") == "unknown_error"
    assert refused(server, "abc", "run.start", assistant_id="chat") == "unknown_error"
    assert refused(server, at, "run.start", assistant_id="chat", config=3) == "invalid_argument"
    assert refused(server, at, "foo.bar") == "unknown_command"
    assert refused(server, at, "input.respond", interrupt_id="x") == "invalid_argument"
    assert refused(server, at, "agent.getTree") == "no_such_run"
    assert refused(server, at, "agent.getTree", run_id=at) == "no_such_run"
    assert refused(server, at, "state.fork", checkpoint_id="x") == "no_such_checkpoint"
    assert refused(server, at, "state.get", namespace="x") == "invalid_argument"
    assert refused(server, at, "state.get", namespace=["x"]) == "no_such_namespace"
    assert refused(server, at, "subscription.subscribe", channels=[]) == "invalid_argument"
    assert refused(server, at, "subscription.unsubscribe", subscription_id=at) == (
        "no_such_subscription"
    )
    assert server.http.get(f"/threads/{at}").status_code == 404


@pytest.mark.parametrize("sent", [{"method": "run.start"}, {"id": "1", "method": "x"}, [], 3])
def test_what_is_no_command_is_a_bad_request(server: Running, at: str, sent: Any) -> None:
    response = server.http.post(f"/threads/{at}/commands", json=sent)

    assert response.status_code == 400
    assert response.json()["error"] == "invalid_argument"


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"channels": []},
        {"channels": ["zzz"]},
        {"channels": ["custom:"]},
        {"channels": [3]},
        {"channels": ["values"], "namespaces": [3]},
        {"channels": ["values"], "depth": -1},
        {"channels": ["values"], "since": "x"},
        {"channels": ["values"], "since": True},
        {"channels": ["values"], "since_event_id": 3},
        [],
    ],
)
def test_what_is_no_filter_is_a_bad_request(server: Running, at: str, sent: Any) -> None:
    response = server.http.post(f"/threads/{at}/stream/events", json=sent)

    assert response.status_code == 400, response.text
    assert response.json()["detail"]


def test_filters_choose_channels_and_graphs(server: Running, at: str) -> None:
    events = run(server, at, "sink", SINK)

    def chosen(**params: Any) -> list[str]:
        channels = params.pop("channels", ALL)
        with listening(server, at, *channels, **params) as live:
            # The last one passes all of these filters.
            return keys(until(live, is_end))

    def expected(wanted: Any) -> list[str]:
        return keys([event for event in events if wanted(event, event.data["params"])])

    assert chosen(channels=["lifecycle", "messages"]) == expected(
        lambda event, _: event.name in ("lifecycle", "messages")
    )
    assert chosen(namespaces=[[]], depth=0) == expected(lambda _, params: not params["namespace"])
    assert chosen(namespaces=[[]], depth=1) == keys(events)
    with listening(server, at, "lifecycle", namespaces=[["inner"]]) as live:
        nested = [next(live), next(live)]
    assert [event.data["params"]["data"]["event"] for event in nested] == ["started", "completed"]


@pytest.mark.parametrize("how", ["since", "since_event_id", "header", "header id"])
def test_a_stream_is_resumed_behind_any_of_its_events(server: Running, at: str, how: str) -> None:
    events = run(server, at, "sink", SINK)

    for seen in random.Random(how).sample(range(len(events) - 1), 5):
        last = events[seen]
        params: dict[str, Any] = {
            "since": {"since": last.data["seq"]},
            "since_event_id": {"since_event_id": last.data["event_id"]},
            "header": {"headers": {"last-event-id": last.id}},
            "header id": {"headers": {"last-event-id": last.data["event_id"]}},
        }[how]
        with listening(server, at, **params) as live:
            assert until(live, is_end) == events[seen + 1 :]


@pytest.mark.real_time(reason="the node takes some time, so that it is joined in mid-stream")
def test_what_was_interrupted_in_mid_stream_is_the_same_as_what_was_not(
    server: Running, at: str
) -> None:
    slow = {"n": 40, "delay": 0.005}
    chance = random.Random(1)
    pieces: list[Event] = []
    result(server, at, "run.start", assistant_id="slow", input=slow)
    while not pieces or not is_end(pieces[-1]):
        since = pieces[-1].data["seq"] if pieces else 0
        length = chance.randrange(1, 6)
        with listening(server, at, since=since) as live:
            for event in live:
                pieces.append(event)
                length -= 1
                if not length or is_end(event):
                    break
    with listening(server, at) as live:
        undisturbed = until(live, is_end)

    assert pieces == undisturbed
    assert [data["payload"]["i"] for data in data_of(pieces, "custom")] == [*range(40)]


def test_a_question_is_answered_by_a_command_once(server: Running, at: str) -> None:
    with listening(server, at) as live:
        result(server, at, "run.start", assistant_id="hitl", input=HI)
        [asked] = data_of(until(live, is_end), "input.requested")
        question = asked["interrupt_id"]
        assert refused(server, at, "input.respond", interrupt_id="nope", response=1) == (
            "no_such_interrupt"
        )
        result(server, at, "input.respond", interrupt_id=question, namespace=[], response="ok")
        events = until(live, is_end)
        assert refused(server, at, "input.respond", interrupt_id=question, response="no") == (
            "no_such_interrupt"
        )

    assert data_of(events, "values")[-1]["answer"] == "ok"
    assert server.http.get(f"/threads/{at}").json()["status"] == "idle"


def test_a_question_is_answered_that_is_seen_before_the_end_of_its_run_is_stored(
    server: Running, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = server.service.scheduler
    store, go = scheduler._store_end, threading.Event()

    async def store_later(job: Any, end: Any) -> Any:
        await waiting.auntil(go.is_set)
        return await store(job, end)

    def asked() -> list[Any]:
        found: list[Any] = server.http.get(f"/threads/{at}/state").json()["interrupts"]
        return found

    monkeypatch.setattr(scheduler, "_store_end", store_later)
    run_id = result(server, at, "run.start", assistant_id="hitl", input=HI)["run_id"]
    assert waiting.until(asked)
    given = {"interrupt_id": asked()[0]["id"], "response": "ok"}
    with ThreadPoolExecutor() as pool:
        answering = pool.submit(lambda: result(server, at, "input.respond", **given))
        # It waits for the end of the run that has asked, and nobody else does.
        assert waiting.until(lambda: run_id in scheduler.results._waiters or answering.done())
        go.set()
        answered = answering.result()

    server.http.get(f"/threads/{at}/runs/{answered['run_id']}/join")
    assert server.http.get(f"/threads/{at}/state").json()["values"]["answer"] == "ok"


def test_who_sees_the_end_of_a_run_can_go_on_with_what_it_has_left(
    server: Running, at: str
) -> None:
    with listening(server, at, "lifecycle", "input") as live:
        for n in range(5):
            result(server, at, "run.start", assistant_id="hitl", input=HI)
            asked = until(live, lambda event: event.name == "input.requested")[-1]
            question = asked.data["params"]["data"]["interrupt_id"]
            result(
                server,
                at,
                "input.respond",
                responses=[{"interrupt_id": question, "namespace": [], "response": n}],
                update={"answer": "x"},
            )
            until(live, is_end)
            until(live, is_end)
            assert server.http.get(f"/threads/{at}/state").json()["values"]["answer"] == n


def test_a_run_that_fails_says_why(server: Running, at: str) -> None:
    events = run(server, at, "slow", {"n": 1, "boom": True})

    assert data_of(events, "lifecycle")[-1] == {
        "event": "failed",
        "graph_name": "slow",
        "error": "boom in tick",
    }


@pytest.mark.parametrize("action", ["interrupt", "rollback"])
def test_a_run_that_is_cancelled_ends_as_interrupted(server: Running, at: str, action: str) -> None:
    with listening(server, at, "custom", "lifecycle") as live:
        made = result(server, at, "run.start", assistant_id="slow", input={"n": 9, "delay": 9})
        until(live, lambda event: event.name == "custom")
        path = f"/threads/{at}/runs/{made['run_id']}/cancel"
        assert server.http.post(path, params={"action": action}).status_code == 202
        last = until(live, is_end)[-1]

    assert last.data["params"]["data"]["event"] == "interrupted"


def test_state_and_checkpoints_are_read_and_forked_by_commands(server: Running, at: str) -> None:
    run(server, at, "sink", SINK)

    now = result(server, at, "state.get", namespace=[], keys=["topic", "log", "none"])
    listed = result(server, at, "state.listCheckpoints", limit=20)["checkpoints"]
    assert now["values"] == {"topic": "cats!", "log": ["first", "last"]}
    assert now["checkpoint"] == {"id": listed[0]["id"]}
    assert [one["step"] for one in listed] == [3, 2, 1, 0, -1]
    before = result(server, at, "state.listCheckpoints", before=listed[2]["id"])["checkpoints"]
    assert before == listed[3:]

    with listening(server, at, "lifecycle", "values", namespaces=[[]], depth=0) as live:
        until(live, is_end)
        forked = result(server, at, "state.fork", checkpoint_id=listed[2]["id"])
        events = until(live, is_end)
    assert forked["thread_id"] == at
    assert data_of(events, "values")[-1]["log"] == ["first", "last"]


@pytest.mark.parametrize("where", ["forkFrom", "configurable"])
def test_a_run_begins_at_a_checkpoint_that_its_command_names(
    server: Running, at: str, where: str
) -> None:
    events = run(server, at, "slow", {"n": 1})
    # After the first node, before the second one.
    place = data_of(events, "checkpoints")[2]["id"]
    params: dict[str, Any] = {
        "forkFrom": {"forkFrom": place},
        "configurable": {"config": {"configurable": {"thread_id": at, "checkpoint_id": place}}},
    }[where]

    with listening(server, at, "lifecycle", "values") as live:
        until(live, is_end)
        result(server, at, "run.start", assistant_id="slow", input={"n": 5}, **params)
        told = until(live, is_end)
    assert data_of(told, "values")[-1]["seen"] == [1, 5, -1]


def test_a_message_is_injected_as_the_input_of_a_run(server: Running, at: str) -> None:
    message = {"role": "user", "content": "and now?"}
    assert refused(server, at, "input.inject", namespace=[], message=message) == "no_such_run"
    run(server, at, "chat", HI)

    with listening(server, at, "lifecycle") as live:
        until(live, is_end)
        assert result(server, at, "input.inject", namespace=[], message=message) == {}
        until(live, is_end)

    assert refused(server, at, "input.inject", namespace=["x"], message=message) == "not_supported"
    messages = result(server, at, "state.get")["values"]["messages"]
    assert [one["content"] for one in messages][2] == "and now?"


def test_the_tree_of_a_run_is_told_while_it_goes_on_and_later(server: Running, at: str) -> None:
    with listening(server, at, "custom", "lifecycle") as live:
        made = result(server, at, "run.start", assistant_id="slow", input={"n": 9, "delay": 9})
        until(live, lambda event: event.name == "custom")
        tree = result(server, at, "agent.getTree")["tree"]
        assert tree == {"namespace": [], "graph_name": "slow", "status": "running"}
        server.http.post(f"/threads/{at}/runs/{made['run_id']}/cancel")
        until(live, is_end)
    other = str(uuid.uuid4())
    with listening(server, other, "lifecycle") as live:
        made = result(server, other, "run.start", assistant_id="sink", input=SINK)
        until(live, is_end)

    tree = result(server, other, "agent.getTree", run_id=made["run_id"])["tree"]
    assert (tree["graph_name"], tree["status"]) == ("sink", "completed")
    assert [(child["graph_name"], child["status"]) for child in tree["children"]] == [
        ("inner", "completed")
    ]
    assert refused(server, at, "agent.getTree", run_id=made["run_id"]) == "no_such_run"


def test_readers_of_the_older_api_see_nothing_of_the_protocol(server: Running) -> None:
    at = thread(server)
    made = result(server, at, "run.start", assistant_id="chat", input=HI)
    result_of = server.http.get(f"/threads/{at}/runs/{made['run_id']}/join").json()
    path = f"/threads/{at}/runs/{made['run_id']}/stream"
    again = server.http.get(path, headers={"last-event-id": "-1"}).text

    assert result_of["messages"][-1]["content"] == "hello from the fake model"
    assert "v3" not in again
    assert "event_id" not in again


def test_runs_of_both_apis_share_a_thread(server: Running, at: str) -> None:
    run(server, at, "chat", HI)
    events = stream(server, "chat", HI, at=at, stream_mode="values")
    start(server, at, "chat", HI)
    with listening(server, at, "lifecycle", "values") as live:
        until(live, is_end)
        result(server, at, "run.start", assistant_id="chat", input=HI)
        more = until(live, is_end)

    assert len(events[-1].data["messages"]) == 4
    assert len(data_of(more, "values")[-1]["messages"]) == 8


def test_commands_name_the_answer_by_their_id(server: Running, at: str) -> None:
    answer = command(server, at, "subscription.reconnect", run_id=at, last_event_id="1-1")

    assert answer["result"] == {"restored": False}
    assert answer["meta"] == {"applied_through_seq": 0}


@pytest.mark.parametrize("modes", [["values"], ["updates", "custom", "tasks", "checkpoints"]])
@pytest.mark.parametrize("graph", ["sink", "hitl"])
def test_a_run_of_the_older_api_is_told_to_who_reads_its_thread(
    server: Running, at: str, graph: str, modes: list[str]
) -> None:
    alone = stream(server, graph, SINK, stream_mode=modes, stream_subgraphs=True)
    with listening(server, at) as live:
        beside = stream(server, graph, SINK, at=at, stream_mode=modes, stream_subgraphs=True)
        told = until(live, is_end)

    assert names(beside) == names(alone)
    assert [type(event.data) for event in beside] == [type(event.data) for event in alone]
    assert data_of(told, "lifecycle")[0]["event"] == "running"
    values = [event.data for event in beside if event.name == "values"]
    if values:
        said = {key: value for key, value in values[-1].items() if key != "__interrupt__"}
        assert data_of(told, "values")[-1].keys() == said.keys()
        assert ("__interrupt__" in values[-1]) == (graph == "hitl")
    assert text_of(told) == ("final answer" if graph == "sink" else "")


def test_a_run_that_was_queued_by_the_older_api_is_told_too(server: Running, at: str) -> None:
    with listening(server, at, "lifecycle", "values") as live:
        result(server, at, "run.start", assistant_id="slow", input={"n": 1})
        start(server, at, "slow", {"n": 2}, multitask_strategy="enqueue")
        until(live, is_end)
        second = until(live, is_end)

    assert data_of(second, "values")[-1]["seen"] == [1, -1, 2, -1]


METHODS = [
    "run.start",
    "input.respond",
    "input.inject",
    "state.get",
    "state.listCheckpoints",
    "state.fork",
    "agent.getTree",
    "subscription.subscribe",
    "subscription.unsubscribe",
    "subscription.reconnect",
]
NAMES = [
    "assistant_id",
    "before",
    "channels",
    "checkpoint_id",
    "config",
    "depth",
    "forkFrom",
    "goto",
    "input",
    "interrupt_id",
    "keys",
    "limit",
    "message",
    "metadata",
    "multitaskStrategy",
    "namespace",
    "namespaces",
    "response",
    "responses",
    "run_id",
    "since",
    "subscription_id",
    "update",
]
ODD: list[Any] = [
    None,
    True,
    -1,
    10**30,
    1.5,
    "",
    "chat",
    "x" * 3000,
    "\x00",
    [],
    [None],
    ["values"],
    [[]],
    [{}],
    {},
    {"role": "user", "content": "x"},
    {"configurable": 3},
    {"configurable": {"checkpoint_id": "x", "thread_id": 3}},
    {"interrupt_id": "x", "response": 1},
]


@pytest.mark.parametrize("method", METHODS)
def test_no_parameters_are_a_failure_of_the_server(
    server: Running, at: str, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(method)
    run(server, at, "hitl", HI)
    for _ in range(20):
        params = {name: chance.choice(ODD) for name in chance.sample(NAMES, 8)}
        sent = {"id": 1, "method": method, "params": params}
        response = server.http.post(f"/threads/{at}/commands", json=sent)
        assert response.status_code == 200, (params, response.text)
        assert response.json()["type"] in ("success", "error")
    assert [record.message for record in caplog.records if record.exc_info] == []
