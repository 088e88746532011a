"""Threads in which event loops wait for a storage: not those that sync nodes have."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint

from millstream.journal import PostgresJournal, SqliteJournal
from millstream.journal.threads import Threads

CONFIG: Any = {"configurable": {"thread_id": "busy", "checkpoint_ns": ""}}


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_what_is_stored_does_not_wait_for_nodes_that_have_all_threads_of_the_loop(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    gate = threading.Event()

    async def main(journal: Any) -> Any:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        # As a node that asks for what another run stores.
        node = asyncio.ensure_future(asyncio.to_thread(gate.wait, 60))
        await journal.aput(CONFIG, empty_checkpoint(), {"source": "input", "step": -1}, {})
        found = await journal.aget_tuple(CONFIG)
        gate.set()
        assert await node, "it was not waited for"
        await journal.aclose()
        return found

    with ThreadPoolExecutor(1) as pool:
        if kind == "sqlite":
            made: Any = SqliteJournal(tmp_path / "a.db", synchronous="full", threads=pool)
        else:
            made = PostgresJournal(request.getfixturevalue("postgres"), threads=pool)
        assert asyncio.run(main(made)).metadata["source"] == "input"


def test_a_fork_has_none_of_the_threads_and_uses_those_of_its_loop() -> None:
    with ThreadPoolExecutor(1) as pool:
        threads = Threads(pool)

        async def names() -> str:
            return await threads.call(lambda: threading.current_thread().name)

        assert asyncio.run(names()).startswith("ThreadPoolExecutor")
        threads._pid = -1
        assert asyncio.run(names()).startswith("asyncio")
