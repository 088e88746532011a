"""BinaryOperatorAggregate: a channel that reduces its writes."""

from __future__ import annotations

import collections
import collections.abc as abc
import operator
import pickle
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Annotated, Any, Literal, NewType, TypedDict

import langgraph.channels
import langgraph.types
import pytest
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from pydantic import BaseModel
from typing_extensions import NotRequired, Required

import millstream.channels
import millstream.types
from millstream.channels import BinaryOperatorAggregate
from millstream.channels.binop import OptionalAggregate
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


class Defaulted(BaseModel):
    a: int = 0


class Demanding(BaseModel):
    a: int


@dataclass
class Record:
    a: int


class Keys(TypedDict):
    a: int


Named = NewType("Named", int)

ANNOTATIONS: list[Any] = [
    int,
    str,
    tuple,
    frozenset,
    list[int],
    typing.List[int],  # noqa: UP006  # users still write it
    dict[str, int],
    set[int],
    collections.deque,
    collections.Counter[str],
    abc.Sequence,
    abc.Sequence[int],
    typing.Sequence,
    abc.MutableSequence[int],
    abc.Set,
    abc.MutableSet[int],
    abc.Mapping[str, int],
    typing.MutableMapping,
    abc.Collection[int],
    abc.Iterable[int],
    abc.Callable,
    Annotated[list[int], operator.add],
    Required[int],
    NotRequired[list[int]],
    Required[Annotated[list[int], 1]],
    Annotated[NotRequired[abc.Sequence[int]], 2],
    int | None,
    typing.Union[int, str],
    typing.Any,
    None,
    type(None),
    Literal["a"],
    "int",
    Named,
    Defaulted,
    Demanding,
    Record,
    Keys,
    [int],
]


def second(left: Any, right: Any) -> Any:
    return right


@pytest.mark.parametrize("typ", ANNOTATIONS, ids=repr)
def test_the_first_value_is_that_of_the_reference(typ: Any) -> None:
    actual = millstream.channels.BinaryOperatorAggregate(typ, second)
    expected = langgraph.channels.BinaryOperatorAggregate(typ, second)

    assert actual.is_available() == expected.is_available()
    assert (actual.ValueType, actual.UpdateType) == (expected.ValueType, expected.UpdateType)
    if actual.is_available():
        assert actual.get() == expected.get()
        assert type(actual.get()) is type(expected.get())


@BOTH
def test_writes_are_folded_in_order(channels: ModuleType, types: ModuleType) -> None:
    channel = channels.BinaryOperatorAggregate(list, operator.add)

    changed = [channel.update(writes) for writes in ([[1]], [], [[2], [3]])]

    assert (changed, channel.get()) == ([True, False, True], [1, 2, 3])


@BOTH
def test_without_a_first_value_the_first_write_is_taken_as_it_is(
    channels: ModuleType, types: ModuleType
) -> None:
    channel = channels.BinaryOperatorAggregate(Record, lambda left, right: (left, right))
    channel.update([1, 2, 3])

    assert channel.get() == ((1, 2), 3)


@BOTH
@pytest.mark.parametrize(
    "wrap",
    [
        lambda types, value: types.Overwrite(value),
        lambda types, value: {"__overwrite__": value},
        lambda types, value: {"type": "__overwrite__", "value": value},
        lambda types, value: {"type": "__overwrite__", "value": value, "more": 1},
    ],
    ids=["object", "short dict", "long dict", "long dict with more"],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_overwrite_beats_the_other_writes_wherever_it_stands(
    channels: ModuleType, types: ModuleType, wrap: Callable[..., Any], place: int
) -> None:
    channel = channels.BinaryOperatorAggregate(list, operator.add)
    writes: list[Any] = [[1], [2]]
    writes.insert(place, wrap(types, [9]))

    assert (channel.update(writes), channel.get()) == (True, [9])


@BOTH
@pytest.mark.parametrize(
    "write",
    [{"__overwrite__": 1, "b": 2}, {"type": "__overwrite__"}, {"type": "other", "value": 1}, {}],
    ids=repr,
)
def test_dicts_that_only_resemble_an_overwrite_are_reduced(
    channels: ModuleType, types: ModuleType, write: dict[str, Any]
) -> None:
    channel = channels.BinaryOperatorAggregate(dict, lambda left, right: {**left, "got": right})
    channel.update([write])

    assert channel.get() == {"got": write}


def test_two_overwrites_are_an_error_with_the_text_of_the_reference() -> None:
    texts = []
    for channels, types in (
        (millstream.channels, millstream.types),
        (langgraph.channels, langgraph.types),
    ):
        channel: Any = channels.BinaryOperatorAggregate(list, operator.add)
        with pytest.raises(Exception, match="only one Overwrite") as caught:
            channel.update([types.Overwrite([1]), types.Overwrite([2])])
        texts.append((type(caught.value).__name__, str(caught.value)))

    assert texts[0] == texts[1]


def test_an_overwrite_of_an_unset_key_is_unwrapped() -> None:
    channel = BinaryOperatorAggregate[Any](Record, operator.add)

    first = (channel.update([Overwrite(4), 3]), channel.get())
    then = (channel.update([3]), channel.get())

    assert (first, then) == ((True, 4), (True, 7))


def test_a_failed_update_leaves_the_value() -> None:
    channel = BinaryOperatorAggregate[Any](list, operator.add)
    channel.update([[1]])

    with pytest.raises(InvalidUpdateError):
        channel.update([Overwrite([2]), Overwrite([3])])
    with pytest.raises(TypeError):
        channel.update([[2], 3])

    assert channel.get() == [1]


def one(left: Any, right: Any) -> Any:
    return left


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (one, one),
        (one, second),
        (operator.add, operator.add),
        (lambda a, b: a, lambda a, b: b),
        (lambda a, b: a, one),
        (one, lambda a, b: a),
    ],
)
def test_channels_are_equal_when_their_reducers_are(left: Any, right: Any) -> None:
    equal = [
        kind(int, left) == kind(str, right)
        for kind in (
            millstream.channels.BinaryOperatorAggregate,
            langgraph.channels.BinaryOperatorAggregate,
        )
    ]

    assert equal[0] == equal[1]


def test_reducers_without_a_name_are_compared_by_identity() -> None:
    reducer = partial(one)

    assert BinaryOperatorAggregate(int, reducer) == BinaryOperatorAggregate(int, reducer)
    assert BinaryOperatorAggregate(int, reducer) != BinaryOperatorAggregate(int, partial(one))


def test_a_channel_without_a_value_cannot_be_read() -> None:
    channel = BinaryOperatorAggregate[Any](Record, one)

    assert (channel.value, channel.checkpoint()) == (MISSING, MISSING)
    with pytest.raises(EmptyChannelError):
        channel.get()


def test_copies_and_restored_channels_stand_alone() -> None:
    channel = BinaryOperatorAggregate[Any](list, operator.add)
    channel.key = "k"
    channel.update([[1]])
    twin, restored = channel.copy(), channel.from_checkpoint([7])
    fresh = channel.from_checkpoint(MISSING)

    channel.update([[2]])

    assert [c.get() for c in (channel, twin, restored, fresh)] == [[1, 2], [1], [7], []]
    assert {c.key for c in (twin, restored, fresh)} == {"k"}
    assert fresh.get() is not channel.from_checkpoint(MISSING).get()


@BOTH
def test_a_snapshot_of_a_delta_channel_is_unpacked(channels: ModuleType, types: ModuleType) -> None:
    channel = channels.BinaryOperatorAggregate(list, operator.add)

    assert channel.from_checkpoint(_DeltaSnapshot([1, 2])).get() == [1, 2]


class Unsure:
    """Says of nothing that it is equal, as arrays do."""

    def __eq__(self, other: object) -> Any:
        raise ValueError("ambiguous")


def starting_with(value: Any) -> BinaryOperatorAggregate[Any]:
    return BinaryOperatorAggregate[Any](list, operator.add).starting_with(value)


def test_a_channel_starts_with_what_its_field_starts_with() -> None:
    channel = starting_with(lambda: [1])
    channel.key = "k"
    channel.update([[2]])

    fresh = channel.from_checkpoint(MISSING)

    assert (channel.has_start, channel.get()) == (True, [1, 2])
    assert (fresh.has_start, fresh.get(), fresh.key) == (True, [1], "k")


@pytest.mark.parametrize(
    "factory", [list, lambda: [], int.bit_length], ids=["class", "value", "none"]
)
def test_a_start_that_is_the_first_value_or_cannot_be_made_is_none(factory: Any) -> None:
    channel = starting_with(factory)

    assert (channel.has_start, channel.get()) == (False, [])


@pytest.mark.parametrize("factory", [tuple, Unsure], ids=["tuple", "unsure"])
def test_a_start_of_another_class_or_of_unknown_equality_is_one(factory: Any) -> None:
    assert starting_with(factory).has_start
    assert BinaryOperatorAggregate[Any](Unsure, one).starting_with(Unsure).has_start is False


@pytest.mark.parametrize(
    ("typ", "write", "begun"),
    [
        (list, [1], [1]),
        (list, MISSING, [0]),
        (int, 5, 5),
        (int, MISSING, [0]),
    ],
)
def test_a_thread_begins_with_its_input_or_else_with_the_start(
    typ: Any, write: Any, begun: Any
) -> None:
    channel = BinaryOperatorAggregate[Any](typ, operator.add).starting_with(lambda: [0])

    assert channel.begun_with(write) == begun


def test_a_reducer_of_collections_may_change_the_input_and_others_may_not() -> None:
    def doubled(left: Any, right: Any) -> Any:
        return left + right * 2

    assert BinaryOperatorAggregate[Any](list, doubled).begun_with([1]) == [1, 1]
    assert BinaryOperatorAggregate[Any](int, doubled).begun_with(1) == 1


@pytest.mark.parametrize(
    ("typ", "supersteps", "value"),
    [
        (list[int] | None, [[[1]], [[2]]], [1, 2]),
        (list[int] | None, [[[1]], [None]], None),
        (list[int] | None, [[[1], None, [2]]], [2]),
        (list[int] | None, [[[1]], []], [1]),
        (list[int] | None, [[[1]], [Overwrite([7]), [2]]], [7]),
        (Record | None, [["first"]], "first"),
        (Record | None, [["first"], ["second"]], "firstsecond"),
    ],
)
def test_none_takes_an_optional_value_away_and_writes_begin_anew(
    typ: Any, supersteps: list[list[Any]], value: Any
) -> None:
    channel = OptionalAggregate(typ, operator.add)

    for writes in supersteps:
        assert channel.update(writes) == bool(writes)

    assert channel.get() == value


def test_an_optional_value_that_nobody_wrote_is_not_there() -> None:
    channel = OptionalAggregate(list[int] | None, operator.add)

    assert not channel.is_available()
    assert not channel.from_checkpoint(MISSING).is_available()


def test_a_subclass_copies_to_itself() -> None:
    class Sum(BinaryOperatorAggregate[int]):
        __slots__ = ()

    channel = Sum(int, operator.add)
    channel.update([2])

    twin = channel.copy()

    assert (type(twin), twin.get()) == (Sum, 2)


def test_a_channel_pickles() -> None:
    channel = BinaryOperatorAggregate[Any](list, operator.add)
    channel.update([[1]])

    twin = pickle.loads(pickle.dumps(channel))

    assert (twin == channel, twin.get(), hasattr(channel, "__dict__")) == (True, [1], False)
