"""Starting a compiled graph: `start` and `astart`, whose runs go on without a reader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from millstream.modes.names import CUSTOM, MESSAGES, UPDATES
from millstream.pregel._running.invoking import InvokableGraph
from millstream.typing import ConfigLike, ContextT, InputT, OutputT, StateT

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from millstream.pregel._running.invoking import InvokeOptions
    from millstream.pregel._running.log_streams import LogStreams
    from millstream.runs.handle import RunHandle
    from millstream.runs.life import Life
    from millstream.runs.log import EventLog
    from millstream.types import Command, StreamMode

LOGGED: Final = (UPDATES, MESSAGES, CUSTOM)
"""What is logged unless the caller says otherwise: what nodes did, and all they said meanwhile."""


class StartableGraph(InvokableGraph[StateT, ContextT, InputT, OutputT]):
    """How a compiled graph is started; `Pregel` adds what it consists of."""

    def start(
        self,
        input: InputT | dict[str, Any] | Command[Any] | None,
        config: ConfigLike | None = None,
        *,
        stream_mode: StreamMode | Sequence[StreamMode] = LOGGED,
        log: EventLog | None = None,
        version: Literal["v3"] | None = None,
        **options: Unpack[InvokeOptions[ContextT]],
    ) -> RunHandle[OutputT]:
        """Start a run in a thread of its own and return its handle: nobody has to read it.

        The run goes on until it ends, is cancelled, or its owner goes: use the handle in `with`. In
        a node, the run is nested in that of the node, as one of `stream` would be.

        Args:
            input: The input, a `Command` that answers a question, or None to go on.
            config: With a saver `{"configurable": {"thread_id": ...}}`; see `stream`.
            stream_mode: What is logged, and can be read with `events`: one mode or several;
                `updates`, `messages` and `custom` by default.
            log: Where events are kept; in memory by default. It is closed when the run has ended. A
                log that fails stops the run.
            version: "v3" also logs what run streams show, nested graphs included, so that the
                handle can give them: `run.stream_events()`, `run.astream_events()`.
            options: Those of `stream`, but for `max_buffered`: events are kept until they are read.

        Raises:
            ValueError: An unknown mode or key, and whatever else is wrong with the arguments.
                What goes wrong in the run is raised by the handle, when it is asked for the output.

        Example:
            >>> from millstream.graph import START, MessagesState, StateGraph
            >>> def answer(state: MessagesState, writer) -> dict:
            ...     writer("thinking")
            ...     return {"messages": "Hello!"}
            >>> builder = StateGraph(MessagesState).add_node(answer).add_edge(START, "answer")
            >>> with builder.compile().start({"messages": "Hi"}) as run:
            ...     for event in run.events():
            ...         print(event.seq, event.mode)
            ...     print(run.wait()["messages"][-1].content, run.status)
            1 custom
            2 updates
            Hello! success
        """
        from millstream.pregel._running.sources import open_started
        from millstream.runs.life import ThreadLife

        source, switch, streams = open_started(
            self, "stream", input, config, stream_mode, version, log, dict(options)
        )
        return _begun(ThreadLife(source, switch, log), streams)

    async def astart(
        self,
        input: InputT | dict[str, Any] | Command[Any] | None,
        config: ConfigLike | None = None,
        *,
        stream_mode: StreamMode | Sequence[StreamMode] = LOGGED,
        log: EventLog | None = None,
        version: Literal["v3"] | None = None,
        **options: Unpack[InvokeOptions[ContextT]],
    ) -> RunHandle[OutputT]:
        """Start a run in an asyncio task of its own and return its handle; see `start`.

        `async with await graph.astart(...) as run` cancels what still runs, nested graphs included,
        and returns when it has stopped.
        """
        from millstream.pregel._running.sources import open_started
        from millstream.runs.life import TaskLife

        source, switch, streams = open_started(
            self, "astream", input, config, stream_mode, version, log, dict(options)
        )
        return _begun(TaskLife(source, switch, log), streams)


def _begun(life: Life, streams: LogStreams | None) -> RunHandle[Any]:
    from millstream.runs.handle import RunHandle

    # Before it begins: a run whose log takes nothing would stop at its first word.
    if life.log.is_closed:
        raise ValueError("The log is closed: give each run a log of its own")
    life.start()
    return RunHandle(life, streams)
