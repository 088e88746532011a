"""Conversations about answers: what is asked, and what becomes of what is typed."""

from __future__ import annotations

import enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from millstream.cli.asking.conversation import Conversation
from millstream.cli.asking.questions import question_lines
from millstream.cli.asking.reviews import decisions, is_review
from millstream.cli.asking.schemas import answer
from millstream.cli.follow_up import follow_up
from millstream.types import Interrupt


def hold(conversation: Conversation[Any], *typed: str) -> tuple[Any, list[str]]:
    """Return the answer and all that was said, with what was typed to the end."""
    said: list[str] = []
    lines = iter(typed)
    try:
        ask = next(conversation)
        while True:
            said += [*ask.notes, ask.label]
            ask = conversation.send(next(lines))
    except StopIteration as end:
        assert next(lines, None) is None, "not all was asked for"
        return end.value, said


def asked(schema: Any, *typed: str) -> Any:
    return hold(answer(TypeAdapter(schema).json_schema()), *typed)[0]


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Address(BaseModel):
    street: str
    number: int | None


class Order(BaseModel):
    """An order."""

    item: str = Field(description="What to buy", min_length=2)
    count: int = Field(1, ge=1, le=9)
    colour: Colour
    paid: bool
    address: Address
    tags: list[str] = []
    note: str | None = None
    kind: Literal["order"]


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("yes", "yes"),
        ("7", 7),
        ('"7"', "7"),
        ("true", True),
        ('{"a": [1]}', {"a": [1]}),
        ("{a", "{a"),
    ],
)
def test_without_a_schema_json_is_json_and_text_is_text(typed: str, value: Any) -> None:
    assert hold(answer(None), typed)[0] == value
    assert hold(answer({}), "", typed)[0] == value


@pytest.mark.parametrize(
    ("schema", "typed", "value"),
    [
        (bool, ["maybe", "y"], True),
        (bool, ["No"], False),
        (int, ["1.5", "x", "12"], 12),
        (float, ["1e3"], 1000.0),
        (str, ["7"], "7"),
        (Literal["approve", "reject"], ["3", "rej"], "reject"),
        (Literal["a", 1], ["2"], 1),
        (Colour, ["1"], "red"),
        (int | None, [""], None),
        (int | None, ["3"], 3),
        (int | str, ["2", "x"], "x"),
        (list[int], ["1", "x", "2", ""], [1, 2]),
        (dict[str, int], ["[1]", '{"a": 1}'], {"a": 1}),
        (list[dict[str, int]], ["5", '[{"a": 1}]'], [{"a": 1}]),
        (Any, ["text"], "text"),
    ],
)
def test_what_is_typed_is_of_the_form_that_is_asked_for(
    schema: Any, typed: list[str], value: Any
) -> None:
    assert asked(schema, *typed) == value


def test_the_parts_of_an_object_are_asked_for_one_by_one() -> None:
    typed = ["x", "tea", "10", "", "green", "y", "Mill Lane", "", '["a"]', ""]
    made, said = hold(answer(Order.model_json_schema()), *typed)

    assert made == {
        "item": "tea",
        "count": 1,
        "colour": "green",
        "paid": True,
        "address": {"street": "Mill Lane", "number": None},
        "tags": ["a"],
        "note": None,
        "kind": "order",
    }
    assert Order.model_validate(made).paid
    assert said[:5] == [
        *("What to buy", "item"),
        *("type at least 2 characters", "item"),
        "count (a whole number, nothing: 1)",
    ]
    assert "type a whole number of at most 9" in said
    assert "address.street" in said


def test_optional_parts_may_be_left_out() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "boolean"}}}

    assert hold(answer(schema), "", "")[0] == {}
    assert hold(answer(schema), "x", "n")[0] == {"a": "x", "b": False}


@pytest.mark.parametrize("items", [{"const": "a"}, {"default": "a"}, {"enum": ["a"]}])
def test_items_that_are_known_before_are_not_asked_for_one_by_one(items: Any) -> None:
    schema = {"type": "array", "items": {"type": "string", **items}}

    made, said = hold(answer(schema), '["a", "a"]')

    assert made == ["a", "a"]
    assert said == ["answer (JSON)"]


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/missing"},
        {"$ref": "#"},
        {"type": ["object", "array"]},
        {"anyOf": [{"type": "null"}]},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"type": "string", "pattern": "("},
        {"type": "object", "properties": 5},
    ],
)
def test_odd_schemas_are_asked_for_somehow(schema: Any) -> None:
    made, _ = hold(answer(schema), *_ANSWERS[: _needed(answer(schema))])

    assert made is None or made == 1 or made == "1" or isinstance(made, dict)


_ANSWERS = ("1", *["{}"] * 20)


def _needed(conversation: Conversation[Any]) -> int:
    """Return how many of the answers it takes."""
    taken = 0
    try:
        next(conversation)
        for typed in _ANSWERS:
            taken += 1
            conversation.send(typed)
    except StopIteration:
        return taken
    raise AssertionError("it does not end")


def test_patterns_are_looked_at() -> None:
    made, said = hold(answer({"type": "string", "pattern": "^[A-Z]+$"}), "x", "X")

    assert (made, said[1]) == ("X", "type text that matches ^[A-Z]+$")


REVIEW = {
    "action_requests": [
        {"name": "delete", "args": {"path": "/"}, "description": "Delete it?"},
        {"name": "send", "args": {"to": "me"}},
        {"name": "other", "args": {}},
        {"name": "other", "args": {}},
    ],
    "review_configs": [
        {"action_name": "delete", "allowed_decisions": ["approve", "reject"]},
        {"action_name": "send", "allowed_decisions": ["approve", "edit", "reject"]},
    ],
}


def test_decisions_about_tool_calls_are_made_one_by_one() -> None:
    typed = ["edit", "reject", "too much", "2", "[]", '{"to": "you"}', "approve", "respond", "done"]
    made, said = hold(decisions(REVIEW), *typed)

    assert made == {
        "decisions": [
            {"type": "reject", "message": "too much"},
            {"type": "edit", "edited_action": {"name": "send", "args": {"to": "you"}}},
            {"type": "approve"},
            {"type": "respond", "message": "done"},
        ]
    }
    assert said[:2] == ['delete {"path": "/"}', "  1  approve"]
    assert is_review(REVIEW)
    assert not is_review({"action_requests": [1], "review_configs": []})
    assert not is_review("Buy a mill?")


def test_questions_are_shown_whole() -> None:
    image = {"type": "image", "base64": "A" * 4000}
    value = {"text": "one\ntwo", "list": [1, image], "short": "x" * 200}

    assert list(question_lines(value)) == [
        *("text: one", "  two"),
        *("list: [", "    1,", '    "[image, 3 kB]"', "  ]"),
        f"short: {'x' * 200}",
    ]


def command(*questions: Interrupt[Any], **more: Any) -> str:
    given = {"thread": "1", "checkpointer": None, "config": "{}", **more}
    return follow_up("shop.py:graph", questions=questions, **given)


def test_the_command_that_goes_on_has_an_answer_to_fill_in() -> None:
    schema = TypeAdapter(Order).json_schema()
    one = Interrupt("a?", "id1", response_schema={"type": "boolean"})
    other = Interrupt("b?", "id2")

    begin = "millstream run shop.py:graph --thread 1"
    assert command(one) == f"{begin} --resume true"
    assert command(other) == f"{begin} --resume '\"...\"'"
    assert command(one, other) == f"""{begin} --resume '{{"id1": true, "id2": "..."}}'"""
    assert command() == f"{begin} --input null"
    assert '"count": 1' in command(Interrupt("c?", "id3", response_schema=schema))


def test_the_command_keeps_a_password_and_a_terminal_safe() -> None:
    evil = command(thread="it's\x1b]0;x\x07", config='{"tags": ["a b"]}')
    url = command(checkpointer="postgresql://me:secret@host/db")

    assert "--thread $'it\\'s\\u001b]0;x\\u0007'" in evil
    assert """--config '{"tags": ["a b"]}'""" in evil
    assert "secret" not in url
