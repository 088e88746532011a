"""What models say besides their blocks: why they stop, a refusal, sound; in each protocol."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk

from millstream.graph import START, StateGraph
from millstream.protocols import agui, aisdk, openai
from millstream.protocols.agui_messages import agent_messages
from protocols import scripted
from protocols.test_aisdk import parts_in
from protocols.test_aisdk import said as said_in_parts
from protocols.test_openai import said as completed
from protocols.test_openai_responses import events_in
from protocols.test_openai_responses import said as responded

CUT, FILTERED = {"reason": "max_output_tokens"}, {"reason": "content_filter"}
HI = {"messages": "hi"}
REFUSAL = "I will not."


def ending(**metadata: Any) -> Any:
    """Return a graph whose model says something, and why it has stopped."""
    said = scripted.chunk("Half of"), scripted.chunk(response_metadata=metadata)
    return StateGraph(scripted.State).add_node("n", scripted.speaking(*said)).add_edge(START, "n")


def telling(message: AIMessage) -> Any:
    builder = StateGraph(scripted.State).add_node("n", lambda state: {"messages": [message]})
    return builder.add_edge(START, "n").compile()


@pytest.mark.parametrize(
    ("metadata", "reason", "finish_reason", "details"),
    [
        ({"stop_reason": "max_tokens"}, "length", "length", CUT),
        ({"finish_reason": "MAX_TOKENS"}, "length", "length", CUT),
        ({"incomplete_details": CUT}, "length", "length", CUT),
        ({"finish_reason": "SAFETY"}, "content-filter", "content_filter", FILTERED),
        ({"stop_reason": "stop_sequence"}, "stop", "stop", None),
        ({"finish_reason": "of its own"}, "other", "stop", None),
        ({"incomplete_details": None}, "stop", "stop", None),
    ],
)
def test_why_a_model_has_stopped_is_told_in_each_protocols_words(
    metadata: Any, reason: str, finish_reason: str, details: Any
) -> None:
    parts = said_in_parts(ending(**metadata).compile())
    _, completion = completed(ending(**metadata).compile())
    events, response = responded(ending(**metadata).compile())

    assert parts[-1]["finishReason"] == reason
    assert completion.choices[0].finish_reason == finish_reason
    assert response["incomplete_details"] == details
    status = "completed" if details is None else "incomplete"
    assert (response["status"], events[-1]["type"]) == (status, f"response.{status}")


def test_it_is_the_last_model_that_has_stopped() -> None:
    builder = ending(finish_reason="length").add_edge("n", "last")
    graph = builder.add_node("last", scripted.speaking(scripted.chunk("All.", id="all"))).compile()

    assert said_in_parts(graph)[-1]["finishReason"] == "stop"
    assert completed(graph)[1].choices[0].finish_reason == "stop"
    assert responded(graph)[1]["status"] == "completed"


@pytest.mark.parametrize(
    "graph",
    [
        scripted.make_refusing(),
        telling(AIMessage("", id="no", additional_kwargs={"refusal": REFUSAL})),
        telling(AIMessage([{"type": "refusal", "refusal": REFUSAL}], id="no")),
    ],
)
def test_a_refusal_is_no_empty_answer(graph: Any) -> None:
    text, completion = completed(graph)
    _, response = responded(graph)
    events = [
        json.loads(line.removeprefix("data: "))
        for line in "".join(agui.stream(graph, HI)).split("\n\n")[:-1]
    ]

    assert "".join(part.get("delta", "") for part in said_in_parts(graph)) == REFUSAL
    assert "".join(e["delta"] for e in events if e["type"] == "TEXT_MESSAGE_CONTENT") == REFUSAL
    message = completion.choices[0].message
    assert (text, message.content, message.refusal) == ("", None, REFUSAL)
    (item,) = response["output"]
    assert item["content"] == [{"type": "refusal", "refusal": REFUSAL}]


def test_a_refusal_is_told_once_though_it_may_be_known_twice() -> None:
    block = {"type": "refusal", "refusal": REFUSAL}
    message = AIMessageChunk([block], id="no", additional_kwargs={"refusal": REFUSAL})
    graph = StateGraph(scripted.State).add_node("n", scripted.speaking(message))
    _, response = responded(graph.add_edge(START, "n").compile())

    assert [item["content"][0]["refusal"] for item in response["output"]] == [REFUSAL]


def test_a_refusal_is_in_the_chunks_of_a_completion() -> None:
    lines = "".join(openai.stream_chat(scripted.make_refusing(), HI))
    deltas = [part["choices"][0]["delta"] for part in parts_in(lines)]

    assert [delta["refusal"] for delta in deltas if "refusal" in delta] == [REFUSAL]


def test_a_refusal_is_text_in_a_page_that_is_loaded_anew() -> None:
    kept = AIMessage("", id="no", additional_kwargs={"refusal": REFUSAL})

    assert agent_messages([kept]) == [{"id": "no", "role": "assistant", "content": REFUSAL}]
    (message,) = aisdk.ui_messages([kept])
    assert message["parts"][1]["text"] == REFUSAL


def test_a_refusal_has_events_of_its_own_in_a_response() -> None:
    lines = "".join(openai.stream_response(scripted.make_refusing(), HI))
    told = [event for event in events_in(lines) if event["type"].startswith("response.refusal.")]

    assert [event.get("delta") or event["refusal"] for event in told] == [REFUSAL, REFUSAL]


SPOKEN = AIMessage(
    "",
    id="aloud",
    additional_kwargs={"audio": {"id": "a", "data": "UklGRg==", "transcript": "It turns."}},
)
SOUND = "data:audio/wav;base64,UklGRg=="


def test_what_a_model_says_aloud_is_told_in_words_and_as_a_file() -> None:
    parts = said_in_parts(telling(SPOKEN))
    text, _ = completed(telling(SPOKEN))
    (message,) = aisdk.ui_messages([SPOKEN])

    assert "".join(part.get("delta", "") for part in parts) == "It turns."
    assert {"type": "file", "mediaType": "audio/wav", "url": SOUND} in parts
    assert text == f"It turns.\n\n[audio/wav]({SOUND})\n\n"
    assert [part.get("text") or part.get("url") for part in message["parts"][1:]] == [
        "It turns.", SOUND,
    ]  # fmt: skip


def test_a_picture_elsewhere_is_one_in_a_response_too() -> None:
    image = {"type": "image", "url": "https://example.org/mill.png"}
    _, response = responded(telling(AIMessage([image], id="seen")))

    assert response["output"][0]["content"][0]["text"] == f"![image/png]({image['url']})"


def test_a_file_of_plain_text_is_a_file() -> None:
    block = {"type": "text-plain", "text": "rye", "mime_type": "text/plain"}
    parts = said_in_parts(telling(AIMessage([block], id="list")))

    (file,) = (part for part in parts if part["type"] == "file")
    assert file["url"] == "data:text/plain;base64,cnll"


def test_a_call_that_a_provider_carries_out_stands_where_it_was_made() -> None:
    made = {"type": "server_tool_call", "id": "s1", "name": "search", "args": {}, "index": 0}
    text = {"type": "text", "text": "Found.", "index": 1}
    said = [scripted.chunk([block]) for block in (made, text)]
    graph = StateGraph(scripted.State).add_node("n", scripted.speaking(*said))
    parts = said_in_parts(graph.add_edge(START, "n").compile())

    kinds = [part["type"] for part in parts]
    assert kinds.index("tool-input-start") < kinds.index("text-start")
