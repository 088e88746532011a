"""Print what a run asks, and read the answers from the terminal."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from millstream.cli.asking.conversation import Ask, Conversation, confirm
from millstream.cli.asking.reviews import decisions, is_review
from millstream.cli.asking.schemas import answer
from millstream.cli.live.paper import Line, Paper
from millstream.cli.output import Output
from millstream.cli.values import readable


def ask_all(questions: Sequence[Any], out: Output, paper: Paper) -> dict[str, Any] | None:
    """Ask one question after the other; return answers by id, None if somebody gave up."""
    answers = {}
    for number, question in enumerate(questions, 1):
        which = f" {number}/{len(questions)}" if len(questions) > 1 else ""
        _print(out, paper, ((f"? {which}".rstrip(), "bold yellow"), (" the run asks", "bold")))
        is_reviewed = is_review(question.value)
        shown = _without_configs(question.value) if is_reviewed else question.value
        for line in question_lines(shown):
            _print(out, paper, ((f"    {line}", ""),))
        if is_reviewed:
            conversation: Conversation[Any] = decisions(question.value)
        else:
            conversation = answer(question.response_schema)
        try:
            answers[question.id] = _hold(conversation, out, paper)
        except EOFError:
            out.write("\n")
            return None
    return answers


def ask_whether_to_go_on(next_nodes: Sequence[str], out: Output, paper: Paper) -> bool:
    """Ask whether a run goes on that has stopped before or after a node; false if not."""
    _print(out, paper, (("?", "bold yellow"), (f" next: {', '.join(next_nodes)}", "bold")))
    try:
        return bool(_hold(confirm("go on", default=True), out, paper))
    except EOFError:
        out.write("\n")
        return False


def question_lines(value: Any) -> Iterator[str]:
    """Yield a question, whole: whoever answers has to see all of it."""
    if isinstance(value, str):
        yield from value.split("\n")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(item, str) and "\n" not in item:
                yield f"{key}: {item}"
            else:
                first, *rest = question_lines(item if isinstance(item, str) else _indented(item))
                yield f"{key}: {first}"
                yield from (f"  {line}" for line in rest)
    else:
        yield from _indented(value).split("\n")


def _hold(conversation: Conversation[Any], out: Output, paper: Paper) -> Any:
    """Hold a conversation to its end; `EOFError` if it was given up."""
    with _line_editing():
        try:
            ask = next(conversation)
            while True:
                ask = conversation.send(_read(ask, out, paper))
        except StopIteration as end:
            return end.value


def _read(ask: Ask, out: Output, paper: Paper) -> str:
    for note in ask.notes:
        _print(out, paper, ((note, "dim"),))
    # The editor of the line has to know what stands before it, and how wide that is: no codes.
    return input(paper.flat(f"{ask.label}:") + " ")


@contextlib.contextmanager
def _line_editing() -> Iterator[None]:
    """Let what is typed be edited; it is kept in no history."""
    try:
        import readline
    except ImportError:  # not on Windows
        yield
        return
    automatic = getattr(readline, "set_auto_history", lambda wanted: None)
    automatic(False)
    try:
        yield
    finally:
        automatic(True)


def _print(out: Output, paper: Paper, line: Line) -> None:
    out.write(paper.written(line) + "\n")
    out.flush()


def _without_configs(question: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a review is about: the calls themselves are asked for one by one."""
    described = [
        each["description"] for each in question["action_requests"] if each.get("description")
    ]
    return {"tool calls": "\n".join(map(str, described))} if described else {}


def _indented(value: Any) -> str:
    from millstream.modes.jsonable import to_jsonable

    plain = to_jsonable(readable(value, str))
    return json.dumps(plain, ensure_ascii=False, indent=2)


def is_attended() -> bool:
    """Return whether somebody can be asked: a terminal is read and written."""
    return (
        sys.stdin is not None
        and sys.stdout is not None
        and sys.stdin.isatty()
        and sys.stdout.isatty()
    )
