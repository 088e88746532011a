"""The `messages` of a run as text: who speaks, and who has the line of the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from millstream.cli.values import media_in


@dataclass(slots=True)
class Speech:
    """One message while its tokens arrive."""

    namespace: tuple[str, ...]
    subject: str
    kept: list[str] = field(default_factory=list)
    """Text that waits for the line."""
    has_text: bool = False
    has_ended: bool = False


class Line(Protocol):
    """Where the text of messages is printed."""

    def begin(self, speech: Speech) -> None:
        """Print who speaks, and start a line."""

    def say(self, text: str) -> None:
        """Append to the line."""

    def end(self) -> None:
        """End the line."""


class Floor:
    """Gives the line to one message at a time, so that its tokens stand next to each other.

    The message that has the line is shown as it comes. What others say meanwhile is kept until it
    has ended or something else is to be printed.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._speeches: dict[Any, Speech] = {}
        self._speaking: Speech | None = None

    def receive(self, namespace: Sequence[str], message: Any, metadata: Any) -> None:
        """Show or keep what one event of the mode `messages` says."""
        # The task tells messages apart that have no id.
        key = (metadata.get("langgraph_checkpoint_ns"), message.id)
        speech = self._speeches.get(key)
        if speech is None:
            speech = Speech(tuple(namespace), _subject(message, metadata))
            self._speeches[key] = speech
        for text in _texts(message, speech):
            speech.kept.append(text)
            speech.has_text = True
        # Only chunks have a position; whatever has none is whole.
        speech.has_ended = getattr(message, "chunk_position", "last") == "last"
        if speech.has_ended:
            # The last chunk of another message may have the same id.
            del self._speeches[key]
            self._speeches[object()] = speech
        elif speech is self._speaking:
            # The next token of who has the line changes nothing for others.
            self._show(speech)
            return
        self._pass_on()

    def clear(self) -> None:
        """Show what was kept and leave the line; messages that have not ended may go on later."""
        for speech in [self._speaking, *self._speeches.values()]:
            if speech is not None:
                self._show(speech)
                self._leave()
        self._forget_ended()

    def _pass_on(self) -> None:
        waiting = iter(list(self._speeches.values()))
        while True:
            if self._speaking is not None:
                self._show(self._speaking)
                if not self._speaking.has_ended:
                    break
                self._leave()
            following = next((speech for speech in waiting if speech.kept), None)
            if following is None:
                break
            self._show(following)
        self._forget_ended()

    def _show(self, speech: Speech) -> None:
        if speech.kept and self._speaking is not speech:
            self._line.begin(speech)
            self._speaking = speech
        for text in speech.kept:
            self._line.say(text)
        speech.kept.clear()

    def _leave(self) -> None:
        if self._speaking is not None:
            self._speaking.has_text = False
            self._speaking = None
            self._line.end()

    def _forget_ended(self) -> None:
        self._speeches = {
            key: speech
            for key, speech in self._speeches.items()
            if speech.kept or not speech.has_ended
        }


def _subject(message: Any, metadata: Any) -> str:
    node = str(metadata.get("langgraph_node", ""))
    kind = message.type.removesuffix("MessageChunk").lower()
    if kind == "ai":
        return node
    return f"{node} ({kind} {message.name})" if message.name else f"{node} ({kind})"


def _texts(message: Any, speech: Speech) -> Iterator[str]:
    content = message.content
    if isinstance(content, str):
        if content:
            yield content
    else:
        if text := str(message.text):
            yield text
        yield from media_in(content)
    if hasattr(message, "tool_call_chunks"):
        for call in message.tool_call_chunks:
            if call["name"]:
                yield _opening(call["name"], speech)
            if call["args"]:
                yield call["args"]
        return
    for call in getattr(message, "tool_calls", ()):
        yield _opening(call["name"], speech) + json.dumps(call["args"], ensure_ascii=False)


def _opening(name: str, speech: Speech) -> str:
    return f"\ncalls {name} " if speech.has_text else f"calls {name} "
