"""A chat model that follows rules, in place of one that costs money."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool

Rule = Callable[[str], "AIMessage | None"]


class RuleModel(BaseChatModel):
    """Answers the last message: by the first rule that applies, or with `otherwise`."""

    rules: list[tuple[str, str, dict[str, str]]]
    """Pattern, tool, and its arguments, which may refer to groups of the pattern."""
    otherwise: str

    @property
    def _llm_type(self) -> str:
        return "rules"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _answer(self, messages: list[BaseMessage]) -> tuple[str, list[dict[str, Any]]]:
        last = messages[-1]
        if isinstance(last, ToolMessage):
            if last.name and last.name.startswith("hand_over"):
                last = next(m for m in reversed(messages) if m.type == "human")
            else:
                return last.text, []
        for pattern, tool, template in self.rules:
            found = re.search(pattern, last.text, re.IGNORECASE)
            if found:
                args = {name: found.expand(text) for name, text in template.items()}
                call = {"name": tool, "args": args, "id": f"{tool}-{len(messages)}"}
                return "One moment.", [call]
        return self.otherwise, []

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        text, calls = self._answer(messages)
        message = AIMessage(text, tool_calls=calls)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        text, calls = self._answer(messages)
        for word in re.findall(r"\S+\s*", text):
            yield ChatGenerationChunk(message=AIMessageChunk(word))
        for index, call in enumerate(calls):
            args = json.dumps(call["args"])
            chunk = {"name": call["name"], "args": args, "id": call["id"], "index": index}
            yield ChatGenerationChunk(message=AIMessageChunk("", tool_call_chunks=[chunk]))
