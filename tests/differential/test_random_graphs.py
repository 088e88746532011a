"""Random graphs do the same on millstream as on langgraph."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given, note

from differential import harness, random_graphs
from differential.examples import IS_DEEP, SECONDS_PER_EXAMPLE, some
from differential.registry import DRIVERS

pytestmark = pytest.mark.real_time(reason="tasks of a superstep end one after the other")

FEW: Final = 10
MANY: Final = 5000 if IS_DEEP else 300


@some(FEW)
@given(random_graphs.graphs())
def test_random_graph_does_the_same_on_both_engines(graph: random_graphs.Graph) -> None:
    """Events of every mode, results, errors and logged warnings agree with both drivers."""
    check(graph)


@pytest.mark.long
@pytest.mark.timeout(MANY * SECONDS_PER_EXAMPLE)
@some(MANY, is_new=IS_DEEP)
@given(random_graphs.graphs())
def test_many_random_graphs_do_the_same_on_both_engines(graph: random_graphs.Graph) -> None:
    """Events of every mode, results, errors and logged warnings agree with both drivers."""
    check(graph)


def check(graph: random_graphs.Graph) -> None:
    for driver in DRIVERS:
        program = random_graphs.program(graph, driver)
        mismatches = harness.compare(program)

        note(harness.explain(program, mismatches))
        assert not mismatches
