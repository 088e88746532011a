"""Recorded runs can be replayed: their inputs lead to the same decisions, and others are seen."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from millstream.core import plan
from millstream.core.machine import RunMachine
from millstream.graph import START, StateGraph
from millstream.stimuli.log import logger, machine_class
from millstream.stimuli.replay import Divergence, ReplayError, replay
from millstream.types import interrupt
from stimuli.programs import (
    PROGRAMS,
    THREAD,
    Program,
    State,
    at_once,
    errors,
    fan_out,
    one,
    questions,
    task_calls,
    writing,
)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Record all runs of the test; give the lines of the log."""
    found: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(self.format(record))

    handler = Handler()
    # As a log file may have it.
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s:%(name)s:%(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield found
    logger.setLevel(logging.NOTSET)
    logger.removeHandler(handler)


def inputs_of(lines: list[str]) -> list[Any]:
    """Return the records of a log."""
    return [json.loads(line[line.index("{") :]) for line in lines]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_replayed_runs_decide_what_they_decided(
    driver: Any, lines: list[str], program: Program
) -> None:
    graphs = program(driver)
    last = {record["run"]: record["decided"] for record in inputs_of(lines)}

    machines = replay(lines, *graphs)

    assert [(m.status.value, m.step) for m in machines] == [
        (decided["status"], decided["step"]) for decided in last.values()
    ]


def test_the_programs_give_every_input_there_is(driver: Any, lines: list[str]) -> None:
    for program in (task_calls, questions, errors):
        program(driver)

    assert {record["input"] for record in inputs_of(lines)} == {
        "open", "begin", "resume", "plan", "call", "finish", "replay", "fail", "pause", "commit",
    }  # fmt: skip


def test_other_lines_of_a_log_are_passed_over(driver: Any, lines: list[str]) -> None:
    graphs = fan_out(driver)

    assert len(replay(["starting", *lines, "{}", ""], *graphs)) == 1


# The second node is led to later.
@pytest.mark.filterwarnings("ignore::millstream.warnings.GraphWarning")
def test_a_task_that_runs_where_none_ran_is_noticed(driver: Any, lines: list[str]) -> None:
    builder = StateGraph(State).add_node("a", writing("a")).add_node("b", writing("b"))
    before = builder.add_edge(START, "a").compile()
    driver.invoke(before, {"n": 1})
    after = builder.add_edge("a", "b").compile()

    with pytest.raises(Divergence, match=r"commit\(\): updated was .*, is {'branch:to:b'"):
        replay(lines, after)


def test_an_order_of_writes_that_changed_is_noticed(
    driver: Any, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs = fan_out(driver)
    plan_triggered = plan.plan_triggered
    monkeypatch.setattr(plan, "plan_triggered", lambda *given: plan_triggered(*given)[::-1])

    with pytest.raises(Divergence, match=r"plan\(\): tasks was"):
        replay(lines, *graphs)


def test_a_reducer_that_changed_is_noticed_by_the_values(driver: Any, lines: list[str]) -> None:
    driver.invoke(at_once({"a": writing(1), "b": writing(2)}), {})
    other = at_once({"a": writing(), "b": writing()})
    other.channels["log"].operator = lambda before, new: [*new, *before]

    with pytest.raises(Divergence, match=r"commit\(\): updated was"):
        replay(lines, other)
    replay(lines, other, are_values_compared=False)


def test_a_run_that_no_longer_fails_is_noticed(driver: Any, lines: list[str]) -> None:
    graph = at_once({name: lambda state: {"n": 1} for name in "ab"})
    with pytest.raises(Exception, match="one value per step"):
        driver.invoke(graph, {})
    changed = inputs_of(lines)
    del changed[-1]["decided"]["raised"]

    with pytest.raises(Divergence, match="raised was None, is InvalidUpdateError"):
        replay(map(json.dumps, changed), graph)


def test_a_question_that_is_not_asked_any_more_is_noticed(driver: Any, lines: list[str]) -> None:
    graph = one(lambda state: {"n": interrupt("?")}, saver=InMemorySaver())
    driver.invoke(graph, {"n": 1}, THREAD)
    changed = inputs_of(lines)
    for record in changed:
        if record["input"] == "pause":
            record["interrupts"] = []

    with pytest.raises(Divergence, match="questions was"):
        replay(map(json.dumps, changed), graph)


def test_a_log_without_its_beginning_or_middle_is_refused(driver: Any, lines: list[str]) -> None:
    graphs = fan_out(driver)

    with pytest.raises(ReplayError, match="does not have the beginning of run"):
        replay(lines[1:], *graphs)
    with pytest.raises(ReplayError, match="does not have input 2 of run"):
        replay(lines[:2] + lines[3:], *graphs)


def test_a_log_of_another_graph_is_refused(driver: Any, lines: list[str]) -> None:
    fan_out(driver)

    with pytest.raises(ReplayError, match="none of the graphs is named 'LangGraph' and has"):
        replay(lines, one(writing("other")))


def test_tasks_and_draws_that_a_log_does_not_have_are_said(driver: Any, lines: list[str]) -> None:
    graph = one(writing("a"), saver=InMemorySaver())
    driver.invoke(graph, {"n": 1}, THREAD)
    unknown, undrawn = inputs_of(lines), inputs_of(lines)
    for record in unknown:
        if "task" in record:
            record["task"] = "another"
    for record in undrawn:
        record.pop("drawn", None)

    with pytest.raises(ReplayError, match="does not say where task another comes from"):
        replay(map(json.dumps, unknown), graph)
    with pytest.raises(ReplayError, match="that was not drawn when it was recorded"):
        replay(map(json.dumps, undrawn), graph)


def test_runs_record_nothing_unless_their_own_logger_is_asked() -> None:
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.DEBUG)
    try:
        assert machine_class("any") is RunMachine
    finally:
        root.setLevel(level)


def test_a_logger_that_is_disabled_records_nothing(lines: list[str]) -> None:
    assert machine_class("any") is not RunMachine
    logging.disable(logging.DEBUG)
    try:
        assert machine_class("any") is RunMachine
    finally:
        logging.disable(logging.NOTSET)
    logger.setLevel(logging.INFO)
    assert machine_class("any") is RunMachine
