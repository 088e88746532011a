"""Assistants for pages that are made with the AI SDK: what is asked for, by HTTP, and answered."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

import waiting
from millstream.server.api.chats import thread_of
from millstream.server.config import HttpConfig
from protocols import scripted
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs

pytestmark = pytest.mark.real_time(reason="a server answers")


@pytest.fixture(scope="module")
def gate() -> threading.Event:
    return threading.Event()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, gate: threading.Event) -> Iterator[Running]:
    """Give a server with the graphs that say everything; use chats of your own."""
    graphs = {
        **make_graphs(),
        **{
            name: getattr(scripted, f"make_{name}")()
            for name in ("team", "failing", "chorus", "asking", "reviewed")
        },
        "gated": scripted.make_gated(gate),
        "attended": scripted.make_attended(gate),
    }
    with running(config_of(graphs, tmp_path_factory.mktemp("server"))) as server:
        yield server


def user(text: str, id: str = "u1") -> dict[str, Any]:
    return {"id": id, "role": "user", "parts": [{"type": "text", "text": text}]}


def parts_in(text: str) -> list[dict[str, Any]]:
    """Return the parts of a stream, which has to be marked as ended."""
    *blocks, end = [
        block.strip() for block in text.split("\n\n") if block.strip().startswith("data: ")
    ]
    assert end == "data: [DONE]"
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


def ask(server: Running, graph: str, *messages: Any, **body: Any) -> list[dict[str, Any]]:
    """Send the messages of a page, and return the parts of the answer."""
    body = {"id": str(uuid.uuid4()), "messages": messages, **body}
    response = server.http.post(f"/ai-sdk/{graph}", json=body)
    assert response.status_code == 200, response.text
    assert response.headers["x-vercel-ai-ui-message-stream"] == "v1"
    return parts_in(response.text)


def texts(parts: list[dict[str, Any]]) -> list[str]:
    return [part["delta"] for part in parts if part["type"] == "text-delta"]


def state_of(server: Running, chat: str) -> Any:
    return server.http.get(f"/threads/{thread_of(chat)}/state").json()["values"]["messages"]


def test_a_chat_goes_on_in_its_thread(served: Running) -> None:
    chat = "a name of the page's"
    first = ask(served, "chat", user("hi"), id=chat)
    said = {"id": first[0]["messageId"], "role": "assistant", "parts": []}
    second = ask(served, "chat", user("hi"), said, user("again", "u2"), id=chat)

    assert "".join(texts(first)) == "hello from the fake model"
    assert [part["type"] for part in second][-2:] == ["finish-step", "finish"]
    assert [one["type"] for one in state_of(served, chat)] == ["human", "ai", "human", "ai"]
    assert [one["id"] for one in state_of(served, chat)][::2] == ["u1", "u2"]


def test_everything_is_said_as_without_a_server(served: Running) -> None:
    def known(parts: list[dict[str, Any]]) -> list[str]:
        return [
            str({key: value for key, value in part.items() if key not in ("id", "messageId")})
            for part in parts
            if part["type"] != "data-graph"
        ]

    from millstream.protocols import aisdk

    lines = "".join(aisdk.stream(scripted.make_team(), {"messages": "hi"}))
    # Tools of one superstep run side by side.
    assert sorted(known(ask(served, "team", user("hi")))) == sorted(known(parts_in(lines)))


def test_an_answer_is_made_again(served: Running) -> None:
    chat = str(uuid.uuid4())
    ask(served, "chat", user("hi"), id=chat)
    before = state_of(served, chat)
    ask(served, "chat", user("hi"), id=chat, trigger="regenerate-message")
    after = state_of(served, chat)

    assert [one["type"] for one in after] == ["human", "ai"]
    assert before[0]["id"] == after[0]["id"]
    assert before[1]["id"] != after[1]["id"]


def said(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the message of the assistant that a page has of a stream."""
    text = [{"type": "text", "text": "".join(texts(parts))}]
    return {"id": parts[0]["messageId"], "role": "assistant", "parts": text}


def test_a_thread_forgets_what_a_page_has_not_that_has_the_whole_conversation(
    served: Running,
) -> None:
    chat = str(uuid.uuid4())
    page = [user("one")]
    page.append(said(ask(served, "chat", *page, id=chat, history="page")))
    ask(served, "chat", *page, user("two", "u2"), id=chat, history="page")
    before = state_of(served, chat)
    ask(served, "chat", *page, user("three", "u3"), id=chat, history="page")
    after = state_of(served, chat)

    assert [one["id"] for one in before[::2]] == ["u1", "u2"]
    assert after[:2] == before[:2]
    assert [one["content"] for one in after[::2]] == ["one", "three"]
    assert [one["type"] for one in after] == ["human", "ai", "human", "ai"]


def test_a_page_goes_back_to_a_message_that_its_thread_has_forgotten(served: Running) -> None:
    chat = str(uuid.uuid4())
    first = said(ask(served, "chat", user("one"), id=chat, history="page"))
    ask(served, "chat", user("two", "u2"), id=chat, history="page")
    changed = state_of(served, chat)
    ask(served, "chat", user("one"), first, user("more", "u3"), id=chat, history="page")
    after = state_of(served, chat)

    assert [one["id"] for one in changed][::2] == ["u2"]
    assert [one["id"] for one in after][::2] == ["u1", "u3"]
    assert after[1]["content"] == first["parts"][0]["text"]
    assert [one["type"] for one in after] == ["human", "ai", "human", "ai"]


def test_an_answer_is_made_again_for_a_page_that_has_the_whole_conversation(
    served: Running,
) -> None:
    chat = str(uuid.uuid4())
    first = said(ask(served, "chat", user("one"), id=chat, history="page"))
    page = [user("one"), first, user("two", "u2")]
    ask(served, "chat", *page, id=chat, history="page")
    before = state_of(served, chat)
    ask(served, "chat", *page, id=chat, history="page", trigger="regenerate-message")
    after = state_of(served, chat)

    assert after[:3] == before[:3]
    assert [one["type"] for one in after] == ["human", "ai", "human", "ai"]
    assert after[3]["id"] != before[3]["id"]


def test_a_question_is_answered(served: Running) -> None:
    chat = str(uuid.uuid4())
    asked = ask(served, "asking", user("hi"), id=chat)
    (question,) = (part["data"] for part in asked if part["type"] == "data-interrupt")
    page = served.http.get(f"/ai-sdk/asking/{chat}/messages").json()
    answered = ask(served, "asking", id=chat, resume={question["id"]: "yes"})

    assert question["value"] == {"question": "Shall the mill turn?"}
    assert asked[-1]["type"] == "finish"
    assert page[-1]["parts"] == [{"type": "data-interrupt", "id": question["id"], "data": question}]
    assert texts(answered) == ["You said yes."]


def test_calls_are_approved_in_their_message(served: Running) -> None:
    chat = str(uuid.uuid4())
    asked = ask(served, "reviewed", user("hi"), id=chat)
    approvals = [part for part in asked if part["type"] == "tool-approval-request"]
    page = {
        "id": asked[0]["messageId"],
        "role": "assistant",
        "parts": [
            {
                "type": f"tool-{name}",
                "toolCallId": approval["toolCallId"],
                "state": "approval-responded",
                "input": {},
                "approval": {"id": approval["approvalId"], "approved": name == "weigh"},
            }
            for approval, name in zip(approvals, ("weigh", "burn"), strict=True)
        ],
    }
    answered = ask(served, "reviewed", user("hi"), page, id=chat)

    assert answered[0] == asked[0]
    outputs = {
        part["toolCallId"]: part["type"]
        for part in answered
        if part["type"].startswith("tool-output") and not part.get("preliminary")
    }
    assert outputs == {"call-1": "tool-output-available", "call-2": "tool-output-denied"}


def test_a_run_that_fails_says_so(served: Running) -> None:
    parts = ask(served, "failing", user("hi"))

    assert [part["type"] for part in parts][-2:] == ["error", "finish"]
    assert parts[-2]["errorText"] == "ValueError: the wheel is stuck"


def test_a_page_that_is_loaded_anew_gets_all_of_the_message(
    served: Running, gate: threading.Event
) -> None:
    gate.clear()
    chat = str(uuid.uuid4())
    body = {"id": chat, "messages": [user("hi")]}
    with served.http.stream("POST", "/ai-sdk/gated", json=body) as first:
        begun = up_to('"It "', first.iter_text())
    with served.http.stream("GET", f"/ai-sdk/gated/{chat}/stream") as again:
        pieces = again.iter_text()
        so_far = up_to('"It "', pieces)
        meanwhile = served.http.get(f"/ai-sdk/gated/{chat}/messages").json()
        gate.set()
        parts = parts_in(so_far + "".join(pieces))
    after = served.http.get(f"/ai-sdk/gated/{chat}/stream")
    kept = served.http.get(f"/ai-sdk/gated/{chat}/messages").json()

    assert so_far.startswith(begun)
    assert texts(parts) == ["It ", "turns."]
    assert parts[-1]["type"] == "finish"
    assert after.status_code == 204
    assert [one["role"] for one in meanwhile] == ["user"]
    assert [one["role"] for one in kept] == ["user", "assistant"]
    assert kept[1]["parts"][-1]["text"] == "It turns."


def test_a_page_that_is_loaded_anew_goes_on_with_the_message_that_has_asked(
    served: Running, gate: threading.Event
) -> None:
    gate.clear()
    chat = str(uuid.uuid4())
    parts = ask(served, "attended", user("hi"), id=chat)
    question = next(part["id"] for part in parts if part["type"] == "data-interrupt")
    said = {"id": parts[0]["messageId"], "role": "assistant", "parts": []}
    body = {"id": chat, "messages": [user("hi"), said], "resume": {question: "yes"}}
    with served.http.stream("POST", "/ai-sdk/attended", json=body) as response:
        up_to('"It "', response.iter_text())
    known = served.http.get(f"/ai-sdk/attended/{chat}/messages").json()
    with served.http.stream("GET", f"/ai-sdk/attended/{chat}/stream") as again:
        pieces = again.iter_text()
        so_far = up_to('"It "', pieces)
        gate.set()
        said_again = parts_in(so_far + "".join(pieces))

    assert [one["id"] for one in known] == ["u1"]
    assert said_again[0] == parts[0]
    assert texts(said_again) == ["I ask.", "You said yes.", "It ", "turns."]


def up_to(text: str, pieces: Iterator[str]) -> str:
    """Return what comes of a stream, up to a text."""
    read = ""
    while text not in read:
        read += next(pieces)
    return read


def test_a_message_is_stopped(served: Running, gate: threading.Event) -> None:
    gate.clear()
    chat = str(uuid.uuid4())
    body = {"id": chat, "messages": [user("hi")]}
    with served.http.stream("POST", "/ai-sdk/gated", json=body) as response:
        pieces = response.iter_text()
        so_far = up_to('"It "', pieces)
        stopped = httpx.delete(f"{served.url}/ai-sdk/gated/{chat}/stream", timeout=30)
        parts = parts_in(so_far + "".join(pieces))
    gate.set()

    assert stopped.status_code == 204
    assert parts[-1] == {"type": "abort", "reason": "cancelled"}


def test_what_is_said_next_is_not_stopped(served: Running, gate: threading.Event) -> None:
    gate.clear()
    chat = str(uuid.uuid4())
    body = {"id": chat, "messages": [user("hi")]}
    with served.http.stream("POST", "/ai-sdk/gated", json=body) as response:
        up_to('"It "', response.iter_text())
        # Pages say that they stop, and send what comes next without waiting for an answer.
        next_run = {
            "assistant_id": "gated",
            "input": {"messages": "go on"},
            "stream_mode": ["messages-tuple"],
        }
        made = httpx.post(f"{served.url}/threads/{chat}/runs", json=next_run, timeout=30).json()
        httpx.delete(f"{served.url}/ai-sdk/gated/{chat}/stream", timeout=30)
    gate.set()
    served.http.get(f"/threads/{chat}/runs/{made['run_id']}/join")

    runs = served.http.get(f"/threads/{chat}/runs").json()
    assert sorted(run["status"] for run in runs) == ["interrupted", "success"]


def test_a_run_may_end_with_its_reader(served: Running, gate: threading.Event) -> None:
    gate.clear()
    chat = str(uuid.uuid4())
    body = {"id": chat, "messages": [user("hi")], "on_disconnect": "cancel"}
    with served.http.stream("POST", "/ai-sdk/gated", json=body) as response:
        up_to('"It "', response.iter_text())
    runs = f"/threads/{chat}/runs"

    assert waiting.until(lambda: served.http.get(runs).json()[0]["status"] == "interrupted")
    gate.set()


@pytest.mark.parametrize(
    ("path", "body", "status", "complaint"),
    [
        (
            "/ai-sdk/nobody",
            {"messages": []},
            404,
            "There is no assistant 'nobody'. The graphs are: ",
        ),
        ("/ai-sdk/00000000-0000-4000-8000-000000000000", {"messages": []}, 404, "Not Found"),
        ("/ai-sdk/chat", {"messages": [{"role": "user"}]}, 422, "a list of `parts`"),
        ("/ai-sdk/chat", {"messages": "hi"}, 422, "messages"),
        ("/ai-sdk/chat", {"id": "x" * 300, "messages": []}, 422, "at most 255 characters"),
        ("/ai-sdk/chat", {"messages": [], "version": 4}, 422, "version"),
    ],
)
def test_what_is_no_request_is_refused(
    served: Running, path: str, body: Any, status: int, complaint: str
) -> None:
    response = served.http.post(path, json=body)

    assert response.status_code == status
    assert complaint in response.json()["detail"]


def test_front_ends_can_be_left_out(tmp_path: Any) -> None:
    http = HttpConfig(disable_frontends=True)
    with running(config_of(make_graphs(), tmp_path, http=http)) as server:
        assert server.http.post("/ai-sdk/chat", json={"messages": []}).status_code == 404
