"""Which answer goes to which question."""

from __future__ import annotations

from typing import Any

import pytest

from millstream._types.interrupts import interrupt_id
from millstream.constants import MISSING
from millstream.core.answers import Answers
from millstream.errors import UnknownInterruptError

NS = "ask:1"
FIRST, SECOND = interrupt_id(NS), interrupt_id(NS, 1)


def in_task(*pending: str) -> dict[str, set[str]]:
    """Return questions that wait in the task `t`."""
    return {question: {"t"} for question in pending}


def refusal(resume: Any, *pending: str, is_strict: bool = True) -> tuple[str, tuple[str, ...]]:
    """Return why the answer is refused, and which questions wait."""
    with pytest.raises(UnknownInterruptError) as caught:
        Answers(resume).check(in_task(*pending), is_strict=is_strict)
    return caught.value.reason, caught.value.pending_ids


def test_a_bare_value_is_taken_once() -> None:
    """By whoever asks first."""
    answers = Answers("yes")

    assert answers.take(["t"]) == "yes"
    assert answers.take(["t"]) is MISSING


def test_answers_are_given_to_others_by_name() -> None:
    """Those who ask for a run that is elsewhere know which there are."""
    named, bare = Answers({FIRST: 1}), Answers("yes")
    bare.check(in_task(SECOND), is_strict=False)

    assert (named.ids, named.question) == (frozenset((FIRST,)), None)
    assert (named.take_named(FIRST), named.take_named(SECOND)) == (1, MISSING)
    assert (bare.ids, bare.question) == (None, SECOND)
    assert (bare.take_named(FIRST), bare.take_named(SECOND)) == (MISSING, "yes")
    assert bare.take_named(SECOND) is MISSING


def test_a_bare_value_expires() -> None:
    """A later superstep asks its own questions."""
    answers = Answers("yes")

    answers.expire()

    assert answers.take(["t"]) is MISSING


@pytest.mark.parametrize("resume", [{"a": 1}, {"Z" * 32: 1}, {1: 2}, [1], 0, "", False])
def test_what_is_no_map_of_ids_is_one_value(resume: Any) -> None:
    """A dict is a map only when every key looks like an id."""
    assert Answers(resume).take(["t"]) == resume


def test_a_map_answers_the_next_question_of_a_task() -> None:
    """It comes after what the task was answered before."""
    assert Answers({FIRST: None}).given_to(NS, [], {FIRST}) == [None]
    assert Answers({SECOND: 2}).given_to(NS, [1], {SECOND}) == [1, 2]
    assert Answers({SECOND: 2}).given_to(NS, [], {FIRST}) == []
    assert Answers({FIRST: 1}).take(["t"]) is MISSING


def test_a_map_may_name_the_first_question_for_a_later_one() -> None:
    """Threads of older versions know no other id."""
    assert Answers({FIRST: 2}).given_to(NS, [1], {FIRST}) == [1, 2]


def test_an_answer_that_made_its_task_fail_can_be_replaced() -> None:
    """By naming the question again."""
    again = Answers({SECOND: "good"})

    assert again.given_to(NS, [1, "bad"], {SECOND}, has_failed=True) == [1, "good"]
    assert again.given_to(NS, [1, "bad"], {FIRST}, has_failed=True) == [1, "bad"]
    assert Answers({FIRST: 0}).given_to(NS, [1, "bad"], {SECOND}, has_failed=True) == [1, "bad"]


def test_an_answer_that_was_sent_twice_answers_one_question() -> None:
    """The second question has an id of its own."""
    assert Answers({FIRST: 1}).given_to(NS, [1], {SECOND}) == [1]


def test_a_bare_value_is_given_to_the_task_whose_question_waits() -> None:
    """So it is kept even if the task fails before it asks."""
    answers = Answers("yes")
    answers.check(in_task(SECOND), is_strict=False)

    assert answers.given_to(NS, [1], {SECOND}) == [1, "yes"]
    assert answers.given_to("other:2", [], ()) == []
    assert answers.take(["t"]) is MISSING


def test_a_bare_value_is_for_the_task_that_waits_and_what_is_nested_in_it() -> None:
    """Another task that asks something new asks a person."""
    answers = Answers("yes")
    answers.check(in_task(FIRST), is_strict=False)

    assert answers.take(["other"]) is MISSING
    assert answers.take(["nested", "t"]) == "yes"


def test_a_bare_value_goes_to_whoever_asks_when_nothing_waits() -> None:
    """As after a breakpoint."""
    answers = Answers("yes")
    answers.check({}, is_strict=True)

    assert answers.take(["any"]) == "yes"


def test_recorded_answers_are_not_shared() -> None:
    """The task adds to its own list."""
    recorded = [1]

    Answers("x").given_to(NS, recorded, ()).append(2)

    assert recorded == [1]


def test_one_value_for_several_questions_is_refused() -> None:
    """With the error of a program that was told, or of one that was not."""
    with pytest.raises(RuntimeError, match="you must specify the interrupt id"):
        Answers("x").check(in_task(FIRST, SECOND), is_strict=False)
    assert refusal("x", FIRST, SECOND) == ("ambiguous", tuple(sorted((FIRST, SECOND))))


def test_strict_answers_must_name_what_waits() -> None:
    """Unknown ids and empty maps are refused."""
    assert refusal({SECOND: 1}, FIRST) == ("not_pending", (FIRST,))
    assert refusal({}, FIRST) == ("empty_map", (FIRST,))


def test_ids_that_match_nothing_are_ignored_unless_strict() -> None:
    """The question is asked again."""
    Answers({SECOND: 1}).check(in_task(FIRST), is_strict=False)
    Answers({}).check({}, is_strict=False)


def test_unknown_ids_among_known_ones_are_refused() -> None:
    """Those of questions that were answered are known."""
    both = {FIRST: 1, SECOND: 2}

    assert refusal(both, FIRST, is_strict=False) == ("not_pending", (FIRST,))
    Answers(both).check(in_task(FIRST), past={SECOND}, is_strict=False)


def test_an_empty_map_answers_nothing() -> None:
    """Whoever means an empty dict as an answer has to name the question."""
    assert refusal({}, FIRST, is_strict=False) == ("empty_map", (FIRST,))


def test_strict_answers_that_match_are_accepted() -> None:
    """By id, or the only one."""
    Answers({FIRST: 1}).check(in_task(FIRST, SECOND), is_strict=True)
    Answers("x").check(in_task(FIRST), is_strict=True)


def test_an_answer_can_be_taken_for_a_question_by_its_id() -> None:
    """Of a map as often as one asks, of a bare value once, and for the question that waits."""
    named, bare = Answers({FIRST: 1}), Answers("yes")
    bare.check({FIRST: ["t"]}, is_strict=False)

    assert [named.take_named(FIRST), named.take_named(FIRST)] == [1, 1]
    assert [bare.take_named(id) for id in (SECOND, FIRST, FIRST)] == [MISSING, "yes", MISSING]
