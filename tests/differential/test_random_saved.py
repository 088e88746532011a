"""Random saved graphs that ask and fail do the same on millstream as on langgraph."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given, note

from differential import harness, random_saved
from differential.examples import IS_DEEP, SECONDS_PER_EXAMPLE, some

FEW: Final = 6
MANY: Final = 3000 if IS_DEEP else 150


@some(FEW)
@given(random_saved.saved_graphs())
def test_random_saved_graph_goes_on_the_same_on_both_engines(
    graph: random_saved.SavedGraph,
) -> None:
    """Events, results, errors and the history agree through answers, failures and new input."""
    check(graph)


@pytest.mark.long
@pytest.mark.timeout(MANY * SECONDS_PER_EXAMPLE)
@some(MANY, is_new=IS_DEEP)
@given(random_saved.saved_graphs())
def test_many_random_saved_graphs_go_on_the_same_on_both_engines(
    graph: random_saved.SavedGraph,
) -> None:
    """Events, results, errors and the history agree through answers, failures and new input."""
    check(graph)


def check(
    graph: random_saved.SavedGraph,
) -> None:
    program = random_saved.program(graph)
    mismatches = harness.compare(program)

    note(harness.explain(program, mismatches))
    assert not mismatches
