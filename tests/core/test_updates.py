"""Tasks that keep the dict their node returned: the same as a list of writes, for less."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.builders import begun, graph, log, names, new_lineage, node, planned, recording, run, to
from millstream.channels import (
    BinaryOperatorAggregate,
    EphemeralValue,
    LastValue,
    LastValueAfterFinish,
)
from millstream.core.machine import RunMachine
from millstream.core.protocol import Write
from millstream.core.spec import GraphSpec
from millstream.core.state import RunStatus

KEYS = frozenset(("a", "b", "log", "most", "brief"))
EDGES = {"one": to("two"), "two": to("one", "three"), "three": to("one"), "last": []}
Update = dict[str, Any]


def triangle(*, keeps_dicts: bool, **channels: Any) -> GraphSpec:
    """Return a graph whose nodes trigger each other.

    They write two plain keys, two that are reduced, and one that lives for a superstep.
    """
    options: dict[str, Any] = {"keys": KEYS} if keeps_dicts else {}
    nodes = [node(name, **options, edges=edges) for name, edges in EDGES.items()]
    declared = {
        "b": LastValue(Any),
        "log": log(),
        "most": BinaryOperatorAggregate(Any, max),
        "brief": EphemeralValue(Any),
        "a": LastValue(Any),
        **channels,
    }
    return graph(nodes, declared)


def work(machine: RunMachine, updates: list[Update], *, keeps_dicts: bool) -> list[Any]:
    """Run a superstep per update, which its first task writes; return what each came to."""
    seen = []
    for update in updates:
        tasks = planned(machine)
        for task in tasks:
            written = update if task is tasks[0] else {}
            if keeps_dicts:
                task.update = written
            else:
                task.writes = [*written.items(), *EDGES[task.name]]
            machine.finish(task)
        machine.commit()
        lineage = machine.lineage
        seen.append(
            (
                names(tasks),
                [list(task.writes) for task in tasks],
                machine.updated,
                list(machine.cells.values.items()),
                machine.cells.saved_values([*machine.spec.channels]),
                None if lineage is None else sorted(lineage.versions.items()),
                None if lineage is None else lineage.updated,
            )
        )
    return seen


def updates() -> st.SearchStrategy[list[Update]]:
    """Return what the nodes of a few supersteps write."""
    values = {key: st.integers(0, 3) for key in KEYS} | {"log": st.just(["x"])}
    return st.lists(st.fixed_dictionaries({}, optional=values), min_size=1, max_size=6)


@settings(max_examples=200)
@given(written=updates(), is_saved=st.booleans(), has_fading=st.booleans())
def test_dicts_do_what_lists_of_writes_do(
    written: list[Update], is_saved: bool, has_fading: bool
) -> None:
    """State, versions, next tasks: whatever is written, and whether one node runs or two."""
    extra = {"fading": EphemeralValue(Any)} if has_fading else {}
    sighted = []
    for keeps_dicts in (True, False):
        spec = triangle(keeps_dicts=keeps_dicts, **extra)
        lineage = new_lineage() if is_saved else None
        entered = [*to("one"), *((name, 1) for name in extra)]
        machine = begun(spec, *entered, lineage=lineage)
        sighted.append(work(machine, written, keeps_dicts=keeps_dicts))

    assert sighted[0] == sighted[1]


def test_who_follows_a_dict_of_plain_values_is_known_beforehand() -> None:
    """By name, and only where values trigger nobody and all edges are signals."""
    spec = triangle(keeps_dicts=True)
    listed = triangle(keeps_dicts=False)
    late = triangle(keeps_dicts=True, late=LastValueAfterFinish(Any))
    valued = graph([node("n", keys=KEYS), node("m", "a")], {"a": LastValue(Any)})
    joined = graph([node("n", keys=KEYS, edges=[("a", 1)])], {"a": LastValue(Any)})

    assert {one.direct for one in spec.nodes.values()} == {frozenset(("a", "b"))}
    assert {one.lasting for one in spec.nodes.values()} == {frozenset(("a", "b", "log", "most"))}
    assert [names(one.successors) for one in spec.nodes.values()] == [  # type: ignore[arg-type]  # a node has a name too
        ["two"],
        ["one", "three"],
        ["one"],
        [],
    ]
    assert {one.direct for one in (*listed.nodes.values(), *late.nodes.values())} == {None}
    assert (valued.nodes["n"].direct, valued.nodes["n"].successors) == ({"a"}, None)
    assert joined.nodes["n"].direct is None


def test_a_task_lists_its_writes_when_somebody_asks() -> None:
    """The list can be added to; setting it replaces the dict."""
    machine = begun(triangle(keeps_dicts=True), *to("one"))
    (task,) = planned(machine)
    task.update = {"a": 1}

    assert task.writes == [("a", 1), ("to:two", None)]
    assert task.writes is task.writes

    task.writes = []

    assert (task.update, task.writes) == (None, [])


@pytest.mark.parametrize("is_watched", [True, False])
def test_an_input_may_enter_without_a_superstep_of_its_own(is_watched: bool) -> None:
    """The run is where it would be after it, and whoever watches the state is told."""
    observer, facts = recording()
    spec = triangle(keeps_dicts=False)
    machine = begun(spec, observer=observer if is_watched else None)
    machine = RunMachine(spec, machine.observer, machine.limits, lambda: "")

    machine.begin([("a", 1), *to("last")], is_entry=True)

    assert (machine.status, machine.step) == (RunStatus.READY, 1)
    assert facts == ([("state_changed", ["a", "to:last"])] if is_watched else [])
    run(machine, lambda task: [("b", 2)])
    assert list(machine.cells.values.items()) == [("b", 2), ("log", []), ("a", 1)]
    assert (machine.status, machine.step) == (RunStatus.DONE, 2)


def refused(result: Any) -> list[Write]:
    """Say of a dict what it writes: nothing that has another name than `log`."""
    raise KeyError(*result)


def test_a_dict_of_known_keys_is_kept_as_the_update() -> None:
    """As a copy: the node may go on to change what it returned."""
    (task,) = planned(begun(graph([node("a", keys=frozenset("xy"), edges=to("b"))]), *to("a")))
    result = {"x": 1}

    assert task.put_dict(result, refused)
    result["y"] = 2

    assert task.update == {"x": 1}
    assert task.writes == [("x", 1), *to("b")]


def test_what_a_dict_holds_is_prepared_before_it_is_kept() -> None:
    """In place, as by a node whose results are listed; see `NodeSpec.prepare`."""

    def number(writes: Iterable[Write]) -> None:
        for _, value in writes:
            value.append(len(value))

    keys = frozenset("x")
    (task,) = planned(begun(graph([node("a", keys=keys, prepare=number)]), *to("a")))
    result: Update = {"x": []}

    assert task.put_dict(result, refused)

    assert (task.update, result) == ({"x": [0]}, {"x": [0]})


def test_a_dict_with_other_keys_is_listed_as_the_node_says() -> None:
    (task,) = planned(begun(graph([node("a", keys=frozenset("x"))]), *to("a")))

    assert task.put_dict({"z": 1}, lambda result: [("x", result["z"])])

    assert (task.update, task.writes) == (None, [("x", 1)])


def test_a_dict_with_keys_that_are_refused_writes_nothing() -> None:
    (task,) = planned(begun(graph([node("a", keys=frozenset("x"))]), *to("a")))

    with pytest.raises(KeyError, match="z"):
        task.put_dict({"z": 1}, refused)

    assert (task.update, task.listed) == (None, None)


@pytest.mark.parametrize(
    ("keys", "result", "asked"),
    [(None, {"x": 1}, False), (frozenset("x"), [("x", 1)], False), (frozenset("x"), {}, True)],
    ids=["the node lists", "no dict", "already listed"],
)
def test_other_results_do_not_go_the_short_way(keys: Any, result: Any, asked: bool) -> None:
    (task,) = planned(begun(graph([node("a", keys=keys)]), *to("a")))
    if asked:
        task.writes.append(("x", 0))

    assert not task.put_dict(result, refused)

    assert task.update is None
