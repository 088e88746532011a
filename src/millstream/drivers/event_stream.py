"""A run whose consumer wants events: see `modes.event_listener`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from millstream.drivers import aio

if TYPE_CHECKING:
    from millstream.drivers.run import Run
    from millstream.drivers.run_request import RunRequest


async def drive(prepare: Callable[[], RunRequest]) -> AsyncIterator[Any]:
    """Run a graph and yield the events that its consumer wants; see `aio.drive`."""
    driver = aio.AsyncDriver()
    requests: list[RunRequest] = []

    def open_run() -> RunRequest:
        requests.append(prepare())
        return requests[0]

    try:
        async with aclosing(driver.items(open_run)) as events:
            async for event in events:
                if event is not None:
                    yield event
    except Exception:
        if requests:
            for event in _rest(driver.run):
                yield event
        raise
    else:
        # The graph's own end, or what its nodes told while they were stopped, comes after its
        # stream.
        for event in _rest(driver.run):
            yield event
    finally:
        if requests:
            run = driver.run
            run.outbox.ignore(is_stopping=run.is_left or run.has_failed)
            if run.request.recording is not None:
                run.request.recording.close()


def _rest(run: Run) -> list[Any]:
    return [event for event in run.outbox.take() if event is not None]
