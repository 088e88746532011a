"""Checkpoints as older versions of LangGraph stored them, in today's format.

What waits to run is told by other channels there. Up to format 2 a node was triggered by a channel
for each of its edges: `start:b`, the name of the node before it, `branch:a:condition:b`. Up to
format 3 the Sends of a superstep stood beside the channels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_128_hexdigest

from millstream.constants import PULL, SIGNAL_PREFIX, TASKS
from millstream.core.checkpoints import FORMAT, OLD_TRIGGERS
from millstream.core.tasks import task_id_of
from millstream.core.versions import is_newer, newest

if TYPE_CHECKING:
    from millstream.core.spec import GraphSpec, NodeSpec
    from millstream.core.tasks import Task


def is_current(checkpoint: Mapping[str, Any]) -> bool:
    """Say whether a checkpoint is in today's format."""
    return bool(checkpoint.get("v", FORMAT) >= FORMAT)


def modernized(checkpoint: Mapping[str, Any], spec: GraphSpec) -> dict[str, Any]:
    """Return a checkpoint of an older format with the channels of today; it keeps its number."""
    triggers: dict[str, list[str]] = {}
    values = dict(checkpoint["channel_values"])
    versions = dict(checkpoint["channel_versions"])
    for node in spec.nodes.values():
        signal = SIGNAL_PREFIX + node.name
        seen = (checkpoint.get("versions_seen") or {}).get(node.name, {})
        # A thread that both versions worked on may have the signal already.
        if signal in node.triggers and signal not in values:
            unseen = [
                name
                for name in _old_triggers(node, spec, values)
                # The same question that the planner asks today, asked of the channels of then.
                if name in versions and (name not in seen or is_newer(versions[name], seen[name]))
            ]
            if unseen:
                values[signal] = _as_written(spec, signal)
                # Not a new version: whoever compares must find the signal as old as what caused it.
                versions[signal] = newest(versions[name] for name in unseen)
                triggers[node.name] = sorted(unseen)
    sends = checkpoint.get("pending_sends")
    if sends:
        values[TASKS] = list(sends)
        # Sends had no version then. The newest is one that no node has seen of this channel.
        versions[TASKS] = newest(versions.values())
    # If they stayed they would be stored for ever, with a value that nobody reads.
    gone = {name for name in versions if _is_old(name, spec)}
    return {
        **checkpoint,
        OLD_TRIGGERS: triggers,
        "channel_values": {name: value for name, value in values.items() if name not in gone},
        "channel_versions": {name: versions[name] for name in versions if name not in gone},
    }


def modernized_writes(
    writes: Iterable[tuple[str, str, Any]], spec: GraphSpec
) -> list[tuple[str, str, Any]]:
    """Return writes stored with a checkpoint of an older format, to the channels of today."""
    modern: list[tuple[str, str, Any]] = []
    for id, name, value in writes:
        if not _is_old(name, spec):
            modern.append((id, name, value))
        elif name in spec.nodes:
            modern += [
                (id, *edge) for edge in spec.nodes[name].edges if edge[0].startswith(SIGNAL_PREFIX)
            ]
        else:
            # What is left is `start:b`, or the channel of a conditional edge.
            target = _end_of_branch(name) or name.partition(":")[2]
            modern.append((id, SIGNAL_PREFIX + target, None))
    return modern


def old_id(task: Task, triggers: Mapping[str, Sequence[str]], known: Container[str]) -> str | None:
    """Return the id under which writes of a task of the loaded superstep are stored, if any are.

    `triggers` are those that the nodes of the superstep had in its format, `known` the ids of tasks
    that have writes. Which of its triggers an id was made of, and how, depends on the version.
    """
    if task.id in known:
        return None
    if task.is_pull:
        name, spec = task.name, task.machine.spec
        fired = triggers.get(name, ())
        write = (SIGNAL_PREFIX + name, None)
        # Versions of LangGraph differ in which triggers they make an id of: those that fired, all
        # there are, or these with the channel of the input. All are tried, since only a stored id
        # can match.
        before = (n for n, node in spec.nodes.items() if write in node.edges)
        every = {*before, *task.node.triggers}
        lists = (fired, sorted(every), sorted({*every, f"start:{name}"}))
        places = ["".join((name, PULL, *names)) for names in lists]
    else:
        places = [task.place]
    text = f"{task.name_ns}{task.step}"
    for place in places:
        # Ids were made with SHA-1 first.
        for digest in (_sha1, xxh3_128_hexdigest):
            id = task_id_of(task.checkpoint_id, text + place, digest)
            if id in known:
                return id
    return None


def _sha1(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def _old_triggers(node: NodeSpec, spec: GraphSpec, values: Mapping[str, Any]) -> Iterator[str]:
    """Yield the channels with a value that triggered a node, besides those that still do."""
    write = (SIGNAL_PREFIX + node.name, None)
    for name in values:
        if name not in spec.channels and (
            name == f"start:{node.name}"
            or _end_of_branch(name) == node.name
            or (name in spec.nodes and write in spec.nodes[name].edges)
        ):
            yield name


def _is_old(name: str, spec: GraphSpec) -> bool:
    if name in spec.channels:
        return False
    return name in spec.nodes or name.startswith("start:") or _end_of_branch(name) is not None


def _end_of_branch(name: str) -> str | None:
    """Return the node that the channel of a conditional edge triggers, None for any other."""
    parts = name.split(":", 3)
    return parts[3] if len(parts) == 4 and parts[0] == "branch" else None


def _as_written(spec: GraphSpec, signal: str) -> Any:
    """Return what is stored of a signal that was written."""
    # By the channel itself, because what one stores depends on its kind: a deferred node's is a
    # pair.
    channel = spec.channels[signal].copy()
    channel.update((None,))
    return channel.checkpoint()
