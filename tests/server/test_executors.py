"""Nodes of the server's graphs run where its configuration says."""

from __future__ import annotations

from pathlib import Path

import pytest

from millstream.errors import UnpicklableError
from millstream.executors import InlineExecutor, ProcessExecutor
from millstream.graph import START, StateGraph
from millstream.server.config import ExecutorConfig
from millstream.server.errors import ConfigError
from millstream.server.executors import load_executor, run_on
from server import elsewhere
from server.fixtures import config_of, running
from server.graphs import make_graphs


def test_runs_use_the_executor_and_it_ends_with_the_server(tmp_path: Path) -> None:
    elsewhere.executor.nodes.clear()
    elsewhere.executor.has_ended = False
    config = config_of(
        make_graphs(), tmp_path, executor=ExecutorConfig("server.elsewhere:executor")
    )
    with running(config) as server:
        given = {"assistant_id": "slow", "input": {"n": 1, "delay": 0}}
        assert server.http.post("/runs/wait", json=given).status_code == 200
        nodes = list(elsewhere.executor.nodes)
        assert not elsewhere.executor.has_ended

    assert nodes
    assert elsewhere.executor.has_ended


def test_what_is_no_executor_is_refused(tmp_path: Path) -> None:
    config = config_of({}, tmp_path, executor=ExecutorConfig("server.elsewhere:Noting"))

    with pytest.raises(ConfigError, match=r"no millstream.executors.Executor but <class"):
        load_executor(config)
    with pytest.raises(ConfigError, match=r"executor\.path is missing"):
        ExecutorConfig()


def test_nodes_that_say_where_they_run_and_nested_graphs_stay_there() -> None:
    def step(state: dict[str, int]) -> dict[str, int]:
        return {}

    inner = StateGraph(dict).add_node("step", step).add_edge(START, "step").compile()
    own, given = elsewhere.Noting(), elsewhere.Noting()
    builder = StateGraph(dict).add_node("inner", inner).add_node("own", step, executor=own)
    builder.add_node("here", step, executor=InlineExecutor()).add_node("step", step)
    builder.add_edge(START, "inner").add_edge("inner", "own")
    builder.add_edge("own", "here").add_edge("here", "step")

    run_on(builder.compile(), given).invoke({})

    assert (own.nodes, given.nodes) == (["own"], ["step"])


def test_a_node_that_cannot_be_sent_is_refused_when_its_graph_is_loaded() -> None:
    def step(state: dict[str, int]) -> dict[str, int]:
        return {}

    graph = StateGraph(dict).add_node("step", step).add_edge(START, "step").compile()

    with ProcessExecutor(1) as executor, pytest.raises(UnpicklableError, match="'step'"):
        run_on(graph, executor)
