"""Nodes that workers on a cluster can find, for what other executors do not do."""

from __future__ import annotations

import os
import threading

from executors.acting import Holder, State
from millstream.graph import START, StateGraph
from millstream.runtime import Runtime
from millstream.types import StreamWriter


def attempt_of(runtime: Runtime) -> int:
    assert runtime.execution_info is not None
    return runtime.execution_info.node_attempt


def wait_to_be_killed(state: State, runtime: Runtime, writer: StreamWriter) -> State:
    """Say which process this is, and end only when that has been killed three times."""
    attempt = attempt_of(runtime)
    for index in range(3):
        writer(("said", state["count"], attempt, index))
    if attempt <= 3:
        writer(("process", os.getpid()))
        threading.Event().wait()
    return {"log": [(state["count"], attempt)]}


def block(state: State, writer: StreamWriter) -> State:
    writer(os.getpid())
    threading.Event().wait()
    return {}


def step(state: State, writer: StreamWriter) -> State:
    writer(os.getpid())
    return {"log": ["step"]}


TWO_STEPS = (
    StateGraph(State)
    .add_node("first", step)
    .add_node("second", step)
    .add_edge(START, "first")
    .add_edge("first", "second")
    .compile()
)


class Unreadable:
    """Can be sent, and be read nowhere but where it was made."""

    def __init__(self) -> None:
        self.pid = os.getpid()

    def __getstate__(self) -> int:
        return self.pid

    def __setstate__(self, pid: int) -> None:
        if pid != os.getpid():
            raise ValueError("made elsewhere")
        self.pid = pid


def return_unreadable(state: State) -> State:
    return {"log": [Unreadable()]}


def hold(state: State) -> State:
    return {"log": [type(state["log"][0]).__name__, Holder.__name__]}
