"""An application of the user's around the API, and which headers are let in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from millstream.server.config import AuthConfig, HttpConfig
from millstream.server.custom import load_custom
from millstream.server.errors import ConfigError
from millstream.server.headers import HeaderFilter
from server.custom_app import happened
from server.fixtures import config_of, running
from server.graphs import make_chat
from server.recordings import WITH_RECORDINGS, load
from server.test_auth import ALICE

APP = "server.custom_app:app"


def serve(directory: Path, *, auth: str | None = None, **http: Any) -> Any:
    options: dict[str, Any] = {"http": HttpConfig(**http)}
    if auth is not None:
        options["auth"] = AuthConfig(path=f"server.handlers:{auth}")
    return running(config_of({"chat": make_chat()}, directory, **options))


def test_its_routes_go_first_and_its_middleware_is_around_everything(tmp_path: Path) -> None:
    happened.clear()
    with serve(tmp_path, app=APP) as server:
        assert happened == ["started"]
        mine = server.http.get("/hello")
        assert (mine.json(), mine.headers["x-mark"]) == ({"held": "something", "user": None}, "m")
        assert server.http.get("/info").text == "mine"
        assert server.http.get("/threads").text == "mine"
        made = server.http.post("/threads", json={})
        assert (made.status_code, made.headers["x-mark"]) == (200, "m")
        run = {"assistant_id": "chat", "input": {"messages": []}}
        streamed = server.http.post("/runs/stream", json=run)
        assert streamed.headers["x-mark"] == "m"
        assert "event: values" in streamed.text
        missing = server.http.get("/nope")
        assert (missing.status_code, missing.json()) == (404, {"detail": "Not Found"})
        assert "password" not in httpx.get(f"{server.url}/broken").text
        origin = {"origin": "https://x.example"}
        assert server.http.get("/hello", headers=origin).headers["access-control-allow-origin"]
        assert "POST /threads" in server.http.get("/docs").text
        with connect(f"{server.url.replace('http', 'ws')}/socket") as websocket:
            assert websocket.recv() == "hi"
    assert happened == ["started", "ended"]


def test_a_prefix_is_in_front_of_its_routes_too(tmp_path: Path) -> None:
    with serve(tmp_path, app=APP, mount_prefix="/api") as server:
        assert server.http.get("/api/hello").status_code == 200
        assert server.http.get("/hello").status_code == 404
        thread_id = server.http.post("/api/threads", json={}).json()["thread_id"]
        run = {"assistant_id": "chat", "input": {"messages": []}}
        made = server.http.post(f"/api/threads/{thread_id}/runs", json=run)
        assert made.headers["content-location"].startswith(f"/api/threads/{thread_id}/runs/")


@WITH_RECORDINGS
def test_its_routes_are_open_as_recorded(tmp_path: Path) -> None:
    with serve(tmp_path, app=APP, auth="recorded") as server:
        response = server.http.get("/hello")

    assert response.status_code == load("auth_none_custom_route").status == 200


@pytest.mark.parametrize("order", ["middleware_first", "auth_first"])
def test_its_routes_are_guarded_where_that_is_asked_for(tmp_path: Path, order: str) -> None:
    http = {"enable_custom_route_auth": True, "middleware_order": order}
    with serve(tmp_path, app=APP, auth="owners", **http) as server:
        refused = server.http.get("/hello")
        assert (refused.status_code, refused.json()) == (401, {"detail": "no token"})
        # What refuses first is what the order is about.
        mark = None if order == "auth_first" else "m"
        assert refused.headers.get("x-mark") == mark
        assert server.http.get("/hello", headers=ALICE).json()["user"] == "alice"
        refused = server.http.post("/threads", json={})
        assert (refused.status_code, refused.headers.get("x-mark")) == (401, mark)
        made = server.http.post("/threads", json={}, headers=ALICE)
        assert made.json()["metadata"] == {"owner": "alice"}
        assert server.http.get("/ok").status_code == 200
        assert server.http.get("/nope").status_code == 404
        url = f"{server.url.replace('http', 'ws')}/socket"
        with pytest.raises(InvalidStatus):
            connect(url)
        with connect(url, additional_headers=ALICE) as websocket:
            assert websocket.recv() == "hi"


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("server.nope:app", "cannot be imported: ModuleNotFoundError"),
        ("server.custom_app:happened", "is no application of Starlette or FastAPI"),
    ],
)
def test_what_is_no_application_is_refused_at_the_start(
    tmp_path: Path, target: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        load_custom(config_of({}, tmp_path, http=HttpConfig(app=target)))


def test_headers_are_let_into_configurables_by_name(tmp_path: Path) -> None:
    wanted = {"includes": ["x-org-*", "Langgraph_Auth*", "run_id"], "excludes": ["x-org-secret"]}
    sent = {
        "X-Org-Id": "7",
        "x-org-secret": "s",
        "x-other": "o",
        "run_id": "mine",
        "langgraph_auth_user_id": "eve",
    }
    with serve(tmp_path, configurable_headers=wanted) as server:
        run = {"assistant_id": "chat", "input": {"messages": []}}
        made = server.http.post("/runs", json=run, headers=sent).json()

    configurable = made["kwargs"]["config"]["configurable"]
    assert configurable["x-org-id"] == "7"
    assert not {"x-org-secret", "x-other"} & configurable.keys()
    # What the server says of a run is not said by headers.
    assert configurable["run_id"] == made["run_id"]
    assert configurable["langgraph_auth_user_id"] == ""


def test_filters_of_headers_that_make_no_sense_are_refused() -> None:
    for given in ({"includes": "x"}, {"excludes": [1]}, {"only": []}):
        with pytest.raises(ConfigError, match=r"http\.x"):
            HeaderFilter("http.x", given)
    assert HeaderFilter("http.x", {"include": ["*"], "exclude": ["a"]}).of(
        {"A": "1", "B": "2"}
    ) == {"b": "2"}
    assert HeaderFilter("http.x", None).of({"a": "1"}) == {}


def test_health_is_told_where_the_rest_about_the_server_is_off(tmp_path: Path) -> None:
    with serve(tmp_path, disable_meta=True) as server:
        statuses = {
            path: server.http.get(path).status_code
            for path in ("/ok", "/livez", "/readyz", "/info", "/docs", "/openapi.json")
        }

    assert statuses == {
        **dict.fromkeys(("/ok", "/livez", "/readyz"), 200),
        **dict.fromkeys(("/info", "/docs", "/openapi.json"), 404),
    }
