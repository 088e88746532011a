"""The stream modes: their names, and the one table of those that consumers can ask for.

Checks, the command line's help and its colours are made from the table. What a type checker or a
reader has to see is written out elsewhere (`types.StreamMode`, the members of `StreamPart`,
docstrings, README and docs); `tests/modes/test_names.py` says which of these lacks a mode.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

VALUES: Final = "values"
UPDATES: Final = "updates"
CHECKPOINTS: Final = "checkpoints"
TASKS: Final = "tasks"
DEBUG: Final = "debug"
MESSAGES: Final = "messages"
CUSTOM: Final = "custom"
TOOLS: Final = "tools"
GRAPHS: Final = "graphs"
"""For run streams alone, see `modes.subgraph_events`: nobody can ask for it by this name."""
STEPS: Final = "steps"
"""Made of `TASKS` by run streams and by the server, see `protocols.steps`: the engine has no such
mode."""


class PublicMode(NamedTuple):
    """What is said of a mode wherever modes are listed."""

    shows: str
    style: str
    """How `millstream run` prints its name, in words of rich."""


# In the order of LangGraph's `StreamMode`, which messages about unknown modes show.
PUBLIC_MODES: Final[Mapping[str, PublicMode]] = {
    VALUES: PublicMode("the state after each superstep", "bold cyan"),
    UPDATES: PublicMode("what each task wrote", "bold green"),
    CHECKPOINTS: PublicMode("each checkpoint, with a saver", "bold yellow"),
    TASKS: PublicMode("the start and the end of each task", "bold blue"),
    DEBUG: PublicMode("tasks and checkpoints with their step and time", "bold yellow"),
    MESSAGES: PublicMode("tokens and messages of chat models", "bold"),
    CUSTOM: PublicMode("what nodes give to their writer", "bold magenta"),
    TOOLS: PublicMode("what tools do and emit", "bold blue"),
}
MODES: Final = tuple(PUBLIC_MODES)
"""Their names. To look one up here does not hash what somebody gave as a mode."""
