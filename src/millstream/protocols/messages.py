"""`OpenMessage`: a message that is being said, made facts of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from millstream.protocols.contents import refusal_of
from millstream.protocols.facts import (
    BlockBegan,
    BlockEnded,
    BlockGrew,
    BlockKind,
    CallBegan,
    CallBrokenOff,
    CallGrew,
    CallMade,
    Fact,
)

CALLS: Final = frozenset(("tool_call", "server_tool_call", "invalid_tool_call"))
BEGUN: Final = CALLS | {"tool_call_chunk", "server_tool_call_chunk"}
"""The blocks whose start says which tool is called; some come whole, and end with their message."""
KINDS: Final[Mapping[str, BlockKind]] = {"text-delta": "text", "reasoning-delta": "reasoning"}
"""The deltas of blocks that are shown while they grow."""
BESIDE: Final = -1
"""The index of what is in no block."""


class OpenMessage:
    """A message, while its blocks come."""

    def __init__(self, message_id: str) -> None:
        self.message_id = message_id
        self._open: tuple[int, BlockKind, str, list[str]] | None = None
        """The block that grows: its index, kind and id, and what there is of it."""
        self._shown: set[int] = set()
        """The indexes of blocks of which something was shown."""
        self._has_refused = False
        self._count = 0
        self._calls: dict[int, tuple[str, str, list[str]]] = {}
        """Calls that have begun, by their index: id, name, and the pieces of their arguments."""

    def begin(self, index: int, content: Mapping[str, Any]) -> Iterator[Fact]:
        """Yield what the start of a block tells."""
        # Text and reasoning begin with their first piece: many models begin with none.
        if content.get("type") in BEGUN and content.get("id") and content.get("name"):
            yield from self._begin_call(index, str(content["id"]), str(content["name"]))

    def grow(self, index: int, delta: Mapping[str, Any]) -> Iterator[Fact]:
        """Yield what a piece of a block tells."""
        kind = KINDS.get(delta["type"])
        if kind is not None:
            yield from self._say(index, kind, delta[kind])
        elif index in self._calls and delta.get("args"):
            call_id, _, pieces = self._calls[index]
            pieces.append(delta["args"])
            yield CallGrew(call_id, delta["args"])

    def finish(self, index: int, content: Mapping[str, Any]) -> Iterator[Fact]:
        """Yield what the end of a block tells."""
        type = content.get("type")
        if type in CALLS:
            yield from self._make_call(index, content)
        elif type in ("text", "reasoning"):
            kind: BlockKind = "text" if type == "text" else "reasoning"
            if index not in self._shown and content.get(kind):
                yield from self._say(index, kind, content[kind])
            if self._open is not None and self._open[0] == index:
                yield from self.close()
        elif (refused := refusal_of(content)) is not None:
            yield from self.refuse(refused, index)

    def refuse(self, text: str, index: int = BESIDE) -> Iterator[Fact]:
        """Yield what a model says instead of an answer; a provider may tell it twice."""
        if not self._has_refused:
            self._has_refused = True
            yield from self._say(index, "refusal", text)
            yield from self.close()

    def add(self, text: str) -> Iterator[Fact]:
        """Yield text that is in no block, if the blocks have shown none."""
        if not self._shown:
            yield from self._say(BESIDE, "text", text)
            yield from self.close()

    def close(self) -> Iterator[Fact]:
        """Yield the end of the block that grows, if one does."""
        if self._open is not None:
            _, kind, block_id, pieces = self._open
            self._open = None
            yield BlockEnded(kind, block_id, self.message_id, "".join(pieces))

    def end(self) -> Iterator[Fact]:
        """Yield the ends of all that grows: nothing more is said."""
        yield from self.close()
        for call_id, name, pieces in self._calls.values():
            yield CallBrokenOff(call_id, name, self.message_id, "".join(pieces))
        self._calls.clear()

    def _say(self, index: int, kind: BlockKind, text: str) -> Iterator[Fact]:
        open = self._open
        if open is None or open[0] != index:
            # A model that goes on with an earlier block begins another piece.
            yield from self.close()
            block_id = f"{self.message_id}:{self._count}"
            self._count += 1
            self._shown.add(index)
            open = self._open = index, kind, block_id, []
            yield BlockBegan(kind, block_id, self.message_id)
        open[3].append(text)
        yield BlockGrew(kind, open[2], self.message_id, text)

    def _begin_call(self, index: int, call_id: str, name: str) -> Iterator[Fact]:
        yield from self.close()
        self._calls[index] = call_id, name, []
        yield CallBegan(call_id, name, self.message_id)

    def _make_call(self, index: int, content: Mapping[str, Any]) -> Iterator[Fact]:
        if index not in self._calls:
            call_id = str(content.get("id") or f"{self.message_id}:call-{index}")
            yield from self._begin_call(index, call_id, str(content.get("name") or ""))
        call_id, name, pieces = self._calls.pop(index)
        arguments, error = content.get("args"), None
        if content["type"] == "invalid_tool_call":
            error = str(content.get("error") or "the arguments are no JSON")
        if not pieces:
            text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
            if text:
                yield CallGrew(call_id, text)
        is_server_side = content["type"] == "server_tool_call"
        yield CallMade(call_id, name, self.message_id, arguments, is_server_side, error)
