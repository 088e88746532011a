"""Static breakpoints."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from core.builders import graph, new_lineage, new_machine, node
from millstream.constants import INTERRUPT
from millstream.core.breakpoints import is_breakpoint
from millstream.core.tasks import Task


def tasks_of(*specs: str) -> list[Task]:
    """Return a task for each name; a name that starts with a dot is hidden."""
    nodes = [node(name, is_hidden=name.startswith(".")) for name in specs]
    machine = new_machine(graph(nodes))
    return [Task(machine, one, one.path, one.triggers) for one in nodes]


@pytest.mark.parametrize(
    ("listed", "expected"),
    [((), False), ("", False), (["b"], True), ({"c"}, False), ("*", True)],
)
def test_a_breakpoint_is_reached_when_a_task_is_listed(
    listed: str | Collection[str], expected: bool
) -> None:
    """One listed task is enough; a star lists all."""
    tasks = tasks_of("a", "b")

    assert is_breakpoint(listed, tasks, None) is expected


def test_a_star_does_not_list_hidden_tasks() -> None:
    """Nodes that streams do not show are no place to stop, unless named."""
    tasks = tasks_of(".a")

    assert [is_breakpoint(listed, tasks, None) for listed in ("*", [".a"])] == [False, True]


def test_a_run_stops_again_only_after_something_changed() -> None:
    """What was seen at the last stop does not stop the resumed run."""
    lineage = new_lineage()
    lineage.bump(["x"])
    tasks = tasks_of("a")

    stops = [is_breakpoint("*", tasks, lineage)]
    lineage.mark_all_seen(INTERRUPT)
    stops.append(is_breakpoint("*", tasks, lineage))
    lineage.bump(["x"])
    stops.append(is_breakpoint("*", tasks, lineage))

    assert stops == [True, False, True]
