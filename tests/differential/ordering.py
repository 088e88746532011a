"""Compare parallel work without its timing.

Tasks of one superstep finish in an order that no engine promises. What is promised, and what
the canonical form keeps: the items before the tasks, the order of the task starts, the order of
the items of each task, the superstep each item belongs to, and every item exactly once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from differential.render import mask, render

TASK_MODES = ("tasks", "debug")


@dataclass(frozen=True, slots=True)
class Item:
    """One stream item with its namespace and mode made explicit."""

    namespace: tuple[str, ...]
    mode: str
    payload: Any
    line: str
    is_question: bool


@dataclass(slots=True)
class _Superstep:
    before: list[str] = field(default_factory=list)
    starts: dict[str, list[str]] = field(default_factory=dict)
    tasks: dict[str, list[str]] = field(default_factory=dict)
    children: dict[str, list[Item]] = field(default_factory=dict)
    customs: dict[str, list[str]] = field(default_factory=dict)
    cached: list[str] = field(default_factory=list)
    pending: list[Item] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    failures: set[str] = field(default_factory=set)
    is_running: bool = False


def parse(raw: Any, *, version: str, subgraphs: bool) -> Item:
    """Read one item of a stream of several modes."""
    if version == "v2":
        namespace, mode, payload = raw["ns"], raw["type"], raw["data"]
    elif subgraphs:
        namespace, mode, payload = raw
    else:
        namespace, (mode, payload) = (), raw
    # v2 puts the questions beside the values, v1 among them.
    asked = raw.get("interrupts") if version == "v2" else None
    is_question = bool(asked) or (isinstance(payload, dict) and "__interrupt__" in payload)
    return Item(tuple(namespace), mode, payload, render(raw), is_question)


def settled(value: Any) -> Any:
    """Return `value` with the questions in it in an order that is not timing."""
    if type(value) is dict:
        return {key: settled(inner) for key, inner in value.items()}
    if type(value).__name__ == "GraphOutput":
        return type(value)(value=value.value, interrupts=settled(value.interrupts))
    if type(value) not in (list, tuple):
        is_record = isinstance(value, tuple) and hasattr(value, "_make")
        return value._make(map(settled, value)) if is_record else value
    if value and all(map(_is_question, value)):
        return type(value)(sorted(value, key=lambda question: mask(render(question))))
    return type(value)(map(settled, value))


def _is_question(value: Any) -> bool:
    return type(value).__name__ == "Interrupt" or (
        isinstance(value, dict) and value.keys() == {"value", "id", "response_schema"}
    )


def canonical(items: Sequence[Item], depth: int = 0) -> list[str]:
    """Return the items' lines in an order that does not depend on which task finished first."""
    lines: list[str] = []
    for superstep in _split(items, depth):
        lines += _flatten(superstep, depth)
    return lines


def _split(items: Sequence[Item], depth: int) -> list[_Superstep]:
    steps = [_Superstep()]
    for item in items:
        step = steps[-1]
        if len(item.namespace) > depth:
            step.is_running = True
            key = item.namespace[depth].rpartition(":")[2]
            step.children.setdefault(key, []).append(item)
            continue
        kind = _kind(item)
        if kind in ("before", "start") and (step.is_running or (kind == "before" and step.starts)):
            step = _Superstep()
            steps.append(step)
        _place(step, item, kind)
    return steps


def _kind(item: Item) -> str:
    if item.mode == "values":
        return "pending" if item.is_question else "before"
    if item.mode in ("custom", "messages"):
        return item.mode
    if item.mode == "updates":
        is_cached = isinstance(item.payload, dict) and "__metadata__" in item.payload
        return "cached" if is_cached else "pending"
    if item.mode == "debug":
        return {"checkpoint": "before", "task": "start"}.get(item.payload["type"], "result")
    if item.mode == "tasks":
        return "start" if "triggers" in item.payload else "result"
    return "before"


def _place(step: _Superstep, item: Item, kind: str) -> None:
    if kind == "before":
        step.before.append(item.line)
        return
    if kind == "start":
        step.starts.setdefault(_task(item), []).append(item.line)
        step.names.add(_payload(item)["name"])
        return
    step.is_running = True
    if kind == "cached":
        # No result event follows to say which task it was.
        step.cached.append(item.line)
    elif kind == "custom":
        owner = item.payload.get("by", "") if isinstance(item.payload, dict) else ""
        step.customs.setdefault(owner, []).append(item.line)
    elif kind == "messages":
        # Said by a task before its result; the last segment of its namespace ends in its id.
        said_by = item.payload[1]["langgraph_checkpoint_ns"].rpartition(":")[2]
        step.tasks.setdefault(said_by, []).append(item.line)
    elif kind == "pending":
        step.pending.append(item)
    else:
        key = _task(item)
        held = _said_before(step, item, is_first=key not in step.ended)
        step.ended.add(key)
        lines = step.tasks.setdefault(key, [])
        lines += [one.line for one in held]
        lines.append(item.line)
        error = _payload(item).get("error")
        if error is not None:
            step.failures.add(mask(render(error)))


def _said_before(step: _Superstep, result: Item, *, is_first: bool) -> list[Item]:
    """Take those of the pending items that came with a result: the update of that very node.

    Threads of one engine may give away what two tasks say in turns: both updates, both results.
    """
    name, taken, left = _payload(result)["name"], [], []
    for item in step.pending:
        owner = _owner(step, item)
        is_update = owner == name and is_first
        if owner is None or (is_update and not any(_owner(step, one) == name for one in taken)):
            taken.append(item)
        else:
            left.append(item)
    step.pending = left
    return taken


def _owner(step: _Superstep, item: Item) -> str | None:
    """Return the node whose update an item is, None if it is something else."""
    if item.mode != "updates" or not isinstance(item.payload, dict) or len(item.payload) != 1:
        return None
    [name] = item.payload
    return name if name in step.names else None


def _payload(item: Item) -> Any:
    return item.payload if item.mode == "tasks" else item.payload["payload"]


def _task(item: Item) -> str:
    return str(_payload(item)["id"])


def _flatten(step: _Superstep, depth: int) -> list[str]:
    lines = list(step.before)
    for start in step.starts.values():
        lines += start
    lines += step.cached
    if step.failures and len(step.starts) > 1:
        # What the siblings of a failing task still show depends on timing alone: a thread runs
        # on unseen, an async task is cancelled where it stands, and may or may not say so.
        causes = {line for line in step.failures if not line.startswith("CancelledError")}
        return [*lines, *sorted(causes or step.failures)]
    known = list(step.starts)
    others = sorted(step.tasks.keys() | step.children.keys() - set(known), key=_first(step))
    for key in [*known, *(key for key in others if key not in step.starts)]:
        lines += step.tasks.get(key, ())
        lines += [f"  {line}" for line in canonical(step.children.get(key, ()), depth + 1) if line]
    for owner in sorted(step.customs):
        lines += step.customs[owner]
    return lines + [item.line for item in step.pending]


def _first(step: _Superstep) -> Any:
    def key(task: str) -> str:
        return mask("".join(step.tasks.get(task, ())))

    return key


def multiset(lines: Sequence[str]) -> list[str]:
    """Return the lines without ids, sorted: equal for equal multisets."""
    return sorted(map(mask, lines))
