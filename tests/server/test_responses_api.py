"""Assistants as models of OpenAI's Responses API: its own client speaks with the server."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from millstream.server.api.chats import thread_of
from protocols import scripted
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs

pytestmark = pytest.mark.real_time(reason="a server answers")
SAID = "hello from the fake model"


@pytest.fixture(scope="module")
def gate() -> threading.Event:
    return threading.Event()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, gate: threading.Event) -> Iterator[Running]:
    """Give a server with the graphs that say everything; use conversations of your own."""
    names = ("team", "failing", "asking")
    graphs = {
        **make_graphs(),
        **{name: getattr(scripted, f"make_{name}")() for name in names},
        "gated": scripted.make_gated(gate),
        "routing": scripted.make_routing(),
    }
    with running(config_of(graphs, tmp_path_factory.mktemp("server"))) as server:
        yield server


@pytest.fixture
def client(served: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/openai/v1", api_key="none") as client:
        yield client


def test_a_response_is_whole_or_streamed(client: openai.OpenAI) -> None:
    whole = client.responses.create(model="chat", input="hi")
    with client.responses.stream(model="team", input="hi") as stream:
        kinds = [event.type for event in stream]
        streamed = stream.get_final_response()

    assert (whole.output_text, whole.status) == (SAID, "completed")
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert [item.type for item in streamed.output] == [
        "reasoning", "message", "mcp_call", "mcp_call", "message", "image_generation_call",
    ]  # fmt: skip
    assert streamed.usage is not None
    assert streamed.usage.total_tokens == 24


def test_a_response_that_was_waited_for_is_kept(client: openai.OpenAI) -> None:
    whole = client.responses.create(model="chat", input="hi")

    again = client.responses.retrieve(whole.id)

    assert (again.output_text, again.status) == (SAID, "completed")


def test_a_conversation_is_a_thread(client: openai.OpenAI, served: Running) -> None:
    name = f"conv_{uuid.uuid4().hex}"
    for text in ("hi", "again"):
        client.responses.create(model="chat", input=text, conversation=name)
    kept = served.http.get(f"/threads/{thread_of(name)}/state").json()["values"]["messages"]

    assert [one["content"] for one in kept] == ["hi", SAID, "again", SAID]


def test_a_question_is_a_call_that_is_answered(client: openai.OpenAI) -> None:
    asked = client.responses.create(model="asking", input="hi")
    (call,) = asked.output
    assert call.type == "function_call"
    answer: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "yes"}
    answered = client.responses.create(
        model="asking", input=[answer], previous_response_id=asked.id
    )

    assert json.loads(call.arguments) == {"question": "Shall the mill turn?"}
    assert answered.output_text == "You said yes."
    assert answered.previous_response_id == asked.id


def test_a_response_that_there_is_not_is_not_gone_on_with(
    client: openai.OpenAI, served: Running
) -> None:
    thread = uuid.uuid4()
    id = f"resp_{thread.hex}{uuid.uuid4().hex}"

    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="chat", input="hi", previous_response_id=id)
    assert served.http.get(f"/threads/{thread}").status_code == 404


def test_what_is_no_tool_of_the_client_is_never_called(client: openai.OpenAI) -> None:
    tool: Any = {"type": "function", "name": "locate", "parameters": {}, "strict": True}
    with client.responses.stream(model="routing", input="hi", tools=[tool]) as stream:
        made = stream.get_final_response()
    again = client.responses.retrieve(made.id)

    for response in (made, again):
        assert [getattr(item, "name", None) for item in response.output] == ["locate"]


def test_who_comes_back_gets_the_events_that_follow(
    client: openai.OpenAI, gate: threading.Event
) -> None:
    gate.clear()
    stream = client.responses.create(model="gated", input="hi", stream=True)
    seen = []
    for event in stream:
        seen.append(event)
        if event.type == "response.output_text.delta":
            break
    stream.close()
    assert seen[0].type == "response.created"
    id = seen[0].response.id
    again = client.responses.retrieve(id, stream=True, starting_after=seen[-1].sequence_number)
    gate.set()
    rest = list(again)

    assert [event.sequence_number for event in (*seen, *rest)] == list(range(len(seen) + len(rest)))
    assert rest[0].type == "response.output_text.delta"
    assert rest[0].delta == "turns."
    assert client.responses.retrieve(id).output_text == "It turns."


def test_a_response_in_the_background_is_cancelled(
    client: openai.OpenAI, gate: threading.Event
) -> None:
    gate.clear()
    begun = client.responses.create(model="gated", input="hi", background=True)
    cancelled = client.responses.cancel(begun.id)
    gate.set()

    assert begun.status == "in_progress"
    assert cancelled.status == "cancelled"


def test_a_failure_is_raised_and_not_tried_again(client: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError, match="the wheel is stuck"):
        client.responses.create(model="failing", input="hi")


def test_what_a_run_has_said_may_be_gone(client: openai.OpenAI, served: Running) -> None:
    at = str(uuid.uuid4())
    # Of runs that are not resumable nothing is kept.
    body = {"assistant_id": "chat", "input": {"messages": []}, "if_not_exists": "create"}
    served.http.post(f"/threads/{at}/runs/wait", json=body)
    (run,) = served.http.get(f"/threads/{at}/runs").json()
    id = f"resp_{uuid.UUID(at).hex}{uuid.UUID(run['run_id']).hex}"

    with pytest.raises(openai.NotFoundError, match="Nothing is kept any more"):
        client.responses.retrieve(id)


def test_who_asks_for_what_there_is_not_is_told(client: openai.OpenAI) -> None:
    for id in ("resp_1", f"resp_{uuid.uuid4().hex}{uuid.uuid4().hex}"):
        with pytest.raises(openai.NotFoundError, match="There is no response"):
            client.responses.retrieve(id)
    with pytest.raises(openai.UnprocessableEntityError, match="exclude each other"):
        client.responses.create(
            model="chat", input="hi", conversation="c", previous_response_id="resp_1"
        )
