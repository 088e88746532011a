"""What a call asks for is worked out once for all calls that ask alike, and never for others."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler, CallbackManager
from langsmith import get_current_run_tree
from langsmith.utils import get_env_var
from typing_extensions import TypedDict

from millstream._base.run_trees import inside
from millstream.drivers.tracing import is_observed
from millstream.graph import END, START, StateGraph


class State(TypedDict, total=False):
    n: int
    m: int


def build() -> Any:
    """Compile a graph whose only node counts."""
    builder = StateGraph(State)
    builder.add_node("count", lambda state: {"n": state["n"] + 1})
    builder.add_edge(START, "count")
    builder.add_edge("count", END)
    return builder.compile()


def test_calls_that_ask_for_different_things_get_them(driver: Any) -> None:
    graph, given = build(), {"n": 0, "m": 5}

    shown = [
        driver.stream(graph, given, stream_mode=mode, output_keys=keys)
        for mode in ("updates", ["updates"], ("updates", "values"), {"values"})
        for keys in (None, "n", ["m"])
    ]

    update, before, after = {"n": 1}, {"n": 0, "m": 5}, {"n": 1, "m": 5}
    assert shown == [
        [{"count": update}],
        [{"count": 1}],
        [{"count": None}],
        [("updates", {"count": update})],
        [("updates", {"count": 1})],
        [("updates", {"count": None})],
        [("values", before), ("updates", {"count": update}), ("values", after)],
        [("values", 0), ("updates", {"count": 1}), ("values", 1)],
        [("values", {"m": 5}), ("updates", {"count": None})],
        [("values", before), ("values", after)],
        [("values", 0), ("values", 1)],
        [("values", {"m": 5})],
    ]


def test_a_graph_that_is_changed_is_seen_as_it_is_now(
    driver: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = build()
    first = driver.stream(graph, {"n": 0})
    graph.stream_mode = "values"
    second = driver.stream(graph, {"n": 0})
    graph.debug = True
    printed = [capsys.readouterr().out]

    driver.stream(graph, {"n": 0})
    printed.append(capsys.readouterr().out)

    assert first == [{"count": {"n": 1}}]
    assert second == [{"n": 0}, {"n": 1}]
    assert printed[0] == ""
    assert "[updates]" in printed[1]


def test_a_copy_with_other_keys_shows_those(driver: Any) -> None:
    graph = build()
    whole = driver.invoke(graph, {"n": 0, "m": 5})

    part = driver.invoke(graph.copy({"output_channels": ["n"]}), {"n": 0, "m": 5})

    assert whole == {"n": 1, "m": 5}
    assert part == {"n": 1}


def test_an_input_is_refused_alike_whether_or_not_anybody_watches(driver: Any) -> None:
    graph = build()

    with pytest.raises(Exception) as watched:
        driver.stream(graph, 5)
    with pytest.raises(Exception) as unwatched:
        driver.invoke(graph, 5)

    assert repr(watched.value) == repr(unwatched.value)
    notes = getattr(unwatched.value, "__notes__", None)
    assert [note.split(" and id ")[0] for note in notes or ()] == [
        note.split(" and id ")[0] for note in getattr(watched.value, "__notes__", ())
    ]


SWITCHES = [
    f"{space}_{name}" for space in ("LANGSMITH", "LANGCHAIN") for name in ("TRACING_V2", "TRACING")
]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Give an environment that LangSmith reads anew, and forgets after the test."""
    for name in SWITCHES:
        monkeypatch.delenv(name, raising=False)
    get_env_var.cache_clear()
    yield monkeypatch
    get_env_var.cache_clear()


@pytest.mark.parametrize("name", SWITCHES)
def test_tracing_is_switched_on_by_the_environment(
    environment: pytest.MonkeyPatch, name: str
) -> None:
    heard = []
    for value in ("false", "true"):
        environment.setenv(name, value)
        get_env_var.cache_clear()
        heard.append(is_observed(None))

    assert heard == [False, True]


def half_imported(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have a module be as other threads see it whose import has just begun."""
    monkeypatch.setitem(sys.modules, name, ModuleType(name))


def test_hooks_that_another_thread_is_about_to_import_are_nobodys(
    environment: pytest.MonkeyPatch,
) -> None:
    half_imported(environment, "langchain_core.tracers.context")

    assert is_observed(None) is False


def test_no_run_has_a_tracer_that_another_thread_is_about_to_import(
    environment: pytest.MonkeyPatch,
) -> None:
    manager = CallbackManager([BaseCallbackHandler()]).on_chain_start(None, {})
    half_imported(environment, "langchain_core.tracers.langchain")

    with inside(manager):
        assert get_current_run_tree() is None


@pytest.mark.parametrize("subgraphs", [None, 0, 2, [], "yes"])
def test_whether_subgraphs_are_wanted_is_a_question_of_truth(driver: Any, subgraphs: Any) -> None:
    items = driver.stream(build(), {"n": 0}, stream_mode="updates", subgraphs=subgraphs)

    update = {"count": {"n": 1}}
    assert items == [((), update) if subgraphs else update]


def test_a_mode_that_cannot_be_one_is_refused_by_name(driver: Any) -> None:
    with pytest.raises(ValueError, match=r"Unknown stream mode \['x'\]; use one or more of"):
        driver.stream(build(), {"n": 0}, stream_mode=["updates", ["x"]])


def test_what_a_reader_does_to_the_tags_of_a_task_is_its_own_affair() -> None:
    builder = StateGraph(State).add_sequence([("one", lambda state: {}), ("two", lambda state: {})])
    graph = builder.add_edge(START, "one").compile()
    seen = []

    for event in graph.stream({"n": 0}, {"tags": ["mine"]}, stream_mode="tasks"):
        if "metadata" in event:
            seen.append(tuple(event["metadata"]["tags"]))
            event["metadata"]["tags"].append("changed")

    assert seen == [("mine",), ("mine",)]
