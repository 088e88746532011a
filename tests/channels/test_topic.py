"""Topic: a channel that collects writes."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Union

import langgraph.channels
import pytest

import millstream.channels
from millstream.channels import Topic
from millstream.constants import MISSING
from millstream.errors import EmptyChannelError

BOTH = pytest.mark.parametrize(
    "channels", [millstream.channels, langgraph.channels], ids=["millstream", "langgraph"]
)


def story(topic: Any, updates: list[list[Any]]) -> list[Any]:
    told: list[Any] = []
    for update in updates:
        told += [topic.update(update), list(topic.checkpoint()), topic.is_available()]
    told += [topic.copy().checkpoint(), topic.from_checkpoint(topic.checkpoint()).checkpoint()]
    return told


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize(
    "updates",
    [
        [],
        [[]],
        [[1], []],
        [[1, [2, 3], (4, 5)], [[6, [7]], []]],
        [[1], [[]], [[]]],
        [[[]], [1], [1, 1]],
    ],
)
def test_every_update_does_what_the_reference_does(
    accumulate: bool, updates: list[list[Any]]
) -> None:
    actual = story(millstream.channels.Topic(int, accumulate), updates)
    expected = story(langgraph.channels.Topic(int, accumulate), updates)

    assert actual == expected


@BOTH
def test_equality_looks_at_accumulate_only(channels: ModuleType) -> None:
    assert channels.Topic(int) == channels.Topic(str)
    assert channels.Topic(int, True) != channels.Topic(int)


@BOTH
def test_old_checkpoints_hold_a_pair(channels: ModuleType) -> None:
    topic = channels.Topic(int, True).from_checkpoint(([1], [2, 3]))

    assert topic.get() == [2, 3]


@BOTH
def test_types_are_a_sequence_of_items_and_items_or_lists(channels: ModuleType) -> None:
    topic = channels.Topic(int)

    assert topic.ValueType == Sequence[int]
    assert topic.UpdateType == Union[int, list[int]]


@pytest.mark.parametrize("accumulate", [False, True])
def test_no_update_reaches_into_a_copy_a_checkpoint_or_a_written_list(accumulate: bool) -> None:
    written = [1]
    topic = Topic[int](int, accumulate)
    topic.update([written])
    twin, saved, read = topic.copy(), topic.checkpoint(), topic.get()

    topic.update([2])

    assert (twin.get(), saved, read, written) == ([1], [1], [1], [1])


def test_a_topic_of_a_thread_that_never_saved_it_is_empty() -> None:
    topic = Topic(int)
    topic.key = "k"
    topic.update([1])

    fresh = topic.from_checkpoint(MISSING)

    assert (fresh.key, fresh.is_available()) == ("k", False)


def test_an_empty_topic_cannot_be_read() -> None:
    topic = Topic[int](int)

    assert topic.value is MISSING
    assert topic.values == []
    with pytest.raises(EmptyChannelError):
        topic.get()


def test_changing_what_get_returned_does_not_change_the_topic() -> None:
    topic = Topic[int](int)
    topic.update([1])

    read = topic.get()
    assert isinstance(read, list)
    read.append(2)

    assert topic.get() == [1]


def test_a_topic_pickles() -> None:
    topic = Topic[int](int, True)
    topic.update([1])

    twin = pickle.loads(pickle.dumps(topic))

    assert (twin == topic, twin.get()) == (True, [1])


def test_the_type_of_a_write_may_be_the_name_of_a_class() -> None:
    assert Topic[Any]("int").UpdateType == Union["int", list["int"]]
