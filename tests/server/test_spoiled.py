"""Requests of front ends of which something is wrong: none of them is a fault of the server."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from millstream.graph import START, StateGraph
from protocols import scripted, spoiled
from server.fixtures import Running, config_of, running

pytestmark = pytest.mark.real_time(reason="a server answers")
ENDPOINTS: dict[str, Any] = {
    "/ag-ui/chat": spoiled.AGENT,
    "/ag-ui/chat/connect": spoiled.ANSWERING_AGENT,
    "/ai-sdk/chat": spoiled.PAGE,
    "/openai/v1/chat/completions": spoiled.CHAT,
    "/openai/v1/responses": spoiled.RESPONSE,
}
THREADS = ("threadId", "id", "metadata", "conversation")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Give a server with a graph that keeps what it is given, whatever that is."""
    builder = StateGraph(scripted.State).add_node("keep", lambda state: None)
    graphs = {"chat": builder.add_edge(START, "keep").compile()}
    with running(config_of(graphs, tmp_path_factory.mktemp("server"))) as server:
        yield server


def send(server: Running, path: str, body: Any) -> httpx.Response:
    # Halves of surrogate pairs as they are, which a client can send.
    content = json.dumps(body).encode()
    return server.http.post(path, content=content, headers={"content-type": "application/json"})


def own(path: str, number: int) -> Any:
    """Return a right request, about a thread that no other one is about."""
    name = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{path} {number}"))
    body = ENDPOINTS[path]
    given = {"metadata": {"thread_id": name}, "conversation": {"id": name}}
    return {**body, **{key: given.get(key, name) for key in THREADS if key in body}}


@pytest.mark.parametrize(
    "count", [25, pytest.param(500, marks=[pytest.mark.long, pytest.mark.timeout(300)])]
)
@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_request_of_which_something_is_wrong_is_no_fault(
    served: Running, path: str, count: int
) -> None:
    faults = []
    for seed in range(count):
        body = spoiled.spoiled(own(path, seed), seed)
        response = send(served, path, body)
        if response.status_code >= 500 or "internal" in response.text.lower():
            faults.append((body, response.status_code, response.text))

    assert faults == []


@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_right_request_is_answered(served: Running, path: str) -> None:
    assert send(served, path, own(path, -1)).status_code == 200


def test_an_answer_to_what_nobody_has_asked_is_refused(served: Running) -> None:
    body = {**own("/openai/v1/responses", -2), "input": spoiled.ANSWERING_RESPONSE["input"]}
    response = send(served, "/openai/v1/responses", body)

    assert response.status_code == 422
    assert "asks none of" in response.json()["error"]["message"]
