"""Assistants as models: OpenAI's own client speaks with the server."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from protocols import scripted
from server.fixtures import Running, config_of, running
from server.graphs import make_graphs

pytestmark = pytest.mark.real_time(reason="a server answers")
HI: Any = [{"role": "user", "content": "hi"}]
SAID = "hello from the fake model"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Give a server with the graphs that say everything; use threads of your own."""
    names = ("team", "failing", "asking")
    graphs = {
        **make_graphs(),
        **{name: getattr(scripted, f"make_{name}")() for name in names},
    }
    with running(config_of(graphs, tmp_path_factory.mktemp("server"))) as server:
        yield server


@pytest.fixture
def client(served: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/openai/v1", api_key="none") as client:
        yield client


def test_assistants_are_models(client: openai.OpenAI) -> None:
    models = {model.id: model for model in client.models.list()}

    assert {"chat", "team"} <= models.keys()
    assert models["chat"].created > 0


def test_a_completion_is_whole_or_streamed(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="chat", messages=HI)
    stream = client.chat.completions.create(model="chat", messages=HI, stream=True)
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream]

    assert whole.choices[0].message.content == SAID
    assert "".join(pieces) == SAID
    assert len(pieces) > 5


def test_an_agent_says_what_it_thinks_and_uses(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="team", messages=HI, stream_options={"include_usage": True}
    ) as stream:
        stream.until_done()
        completion = stream.get_final_completion()

    assert completion.usage is not None
    assert completion.usage.total_tokens == 24
    assert (completion.choices[0].message.content or "").startswith("I weigh them.\n\nA hundred")


def test_a_conversation_can_be_a_thread(client: openai.OpenAI, served: Running) -> None:
    thread = str(uuid.uuid4())
    for text in ("hi", "again"):
        client.chat.completions.create(
            model="chat",
            messages=[
                *HI,
                {"role": "assistant", "content": "?"},
                {"role": "user", "content": text},
            ],
            metadata={"thread_id": thread},
        )
    kept = served.http.get(f"/threads/{thread}/state").json()["values"]["messages"]

    assert [one["content"] for one in kept] == ["hi", SAID, "again", SAID]


def test_what_is_said_of_a_completion_is_said_of_its_run(
    client: openai.OpenAI, served: Running
) -> None:
    thread = str(uuid.uuid4())
    at = {"thread_id": thread, "customer": "7"}
    client.chat.completions.create(model="chat", messages=HI, metadata=at)
    (run,) = served.http.get(f"/threads/{thread}/runs").json()

    assert run["metadata"]["customer"] == "7"
    assert "thread_id" not in run["metadata"]


@pytest.mark.parametrize("configurable", ["text", [1]])
def test_a_config_that_is_none_is_refused(client: openai.OpenAI, configurable: Any) -> None:
    tool: Any = {"type": "function", "function": {"name": "locate"}}
    with pytest.raises(openai.UnprocessableEntityError, match="configurable must be"):
        client.chat.completions.create(
            model="chat",
            messages=HI,
            tools=[tool],
            extra_body={"config": {"configurable": configurable}},
        )


def test_a_question_is_a_call_that_is_answered(client: openai.OpenAI) -> None:
    at = {"thread_id": str(uuid.uuid4())}
    asked = client.chat.completions.create(model="asking", messages=HI, metadata=at)
    said = asked.choices[0].message
    (call,) = said.tool_calls or ()
    answer: Any = {"role": "tool", "tool_call_id": call.id, "content": "yes"}
    answered = client.chat.completions.create(
        model="asking", messages=[*HI, said.model_dump(exclude_none=True), answer], metadata=at
    )

    assert call.type == "function"
    assert json.loads(call.function.arguments) == {"question": "Shall the mill turn?"}
    assert answered.choices[0].message.content == "You said yes."


def test_a_failure_is_raised_and_not_tried_again(client: openai.OpenAI, served: Running) -> None:
    stream = client.chat.completions.create(model="failing", messages=HI, stream=True)
    with pytest.raises(openai.APIError, match="the wheel is stuck"):
        list(stream)
    with pytest.raises(openai.InternalServerError, match="the wheel is stuck"):
        client.chat.completions.create(model="failing", messages=HI)


def test_who_asks_for_what_there_is_not_is_told(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="There is no model 'nobody'"):
        client.chat.completions.create(model="nobody", messages=HI)
    with pytest.raises(openai.UnprocessableEntityError, match="there is one choice"):
        client.chat.completions.create(model="chat", messages=HI, n=2)
