"""`Conversation`: what every request of a front end has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from langchain_core.messages import convert_to_messages

from millstream.types import Command

Message: TypeAlias = dict[str, Any]
"""A message as JSON, which every state of messages takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What a client has said, and to what."""

    new: Sequence[Message]
    """What comes after what the assistant has said last: what a thread lacks."""
    history: Sequence[Message]
    """All that the client has: for graphs that keep nothing."""
    answers: Mapping[str, Any] = field(default_factory=dict)
    """What the client answers to questions, by their ids."""

    @property
    def input(self) -> Any:
        """What a graph with a thread is given: the answers to its questions, or what is new."""
        if self.answers:
            return Command(resume=dict(self.answers))
        return {"messages": list(self.new)}

    @property
    def whole_input(self) -> Any:
        """What a graph without a thread is given: the whole conversation."""
        return {"messages": list(self.history)}


def checked(messages: Sequence[Message]) -> Sequence[Message]:
    """Return messages of a request; `ValueError` if there is one that no graph can be given."""
    for message in messages:
        _check(message)
    return messages


def _check(message: Message) -> None:
    try:
        convert_to_messages([message])
    except Exception as error:  # what LangChain stumbles over is of many classes
        what = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"a message of the role {message.get('role')!r} cannot be read: {what}"
        ) from error
