"""The transition table, and the error of a driver that breaks it."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path
from typing import Any, TypeAlias

import pytest

import millstream
from core.builders import Asks, Behaviour, Fails, doing, graph, log, new_machine, node, run, to
from millstream.core import state
from millstream.core.machine import RunMachine
from millstream.core.protocol import Write
from millstream.core.state import ALLOWED, ENDED, TRANSITIONS, ProtocolError, RunStatus

Move: TypeAlias = "tuple[RunStatus, RunStatus]"

SOURCE = Path(millstream.__file__).parent


def diagram() -> str:
    """Draw the table: a line for all inputs of a status that lead to the same, ends below."""
    drawn: list[tuple[str, str, list[RunStatus]]] = []
    for status, inputs in TRANSITIONS.items():
        for targets in dict.fromkeys(inputs.values()):
            names = ", ".join(name for name, leads in inputs.items() if leads == targets)
            drawn.append((status.name, names, list(targets)))
    left = max(len(status) for status, _, _ in drawn)
    middle = max(len(names) for _, names, _ in drawn)
    lines = []
    for status, names, targets in drawn:
        going_on = [target.name for target in targets if target not in ENDED]
        ends = [target.name for target in targets if target in ENDED]
        lines.append(f"    {status:{left}} --{names:-<{middle}}--> {', '.join(going_on)}")
        if ends:
            lines.append(f"    {'':{left + middle + 3}}`-> {', '.join(ends)}")
    return "\n".join(lines)


def test_the_diagram_in_the_essay_is_drawn_from_the_table() -> None:
    assert state.__doc__ is not None
    assert f"::\n\n{diagram()}\n\n" in state.__doc__, f"it should be\n{diagram()}"


class Stopping:
    """Somebody who has asked the run to stop."""

    drain_requested = True


RUNS: dict[str, tuple[Behaviour, dict[str, Any]]] = {
    "DONE": (doing(), {}),
    "BREAKPOINT before": (doing(), {"limits": {"before": ["b"]}}),
    "BREAKPOINT after": (doing(), {"limits": {"after": "*"}}),
    "BREAKPOINT of a nested graph": (doing(b=Asks()), {}),
    "DRAINED": (doing(), {"limits": {"control": Stopping()}}),
    "OUT_OF_STEPS": (doing(), {"steps": 1}),
    "PAUSED": (doing(b=Asks(("?",))), {}),
    "FAILED": (doing(b=Fails(ValueError("x"))), {}),
}


def moves(behave: Behaviour, options: dict[str, Any]) -> tuple[RunMachine, set[Move]]:
    """Run a graph in which `a` leads to `b`; return every move from one status to another."""
    seen: set[Move] = set()

    class Watched(RunMachine):
        def __setattr__(self, name: str, value: Any) -> None:
            if name == "status":
                seen.add((self.status, value))
            super().__setattr__(name, value)

    writes: dict[str, list[Write]] = {"a": to("b")}
    plain = new_machine(graph([node("a"), node("b")], {"log": log()}), **options)
    machine = Watched(plain.spec, plain.observer, plain.limits, plain.new_id)
    machine.begin(to("a"))
    run(machine, lambda task: writes.get(task.name) or behave(task))
    return machine, seen


@pytest.mark.parametrize("name", RUNS)
def test_a_run_ends_as_the_rules_say(name: str) -> None:
    machine, _ = moves(*RUNS[name])

    assert machine.status is RunStatus[name.split(" ")[0]]


def test_the_table_lists_the_moves_that_runs_make_and_no_others() -> None:
    seen = set().union(*(moves(*given)[1] for given in RUNS.values()))

    listed = {
        (status, target)
        for status, inputs in TRANSITIONS.items()
        for targets in inputs.values()
        for target in targets
        if target is not status
    }
    assert seen == listed


def test_nobody_but_the_machine_assigns_to_it() -> None:
    """It has one mutator; what others want to change they tell it by an input."""
    assigned = {
        (path.name, target.attr)
        for path in SOURCE.rglob("*.py")
        if path.name != "machine.py"
        for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(statement, (ast.Assign, ast.AugAssign, ast.AnnAssign))
        for targets in [getattr(statement, "targets", None) or [getattr(statement, "target", None)]]
        for target in targets
        if isinstance(target, ast.Attribute)
        and ast.unparse(target.value).split(".")[-1] == "machine"
    }

    assert assigned == set()


def test_the_ends_are_the_statuses_that_allow_no_input() -> None:
    """A status is an end exactly if no input is listed for it."""
    without_input = set(RunStatus) - set(ALLOWED.values())

    assert set(ENDED) == without_input


@pytest.mark.parametrize("received", sorted(ALLOWED))
def test_a_protocol_error_names_the_input_and_both_statuses(received: str) -> None:
    """The message says what came, when it is allowed and where the run stands."""
    error = ProtocolError(received, RunStatus.PAUSED)

    message = str(error)

    assert message == (
        f"{received}() is allowed while the run is {ALLOWED[received].value!r}, "
        "but it is 'paused'; this is a bug in the driver"
    )


def test_a_protocol_error_pickles_with_its_facts() -> None:
    """The error arrives whole in another process."""
    error = ProtocolError("commit", RunStatus.READY)

    twin = pickle.loads(pickle.dumps(error))

    assert (twin.received, twin.status) == ("commit", RunStatus.READY)
    assert str(twin) == str(error)
