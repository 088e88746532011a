"""`Listener`: the one handler among LangChain's callbacks of a run that is recorded.

LangChain takes longer to tell a handler of a token than most handlers need for it. So the taps of a
recorded run, which are the recording's and its readers', are told by one: it hears a model once,
and tells each of them, in their order.

Most tokens of a message differ in their text alone. What they have in common is written once, as a
template (`SpokenMessage`), and each of them as its text: that is all that both of the recording's
taps would make of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from types import MethodType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from millstream.modes.tap import NOBODY, WaitingCall
from millstream.recording.taps import RecordedBlocks, RecordedMessages

if TYPE_CHECKING:
    from uuid import UUID

    from millstream.modes.message_tap import MessageTap
    from millstream.recording.tape import Say

T = TypeVar("T")


class SpokenMessage:
    """A message that a model is saying, of which tokens are recorded as their text."""

    __slots__ = ("_fields", "_parts", "_say")

    def __init__(self, say: Say, message: AIMessageChunk, parts: list[str]) -> None:
        self._say = say
        self._fields = {**message.__dict__}
        """What a token must have that the template stands for; but for its text."""
        self._parts = parts
        """The pieces of the content block that grows."""

    def take(self, message: Any) -> bool:
        """Record a token, unless it has something else than the template."""
        # A class of its own may have what its fields do not show.
        if type(message) is not AIMessageChunk:
            return False
        fields = message.__dict__
        text = fields["content"]
        # Both get the same text, and are compared whole: no list of fields is to be kept up.
        mine = self._fields
        mine["content"] = text
        if not text or type(text) is not str or fields != mine or message.__pydantic_extra__:
            return False
        self._parts.append(text)
        self._say(text)
        return True


class Listener(BaseCallbackHandler):
    """Hears the models of one run for all of its taps, two of which are a recording's.

    Of several recordings that hear the run, one is told of tokens in short.
    """

    is_tap = True
    """Not a listener to runs, as a tap is none."""
    run_inline = True
    ignore_agent = True
    ignore_chain = True
    ignore_custom_event = True
    ignore_retriever = True
    ignore_retry = True

    def __init__(self, taps: Sequence[MessageTap]) -> None:
        """Hear for these taps."""
        self._taps: Final = taps
        self._messages = next(tap for tap in taps if isinstance(tap, RecordedMessages))
        self._tape: Final = self._messages.tape
        own = [tap for tap in taps if isinstance(tap, RecordedBlocks) and tap.tape is self._tape]
        self._blocks = own[0]
        # The functions of the classes: on an instance may stand one that has models wait.
        calls = {tap: MethodType(type(tap).on_llm_new_token, tap) for tap in taps}
        self._hear_token: tuple[Callable[..., None], ...] = tuple(calls.values())
        self._others_hear_token: tuple[Callable[..., None], ...] = tuple(
            call for tap, call in calls.items() if tap not in (self._messages, self._blocks)
        )
        self._spoken: dict[UUID, SpokenMessage] = {}
        """The messages that are being said of which tokens are recorded as text."""
        self._latest: tuple[UUID, SpokenMessage] | tuple[None, None] = NOBODY
        """The one that began last; see `tap.NOBODY`."""
        rooms = [tap.room for tap in taps if tap.room is not None]
        if rooms:
            room = rooms[0] if len(rooms) == 1 else Rooms(rooms)
            call: Any = WaitingCall(self.on_llm_new_token, room)
            self.on_llm_new_token = call  # type: ignore[method-assign]  # is called like it

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        """Start to listen to a model."""
        for tap in self._taps:
            tap.on_chat_model_start(*args, **kwargs)

    def on_llm_new_token(
        self,
        token: str | list[str | dict[str, Any]],
        *,
        chunk: Any = None,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Take a token."""
        # As in `MessageTap`: this happens once per token.
        latest, found = self._latest
        spoken = found if latest is run_id else self._spoken.get(run_id)
        if isinstance(chunk, ChatGenerationChunk):
            message = chunk.message
            is_taken = spoken is not None and spoken.take(message)
            if is_taken or self._begin(run_id, message):
                for hear in self._others_hear_token:
                    hear(token, chunk=chunk, run_id=run_id)
                return
        for hear in self._hear_token:
            hear(token, chunk=chunk, run_id=run_id)

    def _begin(self, run_id: UUID, message: Any) -> bool:
        """Record a token with a new template, if it can have one."""
        self._forget(run_id)
        metadata, opened = self._messages.heard(run_id), self._blocks.opened(run_id)
        if metadata is None or opened is None or not self._tape.has_templates:
            return False
        writer, metadata_of_blocks = opened
        block = writer.growing_with(message)
        # The last token, which says that it is, is like no other.
        is_last = getattr(message, "chunk_position", None) is not None
        if block is None or is_last or message.__pydantic_extra__:
            return False
        blank = message.model_copy(update={"content": ""})
        said = (blank, metadata), (block.delta(""), metadata_of_blocks)
        say = self._tape.open_message(self._messages.namespace, *said)
        self._messages.note(message.id)
        self._blocks.note(message.id)
        spoken = SpokenMessage(say, message, block.parts)
        self._spoken[run_id] = spoken
        self._latest = run_id, spoken
        return spoken.take(message)

    def _forget(self, run_id: UUID) -> Sequence[Any]:
        """Take tokens no more by the template there is; return the metadata of what is said."""
        if self._spoken.pop(run_id, None) is not None and self._latest[0] == run_id:
            self._latest = NOBODY
        opened = self._blocks.opened(run_id)
        return self._messages.heard(run_id), None if opened is None else opened[1]

    def on_llm_end(self, response: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Take the end of what a model says."""
        metadata = self._forget(run_id)
        for tap in self._taps:
            tap.on_llm_end(response, run_id=run_id, **kwargs)
        self._tape.close_message(*metadata)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Take that a model has failed."""
        metadata = self._forget(run_id)
        for tap in self._taps:
            tap.on_llm_error(error, run_id=run_id, **kwargs)
        self._tape.close_message(*metadata)

    def tap_output_aiter(self, run_id: UUID, output: AsyncIterator[T]) -> AsyncIterator[T]:
        """Leave the output alone; that this exists makes models stream when they are invoked."""
        return output

    def tap_output_iter(self, run_id: UUID, output: Iterator[T]) -> Iterator[T]:
        """Leave the output alone; see `tap_output_aiter`."""
        return output


class Rooms:
    """Waits for room for all of several consumers."""

    def __init__(self, rooms: Sequence[Awaitable[None]]) -> None:
        self._rooms = rooms

    def __await__(self) -> Generator[Any, None, None]:
        for room in self._rooms:
            yield from room.__await__()
