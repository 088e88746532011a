"""Chat models that say what they are told to, with nothing behind them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult


class Whole(BaseChatModel):
    """Says `text` at once; without `fixed` its messages have the ids of LangChain's runs."""

    text: str = "whole answer"
    fixed: str | None = None

    @property
    def _llm_type(self) -> str:
        return "whole"

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self.text, id=self.fixed))])


class Typist(Whole):
    """Says `text` word by word, and fails before word number `fails_at` if there is one.

    Without blanks, so that with a `fixed` id nothing tells whether it was heard word by word.
    """

    text: str = "one two"
    fails_at: int | None = None

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        if self.fails_at is not None:
            raise ConnectionError("the line is dead")
        said = AIMessage("".join(self.text.split()), id=self.fixed)
        return ChatResult(generations=[ChatGeneration(message=said)])

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        for index, word in enumerate(self.text.split()):
            if index == self.fails_at:
                raise ConnectionError("the line is dead")
            yield ChatGenerationChunk(message=AIMessageChunk(word, id=self.fixed))


class AsyncTypist(Typist):
    """Has an async way to say it too, which gives others a turn after each word."""

    async def _astream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream(messages):
            yield chunk
            await asyncio.sleep(0)


class ToolCaller(Whole):
    """Asks for a tool in pieces, then answers with the number of messages it was given."""

    tool: str = "look"

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        if messages[-1].type == "tool":
            yield ChatGenerationChunk(message=AIMessageChunk(f"done {len(messages)}"))
            return
        for piece in ('{"q"', ': "x"}'):
            call = {
                "name": self.tool if piece[0] == "{" else None,
                "args": piece,
                "id": "c1" if piece[0] == "{" else None,
                "index": 0,
                "type": "tool_call_chunk",
            }
            yield ChatGenerationChunk(message=AIMessageChunk("", tool_call_chunks=[call]))


class Thinker(Whole):
    """Thinks aloud, then answers, and says what it cost; `form` is how its thoughts are told."""

    form: str = "blocks"

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        for thought in ("well", "then"):
            if self.form == "blocks":
                block = {"type": "reasoning", "reasoning": thought, "index": 0}
                chunk = AIMessageChunk([block])
            else:
                chunk = AIMessageChunk("", additional_kwargs={"reasoning_content": thought})
            yield ChatGenerationChunk(message=chunk)
        for word in ("so", "be it"):
            said: Any = word
            if self.form == "blocks":
                said = [{"type": "text", "text": word, "index": 1}]
            yield ChatGenerationChunk(message=AIMessageChunk(said))
        cost = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                [] if self.form == "blocks" else "",
                usage_metadata=cost,
                response_metadata={"finish_reason": "stop"},
            )
        )
