"""The first models of a process are called by several threads at once."""

from __future__ import annotations

import subprocess

import pytest

from strict_python import STRICT_PYTHON

PROGRAM = """
import asyncio, sys, threading
from millstream.graph import START, MessagesState, StateGraph

seen = []
both = threading.Barrier(2)

def node(state):
    both.wait()
    seen.append("langchain_core.tracers.context" in sys.modules)

builder = StateGraph(MessagesState)
for name in "ab":
    builder.add_node(name, node)
    builder.add_edge(START, name)
graph = builder.compile()
assert "langchain_core.tracers.context" not in sys.modules
assert {run}
assert seen == [True, True], seen
"""


@pytest.mark.parametrize("run", ["graph.invoke({})", "asyncio.run(graph.ainvoke({}))"])
def test_threads_do_not_import_at_once_what_langchain_needs_for_its_first_call(run: str) -> None:
    """Two that import modules which need each other find them half imported."""
    program = PROGRAM.replace("{run}", run.replace("{}", "{'messages': []}"))
    done = subprocess.run(
        [*STRICT_PYTHON, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
