"""Assistants as agents: the client of the A2A SDK speaks with the server, in both versions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import pytest
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types import (
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    Message,
    Part,
    Role,
    SendMessageConfiguration,
    SendMessageRequest,
    SubscribeToTaskRequest,
    TaskState,
)

from millstream.server.config import HttpConfig
from server.fixtures import Running, config_of, running

pytestmark = pytest.mark.real_time(reason="a server answers")

T = TypeVar("T")
SAID = "hello from the fake model"


def use(
    server: Running, name: str, action: Callable[[Any], Awaitable[T]], version: str, **options: Any
) -> T:
    """Do something with a client of an assistant, in a version of the protocol."""

    async def run() -> T:
        async with httpx.AsyncClient(timeout=30) as http:
            card = await A2ACardResolver(http, f"{server.url}/a2a/{name}").get_agent_card()
            kept = [face for face in card.supported_interfaces if face.protocol_version == version]
            del card.supported_interfaces[:]
            card.supported_interfaces.extend(kept)
            client = ClientFactory(ClientConfig(httpx_client=http, **options)).create(card)
            return await action(client)

    return asyncio.run(run())


def saying(text: str, **fields: Any) -> SendMessageRequest:
    message = Message(
        message_id=str(uuid4()), role=Role.ROLE_USER, parts=[Part(text=text)], **fields
    )
    return SendMessageRequest(message=message)


async def replies(client: Any, request: SendMessageRequest) -> list[Any]:
    return [reply async for reply in client.send_message(request)]


versions = pytest.mark.parametrize("version", ["1.0", "0.3"])


@versions
def test_a_message_is_answered_with_a_task_that_has_ended(server: Running, version: str) -> None:
    (reply,) = use(server, "chat", lambda c: replies(c, saying("hi")), version, streaming=False)
    task = reply.task
    assert task.status.state == TaskState.TASK_STATE_COMPLETED
    assert [(m.role, m.parts[0].text) for m in task.history] == [
        (Role.ROLE_USER, "hi"),
        (Role.ROLE_AGENT, SAID),
    ]
    assert task.artifacts[0].parts[0].text == SAID


@versions
def test_what_the_agent_says_is_streamed(server: Running, version: str) -> None:
    events = use(server, "chat", lambda c: replies(c, saying("hi")), version)
    kinds = [event.WhichOneof("payload") for event in events]
    assert (kinds[0], kinds[-2:]) == ("task", ["artifact_update", "status_update"])
    texts = [
        event.status_update.status.message.parts[0].text
        for event in events
        if event.status_update.status.state == TaskState.TASK_STATE_WORKING
    ]
    assert (texts[0], texts[-1], len(texts)) == ("hello", SAID, 9)
    assert events[-1].status_update.status.state == TaskState.TASK_STATE_COMPLETED


@versions
def test_a_question_is_answered_in_its_task(server: Running, version: str) -> None:
    async def talk(client: Any) -> Any:
        (asked,) = await replies(client, saying("hi"))
        task = asked.task
        answer = saying("yes", task_id=task.id, context_id=task.context_id)
        (answered,) = await replies(client, answer)
        return task, answered.task

    asked, answered = use(server, "hitl", talk, version, streaming=False)
    assert asked.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
    assert asked.status.message.parts[0].data.struct_value["question"] == "approve?"
    assert answered.artifacts[0].parts[0].text == "answer=yes"
    assert answered.context_id == asked.context_id


def test_a_context_has_its_conversation_and_its_tasks(server: Running) -> None:
    async def talk(client: Any) -> Any:
        (first,) = await replies(client, saying("one"))
        context_id = first.task.context_id
        (second,) = await replies(client, saying("two", context_id=context_id))
        listed = await client.list_tasks(ListTasksRequest(context_id=context_id))
        got = await client.get_task(GetTaskRequest(id=second.task.id, history_length=2))
        return first.task, second.task, listed.tasks, got

    first, second, listed, got = use(server, "chat", talk, "1.0", streaming=False)
    assert [m.parts[0].text for m in second.history] == ["one", SAID, "two", SAID]
    assert [m.parts[0].text for m in got.history] == ["two", SAID]
    assert [task.id for task in listed] == [second.id, first.id]


def test_data_is_the_state_and_what_comes_back(server: Running) -> None:
    request = saying("")
    del request.message.parts[:]
    part = Part()
    part.data.struct_value.update({"n": 1, "delay": 0})
    request.message.parts.append(part)
    (reply,) = use(server, "slow", lambda c: replies(c, request), "1.0", streaming=False)
    assert [*reply.task.artifacts[0].parts[0].data.struct_value["seen"]] == [1, -1]


def test_a_run_that_fails_is_a_failed_task(server: Running) -> None:
    request = saying("")
    del request.message.parts[:]
    part = Part()
    part.data.struct_value.update({"n": 0, "boom": True})
    request.message.parts.append(part)
    events = use(server, "slow", lambda c: replies(c, request), "1.0")
    status = events[-1].status_update.status
    assert status.state == TaskState.TASK_STATE_FAILED
    assert status.message.parts[0].text == "ValueError: boom in tick"


def test_a_task_is_cancelled(server: Running) -> None:
    async def cancel(client: Any) -> Any:
        request = saying("")
        del request.message.parts[:]
        part = Part()
        part.data.struct_value.update({"n": 1, "delay": 600})
        request.message.parts.append(part)
        request.configuration.CopyFrom(SendMessageConfiguration(return_immediately=True))
        (begun,) = await replies(client, request)
        cancelled = await client.cancel_task(CancelTaskRequest(id=begun.task.id))
        return begun.task, cancelled, await client.get_task(GetTaskRequest(id=begun.task.id))

    begun, cancelled, after = use(server, "slow", cancel, "1.0", streaming=False, polling=True)
    assert begun.status.state == TaskState.TASK_STATE_SUBMITTED
    assert {cancelled.status.state, after.status.state} == {TaskState.TASK_STATE_CANCELED}


def test_what_does_not_exist_or_fit_is_refused_with_the_protocols_errors(server: Running) -> None:
    def code(method: str, params: Any) -> int:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        number: int = server.http.post("/a2a/chat", json=body).json()["error"]["code"]
        return number

    said = {"role": "user", "messageId": "m", "parts": [{"kind": "text", "text": "hi"}]}
    assert code("tasks/get", {"id": "nothing"}) == -32001
    assert code("message/send", {"message": {**said, "contextId": "no id"}}) == -32602
    assert code("nothing/there", {}) == -32601
    assert server.http.post("/a2a/nobody", json={}).status_code == 404
    assert server.http.get("/a2a/chat").status_code == 405


def test_the_card_says_where_the_agent_is_and_what_it_takes(server: Running) -> None:
    found = server.http.get("/.well-known/agent-card.json", params={"assistant_id": "chat"})
    card = found.json()
    assert card == server.http.get("/a2a/chat/.well-known/agent.json").json()
    assert card["url"].startswith(f"{server.url}/a2a/")
    assert card["skills"][0]["metadata"]["inputSchema"]["supportsA2A"]
    assert server.http.get("/.well-known/agent-card.json").status_code == 422


def test_a2a_can_be_left_out(tmp_path: Path) -> None:
    with running(config_of({}, tmp_path, http=HttpConfig(disable_a2a=True))) as server:
        assert server.http.get("/.well-known/agent-card.json").status_code == 404


def test_the_history_is_that_of_the_task_if_it_is_asked_for(server: Running) -> None:
    def send(text: str, **fields: Any) -> Any:
        parts = [{"kind": "text", "text": text}]
        message = {"role": "user", "messageId": str(uuid4()), "parts": parts, **fields}
        body = {"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": {"message": message}}
        head = {"LangGraph-A2A-History-Scope": "task"}
        return server.http.post("/a2a/chat", json=body, headers=head).json()["result"]

    first = send("one")
    second = send("two", contextId=first["contextId"])
    assert [message["parts"][0]["text"] for message in second["history"]] == ["two", SAID]


def test_a_task_is_followed_to_its_end(server: Running) -> None:
    parts = [{"kind": "data", "data": {"n": 1, "delay": 1}}]
    message = {"role": "user", "messageId": "m", "parts": parts}
    params = {"message": message, "configuration": {"blocking": False}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": params}
    begun = server.http.post("/a2a/slow", json=body).json()["result"]
    assert begun["status"]["state"] == "submitted"

    async def follow(client: Any) -> Any:
        subscription = client.subscribe(SubscribeToTaskRequest(id=begun["id"]))
        return [event async for event in subscription]

    events = use(server, "slow", follow, "1.0")
    assert events[0].task.id == begun["id"]
    assert events[-1].status_update.status.state == TaskState.TASK_STATE_COMPLETED
