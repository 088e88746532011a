"""When nested graphs start and end, and handles to look into them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import Required, TypedDict

from millstream._base.texts import safe_str
from millstream.constants import NS_END
from millstream.modes.names import GRAPHS, TASKS
from millstream.modes.subgraph_events import (
    SubgraphStatus,
    cause_of,
    status_after,
    status_of_task,
)
from millstream.stream._transformers.base import StreamTransformer
from millstream.stream.run_stream import AsyncSubgraphRunStream, SubgraphRunStream
from millstream.stream.stream_channel import StreamChannel

if TYPE_CHECKING:
    from langchain_protocol.protocol import LifecycleCause

    from millstream.modes.parts import Namespace
    from millstream.modes.protocol_events import ProtocolEvent
    from millstream.modes.subgraph_events import SubgraphEvent
    from millstream.stream._events.mux import StreamMux

    Handle = SubgraphRunStream | AsyncSubgraphRunStream


class LifecyclePayload(TypedDict, total=False):
    """A nested graph starts or ends; an end has only `event`, `namespace` and `error`."""

    event: Required[SubgraphStatus]
    namespace: Required[list[str]]
    graph_name: str | None
    trigger_call_id: str | None
    """The task that called the graph."""
    cause: LifecycleCause
    """What the task is there for, where that is known."""
    error: str


class _TasksLifecycleBase(StreamTransformer):
    """Infers starts and ends of nested graphs from `tasks` events.

    For transformers that live outside of an engine that tells them, and for those written for
    LangGraph: a graph is seen when its first task starts, and ends with the task that called it.
    """

    required_stream_modes = (TASKS,)

    def __init__(self, scope: tuple[str, ...] = ()) -> None:
        super().__init__(scope)
        self._lc_by_ns: dict[Namespace, str | None] = {}
        """The agent that runs in a namespace, for all namespaces that were seen."""
        self._pending_cause: LifecycleCause | None = None
        """Set while `_on_started` is called."""
        self._pending_error: BaseException | None = None
        """Set while `_on_terminal` is called, if the error itself is known."""
        self._tool_calls: dict[str, LifecycleCause] = {}
        """Task id -> the tool call it was sent to carry out."""
        self._seen: set[Namespace] = set()
        self._open: dict[Namespace, str] = {}
        """Namespaces that have started and not ended -> the id of the task that called."""

    def _should_track(self, ns: tuple[str, ...]) -> bool:
        """Say whether a namespace is of interest."""
        return is_below(ns, self.scope)

    def _on_started(
        self, ns: tuple[str, ...], graph_name: str | None, trigger_call_id: str | None
    ) -> None:
        """Take note that a graph has started."""

    def _on_terminal(self, ns: tuple[str, ...], status: SubgraphStatus, error: str | None) -> None:
        """Take note that a graph has ended."""

    def process(self, event: ProtocolEvent) -> bool:
        if event["method"] != TASKS:
            return True
        ns, data = tuple(event["params"]["namespace"]), event["params"]["data"]
        if "result" in data:
            self._handle_task_result(ns, data)
        else:
            self._record_identity(ns, data)
            self._record_pending_tool_calls(data)
            self._handle_task_start(ns, data)
        return False

    def _record_identity(self, ns: tuple[str, ...], data: dict[str, Any]) -> None:
        """Take note of which agent runs in a namespace; the first task decides."""
        if ns not in self._lc_by_ns:
            self._lc_by_ns[ns] = (data.get("metadata") or {}).get("lc_agent_name")

    def _record_pending_tool_calls(self, data: dict[str, Any]) -> None:
        """Take note of the tool call that a task carries out."""
        cause = cause_of(data.get("input"))
        if cause is not None:
            self._tool_calls[data["id"]] = cause

    def _handle_task_start(self, ns: tuple[str, ...], data: dict[str, Any]) -> None:
        """Tell of a start, with the first task of a graph."""
        if ns in self._seen or not self._should_track(ns):
            return
        self._seen.add(ns)
        name, _, task_id = ns[-1].partition(NS_END)
        if task_id:
            self._open[ns] = task_id
            agent = self._lc_by_ns.get(ns)
            cause = self._tool_calls.get(task_id) if agent else None
            self._announce_started(ns, agent or name, task_id, cause)

    def _announce_started(
        self,
        ns: tuple[str, ...],
        graph_name: str | None,
        trigger_call_id: str | None,
        cause: LifecycleCause | None,
    ) -> None:
        self._pending_cause = cause
        try:
            self._on_started(ns, graph_name, trigger_call_id)
        finally:
            self._pending_cause = None

    def _pop_terminal_transitions(
        self, ns: tuple[str, ...], data: dict[str, Any]
    ) -> list[tuple[tuple[str, ...], SubgraphStatus, str | None]]:
        """Return the graphs that end with a task of a namespace, and how; each once."""
        ended = [
            child
            for child, task_id in self._open.items()
            if task_id == data["id"] and child[:-1] == ns
        ]
        for child in ended:
            del self._open[child]
        self._tool_calls.pop(data["id"], None)
        return [(child, *status_of_task(data)) for child in ended]

    def _handle_task_result(self, ns: tuple[str, ...], data: dict[str, Any]) -> None:
        """Tell of ends, with the result of the task that called the graph."""
        for child, status, error in self._pop_terminal_transitions(ns, data):
            self._on_terminal(child, status, error)

    def finalize(self) -> None:
        """Tell of the ends that nothing was heard of."""
        self._end_all("completed", None)

    def fail(self, err: BaseException) -> None:
        """Tell of the ends that nothing was heard of, for the reason the run has failed."""
        status = status_after(err)
        self._end_all(status, str(err) if status == "failed" else None)

    def _end_all(self, status: SubgraphStatus, error: str | None) -> None:
        for ns in list(self._open):
            del self._open[ns]
            self._on_terminal(ns, status, error)


class _GraphsLifecycle(_TasksLifecycleBase):
    """Learns starts and ends from the engine; from `tasks` events as long as it tells nothing."""

    _native: ClassVar[bool] = True
    _methods: frozenset[str] | None = frozenset((GRAPHS, TASKS))
    _is_told_of_graphs = True
    _is_told = False

    def process(self, event: ProtocolEvent) -> bool:
        """Take note of a fact; neither facts nor tasks are shown in the log."""
        if event["method"] == GRAPHS:
            # From now on the engine tells: two ways to know one thing would tell it twice.
            self._is_told = True
            self._take(event["params"]["data"])
            return False
        if self._is_told:
            return event["method"] != TASKS
        return super().process(event)

    def _tracks(self, fact: SubgraphEvent) -> bool:
        return is_below(fact.namespace, self.scope)

    def _take(self, fact: SubgraphEvent) -> None:
        ns = fact.namespace
        if fact.status == "started":
            if self._tracks(fact):
                self._open[ns] = fact.task_id
                self._announce_started(ns, fact.name, fact.task_id, fact.cause)
        elif self._open.pop(ns, None) is not None:
            # Beside the method, whose parameters are LangGraph's.
            self._pending_error = fact.error
            self._on_terminal(ns, fact.status, _text_of(fact))
            self._pending_error = None


class LifecycleTransformer(_GraphsLifecycle):
    """Starts and ends of all graphs below the scope."""

    def __init__(self, scope: tuple[str, ...] = ()) -> None:
        super().__init__(scope)
        self._log: StreamChannel[LifecyclePayload] = StreamChannel("lifecycle")

    def init(self) -> dict[str, Any]:
        return {"lifecycle": self._log}

    def _on_started(
        self, ns: tuple[str, ...], graph_name: str | None, trigger_call_id: str | None
    ) -> None:
        payload: LifecyclePayload = {
            "event": "started",
            "namespace": list(ns),
            "graph_name": graph_name,
            "trigger_call_id": trigger_call_id,
        }
        if self._pending_cause is not None:
            payload["cause"] = self._pending_cause
        self._log.push(payload)

    def _on_terminal(self, ns: tuple[str, ...], status: SubgraphStatus, error: str | None) -> None:
        payload: LifecyclePayload = {"event": status, "namespace": list(ns)}
        if error is not None:
            payload["error"] = error
        self._log.push(payload)


class SubgraphTransformer(_GraphsLifecycle):
    """Handles of the graphs that tasks of the scope's graph call, each with a mux of its own."""

    supports_sync = True

    def __init__(self, scope: tuple[str, ...] = ()) -> None:
        super().__init__(scope)
        self._log: StreamChannel[Handle] = StreamChannel()
        self._handles: dict[Namespace, Handle] = {}
        """Graphs that run, and that somebody may look at."""
        self._ended: list[tuple[Handle, BaseException | None]] = []
        """Handles to be closed, in the way of the mux."""
        self._closing: list[StreamMux] = []
        """Those of graphs that have ended, whose scheduled work has not."""
        self._mux: StreamMux | None = None

    def init(self) -> dict[str, Any]:
        return {"subgraphs": self._log}

    def _on_register(self, mux: StreamMux) -> None:
        self._mux = mux

    def _should_track(self, ns: tuple[str, ...]) -> bool:
        return is_below(ns, self.scope) and len(ns) == len(self.scope) + 1

    def _tracks(self, fact: SubgraphEvent) -> bool:
        return fact.within == self.scope

    def _on_started(
        self, ns: tuple[str, ...], graph_name: str | None, trigger_call_id: str | None
    ) -> None:
        mux = self._mux
        # Nobody could ever look into a handle that nobody is given.
        if mux is None or not (self._log.is_subscribed or mux.has_own_transformers):
            return
        if not mux.has_factories:
            return
        kind = AsyncSubgraphRunStream if mux.is_async else SubgraphRunStream
        handle = kind(
            mux._make_child(ns), path=ns, graph_name=graph_name, trigger_call_id=trigger_call_id
        )
        self._handles[ns] = handle
        if self._methods is not None:
            # From now on everything may have to go to a handle.
            self._methods = None
            mux._forget_lanes()
        self._log.push(handle)

    def _on_terminal(self, ns: tuple[str, ...], status: SubgraphStatus, error: str | None) -> None:
        handle = self._handles.pop(ns, None)
        if handle is None:
            return
        handle.status, handle.error = status, error
        handle._seen_terminal = True
        # Where only the text is known, as from `tasks` events.
        raised = self._pending_error or RuntimeError(error or "The subgraph failed")
        self._ended.append((handle, raised if status in ("failed", "drained") else None))

    def _handle_for_event(self, event: ProtocolEvent) -> Handle | None:
        """Return the handle of the graph that an event is of or below, None if there is none."""
        if not self._handles:
            return None
        ns = tuple(event["params"]["namespace"])
        # The nearest graph that has a handle, from the innermost on.
        for length in range(len(ns), len(self.scope), -1):
            handle = self._handles.get(ns[:length])
            if handle is not None:
                return handle
        return None

    def process(self, event: ProtocolEvent) -> bool:
        keep = event["method"] not in _RAW or super().process(event)
        if self._ended:
            self._close_ended()
        handle = self._handle_for_event(event)
        if handle is not None and not handle._mux.is_abandoned:
            handle._observe_event(event)
            handle._mux.push(event)
        return keep

    async def aprocess(self, event: ProtocolEvent) -> bool:
        keep = event["method"] not in _RAW or super().process(event)
        if self._ended:
            await self._aclose_ended()
        handle = self._handle_for_event(event)
        if handle is not None and not handle._mux.is_abandoned:
            handle._observe_event(event)
            await handle._mux.apush(event)
        return keep

    def _close_ended(self) -> None:
        """Close muxes; what goes wrong with that is the run's error."""
        raised: BaseException | None = None
        ended, self._ended = self._ended, []
        for handle, error in ended:
            if error is None:
                handle._mux.conclude()
                raised = raised or handle._mux.error
            else:
                handle._mux.fail(error)
        if raised is not None:
            raise raised

    async def _aclose_ended(self, *, is_last: bool = False) -> None:
        raised: BaseException | None = None
        ended, self._ended = self._ended, []
        for handle, error in ended:
            if error is not None:
                await handle._mux.afail(error)
            elif handle._mux.has_scheduled and not is_last:
                # The run goes on meanwhile: that may be what the scheduled work waits for.
                self._closing.append(handle._mux)
                self.schedule(self._close(handle._mux), on_error="raise")
            else:
                await handle._mux.aconclude()
                raised = raised or handle._mux.error
        if is_last:
            # The run is over: what was scheduled for them has nothing more to wait for.
            for mux in self._closing:
                await mux.aabandon()
                await mux.aclose()
        if raised is not None:
            raise raised

    async def _close(self, mux: StreamMux) -> None:
        await mux.aclose()
        self._closing.remove(mux)

    def finalize(self) -> None:
        super().finalize()
        self._close_ended()

    async def afinalize(self) -> None:
        super().finalize()
        await self._aclose_ended(is_last=True)

    def fail(self, err: BaseException) -> None:
        self._pending_error = err
        super().fail(err)
        self._close_ended()

    async def afail(self, err: BaseException) -> None:
        self._pending_error = err
        super().fail(err)
        await self._aclose_ended(is_last=True)


_RAW = frozenset((GRAPHS, TASKS))


def is_below(namespace: Namespace, scope: Namespace) -> bool:
    """Say whether a namespace is strictly below a scope."""
    return len(namespace) > len(scope) and namespace[: len(scope)] == scope


def _text_of(fact: SubgraphEvent) -> str | None:
    return safe_str(fact.error) if fact.status == "failed" and fact.error is not None else None


for _public in (LifecyclePayload, LifecycleTransformer, SubgraphTransformer):
    _public.__module__ = "millstream.stream.transformers"
