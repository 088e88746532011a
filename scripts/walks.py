"""Four ways through the code, walked as data: how much of it lies between two points of a run.

Counted are calls of Python functions of millstream's modules, in all threads, as `sys.setprofile`
tells of them: a generator or coroutine counts whenever it begins or goes on; comprehensions do not
count, nor do functions of other packages. Every walk goes through a new graph, in a process that
has walked through one like it: what is imported or worked out once per process is left out, what
is worked out once per graph is not.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Final

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from typing_extensions import TypedDict

from millstream.checkpoint.memory import InMemorySaver
from millstream.graph import END, START, StateGraph
from millstream.types import Command, interrupt

ROOT: Final = "millstream"
COMPREHENSIONS: Final = {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"}
TIMES: Final = 7
"""How often each walk is counted. The least counts: threads may wait for each other once more."""


PAUSE: Final = 0.02
"""Seconds after which a reader who has nothing to read waits."""


class State(TypedDict, total=False):
    """One number."""

    n: int


class Counter:
    """Notes the functions of millstream that are called between `begin` and `end`."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, CodeType]] = []
        self._is_on = False

    def begin(self) -> None:
        """Forget what has been noted, and note from now on."""
        self.calls = []
        self._is_on = True

    def end(self) -> None:
        """Note nothing more."""
        self._is_on = False

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Note a call; this is what `sys.setprofile` is given."""
        if not self._is_on or event != "call":
            return
        module = frame.f_globals.get("__name__", "")
        if module.split(".")[0] == ROOT and frame.f_code.co_name not in COMPREHENSIONS:
            self.calls.append((module, frame.f_code))


def build(*nodes: Any, **options: Any) -> Any:
    """Compile a chain of nodes named a, b, ..."""
    builder = StateGraph(State)
    before = START
    for name, node in zip("ab", nodes):  # noqa: B905  # as many as there are
        builder.add_node(name, node)
        builder.add_edge(before, name)
        before = name
    builder.add_edge(before, END)
    return builder.compile(**options)


def first_item(counter: Counter) -> None:
    """Walk from `stream(stream_mode="updates")` to the first item, the node's code left out."""
    graph = build(lambda state: {"n": 1})
    counter.begin()
    stream = graph.stream({"n": 0}, stream_mode="updates")
    item = next(stream)
    counter.end()
    assert item == {"a": {"n": 1}}


def next_node(counter: Counter) -> None:
    """Walk from the dict that a node returns to the next node, with a saver and `durability=sync`.

    Another durability stores in a thread of its own, which may or may not come first.
    """

    def a(state: State) -> State:
        counter.begin()
        return {"n": 1}

    def b(state: State) -> State:
        counter.end()
        return {"n": state["n"] + 1}

    graph = build(a, b, checkpointer=InMemorySaver())
    result = graph.invoke({"n": 0}, {"configurable": {"thread_id": "1"}}, durability="sync")
    assert result == {"n": 2}


def token(counter: Counter) -> None:
    """Walk from a model's token in a nested graph to who reads `messages` of a run stream."""
    first_is_read, second_is_read = threading.Event(), threading.Event()

    class Speaker(BaseChatModel):
        """Says a token, a second one to a reader who waits, and ends when that has been read."""

        @property
        def _llm_type(self) -> str:
            return "speaker"

        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError

        def _stream(self, *args: Any, **kwargs: Any) -> Any:
            yield ChatGenerationChunk(message=AIMessageChunk(content="first"))
            first_is_read.wait()
            time.sleep(PAUSE)
            counter.begin()
            yield ChatGenerationChunk(message=AIMessageChunk(content="second"))
            second_is_read.wait()

    model = Speaker()
    child = build(lambda state: {"n": len(model.invoke("go").content)})
    seen: list[str] = []
    with build(child).stream_events({"n": 0}, version="v3") as run:
        for nested in run.subgraphs:
            for message in nested.messages:
                for text in message.text:
                    counter.end()
                    (second_is_read if seen else first_is_read).set()
                    seen.append(text)
    assert seen == ["first", "second"]


def answer(counter: Counter) -> None:
    """Walk from `invoke(Command(resume=...))` to the return of `interrupt` in the node."""

    def ask(state: State) -> State:
        n = interrupt("how many?")
        counter.end()
        return {"n": n}

    graph = build(ask, checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "1"}}
    graph.invoke({"n": 0}, config, durability="sync")
    command: Command[Any] = Command(resume=3)
    counter.begin()
    assert graph.invoke(command, config, durability="sync") == {"n": 3}


WALKS: Final[dict[str, Callable[[Counter], None]]] = {
    "`stream_mode` to the first item": first_item,
    "a node's dict to the next node, with a saver": next_node,
    "a token of a nested graph to its reader": token,
    "`Command(resume=...)` to the return of `interrupt`": answer,
}


def count() -> dict[str, dict[str, int]]:
    """Return walk -> how many calls, different functions and modules are on the way."""
    counter = Counter()
    threading.setprofile(counter)
    sys.setprofile(counter)
    try:
        return {name: _least(walk, counter) for name, walk in WALKS.items()}
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def _least(walk: Callable[[Counter], None], counter: Counter) -> dict[str, int]:
    walk(counter)
    ways = []
    for _ in range(TIMES):
        walk(counter)
        ways.append(counter.calls)
    shortest = min(ways, key=len)
    modules, functions = (set(names) for names in zip(*shortest, strict=True))
    return {"calls": len(shortest), "functions": len(functions), "modules": len(modules)}
