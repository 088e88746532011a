"""A tool's `writer` and `runtime` parameters are injected, and no model is told about them."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading
from typing import Annotated, Any, Optional

import pytest
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool, tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, model_serializer

from millstream._types.tool_writer import tool_call_writer
from millstream.prebuilt import InjectedState, ToolNode, ToolRuntime
from millstream.types import StreamWriter
from prebuilt.conversation import asking, contents, tool_call, tools_graph

pytestmark = pytest.mark.timeout(20)


@tool
def query_database(query: str, writer: StreamWriter, runtime: ToolRuntime) -> str:
    """Query the database."""
    writer({"data": "Retrieved 0/100 records", "type": "progress"})
    writer({"data": "Retrieved 100/100 records", "type": "progress"})
    return f"{query} {runtime.tool_call_id}"


@tool
async def query_later(query: str, writer: StreamWriter, runtime: ToolRuntime) -> str:
    """Query the database."""
    writer({"data": "Retrieved 0/100 records", "type": "progress"})
    await asyncio.sleep(0)
    writer({"data": "Retrieved 100/100 records", "type": "progress"})
    return f"{query} {runtime.tool_call_id}"


PROGRESS = [
    {"data": "Retrieved 0/100 records", "type": "progress"},
    {"data": "Retrieved 100/100 records", "type": "progress"},
]


def test_a_writer_parameter_of_a_tool_streams(driver: Any) -> None:
    graph = tools_graph(query_database)

    items = driver.stream(
        graph, asking(tool_call("query_database", {"query": "q"})), stream_mode="custom"
    )

    assert items == PROGRESS


def test_a_writer_parameter_of_an_async_tool_streams() -> None:
    graph = tools_graph(query_later)

    async def collect() -> list[Any]:
        asked = asking(tool_call("query_later", {"query": "q"}))
        return [item async for item in graph.astream(asked, stream_mode="custom")]

    assert asyncio.run(collect()) == PROGRESS


@pytest.mark.parametrize("shown", [query_database, query_later], ids=["sync", "async"])
def test_models_are_told_of_neither(shown: BaseTool) -> None:
    described = convert_to_openai_tool(shown)["function"]["parameters"]

    assert sorted(shown.args) == ["query"]
    assert sorted(described["properties"]) == ["query"]
    assert described["required"] == ["query"]


def test_models_are_not_told_of_optional_parameters_either() -> None:
    @tool
    def ask(
        query: str,
        writer: Optional[StreamWriter] = None,
        runtime: Optional[ToolRuntime] = None,
        state: Optional[ToolRuntime[Any, dict[str, Any]]] = None,
    ) -> str:
        """Ask."""
        return query

    described = convert_to_openai_tool(ask)["function"]["parameters"]

    assert sorted(ask.args) == ["query"]
    assert sorted(described["properties"]) == ["query"]


def test_optional_parameters_are_injected(driver: Any) -> None:
    @tool
    def ask(
        query: str,
        writer: Optional[StreamWriter] = None,
        runtime: Optional[ToolRuntime] = None,
    ) -> str:
        """Ask."""
        assert writer is not None
        assert runtime is not None
        writer(runtime.tool_call_id)
        return query

    lies = {"query": "q", "writer": "mine", "runtime": "mine"}
    items = driver.stream(tools_graph(ask), asking(tool_call("ask", lies)), stream_mode="custom")

    assert items == ["c1"]


def test_what_a_model_says_for_a_writer_is_ignored(driver: Any) -> None:
    graph = tools_graph(query_database)
    lies = {"query": "q", "writer": "mine", "runtime": "mine"}

    result = driver.invoke(graph, asking(tool_call("query_database", lies)))

    assert contents(result) == ["q c1"]


def test_errors_told_to_the_model_leave_injected_parameters_out(driver: Any) -> None:
    graph = tools_graph(query_database)

    result = driver.invoke(graph, asking(tool_call("query_database", {"writer": "mine"})))

    assert contents(result) == [
        "Error invoking tool 'query_database' with kwargs {'writer': 'mine'} with error:\n"
        " query: Field required\n Please fix the error and try again."
    ]


def test_a_writer_works_in_functions_optional_parameters_and_classes(driver: Any) -> None:
    def function(w: StreamWriter) -> str:
        """Write."""
        w("function")
        return "done"

    def optional(writer: Optional[StreamWriter] = None) -> str:
        """Write."""
        assert writer is not None
        writer("optional")
        return "done"

    class Own(BaseTool):
        name: str = "own"
        description: str = "Write."

        def _run(self, writer: StreamWriter) -> str:
            writer("class")
            return "done"

    names = ["function", "optional", "own"]
    graph = tools_graph(function, optional, Own())

    items = [driver.stream(graph, asking(tool_call(name)), stream_mode="custom") for name in names]

    assert items == [["function"], ["optional"], ["class"]]


def test_a_model_may_have_an_argument_that_is_called_writer(driver: Any) -> None:
    @tool
    def find_books(writer: str) -> str:
        """Find books by their writer."""
        return f"books by {writer}"

    result = driver.invoke(
        tools_graph(find_books), asking(tool_call("find_books", {"writer": "Ann"}))
    )

    assert contents(result) == ["books by Ann"]
    assert sorted(find_books.args) == ["writer"]


class Undumpable(BaseModel):
    """A state that must not be copied for each call of a tool."""

    messages: list[Any]

    @model_serializer
    def refuse(self) -> Any:
        """Fail when somebody dumps it."""
        raise AssertionError("the state was dumped")


@tool
def takes_runtime(runtime: ToolRuntime) -> str:
    """Take the state in the runtime."""
    return type(runtime.state).__name__


@tool
def takes_typed_runtime(given: ToolRuntime[None, Undumpable]) -> str:
    """Take the state in a runtime that says what it has."""
    return type(given.state).__name__


@tool
def takes_state(state: Annotated[Any, InjectedState]) -> str:
    """Take the state."""
    return type(state).__name__


@pytest.mark.parametrize("taker", [takes_runtime, takes_typed_runtime, takes_state])
def test_the_state_is_not_dumped_for_each_call(taker: BaseTool) -> None:
    said = Undumpable(messages=asking(tool_call(taker.name))["messages"])

    result = ToolNode([taker]).invoke(said)

    assert contents(result) == ["Undumpable"]


def test_output_deltas_go_to_whoever_listens(driver: Any) -> None:
    @tool
    def talks(runtime: ToolRuntime) -> str:
        """Emit two parts."""
        runtime.emit_output_delta("one")
        runtime.emit_output_delta({"two": 2})
        return "done"

    heard: list[Any] = []
    token = tool_call_writer.set(heard.append)
    try:
        result = driver.invoke(tools_graph(talks), asking(tool_call("talks")))
    finally:
        tool_call_writer.reset(token)

    assert heard == ["one", {"two": 2}]
    assert contents(result) == ["done"]


def test_a_listener_hears_only_its_own_call() -> None:
    """Calls that run at the same time set the listener in contexts of their own."""

    @tool
    def talks(runtime: ToolRuntime) -> str:
        """Emit its id."""
        runtime.emit_output_delta("part")
        return "done"

    heard: list[tuple[Any, Any]] = []

    def listen(request: Any, execute: Any) -> ToolMessage:
        call_id = request.tool_call["id"]
        tool_call_writer.set(lambda delta: heard.append((call_id, delta)))
        return execute(request)

    graph = tools_graph(talks, wrap_tool_call=listen)
    graph.invoke(asking(tool_call("talks"), tool_call("talks", id="c2")))

    assert sorted(heard) == [("c1", "part"), ("c2", "part")]
    assert tool_call_writer.get() is None


@pytest.mark.parametrize("is_copied", [False, True])
def test_a_thread_emits_deltas_in_the_context_of_the_tool(driver: Any, is_copied: bool) -> None:
    @tool
    def emit(runtime: ToolRuntime) -> str:
        """Emit."""

        def work() -> None:
            runtime.emit_output_delta("delta")
            runtime.stream_writer("item")

        run = contextvars.copy_context().run
        thread = threading.Thread(target=run, args=(work,)) if is_copied else None
        thread = thread or threading.Thread(target=work)
        thread.start()
        thread.join()
        return "done"

    items = driver.stream(
        tools_graph(emit), asking(tool_call("emit", {})), stream_mode=["custom", "tools"]
    )

    deltas = [each["delta"] for mode, each in items if mode == "tools" and "delta" in each]
    assert deltas == (["delta"] if is_copied else [])
    assert ("custom", "item") in items


def test_the_annotation_costs_nothing_until_it_is_used() -> None:
    program = (
        "import sys, millstream.types; before = 'langchain_core.tools.base' in sys.modules;"
        "millstream.types.StreamWriter; print(before, 'langchain_core.tools.base' in sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )

    assert done.stdout.split() == ["False", "True"]
