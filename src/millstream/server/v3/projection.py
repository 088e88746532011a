"""What a run says as protocol events in its log, made of those of the engine's run stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from millstream.modes import names
from millstream.prebuilt import ToolCallTransformer
from millstream.server.encoding import dumps, dumps_compact
from millstream.server.log.repeats import STATE_MODES
from millstream.server.v3.protocol import NAMED, mode_of
from millstream.stream._transformers.base import StreamTransformer
from millstream.stream.stream_channel import StreamChannel
from millstream.stream.transformers import (
    CheckpointsTransformer,
    CustomTransformer,
    UpdatesTransformer,
)

if TYPE_CHECKING:
    from millstream.modes.parts import Part
    from millstream.modes.protocol_events import ProtocolEvent
    from millstream.server.log.event_ids import EventId
    from millstream.server.log.repeats import Repeats
    from millstream.server.log.run_log import RunLog

INTERRUPT: Final = "__interrupt__"


class TasksOnTheWire(StreamTransformer):
    """The tasks of all graphs, as events of the log, from which run streams leave them out."""

    _native: ClassVar[bool] = True
    required_stream_modes: ClassVar[tuple[str, ...]] = (names.TASKS,)
    _methods = frozenset(required_stream_modes)

    def __init__(self, scope: tuple[str, ...] = ()) -> None:
        super().__init__(scope)
        self._log: StreamChannel[Any] = StreamChannel(names.TASKS)

    def init(self) -> dict[str, Any]:
        return {"tasks_on_the_wire": self._log}

    def process(self, event: ProtocolEvent) -> bool:
        params = event["params"]
        self._log.push({"namespace": params["namespace"], "data": params["data"]})
        return True


TRANSFORMERS: Final = (
    UpdatesTransformer,
    CustomTransformer,
    CheckpointsTransformer,
    ToolCallTransformer,
    TasksOnTheWire,
)
"""What has a run stream tell everything that there is a channel for."""


class Projection:
    """Writes what one run says into its log, as clients of the protocol see it."""

    def __init__(self, log: RunLog, graph_name: str, repeats: Repeats | None = None) -> None:
        """Write to the log of a run; `repeats` know what attempts before this one have said."""
        self._log = log
        self._repeats = repeats
        self._graph_name = graph_name
        self._names: dict[tuple[str, ...], str] = {(): graph_name}
        """What nested graphs are called, while they run."""
        self._places: dict[tuple[str, ...], tuple[str, bytes, bytes]] = {}
        """Channel, method and namespace -> what is the same in all such events."""
        self._askers: dict[str, list[str]] = {}
        """Which graph asks a question, by its id."""

    def begin(self) -> None:
        """Say that the run begins, unless it was said."""
        if self._repeats is None or not self._repeats.covers_life((), "running"):
            self._tell_lifecycle([], "running")

    def write(self, event: ProtocolEvent) -> None:
        """Write down an event of the run stream."""
        method, params = event["method"], event["params"]
        namespace, data, timestamp = params["namespace"], params["data"], params["timestamp"]
        if method.startswith(NAMED):
            name = method[len(NAMED) :]
            told = {"name": name, "payload": data}
            self._tell(method, "custom", namespace, timestamp, dumps_compact(told))
            return
        if method == names.TASKS:
            namespace, data = data["namespace"], data["data"]
        elif method == "lifecycle":
            self._tell_nested(data)
            return
        if self._is_said(event):
            self._note_askers(method, namespace, data)
            return
        for encoded in self._encoded(method, namespace, data):
            channel = _custom_channel(data) if method == names.CUSTOM else method
            self._tell(channel, method, namespace, timestamp, encoded)

    def end(
        self, phase: str, error: Mapping[str, str] | None, interrupts: Mapping[str, Sequence[Any]]
    ) -> None:
        """Say how the run has ended, and what it asks."""
        if phase == "interrupted":
            for question in (one for asked in interrupts.values() for one in asked):
                told = {
                    "interrupt_id": question.id,
                    "payload": question.value,
                    # What Python's client reads.
                    "value": question.value,
                }
                namespace, now = self._askers.get(question.id, []), self._log.clock.ms()
                self._tell("input", "input.requested", namespace, now, dumps_compact(told))
        self._tell_lifecycle([], phase, None if error is None else error["message"])

    def _encoded(self, method: str, namespace: list[str], data: Any) -> Iterator[bytes]:
        """Yield the data of events that something is told by."""
        if method == names.MESSAGES:
            said = data[0] if isinstance(data, tuple) else data
            # Whole messages are in the values, where clients look for them.
            if isinstance(said, dict):
                yield dumps(said)
        elif method == names.UPDATES:
            yield from self._updates(namespace, data)
        elif method == names.CHECKPOINTS:
            yield dumps(_checkpoint(data))
        elif method == names.CUSTOM:
            yield dumps_compact(data if _is_named(data) else {"payload": data})
        elif method in (names.VALUES, names.TASKS, names.TOOLS):
            yield dumps_compact(data)

    def _is_said(self, event: ProtocolEvent) -> bool:
        part = None if self._repeats is None else part_of(event)
        if self._repeats is None or part is None or part[1] not in STATE_MODES:
            return False
        return self._repeats.covers(part[1], part[0], part[2])

    def _note_askers(self, method: str, namespace: list[str], data: Any) -> None:
        if method == names.UPDATES:
            for question in data.get(INTERRUPT, ()):
                if len(namespace) >= len(self._askers.get(question.id, ())):
                    self._askers[question.id] = namespace

    def _updates(self, namespace: list[str], data: Mapping[str, Any]) -> Iterator[bytes]:
        self._note_askers(names.UPDATES, namespace, data)
        for node, values in data.items():
            if node == INTERRUPT:
                continue
            for written in values if isinstance(values, list) else [values]:
                yield dumps_compact({"node": node, "values": written})

    def _tell_nested(self, data: Mapping[str, Any]) -> None:
        namespace = list(data["namespace"])
        path = tuple(namespace)
        phase = "interrupted" if data["event"] == "drained" else data["event"]
        if phase == "started":
            self._names[path] = data.get("graph_name") or ""
            more = {key: data[key] for key in ("trigger_call_id", "cause") if data.get(key)}
            told = {"event": phase, "namespace": namespace, "graph_name": self._names[path], **more}
        else:
            told = {"event": phase, "graph_name": self._names.pop(path, "")}
            if "error" in data:
                told["error"] = data["error"]
        if self._repeats is not None and self._repeats.covers_life(path, phase):
            return
        self._tell("lifecycle", "lifecycle", namespace, self._log.clock.ms(), dumps(told))

    def _tell_lifecycle(self, namespace: list[str], phase: str, error: str | None = None) -> None:
        told = {"event": phase, "graph_name": self._graph_name}
        if error is not None:
            told["error"] = error
        self._tell("lifecycle", "lifecycle", namespace, self._log.clock.ms(), dumps(told))

    def _tell(
        self, channel: str, method: str, namespace: list[str], timestamp: int, data: bytes
    ) -> None:
        key = (channel, method, *namespace)
        known = self._places.get(key)
        if known is None:
            name = method.encode()
            known = self._places[key] = (
                mode_of(channel, namespace),
                b'event: %b\r\ndata: {"type":"event","event_id":"' % name,
                b'"method":"%b","params":{"namespace":%b,"timestamp":' % (name, dumps(namespace)),
            )
        mode, begin, middle = known
        log = self._log
        log.protocol_seq = seq = log.protocol_seq + 1

        def frame(id: EventId) -> bytes:
            return b'%b%d-%d","seq":%d,%b%d,"data":%b}}\r\nid: %d\r\n\r\n' % (
                begin,
                *id,
                seq,
                middle,
                timestamp,
                data,
                seq,
            )

        log.append_frame(mode, frame)


def part_of(event: ProtocolEvent) -> Part | None:
    """Return what the engine said, of which an event was made; None for what has no mode."""
    method, params = event["method"], event["params"]
    namespace, data = params["namespace"], params["data"]
    if method == names.TASKS:
        namespace, data = data["namespace"], data["data"]
    elif method == "lifecycle" or method.startswith(NAMED):
        return None
    elif method == names.VALUES and (asked := params.get("interrupts")) and isinstance(data, dict):
        data = {**data, INTERRUPT: asked}
    return tuple(namespace), method, data, None


def _is_named(data: Any) -> bool:
    return isinstance(data, dict) and set(data) == {"name", "payload"} and bool(data["name"])


def _custom_channel(data: Any) -> str:
    return f"{NAMED}{data['name']}" if _is_named(data) else names.CUSTOM


def _checkpoint(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what says where a thread can be forked; the state is another channel's."""
    metadata, parent = data["metadata"], data["parent_config"]
    told = {
        "id": data["config"]["configurable"]["checkpoint_id"],
        "step": metadata.get("step"),
        "source": metadata.get("source"),
    }
    if parent is not None:
        told["parent_id"] = parent["configurable"]["checkpoint_id"]
    return told
