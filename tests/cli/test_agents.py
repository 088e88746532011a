"""The example with agents shows all of them at once, on a terminal and line by line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Called
from forked_python import run_python
from guide.openai_server import ToolCall, serve
from strict_python import STRICT_PYTHON

EXAMPLE = str(Path(__file__).parents[2] / "examples" / "agents.py")
TEXT = """# Rivers

A river carries water from the hills to the sea. Water wears the stone of its bed away.

# Mills

A mill turns the water of a river into work for people.
"""
COUNTED = "2 sections, 3 sentences, 30 words"


@pytest.fixture
def text(tmp_path: Path) -> str:
    """Give a file to look at."""
    path = tmp_path / "rivers.md"
    path.write_text(TEXT, encoding="utf-8")
    return str(path)


def command(*arguments: str) -> list[str]:
    return [*STRICT_PYTHON, EXAMPLE, *arguments]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONIOENCODING": "utf-8", **more}


def lines_by_pane(output: str) -> dict[str, list[str]]:
    panes: dict[str, list[str]] = defaultdict(list)
    for line in output.splitlines():
        name, _, said = line.partition(": ")
        panes[name].append(said)
    return panes


def test_every_pane_has_what_its_agent_says_and_does(text: str) -> None:
    done = run_python(EXAMPLE, text, "--pace", "0")

    assert (done.returncode, done.stderr) == (0, "")
    panes = lines_by_pane(done.stdout)
    assert panes["counter"] == [
        "I count.",
        "-> count()",
        f"<- count: {COUNTED}",
        "Now the words.",
        "-> common_words()",
        "<- common_words: water, river, carries",
        f"The text has {COUNTED}; its words are above all water, river, carries.",
    ]
    assert panes["reader"][:6] == [
        "First I look at how the text is built.",
        "-> outline()",
        "   Rivers",
        "   Mills",
        "<- outline: Rivers, Mills",
        "Now for the sentences that others lean on.",
    ]
    assert panes["reader"][-1].startswith("It goes through these matters: Rivers, Mills.")
    assert sorted(panes["lifecycle"][:2]) == ["counter started", "reader started"]
    assert sorted(panes["lifecycle"][2:]) == ["counter completed", "reader completed"]
    assert panes["supervisor"][0] == "I have one colleague count, and one read."
    assert panes["supervisor"][-1].startswith(f"In short: The text has {COUNTED};")
    assert panes.keys() == {"counter", "reader", "lifecycle", "supervisor"}


def test_ctrl_c_stops_everything_at_once(text: str) -> None:
    process = subprocess.Popen(
        command(text, "--pace", "0.1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=environment(),
        # Ctrl-C reaches it also when the tests run in the background.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:
        assert process.stdout is not None
        shown = ""
        while "reader started" not in shown:
            shown += process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, complaint = process.communicate()

    assert (process.returncode, complaint) == (130, "")
    assert "completed" not in shown + rest


@pytest.mark.long
def test_a_reader_that_goes_away_ends_it_quietly(text: str) -> None:
    process = subprocess.Popen(
        command(text, "--pace", "0.02"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        first = process.stdout.readline()
        process.stdout.close()
        complaint = process.stderr.read()

    assert first.startswith("supervisor: ")
    assert (process.returncode, complaint) == (141, "")


def test_a_terminal_shows_the_agents_side_by_side(
    on_terminal: Callable[..., Called], text: str
) -> None:
    given = '{"messages": "Look at it."}'
    called = on_terminal("run", f"{EXAMPLE}:graph", "-i", given, width=100, height=30, FILE=text)

    called.expect(r"^╭─ counter ─+╮╭─ reader ─+╮$")
    called.expect(r"^│ I count\. +││ First I look")
    assert called.wait() == 0
    lines = called.terminal.lines
    assert f"  The text has {COUNTED}; its words are above all water, river, carries." in lines
    assert any(re.match(r"  speak +3 ", line) for line in lines)
    assert any(re.match(r"supervisor +2 ", line) for line in lines)


def answer(request: dict[str, Any]) -> list[Any]:
    """Call both agents, have each of them answer at once, then sum up."""
    manners, *said = request["messages"]
    if "numbers" in manners["content"]:
        return ["It is ", "short."]
    if "what a text says" in manners["content"]:
        return ["It is ", "about rivers."]
    if said[-1]["role"] == "tool":
        return ["Both: ", *(each["content"] for each in said if each["role"] == "tool")]
    question = '{"question": "What is in it?"}'
    return [ToolCall(name, (question,), id=name) for name in ("counter", "reader")]


@pytest.mark.long
def test_all_parts_can_be_played_by_a_model_of_init_chat_model(text: str) -> None:
    with serve(answer) as server:
        served = environment(**server.environment)
        done = run_python(EXAMPLE, text, "--model", "openai:gpt-5", environment=served)

    assert (done.returncode, done.stderr) == (0, "")
    panes = lines_by_pane(done.stdout)
    assert (panes["counter"], panes["reader"]) == (["It is short."], ["It is about rivers."])
    assert panes["supervisor"][-1] == "Both: It is short.It is about rivers."


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["no-such-file"], "agents: [Errno 2] No such file"),
        pytest.param(
            [EXAMPLE, "--model", "nobody-knows-this"],
            "agents: nobody-knows-this cannot be used: Unable to infer",
            marks=pytest.mark.long,
        ),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(arguments: list[str], complaint: str) -> None:
    done = run_python(EXAMPLE, *arguments)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(complaint)
