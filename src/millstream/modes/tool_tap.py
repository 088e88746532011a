"""The `tools` stream: when tools start and end, and what they emit meanwhile.

A `ToolTap` is the ear of one consumer in one run, among the callbacks of its tasks, as `MessageTap`
is for messages. Tools emit through `_types.tool_writer.tool_call_writer`, which is set when they
start.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from millstream._base.texts import safe_str
from millstream._types.tool_writer import tool_call_writer
from millstream.constants import TAG_NOSTREAM
from millstream.errors import GraphBubbleUp, ParentCommand
from millstream.modes.names import TOOLS
from millstream.modes.tap import Tap

if TYPE_CHECKING:
    from collections.abc import Collection

    from millstream.modes.parts import Emit, Namespace, Shape


class ToolTap(Tap):
    """Sends what tools do in one run to the consumer that asked for `tools`."""

    mode = TOOLS
    ignore_agent = False
    """LangChain's word for tools."""

    def __init__(
        self, emit: Emit, namespace: Namespace, shape: Shape | None, *, has_subgraphs: bool
    ) -> None:
        super().__init__(emit, namespace, shape, has_subgraphs=has_subgraphs)
        self._calls: dict[UUID, str] = {}
        """The tool calls that are running, by their LangChain run."""

    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,
        *,
        run_id: UUID,
        tags: list[str] | None = None,
        inputs: dict[str, Any] | None = None,
        tool_call_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Send that a tool starts, unless it is told to be silent."""
        if TAG_NOSTREAM in (tags or ()):
            return
        call_id = self._calls[run_id] = tool_call_id or str(run_id)
        name = (serialized or {}).get("name") or kwargs.get("name") or ""
        given = input_str if inputs is None else inputs
        self._emit_event("tool-started", call_id, tool_name=name, input=given)
        # Never reset, see `_Writer`.
        tool_call_writer.set(_Writer(run_id, self, tool_call_writer.get()))

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Send what a tool returned."""
        call_id = self._calls.pop(run_id, None)
        if call_id is not None:
            self._emit_event("tool-finished", call_id, output=output)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Send why a tool failed; one that asks a question, or leaves, has not failed."""
        if isinstance(error, ParentCommand):
            # Not told by every version of LangChain: see `emit_command`.
            self.on_command(error.args[0], run_id=run_id)
            return
        call_id = self._calls.pop(run_id, None)
        if call_id is not None and not isinstance(error, GraphBubbleUp):
            self._emit_event("tool-error", call_id, message=safe_str(error))

    def on_command(self, command: Any, *, run_id: UUID) -> None:
        """Send that a command for a parent graph has left a tool."""
        self.on_tool_end(command, run_id=run_id)

    def emit(self, run_id: UUID, delta: Any) -> bool:
        """Send a part of a tool's output; say whether the tool was still running."""
        call_id = self._calls.get(run_id)
        # The tool has ended, or was told to be silent. Its writer stays in the context all the
        # same.
        if call_id is None:
            return False
        self._emit_event("tool-output-delta", call_id, delta=delta)
        return True

    def _emit_event(self, event: str, call_id: str, **more: Any) -> None:
        payload = {"event": event, "tool_call_id": call_id, **more}
        self._emit_payload(payload)


def emit_command(signal: ParentCommand, taps: Collection[ToolTap]) -> None:
    """Tell those of the taps that hear them which tools a command has left on its way."""
    writer = signal.tool_call
    while isinstance(writer, _Writer):
        writer.leave(signal.args[0], taps)
        writer = writer.outer


class _Writer:
    """Takes the deltas of one tool call for one tap.

    It remains in the context when the call has ended, because LangChain may tell of the end in
    another one. Then whatever was there before it takes the deltas: a call around this one.
    """

    __slots__ = ("_run_id", "_tap", "outer")

    def __init__(self, run_id: UUID, tap: ToolTap, outer: Callable[[Any], None] | None) -> None:
        self._run_id = run_id
        self._tap = tap
        self.outer = outer

    def __call__(self, delta: Any) -> None:
        was_running = self._tap.emit(self._run_id, delta)
        outer = self.outer
        # Another tap that hears the same call.
        is_twin = isinstance(outer, _Writer) and outer._run_id == self._run_id
        if outer is not None and (is_twin or not was_running):
            outer(delta)

    def leave(self, command: Any, taps: Collection[ToolTap]) -> None:
        """Tell the tap, if it is one of these, that a command has left the call."""
        if self._tap in taps:
            self._tap.on_command(command, run_id=self._run_id)
