"""Reading and changing saved state, where it differs from what programs can compare."""

from __future__ import annotations

import asyncio
import inspect
import operator
import pickle
from typing import Annotated, Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables.config import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.pregel import Pregel as ReferencePregel
from langgraph.pregel.protocol import PregelProtocol as ReferenceProtocol
from typing_extensions import TypedDict

from millstream.config import get_config
from millstream.errors import InvalidUpdateError, MissingThreadError
from millstream.graph import END, START, StateGraph
from millstream.pregel import Pregel
from millstream.pregel.protocol import PregelProtocol
from millstream.types import Send, StateUpdate

METHODS = (
    "get_state",
    "aget_state",
    "get_state_history",
    "aget_state_history",
    "update_state",
    "aupdate_state",
    "bulk_update_state",
    "abulk_update_state",
)


class State(TypedDict, total=False):
    log: Annotated[list[Any], operator.add]


def row(saver: BaseCheckpointSaver[Any] | None = None, path: Any = None) -> Any:
    """Return a graph of a and b, with a conditional edge after a if there is a path."""
    builder = StateGraph(State)
    builder.add_node("a", lambda state: {"log": ["a"]})
    builder.add_node("b", lambda state: {"log": ["b"]})
    builder.add_edge(START, "a")
    if path is None:
        builder.add_edge("a", "b")
    else:
        builder.add_conditional_edges("a", path)
    builder.add_edge("b", END)
    return builder.compile(checkpointer=InMemorySaver() if saver is None else saver)


def thread(name: str = "1", **more: Any) -> RunnableConfig:
    """Return a config that names a thread."""
    return {"configurable": {"thread_id": name, **more}}


def call(driver: Any, graph: Any, method: str, *args: Any) -> Any:
    """Call a method of the graph, or its async twin."""
    if driver.name == "sync":
        return getattr(graph, method)(*args)
    return asyncio.run(getattr(graph, "a" + method)(*args))


@pytest.mark.parametrize("name", METHODS)
def test_the_methods_have_the_signatures_of_the_reference(name: str) -> None:
    """Names, order, kinds and defaults of all parameters, in the interface as well."""
    for ours, reference in ((Pregel, ReferencePregel), (PregelProtocol, ReferenceProtocol)):
        parameters = inspect.signature(getattr(ours, name)).parameters.values()
        expected = inspect.signature(getattr(reference, name)).parameters.values()

        assert [(p.name, p.kind, p.default) for p in parameters] == [
            (p.name, p.kind, p.default) for p in expected
        ]
        assert getattr(getattr(ours, name), "__isabstractmethod__", False) is (
            ours is PregelProtocol
        )


def test_a_missing_thread_is_named_and_nothing_is_stored(driver: Any) -> None:
    """The error is the `KeyError` a saver would raise, but says what to do."""
    saver = InMemorySaver()

    with pytest.raises(KeyError, match="say which thread is meant") as caught:
        call(driver, row(saver), "update_state", {"configurable": {}}, {"log": [1]})

    assert isinstance(caught.value, MissingThreadError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert list(saver.list(None)) == []


def test_a_bulk_update_with_a_bad_superstep_stores_none_of_them(driver: Any) -> None:
    """What can be known to be wrong is refused before the first one is stored."""
    saver = InMemorySaver()
    good, bad = StateUpdate({"log": [1]}, "a"), StateUpdate({"log": [2]}, "nope")

    with pytest.raises(InvalidUpdateError, match="Node nope does not exist"):
        call(driver, row(saver), "bulk_update_state", thread(), [[good], [bad]])

    assert list(saver.list(None)) == []


def test_a_path_that_fails_stores_nothing(driver: Any) -> None:
    """Its error reaches the caller."""
    saver = InMemorySaver()

    def path(state: State) -> str:
        raise LookupError("no way")

    with pytest.raises(LookupError, match="no way"):
        call(driver, row(saver, path), "update_state", thread(), {"log": [1]}, "a")

    assert list(saver.list(None)) == []


def test_a_path_sees_the_config_while_the_state_is_updated(driver: Any) -> None:
    """Ambiently too, and the caller's own context is as before."""
    seen: list[Any] = []

    def path(state: State) -> str:
        seen.append(get_config()["configurable"]["user"])
        return "b"

    call(driver, row(path=path), "update_state", thread(user="me"), {"log": [1]}, "a")

    assert seen == ["me"]
    with pytest.raises(RuntimeError, match="outside of a runnable context"):
        get_config()


class Heard(BaseCallbackHandler):
    """Notes what starts, ends and fails."""

    def __init__(self) -> None:
        self.facts: list[Any] = []

    def on_chain_start(self, serialized: Any, inputs: Any, **kwargs: Any) -> None:
        """Note a start."""
        self.facts.append(("start", kwargs["name"], inputs))

    def on_chain_end(self, outputs: Any, **kwargs: Any) -> None:
        """Note an end."""
        self.facts.append(("end", outputs))

    def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        """Note a failure."""
        self.facts.append(("error", type(error)))


def test_handlers_hear_of_an_update(driver: Any) -> None:
    """As of a run named after what it does."""
    heard = Heard()
    config: RunnableConfig = {**thread(), "callbacks": [heard]}
    graph = row()

    call(driver, graph, "update_state", config, {"log": [1]}, "a")
    with pytest.raises(InvalidUpdateError):
        call(driver, graph, "update_state", config, 5, "a")

    assert heard.facts == [
        ("start", "LangGraphUpdateState", {"log": [1]}),
        ("end", {"log": [1]}),
        ("start", "LangGraphUpdateState", 5),
        ("error", InvalidUpdateError),
    ]


def test_a_saver_in_the_config_is_used(driver: Any) -> None:
    """A server passes its own that way."""
    saver = InMemorySaver()
    graph = row()
    graph.checkpointer = None
    config = thread(__pregel_checkpointer=saver)

    call(driver, graph, "update_state", config, {"log": [1]}, "a")

    assert call(driver, graph, "get_state", config).values == {"log": [1]}
    assert [saved.config["configurable"]["thread_id"] for saved in saver.list(None)] == ["1"]


def test_snapshots_survive_a_round_trip_as_configs(driver: Any) -> None:
    """A config of a nested snapshot holds names only, so it can be stored and sent."""
    graph = row()
    call(driver, graph, "update_state", thread(), {"log": [1]}, "a")

    config = call(driver, graph, "get_state", thread()).config

    assert pickle.loads(pickle.dumps(config)) == config
    assert call(driver, graph, "get_state", config).config == config


def all_but_two(before: list[int], more: list[int]) -> list[int]:
    """Add what is not two."""
    if more == [2]:
        raise ValueError("not 2")
    return before + more


class Seen(TypedDict, total=False):
    x: int
    log: Annotated[list[int], all_but_two]


@pytest.mark.parametrize("what", ["one value", "reducer"])
def test_a_thread_can_be_read_whose_last_writes_do_not_fit_together(what: str) -> None:
    def write(state: Any) -> dict[str, Any]:
        return {"x": state["n"]} if what == "one value" else {"log": [state["n"]]}

    builder = StateGraph(Seen).add_node("plan", lambda state: {}).add_node(write)
    builder.add_edge(START, "plan")
    builder.add_conditional_edges("plan", lambda state: [Send("write", {"n": n}) for n in (1, 2)])
    graph = builder.compile(checkpointer=InMemorySaver())
    kind = InvalidUpdateError if what == "one value" else ValueError
    with pytest.raises(kind):
        graph.invoke({"x": 0, "log": []}, thread())

    found = graph.get_state(thread())
    assert asyncio.run(graph.aget_state(thread())) == found
    assert found.values == {"x": 0, "log": []}
    assert found.next == ("write", "write")
    assert len(found.tasks) == 2
    # It is no other than that of the history, and the run does not get past it.
    assert next(graph.get_state_history(thread())).values == found.values
    with pytest.raises(kind):
        graph.invoke(None, thread())
    graph.update_state(thread(), {"x": 5}, as_node="write")
    assert (graph.get_state(thread()).values["x"], graph.get_state(thread()).next) == (5, ())
