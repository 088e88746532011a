"""Questions of a run are answered where they are asked, or the command says how to answer them."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect
import pytest

from cli.conftest import Called

SHOP = """
import threading
from typing import Any, Literal

from pydantic import BaseModel, field_validator
from typing_extensions import TypedDict

from millstream.checkpoint.memory import InMemorySaver
from millstream.graph import START, StateGraph
from millstream.types import interrupt


class State(TypedDict, total=False):
    item: str
    answer: Any
    lock: Any


class Terms(BaseModel):
    count: int
    pay: Literal["now", "later"]


def asks(*questions, before=()):
    def order(state):
        return {"answer": [interrupt(value, **more) for value, more in questions]}

    builder = StateGraph(State).add_node(order).add_edge(START, "order")
    return builder


class Even(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def is_even(cls, number):
        if number % 2:
            raise ValueError("this is \x1b[8m odd")
        return number


picky = asks(("Even?", {"response_schema": Even}))
freely = asks(("Buy \\x1b[8m it?", {}))
formed = asks(("Which terms?", {"response_schema": Terms}))
strict = asks(("How many?", {"response_schema": {"type": "integer"}}))
saved = freely.compile(checkpointer="threads.db")
stopping = freely.compile(checkpointer="threads.db", interrupt_before=["order"])
fleeting = freely.compile(checkpointer=InMemorySaver())


def locked(state):
    return {"lock": threading.Lock()}


unstorable = asks(("Go on?", {})).add_node(locked).add_edge(START, "locked")


def ask(state):
    return {"item": interrupt("Sure?")}


twice = StateGraph(State).add_node("one", ask).add_node("two", asks(("Two?", {})).compile())
twice = twice.add_edge(START, "one").add_edge(START, "two")
"""

OnTerminal = Callable[..., Called]


@pytest.fixture(autouse=True)
def shop(folder: Path) -> None:
    """Put the graphs into the current directory."""
    (folder / "shop.py").write_text(SHOP, encoding="utf-8")


def states(out: str) -> list[Any]:
    return [json.loads(line)["data"] for line in out.splitlines()]


def test_a_question_is_asked_and_the_run_goes_on(on_terminal: OnTerminal) -> None:
    called = on_terminal("run", "shop.py:freely", "-m", "values")

    called.expect(r"^    Buy ␛\[8m it\?")
    called.expect(r"^answer \(text or JSON\):")
    called.type("yes")

    assert called.wait() == 0
    assert "answer: ['yes']" in called.terminal.text
    assert any(line.startswith("order ") for line in called.terminal.lines[-4:])


def test_a_form_asks_until_what_is_typed_fits(on_terminal: OnTerminal) -> None:
    called = on_terminal("run", "shop.py:formed", "-m", "values")

    called.expect("^count .a whole number.:")
    called.type("many")
    called.expect("^type a whole number")
    called.type("3")
    called.expect(r"^  2  later")
    called.type("2")

    assert called.wait() == 0
    assert "Terms(count=3, pay='later')" in called.terminal.text


def test_questions_of_parallel_tasks_are_asked_one_by_one(on_terminal: OnTerminal) -> None:
    called = on_terminal("run", "shop.py:twice", "-m", "values", "--checkpointer", "threads.db")

    called.expect("1/2 the run asks")
    called.type("first")
    called.expect("2/2 the run asks")
    called.type("second")

    assert called.wait() == 0
    assert "Sure?" in called.terminal.text
    assert "Two?" in called.terminal.text


def test_a_state_that_no_saver_can_store_is_no_hindrance(on_terminal: OnTerminal) -> None:
    called = on_terminal("run", "shop.py:unstorable")
    called.expect("answer")
    called.type("yes")

    assert called.wait() == 0


def test_an_answer_that_the_graph_refuses_is_asked_for_again(on_terminal: OnTerminal) -> None:
    called = on_terminal("run", "shop.py:picky", "-m", "values", width=200)

    called.expect("^number .a whole number.:")
    called.type("1")
    called.expect("^refused: .*this is ␛")
    called.expect("(?s)refused.*^number .a whole number.:")
    called.type("2")

    assert called.wait() == 0
    assert "Even(number=2)" in called.terminal.text


def test_what_is_not_answered_now_is_asked_again_later(on_terminal: OnTerminal) -> None:
    called = on_terminal("run", "shop.py:saved", "-t", "1")
    called.expect("^answer")
    called.type("\x04")
    assert called.wait() == 0
    assert "millstream run shop.py:saved --thread 1 --resume" in called.terminal.text

    again = on_terminal("run", "shop.py:saved", "-t", "1", "-m", "values")
    again.expect("^answer")
    again.type("at last")
    assert again.wait() == 0
    assert "answer: ['at last']" in again.terminal.text


def test_a_run_that_stops_before_a_node_is_gone_on_with(on_terminal: OnTerminal) -> None:
    called = on_terminal("run", "shop.py:stopping")

    called.expect("^. next: order")
    called.type("")
    called.expect("^answer")
    called.type("yes")

    assert called.wait() == 0


def test_without_a_terminal_the_command_that_answers_is_printed_and_works(millstream: Any) -> None:
    asked = millstream("run", "shop.py:freely", "-t", "1", "--checkpointer", "threads.db")
    assert asked.code == 0
    command = shlex.split(asked.out.splitlines()[-1])
    assert command[:3] == ["millstream", "run", "shop.py:freely"]
    assert command[-2:] == ["--resume", '"..."']

    answered = millstream(*command[1:-1], '"yes"', "--json", "-m", "values")

    assert states(answered.out)[-1] == {"answer": ["yes"]}
    assert (answered.code, answered.err) == (0, "")


def test_programs_find_the_command_on_stderr(millstream: Any) -> None:
    asked = millstream("run", "shop.py:saved", "--json", "-m", "updates")

    assert [list(each) for each in states(asked.out)] == [["__interrupt__"]]
    assert "--resume" in asked.err


@pytest.mark.parametrize("graph", ["freely", "fleeting"])
def test_what_nothing_keeps_cannot_go_on(millstream: Any, graph: str) -> None:
    outcome = millstream("run", f"shop.py:{graph}")

    assert "give --checkpointer PATH" in outcome.out
    assert "--resume" not in outcome.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["freely", "-r", "1", "-i", "{}"], "--resume answers what was asked, --input begins"),
        (["saved", "-r", "1"], "--resume needs --thread"),
        (["freely", "-t", "1"], "has no saver, so no thread of it is kept; give --checkpointer"),
        (["freely", "-t", "1", "-r", "1"], "has no saver, so no thread of it is kept; give"),
        (
            ["saved", "-t", "1", "-c", '{"configurable": {"thread_id": "2"}}'],
            "--thread names '1', and",
        ),
        (["freely", "--checkpointer", "none/x.db"], "--checkpointer none/x.db: No saver can be at"),
        (["freely", "--checkpointer", "redis://u:secret@h"], "is no address that a saver is for"),
        (["saved", "-r", "{"], "--resume is not JSON"),
    ],
)
def test_what_cannot_be_asked_for_is_one_line(
    millstream: Any, arguments: list[str], said: str
) -> None:
    complaint = millstream("run", f"shop.py:{arguments[0]}", *arguments[1:]).complaint
    assert said in complaint
    assert "secret" not in complaint


def test_a_thread_that_waits_is_not_given_something_new(millstream: Any) -> None:
    millstream("run", "shop.py:saved", "-t", "1")

    complaint = millstream("run", "shop.py:saved", "-t", "1").complaint
    assert complaint.startswith("thread '1' waits for an answer: millstream run shop.py:saved")
    assert millstream("run", "shop.py:saved", "-t", "1", "-i", "{}").code == 0


def test_state_and_history_tell_what_is_kept(millstream: Any) -> None:
    evil = "\x1b]0;title\x07"
    place = ("--checkpointer", "threads.db", "-t", evil)
    millstream("run", "shop.py:freely", *place, "-i", json.dumps({"item": evil}))

    shown = millstream("state", "shop.py:freely", *place)
    (known,) = map(
        json.loads, millstream("state", "shop.py:freely", *place, "--json").out.splitlines()
    )
    rows = [
        json.loads(line)
        for line in millstream("history", "shop.py:freely", *place, "--json").out.splitlines()
    ]
    table = millstream("history", "shop.py:freely", *place, "--limit", "1")

    assert "\x1b" not in shown.out + table.out
    assert "next: order" in shown.out.splitlines()
    assert "  item: ␛]0;title␇" in shown.out.splitlines()
    assert "  Buy ␛[8m it?" in shown.out.splitlines()
    assert (known["thread_id"], known["values"], known["next"]) == (evil, {"item": evil}, ["order"])
    assert [row["step"] for row in rows] == [0, -1]
    assert len(table.out.splitlines()) == 2
    older = millstream("state", "shop.py:freely", *place, "--checkpoint", rows[1]["checkpoint_id"])
    assert "step: -1" in older.out.splitlines()


@pytest.mark.parametrize("command", ["state", "history"])
def test_a_thread_that_is_not_there_is_said(millstream: Any, command: str) -> None:
    assert "has no saver; give" in millstream(command, "shop.py:freely", "-t", "1").complaint
    missing = millstream(command, "shop.py:saved", "-t", "none")
    assert "has kept nothing of thread 'none'" in missing.complaint


@pytest.mark.parametrize("command", ["state", "history"])
@pytest.mark.parametrize("place", ["threads.db", "postgresql://ada:secret@host/mill"])
def test_what_keeps_threads_in_the_place_of_the_graph_is_told_from_one(
    millstream: Any, command: str, place: str
) -> None:
    told = millstream(command, place, "-t", "1").complaint

    assert "is no graph, but what keeps threads; give a graph, and this with --checkpointer" in told
    assert "`millstream threads show " in told
    assert "secret" not in told


def test_a_person_at_a_real_terminal_answers(folder: Path) -> None:
    process = pexpect.spawn(
        sys.executable,
        ["-m", "millstream.cli", "run", "shop.py:saved", "-t", "1", "-m", "values"],
        dimensions=(24, 80),
        encoding="utf-8",
        env={**os.environ, "TERM": "xterm"},
        timeout=100,
    )
    process.expect(r"answer \(text or JSON\): ")
    process.sendline("yes, x\x7fplease")
    process.expect(r"answer: \['yes, please'\]")
    process.expect(pexpect.EOF)
    process.close()
    assert process.exitstatus == 0
