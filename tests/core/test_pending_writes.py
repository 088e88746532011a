"""What a checkpoint knows of its superstep."""

from __future__ import annotations

from millstream._types.interrupts import interrupt_id
from millstream.constants import (
    ERROR,
    ERROR_SOURCE_NODE,
    INTERRUPT,
    NO_WRITES,
    NULL_TASK_ID,
    RESUME,
)
from millstream.core import pending_writes
from millstream.types import Interrupt

ASKED = Interrupt("q", interrupt_id("n:1"))
AGAIN = Interrupt("q", interrupt_id("n:1", 1))


def test_writes_are_sorted_by_task() -> None:
    """In the order in which they were stored."""
    stored = [("1", "log", 1), ("2", "log", 2), ("1", "log", 3)]

    assert pending_writes.sort_by_task(stored) == {"1": [("log", 1), ("log", 3)], "2": [("log", 2)]}


def test_notes_are_no_writes() -> None:
    """Only what a finished task wrote counts; that it wrote nothing is a write too."""
    assert pending_writes.plain_writes([(ERROR, "e"), (INTERRUPT, ()), (RESUME, [1])]) == []
    assert pending_writes.plain_writes([(RESUME, [1]), (NO_WRITES, None)]) == [(NO_WRITES, None)]


def test_answers_are_recorded_as_a_list() -> None:
    """Older versions stored a single one bare."""
    assert pending_writes.recorded_answers([(ERROR, "e"), (RESUME, [1, 2])]) == [1, 2]
    assert pending_writes.recorded_answers([(RESUME, "a")]) == ["a"]
    assert pending_writes.recorded_answers([("log", 1)]) == []


def test_a_handled_error_comes_back_as_an_exception() -> None:
    """Most savers store its text only."""
    error = ValueError("e")

    restored = pending_writes.handled_error([(ERROR, "ValueError('e')"), (ERROR_SOURCE_NODE, "n")])

    assert repr(restored) == """Exception("ValueError('e')")"""
    assert pending_writes.handled_error([(ERROR, error), (ERROR_SOURCE_NODE, "n")]) is error
    assert pending_writes.handled_error([(ERROR, error)]) is None
    assert pending_writes.handled_error([("log", 1)]) is None


def test_commands_are_taken_without_their_answers() -> None:
    """An answer that was given to nobody must not reach another question."""
    stored = pending_writes.sort_by_task([(NULL_TASK_ID, RESUME, "old"), (NULL_TASK_ID, "log", 1)])

    assert pending_writes.take_commands(stored) == [("log", 1)]
    assert stored == {}


def test_answers_can_be_left_out() -> None:
    """Everything else stays."""
    stored = pending_writes.sort_by_task([("1", RESUME, [1]), ("1", "log", 1)])

    assert pending_writes.without_answers(stored) == {"1": [("log", 1)]}


def test_a_question_waits_until_it_is_answered() -> None:
    """Or until its task has finished."""
    spaces = {"1": "n:1"}
    asked = ("1", INTERRUPT, [ASKED])

    def waiting(*more: tuple[str, str, object]) -> dict[str, set[str]]:
        return pending_writes.waiting_questions(pending_writes.sort_by_task([asked, *more]), spaces)

    assert waiting() == {ASKED.id: {"1"}}
    assert waiting(("1", RESUME, ["a"]), ("1", ERROR, "e")) == {}
    assert waiting(("1", "log", 1)) == {}
    assert waiting(("2", INTERRUPT, AGAIN)) == {ASKED.id: {"1"}, AGAIN.id: {"2"}}
    assert waiting(("2", INTERRUPT, ASKED)) == {ASKED.id: {"1", "2"}}


def test_the_second_question_of_a_task_waits_after_its_first_answer() -> None:
    """Its id counts the answers."""
    stored = pending_writes.sort_by_task([("1", INTERRUPT, [AGAIN]), ("1", RESUME, ["a"])])

    assert pending_writes.waiting_questions(stored, {"1": "n:1"}) == {AGAIN.id: {"1"}}


def test_past_questions_are_those_of_the_superstep() -> None:
    """Of tasks that have finished, and those that were answered before the one that waits."""
    stored = pending_writes.sort_by_task(
        [
            ("1", INTERRUPT, [AGAIN]),
            ("1", RESUME, ["a"]),
            ("2", INTERRUPT, Interrupt("q", "f" * 32)),
            ("2", "log", 1),
        ]
    )

    past = pending_writes.past_questions(stored, {"1": "n:1", "3": "n:3"})

    assert past == {ASKED.id, AGAIN.id, "f" * 32}
