"""`Conversation`: what every request of a front end has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

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
