"""Assistants over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from millstream.server.graphs import assistant_of
from server.fixtures import Running


def make(server: Running, **given: Any) -> dict[str, Any]:
    """Make an assistant with a name of its own."""
    body = {"graph_id": "chat", "name": uuid.uuid4().hex, **given}
    response = server.http.post("/assistants", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def test_trap_14_a_graphs_own_assistant_has_the_id_that_clients_compute(server: Running) -> None:
    found = server.http.get("/assistants/eb6db400-e3c8-5d06-a834-015cb89efe69").json()

    assert found["graph_id"] == found["name"] == "chat"
    assert found["metadata"] == {"created_by": "system"}
    assert found["version"] == 1


def test_trap_13_a_drawing_may_be_asked_for_by_the_graph(server: Running) -> None:
    by_graph = server.http.get("/assistants/sink/graph")
    by_id = server.http.get(f"/assistants/{assistant_of('sink')}/graph")
    other = server.http.get("/assistants/sink/schemas")

    assert by_graph.json() == by_id.json()
    assert [node["id"] for node in by_id.json()["nodes"]] == [
        "__start__", "first", "inner", "last", "__end__"
    ]  # fmt: skip
    assert (other.status_code, other.json()) == (
        422,
        {"detail": "Invalid assistant ID: must be a UUID"},
    )


@pytest.mark.parametrize("xray", ["true", "1", "yes"])
def test_trap_33_booleans_have_many_forms(server: Running, xray: str) -> None:
    nodes = server.http.get("/assistants/sink/graph", params={"xray": xray}).json()["nodes"]

    assert "inner:sub_a" in [node["id"] for node in nodes]


def test_trap_24_a_null_is_no_value_and_both_settings_are_too_much(server: Running) -> None:
    configured = make(server, config={"configurable": {"lang": "fr"}}, context=None, metadata=None)
    given = {"config": {"configurable": {"lang": "fr"}}, "context": {"lang": "de"}}
    both = server.http.post("/assistants", json={"graph_id": "chat", **given})

    assert configured["context"] == {"lang": "fr"}
    assert both.status_code == 400
    assert both.json()["detail"].startswith("Cannot specify both configurable and context.")


def test_an_id_can_be_taken_once(server: Running) -> None:
    made = make(server)
    again = {"graph_id": "chat", "assistant_id": made["assistant_id"]}

    refused = server.http.post("/assistants", json=again)
    found = server.http.post("/assistants", json={**again, "if_exists": "do_nothing"})

    assert refused.status_code == 409
    assert refused.json() == {"detail": f"Assistant {made['assistant_id']} already exists"}
    assert found.json() == made


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"graph_id": "nosuch"}, 404),
        ({"graph_id": 3}, 422),
        ({}, 422),
        ({"graph_id": "chat", "assistant_id": "x"}, 422),
        ({"graph_id": "chat", "metadata": []}, 422),
        ([], 422),
    ],
)
def test_trap_10_what_cannot_be_made_is_refused_with_a_text(
    server: Running, body: Any, status: int
) -> None:
    response = server.http.post("/assistants", json=body)

    assert response.status_code == status
    assert isinstance(response.json()["detail"], str)


def test_a_change_makes_a_version_and_old_ones_come_back(server: Running) -> None:
    made = make(server, metadata={"k": "v"}, description="d")
    path = f"/assistants/{made['assistant_id']}"

    changed = server.http.patch(path, json={"name": "new", "metadata": {"k2": "v2"}}).json()
    versions = server.http.post(f"{path}/versions", json={}).json()
    back = server.http.post(f"{path}/latest", json={"version": 1}).json()
    third = server.http.patch(path, json={"description": "e"}).json()

    assert changed["version"] == 2
    assert changed["metadata"] == {"k": "v", "k2": "v2"}
    assert [version["version"] for version in versions] == [2, 1]
    assert {**back, "updated_at": made["updated_at"]} == made
    assert third["version"] == 3
    assert server.http.get(path).json() == third
    assert server.http.post(f"{path}/latest", json={"version": 9}).status_code == 404


def test_a_search_finds_by_metadata_name_and_graph_page_by_page(server: Running) -> None:
    mark = uuid.uuid4().hex
    made = [make(server, metadata={"mark": mark, "n": n}, name=f"Ab{n}") for n in range(3)]
    make(server, metadata={"mark": "other"})

    def find(**given: Any) -> Any:
        body = {"metadata": {"mark": mark}, **given}
        return server.http.post("/assistants/search", json=body)

    first = find(limit=2, select=["assistant_id"])
    rest = find(limit=2, offset=2)

    assert first.json() == [{"assistant_id": made[n]["assistant_id"]} for n in (2, 1)]
    assert first.headers["x-pagination-total"] == "3"
    assert first.headers["x-pagination-next"] == "2"
    assert rest.json() == [made[0]]
    assert "x-pagination-next" not in rest.headers
    assert [one["metadata"]["n"] for one in find(sort_by="name", sort_order="asc").json()] == [
        0, 1, 2
    ]  # fmt: skip
    assert find(name="aB1").json() == [made[1]]
    assert find(graph_id="sink").json() == []
    assert server.http.post("/assistants/count", json={"metadata": {"mark": mark}}).json() == 3


def test_a_deleted_assistant_is_gone_with_the_threads_that_are_to_go(server: Running) -> None:
    made = make(server)
    path = f"/assistants/{made['assistant_id']}"
    its = {"metadata": {"assistant_id": made["assistant_id"]}}
    thread = server.http.post("/threads", json=its).json()

    deleted = server.http.delete(path, params={"delete_threads": "true"})

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert server.http.get(path).status_code == 404
    assert server.http.delete(path).json() == {
        "detail": f"Assistant with ID {made['assistant_id']} not found"
    }
    assert server.http.get(f"/threads/{thread['thread_id']}").status_code == 404


def test_schemas_say_what_a_graph_takes_and_gives(server: Running) -> None:
    schemas = server.http.get(f"/assistants/{assistant_of('chat')}/schemas").json()
    nested = server.http.get(f"/assistants/{assistant_of('sink')}/subgraphs").json()
    one = server.http.get(f"/assistants/{assistant_of('sink')}/subgraphs/inner").json()

    assert schemas["graph_id"] == "chat"
    assert schemas["input_schema"]["required"] == ["messages"]
    assert schemas["config_schema"] == schemas["context_schema"]
    assert schemas["context_schema"]["properties"] == {"lang": {"title": "Lang", "type": "string"}}
    assert list(nested) == ["inner"]
    assert one == nested
    assert set(nested["inner"]["input_schema"]["properties"]) == {"messages", "topic"}


def test_an_assistant_of_a_factory_can_be_looked_at(server: Running) -> None:
    drawn = server.http.get("/assistants/factory/graph").json()

    assert [node["id"] for node in drawn["nodes"]] == ["__start__", "call_model", "__end__"]
