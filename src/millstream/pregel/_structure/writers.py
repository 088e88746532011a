"""Writes as runnables: what packages use that run the nodes of a graph themselves.

The engine needs none of these: a node's `to_writes` makes its writes. A `ChannelWrite` gives them
to whoever has put a function under `CONFIG_KEY_SEND` in the config.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeVar

from langchain_core.runnables import Runnable

from millstream._base.runnable import RunnableCallable
from millstream.constants import CONF, CONFIG_KEY_READ, CONFIG_KEY_SEND, MISSING, TAG_HIDDEN, TASKS
from millstream.errors import InvalidUpdateError
from millstream.pregel._structure.nodes import ChannelWriteEntry
from millstream.types import Send

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from millstream.core.protocol import Write
    from millstream.drivers.nodecall import BranchCall
    from millstream.pregel._structure.nodes import PregelNode

__all__ = (
    "PASSTHROUGH",
    "SKIP_WRITE",
    "ChannelWrite",
    "ChannelWriteEntry",
    "ChannelWriteTupleEntry",
)

R = TypeVar("R", bound=Runnable[Any, Any])
PASSTHROUGH: Final = MISSING
"""Stands for the input of the runnable that writes."""
SKIP_WRITE: Final = object()
"""What the mapper of an entry returns when there is nothing to write."""


class ChannelWriteTupleEntry(NamedTuple):
    """Several writes: what `mapper` makes of a value."""

    mapper: Callable[[Any], Sequence[Write] | None]
    value: Any = PASSTHROUGH
    static: Sequence[tuple[str, Any, str | None]] | None = None
    """What is written every time, with labels; for drawings."""


Entry: TypeAlias = ChannelWriteEntry | ChannelWriteTupleEntry | Send


class ChannelWrite(RunnableCallable):
    """Write to channels and return the input."""

    def __init__(self, writes: Sequence[Entry], *, tags: Sequence[str] | None = None) -> None:
        super().__init__(self._write, self._awrite, name=_name_of(writes), tags=tags, trace=False)
        self.writes = list(writes)

    def _write(self, input: Any, config: RunnableConfig) -> Any:
        self.do_write(config, [_filled(entry, input) for entry in self.writes])
        return input

    async def _awrite(self, input: Any, config: RunnableConfig) -> Any:
        return self._write(input, config)

    @staticmethod
    def do_write(
        config: RunnableConfig, writes: Sequence[Entry], allow_passthrough: bool = True
    ) -> None:
        """Give writes to the function that the config has for them."""
        for entry in writes:
            if isinstance(entry, ChannelWriteEntry) and entry.channel == TASKS:
                raise InvalidUpdateError("Cannot write to the reserved channel TASKS")
            if not isinstance(entry, Send) and entry.value is PASSTHROUGH and not allow_passthrough:
                raise InvalidUpdateError("PASSTHROUGH value must be replaced")
        config[CONF][CONFIG_KEY_SEND](list(_writes_of(writes)))

    @staticmethod
    def is_writer(runnable: Runnable[Any, Any]) -> bool:
        """Say whether a runnable writes to channels."""
        return isinstance(runnable, ChannelWrite) or hasattr(runnable, "_is_channel_writer")

    @staticmethod
    def register_writer(
        runnable: R, static: Sequence[tuple[ChannelWriteEntry | Send, str | None]] | None = None
    ) -> R:
        """Declare that a runnable writes to channels, and what it writes every time."""
        object.__setattr__(runnable, "_is_channel_writer", static or True)
        return runnable


def writers_of(node: PregelNode) -> list[Runnable[Any, Any]]:
    """Return what writes a result of a node: what it writes itself, and each conditional edge."""
    writes = ChannelWriteTupleEntry(node.to_writes)
    return [ChannelWrite([writes], tags=[TAG_HIDDEN]), *map(_path_writer, node.branches)]


def _path_writer(branch: BranchCall) -> Runnable[Any, Any]:
    """Return what asks the path of a conditional edge where to go, and writes that."""
    call = branch.call
    # A path that is a runnable is called as one, so that its runs are seen.
    path = call.steps[0] if call.steps else RunnableCallable(*call.functions, trace=False)

    def given(result: Any, config: RunnableConfig) -> Any:
        return branch.given(Fresh(config[CONF][CONFIG_KEY_READ]), result)

    def follow(result: Any, config: RunnableConfig) -> Any:
        answer = path.invoke(given(result, config), config)
        config[CONF][CONFIG_KEY_SEND](branch.writes(answer))
        return result

    async def afollow(result: Any, config: RunnableConfig) -> Any:
        answer = await path.ainvoke(given(result, config), config)
        config[CONF][CONFIG_KEY_SEND](branch.writes(answer))
        return result

    writer = RunnableCallable(follow, afollow, name=call.name, trace=False, recurse=False)
    return ChannelWrite.register_writer(writer)


class Fresh(dict[str, Any]):
    """The state with what was written to it now, read key by key by a function of the config."""

    def __init__(self, read: Callable[[str, bool], Any]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, key: str) -> Any:
        """Read a key that was not read before."""
        value = self[key] = self._read(key, True)
        return value

    def __contains__(self, key: object) -> bool:
        """Say whether the key has a value."""
        # The function gives None for a key without value, and does not say which it was.
        return self.get(str(key)) is not None

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, None if it has none."""
        value = self[key]
        return default if value is None else value


def _name_of(writes: Sequence[Entry]) -> str:
    names = (
        entry.channel
        if isinstance(entry, ChannelWriteEntry)
        else "..."
        if isinstance(entry, ChannelWriteTupleEntry)
        else entry.node
        for entry in writes
    )
    return f"ChannelWrite<{','.join(names)}>"


def _filled(entry: Entry, value: Any) -> Entry:
    """Return the entry with the value in the place that was left for it."""
    if isinstance(entry, Send) or entry.value is not PASSTHROUGH:
        return entry
    return entry._replace(value=value)


def _writes_of(entries: Sequence[Entry]) -> Iterator[Write]:
    for entry in entries:
        if isinstance(entry, Send):
            yield TASKS, entry
        elif isinstance(entry, ChannelWriteTupleEntry):
            yield from entry.mapper(entry.value) or ()
        else:
            write = entry.write(entry.value)
            if write is not None and write[1] is not SKIP_WRITE:
                yield write
