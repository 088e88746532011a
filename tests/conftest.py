"""Fixtures shared by the whole suite: the two drivers, a PostgreSQL database."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Coroutine, Iterator
from types import FrameType
from typing import Any, Final

import pytest
from hypothesis import settings

import waiting
from millstream.testing import clock

TESTS: Final = os.path.dirname(__file__)

# How long an example takes depends on what else the machine does.
settings.register_profile("millstream", deadline=None)
settings.load_profile("millstream")


class SyncDriver:
    """Run a compiled graph through `invoke` and `stream`."""

    name = "sync"

    def invoke(self, graph: Any, input: Any, config: Any = None, **kwargs: Any) -> Any:
        """Return the result of one run."""
        return graph.invoke(input, config, **kwargs)

    def stream(self, graph: Any, input: Any, config: Any = None, **kwargs: Any) -> list[Any]:
        """Return every item of one run."""
        return list(graph.stream(input, config, **kwargs))


class AsyncDriver:
    """Run a compiled graph through `ainvoke` and `astream`, each call in its own event loop."""

    name = "async"

    def invoke(self, graph: Any, input: Any, config: Any = None, **kwargs: Any) -> Any:
        """Return the result of one run."""

        async def call() -> Any:
            return await graph.ainvoke(input, config, **kwargs)

        return asyncio.run(call())

    def stream(self, graph: Any, input: Any, config: Any = None, **kwargs: Any) -> list[Any]:
        """Return every item of one run."""

        async def call() -> list[Any]:
            return [item async for item in graph.astream(input, config, **kwargs)]

        return asyncio.run(call())


REAL_SLEEP: Final = time.sleep
REAL_ASYNC_SLEEP: Final = asyncio.sleep


class Sleepless:
    """Sees code of tests sleep for a moment: what is to have happened by then may not have.

    A second or more is no moment: who sleeps so long waits to be cancelled. `fake_clock` has no
    real time, `waiting` asks again and again, and a test marked `real_time` says why it needs some.
    """

    is_on = False
    is_time_set = False

    def __init__(self) -> None:
        self.seen: list[str] = []

    def sleep(self, seconds: float) -> None:
        """Sleep, and take note if that is no way to wait."""
        self._look(seconds, sys._getframe(1))
        REAL_SLEEP(seconds)

    def asleep(self, delay: float, *given: Any, **named: Any) -> Coroutine[Any, Any, Any]:
        """Do the same in an event loop."""
        if not self.is_time_set:
            self._look(delay, sys._getframe(1))
        return REAL_ASYNC_SLEEP(delay, *given, **named)

    def _look(self, seconds: float, caller: FrameType) -> None:
        if self.is_on and 0 < seconds < 1:
            file = caller.f_code.co_filename
            if file.startswith(TESTS) and file not in (waiting.__file__, __file__):
                self.seen.append(f"{file}:{caller.f_lineno} sleeps for {seconds} s")


SLEEPLESS: Final = Sleepless()
time.sleep, asyncio.sleep = SLEEPLESS.sleep, SLEEPLESS.asleep


@pytest.fixture(autouse=True)
def sleepless(request: pytest.FixtureRequest) -> Iterator[Sleepless]:
    """Fail a test whose code sleeps for a moment of real time."""
    SLEEPLESS.is_time_set = "fake_clock" in request.fixturenames
    SLEEPLESS.is_on = request.node.get_closest_marker("real_time") is None
    SLEEPLESS.seen.clear()
    yield SLEEPLESS
    SLEEPLESS.is_on = False
    assert not SLEEPLESS.seen, (
        "use an event, the `fake_clock` fixture or `waiting.until`, or mark the test "
        f"`real_time(reason=...)`: {', '.join(sorted(set(SLEEPLESS.seen)))}"
    )


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Switch the collector off: what only it would free stays, and it finalizes nothing here."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def fake_clock() -> Iterator[clock.FakeClock]:
    """Give the drivers and event loops a clock that the test sets, and a random source too."""
    with clock.fake_clock() as fake:
        yield fake


@pytest.fixture(params=[SyncDriver, AsyncDriver], ids=["sync", "async"])
def driver(request: pytest.FixtureRequest) -> SyncDriver | AsyncDriver:
    """Give the test one driver; the test runs once with each."""
    return request.param()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Give the address of a new PostgreSQL database that has the tables of a saver."""
    server = os.environ.get("MILLSTREAM_TEST_POSTGRES")
    if not server:
        pytest.skip("no PostgreSQL server: scripts/services.sh run -- pytest starts one")
    import psycopg
    from langgraph.checkpoint.postgres import PostgresSaver
    from psycopg import conninfo, sql

    name = f"millstream_{uuid.uuid4().hex}"
    database = sql.Identifier(name)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(database))
    address = conninfo.make_conninfo(server, dbname=name)
    with PostgresSaver.from_conn_string(address) as saver:
        saver.setup()
    yield address
    # Fails when a test has left a connection open.
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {}").format(database))


THREAD_PATIENCE: Final = 5.0


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    """Fail a test after which a thread still runs that it has started.

    An async run does not wait for the threads it has used: each ends by itself when its function
    has returned, which may be a moment after the run. So they are given time.
    """
    before = set(threading.enumerate())
    yield
    started = set(threading.enumerate()) - before
    for thread in started:
        thread.join(THREAD_PATIENCE)
    frames = sys._current_frames()
    left = {
        thread.name: "".join(traceback.format_stack(frames[thread.ident])[-3:])
        for thread in started
        if thread.ident in frames
    }
    assert not left, (
        f"threads that the test has started still run, {THREAD_PATIENCE:.0f} s after it: end what "
        "they wait for, at the end of the test. They are at:\n"
        + "\n".join(f"{name}:\n{stack}" for name, stack in left.items())
    )
