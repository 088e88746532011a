"""Run streams of a remote graph: what its server says, in the form in which runs here say it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, Final, cast

from millstream.constants import NS_END
from millstream.modes.block_tap import BlockTap
from millstream.modes.encoders import encode_typed
from millstream.modes.names import GRAPHS, MESSAGES, MODES, TASKS
from millstream.modes.subgraph_events import SubgraphEvent, cause_of, status_after, status_of_task
from millstream.pregel._remote.call import RemoteCall, RemoteException
from millstream.pregel._remote.nested import TokenFeed
from millstream.pregel._remote.wire import received_message, received_payload
from millstream.pregel._running.run_streams import all_factories, check_arguments
from millstream.stream._events.mux import StreamMux
from millstream.stream.run_stream import AsyncGraphRunStream, GraphRunStream

if TYPE_CHECKING:
    from langchain_protocol.protocol import LifecycleCause

    from millstream.modes.parts import Namespace, Part
    from millstream.typing import ConfigLike

    Transformers = Sequence[Callable[[tuple[str, ...]], Any]] | None

LEFT: Final = "cancel"
"""What becomes of a run whose stream is left, unless the caller says otherwise: as here."""


def open_remote_stream(
    graph: Any,
    input: Any,
    config: ConfigLike | None,
    transformers: Transformers,
    arguments: Mapping[str, Any],
    carry_out: Callable[[RemoteCall], Iterator[Any]],
) -> GraphRunStream:
    """Return the run stream of a run on a server that has not begun."""
    call, mux = _open(graph, input, config, transformers, arguments, is_async=False)
    return GraphRunStream(_events(call, carry_out), mux)


def open_remote_astream(
    graph: Any,
    input: Any,
    config: ConfigLike | None,
    transformers: Transformers,
    arguments: Mapping[str, Any],
    carry_out: Callable[[RemoteCall], AsyncGenerator[Any, None]],
) -> AsyncGraphRunStream:
    """Return the run stream of a run on a server that has not begun, for async readers."""
    call, mux = _open(graph, input, config, transformers, arguments, is_async=True)
    return AsyncGraphRunStream(_aevents(call, carry_out), mux)


def _open(
    graph: Any,
    input: Any,
    config: ConfigLike | None,
    transformers: Transformers,
    arguments: Mapping[str, Any],
    *,
    is_async: bool,
) -> tuple[RemoteCall, StreamMux]:
    check_arguments(arguments)
    given = dict(arguments)
    if given.pop("control", None) is not None:
        raise NotImplementedError(
            "A run on a server cannot be drained by a RunControl: leave `control` out; abort() "
            "of the run stream cancels the run"
        )
    factories = all_factories((), transformers)
    call = RemoteCall(
        graph,
        input,
        config,
        # Which are needed the mux says, which needs to know where the run is.
        stream_mode=(),
        subgraphs=True,
        version="v2",
        **{"headers": None, "on_disconnect": LEFT, **given},
    )
    mux = StreamMux(factories=factories, is_async=is_async, scope=call.namespace)
    # A mode that a transformer has made up no server knows.
    call.show([mode for mode in MODES if mode in mux.modes or mode == TASKS])
    return call, mux


def _events(call: RemoteCall, carry_out: Callable[[RemoteCall], Iterator[Any]]) -> Iterator[Any]:
    told = Told(call.namespace)
    try:
        with closing(cast("Any", carry_out(call))) as parts:
            for part in parts:
                yield from told.take(part)
    except Exception as error:
        yield from told.end(error)
        raise
    yield from told.end(None)


async def _aevents(
    call: RemoteCall, carry_out: Callable[[RemoteCall], AsyncGenerator[Any, None]]
) -> AsyncIterator[Any]:
    told = Told(call.namespace)
    try:
        async with aclosing(carry_out(call)) as parts:
            async for part in parts:
                for item in told.take(part):
                    yield item
    except Exception as error:
        for item in told.end(error):
            yield item
        raise
    for item in told.end(None):
        yield item


class Told:
    """Turns the typed parts of a remote run into those that a run here gives its run stream.

    Tokens become events of content blocks. That a nested graph starts is told before the first
    thing it says, that it ends with the task that called it.
    """

    def __init__(self, scope: Namespace) -> None:
        self._scope = scope
        self._waiting: list[Part] = []
        self._feed = TokenFeed(BlockTap(self._waiting.append, scope, None, has_subgraphs=True))
        self._causes: dict[str, LifecycleCause] = {}
        """Task -> the tool call it carries out."""
        self._agents: dict[Namespace, str] = {}
        self._open: list[Namespace] = []
        """Nested graphs that have started and not ended."""

    def take(self, part: Mapping[str, Any]) -> Iterator[Any]:
        """Take a part of the run; yield what its run stream is given."""
        mode, namespace, data = part["type"], part["ns"], part["data"]
        if mode == TASKS:
            self._learn(namespace, data)
        self._tell_starts(namespace)
        if mode == MESSAGES:
            message, metadata = data
            self._feed.take(namespace, received_message(message), metadata)
            yield from self._take_waiting()
            return
        yield from self._take_waiting()
        yield {**part, "data": received_payload(mode, data)}
        if mode == TASKS and "result" in data:
            self._tell_ends(namespace, data)
            yield from self._take_waiting()

    def end(self, error: Exception | None) -> Iterator[Any]:
        """Yield the ends of what is still open when the run is over."""
        self._feed.close(error)
        for namespace in reversed(self._open):
            self._tell(namespace, status_after(error), error)
        self._open.clear()
        yield from self._take_waiting()

    def _take_waiting(self) -> Iterator[Any]:
        waiting = self._waiting[:]
        self._waiting.clear()
        return map(encode_typed, waiting)

    def _learn(self, namespace: Namespace, task: Mapping[str, Any]) -> None:
        if "result" in task:
            return
        agent = (task.get("metadata") or {}).get("lc_agent_name")
        if agent and namespace not in self._agents:
            self._agents[namespace] = agent
        cause = cause_of(task.get("input"))
        if cause is not None:
            self._causes[task["id"]] = cause

    def _tell_starts(self, namespace: Namespace) -> None:
        for length in range(len(self._scope) + 1, len(namespace) + 1):
            place = namespace[:length]
            if place not in self._open:
                self._open.append(place)
                self._tell(place, "started", None)

    def _tell_ends(self, namespace: Namespace, task: Mapping[str, Any]) -> None:
        """Tell that the graphs have ended, and those below them, which a task called."""
        ended = [
            place
            for place in self._open
            if place[: len(namespace)] == namespace
            and len(place) > len(namespace)
            and place[len(namespace)].partition(NS_END)[2] == task["id"]
        ]
        status, text = status_of_task(task)
        error = RemoteException(text) if text is not None else None
        for place in reversed(ended):
            self._open.remove(place)
            self._tell(place, status, error)

    def _tell(self, namespace: Namespace, status: Any, error: Exception | None) -> None:
        # The second graph that a task calls has a number after the segment of the task.
        depth = len(namespace) - (1 if NS_END in namespace[-1] else 2)
        name, _, task_id = namespace[depth].partition(NS_END)
        agent = self._agents.get(namespace)
        event = SubgraphEvent(
            status=status,
            namespace=namespace,
            within=namespace[:depth],
            name=agent or name,
            task_id=task_id,
            cause=self._causes.get(task_id),
            error=error,
        )
        self._waiting.append((namespace, GRAPHS, event, None))
