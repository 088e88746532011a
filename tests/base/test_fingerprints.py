"""A cache that graphs share never gives one callable the results of another."""

from __future__ import annotations

import functools
import gc
import operator
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langgraph.cache.memory import InMemoryCache
from typing_extensions import TypedDict

from millstream._base.fingerprints import fingerprint
from millstream.func import entrypoint, task
from millstream.graph import END, START, StateGraph
from millstream.types import CachePolicy

pytestmark = pytest.mark.timeout(60)

Make = Callable[[str, list[str]], Any]
"""Make a node that notes its name in the list and writes it."""


class State(TypedDict, total=False):
    x: int
    log: Annotated[list[str], operator.add]


class Wider(State, total=False):
    extra: str


class Narrow(TypedDict, total=False):
    x: int


class Speaker:
    def __init__(self, name: str, ran: list[str]) -> None:
        self.name = name
        self.ran = ran

    def __call__(self, state: State) -> Any:
        return self.speak(state)

    def speak(self, state: State) -> Any:
        self.ran.append(self.name)
        return {"log": [self.name]}


class SlottedSpeaker:
    """Nothing can refer to it weakly."""

    __slots__ = ("name", "ran")

    def __init__(self, name: str, ran: list[str]) -> None:
        self.name = name
        self.ran = ran

    def speak(self, state: State) -> Any:
        return speak(self.name, self.ran, state)


@dataclass(frozen=True)
class Frozen:
    name: str
    say: Any

    def __call__(self, state: State) -> Any:
        return self.say(self.name, state)


def speak(name: str, ran: list[str], state: State) -> Any:
    ran.append(name)
    return {"log": [name]}


def closure(name: str, ran: list[str]) -> Any:
    def node(state: State) -> Any:
        return speak(name, ran, state)

    return node


def default(name: str, ran: list[str]) -> Any:
    def node(state: State, name: str = name, *, ran: list[str] = ran) -> Any:
        return speak(name, ran, state)

    return node


def code(name: str, ran: list[str]) -> Any:
    if name == "a":
        return lambda state: speak("a", ran, state)
    return lambda state: speak("b", ran, state)


def counting(name: str, ran: list[str]) -> Any:
    calls = 0

    def node(state: State) -> Any:
        nonlocal calls
        calls += 1
        return speak(name, ran, state)

    return node


def generator(name: str, ran: list[str]) -> Any:
    def node(state: State) -> Any:
        yield speak(name, ran, state)

    return node


def graph_as_node(name: str, ran: list[str]) -> Any:
    builder = StateGraph(State).add_node("inner", closure(name, ran))
    return builder.add_edge(START, "inner").compile()


MAKERS: dict[str, Make] = {
    "instance": Speaker,
    "bound method": lambda name, ran: Speaker(name, ran).speak,
    "method of an object with slots": lambda name, ran: SlottedSpeaker(name, ran).speak,
    "frozen dataclass": lambda name, ran: Frozen(name, lambda name, s: speak(name, ran, s)),
    "partial": lambda name, ran: functools.partial(speak, name, ran),
    "partial of a method": lambda name, ran: functools.partial(Speaker(name, ran).speak),
    "closure": closure,
    "default": default,
    "code": code,
    "closure with a state": counting,
    "generator": generator,
    "RunnableLambda": lambda name, ran: RunnableLambda(closure(name, ran)),
    "sequence": lambda name, ran: RunnableLambda(lambda state: state) | closure(name, ran),
    "mapping": lambda name, ran: (
        RunnableParallel(log=closure(name, ran)) | (lambda said: said["log"])
    ),
    "graph": graph_as_node,
}


def cached(action: Any, cache: Any, schema: Any = State, **policy: Any) -> Any:
    builder = StateGraph(schema)
    builder.add_node("node", action, cache_policy=CachePolicy(**policy))
    return builder.add_edge(START, "node").compile(cache=cache)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_shared_cache_knows_each_callable(driver: Any, kind: str) -> None:
    cache, ran = InMemoryCache[Any](), list[str]()
    actions = {name: MAKERS[kind](name, ran) for name in "ab"}

    said = [
        driver.invoke(cached(actions[name], cache), {"x": 1})["log"]
        for name in ("a", "b", "a", "b")
    ]

    assert said == [["a"], ["b"], ["a"], ["b"]]
    assert ran == ["a", "b"]


@pytest.mark.parametrize("kind", MAKERS)
def test_a_callable_that_is_gone_leaves_its_results_to_nobody(kind: str) -> None:
    """A new object may be where an old one was, with its `id`."""
    cache, said = InMemoryCache[Any](), list[Any]()

    for name in "ababab":
        said += cached(MAKERS[kind](name, []), cache).invoke({"x": 1})["log"]
        gc.collect()

    assert said == [*"ababab"]


@pytest.mark.parametrize("kind", ["instance", "bound method", "partial", "closure", "default"])
def test_a_shared_cache_knows_the_functions_of_tasks(driver: Any, kind: str) -> None:
    cache, ran = InMemoryCache[Any](), list[str]()

    def workflow(name: str) -> Any:
        step = task(MAKERS[kind](name, ran), cache_policy=CachePolicy())

        @entrypoint(cache=cache)
        def flow(x: int) -> Any:
            return step({"x": x}).result()

        @entrypoint(cache=cache)
        async def aflow(x: int) -> Any:
            return await step({"x": x})

        return aflow if driver.name == "async" else flow

    flows = {name: workflow(name) for name in "ab"}
    said = [driver.invoke(flows[name], 1)["log"] for name in ("a", "b", "a", "b")]

    assert said == [["a"], ["b"], ["a"], ["b"]]
    assert ran == ["a", "b"]


def test_functions_that_hold_equal_things_share_results(driver: Any) -> None:
    """As in a function that builds the graph for each request."""
    cache, ran = InMemoryCache[Any](), Speaker("ran", [])

    def build(name: str) -> Any:
        def node(state: State) -> Any:
            ran.ran.append(name)
            return {"log": [name]}

        return cached(node, cache)

    said = [driver.invoke(build(name), {"x": 1})["log"] for name in ("a", "b", "a", "b")]

    assert said == [["a"], ["b"], ["a"], ["b"]]
    assert ran.ran == ["a", "b"]


def to_c(state: State) -> str:
    return "c"


def to_d(state: State) -> str:
    return "d"


@pytest.mark.parametrize("kind", ["edge", "waiting edge", "path", "path map"])
def test_a_cached_result_goes_where_its_own_graph_leads(driver: Any, kind: str) -> None:
    cache = InMemoryCache[Any]()

    def node(state: State) -> Any:
        return {"log": ["node"]}

    def graph_to(end: str) -> Any:
        builder = StateGraph(State).add_node("node", node, cache_policy=CachePolicy())
        builder.add_edge(START, "node")
        for name in "cd":
            builder.add_node(name, functools.partial(speak, name, []))
        if kind == "edge":
            builder.add_edge("node", end)
        elif kind == "waiting edge":
            builder.add_edge(["node"], end)
        elif kind == "path":
            builder.add_conditional_edges("node", to_c if end == "c" else to_d)
        else:
            builder.add_conditional_edges("node", to_c, {"c": end, "other": END})
        return builder.compile(cache=cache)

    said = [driver.invoke(graph_to(end), {"x": 1})["log"] for end in "cdcd"]

    assert said == [["node", "c"], ["node", "d"], ["node", "c"], ["node", "d"]]


def test_a_cached_result_has_the_keys_of_its_own_graph(driver: Any) -> None:
    cache = InMemoryCache[Any]()

    def node(state: Narrow) -> Any:
        # The wider of two graphs has the key.
        return {"log": ["node"], "extra": "written"}

    narrow = driver.invoke(cached(node, cache), {"x": 1})
    wide = driver.invoke(cached(node, cache, Wider), {"x": 1})

    assert narrow == {"x": 1, "log": ["node"]}
    assert wide == {"x": 1, "log": ["node"], "extra": "written"}


def test_keys_that_programs_make_do_not_meet(driver: Any) -> None:
    cache = InMemoryCache[Any]()

    def node(state: State) -> Any:
        return {"log": [str(state)]}

    one = cached(node, cache, key_func=lambda state: str(state["x"]))
    other = cached(node, cache, key_func=lambda state: str(state["log"][0]))

    assert driver.invoke(one, {"x": 1, "log": ["2"]})["log"] == ["2", "{'x': 1, 'log': ['2']}"]
    assert driver.invoke(other, {"x": 2, "log": ["1"]})["log"] == ["1", "{'x': 2, 'log': ['1']}"]


def test_clearing_a_cache_leaves_the_results_of_others(driver: Any) -> None:
    cache, ran = InMemoryCache[Any](), list[str]()
    graphs = {name: cached(Speaker(name, ran).speak, cache) for name in "ab"}

    for name in "ab":
        driver.invoke(graphs[name], {"x": 1})
    graphs["a"].clear_cache()
    for name in "ab":
        driver.invoke(graphs[name], {"x": 1})

    assert ran == ["a", "b", "a"]


def test_a_function_of_a_module_has_its_public_name() -> None:
    assert fingerprint(speak) == f"{__name__}.speak"
    assert fingerprint(Speaker.speak) == f"{__name__}.Speaker.speak"
    assert fingerprint(operator.add) == "_operator.add"


SCRIPT = """
import functools, operator
from millstream._base.fingerprints import fingerprint

def make(name, words):
    def node(state, limit=3):
        return [word for word in words if word != name][:limit]
    return node

print(fingerprint(make("a", frozenset("xyz"))), fingerprint(functools.partial(operator.add, 1)))
"""


def test_a_function_that_holds_values_has_the_same_name_in_each_process() -> None:
    names = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(names) == 1
