"""A `MessageTap` that tells what models say as events of content blocks; see `content_blocks`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import UUID

from langchain_core.messages import ToolMessage
from langchain_core.outputs import ChatGenerationChunk

from millstream.modes.content_blocks import BlockWriter, ErrorEvent
from millstream.modes.message_tap import MessageTap, Metadata
from millstream.modes.names import MESSAGES
from millstream.modes.tap import NOBODY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import LLMResult

CHECKPOINT_NS: Final = "langgraph_checkpoint_ns"
"""The namespace of the task that says something, in the metadata."""
ATTEMPT: Final = "node_attempt"

OpenMessage: TypeAlias = "tuple[BlockWriter, Metadata]"
"""A message that is being said, and what is known of the model that says it."""


class BlockTap(MessageTap):
    """Sends what is said in one run to its run stream.

    What comes in chunks is sent as events, `(event, metadata)`; the metadata have a `run_id`, by
    which the events of one message are told from those of others, and from the second attempt of a
    task on a `node_attempt`. A whole message is sent as it is, `(message, metadata)`. What tools
    answer is not sent when a node returns it.

    Models run and return what they would without it.
    """

    has_blocks = True

    def __init__(self, *args: Any, failures: dict[str, int] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._failures: dict[str, int] = {} if failures is None else failures
        """How often tasks have failed and were tried again, by their namespace."""
        self._open_messages: dict[UUID, OpenMessage] = {}
        """The messages that are being said, by their LangChain run."""
        self._latest_message: tuple[UUID, OpenMessage] | tuple[None, None] = NOBODY
        """The one that began last; see `tap.NOBODY`."""

    def _shared(self) -> dict[str, Any]:
        return {**super()._shared(), "failures": self._failures}

    def end_attempt(self, ns: str) -> None:
        """Take note that a task is tried again: what it says from now on has a higher number."""
        self._failures[ns] = self._failures.get(ns, 0) + 1

    def _of_attempt(self, metadata: Metadata) -> Metadata:
        """Return metadata with the attempt of the task that they are of, if it is not the first."""
        failures = self._failures.get(metadata.get(CHECKPOINT_NS, "")) if self._failures else None
        return {**metadata, ATTEMPT: failures + 1} if failures else metadata

    def opened(self, run_id: UUID) -> OpenMessage | None:
        """Return the message that a model is saying."""
        return self._open_messages.get(run_id)

    def emit_new(self, message: BaseMessage, metadata: Metadata) -> None:
        """Send a whole message whose id was not sent before; one without id is given one."""
        # Run streams have what tools answer in a view of its own, by `tools`.
        if not isinstance(message, ToolMessage):
            super().emit_new(message, self._of_attempt(metadata))

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        **kwargs: Any,
    ) -> None:
        """Start to listen to a model, unless it is told to be silent."""
        super().on_chat_model_start(serialized, messages, run_id=run_id, **kwargs)
        heard = self._models.get(run_id)
        if heard is not None:
            heard = self._models[run_id] = self._of_attempt(heard)
            # The id that LangChain gives a message whose chunks have none.
            opened = BlockWriter(f"lc_run--{run_id}-0"), {**heard, "run_id": str(run_id)}
            self._open_messages[run_id] = opened
            self._latest_message = run_id, opened

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
        """Send the events of a chunk."""
        # As in `MessageTap`: this happens once per token.
        latest, found = self._latest_message
        opened = found if latest is run_id else self._open_messages.get(run_id)
        if opened is not None and isinstance(chunk, ChatGenerationChunk):
            writer, metadata = opened
            message = chunk.message
            self._seen.add(message.id)
            for event in writer.feed(message):
                self._emit((self._namespace, MESSAGES, (event, metadata), self._shape))

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Send the end of the message, all of it if it came without chunks."""
        opened = self._open_messages.get(run_id)
        # Nothing was sent of the message yet: it came whole.
        if opened is None or not opened[0].is_started:
            super().on_llm_end(response, run_id=run_id, **kwargs)
            return
        self._forget(run_id)
        # A provider may name the message later than with its first chunk.
        self._seen.update(
            getattr(getattr(each, "message", None), "id", None)
            for generations in response.generations[:1]
            for each in generations
        )
        self._emit_all(opened[0].finish(), opened[1])

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Send that the message will not be finished; one that nobody wants to hear further is."""
        opened = self._open_messages.get(run_id)
        super().on_llm_error(error, run_id=run_id, **kwargs)
        if opened is not None and opened[0].is_started:
            # Whoever read the model's stream has closed it, which is no failure of the model.
            is_enough = isinstance(error, GeneratorExit)
            self._emit_all(opened[0].finish() if is_enough else [ErrorEvent(error)], opened[1])

    def _forget(self, run_id: UUID) -> Metadata | None:
        self._open_messages.pop(run_id, None)
        if self._latest_message[0] == run_id:
            self._latest_message = NOBODY
        return super()._forget(run_id)

    def _emit_all(self, events: Iterable[Mapping[str, Any]], metadata: Metadata) -> None:
        for event in events:
            self._emit_payload((event, metadata))
