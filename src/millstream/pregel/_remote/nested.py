"""A remote graph in a task: for the run around it, what any nested graph is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

from langchain_core.messages import BaseMessage, BaseMessageChunk
from langchain_core.outputs import ChatGenerationChunk, LLMResult

from millstream.constants import MISSING
from millstream.errors import GraphBubbleUp
from millstream.modes.names import CUSTOM, GRAPHS, MESSAGES, TOOLS, UPDATES, VALUES
from millstream.modes.subgraph_events import SubgraphEvent, cause_of, status_after
from millstream.outbox.abandoned import RunAbandoned
from millstream.pregel._remote.wire import received_interrupts, received_message, received_payload
from millstream.pregel._running.opening import nest

if TYPE_CHECKING:
    from millstream.drivers.context import TaskContext
    from millstream.modes.message_tap import MessageTap
    from millstream.modes.parts import Namespace

CALLER: Final = "millstream_caller"
"""The key of metadata that says which call in which task a checkpoint is from."""


class TokenFeed:
    """Gives a remote graph's messages to a tap, as if their models ran here."""

    def __init__(self, tap: MessageTap) -> None:
        self._tap = tap
        self._below: dict[Namespace, MessageTap] = {}
        self._open: dict[tuple[Namespace, str | None], UUID] = {}

    def take(self, namespace: Namespace, message: Any, metadata: dict[str, Any]) -> None:
        """Take a chunk, or a whole message."""
        if not isinstance(message, BaseMessage):
            return
        tap = self._below.get(namespace)
        if tap is None:
            below = self._tap.below(namespace)
            if below is None:
                return
            tap = self._below[namespace] = below
        if not isinstance(message, BaseMessageChunk):
            tap.emit_new(message, metadata)
            return
        key = namespace, message.id
        run_id = self._open.get(key)
        if run_id is None:
            run_id = self._open[key] = uuid4()
            tap.on_chat_model_start({}, [[]], run_id=run_id, metadata=metadata)
        chunk: Any = ChatGenerationChunk(message=message)
        tap.on_llm_new_token("", chunk=chunk, run_id=run_id)
        if getattr(message, "chunk_position", None) == "last":
            self._end(key)

    def close(self, error: BaseException | None) -> None:
        """End what is still being said."""
        for key in list(self._open):
            self._end(key, error)

    def _end(self, key: tuple[Namespace, str | None], error: BaseException | None = None) -> None:
        tap, run_id = self._below[key[0]], self._open.pop(key)
        if error is None:
            tap.on_llm_end(LLMResult(generations=[[]]), run_id=run_id)
        else:
            tap.on_llm_error(error, run_id=run_id)


class RemoteTask:
    """One call of a remote graph in a task: who hears it, and the questions it asks."""

    def __init__(self, context: TaskContext, name: str, input: Any) -> None:
        self._context = context
        nesting, self.is_resumed = nest(context, name, input, is_stateful=False)
        self.ns = nesting.ns
        """Where the graph is for the run around it."""
        self.namespace = nesting.namespace
        self.caller_ns = context.ns
        """The namespace of the task."""
        self._place = nesting.place
        run = context.run
        if run.recorder is not None and nesting.new_number is not None:
            config = run.checkpoint_config(context.task.checkpoint_id)
            run.recorder.add_place(context.task, config, nesting.place, nesting.new_number)
        self._feeds = [TokenFeed(tap) for tap in run.taps if tap.has_subgraphs]
        self._tool_taps = [tap for tap in run.tool_taps if tap.has_subgraphs]
        self._shows_graphs = [emit for emit, modes in run.forwards if GRAPHS in modes]
        self._started: list[Namespace] = []
        self._is_begun = False
        self._answered: frozenset[str] = frozenset()

    @property
    def modes(self) -> set[str]:
        """The modes that the run around it and those further up want of it."""
        run = self._context.run
        wanted = {mode for _, modes in run.forwards for mode in modes} - {GRAPHS, MESSAGES, TOOLS}
        if run.emit_custom is None:
            wanted.discard(CUSTOM)
        elif run.forwards:
            wanted.add(CUSTOM)
        if self._feeds:
            wanted.add(MESSAGES)
        if self._tool_taps:
            wanted.add(TOOLS)
        return wanted

    @property
    def has_subgraphs(self) -> bool:
        """Say whether somebody sees what is nested in it."""
        return bool(self._context.run.forwards or self._feeds or self._tool_taps)

    def answer(self, questions: Sequence[Any]) -> dict[str, Any]:
        """Return the answers that there are now to questions that wait, by their ids."""
        answers = self._context.task.machine.answers
        if answers is None:
            return {}
        found = {question.id: answers.take_named(question.id) for question in questions}
        given = {id: answer for id, answer in found.items() if answer is not MISSING}
        self._answered = frozenset(given)
        return given

    def begin(self) -> None:
        """Tell, once, that the graph has started and has its answers."""
        if self._is_begun:
            return
        self._is_begun = True
        if self._answered:
            # From now on they are with the server, whatever becomes of the task.
            self._context.record_answered(self._answered, ())
        self._tell_start(self.namespace)

    def take(self, mode: str, namespace: Namespace, payload: Any) -> None:
        """Show something that has happened in the graph to whoever wants to see it."""
        context, run = self._context, self._context.run
        if run.is_left or context.is_cancelled or run.is_abandoned:
            raise RunAbandoned(run.name)
        if (watch := context.heartbeats) is not None:
            watch.record_event()
        self._tell_start(namespace)
        if mode == MESSAGES:
            message, metadata = payload
            for feed in self._feeds:
                feed.take(namespace, received_message(message), metadata)
        elif mode == TOOLS:
            for tap in self._tool_taps:
                tap.relay(namespace, payload)
        elif mode == CUSTOM:
            if run.emit_custom is not None and run.forwards:
                run.emit_custom((namespace, CUSTOM, payload, None))
        else:
            received = received_payload(mode, payload)
            for emit, modes in run.forwards:
                if mode in modes:
                    emit((namespace, mode, received, None))

    def ask(self, questions: Sequence[Any]) -> None:
        """Take note of what the graph asks, which stops the task."""
        if self._place:
            self._context.record_questions(questions)
        if self._answered:
            self._context.record_answered(frozenset(), questions)

    def end(self, error: BaseException | None) -> None:
        """Tell how the graph has ended."""
        if isinstance(error, RunAbandoned) or self._context.run.is_left:
            return
        failure = None if isinstance(error, GraphBubbleUp) else error
        for feed in self._feeds:
            feed.close(failure)
        for namespace in reversed(self._started):
            self._tell(namespace, status_after(error), error)

    def _tell_start(self, namespace: Namespace) -> None:
        """Tell of the graphs in this namespace that have not been told of."""
        if not self._shows_graphs:
            return
        for length in range(len(self.namespace), len(namespace) + 1):
            place = namespace[:length]
            if place not in self._started:
                self._started.append(place)
                self._tell(place, "started", None)

    def _tell(self, namespace: Namespace, status: Any, error: BaseException | None) -> None:
        task = self._context.task
        name, _, task_id = namespace[-1].partition(":")
        is_own = namespace == self.namespace
        event = SubgraphEvent(
            status=status,
            namespace=namespace,
            within=self._context.run.namespace if is_own else namespace[:-1],
            name=task.name if is_own else name,
            task_id=task.id if is_own else task_id,
            cause=cause_of(task.input) if is_own else None,
            error=error,
        )
        for emit in self._shows_graphs:
            emit((namespace, GRAPHS, event, None))


def pending_in(state: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the questions that wait in a thread."""
    tasks = state.get("tasks") or ()
    return received_interrupts(q for task in tasks for q in task.get("interrupts") or ())


RESULT_MODES: Final = (VALUES, UPDATES)
"""What says how a graph ends: its last state, and what it asks."""
