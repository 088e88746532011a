"""What the records of killed launches say: which supersteps ran again, and what was stored."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

NODES: Final = {"hub": 0.0, "sleep": 1.0, "wake": 1.5, "left": 2.0, "right": 2.0, "part": 2.0}
"""Node -> its place within a round; a fraction for the later supersteps of a nested run."""
NESTED: Final = frozenset(("sleep", "wake"))


@dataclass(frozen=True)
class History:
    """The records of all launches of one thread, in order."""

    launches: list[list[tuple[str, int, str]]]

    @property
    def result(self) -> Any:
        """The state that the last launch ended with."""
        kind, _, word = self.launches[-1][-1]
        assert kind == "done"
        return json.loads(word)

    def repeated(self) -> list[int]:
        """Count per kill the finished supersteps of which some node ran again after it.

        A superstep is finished when the next one has begun. Those of nested runs are not counted.
        """
        counts = []
        furthest = -1
        for launch in self.launches:
            begun = [int(place) for place in places(launch)]
            counts.append(len({place for place in begun if place < furthest}))
            furthest = max([furthest, *begun])
        return counts[1:]

    def went_back(self) -> list[tuple[float, float]]:
        """Return where an execution began after one of a later superstep, nested ones included."""
        begun = [place for launch in self.launches for place in places(launch)]
        furthest = itertools.accumulate(begun, max)
        return [(place, far) for place, far in zip(begun, furthest, strict=True) if place < far]

    def stored_and_run_again(self) -> list[tuple[int, str]]:
        """Return the executions that began after what they write was stored."""
        stored: set[tuple[int, str]] = set()
        again = []
        for launch in self.launches:
            for kind, round, node in launch:
                if kind == "saved":
                    stored.add((round, node))
                elif kind == "begin" and (round, node) in stored:
                    again.append((round, node))
        return again

    def held(self) -> Counter[str]:
        """Count the nodes that were waiting when their process was killed."""
        return Counter(
            node for launch in self.launches for kind, _, node in launch if kind == "held"
        )

    def amid(self) -> int:
        """Count the launches that died inside a superstep some tasks of which were stored."""
        return sum(_is_amid(launch) for launch in self.launches[:-1])

    def call_starts(self) -> list[tuple[float, float]]:
        """Return where each launch began, with where the call began that it takes up.

        Only of calls that had stored nothing: one that died while it stored its last checkpoint
        may be taken up before it or after it.
        """
        starts = []
        call: float | None = None
        is_storing = False
        for launch in self.launches:
            if call is not None and not is_storing:
                starts.append((places(launch)[0], call))
            call, is_storing = None, False
            for kind, round, node in launch:
                if kind == "begin" and call is None:
                    call = place(round, node)
                elif node == "checkpoint" and kind in ("saving", "saved"):
                    is_storing = kind == "saving"
                    if not is_storing:
                        call = None
        return starts


def place(round: int, node: str) -> float:
    """Return a number that grows with the supersteps."""
    return 3 * round + NODES[node]


def places(launch: list[tuple[str, int, str]]) -> list[float]:
    """Return the place of every execution that began, in order."""
    return [place(round, node) for kind, round, node in launch if kind == "begin"]


def _is_amid(launch: list[tuple[str, int, str]]) -> bool:
    last = places(launch)[-1]
    here = [
        (kind, node) for kind, round, node in launch if node in NODES and place(round, node) == last
    ]
    stored = {node for kind, node in here if kind == "saved"}
    begun = {node for kind, node in here if kind == "begin"}
    return bool(stored) and stored < begun
