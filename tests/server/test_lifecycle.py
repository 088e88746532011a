"""The tables that decide about runs: what becomes of them, and of a new one on a busy thread."""

from __future__ import annotations

import itertools

import pytest

from millstream.server.runs.lifecycle import (
    INPUTS,
    STATUSES,
    UNDER_WAY,
    RunStatus,
    status_after,
    thread_status_after,
)
from millstream.server.runs.multitask import STRATEGIES, Admission, Present, Strategy, admit


def test_ends_are_never_left() -> None:
    ends = [status for status in STATUSES if status not in UNDER_WAY]

    assert [status_after(end, input) for end, input in itertools.product(ends, INPUTS)] == [
        None
    ] * (len(ends) * len(INPUTS))


def test_every_status_can_be_reached_from_pending() -> None:
    reached: set[RunStatus] = {"pending"}
    for _ in STATUSES:
        pairs = itertools.product(sorted(reached), INPUTS)
        reached |= {after for pair in pairs if (after := status_after(*pair)) is not None}

    assert reached == set(STATUSES)


def test_every_run_under_way_can_be_cancelled_both_ways() -> None:
    ends = {status: status_after(status, "interrupted") for status in UNDER_WAY}
    undone = {status: status_after(status, "rolled_back") for status in UNDER_WAY}

    assert ends == dict.fromkeys(UNDER_WAY, "interrupted")
    assert undone == dict.fromkeys(UNDER_WAY, "deleted")


def test_trap_19_a_run_that_asks_is_a_success_on_an_interrupted_thread() -> None:
    assert status_after("running", "finished") == "success"
    assert thread_status_after("success", is_asking=True) == "interrupted"
    assert thread_status_after("success", is_asking=False) == "idle"


@pytest.mark.parametrize(
    ("status", "expected"),
    [("error", "error"), ("timeout", "error"), ("interrupted", "interrupted"), ("deleted", "idle")],
)
def test_the_thread_shows_how_its_last_run_ended(status: RunStatus, expected: str) -> None:
    assert thread_status_after(status, is_asking=False) == expected


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_new_run_on_an_idle_thread_starts(strategy: Strategy) -> None:
    assert admit(strategy, []) == Admission()
    assert admit(strategy, [Present("old", "success"), Present("gone", "error")]) == Admission()


@pytest.mark.parametrize("status", UNDER_WAY)
def test_a_new_run_on_a_busy_thread_does_as_its_strategy_says(status: RunStatus) -> None:
    present = [Present("a", status), Present("b", "pending"), Present("c", "success")]

    decisions = {strategy: admit(strategy, present) for strategy in STRATEGIES}

    assert decisions == {
        "reject": Admission(is_rejected=True),
        "enqueue": Admission(),
        "interrupt": Admission(superseded=("a", "b"), by="interrupted"),
        "rollback": Admission(superseded=("a", "b"), by="rolled_back"),
    }
