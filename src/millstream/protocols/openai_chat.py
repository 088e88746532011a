"""`ChatEncoder`: one run as a chat completion of OpenAI's API, whole or in chunks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.utils.uuid import uuid7

from millstream._base.clock import current
from millstream.protocols import facts
from millstream.protocols.endings import Ending, ending_of
from millstream.protocols.lines import DONE, dumps, line
from millstream.protocols.openai_requests import QUESTION, CompletionRequest, names_of
from millstream.protocols.reading import Reader
from millstream.protocols.usage import Usage

if TYPE_CHECKING:
    from millstream.modes.protocol_events import ProtocolEvent

Chunk = dict[str, Any]
Piece = tuple[str, str]
"""A field of the delta, and its text."""

REASONS: Final[Mapping[Ending, str]] = {"length": "length", "filtered": "content_filter"}
"""Why a model has stopped, in OpenAI's words; else that it has come to its end."""
FIELDS: Final = {"text": "content", "reasoning": "reasoning_content", "refusal": "refusal"}


class ChatEncoder:
    """Says one run as chunks of a chat completion; without I/O.

    A completion is one message. So messages that models say one after the other are parts of it,
    with an empty line between them; of those that are said at the same time, one waits for the
    other.
    """

    def __init__(
        self,
        model: str = "millstream",
        *,
        completion_id: str | None = None,
        created: int | None = None,
        has_usage: bool = False,
        tools: Collection[str] | None = None,
    ) -> None:
        """Begin a completion.

        Args:
            model: What the client has asked for.
            completion_id: Its id; a new one by default.
            created: When it was made, in seconds since the epoch; now by default.
            has_usage: A last chunk has the tokens, as `stream_options.include_usage` asks for.
            tools: The names of the client's tools: calls of these that nobody has answered are the
                client's. By default all are that nobody has answered.
        """
        self._frame = {
            "id": completion_id or f"chatcmpl-{uuid7()}",
            "object": "chat.completion.chunk",
            "created": int(current().timestamp()) if created is None else created,
            "model": model,
        }
        self._has_usage = has_usage
        self._tools = tools
        self._reader = Reader()
        self._usage = Usage()
        self._reason: str | None = None
        self._calls: dict[str, facts.CallMade] = {}
        """Calls that nobody has answered: if that stays so, they are the client's."""
        self._questions: list[facts.Asked] = []
        self._speaker: str | None = None
        """The message whose pieces are sent as they come."""
        self._held: dict[str, list[Piece]] = {}
        """The pieces of messages that wait for it."""
        self._ended: set[str] = set()
        """Those of them that are complete."""
        self._last: str | None = None
        """The message of the last text."""
        self._texts: dict[str, list[str]] = {field: [] for field in FIELDS.values()}
        """All that was said, by the fields of the message."""
        self._error: str | None = None

    @classmethod
    def of(cls, asked: CompletionRequest) -> ChatEncoder:
        """Return the encoder of the answer to a request."""
        return cls(asked.model, has_usage=asked.has_usage, tools=names_of(asked.tools))

    def begin(self) -> str:
        """Return the chunk that says who speaks."""
        return self._chunk({"role": "assistant", "content": ""})

    def encode(self, event: ProtocolEvent) -> str:
        """Return the chunks for an event of the run's stream, often none."""
        return "".join(map(self._delta, self._pieces(self._reader.read(event))))

    def restart(self) -> str:
        """Return the chunks of what is complete: the run begins anew."""
        return "".join(map(self._delta, self._pieces(self._reader.close("begun again"))))

    def end(
        self, error: str | None = None, *, code: str | None = None, is_cancelled: bool = False
    ) -> str:
        """Return the chunks that end the completion.

        Args:
            error: Why the run has failed: clients raise it.
            code: Its class, for which the protocol has no place.
            is_cancelled: Somebody has stopped it, which clients raise, too.
        """
        said = "".join(map(self._delta, self._pieces(self._reader.close())))
        self._error = "the run was cancelled" if is_cancelled else error
        if self._error is not None:
            return said + line({"error": error_of(self._error)}) + DONE
        calls = [{"index": index, **call} for index, call in enumerate(self._tool_calls())]
        if calls:
            said += self._chunk({"tool_calls": calls})
        said += self._chunk({}, self._finish_reason())
        if self._has_usage:
            said += line({**self._frame, "choices": [], "usage": self._usage_told()})
        return said + DONE

    def result(self) -> dict[str, Any]:
        """Return the whole completion, or the error, after `end`."""
        if self._error is not None:
            return {"error": error_of(self._error)}
        texts = {field: "".join(pieces) or None for field, pieces in self._texts.items()}
        message: dict[str, Any] = {"role": "assistant", **texts}
        if message["reasoning_content"] is None:
            # It is no field of OpenAI's own.
            del message["reasoning_content"]
        if calls := self._tool_calls():
            message["tool_calls"] = calls
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": self._finish_reason(),
            "logprobs": None,
        }
        return {
            **self._frame,
            "object": "chat.completion",
            "choices": [choice],
            "usage": self._usage_told(),
        }

    def _pieces(self, said: Iterator[facts.Fact]) -> Iterator[Piece]:
        for fact in said:
            if handle := _HANDLERS.get(type(fact)):
                yield from handle(self, fact)

    def _grow_block(self, fact: facts.BlockGrew) -> Iterator[Piece]:
        yield from self._deliver(fact.message_id, (FIELDS[fact.kind], fact.delta))

    def _show_file(self, fact: facts.FileShown) -> Iterator[Piece]:
        # The message of a completion has text alone: Markdown is what clients make pictures of.
        text = markdown_of(fact)
        yield from self._deliver(fact.message_id, ("content", f"\n\n{text}\n\n"))

    def _deliver(self, message_id: str, piece: Piece) -> Iterator[Piece]:
        if self._speaker is None:
            self._speaker = message_id
        if self._speaker == message_id:
            yield self._said(message_id, piece)
        else:
            self._held.setdefault(message_id, []).append(piece)

    def _end_message(self, fact: facts.MessageEnded) -> Iterator[Piece]:
        self._usage.add(fact.usage)
        self._reason = fact.reason
        if fact.message_id != self._speaker:
            self._ended.add(fact.message_id)
            return
        self._speaker = None
        for message_id, pieces in list(self._held.items()):
            del self._held[message_id]
            for piece in pieces:
                yield self._said(message_id, piece)
            if message_id not in self._ended:
                self._speaker = message_id
                return

    def _said(self, message_id: str, piece: Piece) -> Piece:
        field, text = piece
        if field == "content":
            if self._last not in (None, message_id):
                text = f"\n\n{text}"
            self._last = message_id
        self._texts[field].append(text)
        return field, text

    def _make_call(self, fact: facts.CallMade) -> Iterator[Piece]:
        # Models also answer in calls, of a schema: nobody is to carry these out.
        is_of_client = self._tools is None or fact.name in self._tools
        if fact.message_id is not None and not fact.is_server_side and is_of_client:
            self._calls[fact.call_id] = fact
        return iter(())

    def _answer_call(self, fact: facts.CallAnswered) -> Iterator[Piece]:
        self._calls.pop(fact.call_id, None)
        return iter(())

    def _ask(self, fact: facts.Asked) -> Iterator[Piece]:
        self._questions.append(fact)
        return iter(())

    def _tool_calls(self) -> list[Chunk]:
        """Return what the client is to answer: questions, else calls that nobody has answered."""
        # A run that asks has not come to its end: its calls are not the client's.
        asked = [_call(one.question_id, QUESTION, dumps(one.value)) for one in self._questions]
        return asked or [
            _call(call.call_id, call.name, _arguments(call)) for call in self._calls.values()
        ]

    def _finish_reason(self) -> str:
        if self._questions or self._calls:
            return "tool_calls"
        return REASONS.get(ending_of(self._reason), "stop")

    def _usage_told(self) -> Chunk:
        counted = self._usage
        return {
            "prompt_tokens": counted.input,
            "completion_tokens": counted.output,
            "total_tokens": counted.total,
            "prompt_tokens_details": {"cached_tokens": counted.cached},
            "completion_tokens_details": {"reasoning_tokens": counted.reasoning},
        }

    def _delta(self, piece: Piece) -> str:
        return self._chunk({piece[0]: piece[1]})

    def _chunk(self, delta: Chunk, reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        told: Chunk = {**self._frame, "choices": [choice]}
        return line({**told, "usage": None} if self._has_usage else told)


_HANDLERS: Final = cast(
    "Mapping[type[facts.Fact], Callable[[ChatEncoder, Any], Iterator[Piece]]]",
    {
        facts.BlockGrew: ChatEncoder._grow_block,
        facts.FileShown: ChatEncoder._show_file,
        facts.MessageEnded: ChatEncoder._end_message,
        facts.CallMade: ChatEncoder._make_call,
        facts.CallAnswered: ChatEncoder._answer_call,
        facts.Asked: ChatEncoder._ask,
    },
)


def markdown_of(file: facts.FileShown) -> str:
    """Return a picture, or a link to another file."""
    sign = "!" if file.media_type.startswith("image/") else ""
    return f"{sign}[{file.media_type}]({file.url})"


def error_of(text: str) -> dict[str, Any]:
    """Return an error in OpenAI's form."""
    return {"message": text, "type": "server_error", "param": None, "code": None}


def _call(id: str, name: str, arguments: str) -> Chunk:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _arguments(call: facts.CallMade) -> str:
    return call.arguments if isinstance(call.arguments, str) else dumps(call.arguments or {})
