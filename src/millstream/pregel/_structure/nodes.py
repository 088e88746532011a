"""Nodes of a raw graph: what they listen to, read, run and write."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import merge_configs

from millstream._base.runnable import RunnableCallable, coerce_to_runnable
from millstream.constants import MISSING
from millstream.types import CachePolicy, RetryPolicy, TimeoutPolicy, TracePolicy

if TYPE_CHECKING:
    from datetime import timedelta

    from typing_extensions import Self

    from millstream._base.runnable import RunnableLike
    from millstream.core.protocol import Write
    from millstream.drivers.executor import Executor
    from millstream.drivers.nodecall import BranchCall


def _same(value: Any) -> Any:
    return value


async def _asame(value: Any) -> Any:
    return value


PASSTHROUGH: Final = RunnableCallable(_same, _asame, trace=False, recurse=False)
"""What a node runs that is given nothing to run: its input is its result."""


def is_passthrough(bound: Runnable[Any, Any]) -> bool:
    """Say whether this is `PASSTHROUGH`, or a copy of it in a copied graph."""
    return isinstance(bound, RunnableCallable) and bound.func is _same


def name_of(bound: Runnable[Any, Any]) -> str:
    """Return what a runnable is called."""
    return bound.name or type(bound).__name__


class ChannelWriteEntry(NamedTuple):
    """One write of a raw node: a constant, its result, or what `mapper` makes of its result."""

    channel: str
    value: Any = MISSING
    skip_none: bool = False
    mapper: Callable[[Any], Any] | None = None

    def write(self, result: Any) -> Write | None:
        """Return the write for a result, None when there is nothing to write."""
        value = result if self.value is MISSING else self.value
        if self.mapper is not None:
            value = self.mapper(value)
        # None may be a value to write; whoever does not want that says so.
        return None if self.skip_none and value is None else (self.channel, value)


def entries_writer(entries: Sequence[ChannelWriteEntry]) -> Callable[[Any], list[Write]]:
    """Return the function that turns a result into these writes."""

    def writes_of(result: Any) -> list[Write]:
        writes = (entry.write(result) for entry in entries)
        return [write for write in writes if write is not None]

    return writes_of


class NodeCalls:
    """What a node runs, called by itself: without its graph, and so without policies and edges.

    It is given the input as it is, with the node's tags and metadata in the config, and its result
    is returned: an update, a command or whatever else. That is how one node is tested.
    """

    __slots__ = ()

    bound: Runnable[Any, Any]
    tags: Sequence[str] | None
    metadata: Mapping[str, Any] | None

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Return the result for one input."""
        return self.bound.invoke(input, self._config(config), **kwargs)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Return the result for one input."""
        return await self.bound.ainvoke(input, self._config(config), **kwargs)

    def stream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Any]:
        """Yield the parts of the result as they come; all of it where it has no parts."""
        yield from self.bound.stream(input, self._config(config), **kwargs)

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """Yield the parts of the result as they come; all of it where it has no parts."""
        async for part in self.bound.astream(input, self._config(config), **kwargs):
            yield part

    def batch(
        self,
        inputs: list[Any],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        **kwargs: Any,
    ) -> list[Any]:
        """Return the results for several inputs, in their order."""
        return self.bound.batch(inputs, self._configs(config), **kwargs)

    async def abatch(
        self,
        inputs: list[Any],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        **kwargs: Any,
    ) -> list[Any]:
        """Return the results for several inputs, in their order."""
        return await self.bound.abatch(inputs, self._configs(config), **kwargs)

    def _configs(
        self, config: RunnableConfig | list[RunnableConfig] | None
    ) -> RunnableConfig | list[RunnableConfig]:
        if isinstance(config, list):
            return [self._config(each) for each in config]
        return self._config(config)

    def _config(self, config: RunnableConfig | None) -> RunnableConfig:
        own = RunnableConfig(tags=list(self.tags or ()), metadata=dict(self.metadata or {}))
        return merge_configs(own, config)


@dataclass(slots=True, eq=False, repr=False)
class PregelNode(NodeCalls):
    """One node of a compiled graph, as it was declared."""

    channels: str | list[str]
    """The one channel whose bare value is the input, or the keys of the input dict."""
    triggers: list[str]
    bound: Runnable[Any, Any] = field(default_factory=lambda: PASSTHROUGH)
    to_writes: Callable[[Any], list[Write]] = field(default=entries_writer(()))
    first_writes: Callable[[Sequence[Write]], list[Write]] | None = None
    """What becomes of the writes if they are those of a thread's first input."""
    keys: frozenset[str] | None = None
    """Keys of a plain dict of which `to_writes` makes no more than its items and `edges`; None if
    it may make more of any dict."""
    prepare: Callable[[Iterable[Write]], None] | None = None
    """What `to_writes` does first, in place, to the items of such a dict."""
    edges: Sequence[Write] = ()
    """What `to_writes` writes every time."""
    outputs: tuple[Any, ...] = ()
    """What tells apart `to_writes` that make different writes of one result; for caches."""
    write_targets: Sequence[str] = ()
    """Channels that a raw node always writes, for drawings."""
    branches: Sequence[BranchCall] = ()
    mapper: Callable[[Any], Any] | None = None
    retry_policy: Sequence[RetryPolicy] | None = None
    cache_policy: CachePolicy[Any] | None = None
    timeout: TimeoutPolicy | None = None
    trace_policy: TracePolicy | None = None
    tags: Sequence[str] | None = None
    metadata: Mapping[str, Any] | None = None
    is_error_handler: bool = False
    error_handler_node: str | None = None
    subgraphs: Sequence[Any] = ()
    executor: Executor | None = None
    """Where it runs; None for where the graph says."""
    after: frozenset[str] | None = None
    """The deferred nodes that go first, for a deferred node among others."""

    def __repr__(self) -> str:
        return f"<PregelNode of {name_of(self.bound)}: triggered by {', '.join(self.triggers)}>"

    @property
    def writers(self) -> list[Runnable[Any, Any]]:
        """What writes a result of the node, for programs that run it themselves."""
        from millstream.pregel._structure.writers import writers_of

        return writers_of(self)

    @property
    def flat_writers(self) -> list[Runnable[Any, Any]]:
        """The same: no writer consists of others."""
        return self.writers

    def copy(self, update: Mapping[str, Any] | None = None) -> Self:
        """Return a node like this one but for the fields in `update`."""
        changes = dict(update or {})
        if "bound" in changes:
            changes.setdefault("subgraphs", ())
        return replace(self, **changes)


class NodeBuilder:
    """Declare a node of a raw `Pregel` graph step by step."""

    __slots__ = (
        "_bound",
        "_cache_policy",
        "_channels",
        "_executor",
        "_metadata",
        "_retry_policy",
        "_tags",
        "_timeout",
        "_triggers",
        "_writes",
    )

    def __init__(self) -> None:
        self._channels: str | list[str] = []
        self._triggers: list[str] = []
        self._tags: list[str] = []
        self._metadata: dict[str, Any] = {}
        self._writes: list[ChannelWriteEntry] = []
        self._bound: Runnable[Any, Any] = PASSTHROUGH
        self._retry_policy: list[RetryPolicy] = []
        self._cache_policy: CachePolicy[Any] | None = None
        self._timeout: TimeoutPolicy | None = None
        self._executor: Executor | None = None

    def __repr__(self) -> str:
        read, written = ", ".join(self._triggers), ", ".join(w.channel for w in self._writes)
        runs = name_of(self._bound)
        return f"<NodeBuilder of {runs}: triggered by {read or 'nothing'}, writes {written}>"

    def subscribe_only(self, channel: str) -> Self:
        """Run whenever the channel changes, with its bare value as input."""
        if self._channels:
            raise ValueError(
                "Cannot subscribe to single channels when other channels are already subscribed to"
            )
        self._channels = channel
        self._triggers.append(channel)
        return self

    def subscribe_to(self, *channels: str, read: bool = True) -> Self:
        """Run whenever one of the channels changes; with `read`, their values are in the input."""
        if isinstance(self._channels, str):
            raise ValueError("Cannot subscribe to channels when subscribed to a single channel")
        if read:
            self._channels.extend(channels)
        self._triggers.extend(channels)
        return self

    def read_from(self, *channels: str) -> Self:
        """Have these channels' values in the input too, without being triggered by them."""
        assert isinstance(self._channels, list), (
            "Cannot read additional channels when subscribed to single channels"
        )
        self._channels.extend(channels)
        return self

    def do(self, node: RunnableLike) -> Self:
        """Run this; a second one is run with the result of the first."""
        runnable = coerce_to_runnable(node)
        self._bound = runnable if self._bound is PASSTHROUGH else self._bound | runnable
        return self

    def write_to(self, *channels: str | ChannelWriteEntry, **kwargs: Any) -> Self:
        """Write the result to the channels; by name a constant, or what a function makes of it."""
        self._writes.extend(
            ChannelWriteEntry(channel) if isinstance(channel, str) else channel
            for channel in channels
        )
        self._writes.extend(
            ChannelWriteEntry(name, mapper=value)
            if callable(value)
            else ChannelWriteEntry(name, value=value)
            for name, value in kwargs.items()
        )
        return self

    def meta(self, *tags: str, **metadata: Any) -> Self:
        """Add tags and metadata."""
        self._tags.extend(tags)
        self._metadata.update(metadata)
        return self

    def add_retry_policies(self, *policies: RetryPolicy) -> Self:
        """Add retry policies; the first that accepts an error decides."""
        self._retry_policy.extend(policies)
        return self

    def add_cache_policy(self, policy: CachePolicy[Any]) -> Self:
        """Keep results in the graph's cache."""
        self._cache_policy = policy
        return self

    def set_timeout(self, timeout: float | timedelta | TimeoutPolicy | None) -> Self:
        """Limit how long one attempt may take."""
        self._timeout = TimeoutPolicy.coerce(timeout)
        return self

    def set_executor(self, executor: Executor | None) -> Self:
        """Say where it runs; see `millstream.executors`."""
        self._executor = executor
        return self

    def build(self) -> PregelNode:
        """Return the declared node."""
        return PregelNode(
            channels=self._channels,
            triggers=self._triggers,
            bound=self._bound,
            to_writes=entries_writer(tuple(self._writes)),
            outputs=tuple(self._writes),
            write_targets=tuple(entry.channel for entry in self._writes),
            retry_policy=self._retry_policy or None,
            cache_policy=self._cache_policy,
            timeout=self._timeout,
            executor=self._executor,
            tags=self._tags,
            metadata=self._metadata,
        )


NodeBuilder.__module__ = "millstream.pregel.main"
