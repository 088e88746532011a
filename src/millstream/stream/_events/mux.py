"""`StreamMux`: gives every event of a run to the transformers, and keeps the event log."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from millstream._base.clock import current
from millstream._base.texts import safe_repr
from millstream.modes.names import GRAPHS, TASKS
from millstream.stream._readers.pump import PlainPump
from millstream.stream._transformers.base import is_async_only, overrides
from millstream.stream.stream_channel import StreamChannel

if TYPE_CHECKING:
    from millstream._base.clock import Clock
    from millstream.modes.protocol_events import ProtocolEvent
    from millstream.stream._readers.pump import Pump, Sink
    from millstream.stream._transformers.base import StreamTransformer, TransformerFactory

    Process = Callable[[ProtocolEvent], bool]
    AsyncProcess = Callable[[ProtocolEvent], Awaitable[bool]]


class StreamMux:
    """Dispatches events to transformers, in order, and appends them to the run's event log.

    `factories` are called with the `scope`, the namespace of the graph this is about, and again
    for each nested graph that gets a mux of its own; ready-made `transformers` cannot be. Channels
    that the transformers' `init` returns are closed when the run ends.
    """

    def __init__(
        self,
        transformers: Iterable[StreamTransformer] | None = None,
        *,
        is_async: bool = False,
        factories: Sequence[TransformerFactory] | None = None,
        scope: tuple[str, ...] = (),
        _assign_seq: bool = True,
        _name: str = "",
        _clock: Clock | None = None,
    ) -> None:
        self.is_async = is_async
        self.scope = scope
        self.extensions: dict[str, Any] = {}
        self.native_keys: set[str] = set()
        self.error: BaseException | None = None
        """Why the run failed."""
        self.pump: Pump | None = None
        self._factories = tuple(factories or ())
        self._transformers: list[StreamTransformer] = []
        self._untold: deque[StreamTransformer] = deque()
        """Those who have not been told of the end."""
        self._owners: dict[str, StreamTransformer] = {}
        self._channels: list[StreamChannel[Any]] = []
        self._events: StreamChannel[ProtocolEvent] = StreamChannel()
        self._events._bind(is_async=is_async)
        self._is_root = _assign_seq
        self._seq = 0
        self._made = 0
        """Events that were given an id."""
        self._name = _name
        """What the ids begin with, made up when it is needed; given where others make the same
        events of the same run."""
        self._clock = current() if _clock is None else _clock
        """That of the run."""
        self._root = self
        self._late: list[tuple[StreamChannel[ProtocolEvent], ProtocolEvent]] = []
        """Events for the logs of nested graphs, which show them when they have their `seq`."""
        self._is_abandoned = False
        """The run was left, or nobody looks at the nested graph any more."""
        self._depth = 0
        """Events being handled now, one inside the other."""
        self._forwarded: list[ProtocolEvent] = []
        """Items of named channels that wait for the event they come from."""
        self._lanes: dict[str, tuple[Process, ...]] = {}
        self._async_lanes: dict[str, tuple[tuple[bool, Any], ...]] = {}
        # Those of factories first: they are there in each nested graph too, ready-made ones only
        # here.
        made = [factory(scope) for factory in self._factories]
        for transformer in (*_early_first(made), *_early_first(transformers or ())):
            self._register(transformer)

    @property
    def modes(self) -> frozenset[str]:
        """The stream modes that the transformers need."""
        modes: set[str] = set()
        for each in self._transformers:
            own = each.required_stream_modes
            # Who is told of graphs needs no `tasks` events to guess them from.
            modes.update((GRAPHS,) if each._is_told_of_graphs else own)
        if self.has_own_transformers:
            modes.add(TASKS)  # which LangGraph's runs always have
        return frozenset(modes)

    def transformer_by_key(self, key: str) -> StreamTransformer | None:
        """Return the transformer that has a projection of this name, None if there is none."""
        return self._owners.get(key)

    def watch(self, sink: Sink) -> None:
        """Have all events of the run put into a sink, too, as they come, and tell it of the end."""
        self._events._watch(sink)

    @property
    def has_factories(self) -> bool:
        """Whether the mux can make others for nested graphs."""
        return bool(self._factories)

    @property
    def has_own_transformers(self) -> bool:
        """Whether any transformer is of a class that is not ours: it may do anything."""
        return any(
            not type(each).__module__.startswith("millstream.") for each in self._transformers
        )

    def _register(self, transformer: StreamTransformer) -> None:
        name = type(transformer).__name__
        if not self.is_async and is_async_only(transformer):
            raise RuntimeError(
                f"{name} requires an async run — it overrides aprocess/afinalize/afail or sets "
                "requires_async=True. Use astream(), not stream()."
            )
        # Before `init`, which may schedule something.
        transformer._home = self
        projections = transformer.init()
        if not isinstance(projections, dict):
            raise TypeError(
                f"StreamTransformer.init() must return a dict, got {type(projections).__name__}"
            )
        taken = [key for key in projections if key in self.extensions]
        if taken:
            owners = ", ".join(
                f"{key!r} (owned by {type(self._owners[key]).__name__})" for key in taken
            )
            raise ValueError(
                f"Transformer {name} returned projection keys that conflict with "
                f"already-registered keys: {owners}"
            )
        is_native = getattr(transformer, "_native", False)
        for key, projection in projections.items():
            self.extensions[key] = projection
            self._owners[key] = transformer
            if isinstance(projection, StreamChannel):
                self._adopt(projection, is_native=is_native)
        if is_native:
            self.native_keys.update(projections)
        self._transformers.append(transformer)
        self._untold.append(transformer)
        transformer._on_register(self)

    def _adopt(self, channel: StreamChannel[Any], *, is_native: bool) -> None:
        channel._bind(is_async=self.is_async)
        self._channels.append(channel)
        if channel.name is not None:
            # Names of others must not be taken for stream modes.
            method = channel.name if is_native else f"custom:{channel.name}"
            channel._wire(lambda item: self._forward(method, item))

    def bind_pump(self, fn: Callable[[], bool]) -> None:
        """Have readers call a function when they find nothing: it pushes events, or says no."""
        self._connect(PlainPump(fn))

    def bind_apump(self, fn: Callable[[], Awaitable[bool]]) -> None:
        """Have async readers await a function when they find nothing; see `bind_pump`."""
        self._connect(PlainPump(fn))

    def _connect(self, pump: Pump) -> None:
        """Have readers carry the run on through a pump."""
        self.pump = pump
        self._events._bind_pump(pump)
        for channel in self._channels:
            channel._bind_pump(pump)
        hook = "_bind_apump" if self.is_async else "_bind_pump"
        for transformer in self._transformers:
            bind = getattr(transformer, hook, None)
            if bind is not None:
                bind(pump.pull)

    def _make_child(self, scope: tuple[str, ...]) -> StreamMux:
        """Return the mux for a nested graph, driven by the same pump."""
        if not self._factories:
            raise RuntimeError(
                "StreamMux._make_child requires the mux to be constructed with `factories=`; "
                "pre-built transformers can't be cloned to a new scope."
            )
        child = StreamMux(
            factories=self._factories,
            scope=scope,
            is_async=self.is_async,
            _assign_seq=False,
            _name=f"{self._name}|{scope[-1]}" if self._name and scope else "",
            _clock=self._clock,
        )
        # Numbers are given by the root alone: an event has one `seq`, in whichever log it is read.
        child._root = self._root
        if self.pump is not None:
            child._connect(self.pump)
        return child

    def push(self, event: ProtocolEvent) -> None:
        """Give an event to every transformer, then append it to the log if none objected."""
        self._identify(event)
        self._depth += 1
        try:
            # Everybody sees the event, also when somebody has objected already.
            keep = True
            method = event["method"]
            # Which transformers want a method is worked out with its first event.
            for process in self._lanes.get(method) or self._lane(method):
                if not process(event):
                    keep = False
        finally:
            self._depth -= 1
        self._append(event, keep=keep)

    async def apush(self, event: ProtocolEvent) -> None:
        """Give an event to every transformer, one after the other; see `push`."""
        self._identify(event)
        self._depth += 1
        try:
            keep = True
            method = event["method"]
            for is_async, process in self._async_lanes.get(method) or self._async_lane(method):
                if not (await process(event) if is_async else process(event)):
                    keep = False
        finally:
            self._depth -= 1
        self._append(event, keep=keep)

    def _append(self, event: ProtocolEvent, *, keep: bool) -> None:
        """Append an event to the log if it is kept, and then what it made others say."""
        if keep:
            self._log(event)
        if self._forwarded:
            self._log_forwarded()
        # An event pushed by a transformer comes in the middle of another one, which is to have its
        # number first.
        if self._late and not self._depth:
            self._show_late()

    def _lane(self, method: str) -> tuple[Process, ...]:
        """Work out what has to be called for events of a method."""
        lane = tuple(each.process for each in self._interested(method))
        self._lanes[method] = lane
        return lane

    def _async_lane(self, method: str) -> tuple[tuple[bool, Any], ...]:
        lane = tuple(
            (True, each.aprocess) if overrides(each, "aprocess") else (False, each.process)
            for each in self._interested(method)
        )
        self._async_lanes[method] = lane
        return lane

    def _forget_lanes(self) -> None:
        """Work out again what has to be called: a transformer wants to see more."""
        self._lanes.clear()
        self._async_lanes.clear()

    def _interested(self, method: str) -> list[StreamTransformer]:
        return [
            each
            for each in self._transformers
            if (each._methods is None or method in each._methods)
            and (method != GRAPHS or each._is_told_of_graphs)
        ]

    def _identify(self, event: ProtocolEvent) -> None:
        if "event_id" not in event:
            # One random name for the run and a number for the event, because a UUID for each costs
            # more than the event.
            self._name = self._name or uuid.uuid4().hex[:16]
            self._made += 1
            event["event_id"] = f"{self._name}-{self._made}"

    def _log(self, event: ProtocolEvent) -> None:
        """Append an event to the log."""
        if self._is_root:
            self._seq += 1
            event["seq"] = self._seq
        if self._root is self:
            self._events.push(event)
        else:
            # It gets its `seq` in the log of the root, after this.
            self._root._late.append((self._events, event))

    def _log_forwarded(self) -> None:
        """Append what named channels have said, after the event that made them say it."""
        if not self._depth:
            # Taken first: what is logged may make a channel say more.
            waiting, self._forwarded = self._forwarded, []
            for forwarded in waiting:
                self._log(forwarded)
            if not self._root._depth:
                self._root._show_late()

    def _show_late(self) -> None:
        """Append to the logs of nested graphs what has been appended to this one."""
        waiting, self._late = self._late, []
        for log, event in waiting:
            log.push(event)

    def _forward(self, method: str, item: Any) -> None:
        """Have an item of a named channel appear in the log."""
        now = int(self._clock.timestamp() * 1000)
        event: ProtocolEvent = {
            "type": "event",
            "method": method,
            "params": {"namespace": [], "timestamp": now, "data": item},
        }
        self._identify(event)
        self._forwarded.append(event)
        self._log_forwarded()

    def close(self) -> None:
        """Complete all projections and end the log; raise the first error there was."""
        error: BaseException | None = None
        while self._untold:
            # Taken away first: one that is called again by what it does is not told twice.
            transformer = self._untold.popleft()
            try:
                transformer.finalize()
            except Exception as raised:
                error = error or raised
        self._shut(error)
        if error is not None:
            raise error

    def fail(self, err: BaseException) -> None:
        """End all projections and the log with an error."""
        while self._untold:
            transformer = self._untold.popleft()
            try:
                transformer.fail(err)
            except Exception as raised:
                add_error_note(err, f"{type(transformer).__name__}.fail() raised", raised)
        self._shut(err)

    async def aclose(self) -> None:
        """Wait for what transformers have scheduled, then `close`."""
        error = await self._finish_scheduled()
        if error is not None:
            await self.afail(error)
            raise error
        while self._untold:
            transformer = self._untold.popleft()
            try:
                await transformer.afinalize()
            except Exception as raised:
                error = error or raised
        error = await self._finish_scheduled() or error
        self._shut(error)
        if error is not None:
            raise error

    async def afail(self, err: BaseException) -> None:
        """Cancel what transformers have scheduled, then `fail`."""
        await self._cancel_scheduled()
        while self._untold:
            transformer = self._untold.popleft()
            try:
                await transformer.afail(err)
            except Exception as raised:
                add_error_note(err, f"{type(transformer).__name__}.fail() raised", raised)
        await self._cancel_scheduled()
        while (missed := self._scheduled_error()) is not None:
            add_error_note(err, "What a transformer scheduled raised", missed)
        self._shut(err)

    def conclude(self) -> None:
        """Close; an error of that is the run's."""
        try:
            self.close()
        except Exception as error:
            self.error = error

    async def aconclude(self) -> None:
        """Close; an error of that is the run's."""
        try:
            await self.aclose()
        except Exception as error:
            self.error = error

    def abandon(self) -> None:
        """Close after the run was left; for a nested graph, nobody looks any more."""
        if self._root is self:
            self.conclude()
        else:
            self._leave()

    async def aabandon(self) -> None:
        """Close after the run was left: what was scheduled is cancelled; see `abandon`."""
        self._is_abandoned = True
        await self._cancel_scheduled()
        if self._root is self:
            await self.aconclude()
        else:
            self._leave()

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody looks any more."""
        return self._is_abandoned

    @property
    def status(self) -> str:
        """Where the run is, in words."""
        if self.error is not None:
            return f"failed with {type(self.error).__name__}"
        return "ended" if self._events._closed else "going on"

    def _leave(self) -> None:
        """Show nothing more: the next event, or the end, of the nested graph does the rest."""
        self._is_abandoned = True
        for channel in (*self._channels, self._events):
            channel._abandon()

    def _shut(self, error: BaseException | None) -> None:
        # Ended already: what fails while it is closed must not close it again.
        if self._events._closed:
            return
        if error is not None:
            self.error = error
        self._log_forwarded()
        self._root._show_late()
        for channel in (*self._channels, self._events):
            if error is not None:
                channel.fail(error)
            else:
                channel.close()

    async def _finish_scheduled(self) -> BaseException | None:
        """Wait for scheduled tasks, which may schedule more; return the first error to raise."""
        if self._is_abandoned or self._root._is_abandoned:  # since when more was scheduled
            await self._cancel_scheduled()
        # What was scheduled may schedule more.
        while tasks := self._scheduled():
            await asyncio.wait(tasks)
        return self._scheduled_error()

    def _scheduled_error(self) -> BaseException | None:
        errors = (each._take_scheduled_error() for each in self._transformers)
        return next((error for error in errors if error is not None), None)

    async def _cancel_scheduled(self) -> None:
        tasks = self._scheduled()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    @property
    def has_scheduled(self) -> bool:
        """Whether anything runs that a transformer has scheduled."""
        return any(each._scheduled for each in self._transformers)

    def _scheduled(self) -> list[asyncio.Task[Any]]:
        return [task for each in self._transformers for task in each._scheduled]


def _early_first(transformers: Iterable[StreamTransformer]) -> list[StreamTransformer]:
    """Return the transformers in order, those first that want to be before the built-in ones."""
    return sorted(transformers, key=lambda each: not getattr(each, "before_builtins", False))


def add_error_note(error: BaseException, what: str, raised: BaseException) -> None:
    """Keep an error that came beside another one visible in it."""
    if sys.version_info >= (3, 11):
        error.add_note(f"{what} {safe_repr(raised)} meanwhile")


StreamMux.__module__ = "millstream.stream"
