"""The `messages` stream: tokens of chat models, and whole messages, from below one run.

A `MessageTap` is the ear of one consumer in one run. LangChain tells it what chat models say,
because it is among the callbacks of every task; the engine tells it what nodes are given and
return. Each message goes out once: a chunk always, a whole message only if nothing with its id did
before.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar
from uuid import UUID, uuid4

from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk

from millstream.constants import TAG_NOSTREAM
from millstream.modes.names import MESSAGES
from millstream.modes.tap import NOBODY, Tap, WaitingCall
from millstream.types import Command

if TYPE_CHECKING:
    from langchain_core.outputs import LLMResult

    from millstream.modes.parts import Emit, Namespace, Shape

T = TypeVar("T")
Metadata = dict[str, Any]

PLAIN: Final = frozenset((bool, bytes, float, int, str, type(None)))
"""Types of values that are known not to hold messages; to ask others costs more."""


class MessageTap(Tap):
    """Sends what is said in one run to the consumer that asked for `messages`.

    If there must be room for tokens, models wait for it.
    """

    mode = MESSAGES
    has_blocks: ClassVar[bool] = False
    """Models are heard as events of content blocks."""
    is_recording: ClassVar[bool] = False
    """What is heard goes into a recording; then LangChain tells its taps by a `Listener`."""
    ignore_llm = False
    ignore_chat_model = False

    def __init__(
        self,
        emit: Emit,
        namespace: Namespace,
        shape: Shape | None,
        *,
        has_subgraphs: bool,
        room: Awaitable[None] | None = None,
        seen: set[str | None] | None = None,
    ) -> None:
        super().__init__(emit, namespace, shape, has_subgraphs=has_subgraphs)
        self.room = room
        """What models wait for before they go on, None if there is always room."""
        if room is not None:
            # On the instance, because LangChain looks whether the handler's method is a coroutine
            # function.
            call: Any = WaitingCall(self.on_llm_new_token, room)
            self.on_llm_new_token = call  # type: ignore[method-assign]  # is called like it
        self._seen = set() if seen is None else seen
        """Ids that the consumer has received or a node was given."""
        self._models: dict[UUID, Metadata] = {}
        """The models that are being heard, by their LangChain run."""
        self._latest: tuple[UUID, Metadata] | tuple[None, None] = NOBODY
        """The one that began last; see `tap.NOBODY`."""

    def _shared(self) -> dict[str, Any]:
        # Shared, so that a message which a nested graph returns is not sent again by the graph
        # around.
        return {"room": self.room, "seen": self._seen}

    def record_seen(self, value: Any) -> None:
        """Take note of the messages in a state a node is given: they are history, not news."""
        for message in messages_of(value):
            if message.id is not None:
                self._seen.add(message.id)

    @property
    def namespace(self) -> Namespace:
        """Where the run is that is heard."""
        return self._namespace

    def heard(self, run_id: UUID) -> Metadata | None:
        """Return the metadata of a model that is being heard."""
        return self._models.get(run_id)

    def note(self, id: str | None) -> None:
        """Take note that the consumer has received the message with an id, or some of it."""
        self._seen.add(id)

    def end_attempt(self, ns: str) -> None:
        """Take note that a task, by its namespace, is tried again: nothing, here."""

    def messages_in(self, value: Any) -> list[BaseMessage]:
        """Return the messages in what a node returned."""
        return messages_in(value)

    def emit_new(self, message: BaseMessage, metadata: Metadata) -> None:
        """Send a whole message whose id was not sent before; one without id is given one."""
        if message.id is None:
            # In place: the reducer keeps the id, so that the state has the message that was sent.
            message.id = str(uuid4())
        elif message.id in self._seen:
            return
        self.emit(message, metadata)

    def emit(self, message: BaseMessage, metadata: Metadata) -> None:
        """Send a message or chunk, whatever was sent before."""
        self._seen.add(message.id)
        self._emit_payload((message, metadata))

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Start to listen to a model, unless it is told to be silent."""
        if TAG_NOSTREAM in (tags or ()):
            return
        # LangChain's marks of the steps in a sequence say nothing to a consumer.
        shown = [tag for tag in tags or () if not tag.startswith("seq:step:")]
        heard = metadata or {}
        if shown:
            heard = {**heard, "tags": shown}
        self._models[run_id] = heard
        self._latest = run_id, heard

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
        """Send a chunk."""
        # As `push`, written out; all that LangChain gives has a name, so that no dict is made of
        # the rest. This happens once per token.
        latest, found = self._latest
        heard = found if latest is run_id else self._models.get(run_id)
        if heard is not None and isinstance(chunk, ChatGenerationChunk):
            message = chunk.message
            self._seen.add(message.id)
            self._emit((self._namespace, MESSAGES, (message, heard), self._shape))

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Send what the model said if it came without chunks."""
        heard = self._forget(run_id)
        if heard is None or not response.generations or not response.generations[0]:
            return
        message = getattr(response.generations[0][0], "message", None)
        if isinstance(message, BaseMessage):
            self.emit_new(message, heard)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Stop listening."""
        self._forget(run_id)

    def _forget(self, run_id: UUID) -> Metadata | None:
        """Listen to a model no more; return its metadata if it was heard."""
        if self._latest[0] == run_id:
            self._latest = NOBODY
        return self._models.pop(run_id, None)

    def relay(self, namespace: Namespace, payload: Any) -> None:
        """Send what a tap elsewhere has made for this one's consumer."""
        # What models elsewhere say counts as sent here too, or the node's result would repeat it.
        message = payload[0]
        if isinstance(message, BaseMessage):
            self._seen.add(message.id)
        elif isinstance(message, dict) and message.get("event") == "message-start":
            self._seen.add(message.get("id"))
        super().relay(namespace, payload)

    def tap_output_aiter(self, run_id: UUID, output: AsyncIterator[T]) -> AsyncIterator[T]:
        """Leave the output alone; that this exists makes models stream when they are invoked."""
        return output

    def tap_output_iter(self, run_id: UUID, output: Iterator[T]) -> Iterator[T]:
        """Leave the output alone; see `tap_output_aiter`."""
        return output


def messages_in(value: Any) -> list[BaseMessage]:
    """Return the messages in what a node is given or returns.

    It is a message, a sequence of them, or a state whose top-level values are that. A `Command`
    counts by its update, alone or in a sequence; then states in the sequence count too.
    """
    if isinstance(value, Command):
        value = value.update
    if isinstance(value, dict):
        return messages_of(value)
    if isinstance(value, BaseMessage):
        return [value]
    if not isinstance(value, (list, tuple)):
        return messages_of(value)
    found: list[BaseMessage] = []
    # A list with a `Command` is a list of results; one without is a value, in which states are just
    # dicts.
    are_results = any(isinstance(item, Command) for item in value)
    for item in value:
        if isinstance(item, BaseMessage):
            found.append(item)
        elif isinstance(item, Command):
            found += messages_in(item)
        elif are_results:
            found += messages_of(item)
    return found


def messages_of(state: Any) -> list[BaseMessage]:
    """Return the messages among the top-level values of a state, and in sequences there."""
    found: list[BaseMessage] = []
    for field in _fields(state):
        if type(field) in PLAIN:
            continue
        if isinstance(field, BaseMessage):
            found.append(field)
        elif isinstance(field, Sequence) and not isinstance(field, (str, bytes)):
            found += [item for item in field if isinstance(item, BaseMessage)]
    return found


def _fields(state: Any) -> list[Any]:
    """Return the top-level values of a state; a value that is no state has none."""
    if isinstance(state, dict):
        return list(state.values())
    names = getattr(type(state), "model_fields", None)
    if names is None and dataclasses.is_dataclass(state):
        names = [field.name for field in dataclasses.fields(state)]
    return [getattr(state, name, None) for name in names or ()]
