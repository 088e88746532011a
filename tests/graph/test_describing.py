"""What describes a graph imports nothing that runs one."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from millstream.pregel import _engine

DESCRIBE = """
import json, sys
from typing_extensions import TypedDict
from millstream.graph import START, StateGraph

class State(TypedDict):
    count: int

builder = StateGraph(State).add_node("add", lambda state: {"count": state["count"] + 1})
builder.add_edge(START, "add").add_conditional_edges("add", lambda state: "__end__", ["__end__"])
"""
LOADED = "[name for name in sys.modules if name.startswith('millstream.')]"
RUNNING = frozenset(
    {
        "core", "drivers", "executors", "journal", "modes", "outbox", "recording", "replaying",
        "runs", "saving", "stimuli", "stream", "wire",
    }
)  # fmt: skip
"""Packages that are there for runs, and for what is saved of them."""
DESCRIBING = frozenset(
    {
        # The methods of compiled graphs: what they call, they import.
        "pregel._running", "pregel._running.event_streams", "pregel._running.invoking",
        "pregel._running.overrides", "pregel._running.starting",
        "pregel._saved_state", "pregel._saved_state.saved_graph",
        # Which modes there are: a default names some.
        "modes", "modes.names",
    }
)  # fmt: skip


def of_runs(modules: list[str]) -> set[str]:
    """Return those of the modules that are there for runs."""
    names = {module.removeprefix("millstream.") for module in modules}
    found = {name for name in names if name.split(".")[0] in RUNNING}
    found |= {name for name in names if name.startswith(("pregel._running", "pregel._saved_state"))}
    return found - DESCRIBING


def printed(program: str) -> Any:
    """Return what a program prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_describing_a_graph_imports_nothing_that_runs_one() -> None:
    compiled = "assert builder.compile().get_graph().nodes\n"

    described, drawn = printed(
        f"{DESCRIBE}before = {LOADED}\n{compiled}print(json.dumps([before, {LOADED}]))"
    )

    assert of_runs(described) == set()
    # What is compiled for a run is there by then, but neither a driver nor what opens runs.
    homes = {f"{home}.{name}" for name, home in _engine._HOMES.items()}
    assert of_runs(drawn) & {*homes, "drivers.run", "core.machine", "saving.recorder"} == set()


def test_first_calls_may_come_from_many_threads_at_once() -> None:
    calls = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

graph, barrier = builder.compile(), Barrier(8)

def call(number):
    barrier.wait()
    return graph.invoke({"count": number})["count"]

with ThreadPoolExecutor(8) as pool:
    print(json.dumps([*pool.map(call, range(8))]))
"""

    assert printed(DESCRIBE + calls) == [*range(1, 9)]


@pytest.mark.parametrize("name", _engine.__all__)
def test_what_graphs_are_run_with_is_there_when_it_is_asked_for(name: str) -> None:
    module = getattr(_engine, name)

    assert module is sys.modules[f"millstream.{_engine._HOMES[name]}.{name}"]
    assert vars(_engine)[name] is module


def test_what_graphs_are_not_run_with_is_not_there() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = _engine.nothing  # type: ignore[attr-defined]  # that is the point
