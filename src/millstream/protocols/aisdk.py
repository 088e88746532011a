"""The UI message stream of the AI SDK, version 1, as `useChat` of its versions 5, 6 and 7 reads it.

```python
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from millstream.protocols import aisdk

app = FastAPI()


@app.post("/api/chat")
async def chat(request: Request) -> StreamingResponse:
    asked = aisdk.read(await request.json())
    config = {"configurable": {"thread_id": asked.chat_id}}
    lines = aisdk.astream(graph, asked.input, config, encoder=aisdk.Encoder.of(asked))
    return StreamingResponse(lines, headers=aisdk.HEADERS)
```

One run is one message of the assistant, or goes on with the last one: each message of a model is a
step of it, whichever graph has said it. `docs/frontends.md` has the table of parts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

from langchain_core.utils.uuid import uuid7

from millstream.protocols import facts
from millstream.protocols.aisdk_messages import said_again, ui_messages
from millstream.protocols.aisdk_requests import ChatRequest, read
from millstream.protocols.approvals import approval_id, calls_to_approve
from millstream.protocols.contents import as_data
from millstream.protocols.endings import Ending, ending_of
from millstream.protocols.lines import DONE, line
from millstream.protocols.lines import HEADERS as EVENTS
from millstream.protocols.reading import Reader
from millstream.protocols.running import Describe, alines, describe, lines
from millstream.protocols.usage import Usage

if TYPE_CHECKING:
    from millstream.modes.protocol_events import ProtocolEvent

__all__ = ("HEADERS", "ChatRequest", "Encoder", "astream", "read", "stream", "ui_messages")

HEADERS: Final[Mapping[str, str]] = {
    **EVENTS,
    "x-vercel-ai-ui-message-stream": "v1",
}
"""What a response has to say that its body is such a stream."""

Version: TypeAlias = Literal[6, 7]
Part: TypeAlias = dict[str, Any]

REASONS: Final[Mapping[Ending, str]] = {
    "stop": "stop",
    "length": "length",
    "filtered": "content-filter",
    "calls": "tool-calls",
    "other": "other",
}
"""Why a model has stopped, in the AI SDK's words."""
TEXTS: Final[Mapping[facts.BlockKind, str]] = {
    "text": "text",
    "reasoning": "reasoning",
    "refusal": "text",
}
"""The kinds of text -> the parts that they are."""
PASSED_ON: Final = frozenset(("type", "id", "data", "transient"))
"""The fields of a data part."""


def stream(
    graph: Any,
    input: Any,
    config: Any = None,
    *,
    encoder: Encoder | None = None,
    describe: Describe = describe,
    **options: Any,
) -> Iterator[str]:
    """Run a graph, and yield the lines of its UI message stream.

    Args:
        graph: What has `stream_events(version="v3")`: a graph, a `RemoteGraph`, a replay.
        input: As for `stream`.
        config: As for `stream`.
        encoder: What makes the lines, for a message that has an id already or goes on.
        describe: Makes the text that the page gets of an error; by default its class and text.
        **options: As for `stream_events`: `context`, `durability`, `interrupt_before`, ...

    Yields:
        Lines of server-sent events. An error of the run is a part of the stream, and is logged by
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
    """Run a graph in the event loop, and yield the lines of its UI message stream: see `stream`."""
    return alines(graph, input, config, encoder or Encoder(), describe, options)


class Encoder:
    """Says one run as parts of a UI message stream; without I/O."""

    def __init__(
        self,
        message_id: str | None = None,
        *,
        version: Version = 6,
        calls: Mapping[str, str] | None = None,
        said: Iterable[Mapping[str, Any]] = (),
        denied: Collection[str] = (),
    ) -> None:
        """Begin a message, or go on with one.

        Args:
            message_id: The id of the message; a new one by default.
            version: The major version of the page's `ai`. Parts that only 7 has are sent to 7.
            calls: The calls of tools in that message that wait for an answer: id -> name.
            said: The parts that it has already, as in `ui_messages`, for a page that does not have
                them.
            denied: The calls that were not approved on the page, which knows why.
        """
        self._message_id = message_id or str(uuid7())
        self._version = version
        self._said = said
        self._denied = denied
        self._reader = Reader(calls)
        self._made: dict[str, tuple[str, Any]] = {}
        """The calls that were made and wait: id -> name and arguments."""
        self._usage = Usage()
        self._reason: str | None = None
        self._speaking = 0
        """How many messages are being said."""
        self._has_step = False
        self._step_messages = 0
        self._is_cut = False
        """The model of the step has broken off, and nothing has happened since."""

    @classmethod
    def of(cls, asked: ChatRequest, *, version: Version = 6) -> Encoder:
        """Return the encoder of the answer to a request."""
        return cls(asked.message_id, version=version, calls=asked.calls, denied=asked.denied)

    def begin(self) -> str:
        """Return the lines that begin the message."""
        parts = ({"type": "start", "messageId": self._message_id}, *said_again(self._said))
        return "".join(map(line, parts))

    def encode(self, event: ProtocolEvent) -> str:
        """Return the lines for an event of the run's stream, often none."""
        return "".join(map(line, self.parts(event)))

    def parts(self, event: ProtocolEvent) -> Iterator[Part]:
        """Yield the parts that an event of the run's stream makes."""
        for fact in self._reader.read(event):
            yield from self._say(fact)

    def restart(self) -> str:
        """Return the lines that say that what was being said is said again: the run begins anew."""
        left = [part for fact in self._reader.close("begun again") for part in self._say(fact)]
        return "".join(map(line, left))

    def end(
        self, error: str | None = None, *, code: str | None = None, is_cancelled: bool = False
    ) -> str:
        """Return the lines that end the message.

        Args:
            error: Why the run has failed.
            code: Its class, for which the protocol has no place.
            is_cancelled: Somebody has stopped it.
        """
        return "".join(map(line, self._ending(error, is_cancelled))) + DONE

    def _ending(self, error: str | None, is_cancelled: bool) -> Iterator[Part]:
        for fact in self._reader.close():
            yield from self._say(fact)
        if self._is_cut and error is None and not is_cancelled:
            yield {"type": "reset-step"}
        if self._has_step:
            yield {"type": "finish-step"}
        if is_cancelled:
            yield {"type": "abort", "reason": "cancelled"}
            return
        if error is not None:
            yield {"type": "error", "errorText": error}
        reason = "error" if error is not None else REASONS[ending_of(self._reason)]
        finish: Part = {"type": "finish", "finishReason": reason}
        if self._usage:
            finish["messageMetadata"] = {"usage": self._usage.in_camel_case()}
        yield finish

    def _say(self, fact: facts.Fact) -> Iterator[Part]:
        if self._is_cut and not isinstance(fact, (facts.GraphEnded, facts.StepEnded)):
            # The run goes on: what its model has broken off is said again.
            self._is_cut = False
            yield {"type": "reset-step"}
        yield from _HANDLERS[type(fact)](self, fact)

    def _begin_message(self, fact: facts.MessageBegan) -> Iterator[Part]:
        # Steps do not overlap: messages that are said at the same time are one.
        if not self._speaking:
            if self._has_step:
                yield {"type": "finish-step"}
            self._has_step, self._step_messages = True, 0
            yield {"type": "start-step"}
        self._speaking += 1
        self._step_messages += 1

    def _end_message(self, fact: facts.MessageEnded) -> Iterator[Part]:
        self._speaking -= 1
        self._usage.add(fact.usage)
        if fact.error is None:
            self._reason = fact.reason
        elif self._version >= 7 and self._step_messages == 1:
            # If the run fails of it, this is the last that the page has to show.
            self._is_cut = True
        return iter(())

    def _begin_block(self, fact: facts.BlockBegan) -> Iterator[Part]:
        yield {"type": f"{TEXTS[fact.kind]}-start", "id": fact.block_id}

    def _grow_block(self, fact: facts.BlockGrew) -> Iterator[Part]:
        yield {"type": f"{TEXTS[fact.kind]}-delta", "id": fact.block_id, "delta": fact.delta}

    def _end_block(self, fact: facts.BlockEnded) -> Iterator[Part]:
        yield {"type": f"{TEXTS[fact.kind]}-end", "id": fact.block_id}

    def _begin_call(self, fact: facts.CallBegan) -> Iterator[Part]:
        if fact.message_id is not None:
            yield {"type": "tool-input-start", "toolCallId": fact.call_id, "toolName": fact.name}

    def _grow_call(self, fact: facts.CallGrew) -> Iterator[Part]:
        yield {
            "type": "tool-input-delta",
            "toolCallId": fact.call_id,
            "inputTextDelta": fact.delta,
        }

    def _make_call(self, fact: facts.CallMade) -> Iterator[Part]:
        part: Part = {
            "type": "tool-input-available",
            "toolCallId": fact.call_id,
            "toolName": fact.name,
            "input": fact.arguments,
        }
        if fact.is_server_side:
            part["providerExecuted"] = True
        if fact.error is not None:
            part |= {"type": "tool-input-error", "errorText": fact.error}
        else:
            self._made[fact.call_id] = fact.name, fact.arguments
        yield part

    def _break_off_call(self, fact: facts.CallBrokenOff) -> Iterator[Part]:
        yield {
            "type": "tool-input-error",
            "toolCallId": fact.call_id,
            "toolName": fact.name,
            "input": fact.text,
            "errorText": fact.error,
        }

    def _progress(self, fact: facts.CallProgressed) -> Iterator[Part]:
        if fact.name:
            yield {
                "type": "tool-output-available",
                "toolCallId": fact.call_id,
                "output": fact.data,
                "preliminary": True,
            }

    def _answer_call(self, fact: facts.CallAnswered) -> Iterator[Part]:
        self._made.pop(fact.call_id, None)
        part: Part = {"toolCallId": fact.call_id}
        if fact.error is not None and fact.call_id in self._denied:
            part["type"] = "tool-output-denied"
        elif fact.error is not None:
            part |= {"type": "tool-output-error", "errorText": fact.error}
        else:
            part |= {"type": "tool-output-available", "output": as_data(fact.output)}
        if fact.is_server_side:
            part["providerExecuted"] = True
        yield part

    def _show_file(self, fact: facts.FileShown) -> Iterator[Part]:
        yield {"type": "file", "mediaType": fact.media_type, "url": fact.url}

    def _show_source(self, fact: facts.SourceShown) -> Iterator[Part]:
        part = {"type": "source-url", "sourceId": fact.url, "url": fact.url}
        yield part if fact.title is None else {**part, "title": fact.title}

    def _write(self, fact: facts.Written) -> Iterator[Part]:
        data = fact.data
        if _is_data_part(data):
            yield dict(data)
        else:
            yield {"type": "data-custom", "data": data}

    def _tell_graph(self, fact: facts.GraphBegan | facts.GraphEnded) -> Iterator[Part]:
        status = "started" if isinstance(fact, facts.GraphBegan) else fact.status
        data = {"name": fact.name, "namespace": list(fact.namespace), "status": status}
        # With the same id the page has one part for it, which changes.
        yield {"type": "data-graph", "id": "|".join(fact.namespace), "data": data}

    def _ask(self, fact: facts.Asked) -> Iterator[Part]:
        data = {"id": fact.question_id, "value": fact.value}
        yield {"type": "data-interrupt", "id": fact.question_id, "data": data}
        for number, call_id in enumerate(calls_to_approve(fact.value, self._made)):
            yield {
                "type": "tool-approval-request",
                "approvalId": approval_id(fact.question_id, number),
                "toolCallId": call_id,
            }

    def _pass_by(self, fact: facts.StateChanged) -> Iterator[Part]:
        return iter(())


_HANDLERS: Final = cast(
    "Mapping[type[facts.Fact], Callable[[Encoder, Any], Iterator[Part]]]",
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
        facts.StateChanged: Encoder._pass_by,
        facts.Written: Encoder._write,
        facts.GraphBegan: Encoder._tell_graph,
        facts.GraphEnded: Encoder._tell_graph,
        facts.StepBegan: Encoder._pass_by,
        facts.StepEnded: Encoder._pass_by,
        facts.Asked: Encoder._ask,
    },
)


def _is_data_part(data: Any) -> bool:
    return (
        isinstance(data, Mapping)
        and "data" in data
        and data.keys() <= PASSED_ON
        and str(data.get("type")).startswith("data-")
        and isinstance(data.get("id", ""), str)
        and isinstance(data.get("transient", False), bool)
    )
