"""Messages of a run, one handle each, for whoever reads `run.messages`."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.language_models.chat_model_stream import (
    AsyncChatModelStream,
    AsyncProjection,
    ChatModelStream,
)
from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage

from millstream.modes.content_blocks import ErrorEvent, message_events
from millstream.modes.names import MESSAGES
from millstream.stream._transformers.base import StreamTransformer
from millstream.stream.stream_channel import StreamChannel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import TypeAlias

    from langchain_core.messages import BaseMessage

    from millstream.modes.protocol_events import ProtocolEvent
    from millstream.stream._events.mux import StreamMux

    Handle: TypeAlias = "ChatModelStream | AsyncChatModelStream"


class MessageStream(ChatModelStream):
    """A whole message that is not of a model, seen through its events.

    Its output is the message itself; one that is put together from events is always an `AIMessage`.
    """

    def __init__(self, message: BaseMessage, *, node: str | None = None) -> None:
        super().__init__(node=node, message_id=message.id)
        self._message = message

    @property
    def output(self) -> BaseMessage:  # type: ignore[override]  # any message, not only a model's
        """The message."""
        return self._message

    @property
    def output_message(self) -> BaseMessage:  # type: ignore[override]  # see `output`
        """The message."""
        return self._message


class AsyncMessageStream(AsyncChatModelStream):
    """A whole message that is not of a model, seen through its events; see `MessageStream`."""

    def __init__(self, message: BaseMessage, *, node: str | None = None) -> None:
        super().__init__(node=node, message_id=message.id)
        self._message = message
        self._whole = AsyncProjection()
        self._whole.complete(message)

    @property
    def output(self) -> AsyncProjection:
        """The message, to be awaited."""
        return self._whole

    @property
    def output_message(self) -> BaseMessage:  # type: ignore[override]  # see `MessageStream`
        """The message."""
        return self._message

    def __await__(self) -> Generator[Any, None, BaseMessage]:  # type: ignore[override]
        """Return the message."""
        return self._whole.__await__()


class MessagesTransformer(StreamTransformer):
    """The messages of the graph: what its models say, and what its nodes return whole."""

    _native: ClassVar[bool] = True
    required_stream_modes: ClassVar[tuple[str, ...]] = (MESSAGES,)
    _methods = frozenset(required_stream_modes)

    def __init__(self, scope: tuple[str, ...] = ()) -> None:
        super().__init__(scope)
        self._namespace = list(scope)
        self._log: StreamChannel[Handle] = StreamChannel()
        self._open: dict[str, Handle] = {}
        """The messages that are being said, by the id of the model's run."""
        self._is_async = False
        self._pump: Callable[[], bool] | None = None
        self._apump: Callable[[], Awaitable[bool]] | None = None

    def init(self) -> dict[str, Any]:
        return {"messages": self._log}

    def _on_register(self, mux: StreamMux) -> None:
        self._is_async = mux.is_async

    def _bind_pump(self, fn: Callable[[], bool]) -> None:
        """Have the readers of messages carry the run on."""
        self._pump = fn

    def _bind_apump(self, fn: Callable[[], Awaitable[bool]]) -> None:
        """Have the readers of messages carry the run on."""
        self._apump = fn

    def process(self, event: ProtocolEvent) -> bool:
        params = event["params"]
        if event["method"] == MESSAGES and params["namespace"] == self._namespace:
            said, metadata = params["data"]
            # A message in chunks comes as events, one that was whole as itself.
            if isinstance(said, dict):
                self._take_event(said, metadata)
            else:
                self._take_message(said, metadata)
        return True

    def finalize(self) -> None:
        # The run was left, or the node stopped listening: a message ends with what was said.
        for stream in self._open.values():
            stream.dispatch({"event": "message-finish"})
        self._open.clear()

    def fail(self, err: BaseException) -> None:
        for stream in self._open.values():
            stream.fail(err)
        self._open.clear()

    def _take_event(self, event: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Give an event to the handle of its message, which is made when the message starts."""
        run_id, kind = str(metadata.get("run_id", "")), event["event"]
        if kind == "message-start":
            # Without a reader the handle would never be seen.
            if event.get("role") == "tool" or not self._log.is_subscribed:
                return
            node, message_id = metadata.get("langgraph_node"), event.get("id")
            made: Handle = (
                AsyncChatModelStream(node=node, message_id=message_id)
                if self._is_async
                else ChatModelStream(node=node, message_id=message_id)
            )
            self._open[run_id] = made
            self._add(made)
        # None if the message began before somebody read.
        stream = self._open.get(run_id)
        if stream is None:
            return
        if isinstance(event, ErrorEvent):
            stream.fail(event.error)
        else:
            stream.dispatch(event)
        if stream.done:
            del self._open[run_id]

    def _take_message(self, message: BaseMessage, metadata: Mapping[str, Any]) -> None:
        """Make the handle of a whole message; a chunk is a piece of one, whoever pushed it."""
        if isinstance(message, (ToolMessage, AIMessageChunk)) or not self._log.is_subscribed:
            return
        node = metadata.get("langgraph_node")
        stream: Handle
        if isinstance(message, AIMessage):
            made = AsyncChatModelStream if self._is_async else ChatModelStream
            stream = made(node=node, message_id=message.id)
        else:
            whole = AsyncMessageStream if self._is_async else MessageStream
            stream = whole(message, node=node)
        # A handle looks the same to its reader, however the message came.
        for event in message_events(message):
            stream.dispatch(event)
        self._add(stream)

    def _add(self, stream: Handle) -> None:
        """Hand a handle to the reader, whose reading of it carries the run on."""
        if isinstance(stream, AsyncChatModelStream):
            stream.set_arequest_more(self._apump)
        elif self._pump is not None:
            stream.set_request_more(self._pump)
        self._log.push(stream)


MessagesTransformer.__module__ = "millstream.stream.transformers"
