"""Random graphs do the same with all their nodes on a cluster as without an executor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings

from differential import harness, random_graphs, random_saved
from differential.engines import CANDIDATE_ROOT, Engine
from differential.registry import DRIVERS, Program
from millstream.executors import Executor, RayExecutor
from millstream.graph import StateGraph

pytestmark = pytest.mark.real_time(reason="tasks of a superstep end one after the other")

COUNT: Final = 15


class Elsewhere(Engine):
    """An engine whose graphs run their nodes on an executor."""

    __slots__ = ("graph",)

    def __init__(self, executor: Executor) -> None:
        super().__init__(CANDIDATE_ROOT)

        class Builder(StateGraph[Any]):
            def compile(self, *args: Any, **kwargs: Any) -> Any:
                return super().compile(*args, **kwargs, executor=executor)

        named = vars(self.module("graph"))
        self.graph = SimpleNamespace(**{**named, "StateGraph": Builder})

    def __reduce__(self) -> Any:
        # Nodes know the engine that they are built for, and build nothing themselves.
        return Engine, (self.root,)


def some(count: int) -> settings:
    return settings(
        max_examples=count,
        derandomize=True,
        print_blob=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def differing(program: Program, build: Callable[[Engine], Any], executor: Executor) -> list[Any]:
    """Return what a program does otherwise on an executor, by how it is called."""
    there = replace(program, build=lambda _: build(Elsewhere(executor)))
    found = []
    for setting in harness.first_settings(program):
        expected = harness.record(program, CANDIDATE_ROOT, setting)
        actual = harness.record(there, CANDIDATE_ROOT, setting)
        if actual != expected:
            found.append((setting, expected, actual))
    return found


@pytest.mark.timeout(600)
@some(COUNT)
@given(random_graphs.graphs())
def test_a_random_graph_does_the_same_there(
    executor: RayExecutor, graph: random_graphs.Graph
) -> None:
    """Events of every mode, results, errors and logged warnings agree with both drivers."""
    for driver in DRIVERS:

        def build(engine: Engine, driver: str = driver) -> Any:
            return random_graphs.build(engine, graph, driver)

        assert differing(random_graphs.program(graph, driver), build, executor) == []


def patient(worker: random_saved.Worker) -> random_saved.Worker:
    """Return a worker that never fails: how often it has is counted where it is described."""
    return replace(worker, fails=0, inner=tuple(patient(inner) for inner in worker.inner))


@pytest.mark.timeout(600)
@some(COUNT)
@given(random_saved.saved_graphs())
def test_a_random_saved_graph_goes_on_the_same_there(
    executor: RayExecutor, graph: random_saved.SavedGraph
) -> None:
    """Events, results and the history agree through questions, answers and new input."""
    layers = tuple(
        replace(layer, hub=patient(layer.hub), workers=tuple(map(patient, layer.workers)))
        for layer in graph.layers
    )
    graph = replace(graph, layers=layers)

    def build(engine: Engine) -> Any:
        return random_saved.build(engine, graph)

    assert differing(random_saved.program(graph), build, executor) == []
