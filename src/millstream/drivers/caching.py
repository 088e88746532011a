"""Cached results of nodes: which tasks need not run, and keeping what they wrote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import xxhash

from millstream._base.fingerprints import digest, fingerprint
from millstream.constants import CACHE_NS_WRITES
from millstream.core.calls import CallTask
from millstream.types import default_cache_key

if TYPE_CHECKING:
    from millstream.core.protocol import Write
    from millstream.core.spec import NodeSpec
    from millstream.core.tasks import Task
    from millstream.drivers.context import TaskContext
    from millstream.drivers.nodecall import NodeCall
    from millstream.drivers.run_scope import RunScope

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
    marks = [] if key_func is default_cache_key else [fingerprint(key_func)]
    if not isinstance(task, CallTask):
        marks.append(_outputs_digest(task.node))
    return "".join(marks).encode()


def _outputs_digest(node: NodeSpec) -> str:
    """Return what stands for how the node's results become writes."""
    body: NodeCall = node.body
    if body.outputs_digest is None:
        routes = [
            (branch.call.target, tuple((branch.ends or {}).items()), branch.is_passthrough)
            for branch in body.branches
        ]
        body.outputs_digest = digest(body.outputs, tuple(node.edges), *routes)
    return body.outputs_digest


def namespace_of(body: NodeCall, name: str) -> tuple[str, ...]:
    """Return the cache namespace of a node: its function's identity and its name."""
    return (*call_namespace(body.call.target), name)


def call_namespace(func: Callable[..., Any]) -> tuple[str, ...]:
    """Return the cache namespace of a `@task`: its function's identity."""
    return (CACHE_NS_WRITES, fingerprint(func))


async def replay_cached(run: RunScope, tasks: Sequence[Task]) -> list[Task]:
    """Replay the tasks found in the run's cache and return the others."""
    keys = keys_of(tasks)
    if not keys or run.cache is None:
        return list(tasks)
    for key, writes in (await run.waits.look_up(run.cache, tuple(keys))).items():
        for task in keys[key]:
            promise = None if run.ahead is None else run.ahead.promise()
            run.machine.replay(task, [tuple(write) for write in writes])
            # As if it had run: who resumes the thread may not have the cache.
            run.record_task(task, promise)
    return [task for task in tasks if not task.is_done]


async def find(context: TaskContext) -> list[Write] | None:
    """Return what the task wrote when it ran with this input before, if its cache knows."""
    run, keys = context.run, keys_of([context.task])
    if not keys or run.cache is None:
        return None
    found = await run.waits.look_up(run.cache, tuple(keys))
    return next(([tuple(write) for write in writes] for writes in found.values()), None)


async def keep(context: TaskContext) -> None:
    """Keep the writes of a task that succeeded."""
    run, task = context.run, context.task
    if run.cache is not None:
        entry = {task.cache_key: (list(task.writes), task.node.body.cache.ttl)}
        await run.waits.keep(run.cache, entry)
