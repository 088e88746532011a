"""The application as a whole: where it is mounted, what it leaves out, how it describes itself."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

import waiting
from millstream.server import app
from millstream.server.api.routing import OPERATIONS
from millstream.server.config import HttpConfig
from server.fixtures import Running, config_of, running
from server.graphs import make_chat, make_graphs


def test_openapi_has_every_operation_with_its_body(server: Running) -> None:
    described = server.http.get("/openapi.json").json()

    found = {(method, path) for path, at in described["paths"].items() for method in at}
    assert found == {(known.method.lower(), known.path) for known in OPERATIONS}
    created = described["paths"]["/threads"]["post"]
    assert created["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/ThreadCreate"
    }
    ids = [
        operation["operationId"] for at in described["paths"].values() for operation in at.values()
    ]
    assert len(ids) == len(set(ids))
    for reference in _references(described):
        assert reference.rpartition("/")[2] in described["components"]["schemas"]


@pytest.mark.parametrize(
    ("path", "body", "made"),
    [
        ("/assistants", {"graph_id": "chat"}, "/assistants/{assistant_id}"),
        ("/threads", {}, "/threads/{thread_id}"),
        ("/threads/{thread_id}/copy", None, "/threads/{thread_id}"),
        ("/runs", {"assistant_id": "chat"}, "/threads/{thread_id}/runs/{run_id}"),
        ("/threads/{thread_id}/runs", {"assistant_id": "chat"}, "/runs/{run_id}/join"),
        (
            "/runs/crons",
            {"assistant_id": "chat", "schedule": "0 0 1 1 *"},
            "/runs/crons/{cron_id}",
        ),
        (
            "/threads/{thread_id}/runs/crons",
            {"assistant_id": "chat", "schedule": "0 0 1 1 *"},
            "/runs/crons/{cron_id}",
        ),
    ],
)
def test_openapi_links_what_is_made_to_what_can_be_done_with_it(
    path: str, body: Any, made: str, server: Running
) -> None:
    described = server.http.get("/openapi.json").json()
    links = described["paths"][path]["post"]["responses"]["200"]["links"]
    at = server.http.post("/threads", json={}).json()["thread_id"]
    answer = server.http.post(path.format(thread_id=at), json=body).json()

    operations = {
        operation["operationId"]: (place, operation)
        for place, methods in described["paths"].items()
        for operation in methods.values()
    }
    linked = set()
    for link in links.values():
        place, operation = operations[link["operationId"]]
        linked.add(place)
        wanted = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
        assert link["parameters"] == {name: f"$response.body#/{name}" for name in wanted}
        assert wanted <= answer.keys()
    assert made in linked


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for item in value.values() for found in _references(item)]
    if isinstance(value, list):
        return [found for item in value for found in _references(item)]
    return []


def test_the_page_needs_nothing_from_elsewhere(server: Running) -> None:
    page = server.http.get("/docs").text

    assert "POST /threads" in page
    assert "http://" not in page
    assert "https://" not in page


def test_what_is_disabled_is_not_there_and_a_prefix_is_in_front(tmp_path: Path) -> None:
    http = HttpConfig(disable_store=True, mount_prefix="/api")
    with running(config_of({"chat": make_chat()}, tmp_path, http=http)) as server:
        assert server.http.get("/api/ok").status_code == 200
        assert server.http.get("/ok").status_code == 404
        assert server.http.get("/api/store/items", params={"key": "k"}).status_code == 404
        assert "/store/items" not in server.http.get("/api/openapi.json").json()["paths"]


def test_origins_are_those_that_are_configured(tmp_path: Path) -> None:
    http = HttpConfig(cors={"allow_origins": ["https://a.example"]})
    with running(config_of({"chat": make_chat()}, tmp_path, http=http)) as server:

        def origin(given: str) -> str | None:
            headers = server.http.get("/info", headers={"Origin": given}).headers
            return headers.get("access-control-allow-origin")

        assert origin("https://a.example") == "https://a.example"
        assert origin("https://b.example") is None


def test_it_is_mounted_in_another_application(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    inner = app({"chat": make_chat()})

    @asynccontextmanager
    async def lifespan(_: Starlette) -> Any:
        async with inner.router.lifespan_context(inner):
            yield

    outer = Starlette(routes=[Mount("/graphs", inner)], lifespan=lifespan)

    async def ask() -> httpx.Response:
        async with outer.router.lifespan_context(outer):
            transport = httpx.ASGITransport(outer)
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
                return await http.post("/graphs/threads", json={})

    assert asyncio.run(ask()).json()["status"] == "idle"
    assert (tmp_path / ".millstream" / "server.db").exists()


def left(folder: Path) -> list[str]:
    """Return threads and open files of servers whose files are in a folder."""
    threads = [each.name for each in threading.enumerate() if each.name.startswith("millstream")]
    files = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            files.append(os.readlink(f"/proc/self/fd/{name}"))
    return threads + [name for name in files if name.startswith(str(folder))]


def test_nothing_is_left_where_it_was_mounted_and_what_was_going_on_goes_on_later(
    tmp_path: Path,
) -> None:
    """With a run under way, and streams that nobody closes but the end of the application."""
    before = left(tmp_path)  # a server of other tests may be there
    config = config_of(make_graphs(), tmp_path)
    streams: list[asyncio.Task[httpx.Response]] = []

    async def serve(body: Callable[[httpx.AsyncClient, Starlette], Awaitable[Any]]) -> Any:
        inner = app(config)

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            async with inner.router.lifespan_context(inner):
                yield

        outer = Starlette(routes=[Mount("/graphs", inner)], lifespan=lifespan)
        before = asyncio.all_tasks()
        transport = httpx.ASGITransport(outer)
        client = httpx.AsyncClient(transport=transport, base_url="http://x/graphs")
        async with client as http, outer.router.lifespan_context(outer):
            result = await body(http, inner)
            # Threads that look after databases are among them.
            assert len(left(tmp_path)) > len(before)
        answers = await asyncio.gather(*streams)
        streams.clear()
        assert asyncio.all_tasks() == before
        return result, answers

    async def begin(http: httpx.AsyncClient, inner: Starlette) -> str:
        at = (await http.post("/threads", json={})).json()["thread_id"]
        run = {"assistant_id": "slow", "input": {"n": 1, "delay": 60}}
        made = await http.post(f"/threads/{at}/runs", json=run)
        assert made.headers["content-location"].startswith("/graphs/threads/")
        service = inner.state.service
        for path in (f"/threads/{at}/stream", f"{made.headers['content-location'][7:]}/stream"):
            open_streams = service.metrics.streams
            streams.append(asyncio.get_running_loop().create_task(http.get(path)))
            assert await waiting.auntil(lambda n=open_streams: service.metrics.streams > n)
        return str(made.headers["content-location"][7:])

    async def look(http: httpx.AsyncClient, _: Starlette) -> Any:
        return (await http.get(path)).json()["status"]

    path, answers = asyncio.run(serve(begin))
    assert [answer.status_code for answer in answers] == [200, 200]
    assert left(tmp_path) == before
    assert asyncio.run(serve(look))[0] in ("pending", "running")
    assert left(tmp_path) == before


def test_requests_that_are_too_large_are_refused(tmp_path: Path) -> None:
    with running(config_of({"chat": make_chat()}, tmp_path, max_request_bytes=100)) as server:
        response = server.http.post("/threads", json={"metadata": {"x": "y" * 100}})

    assert response.status_code == 413
    assert response.json() == {"detail": "The request body is larger than 100 bytes"}
