"""`StreamMux`: gives every event of a run to the transformers, and keeps the event log."""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from millstream.stream.pump import PlainPump
from millstream.stream.stream_channel import StreamChannel
from millstream.stream.transformer import is_async_only, overrides

if TYPE_CHECKING:
    from millstream.stream.protocol import ProtocolEvent
    from millstream.stream.pump import Pump
    from millstream.stream.transformer import StreamTransformer, TransformerFactory

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
        self._owners: dict[str, StreamTransformer] = {}
        self._channels: list[StreamChannel[Any]] = []
        self._events: StreamChannel[ProtocolEvent] = StreamChannel()
        self._events._bind(is_async=is_async)
        self._is_root = _assign_seq
        self._seq = 0
        self._made = 0
        """Events that were given an id."""
        self._name = uuid.uuid4().hex[:16] if _assign_seq else ""
        self._depth = 0
        """Events being handled now, one inside the other."""
        self._forwarded: list[ProtocolEvent] = []
        """Items of named channels that wait for the event they come from."""
        self._lanes: dict[str, tuple[Process, ...]] = {}
        self._async_lanes: dict[str, tuple[tuple[bool, Any], ...]] = {}
        made = [factory(scope) for factory in self._factories]
        for transformer in (*_early_first(made), *_early_first(transformers or ())):
            self._register(transformer)

    @property
    def modes(self) -> frozenset[str]:
        """The stream modes that the transformers need."""
        return frozenset(mode for each in self._transformers for mode in each.required_stream_modes)

    def transformer_by_key(self, key: str) -> StreamTransformer | None:
        """Return the transformer that has a projection of this name, None if there is none."""
        return self._owners.get(key)

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
        transformer._on_register(self)

    def _adopt(self, channel: StreamChannel[Any], *, is_native: bool) -> None:
        channel._bind(is_async=self.is_async)
        self._channels.append(channel)
        if channel.name is not None:
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
                "This StreamMux was built from transformer instances, so it cannot make the ones "
                "of a nested graph. Build it with factories=[...]"
            )
        child = StreamMux(
            factories=self._factories, scope=scope, is_async=self.is_async, _assign_seq=False
        )
        if self.pump is not None:
            child._connect(self.pump)
        return child

    def push(self, event: ProtocolEvent) -> None:
        """Give an event to every transformer, then append it to the log if none objected."""
        self._identify(event)
        self._depth += 1
        try:
            keep = True
            for process in self._lane(event["method"]):
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
            for is_async, process in self._async_lane(event["method"]):
                if not (await process(event) if is_async else process(event)):
                    keep = False
        finally:
            self._depth -= 1
        self._append(event, keep=keep)

    def _lane(self, method: str) -> tuple[Process, ...]:
        """Return what has to be called for events of a method."""
        lane = self._lanes.get(method)
        if lane is None:
            lane = tuple(each.process for each in self._interested(method))
            self._lanes[method] = lane
        return lane

    def _async_lane(self, method: str) -> tuple[tuple[bool, Any], ...]:
        lane = self._async_lanes.get(method)
        if lane is None:
            lane = tuple(
                (True, each.aprocess) if overrides(each, "aprocess") else (False, each.process)
                for each in self._interested(method)
            )
            self._async_lanes[method] = lane
        return lane

    def _interested(self, method: str) -> list[StreamTransformer]:
        return [
            each for each in self._transformers if each._methods is None or method in each._methods
        ]

    def _identify(self, event: ProtocolEvent) -> None:
        if self._is_root and "event_id" not in event:
            self._made += 1
            event["event_id"] = f"{self._name}-{self._made}"

    def _append(self, event: ProtocolEvent, *, keep: bool) -> None:
        """Append an event to the log, and what it made named channels say after it."""
        if keep:
            self._log(event)
        if self._forwarded and not self._depth:
            waiting, self._forwarded = self._forwarded, []
            for forwarded in waiting:
                self._log(forwarded)

    def _log(self, event: ProtocolEvent) -> None:
        if self._is_root:
            self._seq += 1
            event["seq"] = self._seq
        self._events.push(event)

    def _forward(self, method: str, item: Any) -> None:
        """Have an item of a named channel appear in the log."""
        event: ProtocolEvent = {
            "type": "event",
            "method": method,
            "params": {"namespace": [], "timestamp": int(time.time() * 1000), "data": item},
        }
        self._identify(event)
        self._forwarded.append(event)
        if not self._depth:
            self._append(event, keep=False)

    def close(self) -> None:
        """Complete all projections and end the log; raise the first error there was."""
        errors = [_error_of(each.finalize) for each in self._transformers]
        self._conclude_with(errors)

    def fail(self, err: BaseException) -> None:
        """End all projections and the log with an error."""
        for each in self._transformers:
            _note(err, each, _error_of(partial(each.fail, err)))
        self._shut(err)

    async def aclose(self) -> None:
        """Wait for what transformers have scheduled, then `close`."""
        error = await self._finish_scheduled()
        if error is not None:
            await self.afail(error)
            raise error
        errors = [await _aerror_of(each.afinalize()) for each in self._transformers]
        self._conclude_with(errors)

    async def afail(self, err: BaseException) -> None:
        """Cancel what transformers have scheduled, then `fail`."""
        await self._cancel_scheduled()
        for each in self._transformers:
            _note(err, each, each._take_scheduled_error())
            _note(err, each, await _aerror_of(each.afail(err)))
        self._shut(err)

    def _conclude_with(self, errors: Iterable[Exception | None]) -> None:
        """End the log; raise the first of the errors, if there is one."""
        error = next((each for each in errors if each is not None), None)
        self._shut(error)
        if error is not None:
            raise error

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

    async def aabandon(self) -> None:
        """Close after the run was left: what was scheduled is cancelled."""
        await self._cancel_scheduled()
        if not self._events._closed:
            await self.aconclude()

    def _shut(self, error: BaseException | None) -> None:
        if error is not None:
            self.error = error
        for channel in (*self._channels, self._events):
            if error is not None:
                channel.fail(error)
            else:
                channel.close()

    async def _finish_scheduled(self) -> BaseException | None:
        """Wait for scheduled tasks, which may schedule more; return the first error to raise."""
        while tasks := self._scheduled():
            await asyncio.wait(tasks)
        errors = (each._take_scheduled_error() for each in self._transformers)
        return next((error for error in errors if error is not None), None)

    async def _cancel_scheduled(self) -> None:
        tasks = self._scheduled()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _scheduled(self) -> list[asyncio.Task[Any]]:
        return [task for each in self._transformers for task in each._scheduled]


def _early_first(transformers: Iterable[StreamTransformer]) -> list[StreamTransformer]:
    """Return the transformers in order, those first that want to be before the built-in ones."""
    return sorted(transformers, key=lambda each: not getattr(each, "before_builtins", False))


def _error_of(call: Callable[[], None]) -> Exception | None:
    """Call a hook; return the error it raised."""
    try:
        call()
    except Exception as error:
        return error
    return None


async def _aerror_of(call: Awaitable[None]) -> Exception | None:
    """Await a hook; return the error it raised."""
    try:
        await call
    except Exception as error:
        return error
    return None


def _note(error: BaseException, each: StreamTransformer, raised: BaseException | None) -> None:
    """Keep an error that came with another one visible in it."""
    if raised is not None and raised is not error and sys.version_info >= (3, 11):
        error.add_note(f"Meanwhile {type(each).__name__} raised {raised!r}")
