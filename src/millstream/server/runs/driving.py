"""Driving a graph to its end: what it says goes to the log of its run as soon as it is told.

The run is that of a handle of the engine. Only where a client asks for LangChain's events it is
their stream, in which the other modes are, or a run stream, whose events are those of the protocol.
Where somebody has replaced the graph's `astream` their items are read instead, and so are those of
a run stream for which the graph has transformers of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from millstream.drivers import aio, event_stream
from millstream.errors import RunCancelledError
from millstream.modes.names import VALUES
from millstream.pregel._running.opening import CallOptions, open_events
from millstream.pregel._running.overrides import is_overridden
from millstream.pregel._running.run_streams import open_told
from millstream.runtime import RunControl
from millstream.server.runs.wire import engine_modes
from millstream.server.runs.wire_log import WireLog
from millstream.server.v3.projection import TRANSFORMERS, part_of

if TYPE_CHECKING:
    from millstream.modes.protocol_events import ProtocolEvent
    from millstream.runs.handle import RunHandle
    from millstream.server.log.repeats import Repeats
    from millstream.server.log.storing import Storing
    from millstream.server.runs.active import ActiveRun
    from millstream.server.runs.calls import GraphCall
    from millstream.server.runs.wire import Wire
    from millstream.server.v3.projection import Projection


@dataclass(slots=True)
class Outcome:
    """How a graph has ended that did not fail."""

    values: Any
    interrupts: Sequence[Any] = ()
    is_asking: bool = False
    is_whole: bool = False
    """The values are the whole state, as the thread shows it."""


@dataclass(frozen=True, slots=True)
class Told:
    """A run, and what is told of it."""

    active: ActiveRun
    wire: Wire
    projection: Projection | None = None
    storing: Storing | None = None
    repeats: Sequence[Repeats] = ()

    def log(self, write: Callable[[Any], None]) -> WireLog:
        """Return a log for the engine that has its items written."""
        log = self.active.log
        # What cannot be resumed is read at once: nothing waits until it is stored.
        storing = self.storing if log.is_resumable else None
        return WireLog(log, write, storing, self.repeats, self.active.refuse_late)


async def drive(graph: Any, call: GraphCall, told: Told) -> Outcome:
    """Carry out a run by the engine's handle."""
    active, log = told.active, told.log(told.wire.write)
    handle = await graph.astart(
        call.input, call.config, stream_mode=engine_modes(call.modes), log=log, **call.options
    )
    loop = asyncio.get_running_loop()
    log.on_fault = partial(loop.call_soon_threadsafe, handle.cancel)
    try:
        async with handle:
            active.on_stop(partial(_stop, active, handle), handle.cancel)
            output = await handle.await_end()
            return Outcome(
                output,
                handle.interrupts,
                handle.status == "interrupted",
                is_whole=shows_all(graph),
            )
    except RunCancelledError:
        if log.fault is not None:
            raise log.fault from None
        raise
    finally:
        # An error refers to this frame: what it knows goes now, not when garbage is looked for.
        active.on_stop(_nothing, _nothing)
        log.on_fault = _nothing
        del handle


def _stop(active: ActiveRun, handle: RunHandle[Any]) -> None:
    if active.stopped_by == "lease_lost":
        handle.drain()
    else:
        handle.cancel()


def _nothing() -> None:
    """Stop nothing: it has ended."""


async def drive_events(graph: Any, call: GraphCall, told: Told) -> None:
    """Carry out a run as the stream of LangChain's events, in which the other modes are."""
    wire, active = told.wire, told.active
    options = {**call.options, "stream_mode": engine_modes(call.modes) or [VALUES]}
    has_subgraphs = options["subgraphs"]

    def write(event: Any) -> None:
        if event is None:
            return
        if event["event"] != "on_chain_stream" or event["run_id"] != call.config["run_id"]:
            wire.write_event(event)
            return
        chunk = event["data"]["chunk"]
        namespace, mode, payload = chunk if has_subgraphs else ((), *chunk)
        wire.write((namespace, mode, payload, None))

    if is_overridden(graph, "astream"):
        stream = graph.astream_events(call.input, call.config, version="v2", **options)
        task = asyncio.ensure_future(_read(stream, write))
        active.on_stop(task.cancel, task.cancel)
        await task
        return
    log = told.log(write)
    request = open_events(graph, call.input, call.config, CallOptions.of(options), {})
    stream = event_stream.drive(lambda: request._replace(ahead=log))
    await _carry_on(_read(stream, write), log, active)


async def drive_protocol(graph: Any, call: GraphCall, told: Told) -> None:
    """Carry out a run as a run stream, whose events are those of the protocol."""
    projection, active = told.projection, told.active
    assert projection is not None, "it is for such runs"
    control = RunControl()
    options = {name: value for name, value in call.options.items() if name != "subgraphs"}
    options["control"] = control
    has_subgraphs = call.options["subgraphs"]

    def write(event: ProtocolEvent) -> None:
        projection.write(event)
        # For those who read the run by its stream modes.
        part = part_of(event) if call.modes else None
        if part is not None and (has_subgraphs or not part[0]):
            told.wire.write(part)

    def stop(task: asyncio.Future[None]) -> None:
        active.on_stop(
            lambda: control.request_drain() if active.stopped_by == "lease_lost" else task.cancel(),
            task.cancel,
        )

    opened = open_told(graph, call.input, call.config, TRANSFORMERS, options)
    if opened is None:
        stream = await graph.astream_events(
            call.input, call.config, version="v3", transformers=TRANSFORMERS, **options
        )

        async def read() -> None:
            async with stream:
                await _read(stream, write)

        task = asyncio.ensure_future(read())
        stop(task)
        await task
        return
    request, mux = opened
    mux.watch(_Written(write))
    log = told.log(mux.push)
    stream = aio.drive(lambda: request._replace(ahead=log))
    try:
        await _carry_on(_read(stream, mux.push), log, active, stop)
    except asyncio.CancelledError:
        mux.abandon()
        raise
    except BaseException as error:
        mux.fail(error)
        raise
    mux.close()


class _Written:
    """A sink of the events of a run stream that writes them down."""

    def __init__(self, write: Callable[[Any], None]) -> None:
        self.put = write

    def end(self) -> None:
        """Do nothing: the run says how it ends."""

    def leave(self) -> None:
        """Do nothing: it stays."""


async def _carry_on(
    reading: Coroutine[Any, Any, None],
    log: WireLog,
    active: ActiveRun,
    stop: Callable[[asyncio.Future[None]], None] | None = None,
) -> None:
    """Drive a run whose log gets everything, and raise what went wrong with either."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(reading)
    log.on_fault = lambda: loop.call_soon_threadsafe(task.cancel)
    if stop is None:
        active.on_stop(task.cancel, task.cancel)
    else:
        stop(task)
    try:
        await task
    except asyncio.CancelledError:
        if log.fault is not None:
            raise log.fault from None
        raise
    finally:
        log.close()


async def _read(stream: Any, write: Callable[[Any], None]) -> None:
    """Read a stream to its end; of a run that has a log ahead nothing is left to read."""
    async with aclosing(stream) if hasattr(stream, "aclose") else nullcontext():
        async for item in stream:
            write(item)


def shows_all(graph: Any) -> bool:
    """Say whether what a graph returns is all of its state."""
    shown, all_of_it = (
        getattr(graph, "output_channels", None),
        getattr(graph, "stream_channels", None),
    )
    return isinstance(shown, list) and isinstance(all_of_it, list) and set(shown) == set(all_of_it)
