"""The live view of `millstream run`, on a terminal."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect
import pytest

from cli.conftest import Called
from cli.terminal import Terminal

GATED = """
import operator
import sys
import threading
from typing import Annotated, Any

# Threads that import it at the same time for the first time find half of it.
import langchain_core.tracers.context
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGenerationChunk
from typing_extensions import TypedDict

from millstream.config import get_stream_writer
from millstream.graph import START, MessagesState, StateGraph
from millstream.types import RetryPolicy, Send

gates = [threading.Event() for _ in range(10)]
EVIL = "\\x1b]0;title\\x07\\x1b[8mhidden\\r\\x9b31m\\u202eback"


class State(MessagesState, total=False):
    x: Any
    seen: Annotated[list, operator.add]


def wait(number):
    assert gates[number].wait(60)


def graph_of(action, name="node", **options):
    builder = StateGraph(State).add_node(name, action, **options)
    return builder.add_edge(START, name).compile()


def score(given):
    wait(given["x"])
    return {"seen": [given["x"]]}


def fan(state):
    return [Send("score", {"x": number}) for number in range(3)]


fanned = StateGraph(State).add_node("score", score)
fanned = fanned.add_conditional_edges(START, fan, ["score"]).compile()

attempts = []


def fetch(state):
    attempts.append(1)
    if len(attempts) < 3:
        raise ConnectionError("gone " + EVIL)
    wait(0)
    return {"x": 1}


fetching = graph_of(
    fetch, "fetch", retry_policy=RetryPolicy(initial_interval=0, jitter=False, max_attempts=3)
)


class Gated(GenericFakeChatModel):
    first: int = 0

    def _stream(self, *args, **kwargs):
        words = ["The mill ", "grinds ", "corn."]
        for number, word in enumerate(words, self.first):
            wait(number)
            yield ChatGenerationChunk(message=AIMessageChunk(word))
        usage = {"input_tokens": 1200, "output_tokens": 7, "total_tokens": 1207}
        yield ChatGenerationChunk(message=AIMessageChunk("", usage_metadata=usage))


def speaker(first):
    model = Gated(messages=iter([]), first=first)
    return lambda state: {"messages": [model.invoke("hi")]}


talking = graph_of(speaker(0), "talk")
inner = graph_of(speaker(3), "say")
both = StateGraph(State).add_node("left", speaker(0)).add_node("right", inner)
both = both.add_edge(START, "left").add_edge(START, "right").compile()


def spread(state):
    writer = get_stream_writer()
    writer(EVIL)
    writer({EVIL: EVIL})
    print("printed " + EVIL)
    print(EVIL, file=sys.stderr)
    image = {"type": "image", "base64": "A" * 356_000, "mime_type": "image/png"}
    text = {"type": "text", "text": "look \\U0001f600 " + EVIL}
    return {"x": EVIL, "messages": [AIMessage([text, image], name=EVIL)]}


evil = graph_of(spread, "node " + EVIL)


def fail(state):
    get_stream_writer()("before it")
    raise ValueError("no " + EVIL)


failing = graph_of(fail, "fail")


def many(state):
    for number in range(1000):
        get_stream_writer()({"number": number})


chatting = graph_of(many, "many")


def count(state):
    return {"x": (state.get("x") or 0) + 1}


counting = StateGraph(State).add_node("count", count).add_edge(START, "count")
counting = counting.add_conditional_edges(
    "count", lambda state: "count" if state["x"] < 500 else "__end__"
).compile()
print("loaded")
"""

OnTerminal = Callable[..., Called]


@pytest.fixture
def gates(folder: Path) -> Callable[[], Any]:
    """Give a function that returns the module with the graphs, once it is loaded."""
    (folder / "gated.py").write_text(GATED, encoding="utf-8")
    return lambda: sys.modules["gated"]


def test_parallel_tasks_are_one_line_that_counts(on_terminal: OnTerminal, gates: Any) -> None:
    called = on_terminal("run", "gated.py:fanned", "-c", '{"recursion_limit": 9000}')

    called.expect(r"score 0/3  \d")
    # Time goes on being shown while nothing happens.
    called.expect(r"score 0/3  [1-9]")
    gates().gates[0].set()
    called.expect(r"score 1/3  \d")
    gates().gates[1].set()
    gates().gates[2].set()

    assert called.wait() == 0
    lines = called.terminal.lines
    assert any(re.match(r"● score ×3  \d+\.\d s$", line) for line in lines)
    assert not any("1/3" in line for line in lines), "what was going on is gone"
    heading, row, done = lines[-4:-1]
    assert heading.split() == ["node", "count", "time"]
    assert re.match(r"score +3 +\d+\.\d s$", row)
    assert re.match(r"done in \d+\.\d\d s$", done)
    assert called.terminal.has_cursor


def test_attempts_are_counted_with_the_reason(on_terminal: OnTerminal, gates: Any) -> None:
    called = on_terminal("run", "gated.py:fetching", width=200)

    called.expect(r"fetch.*, attempt 3 after ConnectionError gone")
    gates().gates[0].set()

    assert called.wait() == 0
    assert "● fetch (attempt 3)" in called.terminal.text
    assert re.search(r"fetch +1 \(2 again\)", called.terminal.text)


def test_tokens_are_shown_as_they_come_and_counted(on_terminal: OnTerminal, gates: Any) -> None:
    called = on_terminal("run", "gated.py:talking")

    called.expect(r"talk  \d")
    gates().gates[0].set()
    called.expect("  The mill")
    assert "grinds" not in called.terminal.text
    gates().gates[1].set()
    called.expect("  The mill grinds")
    gates().gates[2].set()

    assert called.wait() == 0
    assert "  The mill grinds corn." in called.terminal.lines
    assert re.search(r"^talk +1 +\d+\.\d s +1,200 \+ 7$", called.terminal.text, re.MULTILINE)


def test_those_who_speak_at_once_stand_side_by_side(on_terminal: OnTerminal, gates: Any) -> None:
    called = on_terminal("run", "gated.py:both", width=80)

    called.expect("^. left")
    gates().gates[0].set()
    called.expect("^  The mill")
    gates().gates[3].set()
    gates().gates[4].set()
    called.expect(r"│ The mill +││ say +│")
    called.expect("The mill grinds")
    called.expect(r"  . say  \d")
    for gate in gates().gates:
        gate.set()

    assert called.wait() == 0
    assert called.terminal.lines.count("  The mill grinds corn.") == 2
    assert re.search(r"\n  say ", called.terminal.text), "a nested graph is below its node"


@pytest.mark.parametrize("width", [34, 200])
@pytest.mark.parametrize(
    "modes", [(), ("-m", "values", "-m", "debug", "-m", "custom", "--subgraphs")], ids=["", "m"]
)
def test_nothing_that_a_terminal_obeys_is_shown(
    on_terminal: OnTerminal, gates: Any, width: int, modes: tuple[str, ...]
) -> None:
    """The terminal fails at any control character that is not the view's own."""
    called = on_terminal("run", "gated.py:evil", *modes, width=width)

    assert called.wait() == 0
    shown = "".join(line.strip() for line in called.terminal.lines)
    assert "␛]0;title␇" in shown
    assert "printed ␛]0;title␇␛[8mhidden␍�31m�back" in shown
    assert shown.count("␛[8mhidden") > 3
    if not modes:
        assert "look 😀" in shown
        assert "[image, 267 kB]" in shown


def test_what_nodes_print_among_json_is_no_code_either(on_terminal: OnTerminal, gates: Any) -> None:
    called = on_terminal("run", "gated.py:evil", "--json", width=200)

    assert called.wait() == 0
    assert "printed ␛]0;title␇" in called.terminal.text


def test_no_color_means_no_codes_of_styles(on_terminal: OnTerminal, gates: Any) -> None:
    coloured = on_terminal("run", "gated.py:evil")
    assert coloured.wait() == 0
    plain = on_terminal("run", "gated.py:evil", NO_COLOR="1")
    assert plain.wait() == 0

    assert coloured.terminal.styles
    assert plain.terminal.styles == set()


def test_an_ascii_locale_is_given_ascii(on_terminal: OnTerminal, gates: Any) -> None:
    called = on_terminal("run", "gated.py:evil", encoding="ascii")

    assert called.wait() == 0
    assert called.terminal.text.isascii()
    assert "look \\U0001f600" in called.terminal.text


def test_a_terminal_without_a_cursor_is_given_lines(on_terminal: OnTerminal, gates: Any) -> None:
    called = on_terminal("run", "gated.py:talking", TERM="dumb")
    called.expect("^loaded")
    for gate in gates().gates:
        gate.set()

    assert called.wait() == 0
    assert "\x1b" not in called.raw
    lines = called.terminal.lines
    start = lines.index("● messages talk")
    assert lines[start + 1] == "The mill grinds corn."
    assert any(re.match("talk +1 ", line) for line in lines)


def test_a_failure_is_told_below_what_was_shown(on_terminal: OnTerminal, gates: Any) -> None:
    called = on_terminal("run", "gated.py:failing", width=120)

    assert called.wait() == 1
    lines = called.terminal.lines
    assert "before it" in lines
    assert any(line.startswith("✗ fail  0.") and "ValueError: no" in line for line in lines)
    assert called.terminal.has_cursor


def test_more_than_anybody_reads_is_counted(on_terminal: OnTerminal, gates: Any) -> None:
    called = on_terminal("run", "gated.py:chatting")
    assert called.wait() == 0
    asked = on_terminal("run", "gated.py:chatting", "-m", "custom")
    assert asked.wait() == 0

    text = called.terminal.text
    assert text.count("number: ") + int(re.findall(r"and ([\d,]+) more", text)[-1]) <= 1000
    assert asked.terminal.text.count("number: ") == 1000
    assert "done: 1,000 events" in asked.terminal.text


def test_steps_of_a_loop_that_follow_fast_are_one_line(on_terminal: OnTerminal, gates: Any) -> None:
    called = on_terminal("run", "gated.py:counting", "-c", '{"recursion_limit": 9000}')

    assert called.wait() == 0
    assert re.search(r"● count ×\d+", called.terminal.text)
    assert re.search(r"count +500 ", called.terminal.text)


LINGERING = """
import time
from millstream.graph import START, MessagesState, StateGraph

def linger(state):
    time.sleep(60)

graph = StateGraph(MessagesState).add_node(linger).add_edge(START, "linger").compile()
"""


def test_ctrl_c_says_what_it_waits_for_and_the_second_does_not_wait(folder: Path) -> None:
    (folder / "lingering.py").write_text(LINGERING, encoding="utf-8")
    terminal = Terminal(60, 24)
    process = pexpect.spawn(
        sys.executable,
        ["-m", "millstream.cli", "run", "lingering.py:graph"],
        dimensions=(24, 60),
        encoding="utf-8",
        env={**os.environ, "TERM": "xterm"},
        timeout=100,
    )
    process.logfile_read = terminal

    process.expect(r"\x1b\[1mlinger\x1b")
    process.sendintr()
    process.expect("stopping, waits for linger")
    process.sendintr()
    process.expect(pexpect.EOF)
    process.close()

    assert process.exitstatus == 130
    assert terminal.has_cursor
