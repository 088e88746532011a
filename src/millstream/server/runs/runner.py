"""Carrying out one run: its graph, what it says, how it ends. In the loop in which graphs run.

The run is that of a handle of the engine, whose log writes to the wire. Only where a client asks
for LangChain's events it is read as their stream, in which the other modes are.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from millstream.errors import GraphDrained, ParentCommand, RunCancelledError
from millstream.modes.event import Event, logged
from millstream.modes.names import TASKS, VALUES
from millstream.runs.bell import Bell
from millstream.runs.log import EventReader
from millstream.runtime import RunControl
from millstream.server.auth.user import User
from millstream.server.encoding import dumps, error_of
from millstream.server.log.event_ids import START
from millstream.server.log.repeats import STATE_MODES, Repeats
from millstream.server.log.storing import Storing
from millstream.server.runs.active import REASONS, ActiveRun
from millstream.server.runs.events_first import events_first
from millstream.server.runs.wire import EVENTS, Wire, engine_modes
from millstream.server.storage import events, runs
from millstream.server.storage.run_records import End
from millstream.server.tracing import note_end, run_span
from millstream.server.v3.projection import TRANSFORMERS, Projection, part_of
from millstream.server.v3.protocol import seq_of
from millstream.types import Command, Send

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from millstream.modes.parts import Part
    from millstream.server.graphs import GraphCatalog
    from millstream.server.storage.database import Database

logger = logging.getLogger("millstream.server")

MAX_DEATHS: Final = 3
"""How often the process may end in one superstep of a run before the run is given up."""
NOTHING: Final = b"{}"
"""What those get who wait for a run that was cancelled."""


@dataclass(slots=True)
class Carried:
    """A run that was carried out."""

    end: End
    result: bytes = NOTHING
    """What those get who wait for it."""


class Runner:
    """Carries out runs of the graphs of a catalog."""

    def __init__(
        self,
        catalog: GraphCatalog,
        db: Database,
        saver: BaseCheckpointSaver[Any],
        *,
        timeout: float,
    ) -> None:
        self._catalog = catalog
        self._db = db
        self._saver = saver
        self._timeout = timeout

    async def carry_out(self, active: ActiveRun) -> Carried:
        """Carry out a run, and say how it has ended; never raises for what the run did."""
        with run_span(active.job) as span:
            carried = await self._carry_out(active)
            note_end(span, carried.end)
            return carried

    async def _carry_out(self, active: ActiveRun) -> Carried:
        job = active.job
        storing = Storing(self._db, active.log) if active.log.is_resumable else None
        repeats = await self._repeats(active) if job.last != START else None
        wire = Wire(active.log, job.kwargs["stream_mode"], job.graph_id, repeats)
        projection = Projection(active.log, job.graph_id) if job.tells_protocol else None
        timer = asyncio.get_running_loop().call_later(self._timeout, active.stop, "time_up")
        try:
            wire.begin(job.run_id, job.attempt)
            if projection is not None:
                await self._number(active)
                projection.begin()
            carried = await self._run(active, wire, projection, storing)
        except Exception as error:
            # The graph cannot be opened, or its state not be read.
            carried = failed(error)
        finally:
            timer.cancel()
        end = carried.end
        if storing is not None:
            # Who sees the end of a run goes on with what it has left.
            storing.hold()
        if end.input != "lease_lost":
            fault = end.error if end.input in ("failed", "time_up") else None
            if projection is not None:
                projection.end(_phase_of(end), fault, end.interrupts)
            wire.end(_phase_of(end), fault)
        if storing is not None:
            end.unstored = storing.rest()
        return carried

    async def _number(self, active: ActiveRun) -> None:
        """Have the protocol events of a run numbered on from those of its thread."""
        log, job = active.log, active.job
        stored = await self._db.read(events.last_protocol_frame, job.thread_id)
        if stored is not None:
            log.protocol_seq = max(log.protocol_seq, seq_of(stored))
        elif not log.protocol_seq:
            # What was said before is forgotten, and was not a thousand events in a second.
            log.protocol_seq = await self._db.read(events.age_of_thread, job.thread_id, job.run_id)

    async def _repeats(self, active: ActiveRun) -> Repeats:
        said = await self._db.read(events.said, active.job.run_id, STATE_MODES)
        return Repeats(active.log, said)

    async def _run(
        self,
        active: ActiveRun,
        wire: Wire,
        projection: Projection | None,
        storing: Storing | None,
    ) -> Carried:
        job = active.job
        call = _Call.of(job.kwargs, run_id=job.run_id, attempt=job.attempt)
        opened = self._catalog.open(
            job.graph_id,
            call.config,
            access="threads.create_run",
            user=call.config["configurable"].get("langgraph_auth_user"),
            context=job.kwargs["context"],
        )
        async with opened as graph:
            if storing is not None:
                graph = events_first(graph, storing.stored)
            if job.attempt > 1:
                ended = await self._go_on(graph, call, wire, active)
                if ended is not None:
                    return ended
            outcome: _Outcome | None = None
            try:
                if projection is not None:
                    await _drive_protocol(graph, call, wire, active, projection)
                elif EVENTS in call.modes:
                    await _drive_events(graph, call, wire, active)
                else:
                    outcome = await _drive(graph, call, wire, active)
            except (RunCancelledError, GraphDrained, asyncio.CancelledError) as error:
                return await self._stopped(graph, call, active, error)
            except ParentCommand as signal:
                wire.write_command(signal.args[0])
                values = _values_of(await graph.aget_state(call.place))
                return Carried(End("finished", values=values), _result(values, ()))
            except Exception as error:
                if active.stopped_by is not None:
                    return await self._stopped(graph, call, active, error)
                carried = failed(error)
                state = await graph.aget_state(call.place)
                carried.end.values, carried.end.interrupts = (
                    _values_of(state),
                    _interrupts_of(state),
                )
                return carried
            if outcome is not None and outcome.is_whole and not outcome.is_asking:
                encoded = dumps(outcome.values)
                return Carried(End("finished", values=orjson.Fragment(encoded)), encoded)
            if job.is_temporary and outcome is not None and not job.kwargs.get("webhook"):
                return Carried(End("finished"), _result(outcome.values, outcome.interrupts))
            return _ended(await graph.aget_state(call.place), outcome)

    async def _go_on(
        self, graph: Any, call: _Call, wire: Wire, active: ActiveRun
    ) -> Carried | None:
        """Have the graph go on from where the attempt before has come to, or return the end."""
        job = active.job
        if active.stopped_by is not None:
            return await self._stopped(graph, call, active, RunCancelledError(job.graph_id))
        state = await graph.aget_state(call.place)
        is_begun = (state.metadata or {}).get("run_id") == job.run_id
        place = state.config["configurable"]["checkpoint_id"] if is_begun else ""
        deaths = await self._db.write(runs.go_on, job.run_id, place)
        if deaths >= MAX_DEATHS:
            return _lost(state, deaths)
        if not is_begun:
            return None
        # Not `next`, in which a task that has done its work is not: what it wrote is to be applied.
        if state.tasks:
            call.go_on()
            return None
        # It was at its end, and only that was not stored.
        if VALUES in call.modes and _shows_all(graph):
            wire.write(((), VALUES, state.values, None))
        return _ended(state, None)

    async def _stopped(
        self, graph: Any, call: _Call, active: ActiveRun, error: BaseException
    ) -> Carried:
        """Return the end of a run that was stopped from outside."""
        by = active.stopped_by
        if by is None:
            # A node was cancelled, or cancels itself: for whoever waits that is a failure.
            return failed(error)
        if by == "lease_lost":
            # Whoever goes on with it reads its state.
            return Carried(End(by))
        if by == "rolled_back":
            try:
                await self._saver.adelete_for_runs([active.job.run_id])
            except NotImplementedError:
                logger.warning("the checkpointer cannot take back what a run has stored")
        end = End(by, error=dict(REASONS[by]) if by in REASONS else None)
        state = await graph.aget_state(call.place)
        end.values = _values_of(state)
        if by != "rolled_back":
            end.interrupts = _interrupts_of(state)
        else:
            end.is_asking = bool(state.next)
        result = dumps({"__error__": end.error}) if by == "time_up" else NOTHING
        return Carried(end, result)


class _Call:
    """What a graph is called with."""

    def __init__(self, kwargs: Mapping[str, Any], config: dict[str, Any]) -> None:
        self.modes: Sequence[str] = kwargs["stream_mode"]
        self.input: Any = _input_of(kwargs)
        self.config = config
        self.options: dict[str, Any] = {
            "context": kwargs["context"] or None,
            "interrupt_before": kwargs["interrupt_before"],
            "interrupt_after": kwargs["interrupt_after"],
            "durability": kwargs["durability"],
            "subgraphs": kwargs["subgraphs"],
        }

    @classmethod
    def of(cls, kwargs: Mapping[str, Any], *, run_id: str, attempt: int) -> _Call:
        """Return the call for what is stored of a run."""
        stored = kwargs["config"]
        configurable = stored["configurable"]
        user = configurable.get("langgraph_auth_user")
        config = {
            **stored,
            "configurable": {
                **configurable,
                "langgraph_auth_user": None if user is None else User(user),
            },
            "metadata": {
                **stored["metadata"],
                "run_attempt": attempt,
                "run_id": run_id,
                "thread_id": configurable["thread_id"],
            },
            "run_id": run_id,
            "run_name": configurable["graph_id"],
        }
        return cls(kwargs, config)

    @property
    def place(self) -> dict[str, Any]:
        """Return the config that points to the thread as it is now."""
        return {"configurable": {"thread_id": self.config["configurable"]["thread_id"]}}

    def go_on(self) -> None:
        """Go on from the last checkpoint, which the same run has made."""
        self.input = None
        for name in ("checkpoint_id", "checkpoint_ns", "checkpoint_map"):
            self.config["configurable"].pop(name, None)


def _input_of(kwargs: Mapping[str, Any]) -> Any:
    given = kwargs["command"]
    if given is None:
        return kwargs["input"]
    goto = given.get("goto")
    return Command(
        update=given.get("update"),
        resume=given.get("resume"),
        goto=[_goto(one) for one in goto] if isinstance(goto, list) else _goto(goto),
    )


def _goto(given: Any) -> Any:
    if isinstance(given, Mapping):
        return Send(given["node"], given.get("input"))
    return () if given is None else given


@dataclass(slots=True)
class _Outcome:
    """How a graph has ended that did not fail."""

    values: Any
    interrupts: Sequence[Any] = ()
    is_asking: bool = False
    is_whole: bool = False
    """The values are the whole state, as the thread shows it."""


async def _drive(graph: Any, call: _Call, wire: Wire, active: ActiveRun) -> _Outcome | None:
    """Carry out a run by the engine's handle."""
    handle = await graph.astart(
        call.input,
        call.config,
        stream_mode=_modes(call, wire),
        log=WireLog(wire),
        **call.options,
    )
    async with handle:
        active.on_stop(
            lambda: handle.drain() if active.stopped_by == "lease_lost" else handle.cancel(),
            handle.cancel,
        )
        output = await handle.await_end()
    return _Outcome(
        output,
        handle.interrupts,
        handle.status == "interrupted",
        is_whole=_shows_all(graph),
    )


async def _drive_events(graph: Any, call: _Call, wire: Wire, active: ActiveRun) -> None:
    """Carry out a run as the stream of LangChain's events, in which the other modes are."""
    modes = _modes(call, wire) or [VALUES]
    has_subgraphs = call.options["subgraphs"]

    async def read() -> None:
        events = graph.astream_events(
            call.input, call.config, version="v2", stream_mode=modes, **call.options
        )
        async with aclosing(events):
            async for event in events:
                if event["event"] != "on_chain_stream" or event["run_id"] != call.config["run_id"]:
                    wire.write_event(event)
                    continue
                chunk = event["data"]["chunk"]
                namespace, mode, payload = chunk if has_subgraphs else ((), *chunk)
                wire.write((namespace, mode, payload, None))

    task = asyncio.ensure_future(read())
    active.on_stop(task.cancel, task.cancel)
    await task


async def _drive_protocol(
    graph: Any, call: _Call, wire: Wire, active: ActiveRun, projection: Projection
) -> None:
    """Carry out a run as a run stream, whose events are those of the protocol."""
    control = RunControl()
    options = {name: value for name, value in call.options.items() if name != "subgraphs"}
    has_subgraphs = call.options["subgraphs"]

    async def read() -> None:
        stream = await graph.astream_events(
            call.input,
            call.config,
            version="v3",
            transformers=TRANSFORMERS,
            control=control,
            **options,
        )
        async with stream:
            async for event in stream:
                projection.write(event)
                # For those who read the run by its stream modes.
                part = part_of(event) if call.modes else None
                if part is not None and (has_subgraphs or not part[0]):
                    wire.write(part)

    task = asyncio.ensure_future(read())
    active.on_stop(
        lambda: control.request_drain() if active.stopped_by == "lease_lost" else task.cancel(),
        task.cancel,
    )
    await task


def _modes(call: _Call, wire: Wire) -> list[str]:
    modes = engine_modes(call.modes)
    return [*modes, TASKS] if wire.follows and TASKS not in modes else modes


class WireLog:
    """The engine's log of a run, which writes everything to the wire and keeps nothing."""

    def __init__(self, wire: Wire) -> None:
        self.error: BaseException | None = None
        self.is_closed = False
        self.bell: Final = Bell()
        self._write = wire.write
        self._count = 0

    def append(self, part: Part) -> Event:
        """Write down a part."""
        self._write(part)
        self._count += 1
        return logged(part, self._count, 0)

    def read(self, after: int = 0, limit: int | None = None) -> Sequence[Event]:
        """Return nothing: what runs say is read from the server's own log."""
        return ()

    def subscribe(self, after: int = 0) -> EventReader:
        """Return a reader of nothing."""
        return EventReader(self, after)

    def close(self, error: BaseException | None = None) -> None:
        """End the log."""
        self.error = error
        self.is_closed = True
        self.bell.ring()


def _shows_all(graph: Any) -> bool:
    """Say whether what a graph returns is all of its state."""
    shown, all_of_it = (
        getattr(graph, "output_channels", None),
        getattr(graph, "stream_channels", None),
    )
    return isinstance(shown, list) and isinstance(all_of_it, list) and set(shown) == set(all_of_it)


def failed(error: BaseException) -> Carried:
    """Return the end of a run that an error has ended."""
    told = error_of(error)
    return Carried(End("failed", error=told), dumps({"__error__": told}))


def _lost(state: Any, deaths: int) -> Carried:
    told = {
        "error": "RunLostError",
        "message": f"The server ended {deaths} times in the same superstep of this run",
    }
    end = End("failed", error=told, values=_values_of(state), interrupts=_interrupts_of(state))
    return Carried(end, dumps({"__error__": told}))


def _ended(state: Any, outcome: _Outcome | None) -> Carried:
    """Return the end of a run that left this state."""
    values = _values_of(state)
    interrupts = _interrupts_of(state)
    end = End("finished", values=values, interrupts=interrupts, is_asking=bool(state.next))
    if outcome is None:
        asked = [question for questions in interrupts.values() for question in questions]
        return Carried(end, _result(values, asked))
    return Carried(end, _result(outcome.values, outcome.interrupts))


def _result(values: Any, interrupts: Sequence[Any]) -> bytes:
    if not interrupts:
        return dumps(values)
    shown = orjson.loads(dumps(values))
    if not isinstance(shown, dict):
        shown = {}
    return dumps({**shown, "__interrupt__": list(interrupts)})


def _values_of(state: Any) -> Any:
    """Return the values of a state, None where there is no state."""
    return None if state.metadata is None else orjson.Fragment(dumps(state.values))


def _interrupts_of(state: Any) -> dict[str, Any]:
    return {task.id: list(task.interrupts) for task in state.tasks if task.interrupts}


def _phase_of(end: End) -> str:
    if end.input == "finished":
        return "interrupted" if end.is_asking else "completed"
    return "failed" if end.input in ("failed", "time_up") else "interrupted"
