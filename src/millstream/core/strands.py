"""Strands: code of one task that runs side by side, and what tells its parts from each other.

A task's own code does one thing after the other, so the order in which it asks, calls tasks and
calls graphs says which is which when it runs again. Threads and asyncio tasks that it starts have
no order between them. Each is a strand with a key made of what will be the same again: the tool
call it carries out, or its function and arguments. The order counts only within a strand.

What the strands of a task asked is kept in a record beside its writes, under an id of its own:
other readers of the thread do not know the id and pass it by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import xxhash

from millstream.constants import MISSING, RESUME

if TYPE_CHECKING:
    from millstream.core.protocol import Write

ASKED: Final = "__asked__"
ANSWERS: Final = "__answers__"
COUNTED: Final = "__counted__"
PLACE: Final = "__place__"
NUMBER: Final = "__number__"
TASK: Final = "__task__"
TOGETHER: Final = "__together__"
STOPPED: Final = "__stopped__"


@dataclass(frozen=True, slots=True)
class Strand:
    """Code of a task that nothing else of the task runs between."""

    key: str = ""
    """What tells it from the other strands; empty for the task's own code."""
    is_named: bool = True
    """No other strand has the key. Where several may have it, what they ask for counts too."""

    def place(self, facts: Callable[[], str]) -> str:
        """Return the key, with the facts of a single question or call where they are needed."""
        return self.key if self.is_named else f"{self.key}:{facts()}"


OWN: Final = Strand()
"""The task's own code."""


class Asked(NamedTuple):
    """Who asked a question of a task, and what."""

    place: str | None
    """Where in the task; None if that is not known, as in threads of other programs."""
    text: str | None
    """Stands for what was asked; None if that is not known either."""


class Questions:
    """Which question of a task has which number, when more than one strand asks.

    Numbers are given in the order of the first asking. A question that is asked again has its
    number by its place, whoever asks first this time.
    """

    __slots__ = ("_taken", "asked", "is_counted")

    def __init__(self, asked: Iterable[Asked], *, is_counted: bool = False) -> None:
        self.asked = list(asked)
        self.is_counted = is_counted
        """The task's calls have been told by their order alone, and still are."""
        self._taken: set[int] = set()
        """Those that this attempt has asked."""

    def begin(self, own: int = 0) -> None:
        """Begin an attempt whose own code has asked the first `own` of the questions."""
        self._taken = set(range(own))

    def number(self, place: str, text: str) -> int:
        """Return the number of the question that is asked now."""
        # A question is asked once in an attempt: what this one has asked already is somebody
        # else's.
        free = [n for n in range(len(self.asked)) if n not in self._taken]
        # From sure to unsure: asked at this place before, then what might have been.
        found = [n for n in free if self.asked[n].place == place]
        found = found or [n for n in free if _may_be(self.asked[n], place, text)]
        # Strands that cannot be told apart may still ask different things.
        found = [n for n in found if self.asked[n].text == text] or found
        number = found[0] if found else len(self.asked)
        if found:
            # What was not known of it is known now, and what it says may have changed.
            self.asked[number] = Asked(place, text)
        else:
            self.asked.append(Asked(place, text))
        self._taken.add(number)
        return number


def _may_be(asked: Asked, place: str, text: str) -> bool:
    """Say whether a question of which little is known may be this one."""
    # A thread of another program says nothing of places. The task's own code is likeliest to have
    # asked; a strand must at least ask the same.
    return asked.place is None and (place == OWN.key or asked.text in (None, text))


def record_id(task_id: str, name: str = ASKED) -> str:
    """Return the id under which a record of a task is stored."""
    # Derived, so that a record is overwritten by the next of its kind and found without a search.
    digest = xxhash.xxh3_128_hexdigest(f"{task_id}{name}".encode())
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:]}"


def is_open(answers: Sequence[Any], number: int) -> bool:
    """Say whether the question of a number has no answer."""
    return number >= len(answers) or answers[number] is MISSING


def put_answer(answers: list[Any], number: int, answer: Any) -> None:
    """Answer the question of a number; those before it that have no answer stay open."""
    answers += [MISSING] * (number + 1 - len(answers))
    answers[number] = answer


def answered_prefix(answers: Sequence[Any]) -> list[Any]:
    """Return the answers before the first question that has none."""
    holes = (number for number, answer in enumerate(answers) if answer is MISSING)
    return list(answers[: next(holes, len(answers))])


def questions_record(questions: Questions, answers: Sequence[Any]) -> list[Write]:
    """Return what is stored of a task's questions, besides the answers that have no gap."""
    start = len(answered_prefix(answers))
    later = {
        # Keys of a dict that goes through JSON are texts.
        str(number): answers[number]
        for number in range(start, len(answers))
        if not is_open(answers, number)
    }
    asked = [list(asked) for asked in questions.asked]
    record = {ASKED: asked, ANSWERS: later, COUNTED: questions.is_counted}
    return [(RESUME, [record])]


def read_questions(writes: Sequence[Write] | None) -> tuple[Questions, Mapping[str, Any]] | None:
    """Return what is stored of a task's questions, None for one with a single strand."""
    record = _record(writes)
    if record is None:
        return None
    asked = [Asked(*asked) for asked in record[ASKED]]
    return Questions(asked, is_counted=record[COUNTED]), record[ANSWERS]


def place_record(task_id: str, place: str, number: int) -> list[Write]:
    """Return what is stored of the place from which a task called its graph with the number."""
    # As an answer: savers replace one that is stored again, where of other writes the first stays,
    # and other readers look for answers under ids of tasks alone.
    return [(RESUME, [{TASK: task_id, PLACE: place, NUMBER: number}])]


def read_places(known: Mapping[str, Sequence[Write]]) -> dict[str, dict[str, list[int]]]:
    """Return the numbers of the graphs that strands called: by task, then by place."""
    places: dict[str, dict[str, list[int]]] = {}
    for writes in known.values():
        record = _record(writes)
        if record is not None and PLACE in record:
            numbers = places.setdefault(record[TASK], {}).setdefault(record[PLACE], [])
            numbers.append(record[NUMBER])
            # By number, because they are given in order of calling, and savers may list writes in
            # any.
            numbers.sort()
    return places


def together_record(ids: Iterable[str]) -> list[Write]:
    """Return what is stored of questions that may be answered as if one came after the other."""
    return [(RESUME, [{TOGETHER: sorted(ids)}])]


def read_together(writes: Sequence[Write] | None) -> set[str]:
    """Return the ids of such questions of a task."""
    record = _record(writes)
    return set() if record is None else set(record[TOGETHER])


def stop_record() -> list[Write]:
    """Return what is stored of a run that has stopped at a breakpoint."""
    return [(RESUME, [{STOPPED: True}])]


def _record(writes: Sequence[Write] | None) -> dict[str, Any] | None:
    """Return the record among writes; answers of tasks are no records."""
    if not writes or len(writes) != 1 or writes[0][0] != RESUME:
        return None
    value = writes[0][1]
    is_record = isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict)
    return value[0] if is_record else None
