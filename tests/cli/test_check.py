"""`millstream check` says what is wrong with graphs, and its exit code whether something is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
from typing_extensions import TypedDict

from millstream.graph import START, StateGraph


class State(TypedDict):
    question: str
    answer: str


def reply(state: State):
    return {"anser": state["question"]}


def good(state: State):
    return {"answer": state["question"]}


def made(node):
    return StateGraph(State).add_node("reply", node).add_edge(START, "reply")


bad = made(reply)
right = made(good).compile()
stopping = made(good).compile(interrupt_before=["reply"])
unmade = made(good).add_edge("reply", "nobody")
"""


@pytest.fixture(autouse=True)
def program(folder: Path) -> Path:
    file = folder / "app.py"
    file.write_text(PROGRAM, encoding="utf-8")
    return file


def test_an_error_has_its_place_and_advice(millstream: Any) -> None:
    outcome = millstream("check", "app.py:bad")

    assert outcome.code == 1
    assert outcome.err == ""
    assert outcome.out.splitlines() == [
        "app.py:13: error: node 'reply' returns 'anser', which no state class of the graph has: "
        "it is lost [unknown-key]",
        "    did you mean 'answer'?",
        "app.py:bad: 1 error, 0 warnings",
    ]


def test_a_graph_that_is_right_ends_with_0(millstream: Any) -> None:
    outcome = millstream("check", "app.py:right")

    assert (outcome.code, outcome.out) == (0, "app.py:right: nothing found\n")


def test_warnings_fail_only_when_they_are_to(millstream: Any) -> None:
    outcome = millstream("check", "app.py:stopping")

    assert outcome.code == 0
    # What is about the whole graph is where the graph is named.
    assert outcome.out.startswith("app.py:26: warning: the graph stops at 'reply'")
    assert outcome.out.endswith("app.py:stopping: 0 errors, 1 warning\n")
    assert millstream("check", "--strict", "app.py:stopping").code == 1
    assert millstream("check", "--strict", "app.py:right").code == 0


def test_several_graphs_are_checked(millstream: Any) -> None:
    outcome = millstream("check", "app.py:right", "app.py:bad")

    assert outcome.code == 1
    assert "app.py:right: nothing found\n" in outcome.out
    assert outcome.out.endswith("app.py:bad: 1 error, 0 warnings\n")


def test_a_file_without_a_name_stands_for_all_its_graphs(millstream: Any) -> None:
    outcome = millstream("check", "app.py")

    assert outcome.code == 0
    assert outcome.out.startswith("app.py:right: nothing found\n")
    assert outcome.out.endswith("app.py:stopping: 0 errors, 1 warning\n")


def test_a_code_can_be_left_out(millstream: Any) -> None:
    assert millstream("check", "app.py:bad", "--ignore", "unknown-key").code == 0
    assert "no code 'unknown'" in millstream("check", "app.py:bad", "--ignore", "unknown").complaint


def test_json_has_all_that_is_known(millstream: Any, program: Path) -> None:
    outcome = millstream("check", "app.py:bad", "--json")

    assert outcome.code == 1
    assert json.loads(outcome.out) == {
        "findings": [
            {
                "target": "app.py:bad",
                "code": "unknown-key",
                "severity": "error",
                "file": str(program),
                "line": 13,
                "graph": [],
                "message": "node 'reply' returns 'anser', which no state class of the graph has: "
                "it is lost",
                "advice": "did you mean 'answer'?",
            }
        ],
        "checked": ["app.py:bad"],
        "errors": 1,
        "warnings": 0,
    }


def test_a_graph_that_does_not_compile_is_a_finding(millstream: Any, folder: Path) -> None:
    outcome = millstream("check", "app.py:unmade")

    assert outcome.code == 1
    assert "error: Found edge ending at unknown node `nobody`" in outcome.out
    assert "[does-not-compile]" in outcome.out

    (folder / "broken.py").write_text(PROGRAM + "graph = unmade.compile()\n", encoding="utf-8")
    outcome = millstream("check", "broken.py:graph")

    assert outcome.code == 1
    assert outcome.out.startswith("broken.py:28: error: Found edge ending at unknown node")


def test_what_cannot_be_checked_is_bad_usage(millstream: Any) -> None:
    assert "no such file" in millstream("check", "nothing.py:graph").complaint
    assert "no 'grph'" in millstream("check", "app.py:grph").complaint


def test_a_module_that_fails_for_other_reasons_is_no_finding(millstream: Any, folder: Path) -> None:
    (folder / "failing.py").write_text("1 / 0\n", encoding="utf-8")

    assert "ZeroDivisionError" in millstream("check", "failing.py:graph").complaint
