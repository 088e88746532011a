"""What a replica holds, told over HTTP beside the API: tasks, threads, open files."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections import Counter
from collections.abc import Iterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def census(_: Request) -> JSONResponse:
    """Tell what there is at this moment, the request that asks included."""
    threads = Counter(thread.name.rstrip("0123456789-_") for thread in threading.enumerate())
    tasks = Counter(_name(task) for loop in _loops() for task in asyncio.all_tasks(loop))
    files = len(os.listdir("/proc/self/fd"))
    return JSONResponse({"tasks": tasks, "threads": threads, "files": files})


def _loops() -> Iterator[asyncio.AbstractEventLoop]:
    """Yield the event loops: the collector knows them, unless they were kept out of its sight."""
    gc.unfreeze()
    for each in gc.get_objects():
        if isinstance(each, asyncio.AbstractEventLoop) and each.is_running():
            yield each


def _name(task: asyncio.Task[object]) -> str:
    return getattr(task.get_coro(), "__qualname__", "?")


app = Starlette(routes=[Route("/chaos/census", census)])
