"""What a person answered, and which question gets it.

A question is one call of `interrupt` in a task. Its number is kept with the task, and with it the
answer: when the task runs again from its top, the call that has the number gets the answer. In a
task of one strand the k-th call has the number k, in others `strands` says which has it. A new
answer either names its question by id, or is one bare value for the only question that waits; the
bare value goes to the first task that asks beyond what it was answered before.
"""

from __future__ import annotations

import string
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from typing import Any, Final

from millstream._types.interrupts import interrupt_id
from millstream.constants import MISSING, Missing
from millstream.core.strands import is_open, put_answer
from millstream.errors import UnknownInterruptError

ID_LENGTH: Final = 32
HEX_DIGITS: Final = frozenset(string.hexdigits.lower())

AMBIGUOUS: Final = (
    "When there are multiple pending interrupts, you must specify the interrupt id when resuming. "
    "Docs: https://docs.langchain.com/oss/python/langgraph/interrupts"
    "#handling-multiple-interrupts."
)


EMPTY_MAP: Final = "The resume map names no interrupt"
EMPTY_ANSWER: Final = ". To answer with an empty dict, name the interrupt: Command(resume={id: {}})"


class Answers:
    """The answers that one `Command(resume=...)` brought."""

    __slots__ = ("_bare", "_by_id", "_question", "_takers")

    def __init__(self, resume: Any) -> None:
        # An empty dict counts as a map that names nobody: `check` says how to answer with one.
        is_map = isinstance(resume, dict) and all(map(_is_id, resume))
        self._by_id: Mapping[str, Any] | None = resume if is_map else None
        # A list, to be taken from by whichever thread comes first: `pop` is atomic.
        self._bare: list[Any] = [] if is_map else [resume]
        self._question: str | None = None
        """The question that the bare value answers, when only one waits."""
        self._takers: Collection[str] | None = None
        """The ids of the tasks it waits in, None when anybody may take the bare value."""

    def check(
        self,
        pending: Mapping[str, Collection[str]],
        *,
        together: Set[str] = frozenset(),
        past: Set[str] = frozenset(),
        is_strict: bool,
    ) -> None:
        """Refuse answers that cannot be matched to the questions that wait.

        `pending` has the ids of the tasks that each question waits in, by its own id. `together`
        are those that one task asks at the same time, as if it asked one after the other: a bare
        value is for the first of them. `past` are questions that were answered: to answer them
        again beside others does nothing.
        `RuntimeError` for one bare value and several questions. A map without ids, while something
        waits, is an `UnknownInterruptError`, as is one with unknown ids among others; when strict,
        also any other id of nothing that waits, and one bare value for several questions.
        """
        waiting = sorted(pending)
        if self._by_id is None:
            # With several the value could reach any of them, depending on which task asks first.
            if len(waiting) > 1:
                if is_strict:
                    raise UnknownInterruptError(AMBIGUOUS, reason="ambiguous", pending_ids=waiting)
                if not together >= set(waiting):
                    raise RuntimeError(AMBIGUOUS)
            if waiting:
                # The first that was stored, as `together` asks for.
                self._question = next(iter(pending))
                # Of several, another one may be asked first this time.
                self._takers = pending[self._question] if len(waiting) == 1 else ()
        # Where nothing waits an empty map is harmless: the run just goes on.
        elif not self._by_id:
            if waiting or is_strict:
                text = EMPTY_MAP if is_strict else EMPTY_MAP + EMPTY_ANSWER
                raise UnknownInterruptError(text, reason="empty_map", pending_ids=waiting)
        elif unknown := self._unknown(pending.keys(), past, is_strict=is_strict):
            raise UnknownInterruptError(
                f"Unknown or already-consumed interrupt: {unknown[0]}",
                reason="not_pending",
                interrupt_ids=unknown,
                pending_ids=waiting,
            )

    def _unknown(self, pending: Set[str], past: Set[str], *, is_strict: bool) -> list[str]:
        """Return the ids that name no question, as far as they are to be refused."""
        named = (self._by_id or {}).keys()
        unknown = named - pending
        if is_strict:
            return sorted(unknown)
        return [] if unknown == named else sorted(unknown - past)

    def given_to(
        self,
        ns: str,
        recorded: Sequence[Any],
        asked: Collection[str],
        *,
        count: int = 0,
        has_failed: bool = False,
    ) -> list[Any]:
        """Return what a task that runs again starts with: its earlier answers, and new ones.

        `asked` are the questions that the task asked last as they were stored: in threads of older
        versions all questions of a task have the id of the first, so that one which is answered and
        waits is a later one. `count` is how many the task is known to have asked. One that is named
        by id after the task has failed with its answer gets a new answer.
        """
        answers, first = list(recorded), interrupt_id(ns)
        has_replaced = has_failed and self._replace(ns, answers, asked)
        is_older = first in asked and not is_open(answers, 0) and not has_replaced
        size = len(answers)
        # One more than is known: a task's own code asks one question at a time, so the one that
        # waits has the next number.
        for number in range(max(count, size + 1)):
            if not is_open(answers, number):
                continue
            answer = self._named(interrupt_id(ns, number))
            # In an older thread the question that waits has the id of the first.
            if answer is MISSING and number == size and is_older:
                answer = self._named(first)
            if answer is not MISSING:
                put_answer(answers, number, answer)
        return answers

    def _replace(self, ns: str, answers: list[Any], asked: Collection[str]) -> bool:
        """Put new answers in place of those that made their task fail; say whether there were."""
        given, has_replaced = self._by_id or {}, False
        for number, answer in enumerate(answers if given else ()):
            question = interrupt_id(ns, number)
            if answer is not MISSING and question in asked and question in given:
                answers[number] = given[question]
                has_replaced = True
        return has_replaced

    def _named(self, question: str) -> Any | Missing:
        """Return the answer to a question, `MISSING` without one; a bare value is taken away."""
        if self._by_id and question in self._by_id:
            return self._by_id[question]
        return self._bare.pop() if question == self._question and self._bare else MISSING

    def take_named(self, question: str) -> Any | Missing:
        """Return the answer to a question, `MISSING` without one; a bare value is taken away."""
        return self._named(question)

    @property
    def ids(self) -> frozenset[str] | None:
        """The questions that were answered by their ids, None for one bare value."""
        return None if self._by_id is None else frozenset(self._by_id)

    @property
    def question(self) -> str | None:
        """The question that the bare value answers, when only one waits."""
        return self._question

    def take(self, tasks: Iterable[str], *, is_own: bool = True) -> Any | Missing:
        """Take the bare value away; `MISSING` when there is none for any of these tasks.

        They are the one that asks and those it is nested in. A strand that is not the task's `own`
        code takes no value that is meant for a question.
        """
        if self._takers is not None and not (is_own and any(t in self._takers for t in tasks)):
            return MISSING
        try:
            return self._bare.pop()
        # Another task, perhaps of another thread, was faster.
        except IndexError:
            return MISSING

    def expire(self) -> None:
        """Forget the bare value: the superstep whose question it answers is over."""
        self._bare.clear()


def _is_id(key: Any) -> bool:
    return isinstance(key, str) and len(key) == ID_LENGTH and HEX_DIGITS.issuperset(key)
