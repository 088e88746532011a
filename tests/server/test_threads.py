"""Threads and their state over HTTP."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy import text as sql

from server.fixtures import Running
from server.streams import live

HI = {"messages": [{"role": "user", "content": "hi", "id": "m1"}]}
YO = {"messages": [{"role": "ai", "content": "yo", "id": "m2"}]}
NOBODYS = "01a1fb48-3156-7218-923e-e32fe9d85d48"
"""The id of no thread; known before the tests are collected, so that all workers have the same."""


def make(server: Running, **given: Any) -> dict[str, Any]:
    """Make a thread."""
    response = server.http.post("/threads", json=given)
    assert response.status_code == 200, response.text
    return response.json()


def make_chat(server: Running, **given: Any) -> dict[str, Any]:
    """Make a thread of `chat` on which a person and a model have said something."""
    steps = [("__start__", HI), ("call_model", YO)]
    supersteps = [{"updates": [{"values": values, "as_node": node}]} for node, values in steps]
    return make(server, graph_id="chat", supersteps=supersteps, **given)


def contents(values: dict[str, Any]) -> list[str]:
    """Return what was said."""
    return [message["content"] for message in values["messages"]]


def test_a_new_thread_is_idle_and_has_no_values(server: Running) -> None:
    made = make(server, metadata={"user": "u1"})

    assert made["status"] == "idle"
    assert made["values"] is None
    assert "interrupts" not in made
    assert made["created_at"].endswith("+00:00")
    assert server.http.get(f"/threads/{made['thread_id']}").json() == made


def test_a_threads_id_may_be_chosen_once(server: Running) -> None:
    thread_id = str(uuid.uuid4())
    made = make(server, thread_id=thread_id.upper())
    again = server.http.post("/threads", json={"thread_id": thread_id})

    assert made["thread_id"] == thread_id
    assert again.status_code == 409
    assert again.json() == {"detail": f"Thread with ID {thread_id} already exists"}
    assert make(server, thread_id=thread_id, if_exists="do_nothing") == made


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/threads", {"thread_id": "abc"}, 422),
        ("POST", "/threads", {"ttl": 5}, 422),
        ("GET", "/threads/abc", None, 422),
        ("GET", f"/threads/{NOBODYS}", None, 404),
        ("PATCH", f"/threads/{NOBODYS}", {}, 404),
        ("DELETE", f"/threads/{NOBODYS}", None, 404),
        ("GET", f"/threads/{NOBODYS}/state", None, 404),
        ("POST", f"/threads/{NOBODYS}/history", {}, 404),
        ("POST", f"/threads/{NOBODYS}/copy", None, 404),
        ("GET", f"/threads/{NOBODYS}/storage", None, 404),
        ("POST", "/threads/search", {"limit": 0}, 422),
        ("POST", "/threads/search", {"limit": 1001}, 422),
        ("POST", "/threads/search", {"sort_by": "values; drop table threads"}, 422),
        ("POST", "/threads/search", {"select": ["nope"]}, 422),
        ("POST", "/threads/search", {"extract": {"m": "values..x"}}, 422),
        ("POST", "/threads/search", {"extract": {"m": "kwargs.x"}}, 422),
        ("POST", "/threads/search", {"ids": ["x"]}, 422),
        ("PATCH", f"/threads/{NOBODYS}/state", {}, 405),
    ],
)
def test_trap_10_a_clients_mistake_is_none_of_the_servers(
    server: Running, method: str, path: str, body: Any, status: int
) -> None:
    response = server.http.request(method, path, json=body)

    assert response.status_code == status
    assert isinstance(response.json()["detail"], str)


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"{", "Invalid JSON in request body"),
        (b"\xff\xfe", "Invalid JSON in request body"),
        (b'{"metadata": ' + b"[" * 5000 + b"]" * 5000 + b"}", "nested deeper than 100"),
        (b'"text"', "the request: Input should be a valid dictionary"),
    ],
)
def test_a_body_that_is_no_json_is_refused(server: Running, content: bytes, detail: str) -> None:
    response = server.http.post("/threads", content=content)

    assert response.status_code == 422
    assert detail in response.json()["detail"]


def test_metadata_are_laid_over_the_old_and_no_answer_is_given_to_who_wants_none(
    server: Running,
) -> None:
    made = make(server, metadata={"a": 1, "b": 1})
    path = f"/threads/{made['thread_id']}"

    changed = server.http.patch(path, json={"metadata": {"b": 2}})
    silent = server.http.patch(
        path, json={"metadata": {"c": 3}}, headers={"Prefer": "return=minimal"}
    )

    assert changed.json()["metadata"] == {"a": 1, "b": 2}
    assert changed.json()["updated_at"] > made["updated_at"]
    assert (silent.status_code, silent.content) == (204, b"")
    assert server.http.get(path).json()["metadata"] == {"a": 1, "b": 2, "c": 3}


def test_a_time_to_live_is_told_to_who_asks(server: Running) -> None:
    made = make(server, ttl={"ttl": 5})
    path = f"/threads/{made['thread_id']}"

    assert "ttl" not in server.http.get(path).json()
    ttl = server.http.get(path, params={"include": "ttl"}).json()["ttl"]
    assert (ttl["strategy"], ttl["ttl_minutes"]) == ("delete", 5)
    assert ttl["expires_at"] > made["created_at"]


def test_a_search_finds_by_metadata_values_status_and_ids(server: Running) -> None:
    mark = uuid.uuid4().hex
    chat = make_chat(server, metadata={"mark": mark, "deep": {"tags": ["a", "b"]}})
    bare = make(server, metadata={"mark": mark, "flag": True})

    def find(**given: Any) -> list[str]:
        body = {"metadata": {"mark": mark}, **given}
        found = server.http.post("/threads/search", json=body)
        assert found.status_code == 200, found.text
        assert server.http.post(
            "/threads/count",
            json={key: body[key] for key in body if key in ("metadata", "values", "status")},
        ).json() >= len(found.json())
        return [thread["thread_id"] for thread in found.json()]

    both = [bare["thread_id"], chat["thread_id"]]
    assert find() == both
    assert find(sort_order="asc") == both[::-1]
    assert find(ids=[chat["thread_id"]]) == both[1:]
    assert find(ids=[]) == []
    assert find(status="idle") == both
    assert find(status="busy") == []
    assert find(values={"messages": [{"content": "yo"}]}) == both[1:]
    assert find(values={"nope": 1}) == []
    assert find(metadata={"mark": mark, "deep": {"tags": ["b"]}}) == both[1:]
    assert find(metadata={"mark": mark, "flag": True}) == both[:1]
    assert find(metadata={"mark": mark, "flag": 1}) == []


def test_a_search_gives_what_is_selected_and_extracted(server: Running) -> None:
    chat = make_chat(server)
    body = {
        "ids": [chat["thread_id"]],
        "select": ["thread_id", "status"],
        "extract": {"last": "values.messages[-1].content", "none": "values.messages[7].content"},
    }

    response = server.http.post("/threads/search", json=body)

    assert response.headers["x-pagination-total"] == "1"
    assert response.json() == [
        {
            "thread_id": chat["thread_id"],
            "status": "idle",
            "extracted": {"last": "yo", "none": None},
        }
    ]


def test_supersteps_fill_a_new_thread(server: Running) -> None:
    chat = make_chat(server)
    path = f"/threads/{chat['thread_id']}"

    assert contents(chat["values"]) == ["hi", "yo"]
    assert contents(server.http.get(f"{path}/state").json()["values"]) == ["hi", "yo"]
    assert chat["interrupts"] == {}
    assert chat["metadata"] == {"graph_id": "chat"}


def test_supersteps_may_be_commands(server: Running) -> None:
    said = [{"role": "user", "content": "hi"}]
    update = {"as_node": "__start__", "command": {"update": {"messages": said}}}
    chat = make(server, graph_id="chat", supersteps=[{"updates": [update]}])

    assert contents(chat["values"]) == ["hi"]


@pytest.mark.parametrize(
    ("command", "detail"),
    [
        ({"nothing": 1}, None),  # what is not known is passed by, as in a run
        ({"update": 1}, "update"),
        ({"goto": {"x": 1}}, "goto"),
        ({"goto": 5}, "goto"),
        ([], "command"),
    ],
)
def test_commands_of_supersteps_are_looked_at(
    command: Any, detail: str | None, server: Running
) -> None:
    update = {"as_node": "__start__", "command": command}
    body = {"graph_id": "chat", "supersteps": [{"updates": [update]}]}

    made = server.http.post("/threads", json=body)

    assert made.status_code == (200 if detail is None else 422), made.text
    assert detail is None or detail in made.json()["detail"]


def test_a_thread_that_cannot_be_filled_is_not_made(server: Running) -> None:
    mark = uuid.uuid4().hex
    step = {"updates": [{"values": HI, "as_node": "nope"}]}
    body = {"metadata": {"mark": mark}, "supersteps": [step]}

    unknown = server.http.post("/threads", json=body)
    wrong = server.http.post("/threads", json={**body, "graph_id": "chat"})

    assert unknown.status_code == 400
    assert "has no assigned graph ID" in unknown.json()["detail"]
    assert (wrong.status_code, wrong.json()) == (400, {"detail": "Node nope does not exist"})
    assert server.http.post("/threads/count", json={"metadata": {"mark": mark}}).json() == 0


def test_trap_22_the_state_of_an_empty_thread_is_empty(server: Running) -> None:
    empty = {
        "values": {},
        "next": [],
        "tasks": [],
        "metadata": None,
        "created_at": None,
        "checkpoint": None,
        "parent_checkpoint": None,
        "interrupts": [],
        "checkpoint_id": None,
        "parent_checkpoint_id": None,
    }
    for metadata in ({}, {"graph_id": "chat"}):
        path = f"/threads/{make(server, metadata=metadata)['thread_id']}"

        assert server.http.get(f"{path}/state").json() == empty
        assert server.http.post(f"{path}/history", json={}).json() == []


def test_trap_21_a_checkpoint_without_id_is_the_newest(server: Running) -> None:
    path = f"/threads/{make_chat(server)['thread_id']}"
    thread_id = path.rpartition("/")[2]
    newest = server.http.get(f"{path}/state").json()

    for checkpoint in ({"thread_id": thread_id}, {"checkpoint_ns": ""}, {"checkpoint_id": None}):
        response = server.http.post(f"{path}/state/checkpoint", json={"checkpoint": checkpoint})
        assert response.json() == newest


def test_trap_25_a_history_has_one_state_and_goes_back_from_an_object(server: Running) -> None:
    path = f"/threads/{make_chat(server)['thread_id']}"

    def history(**body: Any) -> list[Any]:
        return server.http.post(f"{path}/history", json=body).json()

    everything = history(limit=10)
    newest, older = everything
    before = {"checkpoint_id": newest["checkpoint_id"]}

    assert history() == [newest]
    assert history(limit=10, before={"configurable": before}) == [older]
    assert history(limit=10, before=before) == [older]
    assert history(limit=10, metadata={"step": older["metadata"]["step"]}) == [older]
    assert newest["parent_checkpoint_id"] == older["checkpoint_id"]
    assert server.http.get(f"{path}/history", params={"limit": 10}).json() == everything
    refused = server.http.post(f"{path}/history", json={"before": newest["checkpoint_id"]})
    assert refused.status_code == 422


def test_an_unknown_checkpoint_is_an_empty_state(server: Running) -> None:
    thread_id = make_chat(server)["thread_id"]
    checkpoint_id = str(uuid.uuid4())

    found = server.http.get(f"/threads/{thread_id}/state/{checkpoint_id}")

    assert found.status_code == 200
    assert found.json()["values"] == {}
    assert found.json()["metadata"] is None
    assert found.json()["checkpoint"]["checkpoint_id"] == checkpoint_id


def test_a_state_can_be_changed_and_forked(server: Running) -> None:
    path = f"/threads/{make_chat(server)['thread_id']}"
    first = server.http.post(f"{path}/history", json={"limit": 10}).json()[-1]
    said = {"messages": [{"role": "user", "content": "again", "id": "m3"}]}

    added = server.http.post(f"{path}/state", json={"values": said, "as_node": "call_model"})
    grown = server.http.get(path).json()
    forked = server.http.post(
        f"{path}/state", json={"values": said, "checkpoint": first["checkpoint"]}
    )
    nothing = server.http.post(f"{path}/state", json={"values": None, "as_node": "__end__"})
    branch = server.http.get(path).json()

    assert added.json()["checkpoint"] == added.json()["configurable"]
    assert contents(grown["values"]) == ["hi", "yo", "again"]
    assert forked.status_code == nothing.status_code == 200
    assert contents(branch["values"]) == ["hi", "again"]
    assert branch["state_updated_at"] > grown["state_updated_at"]
    at = server.http.get(f"{path}/state/{first['checkpoint_id']}").json()
    assert at["checkpoint_id"] == first["checkpoint_id"]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"values": HI, "as_node": "zzz"}, "Node zzz does not exist"),
        ({"values": {"messages": 7}, "as_node": "call_model"}, "Unsupported message type"),
        ({"values": "text", "as_node": "call_model"}, "Expected dict, got text"),
    ],
)
def test_a_state_is_not_changed_to_what_the_graph_refuses(
    server: Running, body: Any, detail: str
) -> None:
    path = f"/threads/{make_chat(server)['thread_id']}"
    before = server.http.get(f"{path}/state").json()

    refused = server.http.post(f"{path}/state", json=body)

    assert refused.status_code == 400
    assert detail in refused.json()["detail"]
    assert server.http.get(f"{path}/state").json() == before


def test_a_thread_without_a_graph_cannot_be_changed(server: Running) -> None:
    path = f"/threads/{make(server)['thread_id']}"

    refused = server.http.post(f"{path}/state", json={"values": HI})

    assert refused.status_code == 400
    assert "has no assigned graph ID" in refused.json()["detail"]


def test_a_copy_goes_its_own_way(server: Running) -> None:
    chat = make_chat(server, metadata={"user": "u"})
    path = f"/threads/{chat['thread_id']}"

    copied = server.http.post(f"{path}/copy").json()
    other = f"/threads/{copied['thread_id']}"
    server.http.post(f"{other}/state", json={"values": HI, "as_node": "__start__"})

    assert "values" not in copied
    assert copied["metadata"] == {"user": "u", "graph_id": "chat"}
    assert contents(server.http.get(f"{other}/state").json()["values"]) == ["hi", "yo"]
    history = server.http.post(f"{other}/history", json={"limit": 10}).json()
    assert {state["checkpoint"]["thread_id"] for state in history} == {copied["thread_id"]}
    assert len(history) == 3
    assert len(server.http.post(f"{path}/history", json={"limit": 10}).json()) == 2


def test_who_reads_a_thread_is_told_of_its_state_when_somebody_changes_it(server: Running) -> None:
    at = make_chat(server)["thread_id"]
    path = f"/threads/{at}"
    with server.http.stream("GET", f"{path}/stream?stream_modes=state_update") as response:
        change = {"values": {"messages": [{"role": "user", "content": "and?"}]}}
        changed = server.http.post(f"{path}/state", json=change).json()
        told = next(live(response))

    assert told.name == "state_update"
    assert told.data == {"state": server.http.get(f"{path}/state").json(), "thread_id": at}
    assert told.data["state"]["checkpoint_id"] == changed["checkpoint_id"]
    assert contents(told.data["state"]["values"]) == ["hi", "yo", "and?"]


def test_a_deleted_thread_leaves_nothing_to_one_with_its_id(server: Running) -> None:
    chat = make_chat(server)
    path = f"/threads/{chat['thread_id']}"

    deleted = server.http.delete(path)

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert server.http.get(path).status_code == 404
    make(server, thread_id=chat["thread_id"], metadata={"graph_id": "chat"})
    assert server.http.get(f"{path}/state").json()["values"] == {}


def test_pruning_keeps_the_newest_state_or_nothing(server: Running) -> None:
    chats = [make_chat(server)["thread_id"] for _ in range(2)]
    unknown = str(uuid.uuid4())

    def prune(**body: Any) -> Any:
        return server.http.post("/threads/prune", json=body).json()

    kept = prune(thread_ids=[chats[0], unknown], strategy="keep_latest")
    gone = prune(thread_ids=[chats[1], unknown])

    assert kept == gone == {"pruned_count": 1}
    history = server.http.post(f"/threads/{chats[0]}/history", json={"limit": 10}).json()
    assert [contents(state["values"]) for state in history] == [["hi", "yo"]]
    assert server.http.get(f"/threads/{chats[1]}").status_code == 404


def test_what_a_thread_takes_is_counted(server: Running) -> None:
    chat = make_chat(server)

    storage = server.http.get(f"/threads/{chat['thread_id']}/storage").json()

    assert storage["thread_id"] == chat["thread_id"]
    assert storage["checkpoints"]["count"] == 2
    assert storage["channel_values"]["by_channel"]["messages"]["versions"] == 2
    assert storage["channel_values"]["by_channel"]["messages"]["bytes"] > len("hiyo")
    assert storage["total_bytes"] == sum(
        storage[part]["bytes"] for part in ("checkpoints", "channel_values", "pending_writes")
    )


def test_a_large_state_goes_in_and_out(server: Running) -> None:
    thread = make(server, metadata={"graph_id": "chat"})
    path = f"/threads/{thread['thread_id']}"
    said = {"messages": [{"role": "user", "content": "x" * 2_000_000, "id": "m"}]}

    server.http.post(f"{path}/state", content=json.dumps({"values": said, "as_node": "__start__"}))

    assert contents(server.http.get(path).json()["values"]) == ["x" * 2_000_000]


def test_values_that_are_only_passed_on_are_not_read(server: Running) -> None:
    thread_id = server.http.post("/threads", json={}).json()["thread_id"]
    path = f"/threads/{thread_id}"
    # As nobody writes it who has read it.
    text = '{"n":   1}'

    def put(connection: Connection) -> None:
        connection.execute(
            sql('UPDATE threads SET "values" = :text WHERE thread_id = :id'),
            {"text": text, "id": thread_id},
        )

    asyncio.run(server.service.db.write(put))
    copied = server.http.post(f"{path}/copy").json()["thread_id"]
    answers = [
        server.http.get(path),
        server.http.patch(path, json={"metadata": {"a": 1}}),
        server.http.post("/threads/search", json={"ids": [thread_id]}),
        server.http.get(f"/threads/{copied}"),
    ]

    assert [f'"values":{text}' in answer.text for answer in answers] == [True] * 4
    wish = {"ids": [thread_id], "extract": {"n": "values.n"}}
    (found,) = server.http.post("/threads/search", json=wish).json()
    assert found["extracted"] == {"n": 1}
