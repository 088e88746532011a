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

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.utils.uuid import uuid7

from millstream.protocols import facts
from millstream.protocols.agui_requests import AgentRequest, read
from millstream.protocols.approvals import approval_id, calls_to_approve
from millstream.protocols.lines import HEADERS, dumps, line
from millstream.protocols.reading import Reader
from millstream.protocols.running import Describe, alines, describe, lines
from millstream.protocols.usage import Usage

if TYPE_CHECKING:
    from millstream.modes.protocol_events import ProtocolEvent

__all__ = ("HEADERS", "AgentRequest", "Encoder", "astream", "read", "stream")

VERSION: Final = "1.0"
MESSAGES: Final = "messages"
"""The key of the state that is not shown as such: it is what the other events tell."""

AgentEvent = dict[str, Any]


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
    return lines(graph, input, config, encoder or Encoder(), describe, options)


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
    return alines(graph, input, config, encoder or Encoder(), describe, options)


class Encoder:
    """Says one run as AG-UI events; without I/O."""

    def __init__(
        self,
        thread_id: str | None = None,
        run_id: str | None = None,
        *,
        calls: Mapping[str, str] | None = None,
    ) -> None:
        """Begin a run.

        Args:
            thread_id: Its thread, as the client calls it; a new name by default.
            run_id: Its id, as the client calls it; a new one by default.
            calls: The calls of tools in the thread that wait for an answer: id -> name.
        """
        self._ids = {"threadId": thread_id or str(uuid7()), "runId": run_id or str(uuid7())}
        self._reader = Reader(calls)
        self._usage = Usage()
        self._made: dict[str, tuple[str, Any]] = {}
        """The calls that were made and wait: id -> name and arguments."""
        self._interrupts: list[AgentEvent] = []
        self._subagents: dict[tuple[str, ...], str] = {}
        """The nested graphs that go on: namespace -> id."""
        self._of_message: dict[str, str] = {}
        """Which subagent says a message."""
        self._texts: dict[str, str] = {}
        """The pieces of text that grow -> the message they are for the client."""
        self._said: set[str] = set()
        """The messages that have text."""
        self._state: Any = None

    @classmethod
    def of(cls, asked: AgentRequest) -> Encoder:
        """Return the encoder of the answer to a request."""
        return cls(asked.thread_id, asked.run_id, calls=asked.calls)

    def begin(self) -> str:
        """Return the line that begins the run."""
        return line({"type": "RUN_STARTED", **self._ids, "protocolVersion": VERSION})

    def encode(self, event: ProtocolEvent) -> str:
        """Return the lines for an event of the run's stream, often none."""
        return "".join(map(line, self.events(event)))

    def events(self, event: ProtocolEvent) -> Iterator[AgentEvent]:
        """Yield the AG-UI events that an event of the run's stream makes."""
        for fact in self._reader.read(event):
            yield from _HANDLERS[type(fact)](self, fact)

    def restart(self) -> str:
        """Return the lines that end what was not complete: the run begins anew."""
        return "".join(map(line, self._close("begun again")))

    def end(self, error: str | None = None, *, is_cancelled: bool = False) -> str:
        """Return the lines that end the run.

        Args:
            error: Why it has failed.
            is_cancelled: Somebody has stopped it.
        """
        said = "".join(map(line, self._close(error)))
        usage: AgentEvent = {"usage": [self._usage.in_camel_case()]} if self._usage else {}
        if error is not None:
            return said + line({"type": "RUN_ERROR", "message": error, **usage})
        if is_cancelled:
            outcome: AgentEvent = {"type": "cancelled"}
        elif self._interrupts:
            outcome = {"type": "interrupt", "interrupts": self._interrupts}
        else:
            outcome = {"type": "success"}
            if self._made:
                outcome["pendingToolCallIds"] = list(self._made)
        return said + line({"type": "RUN_FINISHED", **self._ids, "outcome": outcome, **usage})

    def _close(self, error: str | None) -> Iterator[AgentEvent]:
        for fact in self._reader.close(error):
            yield from _HANDLERS[type(fact)](self, fact)
        for path in sorted(self._subagents, key=len, reverse=True):
            yield from self._end_graph(facts.GraphEnded(path, "", "failed"))

    def _begin_message(self, fact: facts.MessageBegan) -> Iterator[AgentEvent]:
        if subagent := self._around(fact.namespace):
            self._of_message[fact.message_id] = subagent
        return iter(())

    def _end_message(self, fact: facts.MessageEnded) -> Iterator[AgentEvent]:
        self._usage.add(fact.usage)
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
        yield {"type": "CUSTOM", "name": "tool-output-delta", "value": value}

    def _answer_call(self, fact: facts.CallAnswered) -> Iterator[AgentEvent]:
        self._made.pop(fact.call_id, None)
        output = fact.output if fact.error is None else fact.error
        told: AgentEvent = {
            "type": "TOOL_CALL_RESULT",
            "messageId": f"{fact.call_id}:result",
            "toolCallId": fact.call_id,
            "content": output if isinstance(output, str) else dumps(output),
            "role": "tool",
        }
        yield told if fact.error is None else {**told, "metadata": {"status": "error"}}

    def _show_file(self, fact: facts.FileShown) -> Iterator[AgentEvent]:
        # Messages of assistants are text alone.
        content = {"mediaType": fact.media_type, "url": fact.url}
        yield self._by(
            fact,
            {
                "type": "ACTIVITY_SNAPSHOT",
                "messageId": str(uuid7()),
                "activityType": "file",
                "content": content,
            },
        )

    def _show_source(self, fact: facts.SourceShown) -> Iterator[AgentEvent]:
        value = {"messageId": fact.message_id, "url": fact.url, "title": fact.title}
        yield self._by(fact, {"type": "CUSTOM", "name": "source", "value": value})

    def _show_state(self, fact: facts.StateChanged) -> Iterator[AgentEvent]:
        values = fact.values
        if isinstance(values, Mapping):
            values = {key: value for key, value in values.items() if key != MESSAGES}
        text = dumps(values)
        if text != self._state:
            self._state = text
            yield {"type": "STATE_SNAPSHOT", "snapshot": values}

    def _write(self, fact: facts.Written) -> Iterator[AgentEvent]:
        data, name = fact.data, "custom"
        if isinstance(data, Mapping) and data.keys() == {"name", "payload"}:
            name, data = str(data["name"]), data["payload"]
        told = {"type": "CUSTOM", "name": name, "value": data}
        subagent = self._around(fact.namespace)
        yield {**told, "subagentRunId": subagent} if subagent else told

    def _begin_graph(self, fact: facts.GraphBegan) -> Iterator[AgentEvent]:
        id = "|".join(fact.namespace)
        told = {"type": "SUBAGENT_STARTED", "subagentRunId": id, "name": fact.name}
        if outer := self._around(fact.namespace[:-1]):
            told["parentSubagentRunId"] = outer
        self._subagents[fact.namespace] = id
        yield told

    def _end_graph(self, fact: facts.GraphEnded) -> Iterator[AgentEvent]:
        id = self._subagents.pop(fact.namespace, None)
        if id is None:
            return
        if fact.status == "failed":
            message = f"{fact.name or 'the graph'} has failed"
            yield {"type": "SUBAGENT_ERROR", "subagentRunId": id, "message": message}
            return
        outcome = "success" if fact.status == "completed" else "suspended"
        yield {"type": "SUBAGENT_FINISHED", "subagentRunId": id, "outcome": {"type": outcome}}

    def _ask(self, fact: facts.Asked) -> Iterator[AgentEvent]:
        calls = calls_to_approve(fact.value, self._made)
        for number, call_id in enumerate(calls):
            action = fact.value["action_requests"][number]
            asked: AgentEvent = {
                "id": approval_id(fact.question_id, number),
                "reason": "tool_call",
                "toolCallId": call_id,
                "metadata": {"value": action},
            }
            if isinstance(text := action.get("description"), str):
                asked["message"] = text
            self._interrupts.append(asked)
        if not calls:
            asked = {
                "id": fact.question_id,
                "reason": "input_required",
                "metadata": {"value": fact.value},
            }
            if isinstance(fact.value, str):
                asked["message"] = fact.value
            if isinstance(fact.schema, Mapping):
                asked["responseSchema"] = fact.schema
            self._interrupts.append(asked)
        return iter(())

    def _by(self, fact: Any, told: AgentEvent) -> AgentEvent:
        """Return an event with the subagent that its message is from."""
        subagent = self._of_message.get(fact.message_id)
        return told if subagent is None else {**told, "subagentRunId": subagent}

    def _around(self, namespace: tuple[str, ...]) -> str | None:
        """Return the innermost of the subagents that a graph is in, or is."""
        lengths = range(len(namespace), 0, -1)
        found = (self._subagents.get(namespace[:length]) for length in lengths)
        return next(filter(None, found), None)


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
        facts.Asked: Encoder._ask,
    },
)
