"""The examples of docs/executors.md."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from contextlib import aclosing, closing
from contextvars import ContextVar, copy_context
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from executors import acting
from executors.acting import graph_of
from millstream.types import Command, RetryPolicy

GUIDE = (Path(__file__).parents[2] / "docs" / "executors.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
PRINTED = re.findall(r"prints\n\n```text\n(.*?)```", GUIDE, re.DOTALL)


def test_the_guides_program_prints_what_it_says(tmp_path: Path) -> None:
    program = tmp_path / "mill.py"
    program.write_text(EXAMPLES[0])

    done = subprocess.run(
        [sys.executable, program], capture_output=True, text=True, check=False, timeout=100
    )

    assert (done.stdout, done.stderr) == (PRINTED[0], "")


@pytest.fixture
def logging() -> Any:
    """Give the test the executor of the guide's other example."""
    names: dict[str, Any] = {}
    [example] = [text for text in EXAMPLES if "class LoggingExecutor" in text]
    exec(compile(example, "executors.md", "exec", dont_inherit=True), names)
    return names["LoggingExecutor"]()


def test_an_executor_of_ones_own_is_asked_for_each_attempt(driver: Any, logging: Any) -> None:
    policy = RetryPolicy(max_attempts=3, initial_interval=0.0, jitter=False)
    graph = graph_of(acting.fail_twice, executor=logging, retry_policy=policy)

    items = driver.stream(graph, {"log": []}, stream_mode="custom")

    assert items == [1, 2, 3]
    assert logging.started == ["n0 1", "n0 2", "n0 3"]


def test_nodes_of_an_executor_of_ones_own_ask(driver: Any, logging: Any) -> None:
    graph = graph_of(acting.ask, executor=logging, saver=InMemorySaver())
    thread = {"configurable": {"thread_id": "1"}}

    driver.invoke(graph, {"log": []}, thread)
    driver.invoke(graph, Command(resume="a"), thread)

    assert driver.invoke(graph, Command(resume="b"), thread) == {"log": ["a", "b"]}


@pytest.mark.real_time(reason="a node talks until it is stopped")
def test_nodes_of_an_executor_of_ones_own_are_stopped(
    driver: Any, logging: Any, tmp_path: Path
) -> None:
    graph = graph_of(acting.emit_long, executor=logging)
    given = {"log": [], "file": str(tmp_path / "marks")}

    async def leave() -> None:
        async with aclosing(graph.astream(given, stream_mode="custom")) as items:
            await anext(items)

    if driver.name == "async":
        asyncio.run(leave())
    else:
        with closing(graph.stream(given, stream_mode="custom")) as items:
            next(items)

    assert (tmp_path / "marks").read_text() == "stopped\n"


def test_a_node_in_a_thread_of_its_own_sees_the_programs_context(driver: Any, logging: Any) -> None:
    language: ContextVar[str] = ContextVar("language", default="none")
    graph = graph_of(lambda state: {"log": [language.get()]}, executor=logging)

    def ask() -> Any:
        language.set("mine")
        return driver.invoke(graph, {"log": []})

    assert copy_context().run(ask)["log"] == ["mine"]
