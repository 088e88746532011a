"""Assistants for clients of AG-UI: what is asked for, by HTTP, and answered."""

from __future__ import annotations

import json
import operator
import shutil
import uuid
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from langchain_core.runnables import RunnableConfig

from millstream.graph import START, StateGraph
from protocols import scripted
from protocols.judges import judge
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs

pytestmark = pytest.mark.real_time(reason="a server answers")
HI = {"id": "u1", "role": "user", "content": "hi"}


class Counted(scripted.State, total=False):
    sacks: Annotated[list[int], operator.add]
    mill: str


def count(state: Counted, config: RunnableConfig) -> dict[str, Any]:
    tools = config.get("configurable", {}).get("client_tools", ())
    return {"sacks": [len(tools)]}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Give a server with the graphs that say everything; use threads of your own."""
    names = ("team", "failing", "asking", "reviewed")
    graphs = {
        **make_graphs(),
        **{name: getattr(scripted, f"make_{name}")() for name in names},
        "counting": StateGraph(Counted).add_node(count).add_edge(START, "count").compile(),
    }
    with running(config_of(graphs, tmp_path_factory.mktemp("server"))) as server:
        yield server


def ask(server: Running, graph: str, *messages: Any, **body: Any) -> list[dict[str, Any]]:
    """Send what a client has, and return the events of the answer."""
    thread = body.pop("threadId", str(uuid.uuid4()))
    body = {"threadId": thread, "runId": "r1", "messages": messages, **body}
    response = server.http.post(f"/ag-ui/{graph}", json=body)
    assert response.status_code == 200, response.text
    lines = (line for line in response.text.splitlines() if line.startswith("data: "))
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_a_thread_is_gone_on_with(served: Running) -> None:
    thread = str(uuid.uuid4())
    first = ask(served, "chat", HI, threadId=thread)
    said = {"id": "a1", "role": "assistant", "content": "hello"}
    ask(served, "chat", HI, said, {**HI, "id": "u2", "content": "again"}, threadId=thread)
    kept = served.http.get(f"/threads/{thread}/state").json()["values"]["messages"]

    assert first[0] == {
        "type": "RUN_STARTED", "threadId": thread, "runId": "r1", "protocolVersion": "1.0",
    }  # fmt: skip
    assert first[-1]["outcome"] == {"type": "success"}
    assert [one["type"] for one in kept] == ["human", "ai", "human", "ai"]


def test_only_what_a_client_has_changed_of_the_state_is_written(served: Running) -> None:
    thread = str(uuid.uuid4())
    tool = {"name": "locate", "description": "Find it."}
    first = ask(served, "counting", HI, threadId=thread, state={"mill": "wind"})
    state = [event["snapshot"] for event in first if event["type"] == "STATE_SNAPSHOT"][-1]
    second = ask(
        served, "counting", HI, threadId=thread, state={**state, "mill": "water"}, tools=[tool]
    )

    assert state == {"mill": "wind", "sacks": [0]}
    assert [event["snapshot"] for event in second if event["type"] == "STATE_SNAPSHOT"][-1] == {
        "mill": "water", "sacks": [0, 1],
    }  # fmt: skip


def test_subagents_and_failures_are_told(served: Running) -> None:
    team = [event["type"] for event in ask(served, "team", HI)]

    assert team.count("SUBAGENT_STARTED") == team.count("SUBAGENT_FINISHED") == 1
    assert ask(served, "failing", HI)[-1]["message"] == "ValueError: the wheel is stuck"


@pytest.mark.parametrize("forwarded", ["text", [1], 5, None, {"theme": "dark"}])
def test_what_is_forwarded_may_be_anything(served: Running, forwarded: Any) -> None:
    assert ask(served, "chat", HI, forwardedProps=forwarded)[-1]["outcome"] == {"type": "success"}


@pytest.mark.parametrize(
    ("body", "status", "complaint"),
    [
        ({"threadId": "t", "runId": "r"}, 422, "messages"),
        ({"threadId": "t", "runId": "r", "messages": [{"role": "user"}]}, 422, "`id` and `role`"),
        (
            {"threadId": "t", "runId": "r", "messages": [], "forwardedProps": {"config": 1}},
            422,
            "forwardedProps.config",
        ),
    ],
)
def test_what_is_no_request_is_refused(
    served: Running, body: Any, status: int, complaint: str
) -> None:
    response = served.http.post("/ag-ui/chat", json=body)

    assert response.status_code == status
    assert complaint in response.json()["detail"]


@pytest.mark.long
@pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm")
def test_a_client_talks_with_a_graph(served: Running) -> None:
    chat, failing, asked, answered, reviewed, decided = judge("agui.mjs", served.url)

    assert [one["wrong"] for one in (chat, asked, answered, reviewed, decided)] == [[]] * 5
    assert [message["role"] for message in chat["messages"]] == [
        "user", "assistant", "user", "assistant",
    ]  # fmt: skip
    assert failing["error"] == "ValueError: the wheel is stuck"
    assert asked["interrupts"][0]["metadata"]["value"] == {"question": "Shall the mill turn?"}
    assert answered["messages"][-1]["content"] == "You said yes."
    assert [one["toolCallId"] for one in reviewed["interrupts"]] == ["call-1", "call-2"]
    assert decided["interrupts"] == []
    tools = {m["toolCallId"]: m["content"] for m in decided["messages"] if m["role"] == "tool"}
    assert tools == {"call-1": '{"kilos": 100}', "call-2": "no"}
