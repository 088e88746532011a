"""Messages as events of their content blocks, as the langchain protocol has them.

A message is `message-start`, then for each of its blocks `content-block-start`, any number of
`content-block-delta` and `content-block-finish`, then `message-finish`. A `BlockWriter` makes the
events of one message while its chunks come; `message_events` makes those of a whole one.

The events are those LangChain's own models make. Which blocks a chunk has is LangChain's to say:
`content_blocks` knows the formats of providers. That costs more than the token is worth, so chunks
that are plain text, which is most of them, do not ask.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from langchain_core.messages import AIMessageChunk

from millstream._base.texts import safe_str

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from langchain_core.messages import BaseMessage
    from langchain_protocol.protocol import MessagesData

Fields: TypeAlias = dict[str, Any]
Key: TypeAlias = Any
"""What a block is recognized by from chunk to chunk."""

GROWING: Final = {
    "text": "text",
    "reasoning": "reasoning",
    "tool_call_chunk": "args",
    "server_tool_call_chunk": "args",
}
"""The types of block that come in pieces, and the field that grows."""
CALLS: Final = {"tool_call_chunk": "tool_call", "server_tool_call_chunk": "server_tool_call"}
"""What partial calls become when all of them is there."""
HEAVY: Final = frozenset(("args", "data", "output", "transcript", "value"))
"""Fields that a block that comes at once has only in its last event."""
NOT_AT_START: Final = {
    "text": frozenset(("index", "annotations")),
    "reasoning": frozenset(("index",)),
}
EMPTY: Final[dict[str, Fields]] = {
    "tool_call": {"args": {}},
    "server_tool_call": {"args": {}},
    "non_standard": {"value": {}},
}
"""Heavy fields that a block must not be without."""
REFUSAL: Final = "refusal"
ROLES: Final = {"human": "human", "system": "system", "tool": "tool"}
TEXT_KEY: Final = ("", "text", 0)
PROVIDER: Final = "model_provider"
GATEWAY_KEY: Final = "lc_gateway_metadata"
"""Metadata that LangChain keeps for its tracers."""


class ErrorEvent(dict[str, Any]):
    """The event that a message will not be finished, which knows the error besides its text."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(event="error", message=safe_str(error) or type(error).__name__)
        self.error = error


class BlockWriter:
    """Makes the events of one message of a model of its chunks.

    The id of the message is that of its first chunk, or else `message_id`.
    """

    __slots__ = (
        "_blocks",
        "_extra",
        "_message_id",
        "_metadata",
        "_plain_metadata",
        "_text",
        "_usage",
        "is_started",
    )

    def __init__(self, message_id: str | None = None) -> None:
        self._message_id = message_id
        self.is_started = False
        """Whether there was a chunk."""
        self._blocks: dict[Key, Block] = {}
        self._text: Block | None = None
        """The block that plain text goes to, when there is one."""
        self._plain_metadata: Fields | None = None
        """Metadata of chunks whose text is known to be just that."""
        self._metadata: Fields = {}
        self._extra: Fields = {}
        self._usage: Fields = {}

    def feed(self, chunk: BaseMessage) -> list[MessagesData]:
        """Return the events that a chunk causes; what is no chunk of a model causes none."""
        # The short way of nearly all tokens: text, after text, with nothing new beside it.
        block = self.growing_with(chunk)
        if block is not None:
            text = cast("str", chunk.content)
            if not text:
                return []
            block.parts.append(text)
            return [block.delta(text)]
        if not isinstance(chunk, AIMessageChunk):
            return []
        return list(self._feed(chunk))

    def growing_with(self, chunk: BaseMessage) -> Block | None:
        """Return the block of text that grows by a chunk, if that is all that the chunk causes."""
        block = self._text
        if block is None or not _is_plain(chunk):
            return None
        # A provider's translator may make something else of text, depending on the metadata: only
        # those are let through with which it has left text alone before.
        metadata = chunk.response_metadata
        is_known = not metadata or (chunk.content and metadata == self._plain_metadata)
        return block if is_known else None

    def _feed(self, chunk: AIMessageChunk) -> Iterator[MessagesData]:
        if not self.is_started:
            self.is_started = True
            yield _start_of(chunk, chunk.id or self._message_id)
        blocks = self._blocks_in(chunk)
        for key, fields in blocks:
            block = self._blocks.get(key)
            if block is None:
                block = self._blocks[key] = Block(len(self._blocks), fields)
                if key == TEXT_KEY:
                    self._text = block
                yield block.start()
            else:
                block.grow(fields)
            yield from _delta(block.index, fields)
        self._record(chunk, blocks)

    def _blocks_in(self, chunk: AIMessageChunk) -> list[tuple[Key, Fields]]:
        """Return the blocks of a chunk, pieces of calls as pieces.

        LangChain takes what the last chunk has of a call for all of it.
        """
        if chunk.chunk_position == "last" and chunk.tool_call_chunks:
            pieces = _blocks_of(chunk.model_copy(update={"chunk_position": None}))
            calls = [key for key, fields in pieces if fields.get("type") in CALLS]
            if chunk.invalid_tool_calls or any(key in self._blocks for key in calls):
                return pieces
        return _blocks_of(chunk)

    def _record(self, chunk: AIMessageChunk, blocks: list[tuple[Key, Fields]]) -> None:
        """Keep what the last event has to say of the message."""
        if metadata := chunk.response_metadata:
            self._metadata.update(metadata)
            # If the provider's translator has left the text alone, it will do so again.
            is_text = blocks == [(TEXT_KEY, {"type": "text", "text": chunk.content})]
            if is_text and metadata.keys() == {PROVIDER}:
                self._plain_metadata = dict(metadata)
            elif PROVIDER in metadata:
                self._plain_metadata = None
        if chunk.additional_kwargs:
            self._extra = _merged(self._extra, chunk.additional_kwargs)
        if chunk.usage_metadata:
            _add_usage(self._usage, chunk.usage_metadata)

    def finish(self) -> list[MessagesData]:
        """Return the events that end the message, none if there was no chunk."""
        if not self.is_started:
            return []
        # Only now: a provider may go on with an earlier block, and says of none that it has ended.
        events = [block.finish() for block in self._blocks.values()]
        self._metadata.pop(GATEWAY_KEY, None)
        events.append(_finish_of(self._usage, self._metadata, self._extra))
        return events


def message_events(message: BaseMessage, message_id: str | None = None) -> list[MessagesData]:
    """Return the events of a whole message, each of its blocks in one piece."""
    events = [_start_of(message, message_id or message.id)]
    for index, (_, fields) in enumerate(_blocks_of(message)):
        block = Block(index, fields)
        events += [block.start(), *_delta(index, fields), block.finish()]
    usage = getattr(message, "usage_metadata", None)
    events.append(_finish_of(usage, message.response_metadata, None))
    return events


class Block:
    """A content block that is being put together."""

    __slots__ = ("_fields", "index", "parts")

    def __init__(self, index: int, fields: Fields) -> None:
        self.index = index
        """Its place in the message."""
        self._replace(fields)

    def _replace(self, fields: Fields) -> None:
        self._fields = dict(fields)
        grown = GROWING.get(fields.get("type", ""))
        self.parts: list[str] = [] if grown is None else [fields.get(grown) or ""]
        """The pieces of what grows: joined once, however many there are."""

    def grow(self, fields: Fields) -> None:
        """Add the next piece; of a block that does not come in pieces it is the new version."""
        mine, kind = self._fields, self._fields.get("type")
        # Under one number providers may send another kind of block: it takes the place of the
        # first.
        if fields.get("type") != kind:
            self._replace(fields)
        elif kind in CALLS:
            self.parts.append(fields.get("args") or "")
            mine.update({key: fields[key] for key in ("id", "name") if fields.get(key) is not None})
        elif kind in GROWING:
            self.parts.append(fields.get(kind) or "")
            _merge(mine, fields, but=kind)
        # Audio and the like, in pieces of base64.
        elif "data" in fields:
            mine["data"] = (mine.get("data") or "") + (fields["data"] or "")
            _merge(mine, fields, but="data")
        else:
            self._replace(_with_refusal(mine, fields))

    def start(self) -> MessagesData:
        """Return the event that announces the block, still empty."""
        content = _announced(self._fields)
        event = {"event": "content-block-start", "index": self.index, "content": content}
        return cast("MessagesData", event)

    def delta(self, text: str) -> MessagesData:
        """Return the event for a piece of text."""
        return {
            "event": "content-block-delta",
            "index": self.index,
            "delta": {"type": "text-delta", "text": text},
        }

    def finish(self) -> MessagesData:
        """Return the event that has the whole block."""
        content, kind = self._fields, self._fields.get("type", "")
        if kind in CALLS:
            content = _complete_call(content, "".join(self.parts))
        elif kind in GROWING and (kind in content or len(self.parts) > 1):
            content = {**content, kind: "".join(self.parts)}
        event = {"event": "content-block-finish", "index": self.index, "content": content}
        return cast("MessagesData", event)


def _is_plain(chunk: BaseMessage) -> bool:
    """Say whether a chunk has nothing but text, and perhaps metadata."""
    return (
        type(chunk) is AIMessageChunk
        and type(chunk.content) is str
        and not chunk.tool_call_chunks
        and not chunk.tool_calls
        and not chunk.additional_kwargs
        and not chunk.usage_metadata
    )


def _blocks_of(message: BaseMessage) -> list[tuple[Key, Fields]]:
    """Return the blocks of a message or chunk, each with what it is recognized by.

    Where the provider does not number its blocks, it is the type and the place in the chunk: of
    different types are different blocks, though each comes alone in its chunk.
    """
    if isinstance(message.content, list):
        # Translators take fields out of what they translate.
        message = message.model_copy(update={"content": copy.deepcopy(message.content)})
    try:
        blocks = message.content_blocks
    except Exception:
        return []  # not what LangChain can read: no reason to fail the run
    found: list[tuple[Key, Fields]] = []
    for place, block in enumerate(blocks):
        if isinstance(block, dict):
            index = block.get("index")
            key = ("", block.get("type"), place) if index is None else index
            found.append((key, dict(block)))
    if not isinstance(message, AIMessageChunk):
        # `content_blocks` of a whole message leaves them out.
        for call in getattr(message, "invalid_tool_calls", None) or ():
            known = {key: value for key, value in call.items() if value is not None}
            found.append((len(found), {**known, "type": "invalid_tool_call"}))
    return found


def _start_of(message: BaseMessage, message_id: str | None) -> MessagesData:
    event: Fields = {
        "event": "message-start",
        "role": ROLES.get(message.type.removesuffix("MessageChunk").lower(), "ai"),
        "id": message_id or "",
    }
    known = {PROVIDER: "provider", "model_name": "model"}
    given = message.response_metadata or {}
    if metadata := {name: given[key] for key, name in known.items() if key in given}:
        event["metadata"] = metadata
    return cast("MessagesData", event)


def _finish_of(usage: Any, metadata: Fields | None, extra: Fields | None) -> MessagesData:
    """Return the last event of a message; nothing in it is the message's own."""
    event: Fields = {"event": "message-finish"}
    if usage:
        event["usage"] = {
            key: dict(value) if isinstance(value, dict) else value for key, value in usage.items()
        }
    if metadata:
        event["metadata"] = dict(metadata)
    if extra:
        event["additional_kwargs"] = dict(extra)
    return cast("MessagesData", event)


def _announced(fields: Fields) -> Fields:
    """Return what is shown of a block when it starts: what it is, nothing of what it says."""
    kind = fields.get("type", "text")
    if kind in CALLS:
        # A client's call says what it does not know yet, a server's leaves it out.
        content: Fields = {"id": None, "name": None} if kind == "tool_call_chunk" else {}
        content |= {key: fields[key] for key in ("id", "name") if fields.get(key) is not None}
        place = {} if fields.get("index") is None else {"index": fields["index"]}
        return {"type": kind, **content, "args": "", **place}
    if kind in GROWING:
        hidden = NOT_AT_START[kind]
        content = {key: value for key, value in fields.items() if key not in hidden}
        content[GROWING[kind]] = ""
        return content
    content = {key: value for key, value in fields.items() if key not in HEAVY}
    return {**content, **EMPTY.get(kind, {})}


def _delta(index: int, fields: Fields) -> Iterator[MessagesData]:
    """Yield the event for a piece of a block, unless the piece is empty or comes at the end."""
    kind = fields.get("type")
    grown = GROWING.get(kind or "", "data")
    piece = fields.get(grown)
    if not piece:
        return
    if grown == "args":
        delta = {"type": "tool-call-delta", "args": piece}
    else:
        delta = {"type": f"{grown}-delta", grown: piece}
        if grown == "data" and fields.get("encoding") == "base64":
            delta["encoding"] = "base64"
    event = {"event": "content-block-delta", "index": index, "delta": delta}
    yield cast("MessagesData", event)


def _complete_call(fields: Fields, args: str) -> Fields:
    """Return the call that was made in pieces, an invalid one if its arguments are no JSON."""
    dropped = {"type", "id", "name", "args"}
    if fields["type"] == "tool_call_chunk":
        dropped.add("index")  # with an index it would be merged with what comes later
    more = {key: value for key, value in fields.items() if key not in dropped and value is not None}
    call_id, name = fields.get("id"), fields.get("name")
    try:
        parsed = json.loads(args or "{}")
    except ValueError:
        return {
            "type": "invalid_tool_call",
            "id": call_id,
            "name": name,
            "args": args,
            "error": "Failed to parse tool call arguments as JSON",
            **more,
        }
    kind = CALLS[fields["type"]]
    return {"type": kind, "id": call_id or "", "name": name or "", "args": parsed, **more}


def _merge(mine: Fields, fields: Fields, *, but: str) -> None:
    """Take over what a later piece of a block knows besides what grows."""
    for key, value in fields.items():
        if key in ("type", but) or value is None:
            continue
        if key == "extras" and isinstance(value, dict):
            value = {**(mine.get("extras") or {}), **value}
        mine[key] = value


def _with_refusal(mine: Fields, more: Fields) -> Fields:
    """Return the new version of a block; of a refusal, for which there is no type, the next piece.

    It grows as text does, in a field that is its provider's own.
    """
    if more.get("type") != REFUSAL:
        return more
    return {**more, REFUSAL: f"{mine.get(REFUSAL) or ''}{more.get(REFUSAL) or ''}"}


def _add_usage(total: Fields, usage: Mapping[str, Any]) -> None:
    for key in ("input_tokens", "output_tokens", "total_tokens"):
        if key in usage:
            total[key] = total.get(key, 0) + usage[key]
    for key in ("input_token_details", "output_token_details"):
        if usage.get(key):
            total[key] = {**total.get(key, {}), **usage[key]}


def _merged(mine: Fields, more: Fields) -> Fields:
    """Merge additional arguments as chunks do when they are added."""
    chunks = [AIMessageChunk(content="", additional_kwargs=given) for given in (mine, more)]
    return (chunks[0] + chunks[1]).additional_kwargs
