"""Barriers: channels that wait for a set of names."""

from __future__ import annotations

import pickle
from copy import deepcopy
from types import ModuleType
from typing import Any

import langgraph.channels
import langgraph.errors
import pytest

import millstream.channels
import millstream.errors
from millstream.constants import MISSING

KINDS = ["NamedBarrierValue", "NamedBarrierValueAfterFinish"]
BOTH = pytest.mark.parametrize(
    ("channels", "errors"),
    [
        pytest.param(millstream.channels, millstream.errors, id="millstream"),
        pytest.param(langgraph.channels, langgraph.errors, id="langgraph"),
    ],
)


def made(channels: ModuleType, kind: str) -> Any:
    barrier = getattr(channels, kind)(str, {"a", "b"})
    barrier.key = "k"
    return barrier


def told(barrier: Any) -> list[Any]:
    # Snapshots, because the reference goes on writing into the checkpoint it returned.
    again = barrier.from_checkpoint(deepcopy(barrier.checkpoint()))
    return [
        barrier.is_available(),
        deepcopy(barrier.checkpoint()),
        barrier.copy().is_available(),
        again.is_available(),
        again.checkpoint(),
    ]


def story(barrier: Any, events: list[Any]) -> list[Any]:
    lines: list[Any] = []
    for event in events:
        act = barrier.update if isinstance(event, list) else getattr(barrier, event)
        lines.append(act(event) if isinstance(event, list) else act())
        lines.append(told(barrier))
    return lines


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "events",
    [
        ["consume", "finish"],
        [[], ["a"], [], ["a"], ["b"], "consume", ["a"]],
        [["a", "b"], ["a"], "finish", "finish", "consume", "consume"],
        [["a"], "finish", ["b"], "consume", "finish", ["a"], "consume"],
    ],
)
def test_every_event_does_what_the_reference_does(kind: str, events: list[Any]) -> None:
    actual = story(made(millstream.channels, kind), events)
    expected = story(made(langgraph.channels, kind), events)

    assert actual == expected


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_a_foreign_name_is_an_error(channels: ModuleType, errors: ModuleType, kind: str) -> None:
    barrier = getattr(channels, kind)(str, {"a"})
    barrier.key = "k"

    with pytest.raises(errors.InvalidUpdateError, match=r"^At key 'k': Value z not in \{'a'\}$"):
        barrier.update(["z"])


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_equality_looks_at_the_names(channels: ModuleType, errors: ModuleType, kind: str) -> None:
    barrier = getattr(channels, kind)

    assert barrier(str, {"a"}) == barrier(int, {"a"})
    assert barrier(str, {"a"}) != barrier(str, {"b"})


@pytest.mark.parametrize("kind", KINDS)
def test_the_value_is_none_once_available(kind: str) -> None:
    barrier = made(millstream.channels, kind)
    seen = [barrier.value]
    barrier.update(["a", "b"])
    barrier.finish()

    assert [*seen, barrier.value, barrier.get()] == [MISSING, None, None]


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_types_are_those_that_were_given(
    channels: ModuleType, errors: ModuleType, kind: str
) -> None:
    barrier = made(channels, kind)

    assert (barrier.ValueType, barrier.UpdateType) == (str, str)


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_a_barrier_of_a_thread_that_never_saved_it_has_seen_nothing(
    channels: ModuleType, errors: ModuleType, kind: str
) -> None:
    barrier = made(channels, kind)
    barrier.update(["a", "b"])
    barrier.finish()

    fresh = barrier.from_checkpoint(channels.base.MISSING)

    assert (fresh.key, fresh.seen, fresh.is_available()) == ("k", set(), False)


def test_a_deferred_barrier_knows_whether_the_end_was_reached() -> None:
    barrier = made(millstream.channels, "NamedBarrierValueAfterFinish")
    seen = [barrier.finished]
    barrier.update(["a", "b"])
    seen.append(barrier.finished)
    barrier.finish()

    assert [*seen, barrier.finished] == [False, False, True]


@pytest.mark.parametrize("kind", KINDS)
def test_reading_a_waiting_barrier_raises(kind: str) -> None:
    with pytest.raises(millstream.errors.EmptyChannelError):
        made(millstream.channels, kind).get()


@pytest.mark.parametrize("kind", KINDS)
def test_copies_and_checkpoints_do_not_follow_the_original(kind: str) -> None:
    barrier = made(millstream.channels, kind)
    barrier.update(["a"])
    twin, saved = barrier.copy(), barrier.checkpoint()

    barrier.update(["b"])
    barrier.finish()

    assert twin.seen == {"a"}
    assert saved in ({"a"}, ({"a"}, False))
    assert not barrier.from_checkpoint(saved).is_available()


@pytest.mark.parametrize("kind", KINDS)
def test_barriers_are_slotted_and_pickle(kind: str) -> None:
    barrier = made(millstream.channels, kind)
    barrier.update(["a"])

    twin = pickle.loads(pickle.dumps(barrier))

    assert not hasattr(barrier, "__dict__")
    assert (twin == barrier, twin.key, twin.checkpoint()) == (True, "k", barrier.checkpoint())
