"""The config of a task: a plain dict for whoever looks, nothing for the others."""

from __future__ import annotations

import contextvars
import copy
import ctypes
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.config import ensure_config, patch_config, var_child_runnable_config
from typing_extensions import TypedDict

from millstream.config import AmbientConfig, get_config
from millstream.constants import CONF
from millstream.graph import START, StateGraph
from millstream.types import RetryPolicy

pytestmark = pytest.mark.timeout(20)

KEYS = {"metadata", "callbacks", "configurable", "tags", "recursion_limit"}
"""What the config of these tests' nodes has."""
GIVEN: dict[str, Any] = {"tags": ["mine"], "recursion_limit": 7}


class State(TypedDict):
    seen: Any


def graph_of(action: Any, **options: Any) -> Any:
    """Compile a graph of one node."""
    return StateGraph(State).add_node("node", action, **options).add_edge(START, "node").compile()


def look(driver: Any, ask: Callable[[], Any]) -> Any:
    """Return what code of a node is told."""
    return driver.invoke(graph_of(lambda _: {"seen": ask()}), {"seen": None}, GIVEN)["seen"]


def by_keyword(**config: Any) -> set[str]:
    return set(config)


def copied_in_c(config: Any) -> set[str]:
    copy_dict = ctypes.pythonapi.PyDict_Copy
    copy_dict.restype, copy_dict.argtypes = ctypes.py_object, [ctypes.py_object]
    return set(copy_dict(config))


READERS: dict[str, Callable[[Any], Any]] = {
    "json": lambda config: set(json.loads(json.dumps(config, default=str))),
    "spread": lambda config: {*{**config}},
    "dict": lambda config: set(dict(config)),
    "or": lambda config: set(config | {}),
    "ror": lambda config: set({} | config),
    "keywords": lambda config: by_keyword(**config),
    "copy": lambda config: set(copy.copy(config)),
    "method": lambda config: set(config.copy()),
    "items": lambda config: {key for key, _ in config.items()},
    "ensure_config": lambda config: set(ensure_config(config)) & KEYS,
    "patch_config": lambda config: set(patch_config(config)) & KEYS,
    "equal": lambda config: set(config) if config == dict(config) else set(),
}


@pytest.mark.parametrize("read", [*READERS.values(), copied_in_c], ids=[*READERS, "c"])
def test_get_config_gives_a_dict_that_every_reader_sees_the_same_in(driver: Any, read: Any) -> None:
    assert look(driver, lambda: read(get_config())) == KEYS


def test_get_config_gives_a_plain_dict(driver: Any) -> None:
    assert look(driver, lambda: type(get_config())) is dict


@pytest.mark.parametrize("read", [v for k, v in READERS.items() if k != "json"])
def test_readers_of_the_ambient_config_see_the_same(driver: Any, read: Any) -> None:
    assert look(driver, lambda: read(var_child_runnable_config.get())) == KEYS


def test_the_ambient_config_is_a_dict_for_those_who_ask(driver: Any) -> None:
    assert look(driver, lambda: isinstance(var_child_runnable_config.get(), dict))


def test_a_node_that_does_not_look_has_no_config_made(driver: Any) -> None:
    def is_made() -> bool:
        config: Any = var_child_runnable_config.get()
        return type(config) is not AmbientConfig or config.is_filled

    assert look(driver, is_made) is False


def test_what_is_changed_in_the_config_reaches_what_the_node_calls(driver: Any) -> None:
    def change() -> Any:
        config = get_config()
        config["run_name"] = "renamed"
        config["metadata"]["more"] = 1
        ambient = ensure_config()
        return config is get_config(), ambient["run_name"], ambient["metadata"]["more"]

    assert look(driver, change) == (True, "renamed", 1)


@pytest.mark.parametrize("method", ["pop", "del", "update", "clear", "set", "default", "ior"])
def test_what_is_changed_in_the_ambient_config_is_changed_in_the_nodes(
    driver: Any, method: str
) -> None:
    def change() -> Any:
        ambient: Any = var_child_runnable_config.get()
        if method == "pop":
            ambient.pop("tags")
        elif method == "del":
            del ambient["tags"]
        elif method == "update":
            ambient.update(tags="new")
        elif method == "clear":
            ambient.clear()
        elif method == "set":
            ambient["tags"] = "new"
        elif method == "default":
            ambient.setdefault("new", 1)
        else:
            ambient |= {"tags": "new"}
        return dict(get_config()) == dict(ambient) != {} or not get_config()

    assert look(driver, change)


def test_a_thread_with_the_nodes_context_has_the_nodes_config(driver: Any) -> None:
    def ask() -> bool:
        found: list[Any] = []
        ambient = contextvars.copy_context()
        thread = threading.Thread(target=ambient.run, args=(lambda: found.append(get_config()),))
        thread.start()
        thread.join()
        return found == [get_config()] and found[0] is get_config()

    assert look(driver, ask)


def test_threads_that_look_at_the_same_time_see_one_config(driver: Any) -> None:
    def ask() -> int:
        found: list[Any] = []
        barrier = threading.Barrier(4)

        def see() -> None:
            barrier.wait()
            found.append(get_config())

        ambients = [contextvars.copy_context() for _ in range(4)]
        threads = [threading.Thread(target=a.run, args=(see,)) for a in ambients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return len({id(config) for config in found})

    assert look(driver, ask) == 1


def test_runnables_are_given_plain_dicts(driver: Any) -> None:
    class Seeing(RunnableLambda[Any, Any]):
        def invoke(self, input: Any, config: Any = None, **_: Any) -> Any:
            return {"seen": (type(config), copied_in_c(config))}

        async def ainvoke(self, input: Any, config: Any = None, **_: Any) -> Any:
            return self.invoke(input, config)

    graph = graph_of(Seeing(lambda _: None))

    assert driver.invoke(graph, {"seen": None}, GIVEN) == {"seen": (dict, KEYS)}


def test_a_lambda_of_langchain_sees_the_nodes_metadata(driver: Any) -> None:
    graph = graph_of(RunnableLambda(lambda _, config: {"seen": config["metadata"]}))

    assert driver.invoke(graph, {"seen": None}, GIVEN)["seen"]["langgraph_node"] == "node"


def test_a_stream_that_was_replaced_is_given_a_plain_dict(driver: Any) -> None:
    inner = graph_of(lambda _: {"seen": 1})
    given: list[Any] = []
    own, aown = inner.stream, inner.astream

    def stream(input: Any, config: Any = None, **options: Any) -> Any:
        given.append(type(config))
        return own(input, config, **options)

    def astream(input: Any, config: Any = None, **options: Any) -> Any:
        given.append(type(config))
        return aown(input, config, **options)

    inner.stream, inner.astream = stream, astream

    driver.invoke(graph_of(inner), {"seen": None}, GIVEN)

    assert given == [dict]


def test_a_graph_whose_invoke_was_replaced_is_given_a_plain_dict(driver: Any) -> None:
    inner = graph_of(lambda _: {"seen": 1})
    given: list[Any] = []
    own, aown = inner.invoke, inner.ainvoke

    def invoke(input: Any, config: Any = None, **options: Any) -> Any:
        given.append(type(config))
        return own(input, config, **options)

    async def ainvoke(input: Any, config: Any = None, **options: Any) -> Any:
        given.append(type(config))
        return await aown(input, config, **options)

    inner.invoke, inner.ainvoke = invoke, ainvoke

    driver.invoke(graph_of(inner), {"seen": None}, GIVEN)

    assert given == [dict]


def test_an_attempt_has_a_config_of_its_own(driver: Any) -> None:
    found: list[Any] = []

    def fail_once(_: State) -> dict[str, Any]:
        found.append(get_config())
        found[-1]["tags"] = [f"attempt {len(found)}"]
        if len(found) == 1:
            raise ConnectionError
        return {"seen": [config["tags"] for config in found]}

    graph = graph_of(fail_once, retry_policy=RetryPolicy(initial_interval=0.001))

    assert driver.invoke(graph, {"seen": None})["seen"] == [["attempt 1"], ["attempt 2"]]
    assert found[0][CONF] is not found[1][CONF]
