"""TARGET finds the graph that is meant, however it is made."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from millstream.cli.event_loop import EventLoop
from millstream.cli.installing import how_to_import, installing, requirement_of
from millstream.cli.target import lent_graph

MAKING = """
import asyncio
from contextlib import asynccontextmanager, contextmanager

from langchain_core.runnables import RunnableConfig
from typing_extensions import TypedDict

from millstream.graph import START, StateGraph


class State(TypedDict, total=False):
    said: list


events = []


def graph_that_says(*words):
    async def say(state):
        return {"said": [*words, asyncio.get_running_loop() is events[0] if events else None]}

    builder = StateGraph(State).add_node("say", say)
    return builder.add_edge(START, "say")


def configured(config):
    return graph_that_says(config["configurable"]["word"])


def annotated(settings: RunnableConfig, more=1):
    return graph_that_says(settings["configurable"]["word"], more)


def with_runtime(runtime, config):
    return graph_that_says(runtime.access_context)


async def made_async():
    events[:] = [asyncio.get_running_loop()]
    return graph_that_says("async")


@contextmanager
def lent():
    try:
        yield graph_that_says("lent")
    finally:
        events.append("given back")


@asynccontextmanager
async def lent_async(config):
    events[:] = [asyncio.get_running_loop()]
    try:
        yield graph_that_says("lent")
    finally:
        events.append("given back" if asyncio.get_running_loop() is events[0] else "elsewhere")


class Makers:
    @staticmethod
    def make():
        return graph_that_says("deep")
"""

ASKING = """
from contextlib import asynccontextmanager

from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from typing_extensions import TypedDict

from millstream.graph import START, StateGraph
from millstream.types import interrupt


class State(TypedDict, total=False):
    sacks: int


async def ask(state):
    return {"sacks": interrupt("How many?")}


@asynccontextmanager
async def make():
    async with AsyncSqliteSaver.from_conn_string("kept.db") as saver:
        builder = StateGraph(State).add_node(ask).add_edge(START, "ask")
        yield builder.compile(checkpointer=saver)
"""

GRAPH = """
from typing_extensions import TypedDict

from millstream.graph import START, StateGraph


class State(TypedDict, total=False):
    x: int


def builder_of(value):
    return StateGraph(State).add_node("n", lambda state: {"x": value}).add_edge(START, "n")


def make() -> StateGraph:
    return builder_of(3)


def helper(state):
    return state
"""


def data(out: str) -> Any:
    return json.loads(out)["data"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("configured", ["oats", None]),
        ("annotated", ["oats", 1, None]),
        ("with_runtime", ["threads.create_run", None]),
        ("made_async", ["async", True]),
        ("lent", ["lent", None]),
        ("lent_async", ["lent", True]),
        ("Makers.make", ["deep", None]),
    ],
)
def test_functions_make_graphs_as_the_server_has_them_made(
    millstream: Any, folder: Path, name: str, said: list[Any]
) -> None:
    (folder / "making.py").write_text(MAKING, encoding="utf-8")
    config = '{"configurable": {"word": "oats"}}'

    outcome = millstream("run", f"making.py:{name}", "-c", config, "--json")

    assert outcome.err == ""
    assert data(outcome.out) == {"say": {"said": said}}


@pytest.mark.parametrize("name", ["lent", "lent_async"])
def test_what_a_factory_has_opened_is_closed_in_the_end(folder: Path, name: str) -> None:
    (folder / "making.py").write_text(MAKING, encoding="utf-8")

    with EventLoop() as loop, lent_graph(f"making.py:{name}", {}, loop):
        events = sys.modules["making"].events
        assert "given back" not in events

    assert events[-1] == "given back"


def test_an_async_saver_that_a_factory_opens_keeps_threads(millstream: Any, folder: Path) -> None:
    (folder / "asking.py").write_text(ASKING, encoding="utf-8")
    thread = ["asking.py:make", "--thread", "1", "--json"]

    asked = millstream("run", *thread)
    seen = millstream("state", *thread)
    answered = millstream("run", *thread, "--resume", "3")
    newest = millstream("history", *thread, "--limit", "1")

    assert asked.err.startswith("waits for an answer; to go on:\n")
    assert json.loads(seen.out)["next"] == ["ask"]
    assert data(answered.out) == {"ask": {"sacks": 3}}
    assert json.loads(newest.out)["values"] == {"sacks": 3}


@pytest.mark.parametrize(
    ("more", "value"),
    [
        ("builder = builder_of(1)\ngraph = also = builder.compile()", 1),
        ("builder = builder_of(2)", 2),
        ("", 3),
    ],
    ids=["compiled", "builder", "function"],
)
@pytest.mark.parametrize("target", ["hello.py", "hello"])
def test_the_only_graph_needs_no_name(
    millstream: Any, folder: Path, target: str, more: str, value: int
) -> None:
    (folder / "hello.py").write_text(GRAPH + more, encoding="utf-8")

    outcome = millstream("run", target, "--json")

    assert outcome.err == ""
    assert data(outcome.out) == {"n": {"x": value}}


def test_several_graphs_are_named_and_none_says_what_to_do(millstream: Any, folder: Path) -> None:
    two = "one, two = builder_of(1).compile(), builder_of(2).compile()"
    (folder / "several.py").write_text(GRAPH + two, encoding="utf-8")
    (folder / "none.py").write_text("x = 1", encoding="utf-8")

    several, none = millstream("run", "several.py").complaint, millstream("run", "none").complaint

    assert several == "several.py has 2 graphs; name one: several.py:one or several.py:two"
    assert none == (
        "none has no graph; define one there, or name a function that makes one: none:NAME"
    )


@pytest.mark.parametrize("target", [".", "langgraph.json", "notes.ipynb:graph"])
def test_what_is_no_python_file_is_not_taken_for_a_module(
    millstream: Any, folder: Path, target: str
) -> None:
    for name in ("langgraph.json", "notes.ipynb"):
        (folder / name).write_text("{}")

    complaint = millstream("draw", target).complaint

    assert complaint.startswith(f"{target.partition(':')[0]} is not a Python file; write path/to/")


def test_a_file_in_a_package_may_import_from_it(millstream: Any, folder: Path) -> None:
    (folder / "mill" / "parts").mkdir(parents=True)
    (folder / "mill" / "__init__.py").touch()
    (folder / "mill" / "stones.py").write_text(GRAPH, encoding="utf-8")
    (folder / "mill" / "parts" / "__init__.py").touch()
    source = "from ..stones import builder_of\ngraph = builder_of(4).compile()"
    (folder / "mill" / "parts" / "flow.py").write_text(source, encoding="utf-8")

    outcome = millstream("run", "mill/parts/flow.py", "--json")

    assert outcome.err == ""
    assert data(outcome.out) == {"n": {"x": 4}}


@pytest.fixture
def installed(folder: Path) -> Path:
    """Give a package that lies where packages are installed, and needs one that is missing."""
    site = folder / "site-packages"
    site.mkdir()
    (site / "grinder.py").write_text("\nimport langchain_mistralai", encoding="utf-8")
    return site


def test_what_a_class_says_that_it_needs_is_what_is_installed() -> None:
    error = ImportError("RayExecutor needs Ray: pip install 'millstream[ray]'")
    error.__cause__ = ModuleNotFoundError("No module named 'ray'", name="ray")

    assert how_to_import(error) == f"install it: {installing('millstream[ray]')}"


def test_a_missing_package_names_the_users_line_and_what_installs_it(
    millstream: Any, folder: Path, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(installed))
    (folder / "needs.py").write_text("\n\nimport grinder", encoding="utf-8")

    complaint = millstream("run", "needs.py").complaint

    assert "(needs.py, line 3); install it: " in complaint
    assert complaint.endswith(installing("langchain-mistralai"))


@pytest.mark.parametrize(
    ("module", "requirement"),
    [
        ("psycopg", "millstream[postgres]"),
        ("langgraph.checkpoint.sqlite.aio", "millstream[sqlite]"),
        ("langgraph_sdk.client", "millstream[remote]"),
        ("uvicorn", "millstream[server]"),
        ("langchain_openai", "langchain-openai"),
        ("dotenv", "python-dotenv"),
        ("langchain_opneai", None),
        ("mymodule", None),
    ],
)
def test_what_has_a_module_is_told_where_it_is_certain(
    module: str, requirement: str | None
) -> None:
    assert requirement_of(module) == requirement


def test_a_traceback_is_whole_if_it_is_asked_for(millstream: Any, folder: Path) -> None:
    (folder / "broken.py").write_text("1 / 0", encoding="utf-8")

    short, whole = millstream("run", "broken.py"), millstream("run", "broken.py", "--traceback")
    drawn = millstream("draw", "broken.py", "--traceback")
    failed = millstream("run", "graphs.py:failing", "-i", '{"x": 1}', "--traceback")

    assert "Traceback" not in short.err
    assert "Traceback" in whole.err
    assert whole.err.endswith(short.err)
    assert "Traceback" in drawn.err
    assert "millstream/drivers/" in failed.err.replace("\\", "/")
