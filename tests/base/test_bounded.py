"""What is kept because it may be asked for again is bounded."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

import pytest

import millstream
from millstream._base.bounded import BoundedDict
from millstream.graph import START, StateGraph
from millstream.graph._checking.sources import _FOUND

SOURCE = Path(millstream.__file__).parent
UNBOUNDED = {
    "_code": "styles of the command's own",
    "absent": "named by LangGraph's modules",
    "import_for_threads": "one answer",
    "_model_attributes": "one answer",
    "living": "one answer, for a transaction",
}
"""Functions whose answers are all kept, and why they are few."""


class State(TypedDict, total=False):
    a: int
    b: int


def test_a_bounded_dict_forgets_what_was_put_in_first() -> None:
    kept = BoundedDict[int, str]()

    for number in range(kept.size + 2):
        kept[number] = "made"
    kept[2] = "made again"

    assert list(kept) == list(range(2, kept.size + 2))
    assert kept[2] == "made again"


def test_a_graph_keeps_a_bounded_number_of_ways_to_be_looked_at(driver: Any) -> None:
    """Whoever asks for other keys each time is served and leaves nothing behind."""
    builder = StateGraph(State).add_node("n", lambda state: {"b": state["a"] + 1})
    graph = builder.add_edge(START, "n").compile()

    for size in range(1, 100):
        keys = ["a"] * size + ["b"]
        assert driver.invoke(graph, {"a": 1}, output_keys=keys) == {"a": 1, "b": 2}

    assert len(graph.subscriptions) <= BoundedDict.size


@pytest.mark.filterwarnings("ignore::millstream.warnings.GraphWarning")
def test_what_was_read_of_functions_that_a_program_makes_is_forgotten(tmp_path: Path) -> None:
    """Programs may make functions, and graphs of them, for ever."""
    for number in range(_FOUND.size + 2):
        file = tmp_path / f"{number}.py"
        file.write_text("def node(state):\n    return {'c': 1}\n")
        module: dict[str, Any] = {}
        exec(compile(file.read_text(), str(file), "exec"), module)
        StateGraph(State).add_node(module["node"]).add_edge(START, "node").compile()

    assert len(_FOUND) == _FOUND.size


def caches() -> Iterator[tuple[str, str]]:
    """Find the functions of the source whose answers are kept, with what says so."""
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for decorator in node.decorator_list:
                    text = ast.unparse(decorator)
                    if text.split("(")[0].split(".")[-1] in ("cache", "lru_cache"):
                        yield node.name, text


def test_every_function_whose_answers_are_kept_says_how_many() -> None:
    found = list(caches())

    unbounded = {name for name, text in found if "maxsize=" not in text or "None" in text}

    assert len(found) > len(UNBOUNDED)
    assert unbounded == UNBOUNDED.keys()
