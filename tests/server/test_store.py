"""The store over HTTP."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from millstream.server.errors import ConfigError
from millstream.server.persistence import check_extensions, embedding_of
from millstream.store.memory import InMemoryStore
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs


def put(
    server: Running, *namespace: str, key: str, value: dict[str, Any], index: Any = False
) -> None:
    """Keep a value."""
    body = {"namespace": namespace, "key": key, "value": value, "index": index, "ttl": None}
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


def embed(texts: list[str]) -> list[list[float]]:
    """Tell how much of a text is about cats and about dogs."""
    return [[float(text.count("cat")), float(text.count("dog")), 0.1] for text in texts]


def test_values_are_found_by_what_they_mean(tmp_path: Path) -> None:
    with running(config_of(make_graphs(), tmp_path)) as server:
        # That of the configuration needs an extension, which not every SQLite can load.
        index: Any = {"dims": 3, "embed": embed, "fields": ["about"]}
        server.service.store = InMemoryStore(index=index)
        for key, about in (("c", "a cat, a cat"), ("d", "a dog")):
            put(server, "pets", key=key, value={"about": about}, index=None)
        put(server, "pets", key="n", value={"about": "a cat that nobody looks for"})
        for query, key in (("cat", "c"), ("dog", "d")):
            wish = {"namespace_prefix": ["pets"], "query": query, "limit": 1}
            (item,) = server.http.post("/store/items/search", json=wish).json()["items"]
            assert item["key"] == key
            assert item["score"] > 0.9


def test_an_index_that_cannot_be_is_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match="--enable-loadable-sqlite-extensions"):
        check_extensions(object)


def test_what_embeds_is_named_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "meaning.py").write_text(
        "def embed(texts):\n    return [[1.0] for _ in texts]\n", encoding="utf-8"
    )
    config = config_of({}, tmp_path)

    assert embedding_of(config, "./meaning.py:embed")(["a"]) == [[1.0]]
    assert embedding_of(config, "openai:small") == "openai:small"


@pytest.mark.parametrize("ttl", [0, -1, 1e10, float("nan")])
def test_a_time_that_no_calendar_has_is_refused(server: Running, ttl: float) -> None:
    item = {"namespace": ["long"], "key": "k", "value": {}, "ttl": ttl}
    answer = server.http.put("/store/items", content=json.dumps(item))
    assert answer.status_code in (400, 422), answer.text
    answer = server.http.post("/threads", content=json.dumps({"ttl": ttl}))
    assert answer.status_code in (400, 422), answer.text
