"""Which answer goes to which question."""

from __future__ import annotations

from typing import Any

import pytest

from millstream.constants import MISSING
from millstream.core.answers import Answers
from millstream.errors import UnknownInterruptError
from millstream.types import interrupt_id

NS = "ask:1"
FIRST, SECOND = interrupt_id(NS), interrupt_id(NS, 1)


def refusal(resume: Any, *pending: str, is_strict: bool = True) -> tuple[str, tuple[str, ...]]:
    """Return why the answer is refused, and which questions wait."""
    with pytest.raises(UnknownInterruptError) as caught:
        Answers(resume).check(pending, is_strict=is_strict)
    return caught.value.reason, caught.value.pending_ids


def test_a_bare_value_is_taken_once() -> None:
    """By whoever asks first."""
    answers = Answers("yes")

    assert answers.take() == "yes"
    assert answers.take() is MISSING


def test_a_bare_value_expires() -> None:
    """A later superstep asks its own questions."""
    answers = Answers("yes")

    answers.expire()

    assert answers.take() is MISSING


@pytest.mark.parametrize("resume", [{"a": 1}, {"Z" * 32: 1}, {1: 2}, [1], 0, "", False])
def test_what_is_no_map_of_ids_is_one_value(resume: Any) -> None:
    """A dict is a map only when every key looks like an id."""
    assert Answers(resume).take() == resume


def test_a_map_answers_the_next_question_of_a_task() -> None:
    """It comes after what the task was answered before."""
    assert Answers({FIRST: None}).given_to(NS, []) == [None]
    assert Answers({SECOND: 2}).given_to(NS, [1]) == [1, 2]
    assert Answers({SECOND: 2}).given_to(NS, []) == []
    assert Answers({FIRST: 1}).take() is MISSING


def test_a_map_may_name_the_first_question_for_a_later_one() -> None:
    """Threads of older versions know no other id."""
    assert Answers({FIRST: 2}).given_to(NS, [1]) == [1, 2]


def test_recorded_answers_are_not_shared() -> None:
    """The task adds to its own list."""
    recorded = [1]

    Answers("x").given_to(NS, recorded).append(2)

    assert recorded == [1]


def test_one_value_for_several_questions_is_refused() -> None:
    """With the error of a program that was told, or of one that was not."""
    with pytest.raises(RuntimeError, match="you must specify the interrupt id"):
        Answers("x").check({FIRST, SECOND}, is_strict=False)
    assert refusal("x", FIRST, SECOND) == ("ambiguous", tuple(sorted((FIRST, SECOND))))


def test_strict_answers_must_name_what_waits() -> None:
    """Unknown ids and empty maps are refused."""
    assert refusal({SECOND: 1}, FIRST) == ("not_pending", (FIRST,))
    assert refusal({}, FIRST) == ("empty_map", (FIRST,))


@pytest.mark.parametrize("resume", [{SECOND: 1}, {}, "x"])
def test_answers_that_match_nothing_are_ignored_unless_strict(resume: Any) -> None:
    """The question is asked again."""
    Answers(resume).check({FIRST}, is_strict=False)


def test_strict_answers_that_match_are_accepted() -> None:
    """By id, or the only one."""
    Answers({FIRST: 1}).check({FIRST, SECOND}, is_strict=True)
    Answers("x").check({FIRST}, is_strict=True)
