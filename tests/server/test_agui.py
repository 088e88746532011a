"""Assistants for clients of AG-UI: what is asked for, by HTTP, and answered."""

from __future__ import annotations

import operator
import shutil
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Annotated, Any

import httpx
import pytest
from ag_ui.core import AgentCapabilities
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig

from millstream.graph import START, StateGraph
from millstream.types import interrupt
from protocols import scripted
from protocols.judges import judge
from protocols.test_agui import checked, only
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


def ask_twice(state: Counted) -> dict[str, Any]:
    return {"sacks": [interrupt(f"How many sacks for the {state['mill']} mill?")]}


def tell(state: Counted) -> dict[str, Any]:
    return {"messages": [AIMessage("Ready.", id="ready")]}


def make_turning(gate: threading.Event) -> Any:
    """Return a graph of which a nested one says something for itself before a gate is open."""
    said = scripted.chunk("Now ", id="now"), lambda: gate.wait(30), scripted.chunk("go.", id="now")
    inner = StateGraph(Counted).add_node("speak", scripted.speaking(*said))
    inner.add_edge(START, "speak")
    aside = inner.compile()

    def turn(state: Counted) -> dict[str, Any]:
        aside.invoke({"messages": "go on"})
        return {"sacks": [1]}

    return StateGraph(Counted).add_node(turn).add_edge(START, "turn").compile()


@pytest.fixture(scope="module")
def gate() -> threading.Event:
    return threading.Event()


@pytest.fixture(scope="module")
def later() -> threading.Event:
    return threading.Event()


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, gate: threading.Event, later: threading.Event
) -> Iterator[Running]:
    """Give a server with the graphs that say everything; use threads of your own."""
    names = ("team", "failing", "asking", "reviewed", "planning", "photographing", "routing")
    graphs = {
        **make_graphs(),
        **{name: getattr(scripted, f"make_{name}")() for name in names},
        "gated": scripted.make_gated(gate),
        "turning": make_turning(later),
        "telling": StateGraph(Counted).add_node(tell).add_edge(START, "tell").compile(),
        "pondering": StateGraph(Counted).add_node(ask_twice).add_edge(START, "ask_twice").compile(),
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
    return events_in(response.text)


def events_in(text: str) -> list[dict[str, Any]]:
    """Return the events of a stream, each checked."""
    lines = [line for line in text.split("\n\n") if line.startswith("data: ")]
    return checked("\n\n".join(lines))


def up_to(text: str, pieces: Iterator[str]) -> str:
    """Return what comes of a stream, up to a text."""
    read = ""
    while text not in read:
        read += next(pieces)
    return read


def texts(events: list[dict[str, Any]]) -> list[str]:
    return [event["delta"] for event in only(events, "TEXT_MESSAGE_CONTENT")]


def state_of(server: Running, thread: str) -> Any:
    return server.http.get(f"/threads/{thread}/state").json()["values"]


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
    state = only(first, "STATE_SNAPSHOT")[-1]["snapshot"]
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


def test_steps_and_changes_of_the_state_are_told(served: Running) -> None:
    events = ask(served, "planning", HI)

    assert [(e["type"], e["stepName"]) for e in only(events, "STEP_STARTED", "STEP_FINISHED")] == [
        ("STEP_STARTED", "plan"),
        ("STEP_FINISHED", "plan"),
        ("STEP_STARTED", "work"),
        ("STEP_FINISHED", "work"),
    ]
    (changed,) = only(events, "STATE_DELTA")
    assert [each["path"] for each in changed["delta"]] == ["/plan/0/is_done", "/plan/-"]


def test_the_class_of_an_error_is_its_code(served: Running) -> None:
    assert ask(served, "failing", HI)[-1]["code"] == "ValueError"


def test_a_client_that_comes_back_gets_all_of_a_run_after_what_was_before(
    served: Running, gate: threading.Event
) -> None:
    thread = str(uuid.uuid4())
    gate.set()
    ask(served, "gated", HI, threadId=thread)
    gate.clear()
    body = {"threadId": thread, "runId": "r2", "messages": [{**HI, "id": "u2"}]}
    with served.http.stream("POST", "/ag-ui/gated", json=body) as first:
        up_to('"It "', first.iter_text())
    path = f"/ag-ui/gated/{thread}/stream"
    with served.http.stream("GET", path) as joined:
        pieces = joined.iter_text()
        so_far = up_to('"It "', pieces)
        nothing = {"threadId": thread, "runId": "r3", "messages": []}
        with served.http.stream("POST", "/ag-ui/gated/connect", json=nothing) as connected:
            others = connected.iter_text()
            known = up_to('"It "', others)
            gate.set()
            told = [events_in(so_far + "".join(pieces)), events_in(known + "".join(others))]
    after = served.http.get(path)

    assert told[0] == told[1]
    events = told[0]
    assert events[0]["runId"] == events[-1]["runId"] == "r2"
    (snapshot,) = only(events, "MESSAGES_SNAPSHOT")
    assert [(one["role"], one.get("content")) for one in snapshot["messages"]] == [
        ("user", "hi"), ("assistant", "It turns."), ("user", "hi"),
    ]  # fmt: skip
    assert texts(events) == ["It ", "turns."]
    assert events[-1]["outcome"] == {"type": "success"}
    assert after.status_code == 204


def test_a_client_that_comes_back_gets_the_runs_that_wait_too(
    served: Running, gate: threading.Event, later: threading.Event
) -> None:
    gate.clear()
    later.clear()
    thread = str(uuid.uuid4())
    asked = {"threadId": thread, "messages": [HI]}
    more = {"runId": "r2", "messages": [{**HI, "id": "u2", "content": "and now?"}]}
    last = {"runId": "r3", "messages": [{**HI, "id": "u3"}]}
    with (
        served.http.stream("POST", "/ag-ui/turning", json={**asked, "runId": "r1"}) as first,
        served.http.stream("POST", "/ag-ui/gated", json={**asked, **more}),
        served.http.stream("POST", "/ag-ui/telling", json={**asked, **last}),
        served.http.stream("GET", f"/ag-ui/gated/{thread}/stream") as joined,
    ):
        up_to('"Now "', first.iter_text())
        pieces = joined.iter_text()
        so_far = up_to('"Now "', pieces)
        later.set()
        so_far += up_to('"It "', pieces)
        gate.set()
        events = events_in(so_far + "".join(pieces))

    begun = only(events, "RUN_STARTED", "RUN_FINISHED")
    assert [(event["type"], event["runId"]) for event in begun] == [
        (type, f"r{n}") for n in (1, 2, 3) for type in ("RUN_STARTED", "RUN_FINISHED")
    ]
    second, third = only(events, "MESSAGES_SNAPSHOT")[1:]
    # What the first has said for itself, the client keeps.
    assert [one["id"] for one in second["messages"]] == ["u1", "now", "u2"]
    assert second["messages"][1]["content"] == "Now go."
    # The last may have ended before anybody looked for it.
    told = [one.get("content") for one in third["messages"]] + texts(events)
    assert told.count("Ready.") == 1


def test_a_client_that_comes_back_finds_what_its_thread_asks(served: Running) -> None:
    thread = str(uuid.uuid4())
    asked = ask(served, "reviewed", HI, threadId=thread)[-1]["outcome"]
    body = {"threadId": thread, "runId": "r2", "messages": []}
    events = events_in(served.http.post("/ag-ui/reviewed/connect", json=body).text)

    assert [event["type"] for event in events] == [
        "RUN_STARTED", "MESSAGES_SNAPSHOT", "STATE_SNAPSHOT", "RUN_FINISHED",
    ]  # fmt: skip
    assert events[-1]["outcome"] == asked
    assert events[-1]["runId"] == "r2"


def test_of_a_thread_that_there_is_not_nothing_is_told(served: Running) -> None:
    body = {"threadId": "of nobody", "runId": "r1", "messages": []}
    events = events_in(served.http.post("/ag-ui/chat/connect", json=body).text)

    assert [event["type"] for event in events] == ["RUN_STARTED", "RUN_FINISHED"]
    assert served.http.get("/ag-ui/chat/of%20nobody/stream").status_code == 204
    assert served.http.post("/ag-ui/none/connect", json=body).status_code == 404


def test_a_run_is_stopped(served: Running, gate: threading.Event) -> None:
    gate.clear()
    thread = str(uuid.uuid4())
    body = {"threadId": thread, "runId": "r1", "messages": [HI]}
    with served.http.stream("POST", "/ag-ui/gated", json=body) as response:
        pieces = response.iter_text()
        so_far = up_to('"It "', pieces)
        stopped = httpx.delete(f"{served.url}/ag-ui/gated/{thread}/stream", timeout=30)
        events = events_in(so_far + "".join(pieces))
    gate.set()

    assert stopped.status_code == 204
    assert events[-1]["outcome"] == {"type": "cancelled"}
    assert [event["type"] for event in events[-3:-1]] == ["TEXT_MESSAGE_END", "STEP_FINISHED"]


def test_what_is_sent_at_the_same_time_is_answered_one_after_the_other(served: Running) -> None:
    thread = str(uuid.uuid4())

    def send(number: int) -> list[dict[str, Any]]:
        message = {**HI, "id": f"u{number}", "content": f"number {number}"}
        return ask(served, "chat", message, threadId=thread, runId=f"r{number}")

    with ThreadPoolExecutor(2) as both:
        told = list(both.map(send, range(2)))

    assert [events[0]["runId"] for events in told] == ["r0", "r1"]
    assert [events[-1]["outcome"]["type"] for events in told] == ["success", "success"]
    messages = state_of(served, thread)["messages"]
    assert [one["type"] for one in messages] == ["human", "ai", "human", "ai"]
    assert {one["id"] for one in messages[::2]} == {"u0", "u1"}


def test_what_a_client_was_told_of_tools_is_not_said_to_the_thread_again(served: Running) -> None:
    thread = str(uuid.uuid4())
    call = {"id": "call-1", "type": "function", "function": {"name": "photograph", "arguments": ""}}
    told = [
        {"id": "calls", "role": "assistant", "toolCalls": [call]},
        {"id": "call-1:result", "role": "tool", "toolCallId": "call-1", "content": "The mill:"},
    ]
    ask(served, "photographing", HI, threadId=thread)
    ask(served, "chat", HI, *told, {**HI, "id": "u2"}, threadId=thread)

    kept = [one["type"] for one in state_of(served, thread)["messages"]]
    assert kept == ["human", "ai", "tool", "human", "ai"]


def test_an_answer_may_come_with_a_state_that_the_client_has_changed(served: Running) -> None:
    thread = str(uuid.uuid4())
    asked = ask(served, "pondering", HI, threadId=thread, state={"mill": "wind"})
    (question,) = asked[-1]["outcome"]["interrupts"]
    resume = [{"interruptId": question["id"], "status": "resolved", "payload": 7}]
    ask(served, "pondering", threadId=thread, resume=resume, state={"mill": "water"})

    assert question["message"] == "How many sacks for the wind mill?"
    kept = state_of(served, thread)
    assert (kept["mill"], kept["sacks"]) == ("water", [7])


def test_answers_to_what_nobody_has_asked_are_passed_by(served: Running) -> None:
    resume = [{"interruptId": "of nobody", "status": "resolved", "payload": 7}]
    events = ask(served, "chat", HI, resume=resume)

    assert texts(events)
    assert events[-1]["outcome"] == {"type": "success"}


def test_pictures_are_content_of_messages(served: Running) -> None:
    thread = str(uuid.uuid4())
    source = {"type": "data", "value": scripted.PIXEL, "mimeType": "image/png"}
    content = [{"type": "text", "text": "See:"}, {"type": "image", "source": source}]
    ask(served, "chat", {**HI, "content": content}, threadId=thread)
    body = {"threadId": thread, "runId": "r2", "messages": []}
    events = events_in(served.http.post("/ag-ui/chat/connect", json=body).text)

    assert only(events, "MESSAGES_SNAPSHOT")[0]["messages"][0]["content"] == content


def test_an_assistant_declares_what_it_can_do(served: Running) -> None:
    told = served.http.get("/ag-ui/team/capabilities").json()

    known = AgentCapabilities.model_validate(told)
    assert known.model_dump(by_alias=True, exclude_none=True) == told
    assert told["identity"]["name"] == "team"
    assert told["state"]["deltas"] is True


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
def test_a_client_talks_with_a_graph(served: Running, gate: threading.Event) -> None:
    gate.clear()
    told = judge("agui.mjs", served.url)
    gate.set()
    chat, failing, asked, returned, answered, reviewed, decided, *more = told
    (stopped, followed), (called, located), both, shown = more
    team, planning, counted, again, _ = shown

    right = [chat, asked, returned, answered, reviewed, decided, *chain.from_iterable(more)]
    assert [one["wrong"] for one in right] == [[]] * len(right)
    assert returned["interrupts"] == asked["interrupts"]
    assert stopped["outcome"] == followed["outcome"] == {"type": "cancelled"}
    assert [one["content"] for one in followed["messages"]] == ["hi", "It "]
    assert called["outcome"]["pendingToolCallIds"] == ["Route", "locate"]
    assert [one["role"] for one in located["messages"]][:4] == ["user", "assistant", "tool", "tool"]
    assert [one["outcome"]["type"] for one in (*both, *shown)] == ["success"] * 7
    roles = [one["role"] for one in team["messages"]]
    assert roles == ["user", "reasoning", "assistant", "tool", "tool", "assistant", "activity"]
    assert len({one.get("subagentRunId") for one in team["messages"][1:]}) == 1
    assert [each["is_done"] for each in planning["state"]["plan"]] == [True] + [False] * 9
    assert (counted["state"]["mill"], again["state"]["mill"]) == ("wind", "water")
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
