"""What is left of runs when the interpreter ends: nothing, and it does not wait for ever."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from forked_python import run_python

pytestmark = pytest.mark.timeout(60)

PROGRAM = """
import asyncio, sys, threading, time
from langgraph.checkpoint.sqlite import SqliteSaver
from millstream.config import get_stream_writer
from millstream.graph import START, StateGraph
from typing_extensions import TypedDict

class State(TypedDict):
    n: int

began = threading.Event()

def first(state):
    return {"n": 1}

def sleep(state):
    write = get_stream_writer()
    began.set()
    try:
        while True:
            time.sleep(0.01)
            write("asleep")
    finally:
        print("node stopped", flush=True)

async def asleep(state):
    began.set()
    try:
        await asyncio.sleep(60)
    finally:
        print("node stopped", flush=True)

def graph(node, saver=None):
    builder = StateGraph(State).add_node("first", first).add_node("node", node)
    builder.add_edge(START, "first").add_edge("first", "node")
    return builder.compile(saver)
"""


def outcome(tmp_path: Path, program: str) -> tuple[int, list[str], str]:
    """Run a program; return its exit code, the lines it printed, and what it complained about."""
    text = PROGRAM + textwrap.dedent(program)
    ended = run_python("-c", text, cwd=tmp_path)
    return ended.returncode, ended.stdout.splitlines(), ended.stderr


def test_a_run_nobody_has_ended_is_stopped_at_the_end_of_the_interpreter(tmp_path: Path) -> None:
    assert outcome(
        tmp_path,
        """
        run = graph(sleep).start({"n": 0})
        began.wait(10)
        print(run.status)
        """,
    ) == (0, ["running", "node stopped"], "")


def test_a_run_that_is_stopped_at_the_end_is_saved(tmp_path: Path) -> None:
    code, lines, complaints = outcome(
        tmp_path,
        """
        import atexit, sqlite3
        thread = {"configurable": {"thread_id": "1"}}
        connection = sqlite3.connect("file.db", check_same_thread=False)
        atexit.register(connection.close)
        saver = SqliteSaver(connection)
        run = graph(sleep, saver).start({"n": 0}, thread, durability="exit")
        began.wait(10)
        """,
    )
    assert (code, lines, complaints) == (0, ["node stopped"], "")
    assert outcome(
        tmp_path,
        """
        import sqlite3
        thread = {"configurable": {"thread_id": "1"}}
        with SqliteSaver.from_conn_string("file.db") as saver:
            state = graph(sleep, saver).get_state(thread)
            print(state.values, state.next)
        """,
    ) == (0, ["{'n': 1} ('node',)"], "")


def test_an_async_run_ends_with_asyncio_run(tmp_path: Path) -> None:
    assert outcome(
        tmp_path,
        """
        async def main():
            run = await graph(asleep).astart({"n": 0})
            while not began.is_set():
                await asyncio.sleep(0.01)
            return run

        run = asyncio.run(main())
        print(run.status)
        """,
    ) == (0, ["node stopped", "cancelled"], "")


def test_a_run_of_a_loop_that_was_only_stopped_does_not_keep_the_program(tmp_path: Path) -> None:
    code, lines, _ = outcome(
        tmp_path,
        """
        loop = asyncio.new_event_loop()
        run = loop.run_until_complete(graph(asleep).astart({"n": 0}))
        print(run.status)
        """,
    )
    assert (code, lines) == (0, ["running"])


def test_ctrl_c_in_the_scope_stops_the_run(tmp_path: Path) -> None:
    code, lines, complaints = outcome(
        tmp_path,
        """
        try:
            with graph(sleep).start({"n": 0}) as run:
                began.wait(10)
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            print(run.status)
        """,
    )
    assert (code, lines, complaints) == (0, ["node stopped", "cancelled"], "")
