"""A chat model that needs no key and no network: a few rules instead of a network of weights.

It streams its answers word by word, calls the tool `calculate` when it meets a sum, and remembers
names by reading the conversation it is given, as any chat model does.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel, generate_from_stream
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    ToolMessage,
)
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable

SUM = re.compile(r"[(\d][\d\s.()]*(?:(?:[-+/%]|\*\*?)[\d\s.()]+)+")
INTRODUCTION = re.compile(r"\b(?:my name is|call me)\s+([^\W\d_][\w'-]*)", re.IGNORECASE)
ASKS_NAME = re.compile(r"\bmy name\b.*\?|\bwho am i\b", re.IGNORECASE)
HELP = (
    "I am a few rules, not a language model. I can calculate (try: what is 12 * (3 + 4)?) and "
    "remember your name (my name is Ada). For a real model set OPENAI_API_KEY, or CHAT_MODEL to "
    "a name such as openai:gpt-4o-mini."
)


class Rulebook(BaseChatModel):
    """Answers the last message of a conversation by rules."""

    pace: float = 0.02
    """Seconds between two words, so that one can see them stream."""

    @property
    def _llm_type(self) -> str:
        return "rulebook"

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return a model that may call these tools; it knows how to use `calculate`."""
        names = [getattr(tool, "name", None) for tool in tools]
        return self.bind(tool_names=names, **kwargs)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        tool_names: Sequence[str] = (),
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for message in reply(messages, can_calculate="calculate" in tool_names):
            yield ChatGenerationChunk(message=message)
            time.sleep(self.pace)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, **kwargs))


def reply(messages: Sequence[BaseMessage], *, can_calculate: bool) -> Iterator[AIMessageChunk]:
    """Yield the chunks of an answer to the last of `messages`."""
    last = messages[-1]
    text = str(last.text)
    found = SUM.search(text)
    if isinstance(last, ToolMessage):
        yield from words(f"That makes {text}.")
    elif found and can_calculate:
        yield from call("calculate", {"expression": found[0].strip()}, number=len(messages))
    elif ASKS_NAME.search(text):
        name = known_name(messages)
        yield from words(f"You are {name}." if name else "You have not told me your name yet.")
    elif INTRODUCTION.search(text):
        yield from words(f"Nice to meet you, {known_name(messages)}.")
    else:
        yield from words(HELP)


def known_name(messages: Sequence[BaseMessage]) -> str | None:
    """Return the name that was last given in a conversation."""
    for message in reversed(messages):
        found = INTRODUCTION.search(str(message.text))
        if found and isinstance(message, HumanMessage):
            return found[1]
    return None


def words(text: str) -> Iterator[AIMessageChunk]:
    """Yield a text word by word."""
    for word in re.findall(r"\S+\s*", text):
        yield AIMessageChunk(content=word)


def call(
    name: str, arguments: dict[str, Any], *, number: int, index: int = 0
) -> Iterator[AIMessageChunk]:
    """Yield a call of a tool: first its name, then its arguments bit by bit.

    `number` tells it from other calls in the conversation, `index` from others in the message.
    """
    pieces = re.findall(r".{1,12}", json.dumps(arguments))
    for place, piece in zip(count(), ["", *pieces]):
        opening = {"name": name, "id": f"call_{number}"} if place == 0 else {}
        chunk = tool_call_chunk(args=piece, index=index, **opening)
        yield AIMessageChunk(content="", tool_call_chunks=[chunk])
