"""How asyncio tasks are started for the tasks of a graph."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

TASK_NAME: Final = "millstream task"


def spawner(
    loop: asyncio.AbstractEventLoop,
) -> Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]:
    """Return what starts an asyncio task in a copy of the current context.

    `asyncio.Task` directly where nobody has replaced how tasks are made: this is done once per
    task of a graph, and making up a name for each costs as much as making it.
    """
    if loop.get_task_factory() is None:
        return partial(asyncio.Task, loop=loop, name=TASK_NAME)
    return loop.create_task


def spawn_in(
    ambient: contextvars.Context | None, work: Coroutine[Any, Any, None]
) -> asyncio.Task[None]:
    """Start an asyncio task in a context."""
    assert ambient is not None
    # Before, a task always copied the current context.
    if sys.version_info >= (3, 11):
        return asyncio.get_running_loop().create_task(work, context=ambient)
    return ambient.run(asyncio.create_task, work)
