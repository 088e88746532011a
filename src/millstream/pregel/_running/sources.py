"""What a run that was started reads: the engine's own stream, or the one that replaces it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable, Iterator
from contextlib import aclosing, closing, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from millstream.constants import INTERRUPT
from millstream.core.state import RunStatus
from millstream.drivers import aio, sync
from millstream.drivers.switch import RunSwitch
from millstream.modes.encoders import coerce
from millstream.modes.names import UPDATES
from millstream.modes.parts import VERSION_OF_EVENTS, as_modes, check_modes
from millstream.outbox.write_ahead import WriteAheadLog
from millstream.pregel._running.opening import CallOptions, open_logged
from millstream.pregel._running.overrides import is_overridden, stream_arguments
from millstream.pregel._running.request import scope_of
from millstream.pregel._running.results import RESULT, final_output
from millstream.runs.life import Ending
from millstream.typing import ConfigLike

if TYPE_CHECKING:
    from millstream.drivers.run import Run
    from millstream.drivers.run_request import RunRequest
    from millstream.modes.parts import Part
    from millstream.pregel._running.log_streams import LogStreams
    from millstream.pregel._structure.definition import GraphDefinition
    from millstream.runs.life import Source
    from millstream.runs.log import EventLog


def open_source(
    graph: GraphDefinition[Any, Any, Any, Any],
    input: Any,
    config: ConfigLike | None,
    options: CallOptions,
    method: str,
    ahead: WriteAheadLog | None = None,
) -> Source:
    """Open a run that is going to be read by itself, through `stream` or `astream` if replaced.

    Of a run of the engine a log `ahead` gets everything, and there is nothing to read.
    """
    if is_overridden(graph, method):
        return OverriddenSource(graph, input, config, options)
    return OwnSource(open_logged(graph, input, config, options, ahead))


def open_started(
    graph: GraphDefinition[Any, Any, Any, Any],
    method: str,
    input: Any,
    config: ConfigLike | None,
    stream_mode: Any,
    version: str | None,
    log: EventLog | None,
    options: dict[str, Any],
) -> tuple[Source, RunSwitch, LogStreams | None]:
    """Open a run that is going to be started, and say how its owner reaches it."""
    if "max_buffered" in options:
        raise TypeError("start and astart have no max_buffered: events are kept as they are")
    modes = (stream_mode,) if isinstance(stream_mode, str) else tuple(stream_mode)
    streams = None
    if version is not None:
        if version != VERSION_OF_EVENTS:
            raise TypeError(
                f"start and astart have no version {version!r}: events are kept as they are, "
                "and with 'v3' there are run streams of them"
            )
        # Imported with the first one: slow to import.
        from millstream.pregel._running.log_streams import LogStreams

        check_modes(modes)
        streams = LogStreams(graph, modes)
        modes, options["subgraphs"] = tuple(streams.modes), True
    switch = RunSwitch(options.get("control"))
    call = CallOptions.of({**options, "stream_mode": modes, "control": switch})
    ahead = log if isinstance(log, WriteAheadLog) else None
    source = open_source(graph, input, config, call, method, ahead)
    if streams is not None:
        streams.scope = source.scope
    return source, switch, streams


class OwnSource:
    """A run of the engine."""

    _driver: sync.SyncDriver | aio.AsyncDriver | None = None

    def __init__(self, request: RunRequest) -> None:
        self.name = request.name
        self.scope = request.nesting.namespace
        self._request = request

    def parts(self) -> Generator[Part, None, None]:
        """Drive the run in this thread, and yield what it says."""
        driver = self._driver = sync.SyncDriver()
        return driver.items(lambda: self._request)

    def aparts(self) -> AsyncGenerator[Part, None]:
        """Drive the run in this task, and yield what it says."""
        driver = self._driver = aio.AsyncDriver()
        return driver.items(lambda: self._request)

    def rest(self) -> Iterable[Part]:
        """Return what the run has said that was stopped while it was read."""
        run: Run | None = getattr(self._driver, "run", None)  # it may not have begun
        return () if run is None else run.outbox.take()

    def ending(self) -> Ending:
        """Say how the run has ended."""
        assert self._driver is not None, "it has been read to its end"
        run = self._driver.run
        machine = run.machine
        return Ending(
            final_output(run, "v2").value,
            tuple(machine.interrupts),
            machine.status in (RunStatus.PAUSED, RunStatus.BREAKPOINT),
        )


class OverriddenSource:
    """A run of a graph whose `stream` or `astream` somebody has replaced; see `overrides`.

    Its items are asked for with everything that tells how it ends, and what was not to be logged is
    left out.
    """

    def __init__(
        self,
        graph: GraphDefinition[Any, Any, Any, Any],
        input: Any,
        config: ConfigLike | None,
        options: CallOptions,
    ) -> None:
        self.name = graph.get_name()
        self._graph = graph
        self._call = (input, config)
        self.scope = scope_of(graph, config)
        self._logged = frozenset(as_modes(options.stream_mode or ()))
        check_modes(self._logged)
        # Also what is not logged: how the run ends shows in the state and in the questions.
        self._options = replace(options, stream_mode=[*sorted(self._logged | {RESULT, UPDATES})])
        self._output: Any = None
        self._interrupts: list[Any] = []
        self._is_interrupted = False

    def parts(self) -> Generator[Part, None, None]:
        """Read the stream in this thread, and yield what is to be logged."""
        stream: Any = self._graph.stream(*self._call, **self._arguments())
        with closing(stream) if hasattr(stream, "close") else nullcontext():
            items: Iterator[Any] = iter(stream)
            for item in items:
                part = self._part(item)
                if part[1] in self._logged:
                    yield part

    async def aparts(self) -> AsyncGenerator[Part, None]:
        """Read the stream in this task, and yield what is to be logged."""
        stream: Any = self._graph.astream(*self._call, **self._arguments())
        async with aclosing(stream) if hasattr(stream, "aclose") else nullcontext():
            items: AsyncIterator[Any] = aiter(stream)
            async for item in items:
                part = self._part(item)
                if part[1] in self._logged:
                    yield part

    def rest(self) -> Iterable[Part]:
        """Return nothing: whoever replaced the stream has it."""
        return ()

    def ending(self) -> Ending:
        """Say how the run has ended."""
        output, make = self._output, self._graph.shape.output
        # The stream gives plain dicts; the handle's output is of the state's class, as `invoke`
        # returns it.
        if isinstance(output, dict) and make is not None:
            output = coerce(make, output)
        return Ending(output, tuple(self._interrupts), self._is_interrupted)

    def _arguments(self) -> dict[str, Any]:
        return stream_arguments(self._graph, self._options)

    def _part(self, item: Any) -> Part:
        """Turn an item into a part, and take note of what it says about the end."""
        namespace, mode, payload = item if self._options.subgraphs else (self.scope, *item)
        is_own = namespace == self.scope
        shape = self._graph.shape if is_own else None
        if is_own and isinstance(payload, dict):
            if mode == UPDATES and INTERRUPT in payload:
                self._is_interrupted = True
                self._interrupts += payload[INTERRUPT]
            elif mode == RESULT and INTERRUPT not in payload:
                self._output = payload
        elif is_own and mode == RESULT:
            self._output = payload
        return namespace, mode, payload, shape
