"""The store over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from server.fixtures import Running


def put(server: Running, *namespace: str, key: str, value: dict[str, Any]) -> None:
    """Keep a value."""
    body = {"namespace": namespace, "key": key, "value": value, "index": False, "ttl": None}
    response = server.http.put("/store/items", json=body)
    assert (response.status_code, response.content) == (204, b"")


def test_a_value_is_found_again_until_it_is_deleted(server: Running) -> None:
    top = uuid.uuid4().hex
    put(server, top, "b", key="k1", value={"x": 1})
    query = {"namespace": f"{top}.b", "key": "k1"}

    found = server.http.get("/store/items", params=query).json()
    deleted = server.http.request(
        "DELETE", "/store/items", json={"namespace": [top, "b"], "key": "k1"}
    )
    missing = server.http.get("/store/items", params=query)

    assert (found["namespace"], found["key"], found["value"]) == ([top, "b"], "k1", {"x": 1})
    assert list(found) == ["namespace", "key", "value", "created_at", "updated_at"]
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert (missing.status_code, missing.json()) == (200, None)


def test_values_and_namespaces_can_be_looked_for(server: Running) -> None:
    top = uuid.uuid4().hex
    put(server, top, "b", key="k1", value={"x": 1})
    put(server, top, "c", key="k2", value={"x": 2})

    found = server.http.post(
        "/store/items/search", json={"namespace_prefix": [top], "filter": {"x": 1}}
    ).json()
    namespaces = server.http.post("/store/namespaces", json={"prefix": [top], "max_depth": 2})

    assert [item["key"] for item in found["items"]] == ["k1"]
    assert found["items"][0]["score"] is None
    assert namespaces.json() == {"namespaces": [[top, "b"], [top, "c"]]}


@pytest.mark.parametrize("label", ["a.b", ""])
def test_trap_32_labels_are_joined_with_dots_and_have_none(server: Running, label: str) -> None:
    body = {"namespace": [label], "key": "k", "value": {}}

    response = server.http.put("/store/items", json=body)

    assert response.status_code == 422
    assert "must be a non-empty string without periods" in response.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {"namespace": ["a"], "key": "k", "value": [1]},
        {"namespace": "a", "key": "k", "value": {}},
        {"namespace": [], "key": "k", "value": {}},
        {"namespace": ["langgraph"], "key": "k", "value": {}},
    ],
)
def test_what_cannot_be_kept_is_refused(server: Running, body: dict[str, Any]) -> None:
    response = server.http.put("/store/items", json=body)

    assert response.status_code == 422
    assert isinstance(response.json()["detail"], str)
