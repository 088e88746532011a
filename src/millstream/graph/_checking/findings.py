"""What is found, and where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from millstream.drivers.routes import nearest_names

Severity: TypeAlias = Literal["error", "warning"]

SEVERITIES: Final[dict[str, Severity]] = {
    "does-not-compile": "error",
    "unreachable-node": "error",
    "unknown-node": "error",
    "unmapped-answer": "error",
    "unused-answer": "warning",
    "endless-loop": "error",
    "redundant-edge": "warning",
    "end-beside-edge": "warning",
    "dead-join": "error",
    "doubtful-join": "warning",
    "unknown-key": "error",
    "unreadable-key": "error",
    "unused-key": "warning",
    "bad-result": "error",
    "conflicting-writes": "error",
    "reducer-returns-none": "error",
    "ignored-reducer": "warning",
    "unstorable-default": "error",
    "not-a-saver": "error",
    "sync-saver": "error",
    "async-saver": "warning",
    "interrupt-without-saver": "warning",
    "swallowed-interrupt": "error",
    "unused-cache-policy": "warning",
    "blocking-call": "warning",
}
"""Code -> how bad it is, where that is certain. docs/checks.md explains each."""

OF_GRAPHS: Final = (
    "unreachable-node",
    "dead-join",
    "sync-saver",
    "interrupt-without-saver",
    "unused-cache-policy",
)
"""Codes of findings about how a graph is put together, whatever code its nodes have."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a graph that fails when it is run, or that cannot be meant."""

    code: str
    """What kind of thing it is; `SEVERITIES` has all."""
    message: str
    """What happens, with the names of nodes and keys."""
    advice: str
    """What to do about it."""
    place: Place | None = None
    """Where it is written; None where no code of the program says it."""
    severity: Severity = "error"
    graph: tuple[str, ...] = ()
    """The nodes that lead to the nested graph it is in; empty for the graph itself."""

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        return f"{where}{self.severity}: {self.text} [{self.code}]"

    @property
    def text(self) -> str:
        """What happens and what to do, and in which nested graph."""
        inside = f"in {'|'.join(self.graph)}: " if self.graph else ""
        return f"{inside}{self.message}; {self.advice}"


def finding(
    code: str, message: str, advice: str, place: Place | None, *, is_sure: bool = True
) -> Finding:
    """Return a finding as bad as its code says, or a warning if it is not sure."""
    severity = SEVERITIES[code] if is_sure else "warning"
    return Finding(code, message, advice, place, severity)


def meant(name: Any, known: Iterable[str], otherwise: str) -> str:
    """Return the advice for a wrong name: those that are like it, or what else to do."""
    nearest = nearest_names(name, list(known))
    return f"did you mean {' or '.join(map(repr, nearest))}?" if nearest else otherwise


def listed(names: Sequence[str]) -> str:
    """Return names as a text: `'a'`, `'a' and 'b'`, `'a', 'b' and 'c'`."""
    texts = [repr(name) for name in names]
    return " and ".join((", ".join(texts[:-1]), texts[-1]) if len(texts) > 1 else texts)
