"""Which question, call and nested graph is which in a task whose parts run side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from core.builders import begun, graph, log, new_machine, node, planned, to
from millstream._types.interrupts import interrupt_id
from millstream.constants import ERROR, INTERRUPT, MISSING, RESUME
from millstream.core import pending_writes
from millstream.core.answers import Answers
from millstream.core.resuming import recall
from millstream.core.strands import (
    OWN,
    TOGETHER,
    Asked,
    Questions,
    Strand,
    answered_prefix,
    place_record,
    put_answer,
    questions_record,
    read_places,
    read_questions,
    record_id,
    together_record,
)
from millstream.core.tasks import ids_together
from millstream.types import Interrupt

NS = "ask:1"
TASK = "1"


def name(number: int) -> str:
    """Return the id of a question of the task."""
    return interrupt_id(NS, number)


def stored(
    questions: Questions, answers: Sequence[Any] = (), *writes: Any
) -> pending_writes.PendingWrites:
    """Return what is known of a task that asked these questions."""
    prefix = answered_prefix(answers)
    return {
        TASK: [*([(RESUME, prefix)] if prefix else []), *writes],
        record_id(TASK): questions_record(questions, answers),
    }


def test_a_place_has_the_facts_of_what_is_asked_only_where_the_strand_does_not_tell() -> None:
    def refuse() -> str:
        raise AssertionError("not needed")

    assert OWN.place(refuse) == ""
    assert Strand("k").place(refuse) == "k"
    assert Strand("k", is_named=False).place(lambda: "fact") == "k:fact"


def test_numbers_are_given_in_order_and_found_again_by_place() -> None:
    questions = Questions([])

    assert [questions.number(place, "?") for place in ("a", "", "b", "a")] == [0, 1, 2, 3]
    questions.begin()
    assert [questions.number(place, "?") for place in ("b", "a", "a", "c", "")] == [2, 0, 3, 4, 1]


def test_strands_with_one_place_are_told_by_what_they_ask() -> None:
    """A text that changes from run to run is no reason to ask again."""
    questions = Questions([Asked("a", "x"), Asked("a", "y")])

    assert [questions.number("a", "y"), questions.number("a", "changed")] == [1, 0]


def test_questions_from_before_go_to_whoever_may_have_asked_them() -> None:
    """By their order, but not to a strand that asks something else."""
    questions = Questions([Asked(None, None), Asked(None, "x"), Asked(None, "y")])

    numbers = [questions.number("a", "y"), questions.number("b", "z"), questions.number("c", "z")]

    assert numbers == [2, 0, 3]
    assert questions.number("", "") == 1


def test_an_attempt_begins_after_what_its_own_code_has_asked() -> None:
    questions = Questions([Asked("", ""), Asked("", "")])

    questions.begin(1)

    assert questions.number("", "") == 1


def test_a_record_says_what_answers_alone_cannot() -> None:
    questions = Questions([Asked("a", "x"), Asked("b", None), Asked("c", "z")], is_counted=True)
    answers: list[Any] = []
    put_answer(answers, 2, None)
    put_answer(answers, 0, "A")
    all_known = stored(questions, answers, (INTERRUPT, (Interrupt("q", name(1)),)))

    read = read_questions(all_known[record_id(TASK)])

    assert read is not None
    assert read[0].asked == questions.asked
    assert pending_writes.is_counted(all_known, TASK)
    assert pending_writes.answers_of(all_known, TASK) == ["A", MISSING, None]
    assert pending_writes.waiting_questions(all_known, {TASK: NS}) == {name(1): {TASK}}


@pytest.mark.parametrize(
    "writes", [None, [], [("log", 1)], [(RESUME, ["a", "b"])], [(RESUME, "a")], [(RESUME, ["a"])]]
)
def test_answers_are_no_record(writes: Any) -> None:
    assert read_questions(writes) is None


def test_answers_by_id_reach_exactly_their_questions() -> None:
    """Also those that were asked after one that is still open."""
    given = Answers({name(2): "C", name(0): "A"})

    assert given.given_to(NS, [], [name(0), name(1), name(2)], count=3) == ["A", MISSING, "C"]
    assert given.given_to(NS, [MISSING, "B"], [name(0)], count=3) == ["A", "B", "C"]
    assert Answers({name(0): "A"}).given_to(NS, [MISSING, "B"], [name(0)], count=2) == ["A", "B"]


def test_answers_that_made_their_task_fail_can_be_replaced_together() -> None:
    given = Answers({name(0): "A", name(1): "B"})
    asked = [name(0), name(1)]

    assert given.given_to(NS, ["x", "y"], asked, count=2, has_failed=True) == ["A", "B"]
    assert given.given_to(NS, ["x", MISSING], asked, count=2, has_failed=True) == ["A", "B"]


def test_a_bare_value_is_for_the_first_question_of_strands() -> None:
    pending = {name(1): {TASK}, name(0): {TASK}}
    answers = Answers("yes")

    answers.check(pending, together={name(0), name(1)}, is_strict=False)

    assert answers.take([TASK], is_own=False) is MISSING
    assert answers.given_to(NS, [], [name(0), name(1)], count=2) == [MISSING, "yes"]


def test_strands_of_one_task_ask_together() -> None:
    """And with nobody else, and only what they were known to ask."""
    questions = Questions([Asked("a", "x"), Asked("b", "y")])
    all_known = stored(questions, [], (INTERRUPT, ()))
    all_known[record_id(TASK, TOGETHER)] = together_record([name(0), name(1)])
    both = {name(0): {TASK}, name(1): {TASK}}

    assert pending_writes.asked_together(all_known, both) == {name(0), name(1)}
    assert pending_writes.asked_together(all_known, {name(0): {TASK}}) == set()
    assert pending_writes.asked_together(all_known, {**both, "q": {"2"}}) == set()
    assert pending_writes.asked_together({TASK: []}, both) == set()


def test_questions_of_one_task_may_be_answered_one_after_the_other() -> None:
    """Where they are its own or of one task of a graph that it calls; else by their ids alone."""
    _, task = working()
    own = [Interrupt("?", interrupt_id(task.ns, number)) for number in range(2)]
    nested, other = Interrupt("?", "nested"), Interrupt("?", "other")
    task.interrupts = (nested,)
    assert ids_together(task) == {"nested"}

    task.together = frozenset(["nested"])
    task.interrupts = (own[0], nested)
    assert ids_together(task) == {own[0].id, "nested"}
    task.interrupts = (*own, nested)
    assert ids_together(task) == set()
    task.questions = Questions([Asked("a", "x"), Asked("b", "y")])
    assert ids_together(task) == {own[0].id, own[1].id, "nested"}
    task.interrupts = (nested, other)
    assert ids_together(task) == set()


def test_calls_are_told_by_their_order_where_they_were() -> None:
    """In a task that a program stopped which knows no strands."""
    asked = (INTERRUPT, ())

    assert pending_writes.is_counted({TASK: [asked]}, TASK)
    assert not pending_writes.is_counted(stored(Questions([]), [], asked), TASK)
    assert not pending_writes.is_counted({TASK: [("log", 1)]}, TASK)
    assert not pending_writes.is_counted({}, TASK)


def test_the_numbers_of_nested_graphs_are_found_by_place() -> None:
    all_known = {
        record_id(TASK, str(number)): place_record(TASK, place, number)
        for number, place in ((2, "a"), (0, "a"), (1, "b"))
    }

    assert read_places({**all_known, "2": [("log", 1)]}) == {TASK: {"a": [0, 2], "b": [1]}}


def working(**options: Any) -> Any:
    """Return a machine in a superstep, and the one task of it."""
    machine = begun(graph([node("work")], {"log": log()}), *to("work"), **options)
    (task,) = planned(machine)
    return machine, task


def test_calls_of_strands_have_ids_of_their_own() -> None:
    """They do not depend on the order in which strands call."""
    called = node("call")

    def ids(*places: str) -> list[tuple[str, str]]:
        machine, task = working()
        calls = [machine.call(task, called, ((), {}), place) for place in places]
        assert [call.path[2] for call in calls] == list(range(len(places)))
        return sorted((place, call.id) for place, call in zip(places, calls, strict=True))

    first = ids("", "a", "b", "")

    assert ids("b", "", "", "a") == first
    assert len({id for _, id in first}) == 4


def test_calls_of_a_counted_task_have_their_number() -> None:
    first, task = working()
    called = node("call")
    expected = [first.call(task, called, ((), {})).id for _ in range(2)]
    machine = new_machine(first.spec, stored_writes=[(task.id, ERROR, "e")])
    machine.begin(to("work"))
    (again,) = planned(machine)
    machine._pending_writes = {again.id: [(ERROR, "e")]}

    assert [machine.call(again, called, ((), {}), place).id for place in "ab"] == expected
    assert machine.places_of(again) == {}
    assert machine.places_of(again) == {}


def test_a_task_that_runs_again_knows_what_it_asked() -> None:
    spec = graph([node("a")], {"log": log()})
    first = begun(spec, *to("a"))
    (task,) = planned(first)
    questions = Questions([Asked("x", "1"), Asked("y", "2")])
    question = Interrupt("q", interrupt_id(task.ns))
    first._pending_writes = {
        task.id: [(INTERRUPT, (question,))],
        record_id(task.id): questions_record(questions, [MISSING, "B"]),
    }

    assert recall(task, first.pending_writes, None, is_anew=False) == []

    assert task.questions is not None
    assert task.questions.asked == questions.asked
    assert (task.answers, task.asked, task.waiting) == ([MISSING, "B"], 2, [question])
