"""Requests of which something is wrong are refused, or make messages that a graph can be given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import convert_to_messages

from millstream.protocols import agui, aisdk, openai
from protocols import spoiled

SEEDS = 150
# What is read with, what answers, and a right request.
READERS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], Any]] = {
    "agent": (agui.read, agui.Encoder.of, spoiled.AGENT),
    "answering agent": (agui.read, agui.Encoder.of, spoiled.ANSWERING_AGENT),
    "page": (aisdk.read, aisdk.Encoder.of, spoiled.PAGE),
    "chat": (openai.read_chat, openai.ChatEncoder.of, spoiled.CHAT),
    "response": (openai.read_response, openai.ResponsesEncoder.of, spoiled.RESPONSE),
    "answering response": (
        openai.read_response,
        openai.ResponsesEncoder.of,
        spoiled.ANSWERING_RESPONSE,
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_what_is_read_of_a_request_can_be_given_to_a_graph(name: str) -> None:
    read, encoder_of, body = READERS[name]
    refused = 0
    for seed in range(SEEDS):
        try:
            asked = read(spoiled.spoiled(body, seed))
        except ValueError:
            refused += 1
            continue
        assert encoder_of(asked).begin() is not None
        convert_to_messages(asked.new)

    assert 0 < refused < SEEDS


@pytest.mark.parametrize("name", READERS)
def test_a_right_request_is_read(name: str) -> None:
    read, encoder_of, body = READERS[name]
    asked = read(body)

    assert encoder_of(asked).begin() is not None
    assert convert_to_messages(asked.whole_input["messages"]) or asked.answers


def test_a_message_that_no_graph_can_be_given_is_named() -> None:
    messages = [{"id": "u1", "role": "user", "content": [5]}]

    with pytest.raises(ValueError, match="a message of the role 'user' cannot be read"):
        agui.read({"threadId": "t", "runId": "r", "messages": messages})
