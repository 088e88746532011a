"""The ears of a recording among LangChain's callbacks.

A stream with nested graphs and one without show other whole messages: what was seen below is not
repeated above. A recording has to give both, and the events of content blocks for run streams.
LangChain tells them by a `Listener`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage

from millstream.modes.block_tap import BlockTap
from millstream.modes.message_tap import MessageTap, messages_of
from millstream.modes.tool_tap import ToolTap
from millstream.recording.lines import ALONE, BLOCKS

if TYPE_CHECKING:
    from millstream.modes.message_tap import Metadata
    from millstream.modes.parts import Namespace, Part, Shape
    from millstream.recording.tape import Tape


class _SeenBelow:
    """The ids that taps of nested graphs see: the recorded graph alone has not seen them."""

    def __init__(self, seen: set[str | None], only_below: set[str | None]) -> None:
        self._seen = seen
        self._only_below = only_below

    def __contains__(self, id: str | None) -> bool:
        return id in self._seen

    def add(self, id: str | None) -> None:
        """Take note of one."""
        if id not in self._seen:
            self._seen.add(id)
            self._only_below.add(id)

    def update(self, ids: Iterable[str | None]) -> None:
        """Take note of some."""
        for id in ids:
            self.add(id)


class RecordedMessages(MessageTap):
    """Tells a recording what is said in one run, for streams with nested graphs and without."""

    is_recording = True

    def __init__(
        self, *args: Any, tape: Tape, only_below: set[str | None] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.tape = tape
        self._only_below = only_below
        """Ids that were seen in nested graphs alone; None for the tap of one."""

    def _shared(self) -> dict[str, Any]:
        shared = {**super()._shared(), "tape": self.tape}
        if self._only_below is not None:
            shared["seen"] = _SeenBelow(self._seen, self._only_below)
        return shared

    def record_seen(self, value: Any) -> None:
        """Take note of the messages in a state a node is given: they are history, not news."""
        super().record_seen(value)
        if self._only_below:
            self._only_below.difference_update([message.id for message in messages_of(value)])

    def emit_new(self, message: BaseMessage, metadata: Metadata) -> None:
        """Send a whole message, to streams without nested graphs if it was seen below."""
        only_below = self._only_below
        if only_below and message.id is not None and message.id in only_below:
            only_below.discard(message.id)
            self._emit((self._namespace, ALONE, (message, metadata), self._shape))
            return
        super().emit_new(message, metadata)

    def relay(self, namespace: Namespace, payload: Any) -> None:
        """Send what a tap elsewhere has made for this one's consumer."""
        message = payload[0]
        if self._only_below is not None and namespace != self._namespace:
            if isinstance(message, BaseMessage):
                _SeenBelow(self._seen, self._only_below).add(message.id)
            self._emit((namespace, self.mode, payload, None))
            return
        super().relay(namespace, payload)


class RecordedBlocks(BlockTap):
    """Tells a recording what models say in one run as events of content blocks."""

    is_recording = True

    def __init__(self, *args: Any, tape: Tape, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tape = tape

    def _shared(self) -> dict[str, Any]:
        return {**super()._shared(), "tape": self.tape}


def recorded_messages(
    tape: Tape, namespace: Namespace, shape: Shape | None
) -> tuple[RecordedMessages, RecordedBlocks]:
    """Return what hears the messages of a run that is recorded."""
    emit = tape.emit

    def emit_block(part: Part) -> None:
        emit((part[0], BLOCKS, part[2], part[3]))

    known: dict[str, Any] = {"has_subgraphs": True, "tape": tape}
    return (
        RecordedMessages(emit, namespace, shape, **known, only_below=set()),
        RecordedBlocks(emit_block, namespace, shape, **known),
    )


def recorded_tools(tape: Tape, namespace: Namespace, shape: Shape | None) -> ToolTap:
    """Return what hears the tools of a run that is recorded."""
    return ToolTap(tape.emit, namespace, shape, has_subgraphs=True)
