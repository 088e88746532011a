"""The channels of one run, and the values they show."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from core.builders import Channels, graph, log, new_machine, node
from millstream.channels import (
    AnyValue,
    EphemeralValue,
    LastValue,
    LastValueAfterFinish,
    NamedBarrierValue,
    Topic,
    UntrackedValue,
)
from millstream.constants import NO_WRITES, TASKS
from millstream.core.cells import NOT_CHANNELS, Cells
from millstream.core.protocol import Write
from millstream.core.tasks import Task
from millstream.errors import InvalidUpdateError


def cells_of(
    channels: Channels, saved: dict[str, Any] | None = None, *, shown: Sequence[str] | None = None
) -> Cells:
    """Return the channels of a new run of a graph without nodes."""
    return Cells(graph([], channels, shown=shown), saved)


def write(cells: Cells, *writes: Write, **options: Any) -> list[str]:
    """Apply the writes of one superstep; return what was updated, by name."""
    return sorted(cells.apply(writes, **options))


class Refilling(EphemeralValue[int]):
    """A channel that fills itself in a superstep that does not write it."""

    def update(self, values: Sequence[int]) -> bool:
        """Alternate between the written value and nothing, then show -1."""
        self.value = values[-1] if values else -1
        return True


def test_only_channels_with_a_first_value_exist_at_the_start() -> None:
    """All others are made when they are first written."""
    cells = cells_of({"log": log(), "last": LastValue(int)})

    assert list(cells.live) == ["log"]
    assert cells.values == {"log": []}


def test_saved_channels_are_restored_in_declaration_order() -> None:
    """Names the graph does not know any more are left out."""
    channels = {"a": LastValue(int), "log": log(), "b": LastValue(int)}

    cells = cells_of(channels, {"gone": 1, "b": 2, "a": 1})

    assert list(cells.values.items()) == [("a", 1), ("log", []), ("b", 2)]


def test_saved_channels_that_are_empty_show_nothing() -> None:
    """A barrier that waits is saved, but has no value."""
    cells = cells_of({"join": NamedBarrierValue(str, {"x", "y"})}, {"join": {"x"}})

    assert (list(cells.live), cells.values) == (["join"], {})


def test_runs_of_one_graph_share_nothing() -> None:
    """The compiled graph's channels stay empty."""
    spec = graph([], {"log": log(), "last": LastValue(int)})
    one, two = Cells(spec), Cells(spec)

    write(one, ("log", [1]), ("last", 1))

    assert [c.values for c in (one, two, Cells(spec))] == [
        {"log": [1], "last": 1},
        {"log": []},
        {"log": []},
    ]


def test_updating_returns_the_channels_that_hold_a_new_value() -> None:
    """A barrier that still waits changed, but has no value."""
    cells = cells_of(
        {"a": LastValue(int), "log": log(), "join": NamedBarrierValue(str, {"x", "y"})}
    )
    touched: list[str] = []

    updated = [write(cells, ("join", "x"), ("a", 1), touched=touched), write(cells, ("join", "y"))]

    assert updated == [["a"], ["join"]]
    assert sorted(touched) == ["a", "join"]


def test_a_write_that_changes_nothing_is_no_update() -> None:
    """Writing a name the barrier has seen does not count."""
    cells = cells_of({"join": NamedBarrierValue(str, {"x", "y"})})
    write(cells, ("join", "x"))
    touched: list[str] = []

    updated = write(cells, ("join", "x"), touched=touched)

    assert (updated, touched) == ([], [])


def test_a_conflict_names_its_channel() -> None:
    """A single-value channel refuses two writes of one superstep."""
    cells = cells_of({"last": LastValue(int)})

    with pytest.raises(InvalidUpdateError, match="At key 'last': Can receive only one value"):
        write(cells, ("last", 1), ("last", 2))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: LastValue(int), [1, 1, 1]),
        (lambda: UntrackedValue(int), [1, 1, 1]),
        (lambda: EphemeralValue(int), [1, None, None]),
        (lambda: AnyValue(int), [1, None, None]),
        (lambda: Topic(int), [[1], None, None]),
        (lambda: Topic(int, accumulate=True), [[1], [1], [1]]),
        (lambda: Refilling(int), [1, -1, -1]),
    ],
)
def test_values_live_as_long_as_their_channel_says(
    make: Callable[[], Any], expected: list[Any]
) -> None:
    """A superstep that does not write a channel may empty it, once."""
    cells = cells_of({"x": make()})

    seen = []
    for writes in ([("x", 1)], [], []):
        write(cells, *writes)
        seen.append(cells.values.get("x"))

    assert seen == expected


def test_values_fade_only_at_the_end_of_a_superstep() -> None:
    """Input and a command's own writes are no superstep."""
    cells = cells_of({"gone": EphemeralValue(int), "a": LastValue(int)})
    write(cells, ("gone", 1))

    write(cells, ("a", 1), is_step=False)

    assert cells.values == {"gone": 1, "a": 1}


def test_a_saved_value_fades_like_a_written_one() -> None:
    """What was loaded lives until the end of the next superstep."""
    cells = cells_of({"gone": EphemeralValue(int), "a": LastValue(int)}, {"gone": 1})
    touched: list[str] = []

    updated = write(cells, ("a", 2), touched=touched)

    assert (updated, sorted(touched), cells.values) == (["a"], ["a", "gone"], {"a": 2})


def test_values_keep_their_order_when_one_comes_as_another_goes() -> None:
    """Declaration order holds although the number of values stays the same."""
    cells = cells_of(
        {"a": EphemeralValue(int), "b": LastValue(int), "c": EphemeralValue(int), "d": Topic(int)}
    )
    write(cells, ("c", 1), ("b", 1), ("d", 1))

    write(cells, ("a", 2), ("d", []))

    assert list(cells.values.items()) == [("a", 2), ("b", 1)]


def test_a_write_can_empty_a_channel_that_is_not_shown() -> None:
    """Emptying what nobody sees moves nothing."""
    cells = cells_of({"t": Topic(int), "a": LastValue(int)}, shown=["a"])
    write(cells, ("t", 1), ("a", 1))

    write(cells, ("t", []))

    assert (cells.get("t"), cells.values) == (None, {"a": 1})


def test_channels_out_of_sight_are_readable_by_name_alone() -> None:
    """They are in no read of the whole state."""
    cells = cells_of({"a": LastValue(int), "b": LastValue(int)}, shown=["b"])

    write(cells, ("a", 1), ("b", 2))

    assert (cells.values, cells.get("a")) == ({"b": 2}, 1)


def test_an_empty_channel_reads_as_the_default() -> None:
    """Whether it was never touched or lost its value."""
    cells = cells_of({"a": LastValue(int), "gone": EphemeralValue(int), "join": Topic(int)})
    write(cells, ("gone", 1))
    write(cells)

    read = [(cells.is_available(n), cells.get(n, "none")) for n in ("a", "gone")]

    assert read == [(False, "none")] * 2


def test_consuming_empties_full_barriers_only() -> None:
    """Channels that were never touched or still wait are left alone."""
    barriers = {name: NamedBarrierValue(str, {"x", "y"}) for name in ("full", "half", "idle")}
    cells = cells_of(barriers)
    write(cells, ("full", "x"), ("full", "y"), ("half", "x"))
    touched: list[str] = []

    cells.consume(["full", "half", "idle"], touched)

    assert (touched, cells.values, list(cells.live)) == (["full"], {}, ["full", "half"])


def test_finishing_shows_what_waits_for_the_end() -> None:
    """In declaration order, once, and only what was written."""
    cells = cells_of(
        {"late": LastValueAfterFinish(int), "a": LastValue(int), "idle": LastValueAfterFinish(int)}
    )
    write(cells, ("a", 1), ("late", 2))
    touched: list[str] = []

    finished = [cells.finish(touched), cells.finish(touched)]

    assert (finished, touched) == ([{"late"}, set()], ["late"])
    assert list(cells.values.items()) == [("late", 2), ("a", 1)]


def test_what_is_behind_others_waits_until_they_have_gone_first() -> None:
    """Only those that are due are waited for, and never written channels are nobody's concern."""
    late = {name: LastValueAfterFinish(int) for name in ("first", "second", "idle", "free")}
    spec = graph([], late)
    behind = {"second": frozenset(("first", "idle")), "first": frozenset(), "idle": frozenset()}
    spec = dataclasses.replace(spec, behind=behind)
    cells = Cells(spec)
    write(cells, ("first", 1), ("second", 2), ("free", 3))

    assert [cells.finish(None), cells.finish(None)] == [{"first", "free"}, {"second"}]


def test_a_preview_shows_one_tasks_writes_and_changes_nothing() -> None:
    """As if the superstep had only these writes: what lives for one superstep is gone."""
    cells = cells_of(
        {
            "log": log(),
            "a": LastValue(int),
            "gone": EphemeralValue(int),
            "late": LastValueAfterFinish(int),
            "hidden": EphemeralValue(int),
        },
        shown=["log", "a", "gone", "late"],
    )
    write(cells, ("log", [1]), ("gone", 1), ("hidden", 1), ("late", 1))
    cells.finish(None)
    before = dict(cells.values)

    seen = cells.preview([("a", 2), ("log", [2]), ("late", 3), ("log", [3]), ("hidden", 9)])

    assert seen == {"log": [1, 2, 3], "a": 2}
    assert cells.values == before
    assert (cells.get("hidden"), "a" in cells.live) == (1, False)


def test_a_preview_reads_channels_that_count_as_false() -> None:
    """A channel of a user's class may have a length of zero."""

    class Sized(LastValue[int]):
        def __len__(self) -> int:
            return 0

        def update(self, values: Sequence[int]) -> bool:
            held = 0 if not self.is_available() else self.get()
            return super().update([held + sum(values)])

    cells = cells_of({"sum": Sized(int)})
    write(cells, ("sum", 1))

    assert cells.preview([("sum", 2)]) == {"sum": 3}


def test_a_checkpoint_stores_the_named_channels_that_have_something_to_save() -> None:
    """Channels that are never saved, and those without a version, are left out."""
    cells = cells_of(
        {"a": LastValue(int), "b": LastValue(int), "u": UntrackedValue(int), "t": Topic(int)}
    )
    write(cells, ("a", 1), ("b", 2), ("u", 3), ("t", 4))

    assert cells.saved_values(["a", "u", "t", "idle"]) == {"a": 1, "t": [4]}


def test_writes_are_applied_in_the_order_of_the_tasks(caplog: pytest.LogCaptureFixture) -> None:
    """Records are no channels; a name that nobody knows is skipped with a warning."""
    spec = graph([node("a"), node("b")], {"log": log(), "last": LastValue(int)})
    machine = new_machine(spec)
    tasks = [Task(machine, one, one.path, one.triggers) for one in spec.nodes.values()]
    tasks[0].writes = [("log", [1]), ("last", 0), ("log", [2]), (NO_WRITES, None)]
    tasks[1].writes = [("log", [3]), ("lost", 1), *((name, None) for name in NOT_CHANNELS)]

    with caplog.at_level(logging.WARNING, logger="millstream.core.cells"):
        updated = machine.cells.end_step(tasks, None)

    assert (updated, machine.cells.values) == ({"log", "last"}, {"log": [1, 2, 3], "last": 0})
    assert caplog.messages == [
        "Task b with path ('__pregel_pull', 'b') wrote to unknown channel lost, ignoring it."
    ]


def test_an_input_to_an_unknown_channel_is_skipped_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The rest of the input counts."""
    cells = cells_of({"a": LastValue(int), TASKS: Topic(Any)})

    with caplog.at_level(logging.WARNING, logger="millstream.core.cells"):
        updated = cells.apply([("lost", 1), ("a", 2), (TASKS, "s")])

    assert (updated, cells.get("a"), cells.get(TASKS)) == ({"a", TASKS}, 2, ["s"])
    assert caplog.messages == ["The input wrote to unknown channel lost, ignoring it."]
