"""What of a run can be watched: LangChain's events, and run streams."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from millstream.pregel import _engine as engine
from millstream.pregel._running.overrides import is_overridden
from millstream.pregel._saved_state.saved_graph import SavedGraph
from millstream.typing import ConfigLike, ContextT, InputT, OutputT, StateT

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langchain_core.runnables.schema import StreamEvent

    from millstream.stream.run_stream import AsyncGraphRunStream, GraphRunStream


class EventStreamGraph(SavedGraph[StateT, ContextT, InputT, OutputT]):
    """How a run of a compiled graph can be watched; `Pregel` adds how it runs."""

    @overload  # type: ignore[override]  # named options, and what version v3 returns
    def astream_events(
        self,
        input: Any,
        config: ConfigLike | None = None,
        *,
        version: Literal["v3"],
        transformers: Sequence[Callable[[tuple[str, ...]], Any]] | None = None,
        **kwargs: Any,
    ) -> Coroutine[Any, Any, AsyncGraphRunStream]: ...

    @overload
    def astream_events(
        self,
        input: Any,
        config: ConfigLike | None = None,
        *,
        version: Literal["v1", "v2"] = "v2",
        include_names: Sequence[str] | None = None,
        include_types: Sequence[str] | None = None,
        include_tags: Sequence[str] | None = None,
        exclude_names: Sequence[str] | None = None,
        exclude_types: Sequence[str] | None = None,
        exclude_tags: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[StreamEvent]: ...

    def astream_events(
        self,
        input: Any,
        config: ConfigLike | None = None,
        *,
        version: Literal["v1", "v2", "v3"] = "v2",
        transformers: Sequence[Callable[[tuple[str, ...]], Any]] | None = None,
        include_names: Sequence[str] | None = None,
        include_types: Sequence[str] | None = None,
        include_tags: Sequence[str] | None = None,
        exclude_names: Sequence[str] | None = None,
        exclude_types: Sequence[str] | None = None,
        exclude_tags: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[StreamEvent] | Coroutine[Any, Any, AsyncGraphRunStream]:
        """Run the graph and yield LangChain's events of it and of everything it calls.

        With `version="v3"`, to be awaited, it returns a run stream instead: see `astream_v2`.

        Each is a dict that says what happened (`event`: `on_chain_start`, `on_chat_model_stream`,
        ...), to which run (`name`, `run_id`, `parent_ids`, `tags`, `metadata`), with what (`data`).
        The other arguments are those of `astream`: the items it would yield are the chunks of the
        graph's own `on_chain_stream` events. `include_*` and `exclude_*` choose runs by name, by
        kind (`chain`, `chat_model`, `tool`, ...) or by tag.

        Raises what `astream` raises, after all events before; closing the iterator, or cancelling
        the task that reads it, stops the run as it does there. `version="v1"` is LangChain's old
        event stream.
        """
        if version == "v3":
            return self.astream_v2(input, config, transformers=transformers, **kwargs)
        wanted = {
            "include_names": include_names,
            "include_types": include_types,
            "include_tags": include_tags,
            "exclude_names": exclude_names,
            "exclude_types": exclude_types,
            "exclude_tags": exclude_tags,
        }
        if version != "v2" or is_overridden(self, "astream"):
            # LangChain's own stream calls `astream`, which may have been replaced.
            return super().astream_events(
                input, cast("RunnableConfig", config), version=version, **wanted, **kwargs
            )
        opening = engine.opening
        options = opening.CallOptions.of(kwargs)
        prepare = partial(opening.open_events, self, input, config, options, wanted)
        return engine.event_stream.drive(prepare)

    def stream_events(  # type: ignore[override]  # what version v3 returns
        self,
        input: Any,
        config: ConfigLike | None = None,
        *,
        version: Literal["v1", "v2", "v3"] = "v2",
        transformers: Sequence[Callable[[tuple[str, ...]], Any]] | None = None,
        **kwargs: Any,
    ) -> GraphRunStream:
        """Return a run stream, with `version="v3"`: see `stream_v2`. There is no sync v1 or v2."""
        if version != "v3":
            raise NotImplementedError(
                f"stream_events(version={version!r}) is not supported. Use astream_events() for "
                "v1/v2, or stream_events(version='v3') on a supported subclass."
            )
        return self.stream_v2(input, config, transformers=transformers, **kwargs)

    def stream_v2(
        self,
        input: Any,
        config: ConfigLike | None = None,
        *,
        transformers: Sequence[Callable[[tuple[str, ...]], Any]] | None = None,
        **kwargs: Any,
    ) -> GraphRunStream:
        """Return one run, not begun, that shows itself in many ways at once.

        Reading the stream, or any of its projections, carries the run on. `transformers` are
        classes of `StreamTransformer`s, or functions that make them for a namespace; they come
        after the built-in ones and those the graph was compiled with. The other arguments are
        those of `stream`, except for `stream_mode` and `subgraphs`, which are refused with a
        `TypeError`. Other errors in the arguments are raised when the stream is read.
        """
        from millstream.pregel._running.run_streams import open_stream

        return open_stream(self, input, config, transformers, kwargs)

    async def astream_v2(
        self,
        input: Any,
        config: ConfigLike | None = None,
        *,
        transformers: Sequence[Callable[[tuple[str, ...]], Any]] | None = None,
        **kwargs: Any,
    ) -> AsyncGraphRunStream:
        """Return one async run, not begun, that shows itself in many ways; see `stream_v2`."""
        from millstream.pregel._running.run_streams import open_astream

        return open_astream(self, input, config, transformers, kwargs)
