"""What can be sent to another process, and which nodes are."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from executors import acting
from executors.acting import State, graph_of
from millstream.errors import (
    UnpicklableError,
)
from millstream.executors import InlineExecutor, ProcessExecutor
from millstream.graph import START, StateGraph

EMPTY: State = {"log": []}


@pytest.fixture
def lock() -> Any:
    return threading.Lock()


def test_a_node_that_cannot_be_pickled_is_named_when_it_is_compiled(
    executor: ProcessExecutor, lock: Any
) -> None:
    def guarded(state: State) -> State:
        with lock:
            return {}

    with pytest.raises(UnpicklableError, match=r"Node 'n0' .*its variable 'lock'.*_thread.lock"):
        graph_of(guarded, executor=executor)
    with pytest.raises(UnpicklableError, match=r"Node 'n0' .*\.held .*_thread.lock"):
        graph_of(acting.Holder(lock), executor=executor)
    with pytest.raises(UnpicklableError, match="is not at the top of a module"):
        graph_of(lambda state: {}, executor=executor)


def test_a_state_that_cannot_be_pickled_is_named(
    driver: Any, executor: ProcessExecutor, lock: Any
) -> None:
    graph = graph_of(acting.log, executor=executor)

    with pytest.raises(UnpicklableError, match=r"\.input\['log'\]\[0\] .*_thread.lock"):
        driver.invoke(graph, {"log": [lock]})


@pytest.mark.parametrize(
    ("node", "what"),
    [
        (acting.return_lambda, r"what it returns\['log'\]\[0\]"),
        (acting.write_lambda, r"what it emits\.event\.item\['how'\]"),
    ],
)
def test_what_a_node_gives_and_cannot_be_pickled_is_named(
    driver: Any, executor: ProcessExecutor, node: Any, what: str
) -> None:
    with pytest.raises(UnpicklableError, match=f"Node 'n0' runs .*{what}"):
        driver.stream(graph_of(node, executor=executor), EMPTY, stream_mode="custom")


# -- which executor ------------------------------------------------------------------------------


def test_a_graphs_executor_is_for_nodes_that_name_none(
    driver: Any, executor: ProcessExecutor
) -> None:
    inside = StateGraph(State).add_node("deep", lambda state: {"log": [os.getpid()]})
    builder = StateGraph(State).add_node("there", acting.where)
    builder.add_node("here", acting.where, executor=InlineExecutor())
    builder.add_node("nested", inside.add_edge(START, "deep").compile())
    builder.add_edge(START, "there").add_edge("there", "here").add_edge("here", "nested")

    there, here, *nested = driver.invoke(builder.compile(executor=executor), EMPTY)["log"]

    assert there != os.getpid()
    assert here == os.getpid() == nested[-1]
