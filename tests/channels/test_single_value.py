"""Channels that hold one value: LastValue, AnyValue, EphemeralValue, UntrackedValue."""

from __future__ import annotations

import pickle
from types import ModuleType
from typing import Any

import langgraph.channels
import langgraph.errors
import pytest

import millstream.channels
import millstream.errors
from millstream.channels import (
    AnyValue,
    BaseChannel,
    EphemeralValue,
    LastValue,
    LastValueAfterFinish,
    UntrackedValue,
)
from millstream.constants import MISSING
from millstream.errors import EmptyChannelError, InvalidUpdateError

BOTH = pytest.mark.parametrize(
    ("channels", "errors"),
    [
        pytest.param(millstream.channels, millstream.errors, id="millstream"),
        pytest.param(langgraph.channels, langgraph.errors, id="langgraph"),
    ],
)

SINGLE: list[tuple[str, tuple[Any, ...]]] = [
    ("LastValue", ()),
    ("LastValueAfterFinish", ()),
    ("AnyValue", ()),
    ("EphemeralValue", (True,)),
    ("EphemeralValue", (False,)),
    ("UntrackedValue", (True,)),
    ("UntrackedValue", (False,)),
]


def made(channels: ModuleType, name: str, options: tuple[Any, ...] = ()) -> Any:
    channel = getattr(channels, name)(int, *options)
    channel.key = "k"
    return channel


def shown(channel: Any) -> Any:
    return channel.get() if channel.is_available() else "empty"


def story(channel: Any, updates: list[list[int]]) -> list[Any]:
    """Apply the updates one by one; tell what each changed, or the error, and the value."""
    told: list[Any] = []
    for update in updates:
        try:
            told.append(channel.update(update))
        except Exception as error:
            told.append((type(error).__name__, str(error)))
        told.append(shown(channel))
    told += [channel.finish(), shown(channel), channel.finish()]
    told += [shown(channel.copy()), shown(channel.from_checkpoint(channel.checkpoint()))]
    told += [channel.consume(), shown(channel), channel.consume()]
    return told


@pytest.mark.parametrize(("name", "options"), SINGLE)
@pytest.mark.parametrize(
    "updates",
    [
        [],
        [[]],
        [[1]],
        [[1], []],
        [[1], [], []],
        [[1], [2], [3, 4], [5]],
        [[1, 2]],
        [[], [1], [1, 1], []],
    ],
)
def test_every_update_does_what_the_reference_does(
    name: str, options: tuple[Any, ...], updates: list[list[int]]
) -> None:
    actual = story(made(millstream.channels, name, options), updates)
    expected = story(made(langgraph.channels, name, options), updates)

    assert actual == expected


@BOTH
def test_two_writes_to_a_last_value_are_an_error_that_names_the_key(
    channels: ModuleType, errors: ModuleType
) -> None:
    with pytest.raises(errors.InvalidUpdateError) as caught:
        made(channels, "LastValue").update([1, 2])

    assert str(caught.value) == (
        "At key 'k': Can receive only one value per step. Use an Annotated key to handle multiple"
        " values.\nFor troubleshooting, visit: https://docs.langchain.com/oss/python/langgraph/"
        "errors/INVALID_CONCURRENT_GRAPH_UPDATE"
    )


@BOTH
@pytest.mark.parametrize("name", ["EphemeralValue", "UntrackedValue"])
def test_two_writes_to_a_guarded_channel_are_an_error_that_says_how_to_allow_them(
    channels: ModuleType, errors: ModuleType, name: str
) -> None:
    with pytest.raises(errors.InvalidUpdateError) as caught:
        made(channels, name).update([1, 2])

    assert str(caught.value) == (
        f"At key 'k': {name}(guard=True) can receive only one value per step. "
        "Use guard=False if you want to store any one of multiple values."
    )


@BOTH
def test_equality_looks_at_kind_and_guard_only(channels: ModuleType, errors: ModuleType) -> None:
    c = channels

    assert c.LastValue(int) == c.LastValue(str)
    assert c.AnyValue(int) == c.AnyValue(str)
    assert c.LastValue(int) != c.LastValueAfterFinish(int)
    assert c.EphemeralValue(int) == c.EphemeralValue(str)
    assert c.EphemeralValue(int) != c.EphemeralValue(int, False)
    assert c.UntrackedValue(int) != c.UntrackedValue(int, False)


@pytest.mark.parametrize(("name", "options"), SINGLE)
def test_reading_an_empty_channel_raises(name: str, options: tuple[Any, ...]) -> None:
    channel = made(millstream.channels, name, options)

    with pytest.raises(EmptyChannelError):
        channel.get()


@pytest.mark.parametrize(("name", "options"), SINGLE)
def test_a_channel_of_a_thread_that_never_saved_it_is_empty(
    name: str, options: tuple[Any, ...]
) -> None:
    channel = made(millstream.channels, name, options)
    channel.update([1])
    channel.finish()

    assert not channel.from_checkpoint(MISSING).is_available()


@pytest.mark.parametrize(("name", "options"), SINGLE)
def test_types_are_those_of_the_reference(name: str, options: tuple[Any, ...]) -> None:
    types = [
        (channel.ValueType, channel.UpdateType)
        for channel in (
            made(millstream.channels, name, options),
            made(langgraph.channels, name, options),
        )
    ]

    assert types == [(int, int), (int, int)]


@pytest.mark.parametrize(("name", "options"), SINGLE)
def test_value_is_what_get_returns(name: str, options: tuple[Any, ...]) -> None:
    channel = made(millstream.channels, name, options)
    seen = [channel.value]

    channel.update([7])
    channel.finish()
    seen += [channel.value, channel.get()]

    assert seen == [MISSING, 7, 7]


@pytest.mark.parametrize(("name", "options"), SINGLE)
def test_channels_are_slotted_and_pickle(name: str, options: tuple[Any, ...]) -> None:
    channel = made(millstream.channels, name, options)

    twin = pickle.loads(pickle.dumps(channel))

    assert not hasattr(channel, "__dict__")
    assert twin == channel
    assert (twin.key, twin.value) == ("k", MISSING)


@pytest.mark.parametrize(("name", "options"), SINGLE)
def test_a_copy_does_not_follow_the_original(name: str, options: tuple[Any, ...]) -> None:
    channel = made(millstream.channels, name, options)
    channel.update([1])
    twin = channel.copy()

    channel.update([2])
    channel.finish()
    twin.finish()

    assert (channel.get(), twin.get(), twin.key) == (2, 1, "k")


@pytest.mark.parametrize("kind", [LastValue, LastValueAfterFinish, AnyValue])
def test_a_subclass_copies_to_itself(kind: type[BaseChannel[Any, Any, Any]]) -> None:
    special = type("Special", (kind,), {"__slots__": ()})

    twin = special(int, "k").copy()

    assert type(twin) is special
    assert twin.key == "k"


def test_transient_channels_are_those_that_an_empty_superstep_changes() -> None:
    for kind in (LastValue, LastValueAfterFinish, AnyValue, EphemeralValue, UntrackedValue):
        channel = kind(int)
        channel.update([1])

        assert channel.update([]) <= channel.is_transient


def test_a_channel_of_a_user_needs_only_the_abstract_part() -> None:
    class Maximum(BaseChannel[int, int, int]):
        __slots__ = ("best",)

        def __init__(self, typ: Any, key: str = "") -> None:
            super().__init__(typ, key)
            self.best: int | None = None

        @property
        def ValueType(self) -> Any:
            return int

        @property
        def UpdateType(self) -> Any:
            return int

        def from_checkpoint(self, checkpoint: Any) -> Maximum:
            twin = Maximum(self.typ, self.key)
            twin.best = None if checkpoint is MISSING else checkpoint
            return twin

        def get(self) -> int:
            if self.best is None:
                raise EmptyChannelError()
            return self.best

        def update(self, values: Any) -> bool:
            if not values:
                return False
            self.best = max(values)
            return True

    channel = Maximum(int, "k")
    before = (channel.is_available(), channel.checkpoint(), channel.copy().is_available())
    channel.update([3, 9])

    assert before == (False, MISSING, False)
    assert (channel.is_available(), channel.checkpoint(), channel.copy().get()) == (True, 9, 9)
    assert (channel.consume(), channel.finish(), channel.is_transient) == (False, False, True)


def test_whether_the_end_was_reached_is_saved_with_a_deferred_value() -> None:
    channel = LastValueAfterFinish(int, "k")
    channel.update([1])
    seen = [channel.finished]

    channel.finish()
    seen += [channel.finished, channel.from_checkpoint(channel.checkpoint()).finished]
    channel.update([2])
    seen += [channel.finished, channel.from_checkpoint(channel.checkpoint()).finished]

    assert seen == [False, True, True, False, False]


def test_an_untracked_value_survives_a_copy_but_not_a_checkpoint() -> None:
    channel = UntrackedValue(int)
    channel.update([1])

    assert channel.checkpoint() is MISSING
    assert channel.copy().get() == 1
    assert not channel.from_checkpoint(1).is_available()


def test_a_failed_update_leaves_the_value() -> None:
    channel = LastValue(int)
    channel.update([1])

    with pytest.raises(InvalidUpdateError):
        channel.update([2, 3])

    assert channel.get() == 1
