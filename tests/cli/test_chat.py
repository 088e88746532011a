"""The chat example answers, remembers and calculates, with and without a real client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from guide.openai_server import HangUp, ToolCall, serve

EXAMPLES = Path(__file__).parents[2] / "examples"
CHAT = str(EXAMPLES / "chat.py")
UNSET = ("OPENAI_API_KEY", "CHAT_MODEL")


def run(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in UNSET}
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        env={**inherited, "PYTHONIOENCODING": "utf-8", **environment},
        check=False,
    )


def turn(text: str, *options: str, **environment: str) -> list[str]:
    """Return the lines that `millstream run` prints for one turn."""
    asked = json.dumps({"messages": text})
    command = ["-m", "millstream.cli", "run", f"{CHAT}:graph", "-i", asked, "-m", "messages"]
    done = run(*command, *options, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_a_turn_with_the_local_model_calls_the_tool() -> None:
    *lines, summary = turn("What is 12 * (3 + 4)?")

    assert lines == [
        "● messages chat",
        'calls calculate {"expression": "12 * (3 + 4)"}',
        "● messages tools (tool calculate)",
        "84",
        "● messages chat",
        "That makes 84.",
    ]
    assert summary.startswith("done: ")


def test_json_has_an_object_for_each_token() -> None:
    events = [json.loads(line) for line in turn("My name is Ada.", "--json")]

    assert {(event["mode"], event["data"][1]["langgraph_node"]) for event in events} == {
        ("messages", "chat")
    }
    tokens = [event["data"][0]["content"] for event in events]
    assert [token for token in tokens if token] == ["Nice ", "to ", "meet ", "you, ", "Ada."]


def test_a_conversation_is_remembered_until_a_new_one_begins() -> None:
    said = ["My name is Ada.", "What is my name?", "2 ** 10 / 4", "1/0", "/new", "Who am I?", "Hm"]

    done = run(CHAT, stdin="\n".join(said))

    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.removeprefix("you> ") for line in done.stdout.splitlines()]
    assert lines[1:7] == [
        "Nice to meet you, Ada.",
        "You are Ada.",
        "[calculate: 256]",
        "That makes 256.",
        "[calculate: no number, because of this: division by zero]",
        "That makes no number, because of this: division by zero.",
    ]
    assert lines[7:9] == ["a new conversation", "You have not told me your name yet."]
    assert lines[9].startswith("I am a few rules, ")


def answer(request: dict[str, Any]) -> list[Any]:
    """Call the tool for what the user says, then say what it returned."""
    said = request["messages"][-1]
    if said["role"] == "tool":
        return ["It ", "is ", said["content"]]
    arguments = json.dumps({"expression": said["content"]})
    return ["Let me see.", ToolCall("calculate", (arguments[:9], arguments[9:]))]


@pytest.mark.parametrize("chosen", [{}, {"CHAT_MODEL": "openai:gpt-5"}], ids=["key", "name"])
def test_a_turn_with_a_model_of_init_chat_model(chosen: dict[str, str]) -> None:
    with serve(answer) as server:
        *lines, _ = turn("6 * 7", **server.environment, **chosen)

    assert lines == [
        "● messages chat",
        "Let me see.",
        'calls calculate {"expression": "6 * 7"}',
        "● messages tools (tool calculate)",
        "42",
        "● messages chat",
        "It is 42",
    ]
    wanted = chosen.get("CHAT_MODEL", "openai:gpt-4o-mini").removeprefix("openai:")
    assert [(request["model"], request["stream"]) for request in server.requests] == [
        (wanted, True)
    ] * 2


def test_a_conversation_goes_on_after_the_service_failed() -> None:
    answers = iter([["Hel", HangUp()], ["Hello ", "again."]])
    with serve(lambda request: next(answers)) as server:
        done = run(CHAT, "--model", "openai:gpt-5", stdin="hi\nhi", **server.environment)

    lines = [line.removeprefix("you> ") for line in done.stdout.splitlines()]
    failed, answered = lines[1:3]
    assert failed.startswith("Hel (")
    assert failed.endswith("ConnectionError: Connection error.)")
    assert answered == "Hello again."
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_model_is_refused_in_one_place() -> None:
    done = run(CHAT, "--model", "nobody-knows-this")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("chat: Unable to infer model provider")


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("-2 ** 2 + 7 // 2 % 2", "-3"),
        ("0.1 + 0.2", "0.3"),
        ("10 ** 51", "no number, because of this: the number is too large"),
        ("9 ** 9 ** 9 ** 9", "no number, because of this: the number is too large"),
        ("(-1) ** 0.5", "no number, because of this: no real number"),
        ("open('x')", "no number, because of this: open('x') is not arithmetic"),
        ("True + 1", "no number, because of this: True is not arithmetic"),
        ("1 +", "no number, because of this: invalid syntax (<unknown>, line 1)"),
    ],
)
def test_the_tool_calculates_and_does_nothing_else(
    monkeypatch: pytest.MonkeyPatch, expression: str, result: str
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from chat import calculate

    assert calculate.invoke({"expression": expression}) == result
