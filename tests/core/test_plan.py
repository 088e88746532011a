"""Which nodes run next, and why."""

from __future__ import annotations

import logging

import pytest

from core.builders import begun, graph, names, new_lineage, node
from millstream.channels import LastValue
from millstream.constants import PUSH, TASKS
from millstream.core.cells import Cells
from millstream.core.plan import plan_sends, plan_triggered, plan_unseen
from millstream.types import Send, TimeoutPolicy


def test_updated_channels_trigger_their_nodes_once_each_by_name() -> None:
    """A node with two updated triggers runs once; channels without nodes do not matter."""
    spec = graph([node("c", "y"), node("b", "x", "y"), node("a", "x"), node("d", "z")])

    planned = [plan_triggered(spec, updated) for updated in ({"x"}, {"y", "k", "x"}, {"k"}, set())]

    assert [[n.name for n in nodes] for nodes in planned] == [["a", "b"], ["a", "b", "c"], [], []]


def test_unseen_channels_trigger_nodes_in_the_order_they_were_added() -> None:
    """A node runs if a trigger has a value newer than what the node saw."""
    spec = graph(
        [node("new", "x"), node("seen", "x"), node("empty", "y"), node("both", "y", "x")],
        {"x": LastValue(int), "y": LastValue(int)},
    )
    lineage = new_lineage()
    lineage.bump(["x", "y"])
    lineage.seen["seen"] = {"x": 1}

    planned = plan_unseen(spec, Cells(spec, {"x": 7}), lineage)

    assert [n.name for n in planned] == ["new", "both"]


def test_each_send_becomes_a_task_in_order() -> None:
    """The task's input is the Send's argument, its path the Send's position."""
    patience = TimeoutPolicy(run_timeout=3.0)
    sends = [Send("b", 1), Send("a", 2, timeout=patience), Send("b", 3)]
    machine = begun(graph([node("a"), node("b")]), (TASKS, sends))

    tasks = plan_sends(machine)

    assert [(t.name, t.input, t.timeout, t.path, t.triggers) for t in tasks] == [
        ("b", 1, None, (PUSH, 0, False), (PUSH,)),
        ("a", 2, patience, (PUSH, 1, False), (PUSH,)),
        ("b", 3, None, (PUSH, 2, False), (PUSH,)),
    ]


def test_no_sends_make_no_tasks() -> None:
    """A run to which nobody sent anything has no pushed tasks."""
    assert plan_sends(begun(graph([node("a")]))) == []


def test_a_send_to_an_unknown_node_is_skipped_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The other Sends keep their positions, which their ids depend on."""
    machine = begun(graph([node("a")]), (TASKS, [Send("gone", 1), Send("a", 2)]))

    with caplog.at_level(logging.WARNING, logger="millstream.core.plan"):
        tasks = plan_sends(machine)

    assert [task.path for task in tasks] == [(PUSH, 1, False)]
    assert caplog.messages == ["Ignoring unknown node name gone in pending sends"]


def test_what_is_no_send_is_refused_by_name() -> None:
    """The error shows the foreign object and the channel it was found in."""
    machine = begun(graph([node("a")]), (TASKS, "a"))

    with pytest.raises(TypeError) as caught:
        machine.plan()

    assert str(caught.value) == (
        "expected a Send in channel '__pregel_tasks', got 'a'; "
        "it was written by another program or an older version"
    )


def test_sends_run_before_triggered_tasks_are_listed() -> None:
    """A superstep lists its pushed tasks first."""
    machine = begun(graph([node("a"), node("b")]), ("to:a", None), (TASKS, Send("b", 1)))

    assert names(machine.plan()) == ["b", "a"]
