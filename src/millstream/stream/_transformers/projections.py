"""Projections that show what one stream mode says about a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from millstream.modes import names
from millstream.stream._transformers.base import StreamTransformer
from millstream.stream.stream_channel import StreamChannel

if TYPE_CHECKING:
    from millstream.modes.protocol_events import ProtocolEvent


class _ModeTransformer(StreamTransformer):
    """Offers what one stream mode says about the graph of its scope."""

    _native: ClassVar[bool] = True
    _mode: ClassVar[str]

    def __init__(self, scope: tuple[str, ...] = ()) -> None:
        super().__init__(scope)
        self._log: StreamChannel[Any] = StreamChannel()
        self._namespace = list(scope)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "_mode" in cls.__dict__:
            cls.required_stream_modes = (cls._mode,)
            cls._methods = frozenset(cls.required_stream_modes)

    def init(self) -> dict[str, Any]:
        return {self._mode: self._log}

    def process(self, event: ProtocolEvent) -> bool:
        params = event["params"]
        if event["method"] == self._mode and params["namespace"] == self._namespace:
            self._log.push(params["data"])
        return True


class ValuesTransformer(_ModeTransformer):
    """The state of the graph after each superstep, and the questions it stopped at."""

    _mode = names.VALUES

    def __init__(self, scope: tuple[str, ...] = ()) -> None:
        super().__init__(scope)
        self.error: BaseException | None = None
        self._latest: Any = None
        self._interrupts: list[Any] = []

    def process(self, event: ProtocolEvent) -> bool:
        params = event["params"]
        if event["method"] == names.VALUES and params["namespace"] == self._namespace:
            self._latest = params["data"]
            self._interrupts.extend(params.get("interrupts", ()))
            self._log.push(params["data"])
        return True

    def fail(self, err: BaseException) -> None:
        self.error = err


class UpdatesTransformer(_ModeTransformer):
    """What each task of the graph wrote."""

    _mode = names.UPDATES


class CustomTransformer(_ModeTransformer):
    """What nodes of the graph wrote to their stream writer."""

    _mode = names.CUSTOM


class CheckpointsTransformer(_ModeTransformer):
    """The graph's checkpoints; there are none without a saver."""

    _mode = names.CHECKPOINTS


class TasksTransformer(_ModeTransformer):
    """The graph's tasks: when they start, and how they end."""

    _mode = names.TASKS


class DebugTransformer(_ModeTransformer):
    """Checkpoints and tasks of the graph, with step and time."""

    _mode = names.DEBUG


for _public in (
    CheckpointsTransformer,
    CustomTransformer,
    DebugTransformer,
    TasksTransformer,
    UpdatesTransformer,
    ValuesTransformer,
):
    _public.__module__ = "millstream.stream.transformers"
