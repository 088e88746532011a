"""Keys, and how much one client may have."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk import get_client, get_sync_client
from langgraph_sdk.errors import RateLimitError
from starlette.requests import HTTPConnection
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

import waiting
from millstream.config import get_stream_writer
from millstream.graph import START, StateGraph
from millstream.server.auth.api_keys import read_keys
from millstream.server.auth.user import User, as_user
from millstream.server.config import LimitsConfig
from millstream.server.errors import ApiError, ConfigError
from millstream.server.limits import Limits
from server.cutting import cutting
from server.fixtures import config_of, running
from server.graphs import make_graphs

ADA, BEN = "key-of-ada-0123456789", "key-of-ben-0123456789"


def serve(directory: Path, **options: Any) -> Any:
    return running(config_of(make_graphs(), directory, **options))


def test_who_has_a_key_of_the_file_is_let_in_under_its_name(tmp_path: Path) -> None:
    hashed = hashlib.sha256(BEN.encode()).hexdigest()
    (tmp_path / "keys").write_text(f"# of this house\nada: {ADA}\n\nben: sha256:{hashed}\n")
    with serve(tmp_path, api_key_file="keys") as server:

        def status(**headers: str) -> int:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            return server.http.post("/threads", json={}, headers=names).status_code

        assert status() == status(x_api_key="") == 401
        assert status(x_api_key=ADA[:-1]) == status(authorization="Bearer x") == 401
        assert status(x_api_key=hashed) == status(x_auth_scheme="langsmith") == 401
        assert status(x_api_key=ADA) == status(authorization=f"Bearer {BEN}") == 200
        assert server.http.get("/ok").status_code == 200
        run = {"assistant_id": "chat", "input": {"messages": []}}
        made = server.http.post("/runs", json=run, headers={"x-api-key": BEN}).json()
        assert made["kwargs"]["config"]["configurable"]["langgraph_auth_user_id"] == "ben"
        assert BEN not in str(made)

        # What is taken out of the file is out at once; a file that says nothing changes nothing.
        (tmp_path / "keys").write_text(f"ada: {ADA}-new\n")
        assert (status(x_api_key=ADA), status(x_api_key=f"{ADA}-new")) == (401, 200)
        (tmp_path / "keys").write_text("nonsense\n")
        assert status(x_api_key=f"{ADA}-new") == 200
        (tmp_path / "keys").write_text(f"ben: {BEN}\n")
        assert (status(x_api_key=f"{ADA}-new"), status(x_api_key=BEN)) == (401, 200)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no key"),
        ("ada", "line 1: a key is written as `name: key`"),
        ("# x\nada: short", "line 2: a key has at least 16 characters"),
        ("ada: sha256:12", "line 1: after sha256: there are 64 hexadecimal digits"),
        (None, "which cannot be read: No such file or directory; write a line `name: key` "),
    ],
)
def test_files_without_good_keys_are_refused_without_telling_them(
    tmp_path: Path, text: str | None, told: str
) -> None:
    if text is not None:
        (tmp_path / "keys").write_text(text)

    with pytest.raises(ConfigError) as caught:
        read_keys(tmp_path / "keys")

    assert told in str(caught.value)
    assert "short" not in str(caught.value)


def test_each_caller_has_so_many_requests_a_minute() -> None:
    now = 0.0
    limits = Limits(LimitsConfig(requests_per_minute=60, burst=2), clock=lambda: now)
    here = HTTPConnection({"type": "http", "headers": [], "client": ("1.2.3.4", 5)})
    ada = as_user("ada")
    for caller in (ada, ada, None, None, as_user("ben")):
        limits.count(here, caller)

    for caller in (ada, None):
        with pytest.raises(ApiError, match="60 requests a minute") as caught:
            limits.count(here, caller)
        assert (caught.value.status, caught.value.headers) == (429, {"retry-after": "1"})
    now = 1.0
    limits.count(here, ada)
    with pytest.raises(ApiError):
        limits.count(here, ada)
    now = 1000.0
    limits.count(here, ada)
    limits.count(here, ada)
    with pytest.raises(ApiError):
        limits.count(here, ada)


def here() -> HTTPConnection:
    return HTTPConnection({"type": "http", "headers": [], "client": ("1.2.3.4", 5)})


def seconds_until(take: Callable[[], None]) -> str | None:
    """Return when a client is told to come again, None if it is not refused."""
    try:
        take()
    except ApiError as error:
        return (error.headers or {}).get("retry-after")
    return None


def test_each_caller_may_ask_for_so_many_runs_a_minute(tmp_path: Path) -> None:
    now = 0.0
    config = LimitsConfig(runs_per_minute=6, runs_burst=3)
    limits = Limits(config, clock=lambda: now)
    ada, ben = as_user("ada"), as_user("ben")

    def ask(user: User, many: int = 1) -> str | None:
        return seconds_until(lambda: limits.count_runs(here(), user, many))

    assert [ask(ada) for _ in range(4)] == [None, None, None, "10"]
    assert (ask(ben, 2), ask(ben, 2), ask(ben)) == (None, "10", None)
    # Many at once are given to who has not asked for long, and are waited for afterwards.
    now = 60.0
    assert ask(ada, 10) is None
    assert ask(ada) == "80"
    now = 139.0
    assert ask(ada) == "1"
    now = 140.0
    assert ask(ada) is None
    assert limits.refused == {"runs": 4}


def test_made_up_callers_take_no_more_memory_than_so_much() -> None:
    limits = Limits(LimitsConfig(requests_per_minute=60, burst=1), clock=lambda: 0.0)
    regular = as_user("regular")
    limits.count(here(), regular)
    for n in range(30_000):
        limits.count(here(), as_user(f"made up {n}"))
        if n % 5000 == 0:
            # Who is here all the time is not forgotten for them.
            assert seconds_until(lambda: limits.count(here(), regular)) == "1"

    assert limits._requests is not None
    assert len(limits._requests._buckets) == limits._requests._buckets.size == 10_000


SLOW = {"assistant_id": "slow", "input": {"n": 1, "delay": 0}}


def test_runs_are_counted_however_they_are_asked_for(tmp_path: Path) -> None:
    thread = f"/threads/{uuid4()}"
    start = {"method": "run.start", "params": SLOW}
    asked = [
        ("/runs", SLOW),
        ("/runs/wait", SLOW),
        ("/runs/stream", SLOW),
        ("/runs/batch", [SLOW, SLOW]),
        (f"{thread}/commands", {"id": 1, **start}),
        (f"{thread}/runs", SLOW),
        (f"{thread}/runs/wait", SLOW),
        (f"{thread}/runs/stream", SLOW),
    ]
    limits = LimitsConfig(runs_per_minute=1, runs_burst=9)
    with serve(tmp_path, limits=limits) as server:
        allowed = [server.http.post(path, json=given).status_code for path, given in asked]
        refused = [server.http.post(path, json=given) for path, given in asked]
        told = server.http.get(f"{thread}/runs").json()
        # What is refused for another reason is not counted, and whatever is no run is let through.
        assert server.http.post("/threads", json={}).status_code == 200
        path = f"{server.url.replace('http', 'ws')}{thread}/stream/events"
        with connect(path) as socket:
            socket.send(json.dumps({"id": 2, **start}))
            answer = json.loads(socket.recv())

    assert allowed == [200] * 8
    assert [response.status_code for response in refused] == [429] * 8
    assert all(30 < int(response.headers["retry-after"]) <= 120 for response in refused)
    assert len(told) == 4
    assert (answer["type"], answer["id"], answer["error"]) == ("error", 2, "unknown_error")
    assert answer["message"].startswith("429: More than 1 runs a minute; try again in ")


def test_commands_of_a_websocket_are_requests(tmp_path: Path) -> None:
    with serve(tmp_path, limits=LimitsConfig(requests_per_minute=1, burst=2)) as server:
        path = f"{server.url.replace('http', 'ws')}/threads/{uuid4()}/stream/events"
        with connect(path) as socket:
            answers = []
            for id in (1, 2):
                socket.send(json.dumps({"id": id, "method": "state.get", "params": {}}))
                answers.append(json.loads(socket.recv()))

    assert [answer["type"] for answer in answers] == ["success", "error"]
    assert answers[1]["id"] == 2
    assert answers[1]["message"].startswith("429: More than 1 requests a minute")


def test_a_refused_client_is_told_when_to_come_again(tmp_path: Path) -> None:
    limits = LimitsConfig(requests_per_minute=1, max_header_bytes=2000)
    with serve(tmp_path, limits=limits) as server:
        assert server.http.post("/threads", json={}).status_code == 200
        refused = server.http.post("/threads", json={})
        assert (refused.status_code, int(refused.headers["retry-after"])) == (429, 60)
        assert server.http.get("/ok").status_code == 200
        large = server.http.post("/threads", json={}, headers={"x-large": "x" * 2000})
        assert large.status_code == 431


@pytest.mark.real_time(reason="the nodes of `slow` take some time")
def test_a_client_has_so_many_streams_at_a_time(tmp_path: Path) -> None:
    with serve(tmp_path, limits=LimitsConfig(max_streams_per_client=1)) as server:
        thread_id = server.http.post("/threads", json={}).json()["thread_id"]
        path = f"/threads/{thread_id}/stream"
        run = {"assistant_id": "chat", "input": {"messages": []}}
        with server.http.stream("GET", path) as response:
            assert response.status_code == 200
            refused = server.http.post(f"/threads/{thread_id}/runs/wait", json=run)
            assert refused.status_code == 429
            # It has not been begun either.
            assert server.http.get(f"/threads/{thread_id}/runs").json() == []

        def is_free() -> bool:
            done = server.http.post(f"/threads/{thread_id}/runs/wait", json=run)
            return done.status_code == 200

        waiting.until(is_free)
        assert is_free()


def test_a_websocket_is_a_stream_too(tmp_path: Path) -> None:
    with serve(tmp_path, limits=LimitsConfig(max_streams_per_client=1)) as server:
        thread_id = server.http.post("/threads", json={}).json()["thread_id"]
        path = f"{server.url.replace('http', 'ws')}/threads/{thread_id}/stream/events"
        with connect(path):
            with pytest.raises(InvalidStatus) as caught:
                connect(path)
            assert caught.value.response.status_code == 429
            refused = server.http.get(f"/threads/{thread_id}/stream")
            assert refused.status_code == 429
        waiting.until(lambda: not server.service.limits.open_streams)
        with connect(path):
            pass


def test_pythons_client_is_told_when_to_come_again(tmp_path: Path) -> None:
    with serve(tmp_path, limits=LimitsConfig(runs_per_minute=1)) as server:
        with get_sync_client(url=server.url) as client:
            client.runs.wait(None, "slow", input=SLOW["input"])
            with pytest.raises(RateLimitError, match="More than 1 runs a minute") as caught:
                client.runs.create(None, "slow", input=SLOW["input"])
            assert 0 < int(caught.value.response.headers["retry-after"]) <= 60

        async def ask() -> None:
            async with get_client(url=server.url) as client:
                with pytest.raises(RateLimitError, match="More than 1 runs a minute"):
                    await client.runs.create(None, "slow", input=SLOW["input"])

        asyncio.run(ask())


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_pythons_client_comes_again_when_it_is_refused_on_its_way_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    now = 0.0

    def pause(attempt: int, **_: Any) -> float:
        nonlocal now
        now += 0.4
        return 0.0

    monkeypatch.setattr(f"langgraph_sdk._{kind}.http._reconnect_delay", pause)
    given = {"input": {"n": 200, "delay": 0}, "stream_mode": "custom", "stream_resumable": True}

    def read(url: str) -> list[Any]:
        with get_sync_client(url=url) as client:
            return [part.data for part in client.runs.stream(None, "slow", **given)]

    async def aread(url: str) -> list[Any]:
        async with get_client(url=url) as client:
            return [part.data async for part in client.runs.stream(None, "slow", **given)]

    with serve(tmp_path) as server, cutting(server.url, [3000], b"/runs/stream") as proxy:
        reader = read if kind == "sync" else lambda url: asyncio.run(aread(url))
        undisturbed = reader(server.url)
        limits = LimitsConfig(requests_per_minute=60, burst=1)
        server.service.limits = Limits(limits, clock=lambda: now)
        told = reader(proxy.url)
        refused = server.service.limits.refused

    assert told[1:] == undisturbed[1:]
    assert len(told) > 200
    assert refused["requests"] >= 2
    assert proxy.left == []


def shout(state: dict[str, Any]) -> dict[str, Any]:
    get_stream_writer()("x" * state["says"])
    return {"has": "y" * state["keeps"]}


@pytest.mark.parametrize("is_resumable", [True, False])
@pytest.mark.parametrize(
    ("says", "keeps", "mode"),
    [
        (5000, 1, "custom"),
        pytest.param(1, 5000, "values", marks=pytest.mark.long),
        pytest.param(1, 1, None, marks=pytest.mark.long),
    ],
)
def test_a_run_that_says_too_much_at_once_fails_and_its_thread_goes_on(
    tmp_path: Path, says: int, keeps: int, mode: str | None, is_resumable: bool
) -> None:
    builder = StateGraph(dict).add_node("shout", shout).add_edge(START, "shout")
    limits = LimitsConfig(max_event_bytes=4000)
    with running(config_of({"loud": builder.compile()}, tmp_path, limits=limits)) as server:
        thread = f"/threads/{server.http.post('/threads', json={}).json()['thread_id']}"

        def run(says: int, keeps: int) -> str:
            body = {
                "assistant_id": "loud",
                "input": {"says": says, "keeps": keeps},
                "stream_mode": ["values", "custom"],
                "stream_resumable": is_resumable,
            }
            return server.http.post(f"{thread}/runs/stream", json=body).text

        told = run(says, keeps)
        after = server.http.get(thread).json()
        again = run(1, 1)

    assert ("event: error" in told) == (mode is not None)
    if mode is not None:
        assert f"an event of mode {mode} has" in told
        assert "limits.max_event_bytes allows 4000" in told
    assert after["status"] == ("idle" if mode is None else "error")
    assert "event: error" not in again


def test_a_run_of_a_command_that_says_too_much_at_once_fails_too(tmp_path: Path) -> None:
    limits = LimitsConfig(max_event_bytes=2000)
    builder = StateGraph(dict).add_node("shout", shout).add_edge(START, "shout")
    with running(config_of({"loud": builder.compile()}, tmp_path, limits=limits)) as server:
        thread = f"/threads/{uuid4()}"
        params = {"assistant_id": "loud", "input": {"says": 5000, "keeps": 1}}
        command = {"id": 1, "method": "run.start", "params": params}
        started = server.http.post(f"{thread}/commands", json=command).json()
        run_id = started["result"]["run_id"]
        server.http.get(f"{thread}/runs/{run_id}/join")
        ended = server.http.get(f"{thread}/runs/{run_id}").json()
        error = server.http.get(thread).json()["error"]

    assert ended["status"] == "error"
    assert error["error"] == "EventTooLargeError"
    assert "limits.max_event_bytes allows 2000" in error["message"]
