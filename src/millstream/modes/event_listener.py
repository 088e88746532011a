"""The stream of `astream_events` v2: what LangChain's callbacks tell of a run, as it happens.

An `EventListener` is among the callbacks of the run, so it hears whatever is called in it that
LangChain knows of, the graph and its nodes too. Events go where all parts of the run go, and become
items in `EventListener.encode`, as do the other parts: a chunk of the graph is an event.

The shapes of events are those of LangChain's own event stream.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import GenerationChunk

from millstream.constants import MISSING
from millstream.modes.tap import NOBODY

if TYPE_CHECKING:
    from langchain_core.documents import Document
    from langchain_core.outputs import LLMResult

    from millstream.modes.parts import Emit, Encode, Part

T = TypeVar("T")
Event = dict[str, Any]

EVENTS: Final = "events"
"""The mode of parts that are events; nobody can ask for it."""


@dataclass(slots=True, frozen=True)
class EventFilter:
    """Which events the consumer wants; every sequence that is None allows all."""

    include_names: Collection[str] | None = None
    include_types: Collection[str] | None = None
    include_tags: Collection[str] | None = None
    exclude_names: Collection[str] | None = None
    exclude_types: Collection[str] | None = None
    exclude_tags: Collection[str] | None = None

    def wants(self, name: str, kind: str, tags: Sequence[str]) -> bool:
        """Say whether events with this name, of runs of this kind, are wanted."""
        # What is included by any of the three is wanted; what is excluded by any is not.
        included = (self.include_names, self.include_types, self.include_tags)
        if any(wanted is not None for wanted in included) and not (
            _has(self.include_names, name)
            or _has(self.include_types, kind)
            or any(_has(self.include_tags, tag) for tag in tags)
        ):
            return False
        return not (
            _has(self.exclude_names, name)
            or _has(self.exclude_types, kind)
            or any(_has(self.exclude_tags, tag) for tag in tags)
        )


def _has(names: Collection[str] | None, name: str) -> bool:
    return names is not None and name in names


@dataclass(slots=True, eq=False)
class TracedRun:
    """A LangChain run that is being heard."""

    id: str
    name: str
    kind: str
    tags: list[str]
    metadata: dict[str, Any]
    parents: list[str]
    is_wanted: bool
    is_tapped: bool = False
    """Its chunks are heard as somebody reads them."""
    input: Any = MISSING
    call_id: str | None = None
    """The id of the tool call."""

    # Three methods, because LangChain's events have their keys in an order, and print in it.

    def started(self, data: dict[str, Any]) -> Event:
        """Return the event that says the run starts."""
        return {
            "event": f"on_{self.kind}_start",
            "data": data,
            "name": self.name,
            "tags": self.tags,
            "run_id": self.id,
            "metadata": self.metadata,
            "parent_ids": [*self.parents],
        }

    def yielded(self, chunk: Any) -> Event:
        """Return the event for a chunk of the run's output."""
        return {
            "event": f"on_{self.kind}_stream",
            "run_id": self.id,
            "name": self.name,
            "tags": self.tags,
            "metadata": self.metadata,
            "data": {"chunk": chunk},
            "parent_ids": [*self.parents],
        }

    def event(self, phase: str, data: dict[str, Any]) -> Event:
        """Return any other event of the run: its end, or what a model says of a token."""
        return {
            "event": f"on_{self.kind}_{phase}",
            "data": data,
            "run_id": self.id,
            "name": self.name,
            "tags": self.tags,
            "metadata": self.metadata,
            "parent_ids": [*self.parents],
        }


class EventListener(BaseCallbackHandler):
    """Sends the events of one run of a graph, and of everything in it, to the run's consumer.

    Not an async handler: LangChain would run one in an event loop of its own for each thing that
    sync code tells. Safe to use from several threads.
    """

    run_inline = True
    """Called in the thread of whatever happens, so that events keep their order."""

    def __init__(self, wanted: EventFilter, input: Any) -> None:
        self._wanted = wanted
        self._input = input
        self._root: TracedRun | None = None
        self._runs: dict[UUID, TracedRun] = {}
        """The runs that have not ended."""
        self._latest: tuple[UUID, TracedRun] | tuple[None, None] = NOBODY
        """The model that began last; see `tap.NOBODY`."""
        self._lineages: dict[UUID, list[str]] = {}
        """The parents of all runs, the root first: what a run starts may outlive it."""
        self._taps: dict[UUID, object] = {}
        """Who hears the chunks of a run."""
        self._first: str | None = None
        """The run of the first event that the consumer was given."""
        self._encode_chunk: Encode
        self._emit: Emit
        self._emit_from_task: Emit

    def __copy__(self) -> EventListener:
        """Return the listener itself: configs are copied, whoever listens is not."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> EventListener:
        """Return the listener itself."""
        return self

    def connect(self, emit: Emit, emit_from_task: Emit) -> None:
        """Say where events go, and those that come one after the other.

        The second stops who emits them when nobody reads.
        """
        self._emit, self._emit_from_task = emit, emit_from_task

    def encoder(self, encode_chunk: Encode) -> Encode:
        """Return the function that turns a part into an event, or into None for no event."""
        self._encode_chunk = encode_chunk
        return self._encode

    def _encode(self, part: Part) -> Event | None:
        event: Event
        if part[1] is EVENTS:
            event = part[2]
        else:
            root = self._root
            if root is None or not root.is_wanted:
                return None
            # What the graph streams are the chunks of its own run.
            event = root.yielded(self._encode_chunk(part))
        if self._first is None:
            self._first = event["run_id"]
            # Its data are the program's.
            if event["event"] != "on_custom_event":
                event["data"]["input"] = self._input
        elif event["run_id"] == self._first and event["event"].endswith("_end"):
            event["data"].pop("input", None)
        return event

    def _start(
        self,
        kind: str,
        name: str | None,
        serialized: Mapping[str, Any] | None,
        input: Any,
        told: Mapping[str, Any],
    ) -> TracedRun:
        """Take note of a run that starts, from what LangChain told about it, and send that."""
        run_id, parent_id = told["run_id"], told.get("parent_run_id")
        # Known of runs that have ended too: what they started may go on without them.
        parents = [] if parent_id is None else [*self._lineages.get(parent_id, ()), str(parent_id)]
        name = _name(name, serialized)
        tags = told.get("tags") or []
        run = TracedRun(
            id=str(run_id),
            name=name,
            kind=kind,
            tags=tags,
            metadata=told.get("metadata") or {},
            parents=parents,
            is_wanted=self._wanted.wants(name, kind, tags),
            is_tapped=run_id in self._taps,
            input=input,
        )
        self._lineages[run_id] = parents
        self._runs[run_id] = run
        # The first run to start is the graph's own, in which all others are.
        if self._root is None:
            self._root = run
        if run.is_wanted:
            self._emit_event(run.started({} if input is MISSING else {"input": input}))
        return run

    def _emit_event(self, event: Event) -> None:
        self._emit(((), EVENTS, event, None))

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_type: str | None = None,
        name: str | None = None,
        **told: Any,
    ) -> None:
        """Send that a chain starts, a graph or a node among others."""
        # What LangChain says of a chain that is given a stream: it does not know yet.
        is_known = not (isinstance(inputs, dict) and inputs == {"input": ""})
        given = inputs if is_known else MISSING
        self._start(run_type or "chain", name, serialized, given, told)

    def on_chain_end(
        self, outputs: Any, *, run_id: UUID, inputs: Any = None, **kwargs: Any
    ) -> None:
        """Send what a chain returned."""
        run = self._runs.pop(run_id, None)
        if run is not None and run.is_wanted:
            given = inputs or (None if run.input is MISSING else run.input) or {}
            self._emit_event(run.event("end", {"output": outputs, "input": given}))

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        name: str | None = None,
        **told: Any,
    ) -> None:
        """Send that a chat model starts."""
        run = self._start("chat_model", name, serialized, {"messages": messages}, told)
        self._latest = told["run_id"], run

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        name: str | None = None,
        **told: Any,
    ) -> None:
        """Send that a text model starts."""
        run = self._start("llm", name, serialized, {"prompts": prompts}, told)
        self._latest = told["run_id"], run

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
        """Send a chunk of a model."""
        # As in `MessageTap`: this happens once per token.
        latest, found = self._latest
        run = found if latest is run_id else self._runs.get(run_id)
        # Chunks of a run that somebody reads are sent as they are read; hearing the tokens too
        # would double them.
        if run is None or not run.is_wanted or run.is_tapped:
            return
        if run.kind == "chat_model":
            shown = AIMessageChunk(content=token) if chunk is None else chunk.message
        elif chunk is None:
            shown = GenerationChunk(text=token if isinstance(token, str) else "")
        else:
            shown = chunk
        self._emit_from_task(((), EVENTS, run.event("stream", {"chunk": shown}), None))

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Send what a model said."""
        if self._latest[0] == run_id:
            self._latest = NOBODY
        run = self._runs.pop(run_id, None)
        if run is not None and run.is_wanted:
            said = _message_of(response) if run.kind == "chat_model" else _texts_of(response)
            self._emit_event(run.event("end", {"output": said, "input": run.input}))

    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        input_str: str,
        *,
        name: str | None = None,
        inputs: dict[str, Any] | None = None,
        tool_call_id: str | None = None,
        **told: Any,
    ) -> None:
        """Send that a tool starts."""
        run = self._start("tool", name, serialized, inputs or {}, told)
        # What the end shows; at the start LangChain shows an empty dict for a tool without inputs.
        run.input = inputs
        run.call_id = tool_call_id

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Send what a tool returned."""
        run = self._runs.pop(run_id, None)
        if run is not None and run.is_wanted:
            self._emit_event(run.event("end", {"output": output, "input": run.input}))

    def on_tool_error(
        self,
        error: BaseException,
        *,
        run_id: UUID,
        tool_call_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Send why a tool failed."""
        run = self._runs.pop(run_id, None)
        if run is not None and run.is_wanted:
            call_id = run.call_id if tool_call_id is None else tool_call_id
            data = {"error": error, "input": run.input, "tool_call_id": call_id}
            self._emit_event(run.event("error", data))

    def on_retriever_start(
        self,
        serialized: dict[str, Any] | None,
        query: str,
        *,
        name: str | None = None,
        **told: Any,
    ) -> None:
        """Send that a retriever starts."""
        self._start("retriever", name, serialized, {"query": query}, told)

    def on_retriever_end(
        self, documents: Sequence[Document], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Send what a retriever found."""
        run = self._runs.pop(run_id, None)
        if run is not None and run.is_wanted:
            self._emit_event(run.event("end", {"output": documents, "input": run.input}))

    def on_custom_event(
        self,
        name: str,
        data: Any,
        *,
        run_id: UUID,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Send an event that the code of a run made up."""
        tags = tags or []
        if not self._wanted.wants(name, name, tags):
            return
        event = {
            "event": "on_custom_event",
            "run_id": str(run_id),
            "name": name,
            "tags": tags,
            "metadata": metadata or {},
            "data": data,
            "parent_ids": [*self._lineages.get(run_id, ())],
        }
        self._emit_from_task(((), EVENTS, event, None))

    async def tap_output_aiter(self, run_id: UUID, output: AsyncIterator[T]) -> AsyncIterator[T]:
        """Send the chunks of a run as somebody reads them."""
        is_first = self._tap(run_id)
        async for chunk in output:
            if is_first:
                self.emit_chunk(run_id, chunk)
            yield chunk

    def tap_output_iter(self, run_id: UUID, output: Iterator[T]) -> Iterator[T]:
        """Send the chunks of a run as somebody reads them."""
        is_first = self._tap(run_id)
        for chunk in output:
            if is_first:
                self.emit_chunk(run_id, chunk)
            yield chunk

    def _tap(self, run_id: UUID) -> bool:
        """Say whether nobody has tapped the run before."""
        tap = object()
        # A stream may be tapped at several layers of a runnable, all of which see the same chunks.
        is_first = self._taps.setdefault(run_id, tap) is tap
        run = self._runs.get(run_id)
        if run is not None:
            run.is_tapped = True
        return is_first

    def emit_chunk(self, run_id: UUID, chunk: Any) -> None:
        """Send a chunk of a run that has not ended."""
        run = self._runs.get(run_id)
        if run is not None and run.is_wanted:
            self._emit_from_task(((), EVENTS, run.yielded(chunk), None))


def _name(name: str | None, serialized: Mapping[str, Any] | None) -> str:
    """Return the name of a run: its own, or else that of what was called."""
    if name is not None:
        return name
    described = serialized or {}
    if "name" in described:
        return str(described["name"])
    return str(described["id"][-1]) if "id" in described else "Unnamed"


def _message_of(response: LLMResult) -> Any:
    """Return the first message of a chat model's result, an empty dict if there is none."""
    for generations in response.generations:
        for generation in generations:
            return getattr(generation, "message", {})
    return {}


def _texts_of(response: LLMResult) -> dict[str, Any]:
    """Return a text model's result as a dict."""
    return {
        "generations": [
            [
                {"text": each.text, "generation_info": each.generation_info, "type": each.type}
                for each in generations
            ]
            for generations in response.generations
        ],
        "llm_output": response.llm_output,
    }
