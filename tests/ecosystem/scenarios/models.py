"""A chat model that says what it is told to, piece by piece, with nothing behind it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool

Turn = AIMessage | Callable[[list[BaseMessage]], AIMessage]


def says(text: str) -> AIMessage:
    """Return a turn that says `text`."""
    return AIMessage(text)


def calls(*wanted: tuple[str, dict[str, Any]], text: str = "", first: int = 1) -> AIMessage:
    """Return a turn that calls tools; their ids are numbers from `first` on."""
    return AIMessage(
        text,
        tool_calls=[
            {"name": name, "args": args, "id": f"call-{name}-{number}", "type": "tool_call"}
            for number, (name, args) in enumerate(wanted, first)
        ],
    )


class Scripted(BaseChatModel):
    """Takes its turns from `turns`, and from the start again after the last.

    It streams as services do: a first chunk without content, words, tool calls in pieces, and what
    it cost in the end.
    """

    turns: list[Any]
    taken: int = 0

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any
    ) -> Runnable[Any, AIMessage]:
        """Bind `tools` in the form that most services want."""
        schemas = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=schemas, tool_choice=tool_choice, **kwargs)

    def _turn(self, messages: list[BaseMessage]) -> AIMessage:
        turn = self.turns[self.taken % len(self.turns)]
        self.taken += 1
        return turn if isinstance(turn, AIMessage) else turn(messages)

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        turn = self._turn(messages)
        said = turn.model_copy(update={"usage_metadata": _cost(turn)})
        return ChatResult(generations=[ChatGeneration(message=said)])

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        yield from _pieces(self._turn(messages))

    async def _agenerate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return self._generate(messages)

    async def _astream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        # Not the default, which would use a thread for each.
        for chunk in _pieces(self._turn(messages)):
            yield chunk


def _cost(turn: AIMessage) -> dict[str, int]:
    words = len(turn.text.split()) + len(turn.tool_calls)
    return {"input_tokens": 10, "output_tokens": words, "total_tokens": 10 + words}


def _pieces(turn: AIMessage) -> Iterator[ChatGenerationChunk]:
    yield _chunk("")
    for index, word in enumerate(turn.text.split()):
        yield _chunk(word if index == 0 else f" {word}")
    for index, call in enumerate(turn.tool_calls):
        args = json.dumps(call["args"])
        half = len(args) // 2
        yield _call_chunk(index, args[:half], name=call["name"], id=call["id"])
        yield _call_chunk(index, args[half:])
    yield ChatGenerationChunk(
        message=AIMessageChunk(
            "", usage_metadata=_cost(turn), response_metadata={"finish_reason": "stop"}
        )
    )


def _chunk(text: str) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(text))


def _call_chunk(
    index: int, args: str, name: str | None = None, id: str | None = None
) -> ChatGenerationChunk:
    piece = {"name": name, "args": args, "id": id, "index": index, "type": "tool_call_chunk"}
    return ChatGenerationChunk(message=AIMessageChunk("", tool_call_chunks=[piece]))
