"""Keys, and how much one client may have."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from starlette.requests import HTTPConnection
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

import waiting
from millstream.config import get_stream_writer
from millstream.graph import START, StateGraph
from millstream.server.auth.api_keys import read_keys
from millstream.server.auth.user import as_user
from millstream.server.config import LimitsConfig
from millstream.server.errors import ApiError, ConfigError
from millstream.server.limits import Limits
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
        (None, "which cannot be read"),
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
