"""Questions of the code of a task: which one it asks, its answer, and all that stop the task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from millstream._types.interrupts import interrupt_id
from millstream.constants import MISSING, Missing
from millstream.core.pending_writes import is_counted
from millstream.core.strands import OWN, Asked, Questions, Strand, is_open, put_answer
from millstream.core.tasks import ids_together
from millstream.drivers.context import ASKING
from millstream.drivers.current_strand import strand_of, text_of
from millstream.errors import GraphInterrupt

if TYPE_CHECKING:
    from millstream.core.tasks import Task
    from millstream.drivers.context import TaskContext


class Question(NamedTuple):
    """A question that code of a task asks now."""

    number: int
    place: str
    """Which strand asks it; empty for the task's own code."""
    answer: Any | Missing = MISSING


def find_answer(context: TaskContext, value: Any, strand: Strand | None = None) -> Question:
    """Return which question this is, and its answer, if it has one or gets one now.

    It is asked by the strand of the code that calls this, if nobody says otherwise.
    """
    task = context.task
    if strand is None:
        # Without a saver no task runs again, and there is nothing to tell apart.
        strand = OWN if context.run.saver is None else strand_of(context)
    place = strand.place(partial(text_of, value))
    text = text_of(value) if place else ""
    with ASKING:
        if task.answers is None:
            task.answers = []
        answers, number = task.answers, context.asked
        context.asked = number + 1
        # The first question that is not the task's own: from now on numbers go by place.
        if place and task.questions is None:
            _distinguish_strands(context, number)
        if task.questions is not None:
            number = task.questions.number(place, text)
        if is_open(answers, number) and task.machine.answers is not None:
            answer = task.machine.answers.take(tasks_around(context), is_own=not place)
            if answer is not MISSING:
                put_answer(answers, number, answer)
        # An answer that was given and never asked for is not kept.
        task.asked = max(task.asked, min(number + 1, len(answers)))
        if not is_open(answers, number):
            return Question(number, place, answers[number])
        # A task's own code asks one question at a time: whatever it ignored, this comes next.
        return Question(number if task.questions is not None else len(answers), place)


def answers_of(context: TaskContext) -> list[Any]:
    """Return the answers of a task, the list that questions look into."""
    task = context.task
    with ASKING:
        if task.answers is None:
            task.answers = []
        return task.answers


def record_strands(context: TaskContext) -> None:
    """Take note that more than the task's own code asks or calls."""
    with ASKING:
        if context.task.questions is None:
            _distinguish_strands(context, context.asked)


def _distinguish_strands(context: TaskContext, own: int) -> None:
    """Tell strands apart from now on, after the task's own code has asked some questions.

    A thread that was saved without knowing them has numbers, and says what it asked last.
    """
    task = context.task
    count = len(task.answers or ())
    texts = {question.id: text_of(question.value) for question in task.waiting}
    names = [interrupt_id(context.ns, number) for number in range(count + 1)]
    if count > 1:
        texts.pop(names[0], None)  # old versions gave this id to every question of a task
    size = count + (names[count] in texts)
    asked = [Asked(OWN.key, "")] * own
    asked += [Asked(None, texts.get(names[number])) for number in range(own, size)]
    task.questions = Questions(asked, is_counted=is_counted(task.machine.pending_writes, task.id))
    task.questions.begin(own)


def forget_answer(context: TaskContext, number: int) -> None:
    """Take back an answer that does not fit: the question is open again."""
    task = context.task
    assert task.answers is not None, "a question that was answered has answers"
    if task.questions is None:
        # Those after it were answers to questions that come after this one.
        del task.answers[number:]
        task.asked = number
    else:
        task.answers[number] = MISSING


def record_questions(context: TaskContext, questions: Iterable[Any]) -> None:
    """Take note of what a strand asks, which may not be all that stops the task."""
    with ASKING:
        known = context.open_questions
        context.open_questions = {**known, **{question.id: question for question in questions}}


def record_nested_questions(context: TaskContext, tasks: Iterable[Task]) -> None:
    """Take note how a graph's questions may be answered, which stop the task that called it.

    Those of one task of the graph, one by one; those of several tasks by their ids alone.
    """
    asking = [task for task in tasks if task.interrupts]
    # Tasks of one superstep have no order in which a person could answer them.
    if len(asking) == 1:
        context.record_together(ids_together(asking[0]))


def record_together(context: TaskContext, ids: Set[str]) -> None:
    """Take note of questions that may be answered as if one came after the other."""
    with ASKING:
        context.task.together = context.task.together | ids


def record_progress(context: TaskContext) -> None:
    """Note in the tasks around that this one has got its answers, and what it asks instead."""
    task, around = context.task, context.parent
    if around is not None and task.waiting and (task.is_done or task.interrupts):
        answered = {question.id for question in task.waiting}
        around.record_answered(answered, task.interrupts)


def record_answered(context: TaskContext, answered: Set[str], asked: Sequence[Any]) -> None:
    """Note in a task, and in those around it, which of its questions have got their answers."""
    around: TaskContext | None = context
    while around is not None:
        with ASKING:
            caller = around.task
            known = caller.waiting if caller.still_waiting is None else caller.still_waiting
            kept = [question for question in known if question.id not in answered]
            caller.still_waiting = [*kept, *asked]
        around = around.parent


def all_questions(context: TaskContext, passed_on: Sequence[Any]) -> tuple[Any, ...]:
    """Return what stopped the task, and what its other strands had asked by then."""
    if not context.open_questions or not passed_on:
        return tuple(passed_on)
    # In the order in which they reach the run, and each once.
    first = {question.id: question for question in passed_on}
    return tuple({**first, **context.open_questions}.values())


def interrupt_in(error: BaseException) -> GraphInterrupt | None:
    """Return a group of nothing but questions, as a `TaskGroup` raises it, as one interrupt."""
    errors = list(_members(error))
    asking = [member for member in errors if isinstance(member, GraphInterrupt)]
    # Where something has failed beside the questions, that is what counts.
    if not asking or len(asking) < len(errors):
        return None
    return GraphInterrupt([question for signal in asking for question in signal.args[0]])


def _members(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors of a group, of the package for Python 3.10 too; else the error itself."""
    members = getattr(error, "exceptions", None)
    if not isinstance(members, tuple):
        yield error
        return
    for member in members:
        yield from _members(member)


def tasks_around(context: TaskContext) -> Iterator[str]:
    """Yield the ids of a task and of those it is nested in."""
    current: TaskContext | None = context
    while current is not None:
        yield current.task.id
        current = current.parent
