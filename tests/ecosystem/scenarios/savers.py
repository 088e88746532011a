"""`langgraph-checkpoint-sqlite` and `-postgres`: agents that go on from what was saved."""

from __future__ import annotations

import os
import tempfile
import uuid
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

from langchain_core.messages import HumanMessage
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.prebuilt import create_react_agent
from langgraph.store.postgres import PostgresStore
from langgraph.store.sqlite import SqliteStore
from langgraph.types import Command
from langmem import create_manage_memory_tool

from scenarios import Play, scenario
from scenarios.agents import approval_agent
from scenarios.models import Scripted, calls, says
from scenarios.recording import Recorder
from scenarios.threads import fresh_thread

ASKED: Any = {"messages": [HumanMessage("Mail", id="question")]}
APPROVED: Any = Command(resume={"decisions": [{"type": "approve"}]})


def _folder() -> Path:
    # It goes when the process does.
    return Path(_folders.enter_context(tempfile.TemporaryDirectory()))


_folders = ExitStack()


def _approve(record: Recorder, saver: Any) -> None:
    """Ask, go on twice in graphs that know nothing but the saver, look back and fork."""
    config = fresh_thread()
    agent = approval_agent(saver)
    modes: Any = ["updates", "checkpoints"]
    record.all("asked", agent.stream(ASKED, config, stream_mode=modes))
    model_turn = agent.get_state(config).config
    for turn in (1, 2):
        agent = approval_agent(saver, after=turn)
        record("waits", agent.get_state(config))
        record.all("approved", agent.stream(APPROVED, config, stream_mode=modes))
    history = list(agent.get_state_history(config))
    record("history", history)
    forked = agent.update_state(model_turn, {"messages": [HumanMessage("Wait", id="wait")]})
    record("forked", agent.get_state(forked))


async def _approve_async(record: Recorder, saver: Any) -> None:
    config = fresh_thread()
    agent = approval_agent(saver)
    modes: Any = ["updates", "checkpoints"]
    await record.all_async("asked", agent.astream(ASKED, config, stream_mode=modes))
    for turn in (1, 2):
        agent = approval_agent(saver, after=turn)
        record("waits", await agent.aget_state(config))
        await record.all_async("approved", agent.astream(APPROVED, config, stream_mode=modes))
    await record.all_async("history", agent.aget_state_history(config))


def _remember(record: Recorder, store: Any) -> None:
    """Have an agent keep a memory, and find it again."""
    user = str(uuid.uuid4())
    memory = {"content": "likes tea", "action": "create"}
    model = Scripted(turns=[calls(("manage_memory", memory)), says("Kept")])
    graph = create_react_agent(
        model, [create_manage_memory_tool(("memories", "{user}"))], store=store
    )
    config: Any = {"configurable": {"user": user}}
    record.all("kept", graph.stream(ASKED, config, stream_mode="updates"))
    record("found", [item.value for item in store.search(("memories", user))])


@scenario("langgraph-checkpoint-sqlite", "an approval over three processes' worth of graphs; store")
def sqlite() -> Play:
    path = _folder() / "threads.sqlite"

    def play(record: Recorder) -> None:
        with SqliteSaver.from_conn_string(str(path)) as saver:
            _approve(record, saver)
        with SqliteStore.from_conn_string(str(path.with_name("store.sqlite"))) as store:
            store.setup()
            _remember(record, store)

    return play


@scenario("langgraph-checkpoint-sqlite", "an approval, async")
def sqlite_async() -> Play:
    path = _folder() / "threads.sqlite"

    async def play(record: Recorder) -> None:
        async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
            await _approve_async(record, saver)

    return play


@scenario(
    "langgraph-checkpoint-postgres",
    "an approval over three processes' worth of graphs; store",
    needs_postgres=True,
)
def postgres() -> Play:
    address = os.environ["MILLSTREAM_TEST_POSTGRES"]

    def play(record: Recorder) -> None:
        with PostgresSaver.from_conn_string(address) as saver:
            saver.setup()
            _approve(record, saver)
        with PostgresStore.from_conn_string(address) as store:
            store.setup()
            _remember(record, store)

    return play


@scenario("langgraph-checkpoint-postgres", "an approval, async", needs_postgres=True)
def postgres_async() -> Play:
    address = os.environ["MILLSTREAM_TEST_POSTGRES"]

    async def play(record: Recorder) -> None:
        async with AsyncExitStack() as stack:
            saver = AsyncPostgresSaver.from_conn_string(address)
            opened = await stack.enter_async_context(saver)
            await opened.setup()
            await _approve_async(record, opened)

    return play
