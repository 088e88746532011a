"""`ResponsesEncoder`: one run as a response of OpenAI's API, whole or as events."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.utils.uuid import uuid7

from millstream._base.clock import current
from millstream.protocols import facts
from millstream.protocols.endings import Ending, ending_of
from millstream.protocols.lines import dumps, named_line
from millstream.protocols.openai_chat import error_of, markdown_of
from millstream.protocols.openai_requests import QUESTION, names_of
from millstream.protocols.openai_response_requests import QUESTION_ID, ResponseRequest
from millstream.protocols.reading import Reader
from millstream.protocols.usage import Usage

if TYPE_CHECKING:
    from millstream.modes.protocol_events import ProtocolEvent

Item = dict[str, Any]
PICTURE: Final = ";base64,"
REASONS: Final[Mapping[Ending, str]] = {"length": "max_output_tokens", "filtered": "content_filter"}
"""Why a model has not said all, in OpenAI's words."""


class ResponsesEncoder:
    """Says one run as the events of a response; without I/O.

    Each piece of text or reasoning is an item of the output. Calls that tools of the graph have
    answered are items of the type `mcp_call`; the client's are those of its tools that nobody has
    answered.
    """

    def __init__(
        self,
        model: str = "millstream",
        *,
        response_id: str | None = None,
        created: int | None = None,
        conversation_id: str | None = None,
        previous_id: str | None = None,
        after: int = -1,
        tools: Collection[str] | None = None,
    ) -> None:
        """Begin a response.

        Args:
            model: What the client has asked for.
            response_id: Its id; a new one by default.
            created: When it was made, in seconds since the epoch; now by default.
            conversation_id: The conversation that it belongs to.
            previous_id: The response that it follows.
            after: The number of the last event that the client has: no more are told than follow.
            tools: The names of the client's tools: calls of these that nobody has answered are the
                client's. By default all are that nobody has answered.
        """
        conversation = None if conversation_id is None else {"id": conversation_id}
        self._response: dict[str, Any] = {
            "id": response_id or f"resp_{uuid7().hex}",
            "object": "response",
            "created_at": int(current().timestamp()) if created is None else created,
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": model,
            "output": [],
            "parallel_tool_calls": True,
            "previous_response_id": previous_id,
            "conversation": conversation,
            "temperature": None,
            "tool_choice": "auto",
            "tools": [],
            "top_p": None,
            "usage": None,
        }
        self._after = after
        self._tools = tools
        self._seq = -1
        self._reader = Reader()
        self._usage = Usage()
        self._open: dict[str, int] = {}
        """The items that grow, by the ids of their blocks -> their places in the output."""
        self._notes: dict[str, list[Item]] = {}
        """What the text of a message quotes."""
        self._made: dict[str, facts.CallMade] = {}
        self._questions: list[facts.Asked] = []
        self._reason: str | None = None

    @classmethod
    def of(cls, asked: ResponseRequest) -> ResponsesEncoder:
        """Return the encoder of the answer to a request."""
        return cls(
            asked.model,
            conversation_id=asked.conversation_id,
            previous_id=asked.previous_id,
            tools=names_of(asked.tools),
        )

    def begin(self) -> str:
        """Return the events that begin the response."""
        begun = ("response.created", "response.in_progress")
        return "".join(self._event(type, response=self._shown()) for type in begun)

    def encode(self, event: ProtocolEvent) -> str:
        """Return the events for an event of the run's stream, often none."""
        return self._said(self._reader.read(event))

    def restart(self) -> str:
        """Return the events that end what was not complete: the run begins anew."""
        return self._said(self._reader.close("begun again"))

    def end(
        self, error: str | None = None, *, code: str | None = None, is_cancelled: bool = False
    ) -> str:
        """Return the events that end the response.

        Args:
            error: Why the run has failed.
            code: Its class, for which the protocol has no place.
            is_cancelled: Somebody has stopped it.
        """
        said = self._said(self._reader.close())
        response = self._response
        response["usage"] = self._usage_told()
        if is_cancelled or error is not None:
            response["status"] = "cancelled" if is_cancelled else "failed"
            message = "the run was cancelled" if error is None else error
            response["error"] = {"code": "server_error", "message": message}
            return said + self._event("response.failed", response=self._shown())
        calls = "".join(self._calls())
        reason = None if calls else REASONS.get(ending_of(self._reason))
        response["status"] = "completed" if reason is None else "incomplete"
        response["incomplete_details"] = None if reason is None else {"reason": reason}
        return said + calls + self._event(f"response.{response['status']}", response=self._shown())

    def result(self) -> dict[str, Any]:
        """Return the whole response, or the error, after `end`."""
        if self._response["status"] == "failed":
            return {"error": error_of(self._response["error"]["message"])}
        return self._shown()

    def _said(self, said: Iterator[facts.Fact]) -> str:
        return "".join(
            text
            for fact in said
            if (handle := _HANDLERS.get(type(fact))) is not None
            for text in handle(self, fact)
        )

    def _begin_block(self, fact: facts.BlockBegan) -> Iterator[str]:
        if fact.kind == "reasoning":
            item: Item = {"type": "reasoning", "id": _id("rs", fact.block_id), "summary": []}
        else:
            item = {"type": "message", "id": _id("msg", fact.block_id), "role": "assistant"}
        part = _part(fact.kind, "")
        place = self._open[fact.block_id] = len(self._response["output"])
        yield self._add({**item, "status": "in_progress", "content": []})
        yield self._of(place, "response.content_part.added", content_index=0, part=part)

    def _grow_block(self, fact: facts.BlockGrew) -> Iterator[str]:
        place = self._open[fact.block_id]
        told: Item = {"logprobs": []} if fact.kind == "text" else {}
        type = f"response.{_PART[fact.kind]}.delta"
        yield self._of(place, type, content_index=0, delta=fact.delta, **told)

    def _end_block(self, fact: facts.BlockEnded) -> Iterator[str]:
        place = self._open.pop(fact.block_id)
        part = _part(fact.kind, fact.text)
        told: Item = {_field(fact.kind): fact.text}
        if fact.kind == "text":
            told["logprobs"] = []
            notes = self._notes.pop(fact.message_id, [])
            for index, note in enumerate(notes):
                note["end_index"] = len(fact.text)
                yield self._of(
                    place,
                    "response.output_text.annotation.added",
                    content_index=0,
                    annotation_index=index,
                    annotation=note,
                )
            part["annotations"] = notes
        type = f"response.{_PART[fact.kind]}.done"
        yield self._of(place, type, content_index=0, **told)
        yield self._of(place, "response.content_part.done", content_index=0, part=part)
        yield self._finish(place, content=[part], status="completed")

    def _show_source(self, fact: facts.SourceShown) -> Iterator[str]:
        note = {
            "type": "url_citation",
            "url": fact.url,
            "title": fact.title or fact.url,
            "start_index": 0,
            "end_index": 0,
        }
        self._notes.setdefault(fact.message_id, []).append(note)
        return iter(())

    def _show_file(self, fact: facts.FileShown) -> Iterator[str]:
        place = len(self._response["output"])
        head, is_inline, data = fact.url.partition(PICTURE)
        if is_inline and head.startswith("data:image/"):
            id = _id("ig", f"{fact.message_id}:{place}")
            yield self._add({"type": "image_generation_call", "id": id, "status": "in_progress"})
            yield self._of(place, "response.image_generation_call.completed")
            yield self._finish(place, result=data, status="completed")
            return
        # There is no item for other files: Markdown is what clients make links and pictures of.
        text = markdown_of(fact)
        block_id = f"{fact.message_id}:file-{place}"
        for said in (
            facts.BlockBegan("text", block_id, fact.message_id),
            facts.BlockGrew("text", block_id, fact.message_id, text),
            facts.BlockEnded("text", block_id, fact.message_id, text),
        ):
            yield from _HANDLERS[type(said)](self, said)

    def _end_message(self, fact: facts.MessageEnded) -> Iterator[str]:
        self._usage.add(fact.usage)
        self._reason = fact.reason
        return iter(())

    def _make_call(self, fact: facts.CallMade) -> Iterator[str]:
        self._made[fact.call_id] = fact
        return iter(())

    def _answer_call(self, fact: facts.CallAnswered) -> Iterator[str]:
        made = self._made.pop(fact.call_id, None)
        if made is None:
            return
        place = len(self._response["output"])
        output = fact.output if isinstance(fact.output, str) else dumps(fact.output)
        item: Item = {
            "type": "mcp_call",
            "id": _id("mcp", fact.call_id),
            "server_label": self._response["model"],
            "name": fact.name,
            "arguments": _arguments(made),
        }
        yield self._add({**item, "status": "in_progress", "output": None, "error": None})
        end = "completed" if fact.error is None else "failed"
        yield self._of(place, f"response.mcp_call.{end}")
        told: Item = {"output": output}
        if fact.error is not None:
            content = [{"type": "text", "text": fact.error}]
            told = {"error": {"type": "mcp_tool_execution_error", "content": content}}
        yield self._finish(place, status=end, **told)

    def _ask(self, fact: facts.Asked) -> Iterator[str]:
        self._questions.append(fact)
        return iter(())

    def _calls(self) -> Iterator[str]:
        """Yield the events of the calls that the client is to answer."""
        # A run that asks has not come to its end: its calls are not the client's.
        asked = [
            (f"{QUESTION_ID}{one.question_id}", QUESTION, dumps(one.value))
            for one in self._questions
        ]
        made = [
            (call.call_id, call.name, _arguments(call))
            for call in self._made.values()
            if call.message_id is not None
            and not call.is_server_side
            and (self._tools is None or call.name in self._tools)
        ]
        for call_id, name, arguments in asked or made:
            place = len(self._response["output"])
            item = {"type": "function_call", "id": _id("fc", call_id), "call_id": call_id}
            yield self._add({**item, "name": name, "arguments": "", "status": "in_progress"})
            yield self._of(place, "response.function_call_arguments.delta", delta=arguments)
            yield self._of(
                place, "response.function_call_arguments.done", arguments=arguments, name=name
            )
            yield self._finish(place, arguments=arguments, status="completed")

    def _usage_told(self) -> dict[str, Any]:
        counted = self._usage
        return {
            "input_tokens": counted.input,
            "input_tokens_details": {
                "cached_tokens": counted.cached,
                "cache_write_tokens": counted.written,
            },
            "output_tokens": counted.output,
            "output_tokens_details": {"reasoning_tokens": counted.reasoning},
            "total_tokens": counted.total,
        }

    def _add(self, item: Item) -> str:
        output: list[Item] = self._response["output"]
        output.append(item)
        place = len(output) - 1
        return self._event("response.output_item.added", output_index=place, item={**item})

    def _finish(self, place: int, **more: Any) -> str:
        item = self._response["output"][place]
        item |= more
        return self._event("response.output_item.done", output_index=place, item={**item})

    def _of(self, place: int, type: str, **more: Any) -> str:
        """Return an event about an item of the output."""
        id = self._response["output"][place]["id"]
        return self._event(type, item_id=id, output_index=place, **more)

    def _event(self, type: str, **more: Any) -> str:
        self._seq += 1
        if self._seq <= self._after:
            return ""
        return named_line(type, {"type": type, "sequence_number": self._seq, **more})

    def _shown(self) -> dict[str, Any]:
        return {**self._response, "output": list(self._response["output"])}


_PART: Final[Mapping[facts.BlockKind, str]] = {
    "text": "output_text",
    "reasoning": "reasoning_text",
    "refusal": "refusal",
}
_HANDLERS: Final = cast(
    "Mapping[type[facts.Fact], Callable[[ResponsesEncoder, Any], Iterator[str]]]",
    {
        facts.BlockBegan: ResponsesEncoder._begin_block,
        facts.BlockGrew: ResponsesEncoder._grow_block,
        facts.BlockEnded: ResponsesEncoder._end_block,
        facts.MessageEnded: ResponsesEncoder._end_message,
        facts.SourceShown: ResponsesEncoder._show_source,
        facts.FileShown: ResponsesEncoder._show_file,
        facts.CallMade: ResponsesEncoder._make_call,
        facts.CallAnswered: ResponsesEncoder._answer_call,
        facts.Asked: ResponsesEncoder._ask,
    },
)


def _part(kind: facts.BlockKind, text: str) -> Item:
    """Return a part of the content of an item."""
    part: Item = {"type": _PART[kind], _field(kind): text}
    return {**part, "annotations": [], "logprobs": []} if kind == "text" else part


def _field(kind: facts.BlockKind) -> str:
    """Return where the text of a part is."""
    return "refusal" if kind == "refusal" else "text"


def _id(kind: str, id: str) -> str:
    return f"{kind}_{id}"


def _arguments(call: facts.CallMade) -> str:
    return call.arguments if isinstance(call.arguments, str) else dumps(call.arguments or {})
