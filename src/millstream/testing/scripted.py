"""Models that say what a test has written down for them."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final, TypeAlias, Union

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_models import (
    BaseChatModel,
    agenerate_from_stream,
    generate_from_stream,
)
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolCall
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import PrivateAttr

from millstream._base.clock import current

__all__ = ("ModelCall", "Pause", "ScriptedModel", "tool_call")

WORDS: Final = re.compile(r"\s*\S+|\s+$")
"""What a text is streamed in: words, each with the space before it."""


@dataclass(frozen=True, slots=True)
class Pause:
    """So many seconds in which a model says nothing, by the clock of its run."""

    seconds: float


@dataclass(frozen=True, slots=True)
class ModelCall:
    """What a model was asked in one call."""

    messages: tuple[BaseMessage, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    """What else it was given: what it was bound to, `stop`, `tool_choice`."""

    @property
    def text(self) -> str:
        """The text of the last message, empty if there is none."""
        return str(self.messages[-1].text) if self.messages else ""

    @property
    def tools(self) -> tuple[str, ...]:
        """The names of the tools that the model could call."""
        return tuple(tool["function"]["name"] for tool in self.options.get("tools") or ())


Part: TypeAlias = Union[str, AIMessage, ToolCall, Pause, BaseException, "type[BaseException]"]
Turn: TypeAlias = Union[Part, Sequence[Part], Callable[[ModelCall], Any]]


def tool_call(name: str, args: Mapping[str, Any] | None = None, *, id: str = "") -> ToolCall:
    """Return the call of a tool, as a turn of a `ScriptedModel` or a part of one.

    Args:
        name: The tool.
        args: What it is called with.
        id: The id of the call; the model makes up one by default, `call_1`, `call_2` and so on.
    """
    return ToolCall(name=name, args=dict(args or {}), id=id or None, type="tool_call")


class ScriptedModel(BaseChatModel):
    """A chat model that says the next turn of a script with each call, and notes what it is asked.

    A turn is one of these, or a list of them, which are said one after the other:

    - a text: streamed word by word; in a list each text is one chunk;
    - a `tool_call`, or a whole `AIMessage` with calls, usage or content of other kinds;
    - a `Pause`, in which nothing is said;
    - an error, an instance or its class, which the call raises, after what was said before it.

    It may also be a function that is given the `ModelCall` and returns such a turn. Nodes and tools
    call the model in any way, sync and async, streaming or not. Calls side by side take turns as
    they come; give each node that has a model of its own one.

    Args:
        turns: What it says, call by call.
        repeat: Whether the script begins again at its end. By default one call more than there are
            turns raises an `AssertionError`.

    Attributes:
        calls: What the model was asked, in order.

    Example:
        >>> from millstream.testing import ScriptedModel, tool_call
        >>> model = ScriptedModel(tool_call("add", {"a": 1, "b": 2}), "It is 3.", TimeoutError)
        >>> model.invoke("What is 1 + 2?").tool_calls[0]["args"]
        {'a': 1, 'b': 2}
        >>> [chunk.content for chunk in model.stream("And?") if chunk.content]
        ['It', ' is', ' 3.']
        >>> model.calls[1].text
        'And?'
        >>> model.invoke("Sure?")
        Traceback (most recent call last):
        TimeoutError
    """

    _turns: tuple[Turn, ...] = PrivateAttr()
    _repeat: bool = PrivateAttr()
    _calls: list[ModelCall] = PrivateAttr(default_factory=list)
    _tool_calls: int = PrivateAttr(default=0)
    _lock: Any = PrivateAttr(default_factory=Lock)

    def __init__(self, *turns: Turn, repeat: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._turns, self._repeat = turns, repeat

    @property
    def calls(self) -> list[ModelCall]:
        """What the model was asked, in order."""
        return list(self._calls)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def assert_done(self) -> None:
        """Raise `AssertionError` if there are turns that nobody has asked for."""
        left = self._turns[len(self._calls) :]
        if left and not self._repeat:
            raise AssertionError(
                f"the script of a model has {len(self._turns)} turns, and it was called "
                f"{len(self._calls)} times: nobody asked for {left[0]!r:.200}"
            )

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return the model bound to tools: their names are in the `tools` of its calls."""
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _take(self, call: ModelCall) -> Turn:
        with self._lock:
            number = len(self._calls)
            self._calls.append(call)
        if self._repeat and self._turns:
            number %= len(self._turns)
        if number >= len(self._turns):
            raise self._one_too_many(number + 1, len(self._turns), call)
        turn = self._turns[number]
        return turn(call) if callable(turn) and not _is_error(turn) else turn

    def _one_too_many(self, number: int, turns: int, call: ModelCall) -> AssertionError:
        """Return the error for a call that has no turn."""
        return AssertionError(
            f"a model is called {number} times, and its script has {turns} turns; it was asked "
            f"{call.text!r:.200}"
        )

    def _say(self, turn: Turn) -> Iterator[AIMessageChunk | Pause]:
        is_list = isinstance(turn, (list, tuple))
        parts: Sequence[Any] = turn if is_list else (turn,)  # type: ignore[assignment]  # no part is one
        is_silent = True
        for part in parts:
            if _is_error(part):
                raise part
            if isinstance(part, Pause):
                yield part
                continue
            is_silent = False
            yield from (
                [AIMessageChunk(content=part)]
                if is_list and type(part) is str
                else self._told(part)
            )
        if is_silent:
            yield AIMessageChunk(content="")

    def _told(self, part: Any) -> Iterator[AIMessageChunk]:
        """Yield the chunks of a text, a message or a call of a tool."""
        if isinstance(part, str):
            yield from (AIMessageChunk(content=word) for word in WORDS.findall(part) or [""])
        elif isinstance(part, AIMessageChunk):
            # A copy, because LangChain writes the id of the run into it.
            yield part.model_copy()
        elif isinstance(part, AIMessage):
            fields = {**part.__dict__, "type": "AIMessageChunk"}
            if isinstance(part.content, str):
                *words, last = WORDS.findall(part.content) or [""]
                yield from (AIMessageChunk(content=word, id=part.id) for word in words)
                fields["content"] = last
            yield AIMessageChunk(**fields)
        elif isinstance(part, Mapping) and "name" in part and "args" in part:
            with self._lock:
                self._tool_calls += 1
                index = self._tool_calls
            id, args = part.get("id") or f"call_{index}", json.dumps(part["args"])
            chunk = tool_call_chunk(name=part["name"], args=args, id=id, index=index)
            yield AIMessageChunk(content="", tool_call_chunks=[chunk])
        else:
            raise TypeError(
                f"a model cannot say {part!r:.200}: a turn is a text, an AIMessage, a tool_call, a "
                "Pause, an error, a list of them, or a function that returns one"
            )

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for step in self._say(self._take(_asked(messages, stop, kwargs))):
            if isinstance(step, Pause):
                current().sleep(step.seconds)
            else:
                yield ChatGenerationChunk(message=step)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for step in self._say(self._take(_asked(messages, stop, kwargs))):
            if isinstance(step, Pause):
                await current().asleep(step.seconds)
            else:
                yield ChatGenerationChunk(message=step)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, **kwargs))


def _asked(messages: list[BaseMessage], stop: list[str] | None, options: Any) -> ModelCall:
    if stop is not None:
        options = {**options, "stop": stop}
    return ModelCall(tuple(messages), options)


def _is_error(part: Any) -> bool:
    return isinstance(part, BaseException) or (
        isinstance(part, type) and issubclass(part, BaseException)
    )
