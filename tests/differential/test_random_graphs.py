"""Random graphs do the same on millstream as on langgraph."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, note, settings

from differential import harness, random_graphs
from differential.registry import DRIVERS

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "ci")
EXAMPLES = {"ci": 300, "deep": 5000}
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
@given(random_graphs.graphs())
def test_random_graph_does_the_same_on_both_engines(graph: random_graphs.Graph) -> None:
    """Events of every mode, results, errors and logged warnings agree with both drivers."""
    for driver in DRIVERS:
        program = random_graphs.program(graph, driver)
        mismatches = harness.compare(program)

        note(harness.explain(program, mismatches))
        assert not mismatches
