"""The graph that is killed: 200 supersteps with parallel branches and nested runs, all recorded.

Records go to a pipe, one write each: what was written before a SIGKILL is read after it, and no
checkpoint has a part in it. A graph without recorder is the undisturbed run.
"""

from __future__ import annotations

import asyncio
import json
import operator
import os
import threading
import time
from collections.abc import Callable
from typing import Annotated, Any, Final

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from typing_extensions import TypedDict

from millstream.graph import END, START, StateGraph
from millstream.journal import PostgresJournal, SqliteJournal
from millstream.types import Send

ROUNDS: Final = 96
SUPERSTEPS: Final = 200
REST: Final = 10
"""After so many rounds a call ends at a breakpoint; the next call goes on."""
SIBLINGS: Final = frozenset(("left", "part"))
"""The tasks beside `right`."""
HELD: Final = {"anywhere": "hub", "amid": "right", "nested": "wake"}
"""Where the process is killed -> the node that waits for it."""
THREAD: Final = {"recursion_limit": 10_000, "configurable": {"thread_id": "killed"}}
INPUT: Final = {"round": 0, "log": [], "total": 0}

Record = Callable[[str, int, str], None]
"""Kind, round, node -> nothing."""


class State(TypedDict):
    """What a lost or a doubled execution would change."""

    round: int
    log: Annotated[list[Any], operator.add]
    total: Annotated[int, operator.add]
    nap: list[Any]


class Nap(TypedDict):
    """The part of the state that the nested graph knows."""

    round: int
    nap: list[Any]


class Launch:
    """One process's part: what it records, and where it stops to wait for its end.

    However late the killer comes, it finds the run where it expects it: in a node that waits.
    """

    def __init__(self, record: Record, moment: dict[str, Any] | None = None) -> None:
        self.record = record
        self._moment = moment
        self._limit: int | None = None

    def begin(self, round: int, node: str) -> bool:
        """Record that a node begins; say whether it must wait for the end of its process."""
        self.record("begin", round, node)
        moment = self._moment
        if moment is None or round < moment["round"]:
            return False
        if self._limit is None:
            # A process that may be killed anywhere in a round is held at the next round's hub.
            self._limit = round + (moment["where"] == "anywhere")
        is_held = round >= self._limit and node == HELD[moment["where"]]
        if is_held:
            self.record("held", round, node)
        return is_held


def build(launch: Launch, *, is_async: bool, **options: Any) -> Any:
    """Compile the graph; its nodes are coroutine functions if asked."""

    def node(name: str, updates: Callable[[int], dict[str, Any]]) -> Any:
        def run(state: State) -> dict[str, Any]:
            round = state["round"] + (name == "hub")
            if launch.begin(round, name):
                threading.Event().wait()
            launch.record("end", round, name)
            return updates(round)

        async def arun(state: State) -> dict[str, Any]:
            round = state["round"] + (name == "hub")
            if launch.begin(round, name):
                await asyncio.get_running_loop().create_future()
            launch.record("end", round, name)
            return updates(round)

        return arun if is_async else run

    def fan(state: State) -> list[Any]:
        return ["left", "right", Send("part", {"round": state["round"]})]

    def route(state: State) -> Any:
        if state["round"] == ROUNDS:
            return END
        return "rest" if state["round"] % REST == 0 else fan(state)

    nested = StateGraph(Nap)
    nested.add_node("sleep", node("sleep", lambda r: {"nap": [[r, "sleep"]]}))
    nested.add_node("wake", node("wake", lambda r: {"nap": [[r, "wake"]]}))
    nested.add_edge(START, "sleep")
    nested.add_edge("sleep", "wake")

    builder = StateGraph(State)
    builder.add_node("hub", node("hub", lambda r: {"round": r, "log": [[r, "hub"]]}))
    builder.add_node("rest", nested.compile())
    for index, name in enumerate(("left", "right", "part")):
        weight = 10**index
        builder.add_node(
            name,
            node(name, lambda r, n=name, w=weight: {"log": [[r, n]], "total": r * w}),
        )
        builder.add_edge(name, "hub")
    builder.add_edge(START, "hub")
    builder.add_conditional_edges("hub", route, ["rest", "left", "right", "part", END])
    builder.add_conditional_edges("rest", fan, ["left", "right", "part"])
    return builder.compile(**options)


class Recording:
    """A saver that records what it is about to store and what it has stored.

    The lag makes the run get ahead of it, as far as it may.
    """

    record: Record
    lag: float = 0.0
    """Seconds that storing takes at least."""

    def put(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        """Store a checkpoint."""
        self.record("saving", metadata["step"], "checkpoint")
        time.sleep(self.lag)
        stored = super().put(config, checkpoint, metadata, new_versions)  # type: ignore[misc]  # a mixin
        self.record("saved", metadata["step"], "checkpoint")
        return stored

    def put_writes(self, config: Any, writes: Any, task_id: str, task_path: str = "") -> None:
        """Store what a task wrote."""
        self.record("saving", *author(writes))
        time.sleep(self.lag)
        super().put_writes(config, writes, task_id, task_path)  # type: ignore[misc]  # same
        self.record("saved", *author(writes))

    async def aput(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        """Store a checkpoint."""
        self.record("saving", metadata["step"], "checkpoint")
        await asyncio.sleep(self.lag)
        stored = await super().aput(config, checkpoint, metadata, new_versions)  # type: ignore[misc]  # same
        self.record("saved", metadata["step"], "checkpoint")
        return stored

    async def aput_writes(
        self, config: Any, writes: Any, task_id: str, task_path: str = ""
    ) -> None:
        """Store what a task wrote."""
        self.record("saving", *author(writes))
        await asyncio.sleep(self.lag)
        await super().aput_writes(config, writes, task_id, task_path)  # type: ignore[misc]  # same
        self.record("saved", *author(writes))


class RecordingTogether:
    """A journal that records what it is about to store and what it has stored, in one go."""

    record: Record
    lag: float = 0.0

    @classmethod
    def from_conn_string(cls, target: str) -> Any:
        """Open a journal, as the packages' savers are opened."""
        return cls(target)  # type: ignore[call-arg]  # a mixin

    def put_together(self, calls: Any, **options: Any) -> None:
        """Store checkpoints and what tasks wrote."""
        self._record("saving", calls)
        time.sleep(self.lag)
        super().put_together(calls, **options)  # type: ignore[misc]  # same
        self._record("saved", calls)

    async def aput_together(self, calls: Any, **options: Any) -> None:
        """Store checkpoints and what tasks wrote."""
        self._record("saving", calls)
        await asyncio.sleep(self.lag)
        await super().aput_together(calls, **options)  # type: ignore[misc]  # same
        self._record("saved", calls)

    def _record(self, kind: str, calls: Any) -> None:
        for name, arguments in calls:
            if name == "put":
                self.record(kind, arguments[2]["step"], "checkpoint")
            else:
                self.record(kind, *author(arguments[1]))


def author(writes: Any) -> tuple[int, str]:
    """Return the round and the node of the task that wrote; for any other what it is."""
    for channel, value in writes:
        if channel in ("log", "nap") and value:
            ((round, node),) = value
            return round, node
    return -1, repr(writes)


def saver_class(kind: str, *, is_async: bool) -> Any:
    """Return a recording saver for one of the drivers."""
    base: Any
    if kind == "journal":
        return type("RecordingJournal", (RecordingTogether, SqliteJournal), {})
    if kind == "journal-postgres":
        return type("RecordingJournal", (RecordingTogether, PostgresJournal), {})
    if kind == "sqlite":
        base = AsyncSqliteSaver if is_async else SqliteSaver
    else:
        from langgraph.checkpoint.postgres import PostgresSaver
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

        base = AsyncPostgresSaver if is_async else PostgresSaver
    return type(f"Recording{base.__name__}", (Recording, base), {})


def run(plan: dict[str, Any], saver_type: Any, launch: Launch) -> None:
    """Run the graph on from what is stored, call after call, to its end."""
    config = {**THREAD, "configurable": {"thread_id": plan["thread"]}}
    with saver_type.from_conn_string(plan["target"]) as saver:
        saver.record, saver.lag = launch.record, plan["lag"]
        if plan["saver"] == "sqlite":
            # The process dies, the machine does not: nothing has to reach the disk.
            saver.conn.execute("PRAGMA synchronous=OFF")
        graph = build(launch, is_async=False, checkpointer=saver, interrupt_before=["rest"])
        input: Any = INPUT if saver.get_tuple(config) is None else None
        while not _is_over(
            state := graph.invoke(input, config, durability=plan["durability"]), launch
        ):
            input = None
        launch.record("done", state["round"], _as_word(state))


async def arun(plan: dict[str, Any], saver_type: Any, launch: Launch) -> None:
    """Run the graph on from what is stored, call after call, to its end."""
    config = {**THREAD, "configurable": {"thread_id": plan["thread"]}}
    async with saver_type.from_conn_string(plan["target"]) as saver:
        saver.record, saver.lag = launch.record, plan["lag"]
        if plan["saver"] == "sqlite":
            await saver.conn.execute("PRAGMA synchronous=OFF")
        graph = build(launch, is_async=True, checkpointer=saver, interrupt_before=["rest"])
        input: Any = INPUT if await saver.aget_tuple(config) is None else None
        while not _is_over(
            state := await graph.ainvoke(input, config, durability=plan["durability"]), launch
        ):
            input = None
        launch.record("done", state["round"], _as_word(state))


def _is_over(state: Any, launch: Launch) -> bool:
    launch.record("returned", state["round"], "call")
    is_over: bool = state["round"] == ROUNDS
    return is_over


def _as_word(state: Any) -> str:
    return json.dumps(state, separators=(",", ":"))


def recorder(descriptor: int) -> Record:
    """Return what writes records to a pipe: one write each, so none is ever cut in two."""

    def record(kind: str, round: int, node: str) -> None:
        os.write(descriptor, f"{kind} {round} {node}\n".encode())

    return record
