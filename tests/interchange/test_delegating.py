"""A saver that delegates to another one exchanges threads when that one is wired."""

from __future__ import annotations

import os

import pytest

from forked_python import run_python
from interchange.playing import DIRECTIONS, OURS

# A process of its own, because serializers read LANGGRAPH_STRICT_MSGPACK when they are imported.
PROGRAM = """
import importlib
import operator
import sys
from typing import Annotated, TypedDict

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver

from millstream.wire import wired


class Logging(BaseCheckpointSaver):
    def __init__(self, inner):
        super().__init__(serde=inner.serde)
        self.inner, self.log = inner, []

    def get_tuple(self, config):
        return self.inner.get_tuple(config)

    def put(self, *args):
        self.log.append("put")
        return self.inner.put(*args)

    def put_writes(self, *args):
        self.log.append("put_writes")
        return self.inner.put_writes(*args)

    def get_next_version(self, current, channel):
        return self.inner.get_next_version(current, channel)


class State(TypedDict):
    out: Annotated[list, operator.add]


def open_in(library):
    graph, types = (importlib.import_module(f"{library}.{name}") for name in ("graph", "types"))
    saver = Logging(wired(inner) if library == "millstream" else inner)
    builder = graph.StateGraph(State)
    builder.add_node("ask", lambda number: {"out": [types.interrupt(f"{number}?")]})
    sends = [types.Send("ask", number) for number in range(2)]
    builder.add_conditional_edges(graph.START, lambda state: sends, ["ask"])
    return builder.compile(checkpointer=saver), types


first, second = sys.argv[1:]
inner, thread = InMemorySaver(), {"configurable": {"thread_id": "1"}}

graph, types = open_in(first)
graph.invoke({"out": []}, thread)
assert b"millstream." not in repr((inner.blobs, inner.writes)).encode()

graph, types = open_in(second)
asked = graph.get_state(thread).interrupts
assert [type(question) for question in asked] == [types.Interrupt] * 2, asked
answers = {question.id: question.value + "!" for question in asked}
result = graph.invoke(types.Command(resume=answers), thread)
assert result == {"out": ["0?!", "1?!"]}, result
assert {"put", "put_writes"} == set(graph.checkpointer.log)
"""


@pytest.mark.parametrize("strict", ["true", "false"], ids=["strict", "plain"])
@pytest.mark.parametrize(("first", "second"), [*DIRECTIONS, (OURS, OURS)])
def test_a_thread_changes_hands_in_a_saver_around_a_wired_one(
    strict: str, first: str, second: str
) -> None:
    """The questions are the library's own, and nothing it needs is refused."""
    environment = os.environ | {"LANGGRAPH_STRICT_MSGPACK": strict}
    done = run_python("-c", PROGRAM, first, second, environment=environment)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
