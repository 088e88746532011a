"""`Replay`: a recorded run, shown again in every form in which its graph would show it."""

from __future__ import annotations

import os
import warnings
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Collection,
    Coroutine,
    Generator,
    Iterator,
    Mapping,
    Sequence,
)
from typing import IO, TYPE_CHECKING, Any, Final

from millstream.constants import INTERRUPT
from millstream.errors import RunCancelledError
from millstream.modes.encoders import encode_protocol_at, encoder
from millstream.modes.event_listener import EVENTS, EventFilter
from millstream.modes.names import UPDATES, VALUES
from millstream.modes.parts import VERSION_OF_EVENTS, as_modes, check_modes, check_version
from millstream.pregel._running.results import with_questions
from millstream.pregel._running.run_streams import all_factories
from millstream.recording.lines import Status, modes_in_file, modes_of_run_stream
from millstream.recording.reading import (
    Reading,
    RecordedRun,
    TruncatedRecordingWarning,
    with_shape,
)
from millstream.replaying.pace import Pace, checked_speed
from millstream.stream._events.mux import StreamMux
from millstream.stream.run_stream import AsyncGraphRunStream, GraphRunStream

if TYPE_CHECKING:
    from millstream.modes.parts import Encode, Namespace, Part, Shape
    from millstream.modes.protocol_events import ProtocolEvent

Transformers = Sequence[Callable[[tuple[str, ...]], Any]]
UNSET: Final[Any] = object()


class Replay:
    """A recorded run: its methods are those of the graph, and show the run again.

    Nothing runs. What they are given as input and config is not looked at, so that a replay can
    stand where a program has a graph. Each call reads the file anew, from its beginning.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | IO[bytes],
        *,
        graph: Any = None,
        speed: float | None = None,
        allowed: Collection[tuple[str, str]] = (),
    ) -> None:
        """Open a recording; see `millstream.replay`."""
        self._graph = graph
        self._speed = checked_speed(speed)
        self._shapes: dict[tuple[str, ...], Shape] = {} if graph is None else _shapes(graph)
        classes = frozenset(allowed) | (frozenset() if graph is None else _classes(graph))
        self._run: Final = RecordedRun(source, sorted(classes))
        self._last: Reading | None = None

    @property
    def header(self) -> Mapping[str, Any]:
        """What is known of the run: `graph`, `started`, `input`, `drawing`, `versions`, ..."""
        return self._run.header

    @property
    def name(self) -> str:
        """The name of the graph."""
        return str(self.header.get("graph") or "")

    @property
    def status(self) -> Status:
        """How the run has ended: `success`, `interrupted`, `error`, `cancelled` or `drained`.

        `truncated` if the recording ends before.
        """
        return self._whole().status

    @property
    def error(self) -> BaseException | None:
        """What the run raised."""
        return self._whole().error

    @property
    def shortfall(self) -> str | None:
        """What is to be said of a recording that ends before its run; None if it does not."""
        return self._whole().shortfall

    def _whole(self) -> Reading:
        if self._last is None:
            reading = self._run.read(())
            for _ in reading:
                pass
            self._last = reading
        return self._last

    def stream(
        self,
        input: Any = None,
        config: Any = None,
        *,
        stream_mode: str | Sequence[str] | None = None,
        subgraphs: bool = False,
        version: str = "v1",
        speed: float | None = UNSET,
        **_: Any,
    ) -> Generator[Any, None, None]:
        """Yield what the run said, as `stream` of its graph did; raise what it raised."""
        encode, reading = self._open(stream_mode, subgraphs, version)
        return self._items(reading, encode, self._pace(speed), has_subgraphs=subgraphs)

    def astream(
        self,
        input: Any = None,
        config: Any = None,
        *,
        stream_mode: str | Sequence[str] | None = None,
        subgraphs: bool = False,
        version: str = "v1",
        speed: float | None = UNSET,
        **_: Any,
    ) -> AsyncGenerator[Any, None]:
        """Yield what the run said, as `astream` of its graph did; raise what it raised."""
        encode, reading = self._open(stream_mode, subgraphs, version)
        return self._aitems(reading, encode, self._pace(speed), has_subgraphs=subgraphs)

    def invoke(self, input: Any = None, config: Any = None, **_: Any) -> Any:
        """Return the final state, as far as it was recorded, and what is asked, as `invoke` does.

        Raises what the run raised, a `RunCancelledError` if it was cancelled or its reader had
        left it.
        """
        reading = self._run.read((VALUES, UPDATES))
        output: Any = None
        questions: list[Any] = []
        for _at, (namespace, mode, payload, _shape) in reading:
            if namespace != self._run.namespace:
                continue
            if mode == VALUES:
                output = payload
            elif INTERRUPT in payload:
                questions += payload[INTERRUPT]
        self._finish(reading, is_output_wanted=True)
        return with_questions(reading.ending.get("output", output), questions)

    async def ainvoke(self, input: Any = None, config: Any = None, **_: Any) -> Any:
        """Return the final state; see `invoke`."""
        return self.invoke()

    def stream_events(
        self,
        input: Any = None,
        config: Any = None,
        *,
        version: str = VERSION_OF_EVENTS,
        transformers: Transformers | None = None,
        speed: float | None = UNSET,
        **_: Any,
    ) -> GraphRunStream:
        """Return a run stream of the run; see `graph.stream_events`."""
        if version != VERSION_OF_EVENTS:
            raise NotImplementedError(
                f"stream_events(version={version!r}) is not supported. Use astream_events() for v2."
            )
        mux = self._mux(transformers, is_async=False)
        return GraphRunStream(self._protocol_events(mux, self._pace(speed)), mux)

    def astream_events(
        self,
        input: Any = None,
        config: Any = None,
        *,
        version: str = "v2",
        transformers: Transformers | None = None,
        speed: float | None = UNSET,
        include_names: Sequence[str] | None = None,
        include_types: Sequence[str] | None = None,
        include_tags: Sequence[str] | None = None,
        exclude_names: Sequence[str] | None = None,
        exclude_types: Sequence[str] | None = None,
        exclude_tags: Sequence[str] | None = None,
        **_: Any,
    ) -> AsyncIterator[Any] | Coroutine[Any, Any, AsyncGraphRunStream]:
        """Yield LangChain's events of the run, or return a run stream with `version="v3"`.

        A recording has the events only of a run that was read by `astream_events`.
        """
        if version == VERSION_OF_EVENTS:
            return self._arun_stream(transformers, self._pace(speed))
        if version != "v2":
            raise NotImplementedError(
                f"astream_events(version={version!r}) of a recording is not supported: use v2 or v3"
            )
        wanted = EventFilter(
            include_names, include_types, include_tags, exclude_names, exclude_types, exclude_tags
        )
        return self._events(wanted, self._pace(speed))

    async def _arun_stream(
        self, transformers: Transformers | None, pace: Pace
    ) -> AsyncGraphRunStream:
        mux = self._mux(transformers, is_async=True)
        return AsyncGraphRunStream(self._aprotocol_events(mux, pace), mux)

    def _mux(self, transformers: Transformers | None, *, is_async: bool) -> StreamMux:
        own = () if self._graph is None else self._graph.stream_transformers
        factories = all_factories(own, transformers)
        return StreamMux(factories=factories, scope=self._run.namespace, is_async=is_async)

    def _pace(self, speed: float | None) -> Pace:
        return Pace(self._speed if speed is UNSET else checked_speed(speed))

    def _open(
        self, stream_mode: str | Sequence[str] | None, subgraphs: bool, version: str
    ) -> tuple[Encode, Reading]:
        check_version(version)
        mode = self.header.get("stream_mode", "updates") if stream_mode is None else stream_mode
        modes = as_modes(mode)
        check_modes(modes)
        is_labelled = not isinstance(mode, str)
        encode = encoder(version, is_labelled=is_labelled, has_subgraphs=subgraphs)
        return encode, self._run.read(modes_in_file(modes, has_subgraphs=subgraphs))

    def _shown(self, part: Part) -> Part:
        return with_shape(part, self._shapes.get(_path(part[0]))) if self._shapes else part

    def _items(
        self, reading: Reading, encode: Encode, pace: Pace, *, has_subgraphs: bool
    ) -> Generator[Any, None, None]:
        namespace = self._run.namespace
        for at, part in reading:
            if has_subgraphs or part[0] == namespace:
                pace.wait(at)
                yield encode(self._shown(part))
        self._finish(reading)

    async def _aitems(
        self, reading: Reading, encode: Encode, pace: Pace, *, has_subgraphs: bool
    ) -> AsyncGenerator[Any, None]:
        namespace = self._run.namespace
        for at, part in reading:
            if has_subgraphs or part[0] == namespace:
                await pace.await_(at)
                yield encode(self._shown(part))
        self._finish(reading)

    def _protocol_events(self, mux: StreamMux, pace: Pace) -> Iterator[ProtocolEvent]:
        reading = self._run.read(modes_of_run_stream(mux.modes))
        for at, part in reading:
            pace.wait(at)
            yield self._protocol_event(at, part)
        self._finish(reading, is_output_wanted=True)

    async def _aprotocol_events(self, mux: StreamMux, pace: Pace) -> AsyncIterator[ProtocolEvent]:
        reading = self._run.read(modes_of_run_stream(mux.modes))
        for at, part in reading:
            await pace.await_(at)
            yield self._protocol_event(at, part)
        self._finish(reading, is_output_wanted=True)

    def _protocol_event(self, at: int, part: Part) -> ProtocolEvent:
        return encode_protocol_at(self._shown(part), (self._run.started + at) // 1000)

    async def _events(self, wanted: EventFilter, pace: Pace) -> AsyncIterator[Any]:
        reading, is_there = self._run.read((EVENTS,)), False
        for at, part in reading:
            event = part[2]
            is_there = True
            if wanted.wants(event["name"], _kind(event), event["tags"]):
                await pace.await_(at)
                yield event
        if not is_there:
            raise ValueError(
                f"{self._run.name} has no events of LangChain: record a run that is read by "
                "astream_events to replay them"
            )
        self._finish(reading)

    def _finish(self, reading: Reading, *, is_output_wanted: bool = False) -> None:
        """Say how the run has ended: raise what it raised, warn if that is not known.

        Who read the stream of a run that was cancelled had left it, and was told nothing.
        """
        self._last = reading
        if (shortfall := reading.shortfall) is not None:
            warnings.warn(shortfall, TruncatedRecordingWarning, stacklevel=3)
        if reading.error is not None:
            raise reading.error
        if is_output_wanted and reading.status == "cancelled":
            raise RunCancelledError(self.name)


def _kind(event: Mapping[str, Any]) -> str:
    """Return the kind of run that an event of LangChain is of, as filters name it."""
    name = str(event["event"])
    return str(event["name"]) if name == "on_custom_event" else name[3:].rpartition("_")[0]


def _path(namespace: Namespace) -> tuple[str, ...]:
    """Return the names of the nodes in a namespace."""
    return tuple([segment.partition(":")[0] for segment in namespace])


def _shapes(graph: Any) -> dict[tuple[str, ...], Shape]:
    """Return the classes of the states of a graph and of those in it, by the path to them."""
    nested = graph.get_subgraphs(recurse=True)
    return {
        (): graph.shape,
        **{
            tuple(path.split("|")): inner.shape for path, inner in nested if hasattr(inner, "shape")
        },
    }


def _classes(graph: Any) -> frozenset[tuple[str, str]]:
    """Return the classes that the states of a graph and of those in it are declared to have."""
    nested = [inner for _, inner in graph.get_subgraphs(recurse=True)]
    found = [each.state_classes() for each in (graph, *nested) if hasattr(each, "state_classes")]
    return frozenset().union(*found)
