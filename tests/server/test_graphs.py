"""How graphs are found, made and loaded anew."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph_sdk.runtime import ServerRuntime

from millstream.cli.failures import UsageError
from millstream.cli.target import load_graph
from millstream.journal import MemoryJournal
from millstream.server.config import GraphSource
from millstream.server.errors import ApiError, ConfigError
from millstream.server.graphs import GraphCatalog
from server.graphs import make_chat

FILE = """
from millstream.graph import START, MessagesState, StateGraph

def answer(state):
    return {{"messages": [("ai", "{text}")]}}

graph = StateGraph(MessagesState).add_node("{node}", answer).add_edge(START, "{node}").compile()
"""


@pytest.fixture
def module(tmp_path: Path) -> Iterator[str]:
    """Give the name of a module that no other test has, and take back what importing changes."""
    path, modules = [*sys.path], {*sys.modules}
    yield f"graphs_{uuid.uuid4().hex}"
    sys.path[:] = path
    for name in {*sys.modules} - modules:
        if name.startswith("graphs_"):
            del sys.modules[name]


def catalog(directory: Path, **sources: Any) -> GraphCatalog:
    """Return a catalog."""
    known = {id: GraphSource(target) for id, target in sources.items()}
    return GraphCatalog(known, directory, saver=MemoryJournal(), store=None)


def nodes(graphs: GraphCatalog, graph_id: str, **options: Any) -> list[str]:
    """Return the names of a graph's nodes."""

    async def look() -> list[str]:
        async with graphs.open(graph_id, **options) as graph:
            assert isinstance(graph.checkpointer, MemoryJournal)
            return [name for name in graph.nodes if name != "__start__"]

    return asyncio.run(look())


def test_a_graph_is_found_in_a_file_and_in_a_module(tmp_path: Path, module: str) -> None:
    (tmp_path / f"{module}.py").write_text(FILE.format(text="a", node="one"))
    graphs = catalog(tmp_path, a=f"./{module}.py:graph", b=f"{module}:graph")

    assert graphs.load() == {}
    assert nodes(graphs, "a") == nodes(graphs, "b") == ["one"]


@pytest.mark.parametrize("broken", ["./app.py:", ":graph", ""])
def test_a_target_that_names_nothing_is_a_fault_of_its_graph(
    tmp_path: Path, module: str, broken: str
) -> None:
    (tmp_path / f"{module}.py").write_text(FILE.format(text="a", node="one"))
    graphs = catalog(tmp_path, a=f"./{module}.py:graph", b=broken)

    assert list(graphs.load()) == ["b"]
    assert nodes(graphs, "a") == ["one"]


def test_a_file_in_a_package_is_a_module_of_it(tmp_path: Path, module: str) -> None:
    package = tmp_path / module
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "texts.py").write_text("TEXT = 1")
    (package / "app.py").write_text(f"from .texts import TEXT\n{FILE.format(text='a', node='two')}")
    graphs = catalog(tmp_path, a=f"./{module}/app.py:graph")

    assert graphs.load() == {}
    assert nodes(graphs, "a") == ["two"]


def test_the_only_graph_of_a_file_or_a_module_needs_no_name(tmp_path: Path, module: str) -> None:
    (tmp_path / f"{module}.py").write_text(FILE.format(text="a", node="one"))
    (tmp_path / f"{module}_b.py").write_text("def other(config) -> 'StateGraph': ...\n")
    sources = {name: name for name in (f"{tmp_path}/{module}.py", f"{module}_b")}
    graphs = catalog(tmp_path, **sources, chat=make_chat())

    assert graphs.load() == {}
    assert graphs.ids() == ["graph", "other", "chat"]
    assert nodes(graphs, "graph") == ["one"]

    assert graphs.reload() == {}
    assert graphs.ids() == ["graph", "other", "chat"]


@pytest.mark.parametrize(
    "text",
    ["x = 1", FILE.format(text="a", node="one") + "other = graph.copy()\n"],
    ids=["none", "two"],
)
def test_which_graph_of_a_file_is_meant_is_asked_as_by_the_command_that_runs_one(
    tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"{module}.py"
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError) as told:
        load_graph(name)

    with pytest.raises(ConfigError) as caught:
        catalog(tmp_path, **{name: f"{tmp_path}/{name}"}).load()

    assert str(caught.value) == str(told.value)


def test_a_file_that_cannot_be_imported_has_no_graph_to_be_named(
    tmp_path: Path, module: str
) -> None:
    (tmp_path / f"{module}.py").write_text("graph = 1 / 0\n")

    with pytest.raises(ConfigError) as caught:
        catalog(tmp_path, **{"app.py": f"{tmp_path}/{module}.py"}).load()

    assert str(caught.value) == (
        "importing app.py failed: ZeroDivisionError: division by zero; correct it and try again"
    )


def test_two_graphs_cannot_have_the_name_of_one(tmp_path: Path, module: str) -> None:
    for each in (f"{module}.py", f"{module}_b.py"):
        (tmp_path / each).write_text(FILE.format(text="a", node="one"))

    with pytest.raises(
        ConfigError, match=r"^two graphs are called 'graph', .*: rename one of them"
    ):
        catalog(tmp_path, **{name: name for name in (module, f"{module}_b")}).load()


def test_a_graph_that_was_given_an_id_keeps_it_when_its_file_tells_its_name(
    tmp_path: Path, module: str
) -> None:
    for each in (f"{module}.py", f"{module}_b.py"):
        (tmp_path / each).write_text(FILE.format(text="a", node="one"))
    graphs = catalog(tmp_path, chat=f"./{module}.py", other=f"{module}_b")

    assert graphs.load() == {}

    assert graphs.ids() == ["chat", "other"]
    assert nodes(graphs, "chat") == ["one"]


def test_a_graph_that_cannot_be_imported_says_so_and_the_others_go_on(
    tmp_path: Path, module: str
) -> None:
    (tmp_path / f"{module}.py").write_text("graph = 1 / 0\n")
    graphs = catalog(tmp_path, bad=f"./{module}.py:graph", chat=make_chat(), none="./no.py:x", n=7)

    faults = graphs.load()

    assert faults["bad"] == "ZeroDivisionError: division by zero"
    assert "there is no file" in faults["none"]
    assert faults["n"] == "7 is no graph, and makes none: 7"
    assert nodes(graphs, "chat") == ["call_model"]
    with pytest.raises(ApiError, match="ZeroDivisionError") as caught:
        nodes(graphs, "bad")
    assert caught.value.status == 500


def test_changed_files_are_loaded_anew_and_faulty_ones_leave_the_old_graph(
    tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    file, helper = tmp_path / f"{module}.py", tmp_path / f"{module}_texts.py"
    helper.write_text("NODE = 'one'")
    text = FILE.format(text="a", node="@").replace('"@"', "NODE")
    file.write_text(f"from {module}_texts import NODE\n{text}")
    graphs = catalog(tmp_path, a=f"./{module}.py:graph")
    assert graphs.load() == {}
    old_json = sys.modules["json"]

    helper.write_text("NODE = 'two'")
    assert graphs.reload() == {}
    assert nodes(graphs, "a") == ["two"]

    file.write_text("graph = (\n")
    assert "was never closed" in graphs.reload()["a"]
    assert nodes(graphs, "a") == ["two"]

    helper.write_text("NODE = 'three'")
    file.write_text(f"from {module}_texts import NODE\n{text}")
    assert graphs.reload() == {}
    assert nodes(graphs, "a") == ["three"]
    assert sys.modules["json"] is old_json


SEEN: list[Any] = []


def plain() -> Any:
    return make_chat()


def with_config(config: RunnableConfig) -> Any:
    SEEN.append(config)
    return make_chat()


async def with_runtime(runtime: ServerRuntime[Any]) -> Any:
    SEEN.append((runtime.access_context, runtime.execution_runtime is not None, runtime.user))
    return make_chat()


def with_both(config: dict[str, Any], user: Any, limit: int = 3) -> Any:
    SEEN.append((config, user, limit))
    return make_chat()


@contextlib.asynccontextmanager
async def in_context() -> AsyncIterator[Any]:
    SEEN.append("opened")
    yield make_chat()
    SEEN.append("closed")


@contextlib.contextmanager
def in_plain_context() -> Iterator[Any]:
    SEEN.append("opened")
    yield make_chat()
    SEEN.append("closed")


@pytest.mark.parametrize(
    ("factory", "seen"),
    [
        (plain, []),
        (with_config, [{"configurable": {"a": 1}}]),
        (with_runtime, [("threads.create_run", True, "ada")]),
        (with_both, [({"configurable": {"a": 1}}, "ada", 3)]),
        (in_context, ["opened", "closed"]),
        (in_plain_context, ["opened", "closed"]),
    ],
)
def test_a_factory_is_given_what_it_asks_for(tmp_path: Path, factory: Any, seen: list[Any]) -> None:
    SEEN.clear()
    graphs = catalog(tmp_path, made=factory)
    assert graphs.load() == {}

    found = nodes(
        graphs,
        "made",
        config={"configurable": {"a": 1}},
        access="threads.create_run",
        user="ada",
    )

    assert found == ["call_model"]
    assert seen == SEEN


def test_an_unknown_graph_names_those_there_are(tmp_path: Path) -> None:
    graphs = catalog(tmp_path, chat=make_chat())
    graphs.load()

    with pytest.raises(ApiError, match=r"Graph 'x' not found. Expected one of: \['chat'\]"):
        nodes(graphs, "x")
