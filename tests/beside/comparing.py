"""How the answers of the two servers differ, and which differences are listed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from starlette.routing import Match

from beside.side import Side
from millstream.server.api.routing import OPERATIONS, routes
from server.recordings import Recording, Replay

HEADING = "## Beside a running reference"
ROW = re.compile(r"^\| (`[^|]*`) \| ([^|]*) \|", re.MULTILINE)


@dataclass
class Listed:
    """The differences that the page lists: patterns of exchanges, and what differs in them."""

    rows: list[tuple[str, frozenset[str]]]

    @classmethod
    def read(cls, page: Path) -> Listed:
        """Read the table of the page."""
        text = page.read_text(encoding="utf-8").partition(HEADING)[2].partition("\n## ")[0]
        return cls(
            [
                (pattern, frozenset(re.findall(r"`([^`]+)`", keys)) or frozenset(("",)))
                for patterns, keys in ROW.findall(text)
                for pattern in re.findall(r"`([^`]+)`", patterns)
            ]
        )

    def split(self, exchange: str, found: Iterable[str]) -> tuple[list[str], list[str]]:
        """Return which of the differences are listed, and which are not."""
        known: list[str] = []
        new: list[str] = []
        keys = [keys for pattern, keys in self.rows if fnmatchcase(exchange, pattern)]
        for text in found:
            is_known = any("" in those or key_of(text) in those for those in keys)
            (known if is_known else new).append(text)
        return known, new


def key_of(difference: str) -> str:
    """Return what a difference is about: a key, `status`, `events`, or the name of a header."""
    if difference.startswith("events"):
        return "events"
    if found := re.match(r"\S+(?: \S+)? has (?:no|also) (.+)$", difference):
        return found[1]
    where = re.split(r" (?:is|has) ", difference)[0]
    where = where.removeprefix("header ").partition(",")[0]
    return re.sub(r"\[\d+\]", "", where).rpartition(".")[2].split(" ")[0]


def compare(reference: Side, ours: Side) -> dict[str, list[str]]:
    """Return how the answers differ, by the names of the exchanges."""
    replay: Any = Replay(None)  # type: ignore[arg-type]  # nothing is sent
    found: dict[str, list[str]] = {}
    assert reference.exchanges.keys() == ours.exchanges.keys()
    for name, one in reference.exchanges.items():
        other = ours.exchanges[name]
        differences = replay.compare_answers(one, other.status, other.headers, other.body)
        *_, last = [None, *differences]
        if last is not None and last.startswith("ours: "):
            # The whole of both says more than the first that differs.
            differences[-3:] = [f"events are {differences[-1]}; {differences[-2]}"]
        # One for each key: what differs in one event does so in all.
        if by_key := {key_of(text): text for text in reversed(differences)}:
            found[name] = [*reversed(by_key.values())]
    return found


def uncovered(asked: Iterable[Recording]) -> list[str]:
    """Return the operations that nobody has asked for."""
    known = {(operation.method, operation.path) for operation in OPERATIONS}
    for exchange in asked:
        path = exchange.path.partition("?")[0]
        for route in routes():
            scope = {"type": "http", "path": path, "method": exchange.method}
            if exchange.method and route.matches(scope)[0] is Match.FULL:
                known.discard((exchange.method, getattr(route, "path", "")))
    return [f"{method} {path}" for method, path in sorted(known)]
