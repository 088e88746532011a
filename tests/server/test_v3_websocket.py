"""The protocol over WebSockets: commands and events in one connection."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

import waiting
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs
from server.protocol import ALL, is_end, listening, result, until
from server.streams import SINK, Event
from server.test_auth import ALICE, BOB, guarded

HI = {"messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def at() -> str:
    """Give the id of a thread that there is not."""
    return str(uuid.uuid4())


def address(server: Running, at: str) -> str:
    return f"{server.url.replace('http', 'ws', 1)}/threads/{at}/stream/events"


@contextmanager
def connected(server: Running, at: str, **options: Any) -> Iterator[ClientConnection]:
    with connect(address(server, at), max_size=None, **options) as socket:
        yield socket


def say(socket: ClientConnection, method: str, **params: Any) -> dict[str, Any]:
    """Send a command, and return its answer, which comes before anything that it leads to."""
    socket.send(json.dumps({"id": 7, "method": method, "params": params}))
    return answer(socket)


def answer(socket: ClientConnection) -> dict[str, Any]:
    while True:
        received: dict[str, Any] = json.loads(socket.recv(timeout=20))
        if received["type"] != "event":
            return received


def events(socket: ClientConnection) -> Iterator[Event]:
    while True:
        received = json.loads(socket.recv(timeout=20))
        if received["type"] == "event":
            yield Event(received["method"], received, str(received["seq"]))


def test_events_are_those_of_server_sent_events(server: Running, at: str) -> None:
    with connected(server, at) as socket:
        subscribed = say(socket, "subscription.subscribe", channels=ALL)
        assert subscribed["result"]["subscription_id"]
        started = say(socket, "run.start", assistant_id="sink", input=SINK)
        assert started["result"]["run_id"]
        told = until(events(socket), is_end)
    with listening(server, at) as live:
        expected = until(live, is_end)

    # What was said before the answer to the command is read with that.
    assert told == expected[len(expected) - len(told) :]
    assert len(told) > len(expected) / 2


def test_a_subscription_replays_what_is_kept_behind_a_place(server: Running, at: str) -> None:
    with listening(server, at) as live:
        result(server, at, "run.start", assistant_id="chat", input=HI)
        told = until(live, is_end)
    with connected(server, at) as socket:
        say(socket, "subscription.subscribe", channels=ALL, since=4)
        assert until(events(socket), is_end) == told[4:]
    with connected(server, at) as socket:
        last = told[6].data["event_id"]
        subscription = say(
            socket, "subscription.subscribe", channels=["messages"], since_event_id=last
        )["result"]["subscription_id"]
        messages = [event for event in told[7:] if event.name == "messages"]
        assert [next(events(socket)) for _ in messages] == messages

        again = say(
            socket,
            "subscription.reconnect",
            run_id=at,
            last_event_id=messages[-2].data["event_id"],
            subscriptions=[subscription],
        )
        assert again["result"] == {"restored": True}
        assert next(events(socket)) == messages[-1]


def test_what_several_subscriptions_ask_for_comes_once_and_in_order(
    server: Running, at: str
) -> None:
    with connected(server, at) as socket:
        both = [
            say(socket, "subscription.subscribe", channels=channels)["result"]["subscription_id"]
            for channels in (["lifecycle", "input"], ALL)
        ]
        result(server, at, "run.start", assistant_id="sink", input=SINK)
        told = until(events(socket), is_end)

        say(
            socket,
            "subscription.reconnect",
            run_id=at,
            last_event_id=told[1].data["event_id"],
            subscriptions=both,
        )
        told_again = until(events(socket), is_end)
    with listening(server, at) as live:
        expected = until(live, is_end)

    # Who is told of the end of a run waits for nothing of it any more.
    assert told == expected
    assert told_again == expected[2:]


def test_a_client_that_comes_back_with_several_subscriptions_is_told_once_and_in_order(
    server: Running, at: str
) -> None:
    with listening(server, at) as live:
        result(server, at, "run.start", assistant_id="chat", input=HI)
        expected = until(live, is_end)
    with connected(server, at) as socket:
        for channels in (["lifecycle", "input"], ALL):
            params = {"channels": channels}
            socket.send(json.dumps({"id": 1, "method": "subscription.subscribe", "params": params}))
        assert until(events(socket), is_end) == expected


def test_what_is_no_longer_subscribed_does_not_come(server: Running, at: str) -> None:
    with connected(server, at) as socket:
        first = say(socket, "subscription.subscribe", channels=["values"])["result"]
        say(socket, "subscription.subscribe", channels=["lifecycle"])
        ended = say(socket, "subscription.unsubscribe", subscription_id=first["subscription_id"])
        assert ended["result"] == {}
        twice = say(socket, "subscription.unsubscribe", subscription_id=first["subscription_id"])
        assert twice["error"] == "no_such_subscription"
        result(server, at, "run.start", assistant_id="chat", input=HI)

        assert [event.name for event in until(events(socket), is_end)] == ["lifecycle"] * 2


def test_a_question_is_answered_in_the_same_connection(server: Running, at: str) -> None:
    with connected(server, at) as socket:
        say(socket, "subscription.subscribe", channels=["input", "lifecycle", "values"])
        socket.send(
            json.dumps(
                {
                    "id": 1,
                    "method": "run.start",
                    "params": {"assistant_id": "hitl", "input": HI},
                }
            )
        )
        asked = until(events(socket), lambda event: event.name == "input.requested")[-1]
        socket.send(
            json.dumps(
                {
                    "id": 2,
                    "method": "input.respond",
                    "params": {
                        "namespace": [],
                        "interrupt_id": asked.data["params"]["data"]["interrupt_id"],
                        "response": "ok",
                    },
                }
            )
        )
        until(events(socket), is_end)
        told = until(events(socket), is_end)

    values = [event for event in told if event.name == "values"]
    assert values[-1].data["params"]["data"]["answer"] == "ok"


@pytest.mark.parametrize("sent", ["{no json", "[]", "3", '{"id": 1}', "", "[" * 5000, b"\x00\x01"])
def test_what_is_no_command_is_answered_and_the_connection_stays(
    server: Running, at: str, sent: str | bytes
) -> None:
    with connected(server, at) as socket:
        socket.send(sent)

        assert answer(socket)["error"] == "invalid_argument"
        assert say(socket, "foo.bar")["error"] == "unknown_command"
        assert say(socket, "subscription.subscribe", channels=["x"])["error"] == "invalid_argument"


def test_a_handshake_for_what_is_no_thread_is_refused(server: Running) -> None:
    with pytest.raises(InvalidStatus) as refused, connected(server, "abc"):
        pass

    assert refused.value.response.status_code == 422


def test_pages_of_other_origins_than_the_configured_ones_are_refused(tmp_path: Path) -> None:
    config = config_of(make_graphs(), tmp_path)
    http = type(config.http)(cors={"allow_origins": ["https://mine.example"]})
    config = config_of(make_graphs(), tmp_path, http=http)
    with running(config) as server:
        with connected(server, str(uuid.uuid4()), origin="https://mine.example") as socket:
            assert say(socket, "foo.bar")["error"] == "unknown_command"
        with (
            pytest.raises(InvalidStatus) as refused,
            connected(server, str(uuid.uuid4()), origin="https://other.example"),
        ):
            pass

    assert refused.value.response.status_code == 403


def test_a_client_that_goes_away_leaves_nothing(server: Running, at: str) -> None:
    logs = server.service.logs
    with connected(server, at) as socket:
        say(socket, "subscription.subscribe", channels=ALL)
        say(socket, "subscription.subscribe", channels=["values"])
        made = say(socket, "run.start", assistant_id="slow", input={"n": 9, "delay": 9})
        assert logs.is_watched(at)
        # Without a word.
        socket.socket.close()

    waiting.until(lambda: not logs.is_watched(at))
    run_id = made["result"]["run_id"]
    assert not logs.get(run_id).has_readers
    # The run is nobody's who reads it.
    assert server.http.get(f"/threads/{at}/runs/{run_id}").json()["status"] != "interrupted"
    server.http.post(f"/threads/{at}/runs/{run_id}/cancel", params={"wait": True})


def test_two_readers_of_whom_one_is_slow_read_the_same(server: Running, at: str) -> None:
    many = {"n": 3000}
    with connected(server, at) as slow, listening(server, at) as quick:
        say(slow, "subscription.subscribe", channels=ALL)
        result(server, at, "run.start", assistant_id="slow", input=many)
        expected = until(quick, is_end)
        # It has read nothing yet, but for what its socket took.
        told = until(events(slow), is_end)

    assert told == expected
    assert [event.data["seq"] for event in told] == [*range(1, len(told) + 1)]


def test_connections_end_with_the_server(tmp_path: Path, at: str) -> None:
    with ExitStack() as stack:
        with running(config_of(make_graphs(), tmp_path)) as server:
            socket = stack.enter_context(connected(server, at))
            say(socket, "subscription.subscribe", channels=ALL)
        with pytest.raises(ConnectionClosedError):
            socket.recv(timeout=20)
        assert socket.close_code == 1012


@pytest.fixture(scope="module")
def owned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Give a server whose callers have threads of their own."""
    with guarded("owners", tmp_path_factory.mktemp("owned"), make_graphs()) as server:
        yield server


def status_of_handshake(server: Running, at: str, headers: dict[str, str]) -> int:
    with (
        pytest.raises(InvalidStatus) as refused,
        connected(server, at, additional_headers=headers),
    ):
        pass
    return refused.value.response.status_code


def start_as(server: Running, at: str, headers: dict[str, str]) -> None:
    params = {"assistant_id": "chat", "input": HI}
    sent = {"id": 1, "method": "run.start", "params": params}
    response = server.http.post(f"/threads/{at}/commands", json=sent, headers=headers)
    assert response.json()["type"] == "success"


def test_handshakes_are_guarded_like_requests(owned: Running, tmp_path: Path, at: str) -> None:
    start_as(owned, at, ALICE)

    assert status_of_handshake(owned, at, {}) == 401
    assert status_of_handshake(owned, at, BOB) == 404
    with connected(owned, at, additional_headers=ALICE) as socket:
        say(socket, "subscription.subscribe", channels=["lifecycle"])
        assert len(until(events(socket), is_end)) == 2
    with guarded("denying", tmp_path, make_graphs()) as server:
        assert status_of_handshake(server, at, ALICE) == 403


def test_commands_of_a_connection_are_asked_about_like_requests(owned: Running, at: str) -> None:
    with connected(owned, at, additional_headers=BOB) as socket:
        # Nobody's yet, when bob comes.
        say(socket, "subscription.subscribe", channels=ALL)
        start_as(owned, at, ALICE)
        refused = say(socket, "run.start", assistant_id="chat", input=HI)
        assert refused["type"] == "error"
        assert say(socket, "state.get")["result"] == {"values": {}}
        assert say(socket, "subscription.subscribe", channels=ALL)["error"] == "permission_denied"

    with listening(owned, at, "lifecycle", headers=ALICE) as live:
        assert len(until(live, is_end)) == 2


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_who_waits_for_a_thread_that_is_made_by_somebody_else_sees_nothing_of_it(
    owned: Running, at: str, transport: str
) -> None:
    with ExitStack() as stack:
        if transport == "sse":
            bobs = stack.enter_context(listening(owned, at, headers=BOB))
        else:
            socket = stack.enter_context(connected(owned, at, additional_headers=BOB))
            say(socket, "subscription.subscribe", channels=ALL)
            bobs = events(socket)
        alices = stack.enter_context(listening(owned, at, headers=ALICE))
        for _ in range(2):
            start_as(owned, at, ALICE)
            until(alices, is_end)
        # What comes to bob, if anything does, has come.
        owned.service.logs.close_all()

        with pytest.raises((StopIteration, ConnectionClosedError)):
            next(bobs)
