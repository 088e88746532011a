"""What editors show of the names that people hover most: complete, and right when it is tried."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from typing import Any, Final

import pytest

NAMES: Final = (
    "channels.delta:DeltaChannel",
    "func:entrypoint",
    "func:task",
    "graph:StateGraph.add_conditional_edges",
    "graph:StateGraph.add_node",
    "graph:StateGraph.compile",
    "graph:add_messages",
    "prebuilt:ToolNode",
    "pregel:Pregel.get_state",
    "pregel:Pregel.invoke",
    "pregel:Pregel.start",
    "pregel:Pregel.stream",
    "pregel:Pregel.update_state",
    "runtime:RunControl",
    "runtime:Runtime",
    "testing:fake_clock",
    "testing:no_network",
    "testing:run_node",
    "types:CachePolicy",
    "types:Command",
    "types:RetryPolicy",
    "types:Send",
    "types:TimeoutPolicy",
    "types:interrupt",
)
HIDDEN: Final = {"self", "kwargs", "args"}


def found(name: str) -> Any:
    """Return what a name stands for."""
    module, path = name.split(":")
    thing: Any = importlib.import_module(f"millstream.{module}")
    for part in path.split("."):
        thing = getattr(thing, part)
    return thing


def section(thing: Any, title: str) -> str:
    """Return one section of a docstring."""
    text = inspect.getdoc(thing) or ""
    match = re.search(rf"^{title}:\n((?:    .*\n|\n)*)", f"{text}\n", re.MULTILINE)
    return match[1] if match else ""


@pytest.mark.parametrize("name", NAMES)
def test_every_argument_is_explained(name: str) -> None:
    thing = found(name)
    explained = re.findall(r"^    (\w+): ", section(thing, "Args"), re.MULTILINE)

    parameters = [key for key in inspect.signature(thing).parameters if key not in HIDDEN]

    assert [key for key in explained if key not in HIDDEN] == parameters


@pytest.mark.parametrize("name", NAMES)
def test_the_example_says_what_happens(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    example = section(found(name), "Example")
    test = doctest.DocTestParser().get_doctest(example, {}, name, None, None)

    result = doctest.DocTestRunner(verbose=False).run(test)

    assert result.attempted > 2
    assert result.failed == 0, capsys.readouterr().out


def test_the_first_sentence_fits_a_line() -> None:
    first = {name: (inspect.getdoc(found(name)) or "").split("\n")[0] for name in NAMES}

    assert [name for name, line in first.items() if not line.endswith((".", ":"))] == []
