"""Carrying out one run: its graph, what it says, how it ends. In the loop in which graphs run.

`driving` says which of the engine's runs that is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import orjson

from millstream.core.strands import STOPPED, record_id
from millstream.errors import FencedError, GraphDrained, ParentCommand, RunCancelledError
from millstream.server.encoding import dumps, error_of
from millstream.server.log.event_ids import START
from millstream.server.log.repeats import STATE_MODES, Repeats
from millstream.server.log.storing import Storing
from millstream.server.places import place_of_error
from millstream.server.runs import commands, driving
from millstream.server.runs.active import REASONS, ActiveRun, enter
from millstream.server.runs.calls import GraphCall
from millstream.server.runs.driving import Outcome, Told
from millstream.server.runs.wire import EVENTS, Wire
from millstream.server.storage import attempts, events
from millstream.server.storage.attempts import TakenOverError
from millstream.server.storage.run_records import End
from millstream.server.tracing import note_end, run_span
from millstream.server.v3.projection import Projection
from millstream.server.v3.protocol import seq_of
from millstream.types import StateSnapshot

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

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
        ring: Callable[[str], object] | None = None,
    ) -> None:
        """Make one; `ring` tells other replicas of what is stored of a run, if there are any."""
        self._catalog = catalog
        self._db = db
        self._saver = saver
        self._timeout = timeout
        self._ring = ring

    async def carry_out(self, active: ActiveRun) -> Carried:
        """Carry out a run, and say how it has ended; never raises for what the run did."""
        enter(active)
        with run_span(active.job) as span:
            carried = await self._carry_out(active)
            note_end(span, carried.end)
            return carried

    async def left_in(self, graph_id: str, thread_id: str) -> End:
        """Return what is in a thread, as the end of a run says it."""
        place = {"configurable": {"thread_id": thread_id}}
        async with self._catalog.open(graph_id, place, access="threads.read") as graph:
            state = await graph.aget_state(place)
        return End("finished", values=_values_of(state), interrupts=_interrupts_of(state))

    async def _carry_out(self, active: ActiveRun) -> Carried:
        job = active.job
        storing = self._storing(active)
        repeats: Sequence[Repeats] = ()
        if job.last != START:
            said = await self._db.read(events.said, job.run_id, STATE_MODES)
            repeats = [Repeats(said), Repeats(said, is_protocol=True)]
        of_modes, of_protocol = repeats or (None, None)
        wire = Wire(active.log, job.kwargs["stream_mode"], job.graph_id, of_modes)
        projection = None
        if job.tells_protocol:
            projection = Projection(active.log, job.graph_id, of_protocol)
        told = Told(active, wire, projection, storing, repeats)
        timer = asyncio.get_running_loop().call_later(self._timeout, active.stop, "time_up")
        try:
            wire.begin(job.run_id, job.attempt)
            if projection is not None:
                await self._number(active)
                projection.begin()
            carried = await self._run(told)
        except (FencedError, TakenOverError):
            # Whoever has it reads what is stored of it.
            active.was_refused = True
            carried = Carried(End("lease_lost"))
        except Exception as error:
            # The graph cannot be opened, or its state not be read.
            carried = failed(error)
        finally:
            timer.cancel()
        end = carried.end
        if storing is not None:
            # Who sees the end of a run goes on with what it has left.
            await storing.hold()
        if end.input == "lease_lost":
            if storing is not None:
                end.unstored, end.is_uncertain = storing.cut()
            return carried
        fault = end.error if end.input in ("failed", "time_up") else None
        if projection is not None:
            projection.end(_phase_of(end), fault, end.interrupts)
        wire.end(_phase_of(end), fault)
        if storing is not None:
            end.unstored = storing.rest()
        return carried

    def _storing(self, active: ActiveRun) -> Storing | None:
        """Return what stores what a run says, None where nobody can want that."""
        log, ring = active.log, self._ring
        if not log.is_resumable and ring is None:
            return None
        loop = asyncio.get_running_loop()
        give_up = partial(loop.call_soon_threadsafe, active.refuse)
        tell = partial(ring or _ring_for_nobody, log.run_id)
        storing = Storing(self._db, log, active.job.attempt, give_up, tell)
        if log.is_resumable:
            storing.begin()
        if ring is not None:
            active.on_follow(storing.follow)
        return storing

    async def _number(self, active: ActiveRun) -> None:
        """Have the protocol events of a run numbered on from those of its thread."""
        log, job = active.log, active.job
        stored = await self._db.read(events.last_protocol_frame, job.thread_id)
        if stored is not None:
            log.protocol_seq = max(log.protocol_seq, seq_of(stored))
        elif not log.protocol_seq or self._ring is not None:
            # What was said before is forgotten, and was not a thousand events in a second. What is
            # known here may be less than what another replica has said since.
            age = await self._db.read(events.age_of_thread, job.thread_id, job.run_id, log.ms)
            log.protocol_seq = max(log.protocol_seq, age)

    async def _run(self, told: Told) -> Carried:
        active, job = told.active, told.active.job
        call = GraphCall.of(job.kwargs, run_id=job.run_id, attempt=job.attempt)
        opened = self._catalog.open(
            job.graph_id,
            call.config,
            access="threads.create_run",
            user=call.config["configurable"].get("langgraph_auth_user"),
            context=job.kwargs["context"],
        )
        async with opened as graph:
            call.suit(getattr(graph, "context_schema", None))
            if job.attempt > 1:
                ended = await self._go_on(graph, call, active)
                if ended is not None:
                    return ended
            else:
                await commands.give(call, job.run_id, graph, self._db, self._saver)
            outcome: Outcome | None = None
            try:
                if told.projection is not None:
                    await driving.drive_protocol(graph, call, told)
                elif EVENTS in call.modes:
                    await driving.drive_events(graph, call, told)
                else:
                    outcome = await driving.drive(graph, call, told)
            except (RunCancelledError, GraphDrained, asyncio.CancelledError) as error:
                return await self._stopped(graph, call, active, error)
            except (FencedError, TakenOverError):
                raise  # it is no failure of the run, see `_carry_out`
            except ParentCommand as signal:
                told.wire.write_command(signal.args[0])
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

    async def _go_on(self, graph: Any, call: GraphCall, active: ActiveRun) -> Carried | None:
        """Have the graph go on from where the attempt before has come to, or return the end."""
        job = active.job
        if active.stopped_by is not None:
            return await self._stopped(graph, call, active, RunCancelledError(job.graph_id))
        # Also where nested graphs have come to: they get on while their superstep does not.
        state = await graph.aget_state(call.place, subgraphs=True)
        is_begun = (state.metadata or {}).get("run_id") == job.run_id
        place = "|".join(_places_of(state)) if is_begun else ""
        deaths = await self._db.write(attempts.go_on, job.run_id, job.attempt, place)
        if deaths >= MAX_DEATHS:
            return _lost(state, deaths)
        if not is_begun:
            await commands.give(call, job.run_id, graph, self._db, self._saver)
            return None
        if await self._has_stopped(state):
            # At a breakpoint, and only that was not stored: whoever goes on passes it.
            return _ended(state, None)
        # Also at the end of the graph, of which not everything may have been said.
        call.go_on()
        return None

    async def _has_stopped(self, state: Any) -> bool:
        """Say whether a run has come to a breakpoint."""
        found = await self._saver.aget_tuple(state.config)
        stop = record_id(state.config["configurable"]["checkpoint_id"], STOPPED)
        return found is not None and any(id == stop for id, *_ in found.pending_writes or ())

    async def _stopped(
        self, graph: Any, call: GraphCall, active: ActiveRun, error: BaseException
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


def _ring_for_nobody(_: str) -> None:
    """Ring for nobody: there are no other replicas."""


def failed(error: BaseException) -> Carried:
    """Return the end of a run that an error has ended."""
    told = error_of(error)
    end = End("failed", error=told, raised_at=place_of_error(error))
    return Carried(end, dumps({"__error__": told}))


def _lost(state: Any, deaths: int) -> Carried:
    nodes = ", ".join(repr(name) for name in sorted(set(state.next)))
    told = {
        "error": "RunLostError",
        "message": f"The server ended {deaths} times in the same superstep of this run, in which "
        f"it carried out {nodes or 'its input'}",
    }
    end = End("failed", error=told, values=_values_of(state), interrupts=_interrupts_of(state))
    return Carried(end, dumps({"__error__": told}))


def _ended(state: Any, outcome: Outcome | None) -> Carried:
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


def _places_of(state: Any) -> Iterator[str]:
    """Yield the checkpoints of a graph and of those that are nested in it."""
    yield state.config["configurable"].get("checkpoint_id", "")
    for task in state.tasks:
        if isinstance(task.state, StateSnapshot):
            yield from _places_of(task.state)


def _values_of(state: Any) -> Any:
    """Return the values of a state, None where there is no state."""
    return None if state.metadata is None else orjson.Fragment(dumps(state.values))


def _interrupts_of(state: Any) -> dict[str, Any]:
    return {task.id: list(task.interrupts) for task in state.tasks if task.interrupts}


def _phase_of(end: End) -> str:
    if end.input == "finished":
        return "interrupted" if end.is_asking else "completed"
    return "failed" if end.input in ("failed", "time_up") else "interrupted"
