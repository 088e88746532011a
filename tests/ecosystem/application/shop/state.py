"""What the agents share."""

from __future__ import annotations

from dataclasses import dataclass
from operator import add
from typing import Annotated, Any, Literal

from langgraph.config import get_stream_writer
from langgraph.graph import MessagesState

Agent = Literal["reception", "rentals", "workshop"]
"""Who may talk to a customer."""


@dataclass
class Visit:
    """What does not change during a visit."""

    customer: str


def with_new(old: list[Any], more: list[Any]) -> list[Any]:
    """Add what is not there yet: agents give back what they were given."""
    return old + [each for each in more if each not in old]


class DeskState(MessagesState):
    """A conversation and what came of it."""

    active: Agent
    known: list[str]
    """What was remembered of the customer."""
    deals: Annotated[list[dict[str, Any]], with_new]


class DamageState(DeskState):
    """A conversation in the workshop, where several mechanics look at a bicycle."""

    damages: list[str]
    quotes: Annotated[list[dict[str, Any]], add]


def say(text: str) -> None:
    """Show progress to whoever watches."""
    get_stream_writer()({"progress": text})
