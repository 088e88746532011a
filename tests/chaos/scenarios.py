"""What clients ask for: conversations that say the same each time, and who has which ones."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

MODES: Final = ("values", "updates", "tasks", "checkpoints", "custom", "messages-tuple")
DURABILITIES: Final = ("sync", "sync", "sync", "async")


class Scenario(NamedTuple):
    """A conversation: a graph, and what it is given, run by run."""

    name: str
    graph: str
    turns: Sequence[Mapping[str, Any]]
    """What each run is created with: its `input`, or a `command`."""


class Conversation(NamedTuple):
    """One client has a conversation, on a thread of its own."""

    client: str
    name: str
    """Of this conversation alone."""
    scenario: str
    durability: str
    thread_id: str


def _tools(rounds: int, pace: int) -> Scenario:
    message = {"type": "human", "content": "grind", "id": "human"}
    given = {"messages": [message], "rounds": rounds, "pace": pace}
    return Scenario(f"tools-{rounds}", "tools", [{"input": given}])


def _nested(rounds: int, pace: int) -> Scenario:
    given = {"rounds": rounds, "pace": pace}
    return Scenario(f"nested-{rounds}", "nested", [{"input": given}])


def _sends(rounds: int, width: int, pace: int) -> Scenario:
    given = {"rounds": rounds, "width": width, "pace": pace}
    return Scenario(f"sends-{rounds}-{width}", "sends", [{"input": given}])


def _asks(rounds: int, pace: int) -> Scenario:
    # Each round asks twice.
    answers = [{"command": {"resume": number}} for number in range(2 * rounds)]
    return Scenario(
        f"asks-{rounds}", "asks", [{"input": {"rounds": rounds, "pace": pace}}, *answers]
    )


SCENARIOS: Final = {
    scenario.name: scenario
    for scenario in (
        _tools(4, 400),
        _tools(10, 600),
        _nested(1, 300),
        _nested(3, 400),
        _sends(2, 2, 500),
        _sends(3, 4, 500),
        _asks(1, 500),
        _asks(2, 600),
    )
}


def undisturbed() -> Iterator[Conversation]:
    """Yield a conversation of each scenario, to compare others with."""
    for name in SCENARIOS:
        for durability in sorted(set(DURABILITIES)):
            called = f"calm-{name}-{durability}"
            yield Conversation(called, called, name, durability, str(uuid.uuid4()))


def conversations(seed: int, client: str, count: int) -> Iterator[Conversation]:
    """Yield what a client has, one after the other."""
    rng = random.Random(f"{seed} {client}")
    for number in range(count):
        thread_id = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        yield Conversation(
            client,
            f"{client}-{number}",
            rng.choice(sorted(SCENARIOS)),
            rng.choice(DURABILITIES),
            thread_id,
        )
