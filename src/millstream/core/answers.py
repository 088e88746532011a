"""What a person answered, and which question gets it.

A question is one call of `interrupt` in a task. The k-th answer a task was given is kept with the
task, so when the task runs again from its top, the k-th call gets the k-th answer. A new answer
either names its question by id, or is one bare value for the only question that waits; the bare
value goes to the first task that asks beyond what it was answered before.
"""

from __future__ import annotations

import string
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from millstream.constants import MISSING, Missing
from millstream.errors import UnknownInterruptError
from millstream.types import interrupt_id

ID_LENGTH: Final = 32
HEX_DIGITS: Final = frozenset(string.hexdigits.lower())

AMBIGUOUS: Final = (
    "When there are multiple pending interrupts, you must specify the interrupt id when resuming. "
    "Docs: https://docs.langchain.com/oss/python/langgraph/interrupts"
    "#handling-multiple-interrupts."
)


class Answers:
    """The answers that one `Command(resume=...)` brought."""

    __slots__ = ("_bare", "_by_id", "_question", "_takers")

    def __init__(self, resume: Any) -> None:
        is_map = isinstance(resume, dict) and all(map(_is_id, resume))
        self._by_id: Mapping[str, Any] | None = resume if is_map else None
        self._bare: list[Any] = [] if is_map else [resume]
        self._question: str | None = None
        """The question that the bare value answers, when only one waits."""
        self._takers: Collection[str] | None = None
        """The ids of the tasks it waits in, None when anybody may take the bare value."""

    def check(self, pending: Mapping[str, Collection[str]], *, is_strict: bool) -> None:
        """Refuse answers that cannot be matched to the questions that wait.

        `pending` has the ids of the tasks that each question waits in, by its own id.
        `RuntimeError` for one bare value and several questions. When strict that is an
        `UnknownInterruptError`, as are ids of nothing that waits and a map without ids.
        """
        waiting = sorted(pending)
        if self._by_id is None:
            if len(waiting) > 1:
                if not is_strict:
                    raise RuntimeError(AMBIGUOUS)
                raise UnknownInterruptError(AMBIGUOUS, reason="ambiguous", pending_ids=waiting)
            if waiting:
                self._question, self._takers = waiting[0], pending[waiting[0]]
        elif is_strict:
            if not self._by_id:
                raise UnknownInterruptError(
                    "The resume map names no interrupt", reason="empty_map", pending_ids=waiting
                )
            unknown = sorted(self._by_id.keys() - set(waiting))
            if unknown:
                raise UnknownInterruptError(
                    f"Unknown or already-consumed interrupt: {unknown[0]}",
                    reason="not_pending",
                    interrupt_ids=unknown,
                    pending_ids=waiting,
                )

    def given_to(
        self, ns: str, recorded: Sequence[Any], asked: Collection[str], *, has_failed: bool = False
    ) -> list[Any]:
        """Return what a task that runs again starts with: its earlier answers, and a new one.

        `asked` are the questions that the task asked last as they were stored: in threads of older
        versions all questions of a task have the id of the first. One that is named by id after
        the task has failed with its answer gets a new answer.
        """
        answers = list(recorded)
        if answers and has_failed and self._by_id:
            last = interrupt_id(ns, len(answers) - 1)
            if last in asked and last in self._by_id:
                return [*answers[:-1], self._by_id[last]]
        name, first = interrupt_id(ns, len(answers)), interrupt_id(ns)
        for question in (name, first) if first in asked else (name,):
            if self._by_id and question in self._by_id:
                answers.append(self._by_id[question])
                break
            if question == self._question and self._bare:
                answers.append(self._bare.pop())
                break
        return answers

    def take(self, tasks: Iterable[str]) -> Any | Missing:
        """Take the bare value away; `MISSING` when there is none for any of these tasks.

        They are the one that asks and those it is nested in.
        """
        if self._takers is not None and not any(task in self._takers for task in tasks):
            return MISSING
        try:
            return self._bare.pop()
        except IndexError:
            return MISSING

    def expire(self) -> None:
        """Forget the bare value: the superstep whose question it answers is over."""
        self._bare.clear()


def _is_id(key: Any) -> bool:
    return isinstance(key, str) and len(key) == ID_LENGTH and HEX_DIGITS.issuperset(key)
