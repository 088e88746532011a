"""A chat model that plays a part: what it says is written down, and depends on what was said.

It needs no key and no network, and streams like any other model, word by word.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel, generate_from_stream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable

Part = Callable[[Sequence[BaseMessage]], Iterator[AIMessageChunk]]
"""Yields the chunks of the answer to a conversation."""


class Actor(BaseChatModel):
    """Answers as its part says."""

    part: Part
    pace: float = 0.0
    """Seconds between two words, so that one can see them stream."""

    @property
    def _llm_type(self) -> str:
        return "actor"

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return the model as it is: its part knows the tools."""
        return self

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for message in self.part(messages):
            yield ChatGenerationChunk(message=message)
            await asyncio.sleep(self.pace)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        chunks = (ChatGenerationChunk(message=message) for message in self.part(messages))
        return generate_from_stream(chunks)
