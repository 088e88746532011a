"""The chat example answers, remembers and calculates, with and without a real client."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGenerationChunk

from forked_python import run_python
from guide.openai_server import HangUp, ToolCall, serve

EXAMPLES = Path(__file__).parents[2] / "examples"
CHAT = str(EXAMPLES / "chat.py")
UNSET = ("OPENAI_API_KEY", "CHAT_MODEL")


def run(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in UNSET}
    return run_python(*arguments, stdin=stdin, environment={**inherited, **environment})


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


@pytest.mark.long
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
        "[calculate: no number: division by zero]",
        "That makes no number: division by zero.",
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


@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param({}, id="key", marks=pytest.mark.long),
        pytest.param({"CHAT_MODEL": "openai:gpt-5"}, id="name"),
    ],
)
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


@pytest.mark.long
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


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the test the example as a module."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("chat")


@pytest.mark.timeout(20)
def test_ctrl_c_stops_an_answer(chat: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """The model would talk on and on; the user has enough after three words."""

    class Endless(chat.Rulebook):
        said: int = 0
        ended: int = 0

        def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
            try:
                while True:
                    yield ChatGenerationChunk(message=AIMessageChunk(f"word{self.said} "))
                    self.said += 1
                    if self.said == 3:
                        signal.raise_signal(signal.SIGINT)
            finally:
                self.ended += 1

    model = Endless()

    chat.answer(chat.make_graph(model), "Tell me a story", "1")

    assert capsys.readouterr().out.endswith(" (stopped)\n")
    assert model.ended == 1


def test_tool_calls_that_were_stopped_do_not_spoil_the_conversation(
    chat: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The service refuses a conversation in which a tool call has no answer."""
    config: Any = {"configurable": {"thread_id": "1"}}
    calls = [{"name": "calculate", "args": {"expression": "1"}, "id": n} for n in ("a", "b")]
    open_turn = [HumanMessage("1 and 1"), AIMessage("", tool_calls=calls)]
    with serve(lambda request: ["Hello."]) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        graph = chat.make_graph(chat.choose_model("openai:gpt-5"))
        graph.update_state(config, {"messages": open_turn}, as_node="chat")

        chat.answer(graph, "hi", "1")
        chat.answer(graph, "hi again", "1")

    roles = [[message["role"] for message in each["messages"]] for each in server.requests]
    assert roles[0] == ["system", "user", "assistant", "tool", "tool", "user"]
    assert roles[1] == [*roles[0], "assistant", "user"]
    assert capsys.readouterr().out == "Hello.\nHello.\n"


def test_a_missing_package_is_named_with_the_way_to_get_it() -> None:
    program = f"""
import runpy, sys
sys.modules["langchain"] = None
sys.argv = ["chat.py", "--model", "x:y"]
sys.path.insert(0, {str(EXAMPLES)!r})
runpy.run_path({CHAT!r}, run_name="__main__")
"""

    done = run("-c", program)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(": pip install langchain langchain-openai\n")


def test_rules_answer_where_the_key_of_a_model_is_missing() -> None:
    done = run(CHAT, stdin="6 * 7\n", CHAT_MODEL="openai:gpt-5")

    assert done.returncode == 0
    assert "42" in done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("chat: no openai:gpt-5, rules answer: ")


def test_an_unknown_model_is_refused_in_one_place() -> None:
    done = run(CHAT, "--model", "nobody-knows-this")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("chat: Unable to infer model provider")


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("-2 ** 2 + 7 // 2 % 2", "-3"),
        ("0.1 + 0.2", "0.3"),
        ("10 ** 51", "no number: the number is too large"),
        ("9 ** 9 ** 9 ** 9", "no number: the number is too large"),
        ("(-1) ** 0.5", "no number: no real number"),
        ("open('x')", "no number: open('x') is not arithmetic"),
        ("True + 1", "no number: True is not arithmetic"),
        ("1 +", "no number: invalid syntax (<unknown>, line 1)"),
    ],
)
def test_the_tool_calculates_and_does_nothing_else(chat: Any, expression: str, result: str) -> None:
    assert chat.calculate.invoke({"expression": expression}) == result
