"""What a run says, as its events on the wire: which modes, which names, which data.

A run is asked for modes as clients know them and is carried out with those of the engine:
`messages` and `messages-tuple` are two forms of one, `lifecycle` is what run streams know of nested
graphs, `steps` says of tasks that they begin and end, and `events` are LangChain's, of which those
about the graph's own stream are the other modes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from langchain_core.messages import AIMessageChunk, BaseMessage, BaseMessageChunk
from langchain_core.messages.utils import message_chunk_to_message

from millstream.modes.names import (
    CHECKPOINTS,
    CUSTOM,
    DEBUG,
    GRAPHS,
    MESSAGES,
    STEPS,
    TASKS,
    TOOLS,
    UPDATES,
    VALUES,
)
from millstream.modes.parts import Namespace, RunStreamMode
from millstream.protocols.steps import step_of
from millstream.protocols.stream_modes import debug_of, token_metadata
from millstream.server.encoding import dumps, error_of
from millstream.server.log.repeats import LIFECYCLE, STATE_MODES
from millstream.server.log.run_log import COMMAND, ERROR, METADATA
from millstream.server.sse import event_name
from millstream.types import Command, Send

if TYPE_CHECKING:
    from millstream.modes.parts import Part
    from millstream.modes.subgraph_events import SubgraphEvent
    from millstream.server.log.repeats import Repeats
    from millstream.server.log.run_log import RunLog

MESSAGES_TUPLE: Final = "messages-tuple"
EVENTS: Final = "events"
_PLAIN: Final = (VALUES, UPDATES, CUSTOM, TASKS, CHECKPOINTS, DEBUG, TOOLS)
"""The modes that have the same name and data in the engine and on the wire."""
BESIDE_PROTOCOL: Final = frozenset((VALUES, UPDATES, CUSTOM, TASKS, CHECKPOINTS, TOOLS))
"""The modes that a run can have which also tells protocol events: messages have one form."""


def engine_modes(modes: Sequence[str]) -> list[str]:
    """Return the engine's modes for the modes of a request, without LangChain's events."""
    wanted: list[str] = [mode for mode in modes if mode in _PLAIN]
    if MESSAGES in modes or MESSAGES_TUPLE in modes:
        wanted.append(MESSAGES)
    if LIFECYCLE in modes:
        wanted.append(RunStreamMode(GRAPHS))
    if STEPS in modes and TASKS not in modes:
        wanted.append(TASKS)
    return wanted


class Wire:
    """Writes what one run says into its log."""

    def __init__(
        self, log: RunLog, modes: Sequence[str], name: str, repeats: Repeats | None = None
    ) -> None:
        """Write to the log of a run; `repeats` know what attempts before this one have said."""
        self._append = log.append
        self._repeats = repeats
        self._name = name
        self._has_lifecycle = LIFECYCLE in modes
        self._writers: dict[str, Callable[[Namespace, Any], None]] = {
            mode: self._writer(mode) for mode in modes if mode in _PLAIN
        }
        # Of both forms the shorter one, whose chunks say everything.
        if MESSAGES_TUPLE in modes:
            self._writers[MESSAGES] = self._write_token
        elif MESSAGES in modes:
            self._writers[MESSAGES] = self._write_message
        if self._has_lifecycle:
            self._writers[GRAPHS] = self._write_subgraph
        # Whoever also asks for tasks is told the same by these, and more.
        if STEPS in modes and TASKS not in modes:
            self._writers[TASKS] = self._write_step
        if EVENTS in modes:
            self._writers[EVENTS] = self._writer(EVENTS)
        self._partial: dict[str, BaseMessageChunk] = {}
        self._announced: set[str] = set()
        self._metadata: tuple[Any, bytes] = (None, b"")
        """The metadata of the last token, and how they were encoded."""

    def begin(self, run_id: str, attempt: int) -> None:
        """Say that the run begins, before anything else."""
        self._append(METADATA, METADATA, dumps({"run_id": run_id, "attempt": attempt}))
        if self._has_lifecycle and not (
            self._repeats is not None and self._repeats.covers_life((), "running")
        ):
            self._write_lifecycle((), {"event": "running", "graph_name": self._name})

    def write(self, part: Part) -> None:
        """Write down something that the engine said."""
        writer = self._writers.get(part[1])
        # Else it was asked for to know how the run ends.
        if writer is not None and not self._is_said(part[0], part[1], part[2]):
            writer(part[0], part[2])

    def _is_said(self, namespace: Namespace, mode: str, payload: Any) -> bool:
        repeats = self._repeats
        if repeats is None:
            return False
        if mode == GRAPHS:
            return repeats.covers_life(namespace, _phase(payload))
        return mode in STATE_MODES and repeats.covers(mode, namespace, payload)

    def write_event(self, event: Mapping[str, Any]) -> None:
        """Write down an event of LangChain."""
        self._writers[EVENTS]((), event)

    def write_command(self, command: Command[Any]) -> None:
        """Write down a command for the graph around this one, which is the caller's."""
        goto: Any = command.goto
        targets = goto if isinstance(goto, (list, tuple)) else (goto,)
        sent = [
            {"node": target.node, "input": target.arg} if isinstance(target, Send) else target
            for target in targets
        ]
        data = {
            "graph": Command.PARENT,
            "update": command.update,
            "resume": command.resume,
            "goto": sent if isinstance(goto, (list, tuple)) else sent[0],
        }
        self._append(COMMAND, COMMAND, dumps(data))

    def end(self, phase: str, error: Mapping[str, str] | None = None) -> None:
        """Say how the run has ended: completed, failed or interrupted."""
        if self._has_lifecycle:
            self._write_lifecycle(
                (),
                {
                    "event": phase,
                    "graph_name": self._name,
                    **({} if error is None else {"error": error["message"]}),
                },
            )
        if error is not None:
            self._append(ERROR, ERROR, dumps(error))

    def _writer(self, mode: str) -> Callable[[Namespace, Any], None]:
        """Return what writes a mode whose data go out as they are."""
        append = self._append
        prepare = debug_of if mode == DEBUG else None

        def write(namespace: Namespace, payload: Any) -> None:
            name = event_name(mode, namespace) if namespace else mode
            append(mode, name, dumps(payload if prepare is None else prepare(payload)))

        return write

    def _write_token(self, namespace: Namespace, payload: Any) -> None:
        """Write a chunk of a message, or a whole one, with where it comes from."""
        message, metadata = payload
        known, encoded = self._metadata
        # The same for all chunks of a message.
        if known is not metadata:
            encoded = dumps(token_metadata(metadata))
            self._metadata = metadata, encoded
        data = b"[%b,%b]" % (dumps(message), encoded)
        self._append(MESSAGES_TUPLE, event_name(MESSAGES, namespace), data)

    def _write_message(self, namespace: Namespace, payload: Any) -> None:
        """Write all that there is of a message so far; without a namespace, as clients expect."""
        message: BaseMessage
        message, metadata = payload
        id = str(message.id)
        if id not in self._announced:
            self._announced.add(id)
            told = {id: {"metadata": token_metadata(metadata)}}
            self._append(MESSAGES, "messages/metadata", dumps(told))
        if not isinstance(message, BaseMessageChunk):
            self._append(MESSAGES, "messages/complete", dumps([message]))
            return
        before = self._partial.get(id)
        so_far = message if before is None else before + message
        assert isinstance(so_far, BaseMessageChunk)
        self._partial[id] = so_far
        if isinstance(message, AIMessageChunk) and message.chunk_position == "last":
            del self._partial[id]
        self._append(MESSAGES, "messages/partial", dumps([message_chunk_to_message(so_far)]))

    def _write_step(self, namespace: Namespace, task: Mapping[str, Any]) -> None:
        """Write that a node has begun or ended."""
        self._append(STEPS, event_name(STEPS, namespace), dumps(step_of(task)))

    def _write_subgraph(self, namespace: Namespace, event: SubgraphEvent) -> None:
        """Write that a nested graph has begun or ended."""
        told: dict[str, Any] = {
            "event": _phase(event),
            "graph_name": event.name,
            "namespace": list(event.namespace),
        }
        if event.error is not None and event.status == "failed":
            told["error"] = error_of(event.error)["message"]
        if event.cause is not None:
            told["trigger_call_id"] = event.cause.get("tool_call_id")
        self._write_lifecycle(namespace, told)

    def _write_lifecycle(self, namespace: Namespace, told: Mapping[str, Any]) -> None:
        self._append(LIFECYCLE, event_name(LIFECYCLE, namespace), dumps(told))


def _phase(event: SubgraphEvent) -> str:
    return "interrupted" if event.status == "drained" else event.status
