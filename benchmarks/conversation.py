"""A conversation in a file: `-m benchmarks.conversation PEER SAVER TURNS` prints JSON.

Each turn is a run of its own that adds one message of 1 kB to the list. Times are in milliseconds
and without what the values take to be loaded and dumped, once a turn and once for each state that
is read, which is measured beside: that is the serializer's, whatever the saver does.

`size` is the file's bytes by those of the messages' text, `early` a turn when a tenth has been
said and `late` the last; `warm` is the newest state, `cold` the same in a process that has just
begun (`-m benchmarks.conversation PEER SAVER FILE`), `history` the ten newest checkpoints.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from langchain_core.messages import AIMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from benchmarks import savers
from benchmarks.child import ROOT
from benchmarks.peers import Peer, load
from benchmarks.states import talk_of

SIZE: Final = 1000
WINDOW: Final = 20
"""Turns that are looked at, early and late: the least disturbed one counts."""
LOOKS: Final = 5
COLD_LOOKS: Final = 3
LEAST: Final = 0.001
"""Milliseconds; less cannot be told from nothing."""
CONFIG: Final[Any] = {"configurable": {"thread_id": "1"}}
WORDS: Final = [
    "".join(random.Random(number).choices("abcdefghijklmnopqrstuvwxyz", k=2 + number % 9))
    for number in range(2000)
]


def text_of(number: int) -> str:
    """Return 1 kB that nothing else says."""
    return " ".join(random.Random(number).choices(WORDS, k=SIZE // 2))[:SIZE]


def graph_of(peer: Peer, saver: Any) -> Any:
    """Return what adds one message a run."""

    def answer(state: Any) -> Any:
        number = state["n"]
        return {"messages": [AIMessage(text_of(number), id=f"message {number}")]}

    builder = peer.StateGraph(talk_of(peer))
    builder.add_node("answer", answer)
    builder.add_edge(peer.START, "answer")
    return builder.compile(checkpointer=saver)


def opened(kind: str, path: str) -> AbstractContextManager[Any]:
    """Return a saver of that kind for the file."""
    if kind == savers.SQLITE.name:
        return savers.SqliteSaver.from_conn_string(path)
    return savers.SqliteJournal(path)


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return how many milliseconds a call takes, and its result."""
    started = time.perf_counter()
    result = call()
    return (time.perf_counter() - started) * 1000, result


def best(call: Callable[[], Any]) -> float:
    """Return the milliseconds of the least disturbed of some calls."""
    return min(timed(call)[0] for _ in range(LOOKS))


def serializing(messages: Any) -> tuple[float, float]:
    """Return the milliseconds that messages take to be dumped, and to be loaded."""
    serde = JsonPlusSerializer()
    stored = serde.dumps_typed(messages)
    return best(lambda: serde.dumps_typed(messages)), best(lambda: serde.loads_typed(stored))


def beyond(found: float, part: float) -> float:
    """Return what is left of some milliseconds."""
    return max(LEAST, found - part)


def converse(graph: Any, first: int, last: int) -> list[float]:
    """Take turns; return the milliseconds of each."""
    return [
        timed(lambda n=n: graph.invoke({"n": n}, CONFIG, durability="sync"))[0]  # type: ignore[misc]
        for n in range(first, last)
    ]


def measure(root: str, kind: str, turns: int) -> dict[str, float]:
    """Measure one conversation."""
    window = min(WINDOW, turns // 4)
    numbers: dict[str, float] = {}
    with TemporaryDirectory() as folder:
        path = str(Path(folder, "saved.db"))
        with opened(kind, path) as saver:
            graph = graph_of(load(root), saver)
            said = 0
            for name, end in (("early", max(window, turns // 10)), ("late", turns)):
                converse(graph, said, end - window)
                taken = min(converse(graph, end - window, end))
                said = end
                messages = graph.get_state(CONFIG).values["messages"]
                assert [message.content for message in messages] == list(map(text_of, range(end)))
                dumping, loading = serializing(messages)
                numbers[name] = beyond(taken, dumping + loading)
            numbers["warm"] = beyond(best(lambda: graph.get_state(CONFIG)), loading)
            ten = best(lambda: list(graph.get_state_history(CONFIG, limit=10)))
            numbers["history"] = beyond(ten, 10 * loading)
        numbers["size"] = size_of(path) / (turns * SIZE)
        looks = max(1, min(COLD_LOOKS, turns // WINDOW))
        numbers["cold"] = min(cold(root, kind, path) for _ in range(looks))
    return numbers


def size_of(path: str) -> int:
    """Return the bytes of a file when nothing is left in its log."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return Path(path).stat().st_size


def cold(root: str, kind: str, path: str) -> float:
    """Return what the newest state takes in a process that has not seen the file."""
    command = [sys.executable, "-W", "ignore", "-m", __spec__.name, root, kind, path]
    # As users have it: modules that were imported once are compiled.
    environment = {**os.environ}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return float(json.loads(done.stdout))


def first_look(root: str, kind: str, path: str) -> float:
    """Open the file and look; return the milliseconds without those of loading."""
    peer = load(root)
    started = time.perf_counter()
    with opened(kind, path) as saver:
        messages = graph_of(peer, saver).get_state(CONFIG).values["messages"]
        taken = (time.perf_counter() - started) * 1000
    assert messages
    return beyond(taken, serializing(messages)[1])


if __name__ == "__main__":
    root, kind, what = sys.argv[1:]
    print(
        json.dumps(
            measure(root, kind, int(what)) if what.isdigit() else first_look(root, kind, what)
        )
    )
