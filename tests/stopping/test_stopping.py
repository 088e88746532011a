"""Runs that are left come to their end: no hang, no thread, nothing lost."""

from __future__ import annotations

import opcode
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest

from forked_python import run_python
from millstream._base import uninterrupted
from millstream.graph import START, StateGraph
from stopping import programs
from stopping.programs import THREAD, Saver, State

ALL_LONG: Final = (pytest.mark.long, pytest.mark.timeout(7200))
OFTEN: Final = (10, pytest.param(200, marks=ALL_LONG))
"""Turns of each program; `again` and `exits` take any number."""


def run(program: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a program of this folder."""
    return run_python("-m", f"stopping.{program}", *args, cwd=Path(__file__).parents[1])


@pytest.mark.parametrize("times", OFTEN)
def test_a_run_that_is_left_ends_and_leaves_no_thread(times: int) -> None:
    done = run("again", str(times))

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("times", [18, pytest.param(216, marks=ALL_LONG)])
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_an_unread_stream_lets_the_interpreter_end(times: int) -> None:
    done = run("exits", str(times))

    assert (done.stdout, done.returncode) == ("", 0)


NOT_STRUCK: Final = ("<genexpr>", "__del__")
"""What C or the collector may have called, which cannot pass on what is raised."""


class Strike:
    """Presses Ctrl-C when the engine calls its n-th function, and once more some calls later."""

    def __init__(self, at: int, again_after: int) -> None:
        self._left = at
        self._again_after = again_after
        self.has_struck = False

    def __enter__(self) -> Strike:
        sys.setprofile(self._look)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        sys.settrace(None)

    def _look(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event != "call" or "millstream" not in code.co_filename or code.co_name in NOT_STRUCK:
            return
        if not _is_looking(frame):
            return
        self._left -= 1
        if self._left != 0:
            return
        sys.setprofile(None)
        sys.settrace(None)
        if not self.has_struck:
            self.has_struck = True
            self._left = self._again_after
            # Python switches off the one of the two that raises.
            (sys.setprofile if sys.version_info < (3, 11) else sys.settrace)(self._look)
        if sys.version_info < (3, 11):
            # What is raised at a call ends a generator without its `finally`. At the first
            # instruction it is as if the interpreter had seen the signal itself.
            frame.f_trace, frame.f_trace_opcodes = self._press, True
            sys.settrace(lambda *_: None)
        else:
            signal.raise_signal(signal.SIGINT)

    def _press(self, frame: FrameType, *_: object) -> None:
        frame.f_trace = None
        sys.settrace(None)
        signal.raise_signal(signal.SIGINT)


def _is_looking(frame: FrameType) -> bool:
    """Say whether the interpreter looks for signals where this function begins or goes on.

    Not where it goes on in a `yield from` of a generator, nor where something is thrown into it.
    """
    code, at = frame.f_code.co_code, frame.f_lasti
    if sys.version_info < (3, 11):
        return opcode.opname[code[at + 2 if at >= 0 else 0]] != "YIELD_FROM"
    return opcode.opname[code[at]] == "RESUME" and code[at + 1] & 3 < 2


STEPS: Final = 3


def counting(saver: Any, begun: list[int], *, siblings: int) -> Any:
    """Return a graph that counts its supersteps, with other nodes beside each."""
    builder = StateGraph(State)

    def count(state: State) -> State:
        begun.append(len(state["x"]))
        return {"x": ["counted"]}

    builder.add_node("count", count)
    for number in range(siblings):
        builder.add_node(f"beside {number}", lambda state: None)
    nodes = list(builder.nodes)
    builder.add_edge(START, "count")
    builder.add_conditional_edges(
        "count", lambda state: nodes if len(state["x"]) < STEPS else [], nodes
    )
    return builder.compile(checkpointer=saver)


@pytest.mark.parametrize("stride", [20, pytest.param(1, marks=ALL_LONG)])
@pytest.mark.parametrize("again_after", [0, 1, 7], ids=["once", "at once again", "again"])
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("siblings", [0, 2], ids=["alone", "siblings"])
@pytest.mark.parametrize("is_closed", [False, True], ids=["to the end", "closed"])
def test_ctrl_c_at_any_moment_loses_nothing_and_leaves_nothing(
    is_closed: bool, siblings: int, durability: Any, again_after: int, stride: int
) -> None:
    """Also within the closing of the run, where it waits until that is done."""
    chance = random.Random(f"{is_closed} {siblings} {durability} {again_after}")
    at, has_struck = 1, True
    while has_struck:
        begun: list[int] = []
        graph = counting(Saver(), begun, siblings=siblings)
        error: BaseException | None = None

        strike = Strike(at, again_after)
        try:
            with strike:
                stream = graph.stream({"x": []}, THREAD, durability=durability)
                for _ in stream:
                    if is_closed:
                        stream.close()
        except BaseException as raised:
            error = raised
        has_struck = strike.has_struck

        assert programs.threads() == [], at
        assert isinstance(error, KeyboardInterrupt) == has_struck, (at, error)
        stored = len(graph.get_state(THREAD).values.get("x", ()))
        assert stored >= max(begun, default=0), (at, begun)
        at += chance.randint(1, 2 * stride - 1)
    assert at > 100


def test_ctrl_c_ends_a_closing_that_waits_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has come up is stored; the node that hangs is not waited for."""
    monkeypatch.setattr(uninterrupted, "PATIENCE", 0.0)
    begun, released, is_out = threading.Event(), threading.Event(), threading.Event()

    def hang(state: State) -> None:
        begun.set()
        released.wait(60)

    builder = StateGraph(State).add_node("before", lambda state: {"x": ["before"]})
    builder.add_node("hang", hang).add_node("beside", lambda state: None)
    builder.add_edge(START, "before").add_edge("before", "hang").add_edge("before", "beside")
    graph = builder.compile(checkpointer=Saver())

    def press() -> None:
        begun.wait(60)
        while not is_out.wait(0.01):
            programs.press_ctrl_c()

    def run_until_out() -> None:
        try:
            graph.invoke({"x": []}, THREAD, durability="exit")
        finally:
            is_out.set()

    presser = threading.Thread(target=press)
    presser.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_until_out()
    finally:
        released.set()
        presser.join()

    assert graph.get_state(THREAD).values == {"x": ["before"]}
    assert programs.left() == []
