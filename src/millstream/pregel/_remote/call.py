"""One call of a remote graph: what is sent, and what becomes of what comes back.

Nothing here waits: `RemoteGraph` sends the requests, sync or async, and hands over the answers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from millstream.config import task_context_of
from millstream.constants import INTERRUPT
from millstream.drivers.metadata import as_text
from millstream.errors import GraphInterrupt, ParentCommand
from millstream.modes.names import MESSAGES, UPDATES, VALUES
from millstream.modes.parts import check_version
from millstream.pregel._remote.nested import CALLER, RESULT_MODES, RemoteTask, pending_in
from millstream.pregel._remote.wire import (
    CHECKPOINT_KEYS,
    event_of,
    received_command,
    received_interrupts,
    sent_checkpoint,
    sent_command,
    sent_config,
)
from millstream.pregel._running.request import identify_caller
from millstream.types import Command, GraphOutput

if TYPE_CHECKING:
    from millstream.modes.parts import Namespace

logger = logging.getLogger(__name__)

EVENTS: Final = "events"
COMMAND: Final = "command"
UNFINISHED: Final = ("pending", "running")
ON_WIRE: Final = {MESSAGES: "messages-tuple"}
"""Modes that servers know by another name."""


class RemoteException(Exception):  # LangGraph's name for it
    """A graph on a server failed: the argument is what the server says of it."""


RemoteException.__module__ = "millstream.pregel.remote"


class RemoteCall:
    """A call of a remote graph."""

    def __init__(
        self,
        graph: Any,
        input: Any,
        config: Any,
        *,
        stream_mode: str | Sequence[str] | None,
        subgraphs: bool,
        headers: dict[str, str] | None,
        version: str = "v1",
        **options: Any,
    ) -> None:
        check_version(version)
        self._has_labels = stream_mode is not None and not isinstance(stream_mode, str)
        modes = stream_mode or (UPDATES,)
        self._modes = (modes,) if isinstance(modes, str) else tuple(modes)
        self._subgraphs, self._version = subgraphs, version
        caller = identify_caller(config, graph.config)
        # A thread of its own on the server does not take a graph out of its task.
        context = caller.parent or (None if config is None else task_context_of(config))
        self._task = None if context is None else RemoteTask(context, graph.get_name(), input)
        self._outer: Namespace = () if self._task is None else self._task.namespace
        self._questions: tuple[Any, ...] = ()
        self.value: Any = None
        """The last state that was shown."""
        self._has_value = False
        thread = caller.configurable.get("thread_id")
        self.thread_id: str | None = None if thread is None else as_text(thread)
        # Of a task everything is known now: LangChain's variable is not the caller's any more.
        metadata = caller.metadata
        if metadata is None:
            assert caller.parent is not None, "without a task the caller says which they are"
            metadata = caller.parent.called_metadata()
        # The server says itself where its run is.
        metadata = {key: value for key, value in metadata.items() if key not in CHECKPOINT_KEYS}
        if self._task is not None:
            metadata[CALLER] = self._task.ns
        sent = sent_config(
            {**caller.config, "metadata": metadata, "configurable": caller.configurable}
        )
        command = sent_command(input) if isinstance(input, Command) else None
        self.arguments: dict[str, Any] = {
            "thread_id": self.thread_id,
            "assistant_id": graph.assistant_id,
            "input": None if command is not None else input,
            "command": command,
            "config": sent,
            "stream_mode": self._sent_modes(),
            "stream_subgraphs": subgraphs or bool(self._task and self._task.has_subgraphs),
            "if_not_exists": "create",
            "headers": traced_headers(headers, caller.callbacks)
            if graph.distributed_tracing
            else headers,
            **options,
        }
        if self._task is None and caller.configurable.get("checkpoint_id"):
            self.arguments["checkpoint"] = sent_checkpoint(caller.configurable)

    @property
    def namespace(self) -> Namespace:
        """Where the graph is for those who read the call: `()`, or the place of its task."""
        return self._outer

    def show(self, modes: Sequence[str]) -> None:
        """Have the call, which has not begun, yield these modes instead."""
        self._modes = tuple(modes)
        self.arguments["stream_mode"] = self._sent_modes()

    def _sent_modes(self) -> list[str]:
        if EVENTS in self._modes:
            return [EVENTS]
        nested = sorted(self._task.modes) if self._task is not None else []
        # Always what tells of questions; in a task also what its result is.
        needed = (UPDATES,) if self._task is None else RESULT_MODES
        wanted = dict.fromkeys((*self._modes, *nested, *needed))
        return [ON_WIRE.get(mode, mode) for mode in wanted]

    @property
    def left(self) -> dict[str, Any] | None:
        """The arguments that ask what an interrupted call has left; None if there was none."""
        if self._task is None or not self._task.is_resumed or self.thread_id is None:
            return None
        return {"thread_id": self.thread_id, "headers": self.arguments["headers"]}

    @property
    def newest_own(self) -> dict[str, Any]:
        """The arguments that ask for the newest checkpoint of a call in a task."""
        assert self._task is not None
        return {"limit": 1, "metadata": {CALLER: self._task.ns}}

    def unfinished(self, runs: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return the ids of those runs of its thread that go on, as the server lists them.

        What an interrupted call has left is known when they have ended: until then checkpoints may
        be on their way.
        """
        return [run["run_id"] for run in runs if run["status"] in UNFINISHED]

    def go_on(self, past: Sequence[Mapping[str, Any]]) -> bool:
        """Go on from what the call has left before; say whether there is anything to run.

        Raises `GraphInterrupt` where its questions have no answers yet.
        """
        if not past:
            return True
        assert self._task is not None, "who goes on was stopped in a task"
        state = past[0]
        questions = pending_in(state)
        answers = self._task.answer(questions)
        if questions and not answers:
            raise GraphInterrupt(questions)
        if not questions and not state.get("next"):
            self.value, self._has_value = state.get("values"), True
            return False
        self.arguments["input"] = None
        self.arguments["command"] = {"resume": answers} if answers else None
        return True

    def take(self, part: Any) -> Iterator[Any]:
        """Take an event of the run; yield what the caller gets of it, or raise what it says."""
        data = part.data
        mode, inner = event_of(part.event)
        if self._task is not None:
            self._task.begin()
        if mode.startswith("error"):
            raise RemoteException(data)
        if mode == COMMAND:
            self._raise_command(data)
        if mode == MESSAGES and isinstance(data, list):
            data = tuple(data)
        if not inner:
            self._record(mode, data)
        if self._task is not None and mode in self._task.modes:
            self._task.take(mode, (*self._outer, *inner), data)
        is_shown = self._subgraphs or not inner or mode == MESSAGES
        if mode in self._modes and is_shown:
            yield self._shown(part, mode, (*self._outer, *inner), data)

    def _raise_command(self, data: Any) -> None:
        if not isinstance(data, Mapping) or data.get("graph") != Command.PARENT:
            return
        # The graph around this one is that of the task; without one it is the caller's matter.
        graph = Command.PARENT if self._task is None else self._task.caller_ns
        raise ParentCommand(received_command(data, graph))

    def _record(self, mode: str, data: Any) -> None:
        if mode == VALUES:
            self.value, self._has_value = data, True
        if mode in RESULT_MODES and isinstance(data, Mapping) and data.get(INTERRUPT):
            asked = received_interrupts(data[INTERRUPT])
            known = {question.id: question for question in (*self._questions, *asked)}
            self._questions = tuple(known.values())

    def _shown(self, part: Any, mode: str, namespace: Namespace, data: Any) -> Any:
        if self._version == "v2":
            asked: tuple[Any, ...] = ()
            if mode == VALUES and isinstance(data, Mapping) and INTERRUPT in data:
                asked = received_interrupts(data[INTERRUPT])
                data = {key: value for key, value in data.items() if key != INTERRUPT}
            return {"type": mode, "ns": namespace, "data": data, "interrupts": asked}
        if self._subgraphs:
            return (namespace, mode, data) if self._has_labels else (namespace, data)
        return part._replace(data=data) if self._has_labels else data

    def finish(self) -> None:
        """Take note that the run has ended well; raise its questions where a task waits for it."""
        if self._task is not None and self._questions:
            self._task.ask(self._questions)
            raise GraphInterrupt(self._questions)

    def end(self, error: BaseException | None) -> None:
        """Tell who watches how the call has ended."""
        if self._task is not None:
            self._task.end(error)

    def result(self) -> Any:
        """Return what `invoke` gives: the last state, with the questions in it."""
        if not self._has_value:
            logger.warning("No events received from remote graph")
        if self._version == "v1":
            return self.value
        value = self.value
        if isinstance(value, Mapping):
            value = {key: item for key, item in value.items() if key != INTERRUPT}
        return GraphOutput(value=value, interrupts=self._questions)


def traced_headers(headers: Mapping[str, str] | None, callbacks: Any) -> dict[str, str]:
    """Return headers that make the server's trace a part of the caller's."""
    # Slow to import, and asked for by those alone who trace.
    from langsmith.run_helpers import get_current_run_tree
    from langsmith.run_trees import RunTree

    given = dict(headers or {})
    tree = get_current_run_tree() or RunTree.from_runnable_config({"callbacks": callbacks})
    if tree is None:
        return given
    for name, value in tree.to_headers().items():
        is_baggage = name == "baggage" and given.get(name)
        given[name] = f"{given[name]},{value}" if is_baggage else value
    return given


def import_sdk() -> Any:
    """Return langgraph_sdk, or raise an error that says how to install it."""
    # Not needed to ask whether something is a remote graph.
    try:
        import langgraph_sdk
    except ImportError as error:
        raise ImportError(
            "RemoteGraph needs langgraph_sdk: pip install 'millstream[remote]'"
        ) from error
    return langgraph_sdk
