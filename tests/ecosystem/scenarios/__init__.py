"""Programs written for `langgraph` and the packages on top of it, and nothing else.

They run in environments that have none of this project's tests, on LangGraph and under
`millstream exec`. A scenario builds what it plays with and returns the play: a function, async or
not, that tells a `Recorder` what it sees. It can be played again and again, for timing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from scenarios.recording import Recorder

Play = Callable[[Recorder], "Awaitable[None] | None"]


@dataclass(frozen=True)
class Scenario:
    """One program."""

    package: str
    """The distribution it is about."""
    about: str
    """What it shows, for the table in docs/ecosystem.md."""
    prepare: Callable[[], Play]
    needs_postgres: bool = False


SCENARIOS: Final[dict[str, Scenario]] = {}


def scenario(
    package: str, about: str, *, needs_postgres: bool = False
) -> Callable[[Callable[[], Play]], Callable[[], Play]]:
    """Put a scenario on the list, under the name of its module and function."""

    def add(prepare: Callable[[], Play]) -> Callable[[], Play]:
        name = f"{prepare.__module__.rpartition('.')[2]}.{prepare.__name__}"
        SCENARIOS[name] = Scenario(package, about, prepare, needs_postgres)
        return prepare

    return add
