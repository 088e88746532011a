"""`Reader`: the facts in the protocol events of one run.

Events are those of a run stream that has `TRANSFORMERS`, or what the server makes of what it has
stored. So messages, questions and what tools return may be objects, or what JSON has of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from langchain_core.messages import AIMessage

from millstream.constants import INTERRUPT
from millstream.modes import names
from millstream.modes.block_tap import ATTEMPT, CHECKPOINT_NS
from millstream.modes.content_blocks import message_events
from millstream.prebuilt import ToolCallTransformer
from millstream.protocols.contents import (
    attribute,
    file_of,
    refusal_in,
    sound_in,
    sources_of,
)
from millstream.protocols.endings import reason_in
from millstream.protocols.facts import (
    Asked,
    CallAnswered,
    CallBegan,
    CallBrokenOff,
    CallGrew,
    CallMade,
    CallProgressed,
    Fact,
    GraphBegan,
    GraphEnded,
    MessageBegan,
    MessageEnded,
    StateChanged,
    StepBegan,
    StepEnded,
    Written,
)
from millstream.protocols.messages import OpenMessage
from millstream.stream.transformers import CustomTransformer, UpdatesTransformer

if TYPE_CHECKING:
    from millstream.modes.protocol_events import ProtocolEvent

TRANSFORMERS: Final = (UpdatesTransformer, CustomTransformer, ToolCallTransformer)
"""What a run stream has to have for a reader, besides what all have."""
NAMED: Final = "custom:"
TRIED_AGAIN: Final = "what has made the call has failed, and was tried again"


class Reader:
    """Makes facts of the events of one run."""

    def __init__(self, calls: Mapping[str, str] | None = None) -> None:
        """Read a run; `calls` are those of earlier runs that wait to be answered, id -> name."""
        self._open: dict[str, OpenMessage] = {}
        """The messages that are being said, by the LangChain run of their model."""
        self._waiting: dict[str, str] = dict(calls or {})
        """The calls that nobody has answered yet: id -> name."""
        self._begun: dict[str, str | None] = {}
        """Calls that have begun -> the message that makes them."""
        self._made: dict[str, str | None] = {}
        """Calls of which all was told -> the message that has made them."""
        self._starts = 0
        """How often the run has begun again."""
        self._attempts: dict[str, tuple[int, int]] = {}
        """Which attempt of a task has spoken last, by its namespace; of which start of the run."""
        self._tasks: dict[str, str] = {}
        """Messages -> the task that they are from."""
        self._said_in: dict[str, tuple[str, ...]] = {}
        """Messages of nested graphs -> the graph."""
        self._graphs: dict[tuple[str, ...], str] = {}
        self._failed: dict[tuple[str, ...], tuple[str, ...]] = {}
        """Nested graphs that have failed -> the task that has called them."""
        self._asked: set[str] = set()
        self._askers: dict[str, tuple[str, ...]] = {}
        """The innermost graphs that ask, by their questions."""
        self._readers: dict[str, Callable[[tuple[str, ...], Any], Iterator[Fact]]] = {
            names.MESSAGES: self._read_message,
            names.TOOLS: self._read_tool,
            names.UPDATES: self._read_update,
            names.VALUES: self._read_values,
            names.CUSTOM: self._read_custom,
            "lifecycle": self._read_lifecycle,
            names.STEPS: self._read_step,
        }

    @property
    def waiting(self) -> Mapping[str, str]:
        """The calls that nobody has answered yet: id -> name of the tool."""
        return self._waiting

    def read(self, event: ProtocolEvent) -> Iterator[Fact]:
        """Yield the facts that an event tells; many tell none."""
        method, params = event["method"], event["params"]
        namespace = tuple(params["namespace"])
        read = self._readers.get(method)
        if read is not None:
            yield from read(namespace, params["data"])
            for question in params.get("interrupts") or ():
                yield from self._ask(namespace, question)
        elif method.startswith(NAMED):
            yield Written(namespace, {"name": method[len(NAMED) :], "payload": params["data"]})

    def close(self, error: str | None = None) -> Iterator[Fact]:
        """Yield the ends of what has not ended: the run is over, or has begun again."""
        for message in self._open.values():
            yield from self._news(message, message.end())
            yield MessageEnded(message.message_id, {}, error=error)
        self._open.clear()
        self._starts += 1

    def _read_message(self, namespace: tuple[str, ...], data: Any) -> Iterator[Fact]:
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            return
        said, metadata = data
        if isinstance(said, Mapping) and "event" in said:
            yield from self._follow(said, metadata, namespace)
        elif isinstance(said, AIMessage):
            for event in message_events(said):
                told: dict[str, Any] = {**event}
                if told["event"] == "message-finish" and said.additional_kwargs:
                    told["additional_kwargs"] = said.additional_kwargs
                yield from self._follow(told, {**metadata, "run_id": said.id}, namespace)

    def _follow(
        self, event: Mapping[str, Any], metadata: Mapping[str, Any], namespace: tuple[str, ...]
    ) -> Iterator[Fact]:
        key = str(metadata.get("run_id"))
        kind = event["event"]
        if kind == "message-start":
            if event.get("role", "ai") == "ai":
                message = self._open[key] = OpenMessage(event.get("id") or key)
                yield from self._begin_attempt(message.message_id, metadata)
                if namespace:
                    self._said_in[message.message_id] = namespace
                node = str(metadata.get("langgraph_node", ""))
                yield MessageBegan(message.message_id, namespace, node)
            return
        known = self._open.get(key)
        if known is None:
            return
        if kind == "content-block-delta":
            yield from self._news(known, known.grow(event["index"], event["delta"]))
        elif kind == "content-block-start":
            yield from self._news(known, known.begin(event["index"], event["content"]))
        elif kind == "content-block-finish":
            yield from self._finish_block(known, event["index"], event["content"])
        else:
            del self._open[key]
            yield from self._add_beside(known, event.get("additional_kwargs") or {})
            yield from self._news(known, known.end())
            yield _end_of(known.message_id, event, metadata)

    def _add_beside(self, message: OpenMessage, fields: Mapping[str, Any]) -> Iterator[Fact]:
        """Yield what a provider's message says outside of its content."""
        if refused := refusal_in(fields):
            yield from message.refuse(refused)
        transcript, sound = sound_in(message.message_id, fields)
        if transcript:
            yield from message.add(transcript)
        if sound is not None:
            yield sound

    def _begin_attempt(self, message_id: str, metadata: Mapping[str, Any]) -> Iterator[Fact]:
        """Yield the ends of calls that earlier attempts of a task have made.

        Nobody answers them: what an attempt that has failed was about to do is not done.
        """
        task = str(metadata.get(CHECKPOINT_NS) or "")
        number = metadata.get(ATTEMPT)
        attempt = self._starts, number if isinstance(number, int) else 1
        if task and self._attempts.get(task, attempt) < attempt:
            for call_id in list(self._waiting):
                if self._tasks.get(self._made.get(call_id) or "") == task:
                    yield from self._answer(call_id, None, TRIED_AGAIN)
            self._tasks = {id: each for id, each in self._tasks.items() if each != task}
        if task:
            self._attempts[task] = max(attempt, self._attempts.get(task, attempt))
            self._tasks[message_id] = task

    def _finish_block(
        self, message: OpenMessage, index: int, content: Mapping[str, Any]
    ) -> Iterator[Fact]:
        if content.get("type") == "text":
            # Before its end, with which protocols say what it quotes.
            yield from sources_of(message.message_id, content)
        yield from self._news(message, message.finish(index, content))
        if content.get("type") == "server_tool_result":
            call_id = str(content.get("tool_call_id"))
            output = content.get("output")
            error = "the tool has failed" if content.get("status") == "error" else None
            yield from self._answer(call_id, output, error, is_server_side=True)
        elif (shown := file_of(message.message_id, content)) is not None:
            yield shown

    def _news(self, message: OpenMessage, said: Iterator[Fact]) -> Iterator[Fact]:
        """Yield what is not told yet: a tool may have begun before its call was complete."""
        for fact in said:
            if isinstance(fact, (CallBegan, CallGrew, CallMade, CallBrokenOff)):
                if self._made.get(fact.call_id) == message.message_id:
                    continue
                if isinstance(fact, CallBegan):
                    self._begun[fact.call_id] = fact.message_id
                elif isinstance(fact, CallMade):
                    self._note_call(fact)
                elif isinstance(fact, CallBrokenOff):
                    self._begun.pop(fact.call_id, None)
            yield fact

    def _note_call(self, call: CallMade) -> None:
        self._made[call.call_id] = call.message_id
        self._waiting[call.call_id] = call.name

    def _read_tool(self, namespace: tuple[str, ...], data: Any) -> Iterator[Fact]:
        call_id, kind = str(data["tool_call_id"]), data["event"]
        if kind == "tool-started":
            if call_id not in self._waiting:
                yield from self._start_tool(call_id, data.get("tool_name") or "", data.get("input"))
        elif kind == "tool-output-delta":
            yield CallProgressed(call_id, self._waiting.get(call_id, ""), data.get("delta"))
        elif kind == "tool-error":
            yield from self._answer(call_id, None, data.get("message") or "the tool has failed")
        else:
            yield from self._answer_with(call_id, data.get("output"))

    def _start_tool(self, call_id: str, name: str, given: Any) -> Iterator[Fact]:
        """Yield the call of a tool that starts without one, or before all of it was told."""
        message_id = self._begun.get(call_id)
        if message_id is None or self._made.get(call_id) == message_id:
            message_id = None
            yield CallBegan(call_id, name, None)
        call = CallMade(call_id, name, message_id, given)
        self._note_call(call)
        yield call

    def _read_update(self, namespace: tuple[str, ...], data: Any) -> Iterator[Fact]:
        """Look for what tools have answered that nobody has heard: a node may speak for one."""
        if not isinstance(data, Mapping):
            return
        for question in data.get(INTERRUPT) or ():
            yield from self._ask(namespace, question)
        if not self._waiting:
            return
        for written in data.values():
            for message in tool_messages(written):
                call_id = str(attribute(message, "tool_call_id"))
                if call_id in self._waiting:
                    yield from self._answer_with(call_id, message)

    def _answer_with(self, call_id: str, output: Any) -> Iterator[Fact]:
        # A command has the message that its tool answers with among what it updates.
        for message in tool_messages(attribute(output, "update")):
            if str(attribute(message, "tool_call_id")) == call_id:
                output = message
        if attribute(output, "type") != "tool":
            yield from self._answer(call_id, output, None)
            return
        content = attribute(output, "content")
        is_error = attribute(output, "status") == "error"
        yield from self._answer(call_id, content, _text(content) if is_error else None)

    def _answer(
        self, call_id: str, output: Any, error: str | None, *, is_server_side: bool = False
    ) -> Iterator[Fact]:
        name = self._waiting.pop(call_id, None)
        if name is not None:
            yield CallAnswered(call_id, name, output, error, is_server_side)

    def _read_values(self, namespace: tuple[str, ...], data: Any) -> Iterator[Fact]:
        if namespace:
            return
        if isinstance(data, Mapping) and INTERRUPT in data:
            asked = data[INTERRUPT]
            data = {key: value for key, value in data.items() if key != INTERRUPT}
        else:
            asked = ()
        yield StateChanged(data)
        for question in asked:
            yield from self._ask(namespace, question)

    def _ask(self, namespace: tuple[str, ...], question: Any) -> Iterator[Fact]:
        # Graphs around the one that asks tell it too, and after it.
        id = str(attribute(question, "id"))
        asker = self._askers.setdefault(id, namespace)
        if not namespace and id not in self._asked:
            self._asked.add(id)
            schema = attribute(question, "response_schema")
            yield Asked(id, attribute(question, "value"), schema, asker)

    def _read_custom(self, namespace: tuple[str, ...], data: Any) -> Iterator[Fact]:
        yield Written(namespace, data)

    def _read_lifecycle(self, namespace: tuple[str, ...], data: Any) -> Iterator[Fact]:
        path = tuple(data.get("namespace") or namespace)
        status = data["event"]
        if not path or status == "running":
            return
        if status == "started":
            yield from self._call_again(path)
            name = self._graphs[path] = data.get("graph_name") or ""
            yield GraphBegan(path, name, self._call_around(data))
        elif path in self._graphs:
            if status == "failed":
                self._failed[path] = _caller_of(path)
            yield GraphEnded(path, self._graphs.pop(path), status)

    def _call_around(self, data: Mapping[str, Any]) -> str | None:
        """Return the call of the tool that runs a graph; what begins others is their task."""
        cause = data.get("cause")
        told = cause.get("tool_call_id") if cause else data.get("trigger_call_id")
        return str(told) if str(told) in self._made else None

    def _call_again(self, path: tuple[str, ...]) -> Iterator[Fact]:
        """Yield the ends of calls in graphs that have failed, and whose task calls one again."""
        caller = _caller_of(path)
        for failed in [each for each, by in self._failed.items() if by == caller]:
            del self._failed[failed]
            for call_id in list(self._waiting):
                place = self._said_in.get(self._made.get(call_id) or "", ())
                # Another call of a graph has a number behind the names of the first.
                if place[: len(failed)] == failed and not _is_number(place[len(failed) :]):
                    yield from self._answer(call_id, None, TRIED_AGAIN)

    def _read_step(self, namespace: tuple[str, ...], data: Any) -> Iterator[Fact]:
        told = StepBegan if data["event"] == "started" else StepEnded
        path = tuple(data.get("namespace") or namespace)
        yield told(path, str(data["id"]), str(data["name"]))


def _caller_of(path: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the task that calls a graph, which may have called others before."""
    return path[:-1] if _is_number(path[-1:]) else path


def _is_number(rest: tuple[str, ...]) -> bool:
    return bool(rest) and rest[0].isdigit()


def _end_of(message_id: str, event: Mapping[str, Any], metadata: Mapping[str, Any]) -> MessageEnded:
    if event["event"] == "error":
        return MessageEnded(message_id, {}, error=event.get("message") or "the model has failed")
    return MessageEnded(
        message_id,
        event.get("usage") or {},
        reason_in(event.get("metadata") or {}),
        provider=metadata.get("ls_provider"),
        model=metadata.get("ls_model_name"),
    )


def tool_messages(written: Any, depth: int = 3) -> Iterator[Any]:
    """Yield the messages of tools in what nodes write, as objects or as JSON."""
    if attribute(written, "type") == "tool" and attribute(written, "tool_call_id") is not None:
        yield written
    elif depth and isinstance(written, (Mapping, list, tuple)):
        # What several tasks have written is a list, of updates that have lists.
        inner = written.values() if isinstance(written, Mapping) else written
        for value in inner:
            yield from tool_messages(value, depth - 1)


def _text(content: Any) -> str:
    return content if isinstance(content, str) else str(content)
