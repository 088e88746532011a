"""What catches a client unawares, and belongs to no one operation: each with its number."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
from langgraph.types import Interrupt

from millstream.server.config import HttpConfig
from server.fixtures import Running, config_of, running
from server.graphs import make_chat

HI: Final = {"messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_trap_03_a_location_is_relative_and_has_the_prefix(tmp_path: Path, prefix: str) -> None:
    config = config_of({"chat": make_chat()}, tmp_path, http=HttpConfig(mount_prefix=prefix))
    body = {"assistant_id": "chat", "input": HI}
    with running(config) as server:
        thread = server.http.post(f"{prefix}/threads", json={}).json()["thread_id"]
        for path in (f"/threads/{thread}/runs/stream", f"/threads/{thread}/runs/wait"):
            answer = server.http.post(f"{prefix}{path}", json=body)
            location = answer.headers["location"]

            assert location.startswith(f"{prefix}/threads/{thread}/runs/")
            assert server.http.get(location).status_code == 200


def test_trap_20_a_question_has_what_an_interrupt_is_made_of(server: Running) -> None:
    thread = server.http.post("/threads", json={}).json()["thread_id"]
    body = {"assistant_id": "hitl", "input": HI}
    told = server.http.post(f"/threads/{thread}/runs/wait", json=body).json()["__interrupt__"]
    kept = server.http.get(f"/threads/{thread}").json()["interrupts"]
    [task] = server.http.get(f"/threads/{thread}/state").json()["tasks"]

    for question in (*told, *task["interrupts"], *(q for each in kept.values() for q in each)):
        made = Interrupt(**{key: question[key] for key in ("value", "id")})
        assert made.value == {"question": "approve?", "n": 1}
        assert set(question) <= {"value", "id", "response_schema"}


def test_trap_34_keys_for_feedback_ask_nobody(server: Running) -> None:
    body = {"assistant_id": "chat", "input": HI, "feedback_keys": ["user_score"]}

    text = server.http.post("/runs/stream", json=body).text

    assert "event: error" not in text
    assert "hello from the fake model" in text


def test_trap_38_clients_that_only_listen_keep_nobody_waiting(server: Running) -> None:
    with ExitStack() as streams:
        for _ in range(40):
            thread = server.http.post("/threads", json={}).json()["thread_id"]
            stream = server.http.stream("GET", f"/threads/{thread}/stream")
            assert streams.enter_context(stream).status_code == 200
        body = {"assistant_id": "chat", "input": HI}

        assert server.http.post("/runs/wait", json=body).status_code == 200
        assert server.http.get("/ok").json()["ok"] is True
