"""Random saved graphs that ask and fail do the same on millstream as on langgraph."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, note, settings

from differential import harness, random_saved

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "ci")
EXAMPLES = {"ci": 150, "deep": 3000}
SECONDS_PER_EXAMPLE = 2

run_many = settings(
    max_examples=EXAMPLES.get(PROFILE, EXAMPLES["ci"]),
    derandomize=PROFILE == "ci",
    deadline=None,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.timeout(EXAMPLES.get(PROFILE, EXAMPLES["ci"]) * SECONDS_PER_EXAMPLE)
@run_many
@given(random_saved.saved_graphs())
def test_random_saved_graph_goes_on_the_same_on_both_engines(
    graph: random_saved.SavedGraph,
) -> None:
    """Events, results, errors and the history agree through answers, failures and new input."""
    program = random_saved.program(graph)
    mismatches = harness.compare(program)

    note(harness.explain(program, mismatches))
    assert not mismatches
