"""Tool calls of a run, one handle each, for whoever reads `run.tool_calls`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.messages import ToolMessage

from millstream.modes.names import TOOLS
from millstream.stream._transformers.base import StreamTransformer
from millstream.stream.stream_channel import StreamChannel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from millstream.modes.protocol_events import ProtocolEvent
    from millstream.stream._events.mux import StreamMux
    from millstream.stream._readers.pump import Pump


class ToolCallStream:
    """One call of a tool: what it was given, what it emits, what it returned.

    Iterate it, or its `output_deltas`, for what the tool emits while it runs; reading carries the
    run on. What it emits before that is not kept.
    """

    def __init__(
        self, tool_call_id: str, tool_name: str, input: dict[str, Any] | None = None
    ) -> None:
        self.tool_call_id = tool_call_id
        self.tool_name = tool_name
        self.input = input
        self.output: Any = None
        """What the tool returned, of a `ToolMessage` its content; None until then."""
        self.error: str | None = None
        """What the tool, or the run, failed with."""
        self.completed = False
        """Whether the call has ended, well or not."""
        self._output_deltas: StreamChannel[Any] = StreamChannel()

    @property
    def output_deltas(self) -> StreamChannel[Any]:
        """What the tool emits while it runs."""
        return self._output_deltas

    def _bind(self, *, is_async: bool, pump: Pump | None = None) -> None:
        """Decide for one of `for` and `async for`, and have reading carry the run on."""
        self._output_deltas._bind(is_async=is_async)
        if pump is not None:
            self._output_deltas._bind_pump(pump)

    def _push_delta(self, delta: Any) -> None:
        self._output_deltas.push(delta)

    def _finish(self, output: Any) -> None:
        self.output = output
        self._end()

    def _fail(self, message: str) -> None:
        self.error = message
        self._end()

    def _end(self) -> None:
        self.completed = True
        self._output_deltas.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._output_deltas)

    def __aiter__(self) -> AsyncIterator[Any]:
        return aiter(self._output_deltas)

    def __repr__(self) -> str:
        status = "failed" if self.error is not None else "completed"
        return (
            f"ToolCallStream(tool_call_id={self.tool_call_id!r}, tool_name={self.tool_name!r}, "
            f"status={status if self.completed else 'running'})"
        )


class ToolCallTransformer(StreamTransformer):
    """The tool calls of the graph."""

    _native: ClassVar[bool] = True
    required_stream_modes: ClassVar[tuple[str, ...]] = (TOOLS,)
    _methods = frozenset(required_stream_modes)

    def __init__(self, scope: tuple[str, ...] = ()) -> None:
        super().__init__(scope)
        self._namespace = list(scope)
        self._log: StreamChannel[ToolCallStream] = StreamChannel()
        self._open: dict[str, ToolCallStream] = {}
        """The calls that are running, by their id."""
        self._mux: StreamMux | None = None

    def init(self) -> dict[str, Any]:
        return {"tool_calls": self._log}

    def _on_register(self, mux: StreamMux) -> None:
        self._mux = mux

    def process(self, event: ProtocolEvent) -> bool:
        params = event["params"]
        if event["method"] != TOOLS or params["namespace"] != self._namespace:
            return True
        said = params["data"]
        kind, call_id = said.get("event"), said.get("tool_call_id")
        if kind == "tool-started":
            # Without a reader the handle would never be seen.
            if self._log.is_subscribed and call_id is not None:
                self._start(call_id, said)
            return True
        call = self._open.get(call_id)
        if call is None:
            return True
        if kind == "tool-output-delta":
            call._push_delta(said.get("delta"))
        elif kind == "tool-finished":
            self._open.pop(call_id)._finish(_plain(said.get("output")))
        elif kind == "tool-error":
            self._open.pop(call_id)._fail(said.get("message") or "")
        return True

    def _start(self, call_id: str, said: dict[str, Any]) -> None:
        call = ToolCallStream(call_id, said.get("tool_name") or "", said.get("input"))
        if self._mux is not None:
            call._bind(is_async=self._mux.is_async, pump=self._mux.pump)
        self._open[call_id] = call
        self._log.push(call)

    def finalize(self) -> None:
        for call in self._open.values():
            call._finish(None)
        self._open.clear()

    def fail(self, err: BaseException) -> None:
        for call in self._open.values():
            call._fail(str(err))
        self._open.clear()


def _plain(output: Any) -> Any:
    """Return what a tool returned, without the message it may be in, serialized or not."""
    if isinstance(output, ToolMessage):
        return output.content
    # As LangChain serializes its objects: what a run elsewhere has said.
    if isinstance(output, dict) and output.get("type") == "constructor":
        kind, fields = output.get("id"), output.get("kwargs")
        if kind and kind[-1] == "ToolMessage" and isinstance(fields, dict):
            return fields.get("content")
    return output


for _public in (ToolCallStream, ToolCallTransformer):
    _public.__module__ = "millstream.prebuilt"
