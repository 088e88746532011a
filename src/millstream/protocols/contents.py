"""Looking into what is said: fields of objects or of their JSON, files and sources of blocks."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from pydantic import ValidationError

from millstream.protocols.facts import FileShown, SourceShown

MEDIA: Final = {
    "image": "image/png",
    "audio": "audio/wav",
    "video": "video/mp4",
    "file": "application/octet-stream",
    "text-plain": "text/plain",
}
"""The types of block that are files -> what they are where nobody says it."""
CLASSES: Final[Mapping[str, type[BaseMessage]]] = {
    "human": HumanMessage,
    "system": SystemMessage,
    "ai": AIMessage,
    "tool": ToolMessage,
    "user": HumanMessage,
    "assistant": AIMessage,
    "developer": SystemMessage,
}
"""The classes of messages, by their types or by the roles of JSON."""
REFUSAL: Final = "refusal"
SOUNDS: Final = (("UklGR", "audio/wav"), ("T2dnUw", "audio/ogg"), ("ZkxhQ", "audio/flac"))
"""What formats of sound begin with, in base64."""
ROLES: Final = {"human": "user", "system": "system"}
"""The roles of messages that no model and no tool has said, by their types."""


def attribute(value: Any, name: str) -> Any:
    """Return a field of an object, or of what JSON has of it; None where there is none."""
    if isinstance(value, Mapping):
        return value.get(name)
    return getattr(value, name, None)


def as_message(given: Any) -> BaseMessage | None:
    """Return a message of a state, which may be JSON; None for what is none of a conversation."""
    if isinstance(given, BaseMessage):
        return given if given.type in CLASSES else None
    kind = CLASSES.get(str(attribute(given, "type") or attribute(given, "role")))
    if kind is None:
        return None
    try:
        return kind.model_validate(given)
    except ValidationError:
        return None


def blocks_of(message: BaseMessage) -> Sequence[Mapping[str, Any]]:
    """Return the content blocks of a message; none if LangChain cannot read its content.

    What a model says instead of an answer is text, too.
    """
    try:
        blocks = [dict(block) for block in message.content_blocks]
    except Exception:  # whatever a provider's translator stumbles over
        blocks = []
    found = [
        block if (refused := refusal_of(block)) is None else {"type": "text", "text": refused}
        for block in blocks
    ]
    transcript, sound = sound_in("", message.additional_kwargs)
    texts = refusal_in(message.additional_kwargs), None if message.text else transcript
    found += ({"type": "text", "text": text} for text in texts if text)
    if sound is not None:
        found.append({"type": "audio", "url": sound.url, "mime_type": sound.media_type})
    return found


def refusal_of(block: Mapping[str, Any]) -> str | None:
    """Return what a content block says instead of an answer: LangChain has no type for it."""
    own = block.get("value") if block.get("type") == "non_standard" else block
    is_refusal = isinstance(own, Mapping) and own.get("type") == REFUSAL
    return refusal_in(own) if is_refusal else None


def refusal_in(fields: Any) -> str | None:
    """Return what is said instead of an answer, from where a provider tells it."""
    text = fields.get(REFUSAL) if isinstance(fields, Mapping) else None
    return text if isinstance(text, str) and text else None


def sound_in(message_id: str, fields: Mapping[str, Any]) -> tuple[str | None, FileShown | None]:
    """Return what a model of OpenAI's has said aloud: its words, and the sound."""
    audio = fields.get("audio")
    if not isinstance(audio, Mapping):
        return None, None
    words, data = audio.get("transcript"), audio.get("data")
    sound = None
    if isinstance(data, str) and data:
        # Which format was asked for, the message does not say.
        media_type = next((type for head, type in SOUNDS if data.startswith(head)), "audio/mpeg")
        sound = FileShown(message_id, media_type, f"data:{media_type};base64,{data}")
    return (words if isinstance(words, str) else None), sound


def as_data(output: Any) -> Any:
    """Return what a tool has returned: nodes keep objects and lists as their JSON."""
    if isinstance(output, str) and output[:1] in ("{", "["):
        try:
            return orjson.loads(output)
        except orjson.JSONDecodeError:
            return output
    return output


def file_of(message_id: str, block: Mapping[str, Any]) -> FileShown | None:
    """Return the file that a content block is; None for other blocks and for files elsewhere."""
    usual = MEDIA.get(str(block.get("type")))
    if usual is None:
        return None
    media_type = str(block.get("mime_type") or usual)
    url, data = block.get("url"), block.get("base64") or block.get("data")
    if block.get("type") == "text-plain" and isinstance(block.get("text"), str):
        data = data or b64encode(block["text"].encode(errors="replace")).decode()
    if not url and data:
        url = f"data:{media_type};base64,{data}"
    return FileShown(message_id, media_type, url) if isinstance(url, str) and url else None


def sources_of(message_id: str, block: Mapping[str, Any]) -> Iterator[SourceShown]:
    """Yield what a block of text quotes."""
    for note in block.get("annotations") or ():
        if isinstance(note, Mapping) and note.get("type") == "citation" and note.get("url"):
            title = note.get("title")
            yield SourceShown(message_id, str(note["url"]), None if title is None else str(title))
