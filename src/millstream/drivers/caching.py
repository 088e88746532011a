"""Cached results of nodes: which tasks need not run, and keeping what they wrote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import xxhash

from millstream.constants import CACHE_NS_WRITES
from millstream.core.calls import CallTask
from millstream.drivers.callables import callable_name, digest
from millstream.types import default_cache_key

if TYPE_CHECKING:
    from millstream.core.protocol import Write
    from millstream.core.spec import NodeSpec
    from millstream.core.tasks import Task
    from millstream.drivers.context import TaskContext
    from millstream.drivers.nodecall import NodeCall
    from millstream.drivers.run import Run

Key = tuple[tuple[str, ...], str]


def keys_of(tasks: Sequence[Task]) -> dict[Key, list[Task]]:
    """Return the cache keys of those tasks whose node has a cache policy."""
    keys: dict[Key, list[Task]] = {}
    for task in tasks:
        if task.node.body.cache is not None:
            # Kept with the task: the node may change its input.
            task.cache_key = cache_key(task)
            keys.setdefault(task.cache_key, []).append(task)
    return keys


def cache_key(task: Task) -> Key:
    """Return where the task's result is kept: its node's namespace, the hash of its input."""
    body = task.node.body
    if isinstance(task, CallTask):
        args, kwargs = task.input
        namespace, key = call_namespace(body.call.target), body.cache.key_func(*args, **kwargs)
    else:
        namespace, key = namespace_of(body, task.name), body.cache.key_func(task.input)
    marks = _marks(task)
    data = key.encode() if isinstance(key, str) else key
    return namespace, xxhash.xxh3_128_hexdigest(marks + data)


def _marks(task: Task) -> bytes:
    """Return what tells the task's result from others of its function with the same key.

    What is kept are writes, and those depend on the graph: its keys, and where its edges lead. A
    key that the program makes itself means nothing to one that makes others.
    """
    body: NodeCall = task.node.body
    key_func: Any = body.cache.key_func if body.cache is not None else default_cache_key
    marks = [] if key_func is default_cache_key else [callable_name(key_func)]
    if not isinstance(task, CallTask):
        marks.append(_outlet(task.node))
    return "".join(marks).encode()


def _outlet(node: NodeSpec) -> str:
    """Return what stands for how the node's results become writes."""
    body: NodeCall = node.body
    if body.outlet is None:
        routes = [
            (branch.call.target, tuple((branch.ends or {}).items()), branch.is_passthrough)
            for branch in body.branches
        ]
        body.outlet = digest(body.outputs, tuple(node.edges), *routes)
    return body.outlet


def namespace_of(body: NodeCall, name: str) -> tuple[str, ...]:
    """Return the cache namespace of a node: its function's identity and its name."""
    return (*call_namespace(body.call.target), name)


def call_namespace(func: Callable[..., Any]) -> tuple[str, ...]:
    """Return the cache namespace of a `@task`: its function's identity."""
    return (CACHE_NS_WRITES, callable_name(func))


def replay_cached(run: Run, tasks: Sequence[Task]) -> list[Task]:
    """Replay the tasks found in the run's cache and return the others."""
    keys = keys_of(tasks)
    found = run.cache.get(tuple(keys)) if keys and run.cache is not None else {}
    return _replay(run, tasks, keys, found)


async def areplay_cached(run: Run, tasks: Sequence[Task]) -> list[Task]:
    """Replay the tasks found in the run's cache and return the others."""
    keys = keys_of(tasks)
    found = await run.cache.aget(tuple(keys)) if keys and run.cache is not None else {}
    return _replay(run, tasks, keys, found)


def _replay(
    run: Run, tasks: Sequence[Task], keys: dict[Key, list[Task]], found: dict[Any, Any]
) -> list[Task]:
    for key, writes in found.items():
        for task in keys[key]:
            run.machine.replay(task, [tuple(write) for write in writes])
            run.note_task(task)
    return [task for task in tasks if not task.is_done]


def find(context: TaskContext) -> list[Write] | None:
    """Return what the task wrote when it ran with this input before, if its cache knows."""
    keys = keys_of([context.task])
    if not keys or context.run.cache is None:
        return None
    return _found(context.run.cache.get(tuple(keys)))


async def afind(context: TaskContext) -> list[Write] | None:
    """Return what the task wrote when it ran with this input before, if its cache knows."""
    keys = keys_of([context.task])
    if not keys or context.run.cache is None:
        return None
    return _found(await context.run.cache.aget(tuple(keys)))


def _found(found: dict[Any, Any]) -> list[Write] | None:
    return next(([tuple(write) for write in writes] for writes in found.values()), None)


def keep(context: TaskContext) -> None:
    """Keep the writes of a task that succeeded."""
    if context.run.cache is not None:
        context.run.cache.set(_entry(context))


async def akeep(context: TaskContext) -> None:
    """Keep the writes of a task that succeeded."""
    if context.run.cache is not None:
        await context.run.cache.aset(_entry(context))


def _entry(context: TaskContext) -> dict[Any, Any]:
    task = context.task
    return {task.cache_key: (list(task.writes), task.node.body.cache.ttl)}
