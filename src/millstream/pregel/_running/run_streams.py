"""Opening a run stream: a run, the mux that sorts its events, and the stream that shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from millstream.drivers import aio, sync
from millstream.modes.encoders import protocol_encoder
from millstream.modes.parts import VERSION_OF_EVENTS, RunStreamMode
from millstream.pregel._running.opening import CallOptions, open_run
from millstream.pregel._running.overrides import is_overridden
from millstream.pregel._running.request import scope_of
from millstream.stream._events.mux import StreamMux
from millstream.stream._transformers.base import StreamTransformer
from millstream.stream.run_stream import AsyncGraphRunStream, GraphRunStream
from millstream.stream.transformers import (
    LifecycleTransformer,
    MessagesTransformer,
    SubgraphTransformer,
    ValuesTransformer,
)
from millstream.typing import ConfigLike

if TYPE_CHECKING:
    from millstream.drivers.run_request import RunRequest
    from millstream.pregel._structure.definition import GraphDefinition
    from millstream.stream._transformers.base import TransformerFactory

BUILTINS: Final[tuple[TransformerFactory, ...]] = (
    ValuesTransformer,
    MessagesTransformer,
    LifecycleTransformer,
    SubgraphTransformer,
)

OWNED: Final = ("stream_mode", "subgraphs")
"""Arguments of `stream` that a run stream decides itself."""


def open_stream(
    graph: GraphDefinition[Any, Any, Any, Any],
    input: Any,
    config: ConfigLike | None,
    transformers: Sequence[Callable[[tuple[str, ...]], Any]] | None,
    arguments: Mapping[str, Any],
) -> GraphRunStream:
    """Return the run stream of a sync run that has not begun."""
    factories = _checked(graph, transformers, arguments)
    if is_overridden(graph, "stream"):
        mux = StreamMux(factories=factories, scope=scope_of(graph, config))
        return GraphRunStream(graph.stream(input, config, **_typed(mux, arguments)), mux)
    prepare, mux = _open(graph, input, config, factories, arguments, is_async=False)
    return GraphRunStream(sync.drive(prepare), mux)


def open_astream(
    graph: GraphDefinition[Any, Any, Any, Any],
    input: Any,
    config: ConfigLike | None,
    transformers: Sequence[Callable[[tuple[str, ...]], Any]] | None,
    arguments: Mapping[str, Any],
) -> AsyncGraphRunStream:
    """Return the run stream of an async run that has not begun."""
    factories = _checked(graph, transformers, arguments)
    if is_overridden(graph, "astream"):
        mux = StreamMux(factories=factories, scope=scope_of(graph, config), is_async=True)
        return AsyncGraphRunStream(graph.astream(input, config, **_typed(mux, arguments)), mux)
    prepare, mux = _open(graph, input, config, factories, arguments, is_async=True)
    return AsyncGraphRunStream(aio.drive(prepare), mux)


def open_told(
    graph: GraphDefinition[Any, Any, Any, Any],
    input: Any,
    config: ConfigLike | None,
    transformers: Sequence[Callable[[tuple[str, ...]], Any]],
    arguments: Mapping[str, Any],
) -> tuple[RunRequest, StreamMux] | None:
    """Return a run and the mux for its events, which may be pushed in any thread, one at a time.

    None where they have to be read: transformers of the graph's own may rely on the event loop, and
    so may whoever has replaced `astream`.
    """
    factories = _checked(graph, transformers, arguments)
    if graph.stream_transformers or is_overridden(graph, "astream"):
        return None
    prepare, mux = _open(graph, input, config, factories, arguments, is_async=False)
    return prepare(), mux


def _checked(
    graph: GraphDefinition[Any, Any, Any, Any],
    transformers: Sequence[Callable[[tuple[str, ...]], Any]] | None,
    arguments: Mapping[str, Any],
) -> list[TransformerFactory]:
    """Check a call, and return what makes the transformers of its run stream."""
    check_arguments(arguments)
    return checked_factories(graph, transformers)


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Refuse what run streams decide themselves, with a `TypeError`."""
    owned = ", ".join(name for name in OWNED if name in arguments)
    if owned:
        raise TypeError(
            "stream_events(version='v3') / astream_events(version='v3') do not accept "
            f"{owned}; v3 owns these (stream_mode is built from the transformer mux, "
            "subgraphs is forced True so nested namespaces flow through scoped muxes)."
        )


def checked_factories(
    graph: GraphDefinition[Any, Any, Any, Any],
    transformers: Sequence[Callable[[tuple[str, ...]], Any]] | None,
) -> list[TransformerFactory]:
    """Return what makes the transformers of a run stream: ours, the graph's, and the caller's."""
    return all_factories(graph.stream_transformers, transformers)


def all_factories(
    of_graph: Sequence[TransformerFactory],
    transformers: Sequence[Callable[[tuple[str, ...]], Any]] | None,
) -> list[TransformerFactory]:
    """Return what makes the transformers of a run stream, given those of its graph."""
    if isinstance(transformers, StreamTransformer) or callable(transformers):
        raise TypeError(
            "transformers must be a list of transformer classes or functions that make them, got "
            f"{transformers!r}"
        )
    factories = [*BUILTINS, *of_graph, *(transformers or ())]
    check_factories(factories)
    return factories


def _open(
    graph: GraphDefinition[Any, Any, Any, Any],
    input: Any,
    config: ConfigLike | None,
    factories: Sequence[TransformerFactory],
    arguments: Mapping[str, Any],
    *,
    is_async: bool,
) -> tuple[Callable[[], RunRequest], StreamMux]:
    """Open the run and make its mux; what is wrong with the run itself is the run's error."""
    options = CallOptions.of(
        # No modes yet: which are needed the mux says, which needs to know where the run is.
        {**arguments, "stream_mode": (), "subgraphs": True, "version": VERSION_OF_EVENTS}
    )
    try:
        request = open_run(graph, input, config, options)
    # Raised to whoever reads, as any error of the run: a run stream is opened by who may not read
    # it.
    except Exception as error:
        return partial(_refuse, error), StreamMux(factories=factories, is_async=is_async)
    scope, clock = request.nesting.namespace, request.clock
    mux = StreamMux(factories=factories, is_async=is_async, scope=scope, _clock=clock)
    shown, encode = request.subscription, protocol_encoder(clock)
    subscription = replace(shown, modes=shown.modes | mux.modes, yielded=mux.modes, encode=encode)
    request = request._replace(subscription=subscription)
    return lambda: request, mux


def _typed(mux: StreamMux, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a `stream` that gives the mux what it needs, as typed parts."""
    modes = [RunStreamMode(mode) for mode in sorted(mux.modes)]
    return {**arguments, "stream_mode": modes, "subgraphs": True, "version": "v2"}


def _refuse(error: Exception) -> RunRequest:
    raise error


def check_factories(factories: Iterable[Any]) -> None:
    """Refuse what does not make a transformer for a scope, with a `TypeError`."""
    for factory in factories:
        if isinstance(factory, StreamTransformer):
            name = type(factory).__name__
            raise TypeError(
                "stream_events(version='v3') transformers must be scope-aware callables, got "
                f"pre-built instance {name}. Pass the transformer class or a factory like "
                "`lambda scope: MyTransformer(scope, ...)`."
            )
        if not callable(factory):
            raise TypeError(
                "stream_events(version='v3') transformers must be scope-aware callables, got "
                f"{type(factory).__name__}."
            )
