"""A run is complete before it begins: nothing of it is set from outside."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any, TypedDict

import pytest

import millstream
from millstream.config import get_config
from millstream.graph import START, StateGraph

SOURCE = Path(millstream.__file__).parent
RUNS = {"run", "_run", "scope", "outbox", "request", "listener"}
"""What a run, and what it is made of, is called where somebody has it."""
OTHERS = {"modes/event_listener.py"}
"""Where runs are those of LangChain."""


class State(TypedDict, total=False):
    key: int


def assignments(path: Path) -> set[str]:
    """Return what the module assigns to runs and what they are made of."""
    return {
        ast.unparse(target)
        for target in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(target, ast.Attribute)
        and isinstance(target.ctx, (ast.Store, ast.Del))
        and ast.unparse(target.value).split(".")[-1] in RUNS
    }


def test_nobody_but_a_run_assigns_to_it() -> None:
    found = {
        name: assigned
        for path in SOURCE.rglob("*.py")
        if (name := path.relative_to(SOURCE).as_posix()) not in OTHERS
        and (assigned := assignments(path))
    }

    assert found == {}


def test_the_search_finds_what_is_assigned(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("run = self.run = 1\nrun.a, other.b = 1, 2\ncontext.run.c += 1\ndel run.d")

    assert assignments(module) == {"run.a", "context.run.c", "run.d"}


def test_a_request_is_frozen_and_a_run_takes_nothing_that_it_does_not_know(driver: Any) -> None:
    seen: list[Any] = []

    def node(state: State) -> State:
        seen.append(get_config()["configurable"]["__pregel_task"].run)
        return {"key": 1}

    builder = StateGraph(State)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    driver.invoke(builder.compile(), {})
    (run,) = seen

    with pytest.raises(AttributeError):
        run.request.durability = "exit"
    with pytest.raises(AttributeError):
        run.request.nesting.ns = "elsewhere"
    with pytest.raises(AttributeError):
        run.something_else = 1
