"""Streams in a form in which two of the same run are equal, whoever has carried it out.

Ids and times differ from one run to the next, and tasks of one superstep end in any order. So ids
and times are taken out, and what is told of a graph is put into an order of its own within each
superstep: between two states of it. What graphs say that run side by side is told apart.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from chaos.records import Seen

STATE: Final = ("values", "updates", "tasks", "checkpoints")
"""The modes that tell the state: each of their events comes once."""
LIVE: Final = ("custom", "messages")
"""The modes that tell of the course of tasks: another attempt says it again."""
_ID: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|\b[0-9a-f]{32}\b"
    r"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[0-9.:+Z-]*"
)
_OTHERWISE: Final = frozenset({"run_attempt", "__request_start_time_ms__", "__metadata__"})
"""What tells of the attempt, not of the run."""
_OF_CHECKPOINT: Final = ("values", "next", "tasks")
"""What checkpoints are compared by, beside the step and the source. A checkpoint that is told when
another attempt goes on from it has the metadata that are stored, which are those of the run too."""


def canonical(seen: Iterable[Seen]) -> dict[str, list[str]]:
    """Return what is told of each graph, by the names of the nodes that it is called from.

    Several graphs of the same name are sorted: each is one text of the list.
    """
    supersteps: dict[str, list[list[str]]] = defaultdict(lambda: [[]])
    for event in seen:
        if event.mode not in STATE:
            continue
        told = f"{event.mode} {plain(_shown(event))}"
        if event.mode in ("values", "checkpoints"):
            supersteps[event.namespace] += [[told], []]
        else:
            supersteps[event.namespace][-1].append(told)
    graphs: dict[str, list[str]] = defaultdict(list)
    for namespace, steps in supersteps.items():
        graphs[names(namespace)].append("\n".join(text for step in steps for text in sorted(step)))
    return {name: sorted(texts) for name, texts in graphs.items()}


def _shown(event: Seen) -> Any:
    data = event.data
    if event.mode != "checkpoints":
        return data
    metadata = data.get("metadata") or {}
    shown = {key: data.get(key) for key in _OF_CHECKPOINT}
    return {**shown, "step": metadata.get("step"), "source": metadata.get("source")}


def live(seen: Iterable[Seen]) -> Counter[str]:
    """Return how often each thing was said in the course of tasks, by graph."""
    return Counter(
        f"{names(event.namespace)} {event.mode} {plain(event.data)}"
        for event in seen
        if event.mode in LIVE
    )


def names(namespace: str) -> str:
    """Return a namespace without the ids of tasks."""
    return _ID.sub("*", namespace)


def plain(data: Any) -> str:
    """Return data as text without what differs from one run to the next."""
    return _ID.sub("*", json.dumps(_without(data), sort_keys=True, ensure_ascii=False))


def _without(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without(value) for key, value in data.items() if key not in _OTHERWISE}
    if isinstance(data, list):
        return [_without(value) for value in data]
    # JavaScript has one kind of number.
    return int(data) if isinstance(data, float) and data.is_integer() else data


def first_difference(expected: Sequence[str], actual: Sequence[str]) -> str:
    """Return where two lists of texts of several lines differ."""
    if len(expected) != len(actual):
        return f"there are {len(actual)} graphs, not {len(expected)}"
    for one, other in zip(expected, actual, strict=True):
        if one != other:
            return _first_line(one.split("\n"), other.split("\n"))
    return ""


def _first_line(expected: list[str], actual: list[str]) -> str:
    for number, (one, other) in enumerate(zip(expected, actual, strict=False)):
        if one != other:
            return f"event {number} is {other[:300]}, not {one[:300]}"
    return f"there are {len(actual)} events, not {len(expected)}"


def disorders(seen: Sequence[Seen]) -> Iterator[str]:
    """Yield what is wrong in the order of a stream by itself.

    Ids go up. A task is told of once when it begins, then once when it ends; what the graphs say
    that it calls comes between.
    """
    yield from _ids(seen)
    begun: set[str] = set()
    over: set[str] = set()
    for event in seen:
        for task in _ID.findall(event.namespace):
            if event.mode in STATE and task in over:
                yield f"{event.event} comes after the end of task {task}"
        if event.mode != "tasks":
            continue
        task = event.data["id"]
        if "triggers" in event.data:
            if task in begun:
                yield f"task {task} begins twice"
            begun.add(task)
        else:
            if task not in begun:
                yield f"task {task} ends before it begins"
            if task in over:
                yield f"task {task} ends twice"
            over.add(task)


def _ids(seen: Sequence[Seen]) -> Iterator[str]:
    last = (0, 0)
    for event in seen:
        if event.id is None:
            continue
        id = parsed(event.id)
        if id <= last:
            yield f"event {event.id} comes after {last[0]}-{last[1]}"
        last = id


def parsed(id: str) -> tuple[int, int]:
    """Return an id as it is compared with others."""
    ms, _, seq = id.partition("-")
    return int(ms), int(seq)


def attempts(seen: Iterable[Seen]) -> list[int]:
    """Return the attempts that a stream tells of, in its order."""
    return [event.data["attempt"] for event in seen if event.mode == "metadata"]
