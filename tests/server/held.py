"""What a server holds for those who ask: what it has answered leaves nothing of it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Final

from server.fixtures import Running

_LOGS: Final = ("_runs", "_channels", "_by_thread", "_watchers")


def held(server: Running) -> Mapping[str, int]:
    """Return how much there is of whatever ends with what needs it."""
    service = server.service
    server.http.get("/ok")  # which leaves a connection
    return {
        **_tasks(server.loop, "http"),
        **_tasks(service.run_loop.loop, "runs"),
        **{f"logs{name}": len(getattr(service.logs, name)) for name in _LOGS},
        "active runs": service.scheduler.active,
        "who waits for a run": len(service.scheduler.results._waiters),
        "streams": service.metrics.streams,
        "streams that count": service.limits.open_streams,
        "database connections in use": service.db.engine.pool.checkedout(),
        "sockets": _sockets(),
    }


def kept(server: Running, before: Mapping[str, int]) -> Mapping[str, tuple[int, int]]:
    """Return what there is more of than before, once everything has had its time to end."""

    def more() -> Mapping[str, tuple[int, int]]:
        return {
            name: (before.get(name, 0), count)
            for name, count in held(server).items()
            if count > before.get(name, 0)
        }

    turn = threading.Event()
    for _ in range(200):
        if not more():
            break
        turn.wait(0.1)
    return more()


def _tasks(loop: asyncio.AbstractEventLoop, name: str) -> Mapping[str, int]:
    found: Counter[str] = Counter()
    for task in asyncio.all_tasks(loop):
        what = getattr(task.get_coro(), "__qualname__", str(task))
        if what != "Event.wait":  # what waits with a time limit has one now and then
            found[f"{name}: {what}"] += 1
    return found


def _sockets() -> int:
    """Return how many sockets this process has, those of other tests too."""
    folder = "/proc/self/fd"
    found = 0
    for name in os.listdir(folder):
        try:
            found += os.readlink(f"{folder}/{name}").startswith("socket:")
        except OSError:  # closed meanwhile
            continue
    return found
