"""AG-UI 1.0, the protocol between agents and user interfaces: CopilotKit, `@ag-ui/client`.

```python
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from millstream.protocols import agui

app = FastAPI()


@app.post("/agent")
async def run(request: Request) -> StreamingResponse:
    asked = agui.read(await request.json())
    config = {"configurable": {"thread_id": asked.thread_id}}
    lines = agui.astream(graph, asked.input, config, encoder=agui.Encoder.of(asked))
    return StreamingResponse(lines, headers=agui.HEADERS)
```

Nested graphs are subagents, questions are interrupts, and answers come in `resume`.
`docs/frontends.md` has the table of events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.utils.uuid import uuid7

from millstream.protocols import facts
from millstream.protocols.agui_held import SCOPE, HeldMessages
from millstream.protocols.agui_interrupts import interrupts_of
from millstream.protocols.agui_messages import (
    agent_messages,
    file_id,
    result_id,
    result_of,
    waiting_calls,
)
from millstream.protocols.agui_requests import AgentRequest, read
from millstream.protocols.agui_state import MESSAGES, AgentEvent, KnownState
from millstream.protocols.agui_written import PROGRESS, SOURCE, Written
from millstream.protocols.contents import attribute
from millstream.protocols.lines import HEADERS, dumps, line
from millstream.protocols.reading import Reader
from millstream.protocols.running import Describe, alines, describe, lines
from millstream.protocols.steps import StepTransformer
from millstream.protocols.usage import Usage

if TYPE_CHECKING:
    from millstream.modes.protocol_events import ProtocolEvent

__all__ = ("HEADERS", "MESSAGES", "AgentRequest", "Encoder", "astream", "read", "stream")

VERSION: Final = "1.0"


def stream(
    graph: Any,
    input: Any,
    config: Any = None,
    *,
    encoder: Encoder | None = None,
    describe: Describe = describe,
    **options: Any,
) -> Iterator[str]:
    """Run a graph, and yield the lines of its AG-UI events.

    Args:
        graph: What has `stream_events(version="v3")`: a graph, a `RemoteGraph`, a replay.
        input: As for `stream`.
        config: As for `stream`.
        encoder: What makes the lines, for a run that has an id already.
        describe: Makes the text that the client gets of an error; by default its class and text.
        **options: As for `stream_events`: `context`, `durability`, `interrupt_before`, ...

    Yields:
        Lines of server-sent events. An error of the run is one of them, and is logged by
        `millstream.protocols`; it is not raised. Closing the iterator stops the run.

    Raises:
        TypeError: An option that run streams decide themselves, such as `stream_mode`.
    """
    return lines(graph, input, config, encoder or Encoder(), describe, _with_steps(options))


def astream(
    graph: Any,
    input: Any,
    config: Any = None,
    *,
    encoder: Encoder | None = None,
    describe: Describe = describe,
    **options: Any,
) -> AsyncIterator[str]:
    """Run a graph in the event loop, and yield the lines of its AG-UI events: see `stream`."""
    return alines(graph, input, config, encoder or Encoder(), describe, _with_steps(options))


def _with_steps(options: dict[str, Any]) -> dict[str, Any]:
    return {**options, "transformers": [StepTransformer, *(options.get("transformers") or ())]}


class Encoder:
    """Says one run as AG-UI events; without I/O."""

    def __init__(
        self,
        thread_id: str | None = None,
        run_id: str | None = None,
        *,
        parent_run_id: str | None = None,
        calls: Mapping[str, str] | None = None,
        known: Any = None,
        held: HeldMessages | None = None,
    ) -> None:
        """Begin a run.

        Args:
            thread_id: Its thread, as the client calls it; a new name by default.
            run_id: Its id, as the client calls it; a new one by default.
            parent_run_id: The run that it was started by, where the client says so.
            calls: The calls of tools in the thread that wait for an answer: id -> name.
            known: The state that the thread has before, with its messages, for a client that has
                none of it: it is told first.
            held: The messages that the client has, and the state does not have.
        """
        self._ids = {"threadId": thread_id or str(uuid7()), "runId": run_id or str(uuid7())}
        self._parent = {} if parent_run_id is None else {"parentRunId": parent_run_id}
        self._known = known
        self.held = HeldMessages() if held is None else held
        """The messages that the client has, and the state does not have."""
        self._made = waiting_calls(_messages_in(known) or ())
        """The calls that were made and wait: id -> name and arguments."""
        waiting = {id: name for id, (name, _) in self._made.items()}
        self._reader = Reader({**waiting, **(calls or {})})
        self._usage: dict[tuple[str | None, str | None], Usage] = {}
        """The tokens by provider and model."""
        self._interrupts: list[AgentEvent] = []
        self._subagents: dict[tuple[str, ...], str] = {}
        """The nested graphs that have begun: namespace -> id of their last time."""
        self._open: set[tuple[str, ...]] = set()
        """The nested graphs that go on."""
        self._begun = 0
        self._steps: dict[tuple[tuple[str, ...], str], set[str]] = {}
        """The tasks that run of a node, by its graph and name."""
        self._of_message: dict[str, str] = {}
        """Which subagent says a message."""
        self._of_call: dict[str, str] = {}
        """Which subagent makes a call."""
        self._texts: dict[str, str] = {}
        """The pieces of text that grow -> the message they are for the client."""
        self._said: set[str] = set()
        """The messages that have text."""
        self._files: Counter[str] = Counter()
        self._state = KnownState()
        self._written = Written()

    @classmethod
    def of(cls, asked: AgentRequest) -> Encoder:
        """Return the encoder of the answer to a request."""
        return cls(
            asked.thread_id,
            asked.run_id,
            parent_run_id=asked.parent_run_id,
            calls=asked.calls,
            held=HeldMessages(asked.held),
        )

    def begin(self) -> str:
        """Return the lines that begin the run."""
        began = {"type": "RUN_STARTED", **self._ids, **self._parent, "protocolVersion": VERSION}
        said = line(began)
        if self._known is not None:
            said += "".join(map(line, self._tell_all(self._known)))
        return said

    def encode(self, event: ProtocolEvent) -> str:
        """Return the lines for an event of the run's stream, often none."""
        return "".join(map(line, self.events(event)))

    def events(self, event: ProtocolEvent) -> Iterator[AgentEvent]:
        """Yield the AG-UI events that an event of the run's stream makes."""
        for fact in self._reader.read(event):
            for told in _HANDLERS[type(fact)](self, fact):
                self.held.follow(told)
                yield told

    def ask(self, questions: Iterable[Any]) -> None:
        """Take note of what a thread asks that has no run: the end tells it."""
        for one in questions:
            id, value, schema = (
                attribute(one, name) for name in ("id", "value", "response_schema")
            )
            self._note_question(facts.Asked(str(id), value, schema))

    def restart(self) -> str:
        """Return the lines that end what was not complete: the run begins anew."""
        return "".join(map(line, self._close_messages("begun again")))

    def end(
        self, error: str | None = None, *, code: str | None = None, is_cancelled: bool = False
    ) -> str:
        """Return the lines that end the run.

        Args:
            error: Why it has failed.
            code: The class of the error.
            is_cancelled: Somebody has stopped it.
        """
        said = "".join(map(line, self._close(error)))
        counted = [
            {**_told(provider=provider, model=model), **tokens.in_camel_case()}
            for (provider, model), tokens in self._usage.items()
            if tokens
        ]
        usage: AgentEvent = {"usage": counted} if counted else {}
        if error is not None:
            told = {"type": "RUN_ERROR", "message": error, **_told(code=code)}
            return said + line({**told, **usage})
        if is_cancelled:
            outcome: AgentEvent = {"type": "cancelled"}
        elif self._interrupts:
            outcome = {"type": "interrupt", "interrupts": self._interrupts}
        else:
            outcome = {"type": "success"}
            if self._made:
                outcome["pendingToolCallIds"] = list(self._made)
        return said + line({"type": "RUN_FINISHED", **self._ids, "outcome": outcome, **usage})

    def _close_messages(self, error: str | None) -> Iterator[AgentEvent]:
        for fact in self._reader.close(error):
            yield from _HANDLERS[type(fact)](self, fact)

    def _close(self, error: str | None) -> Iterator[AgentEvent]:
        yield from self._close_messages(error)
        for path in sorted(self._open, key=len, reverse=True):
            yield from self._end_graph(facts.GraphEnded(path, "", "failed"))
        yield from self._end_steps(())

    def _tell_all(self, state: Any) -> Iterator[AgentEvent]:
        """Yield what a client is told that has nothing of a thread yet."""
        if (messages := _messages_in(state)) is not None:
            self.held.know(messages)
            yield self._snapshot(messages)
        if told := self._state.tell(state):
            yield told

    def _snapshot(self, messages: Sequence[Any]) -> AgentEvent:
        told = self.held.beside(agent_messages(messages, self._of_message))
        return {"type": "MESSAGES_SNAPSHOT", "messages": told, "metadata": SCOPE}

    def _begin_message(self, fact: facts.MessageBegan) -> Iterator[AgentEvent]:
        if subagent := self._around(fact.namespace):
            # Of a message that is said again the first owner stays.
            self._of_message.setdefault(fact.message_id, subagent)
        return iter(())

    def _end_message(self, fact: facts.MessageEnded) -> Iterator[AgentEvent]:
        self._usage.setdefault((fact.provider, fact.model), Usage()).add(fact.usage)
        return iter(())

    def _begin_block(self, fact: facts.BlockBegan) -> Iterator[AgentEvent]:
        if fact.kind == "reasoning":
            yield self._by(fact, {"type": "REASONING_START", "messageId": fact.block_id})
            yield self._by(
                fact,
                {
                    "type": "REASONING_MESSAGE_START",
                    "messageId": fact.block_id,
                    "role": "reasoning",
                },
            )
            return
        # The first text of a message has its id, which its calls refer to.
        is_first = fact.message_id not in self._said
        id = self._texts[fact.block_id] = fact.message_id if is_first else fact.block_id
        self._said.add(fact.message_id)
        start = {"type": "TEXT_MESSAGE_START", "messageId": id, "role": "assistant"}
        yield self._by(fact, start)

    def _grow_block(self, fact: facts.BlockGrew) -> Iterator[AgentEvent]:
        if fact.kind == "reasoning":
            type, id = "REASONING_MESSAGE_CONTENT", fact.block_id
        else:
            type, id = "TEXT_MESSAGE_CONTENT", self._texts[fact.block_id]
        yield self._by(fact, {"type": type, "messageId": id, "delta": fact.delta})

    def _end_block(self, fact: facts.BlockEnded) -> Iterator[AgentEvent]:
        if fact.kind == "reasoning":
            for type in ("REASONING_MESSAGE_END", "REASONING_END"):
                yield self._by(fact, {"type": type, "messageId": fact.block_id})
        else:
            id = self._texts.pop(fact.block_id)
            yield self._by(fact, {"type": "TEXT_MESSAGE_END", "messageId": id})

    def _begin_call(self, fact: facts.CallBegan) -> Iterator[AgentEvent]:
        if owner := self._of_message.get(str(fact.message_id)):
            self._of_call[fact.call_id] = owner
        start: AgentEvent = {
            "type": "TOOL_CALL_START",
            "toolCallId": fact.call_id,
            "toolCallName": fact.name,
        }
        if fact.message_id is not None:
            start["parentMessageId"] = fact.message_id
        yield self._by(fact, start)

    def _grow_call(self, fact: facts.CallGrew) -> Iterator[AgentEvent]:
        yield {"type": "TOOL_CALL_ARGS", "toolCallId": fact.call_id, "delta": fact.delta}

    def _make_call(self, fact: facts.CallMade) -> Iterator[AgentEvent]:
        if fact.message_id is None:
            delta = dumps(fact.arguments)
            yield {"type": "TOOL_CALL_ARGS", "toolCallId": fact.call_id, "delta": delta}
        if fact.error is None:
            self._made[fact.call_id] = fact.name, fact.arguments
        yield self._by(fact, {"type": "TOOL_CALL_END", "toolCallId": fact.call_id})

    def _break_off_call(self, fact: facts.CallBrokenOff) -> Iterator[AgentEvent]:
        yield self._by(fact, {"type": "TOOL_CALL_END", "toolCallId": fact.call_id})

    def _progress(self, fact: facts.CallProgressed) -> Iterator[AgentEvent]:
        value = {"toolCallId": fact.call_id, "delta": fact.data}
        yield {"type": "CUSTOM", "name": PROGRESS, "value": value}

    def _answer_call(self, fact: facts.CallAnswered) -> Iterator[AgentEvent]:
        self._made.pop(fact.call_id, None)
        told: AgentEvent = {
            "type": "TOOL_CALL_RESULT",
            "messageId": result_id(fact.call_id),
            "toolCallId": fact.call_id,
            "content": result_of(fact.output if fact.error is None else fact.error),
            "role": "tool",
            **_told(subagentRunId=self._of_call.get(fact.call_id)),
        }
        yield told if fact.error is None else {**told, "metadata": {"status": "error"}}

    def _show_file(self, fact: facts.FileShown) -> Iterator[AgentEvent]:
        # Messages of assistants are text alone.
        content = {"mediaType": fact.media_type, "url": fact.url}
        number = self._files[fact.message_id]
        self._files[fact.message_id] += 1
        yield self._by(
            fact,
            {
                "type": "ACTIVITY_SNAPSHOT",
                "messageId": file_id(fact.message_id, number),
                "activityType": "file",
                "content": content,
            },
        )

    def _show_source(self, fact: facts.SourceShown) -> Iterator[AgentEvent]:
        value = {"messageId": fact.message_id, "url": fact.url, "title": fact.title}
        yield self._by(fact, {"type": "CUSTOM", "name": SOURCE, "value": value})

    def _show_state(self, fact: facts.StateChanged) -> Iterator[AgentEvent]:
        if (messages := _messages_in(fact.values)) is not None:
            self.held.know(messages)
            if self._state.has_lost_messages(messages):
                yield self._snapshot(messages)
        if told := self._state.tell(fact.values):
            yield told

    def _write(self, fact: facts.Written) -> Iterator[AgentEvent]:
        yield self._written.tell(fact.data, self._around(fact.namespace))

    def _begin_graph(self, fact: facts.GraphBegan) -> Iterator[AgentEvent]:
        path = fact.namespace
        if path in self._open:
            return
        # One that begins again, as its node is tried again, is another one.
        self._begun += path in self._subagents
        id = "|".join(path) + (f"#{self._begun}" if path in self._subagents else "")
        told = {"type": "SUBAGENT_STARTED", "subagentRunId": id, "name": fact.name}
        told |= _told(parentToolCallId=fact.call_id)
        outer = next(
            (path[:n] for n in range(len(path) - 1, 0, -1) if path[:n] in self._open), None
        )
        if outer is not None:
            told["parentSubagentRunId"] = self._subagents[outer]
        self._subagents[path] = id
        self._open.add(path)
        yield told

    def _end_graph(self, fact: facts.GraphEnded) -> Iterator[AgentEvent]:
        if fact.namespace not in self._open:
            return
        yield from self._end_steps(fact.namespace)
        self._open.remove(fact.namespace)
        id = self._subagents[fact.namespace]
        if fact.status == "failed":
            message = f"{fact.name} has failed" if fact.name else "its run has ended before it"
            yield {"type": "SUBAGENT_ERROR", "subagentRunId": id, "message": message}
            return
        outcome = "success" if fact.status == "completed" else "suspended"
        yield {"type": "SUBAGENT_FINISHED", "subagentRunId": id, "outcome": {"type": outcome}}

    def _begin_step(self, fact: facts.StepBegan) -> Iterator[AgentEvent]:
        key = fact.namespace, fact.name
        if key not in self._steps:
            # Tasks of the same node that run at the same time are one step.
            self._steps[key] = set()
            yield self._step("STEP_STARTED", *key)
        self._steps[key].add(fact.task_id)

    def _end_step(self, fact: facts.StepEnded) -> Iterator[AgentEvent]:
        key = fact.namespace, fact.name
        running = self._steps.get(key, set())
        if fact.task_id in running:
            running.remove(fact.task_id)
            if not running:
                del self._steps[key]
                yield self._step("STEP_FINISHED", *key)

    def _end_steps(self, path: tuple[str, ...]) -> Iterator[AgentEvent]:
        """Yield the ends of the steps of a graph, and of those in it."""
        for key in [key for key in self._steps if key[0][: len(path)] == path]:
            del self._steps[key]
            yield self._step("STEP_FINISHED", *key)

    def _step(self, type: str, path: tuple[str, ...], name: str) -> AgentEvent:
        return {"type": type, "stepName": name, **_told(subagentRunId=self._subagents.get(path))}

    def _ask(self, fact: facts.Asked) -> Iterator[AgentEvent]:
        self._note_question(fact)
        return iter(())

    def _note_question(self, fact: facts.Asked) -> None:
        asker = _told(subagentRunId=self._around(fact.namespace))
        self._interrupts.extend({**one, **asker} for one in interrupts_of(fact, self._made))

    def _by(self, fact: Any, told: AgentEvent) -> AgentEvent:
        """Return an event with the subagent that its message is from."""
        subagent = self._of_message.get(fact.message_id)
        return told if subagent is None else {**told, "subagentRunId": subagent}

    def _around(self, namespace: tuple[str, ...]) -> str | None:
        """Return the innermost of the subagents that a graph is in, or is."""
        lengths = range(len(namespace), 0, -1)
        found = (self._subagents.get(namespace[:length]) for length in lengths)
        return next(filter(None, found), None)


def _messages_in(state: Any) -> Sequence[Any] | None:
    messages = state.get(MESSAGES) if isinstance(state, Mapping) else None
    return messages if isinstance(messages, (list, tuple)) else None


def _told(**fields: str | None) -> dict[str, str]:
    """Return the fields that there are: the protocol has no null."""
    return {name: value for name, value in fields.items() if value is not None}


_HANDLERS: Final = cast(
    "Mapping[type[facts.Fact], Callable[[Encoder, Any], Iterator[AgentEvent]]]",
    {
        facts.MessageBegan: Encoder._begin_message,
        facts.MessageEnded: Encoder._end_message,
        facts.BlockBegan: Encoder._begin_block,
        facts.BlockGrew: Encoder._grow_block,
        facts.BlockEnded: Encoder._end_block,
        facts.CallBegan: Encoder._begin_call,
        facts.CallGrew: Encoder._grow_call,
        facts.CallMade: Encoder._make_call,
        facts.CallBrokenOff: Encoder._break_off_call,
        facts.CallProgressed: Encoder._progress,
        facts.CallAnswered: Encoder._answer_call,
        facts.FileShown: Encoder._show_file,
        facts.SourceShown: Encoder._show_source,
        facts.StateChanged: Encoder._show_state,
        facts.Written: Encoder._write,
        facts.GraphBegan: Encoder._begin_graph,
        facts.GraphEnded: Encoder._end_graph,
        facts.StepBegan: Encoder._begin_step,
        facts.StepEnded: Encoder._end_step,
        facts.Asked: Encoder._ask,
    },
)
