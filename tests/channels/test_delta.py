"""DeltaChannel: a channel that is stored as what was written to it."""

from __future__ import annotations

import collections.abc
import operator
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Annotated, Any

import langgraph.channels
import langgraph.types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.checkpoint.serde.types import _DeltaSnapshot

import millstream.channels
import millstream.types
from millstream.channels import BinaryOperatorAggregate, DeltaChannel
from millstream.channels.delta import replaces_value
from millstream.constants import MISSING
from millstream.errors import EmptyChannelError, InvalidUpdateError
from millstream.types import Overwrite

BOTH = pytest.mark.parametrize(
    ("channels", "types"),
    [
        pytest.param(millstream.channels, millstream.types, id="millstream"),
        pytest.param(langgraph.channels, langgraph.types, id="langgraph"),
    ],
)


def extend(value: Sequence[Any], writes: Sequence[Any]) -> list[Any]:
    """Return the list with all that was written, in order."""
    return [*value, *(item for write in writes for item in write)]


def channel(*updates: Sequence[Any], **options: Any) -> DeltaChannel[list[Any]]:
    """Return a channel that was loaded empty and then updated."""
    made = DeltaChannel[list[Any]](extend, **options).from_checkpoint(MISSING)
    for writes in updates:
        made.update(writes)
    return made


def stored(*writes: Any) -> list[tuple[str, str, Any]]:
    """Return writes as a saver hands them out."""
    return [(f"task {index}", "log", write) for index, write in enumerate(writes)]


@BOTH
@pytest.mark.parametrize(
    ("typ", "first"),
    [
        (None, []),
        (list, []),
        (list[int], []),
        (collections.abc.Sequence, []),
        (collections.abc.Mapping, {}),
        (Annotated[dict, 1], {}),
        (tuple, ()),
        (int, 0),
    ],
)
def test_the_first_value_is_that_of_the_reference(
    channels: ModuleType, types: ModuleType, typ: Any, first: Any
) -> None:
    """A class without arguments, or a concrete one for an abstract collection."""
    writes: list[Any] = []
    made = channels.DeltaChannel(lambda value, new: writes.append(value) or "new", typ)

    was_available = made.is_available()
    made.update([1])

    assert (was_available, writes, made.get()) == (False, [first], "new")


@BOTH
def test_the_writes_of_a_superstep_are_reduced_at_once(
    channels: ModuleType, types: ModuleType
) -> None:
    """The reducer is called once, with a list; without writes, not at all."""
    calls: list[Any] = []

    def reducer(value: list[Any], writes: Sequence[Any]) -> list[Any]:
        calls.append((list(value), writes))
        return extend(value, writes)

    made = channels.DeltaChannel(reducer)
    changed = [made.update([]), made.update(([1], [2])), made.update([[3]])]

    assert changed == [False, True, True]
    assert calls == [([], [[1], [2]]), ([1, 2], [[3]])]
    assert (made.get(), made.is_available()) == ([1, 2, 3], True)


@BOTH
@pytest.mark.parametrize(
    "form",
    [
        lambda types, value: types.Overwrite(value),
        lambda types, value: {"__overwrite__": value},
        lambda types, value: {"type": "__overwrite__", "value": value},
    ],
    ids=["object", "short", "long"],
)
def test_an_overwrite_beats_all_other_writes(
    channels: ModuleType, types: ModuleType, form: Callable[[ModuleType, Any], Any]
) -> None:
    """Whatever their order; None starts anew."""
    made = channels.DeltaChannel(extend)

    made.update([[1], form(types, [9]), [2]])
    replaced = made.get()
    made.update([form(types, None)])

    assert (replaced, made.get()) == ([9], [])


@BOTH
def test_two_overwrites_are_refused(channels: ModuleType, types: ModuleType) -> None:
    """Nobody could say which of them counts; the value stays as it was."""
    made = channels.DeltaChannel(extend)
    made.update([[1]])

    with pytest.raises(Exception, match="only one Overwrite value per super-step") as caught:
        made.update([types.Overwrite([2]), types.Overwrite([3])])

    assert type(caught.value).__name__ == "InvalidUpdateError"
    assert made.get() == [1]


def test_two_overwrites_raise_the_error_of_concurrent_updates() -> None:
    """It is the one that a reducer raises."""
    with pytest.raises(InvalidUpdateError):
        channel([Overwrite([2]), Overwrite([3])])


@BOTH
def test_the_value_is_not_what_is_stored(channels: ModuleType, types: ModuleType) -> None:
    """Only the engine stores the whole value, as a snapshot."""
    made = channels.DeltaChannel(extend)
    made.update([[1]])

    again = made.from_checkpoint(made.checkpoint())

    assert again.get() == []


@BOTH
@pytest.mark.parametrize("saved", [_DeltaSnapshot([7]), [7]], ids=["snapshot", "bare"])
def test_a_channel_goes_on_from_what_is_stored(
    channels: ModuleType, types: ModuleType, saved: Any
) -> None:
    """A bare value was left by another kind of channel."""
    made = channels.DeltaChannel(extend).from_checkpoint(saved)
    made.replay_writes(stored([8], [9]))

    assert made.get() == [7, 8, 9]


@BOTH
def test_replayed_writes_start_at_the_last_overwrite(
    channels: ModuleType, types: ModuleType
) -> None:
    """In a history there may be any number of them."""
    over = types.Overwrite
    made = channels.DeltaChannel(extend).from_checkpoint(_DeltaSnapshot([0]))

    made.replay_writes(stored([1], over([2]), [3], over([4]), [5], [6]))
    values = [made.get()]
    made.replay_writes(stored(over([7])))
    values.append(made.get())
    made.replay_writes([])
    values.append(made.get())

    assert values == [[4, 5, 6], [7], [7]]


@BOTH
def test_a_copy_is_independent(channels: ModuleType, types: ModuleType) -> None:
    """A reducer that changes its argument does not reach the original."""
    made = channels.DeltaChannel(lambda value, writes: value.extend(writes) or value)
    made.key = "log"
    made.update([1])

    twin = made.copy()
    twin.update([2])
    empty = channels.DeltaChannel(extend).copy()

    assert (made.get(), twin.get(), twin.key) == ([1], [1, 2], "log")
    assert not empty.is_available()


@BOTH
def test_a_value_given_as_overwrite_stays_the_givers(
    channels: ModuleType, types: ModuleType
) -> None:
    """It is copied, so that a reducer may change its argument."""
    mine = [1]
    made = channels.DeltaChannel(lambda value, writes: value.extend(writes) or value)

    made.update([types.Overwrite(mine)])
    made.update([2])

    assert (mine, made.get()) == ([1], [1, 2])


@BOTH
def test_channels_are_compared_by_reducer_and_frequency(
    channels: ModuleType, types: ModuleType
) -> None:
    """Lambdas are all the same, as with reducers."""
    delta = channels.DeltaChannel
    made = delta(extend)

    assert made == delta(extend, dict)
    assert made == delta(lambda value, writes: value)
    assert made != delta(extend, snapshot_frequency=3)
    assert made != delta(operator.add)
    assert made != channels.BinaryOperatorAggregate(list, extend)


@BOTH
@pytest.mark.parametrize("frequency", [0, -1])
def test_a_frequency_is_positive(channels: ModuleType, types: ModuleType, frequency: int) -> None:
    """Anything else has no meaning."""
    with pytest.raises(ValueError, match=f"must be a positive int, got {frequency}$"):
        channels.DeltaChannel(extend, snapshot_frequency=frequency)


@BOTH
def test_an_empty_channel_has_no_value(channels: ModuleType, types: ModuleType) -> None:
    """It gets one when it is loaded or written."""
    made = channels.DeltaChannel(extend)

    with pytest.raises(Exception) as caught:
        made.get()

    assert type(caught.value).__name__ == EmptyChannelError.__name__
    assert (made.ValueType, made.UpdateType, made.snapshot_frequency) == (list, list, 100)


def test_a_subclass_is_not_constructed_again() -> None:
    """It may want other arguments."""

    class Log(DeltaChannel[list[Any]]):
        def __init__(self) -> None:
            super().__init__(extend, snapshot_frequency=7)

    twin = Log().from_checkpoint(_DeltaSnapshot([1])).copy()

    assert (type(twin), twin.get(), twin.snapshot_frequency) == (Log, [1], 7)


def test_a_typed_twin_is_empty() -> None:
    """The type of an annotation counts, not that of the channel in it."""
    twin = channel([[1]]).typed(dict[str, int])

    assert (twin.typ, twin.is_available()) == (dict, False)


@pytest.mark.parametrize(
    ("factory", "has_start"),
    [(lambda: [1], True), (tuple, True), (list, False), (int.bit_length, False)],
    ids=["other", "other class", "the first value", "cannot be made"],
)
def test_only_another_value_than_the_first_is_a_start(factory: Any, has_start: bool) -> None:
    twin = channel([[1]]).starting_with(factory)

    assert (twin.has_start, twin.is_available()) == (has_start, False)
    assert channel().has_start is False


@pytest.mark.parametrize(
    ("write", "is_replacing"),
    [
        (Overwrite([1]), True),
        ({"__overwrite__": [1]}, True),
        ({"type": "__overwrite__", "value": [1]}, True),
        ({"__overwrite__": [1], "more": 1}, False),
        ([1], False),
    ],
    ids=repr,
)
def test_an_overwrite_is_known_in_each_of_its_forms(write: Any, is_replacing: bool) -> None:
    assert replaces_value(write) is is_replacing


def test_a_plain_reducer_goes_on_from_a_snapshot() -> None:
    """The way back is open as well."""
    plain = BinaryOperatorAggregate(list, operator.add)

    assert plain.from_checkpoint(_DeltaSnapshot([1])).get() == [1]


@given(st.lists(st.lists(st.lists(st.integers(), max_size=3), min_size=1, max_size=3)))
def test_replaying_gives_what_the_supersteps_gave(supersteps: list[list[list[int]]]) -> None:
    """Wherever the replay starts from."""
    live = channel()
    values = [live.get()]
    for writes in supersteps:
        live.update(writes)
        values.append(live.get())

    for start, value in enumerate(values):
        rebuilt = channel().from_checkpoint(_DeltaSnapshot(value))
        rebuilt.replay_writes(stored(*(w for writes in supersteps[start:] for w in writes)))
        assert rebuilt.get() == live.get()
