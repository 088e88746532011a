"""The reducers for messages and user interface parts."""

from __future__ import annotations

import pickle
from functools import partial
from typing import Annotated, Any, get_args, get_type_hints

import langchain_core.messages
import langgraph.graph.message
import langgraph.graph.ui
import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    AnyMessage,
    BaseMessage,
    HumanMessage,
    RemoveMessage,
)

import millstream.graph.message
import millstream.graph.ui
from millstream.graph.message import REMOVE_ALL_MESSAGES, MessagesState, add_messages

BOTH = pytest.mark.parametrize(
    "messages",
    [millstream.graph.message, langgraph.graph.message],
    ids=["millstream", "langgraph"],
)


def test_messages_that_programs_take_from_here_are_langchains() -> None:
    names = ("AnyMessage", "BaseMessage", "RemoveMessage")

    for name in names:
        assert getattr(millstream.graph.message, name) is getattr(langchain_core.messages, name)


def human(content: str, id: str | None = None) -> HumanMessage:
    return HumanMessage(content, id=id)


def remove(id: str) -> RemoveMessage:
    return RemoveMessage(id)


def told(messages: Any) -> list[Any]:
    """Tell messages apart, but not the ids that were made up."""
    return [
        (type(m).__name__, m.content, m.id if m.id is None or len(m.id) < 10 else "made up")
        for m in messages
    ]


def outcome(reducer: Any, left: Any, right: Any, **options: Any) -> Any:
    try:
        return told(reducer(left, right, **options))
    except Exception as error:
        return (type(error).__name__, str(error))


ALL = REMOVE_ALL_MESSAGES
CASES: dict[str, tuple[Any, Any]] = {
    "append": ([human("a", "1")], [human("b")]),
    "nothing": ([], []),
    "texts": ("a", "b"),
    "empty text": ("", "b"),
    "tuples and dicts": (("human", "x"), {"role": "ai", "content": "y", "id": "3"}),
    "tuples in lists": ([("human", "x")], [("ai", "y"), "z"]),
    "replace": ([human("a", "1"), human("b", "2")], [human("c", "1"), human("d", "1")]),
    "same new id twice": ([], [human("c", "1"), human("d", "1")]),
    "same old id twice": ([human("a", "1"), human("b", "1")], [human("d", "1")]),
    "same old id twice, nothing new": ([human("a", "1"), human("b", "1")], []),
    "same old id twice, removed": ([human("a", "1"), human("b", "1")], [remove("1")]),
    "remove": ([human("a", "1"), human("b", "2")], remove("1")),
    "remove and add": ([human("a", "1"), human("b", "2")], [remove("1"), human("n", "1")]),
    "add and remove": ([human("a", "1"), human("b", "2")], [human("n", "1"), remove("1")]),
    "add new and remove": ([human("a", "1")], [human("n", "9"), remove("9")]),
    "remove twice": ([human("a", "1")], [remove("1"), remove("1")]),
    "remove unknown": ([human("a", "1")], [remove("zz")]),
    "remove all": ([human("a", "1")], [human("q", "3"), remove(ALL), human("b", "2"), remove("5")]),
    "remove all twice": ([human("a", "1")], [remove(ALL), human("b", "2"), remove(ALL), "c"]),
    "remove all alone": ([human("a", "1")], remove(ALL)),
    "remove all, same id twice": ([], [remove(ALL), human("b", "2"), human("c", "2")]),
    "removal on the left": ([remove("1")], [human("b", "2")]),
    "removal of all on the left": ([human("a", "1"), remove(ALL)], [human("b", "2")]),
    "chunk": ([], [AIMessageChunk(content="x", id="1")]),
    "not a message": ([], [5]),
    "empty id": ([], [human("a", "")]),
}


@pytest.mark.parametrize(("left", "right"), CASES.values(), ids=CASES.keys())
def test_messages_are_merged_like_the_reference(left: Any, right: Any) -> None:
    actual = outcome(add_messages, left, right)
    expected = outcome(langgraph.graph.message.add_messages, left, right)

    assert actual == expected


@BOTH
def test_messages_without_an_id_get_one_in_place(messages: Any) -> None:
    left, right = [human("a")], [human("b")]

    merged = messages.add_messages(left, right)

    assert merged is not left
    assert (merged[0] is left[0], merged[1] is right[0]) == (True, True)
    assert left[0].id != right[0].id
    assert {len(message.id) for message in merged} == {36}


def test_the_left_list_is_not_changed() -> None:
    left: list[Any] = [human("a", "1"), human("b", "2")]

    add_messages(left, [remove("1"), human("c", "2")])

    assert told(left) == [("HumanMessage", "a", "1"), ("HumanMessage", "b", "2")]


@BOTH
@pytest.mark.parametrize(
    ("left", "right", "given"), [(None, [human("a")], "right"), ([human("a")], None, "left")]
)
def test_one_side_alone_is_an_error(messages: Any, left: Any, right: Any, given: str) -> None:
    with pytest.raises(ValueError) as caught:
        messages.add_messages(left, right)

    assert str(caught.value) == (
        f"Must specify non-null arguments for both 'left' and 'right'. Only received: '{given}'."
    )


@BOTH
def test_options_alone_make_a_reducer(messages: Any) -> None:
    reducer = messages.add_messages(format="langchain-openai")

    assert isinstance(reducer, partial)
    assert told(reducer([], [human("a", "1")])) == [("HumanMessage", "a", None)]


@BOTH
@pytest.mark.parametrize(
    ("options", "error"),
    [
        (
            {"format": "zz"},
            ("ValueError", "Unrecognized format='zz'. Expected one of 'langchain-openai', None."),
        ),
        ({"zz": 1}, ("TypeError", "add_messages() got an unexpected keyword argument 'zz'")),
    ],
)
def test_unknown_options_are_errors(
    messages: Any, options: dict[str, Any], error: tuple[str, str]
) -> None:
    actual = outcome(messages.add_messages, [], [human("a")], **options)

    assert actual[0] == error[0]
    assert actual[1].endswith(error[1])


def test_the_openai_format_rewrites_content() -> None:
    image = {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": "xx"},
    }

    actual, expected = (
        m.add_messages([], [HumanMessage([image], id="1")], format="langchain-openai")
        for m in (millstream.graph.message, langgraph.graph.message)
    )

    assert actual == expected
    assert actual[0].content[0]["type"] == "image_url"


def test_the_reducer_pickles() -> None:
    assert pickle.loads(pickle.dumps(add_messages)) is add_messages


def test_the_state_has_messages_with_their_reducer() -> None:
    hint = get_type_hints(MessagesState, include_extras=True)["messages"]

    assert hint == Annotated[list[AnyMessage], add_messages]
    assert get_args(hint)[1] is add_messages


def test_a_long_history_keeps_its_message_objects() -> None:
    history: list[BaseMessage] = [AIMessage(str(i), id=str(i)) for i in range(50)]

    merged: Any = add_messages(list(history), [human("new", "n")])

    assert all(a is b for a, b in zip(merged, history, strict=False))
    assert len(merged) == 51


def part(id: str, props: dict[str, Any] | None = None, **metadata: Any) -> Any:
    return {"type": "ui", "id": id, "name": "n", "props": props or {}, "metadata": metadata}


def gone(id: str) -> Any:
    return {"type": "remove-ui", "id": id}


UI_CASES: dict[str, tuple[Any, Any]] = {
    "append": ([part("1")], [part("2")]),
    "single parts": (part("1"), part("2")),
    "replace": ([part("1"), part("2")], part("1", x=1)),
    "remove": ([part("1"), part("2")], gone("1")),
    "remove unknown": ([part("1")], gone("9")),
    "remove and add": ([part("1"), part("2")], [gone("1"), part("1", z=1)]),
    "add and remove": ([part("1")], [part("1", z=1), gone("1")]),
    "add new and remove": ([], [part("1"), gone("1")]),
    "same new id twice": ([], [part("1"), part("1", k=2)]),
    "removal on the left": ([part("1"), gone("1")], []),
    "merge": ([part("1", {"a": 1, "b": 2}, q=1)], [part("1", {"b": 3}, merge=True)]),
    "merge twice": (
        [part("1", {"a": 1})],
        [part("1", {"b": 3}, merge=True), part("1", {"c": 3}, merge=True)],
    ),
    "merge new": ([], [part("1", merge=True)]),
    "merge removed": ([part("1", {"a": 1})], [gone("1"), part("1", {"b": 1}, merge=True)]),
    "no metadata": (
        [{"type": "ui", "id": "1", "name": "n", "props": {}}],
        [{"type": "ui", "id": "1", "name": "n", "props": {"a": 1}}],
    ),
}


@pytest.mark.parametrize(("left", "right"), UI_CASES.values(), ids=UI_CASES.keys())
def test_parts_are_merged_like_the_reference(left: Any, right: Any) -> None:
    def merged(reducer: Any) -> Any:
        try:
            return reducer(left, right)
        except ValueError as error:
            return str(error)

    assert merged(millstream.graph.ui.ui_message_reducer) == merged(
        langgraph.graph.ui.ui_message_reducer
    )


def test_merging_parts_changes_neither_side() -> None:
    left, right = [part("1", {"a": 1})], [part("1", {"b": 2}, merge=True)]

    millstream.graph.ui.ui_message_reducer(left, right)

    assert (left, right) == ([part("1", {"a": 1})], [part("1", {"b": 2}, merge=True)])
