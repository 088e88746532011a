"""What is copied instead of read is what would have been read."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from pydantic import BaseModel

from journal.journals import SyncCalls, new_config
from journal.states import States
from millstream.journal.again import LEAST, Again, _element, again

SERDE = JsonPlusSerializer()
CALL = {"name": "mill", "args": {"grain": ["rye"], "deep": {"er": [1]}}, "id": "1"}
MESSAGES: list[Any] = [
    HumanMessage("rye", id="1"),
    HumanMessage([{"type": "text", "text": "rye"}, "oats"], name="miller"),
    AIMessage("", id="2", tool_calls=[CALL], additional_kwargs={"a": {"b": [1, {"c": None}]}}),
    AIMessage(
        "flour",
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        response_metadata={"model": "m", "logprobs": [0.5, 1, True]},
        more={"kept": "as extra"},
    ),
    AIMessageChunk("fl", id="3"),
    SystemMessage("grind"),
    ToolMessage("done", tool_call_id="1", artifact={"weights": [1.5, 2]}, status="error"),
    ChatMessage("so", role="guest"),
    RemoveMessage(id="1"),
    {"role": "user", "content": [{"type": "text", "text": "plain"}]},
    "text",
    None,
]


class Sack(BaseModel):
    """What nothing is known of."""

    grains: list[int]


def shape(value: Any) -> Any:
    """Return all that there is of a value, with its classes."""
    if isinstance(value, BaseModel):
        fields = {name: shape(item) for name, item in value.__dict__.items()}
        extra = value.__pydantic_extra__
        more = (sorted(value.__pydantic_fields_set__), extra, value.__pydantic_private__)
        return type(value), fields, more
    if isinstance(value, dict):
        return dict, [(name, shape(item)) for name, item in value.items()]
    if isinstance(value, list):
        return list, list(map(shape, value))
    return type(value), value


def changing(value: Any) -> dict[int, Any]:
    """Return by identity what of a value can be changed in place."""
    found: dict[int, Any] = {}
    if isinstance(value, BaseModel):
        own = (value.__dict__, value.__pydantic_fields_set__, value.__pydantic_extra__)
        found |= {id(each): each for each in own if each is not None} | {id(value): value}
        value = [value.__dict__, value.__pydantic_extra__]
    if isinstance(value, (dict, list)):
        found[id(value)] = value
        for item in value.values() if isinstance(value, dict) else value:
            found |= changing(item)
    return found


def read(data: bytes) -> Any:
    """Return what the serializer reads."""
    return SERDE.loads_typed(("msgpack", data))


def dump(value: Any) -> bytes:
    """Return what is stored of a value."""
    return SERDE.dumps_typed(value)[1]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: type(each).__name__)
def test_an_element_is_made_as_the_serializer_reads_it(message: Any) -> None:
    """Time and again, and nobody shares anything of it that can be changed."""
    data = dump([MESSAGES[0], message])
    made = again(SERDE.loads_typed, data, None)
    assert made is not None
    first, second = made.value(), made.value()
    assert shape(first) == shape(second) == shape(read(data))
    assert not changing(first).keys() & changing(second).keys()


def test_an_element_of_an_unknown_class_is_read_each_time() -> None:
    """Nobody knows what a copy of it would lack."""
    loaded = []

    def load(typed: Any) -> Any:
        loaded.append(typed)
        return SERDE.loads_typed(typed)

    data = dump([*MESSAGES, Sack(grains=[1])])
    made = again(load, data, None)
    assert made is not None
    loaded.clear()
    assert shape(made.value()) == shape(read(data))
    assert len(loaded) == 1


@pytest.mark.parametrize(
    "value",
    [
        [Sack(grains=[1])] * 3,
        [MESSAGES[0], *[Sack(grains=[1])] * 3],
        list(range(100)),
        [{"a": 1}, MESSAGES[0]],
        [],
    ],
)
def test_a_list_of_anything_else_is_read_each_time(value: Any) -> None:
    """To make it would take no less."""
    made = again(SERDE.loads_typed, dump(value), None)
    assert made is not None
    assert not made.data
    assert again(SERDE.loads_typed, dump(MESSAGES), made) is made


def test_what_is_one_object_is_read_each_time() -> None:
    """Copies of its places would be two."""
    part: list[Any] = []

    def load(typed: Any) -> Any:
        value = SERDE.loads_typed(typed)
        if isinstance(value, list):
            value[1]["here"] = value[1]["there"] = part
        return value

    value = [*[MESSAGES[0]] * 9, {"here": [], "there": []}]
    made = again(load, dump([value[0], value[-1], *value[1:-1]]), None)
    assert made is not None
    assert made.makes[1].func is _element  # type: ignore[attr-defined]


LIST = dump(MESSAGES[:2])


@pytest.mark.parametrize(
    "data",
    [dump({"a": 1}), dump("text"), b"", b"\xdc", LIST[:-1], LIST + b"\x01", b"\x93" + LIST[1:]],
)
def test_nothing_but_a_list_is_made_again(data: bytes) -> None:
    """Whoever reads it says what is wrong with it."""
    assert again(SERDE.loads_typed, data, None) is None


@pytest.mark.parametrize("seed", range(20))
def test_a_list_that_changes_is_made_as_it_is_read(seed: int) -> None:
    """Wherever something was put in, taken out or changed; only what is new is read."""
    states, chance = States(seed), random.Random(seed)
    value: list[Any] = [states.message() for _ in range(chance.choice((1, 3, 14, 40)))]
    made: Again | None = None
    for _ in range(30):
        data = dump(value)
        made = again(SERDE.loads_typed, data, made)
        assert made is not None
        assert shape(made.value()) == shape(read(data))
        place = chance.randrange(len(value) + 1)
        what: list[Callable[[], Any]] = [
            lambda: value.append(states.message()),
            lambda: value.insert(place, states.message()),  # noqa: B023
            lambda: value[1:] and value.pop(place % len(value)),  # noqa: B023
            lambda: value[:] and setattr(value[place % len(value)], "content", "new"),  # noqa: B023
        ]
        chance.choice(what)()


def test_a_list_that_grows_is_only_read_where_it_is_new() -> None:
    """The rest of a conversation is copied."""
    read_of: list[Any] = []

    def load(typed: Any) -> Any:
        value = SERDE.loads_typed(typed)
        if isinstance(value, list):
            read_of.append(value)
        return value

    value = [AIMessage(str(number), id=str(number)) for number in range(300)]
    made = None
    for count in (10, 15, 16, 300):
        made = again(load, dump(value[:count]), made)
    assert list(map(len, read_of)) == [10, 5, 1, 284]


def put_messages(calls: SyncCalls, journal: Any, number: int, value: Any) -> None:
    """Store the checkpoint that follows some number of others."""
    checkpoint = empty_checkpoint()
    checkpoint["id"] = f"id-{number:04}"
    checkpoint["channel_values"] = {"messages": value, "number": number}
    versions: Any = {"messages": number + 1, "number": number + 1}
    checkpoint["channel_versions"] = versions
    parent = f"id-{number - 1:04}" if number else None
    calls.call(journal.put, new_config("thread", parent), checkpoint, {}, versions)


class Counting(JsonPlusSerializer):
    """One that a program has changed."""

    loaded = 0

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Count values of some size."""
        type(self).loaded += len(data[1]) > LEAST
        return super().loads_typed(data)


def test_whoever_changes_what_was_read_changes_nothing_of_the_thread(calls: SyncCalls) -> None:
    """However often it is read, alone or in a list, and between steps."""
    journal = calls.open()
    value: list[Any] = [
        *copy.deepcopy(MESSAGES),
        *[HumanMessage("x" * 300, id=f"{n}") for n in "abcdefgh"] * 3,
    ]
    for number in range(6):
        value = [*value, AIMessage("y" * 500, id=f"new {number}")]
        put_messages(calls, journal, number, value)
        for _ in range(3):
            found = calls.call(journal.get_tuple, new_config("thread"))
            assert shape(found.checkpoint["channel_values"]["messages"]) == shape(read(dump(value)))
            for part in changing(found.checkpoint["channel_values"]).values():
                if isinstance(part, (list, dict, set)):
                    part.clear()
    listed = calls.list(journal, new_config("thread"))
    for number, found in zip(range(5, -1, -1), listed, strict=True):
        own = found.checkpoint["channel_values"]["messages"]
        assert shape(own) == shape(read(dump(value[: len(value) - 5 + number])))
        for part in changing(own).values():
            if isinstance(part, (list, dict, set)):
                part.clear()


def test_a_value_that_is_none_after_a_list_is_read_as_none(calls: SyncCalls) -> None:
    """Also where the list was none that is made again."""
    journal = calls.open()
    value = [Sack(grains=[number] * 300) for number in range(20)]
    for number, each in enumerate([value, None, value]):
        put_messages(calls, journal, number, each)
    listed = calls.list(journal, new_config("thread"))
    read = [found.checkpoint["channel_values"]["messages"] for found in listed]
    assert read == [value, None, value]


def test_a_serializer_of_the_programs_own_reads_each_time(calls: SyncCalls) -> None:
    """It may do more than to read."""
    Counting.loaded = 0
    journal = calls.open(serde=Counting())
    value = [HumanMessage("x" * 300, id=str(number)) for number in range(30)]
    for number in range(4):
        put_messages(calls, journal, number, value)
    for _ in range(3):
        calls.call(journal.get_tuple, new_config("thread"))
    assert Counting.loaded == 3
    calls.list(journal, new_config("thread"))
    assert Counting.loaded == 3 + 4
