"""Values in one line, for people: what is long is cut, and pictures are said to be there."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from rich.pretty import pretty_repr

from millstream._base.texts import safe_repr

MEDIA: Final = {
    "image": "image",
    "image_url": "image",
    "input_image": "image",
    "audio": "audio",
    "input_audio": "audio",
    "video": "video",
    "file": "file",
    "document": "file",
}
"""Type of a content block -> what it is called."""
_JOINER: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u(200[cd])")
"""What `repr` makes of the characters that join emoji to one, and keep letters of Persian apart."""
_DEPTH: Final = 4
_ITEMS: Final = 50
_PLACES: Final = (
    "base64",
    "data",
    "url",
    "image_url",
    "source",
    "input_audio",
    "file",
    "file_data",
)


def one_line(value: Any, room: int) -> str:
    """Return a value in one line, which may be longer than there is room, but not much."""
    try:
        # The limits keep a huge value from being rendered in full only to be cut.
        text = pretty_repr(
            readable(value, _Bare),
            max_width=1_000_000,
            max_length=room,
            max_string=4 * room,
            max_depth=_DEPTH,
        )
    except Exception:  # whatever a class of the program raises, or a value that changes meanwhile
        text = safe_repr(value)[: 4 * room]
    return _JOINER.sub(lambda found: found[1] + chr(int(found[2], 16)), " ".join(text.split("\n")))


def media_in(content: Any) -> Iterator[str]:
    """Yield what stands for the blocks of a message's content that are no text."""
    if isinstance(content, list):
        for block in content:
            name = _media(block)
            if name is not None:
                yield name


def is_message(value: Any) -> bool:
    """Return whether a value is a message of LangChain's."""
    # Whoever has one has imported this.
    messages = sys.modules.get("langchain_core.messages")
    return messages is not None and isinstance(value, messages.BaseMessage)


class _Bare:
    """Something that stands without quotes."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def readable(value: Any, named: Callable[[str], Any], depth: int = _DEPTH) -> Any:
    """Return a value in which `named` texts stand for messages and media, as far as one looks."""
    if isinstance(value, str):
        return named(_name("file", value)) if _is_inline(value) else value
    if isinstance(value, (bytes, bytearray)) and len(value) > _ITEMS:
        return named(f"[bytes, {size(len(value))}]")
    if depth == 0:
        return value
    if is_message(value):
        said = " ".join([str(value.text), *media_in(value.content)]).strip()
        calls = [call["name"] for call in getattr(value, "tool_calls", ())]
        return named(f"{value.type}: {', '.join([*([repr(said)] if said else []), *calls])}")
    if type(value) is dict:
        name = _media(value)
        if name is not None:
            return named(name)
        if len(value) <= _ITEMS:
            return {key: readable(item, named, depth - 1) for key, item in value.items()}
    elif type(value) in (list, tuple) and len(value) <= _ITEMS:
        return type(value)(readable(item, named, depth - 1) for item in value)
    return value


def _media(block: Any) -> str | None:
    kind = MEDIA.get(str(block.get("type"))) if isinstance(block, Mapping) else None
    if kind is None:
        return None
    text = _payload(block)
    return None if text is None else _name(kind, text)


def _payload(block: Any) -> str | None:
    """Return the base64 text or the address of a block, None if there is none."""
    for _ in range(_DEPTH):
        if not isinstance(block, Mapping):
            break
        found = next((block[place] for place in _PLACES if block.get(place)), None)
        if found is None:
            return None
        block = found
    return block if isinstance(block, str) else None


def _is_inline(text: str) -> bool:
    return text.startswith("data:") and ";base64," in text[:100]


def _name(kind: str, text: str) -> str:
    if _is_inline(text):
        head, _, text = text.partition(",")
        kind = MEDIA.get(head[5:].partition("/")[0], kind)
    elif "://" in text[:20]:
        return f"[{kind} {''.join(islice(text, 60))}]"
    return f"[{kind}, {size(len(text.rstrip('=')) * 3 // 4)}]"


def size(count: int) -> str:
    """Return a number of bytes for people."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.0f} kB" if count < 999_500 else f"{count / 1_000_000:.1f} MB"
