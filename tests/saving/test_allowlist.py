"""The classes that a strict serializer may read are those a graph declares."""

from __future__ import annotations

import dataclasses
import enum
import os
from typing import Annotated, Any, Generic, NewType, Optional, TypeVar

import pytest
from pydantic import BaseModel
from typing_extensions import NotRequired, TypedDict

from forked_python import run_python
from millstream.saving.allowlist import declared_classes, is_strict

T = TypeVar("T")


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Inner:
    colour: Colour


@dataclasses.dataclass
class Outer:
    inner: Inner | None
    again: Outer | None


class Model(BaseModel):
    inner: Inner


class Box(BaseModel, Generic[T]):
    value: T


class Keys(TypedDict):
    outer: NotRequired[Annotated[list[Outer], {"not": "hashable"}]]
    keys: Keys


class Unresolved(TypedDict):
    later: Missing  # type: ignore[name-defined]  # noqa: F821  # as under TYPE_CHECKING


@dataclasses.dataclass
class Holder(Generic[T]):
    value: T


class Holding(TypedDict):
    held: list[Holder[Colour]]


Alias = NewType("Alias", Inner)


def names(*annotations: Any) -> list[str]:
    found = declared_classes(annotations)
    assert {module for module, _ in found} <= {__name__}
    return sorted(name for _, name in found)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (int, []),
        (Any, []),
        (Colour, ["Colour"]),
        (Inner, ["Colour", "Inner"]),
        (Outer, ["Colour", "Inner", "Outer"]),
        (Model, ["Colour", "Inner", "Model"]),
        (Keys, ["Colour", "Inner", "Outer"]),
        (Optional[Inner], ["Colour", "Inner"]),
        (dict[str, tuple[Colour, ...]], ["Colour"]),
        (Box[Colour], ["Box[Colour]"]),
        (Holding, ["Colour", "Holder"]),
        (Alias, ["Colour", "Inner"]),
        (Unresolved, []),
    ],
)
def test_classes_are_found_in_fields_and_arguments(annotation: Any, expected: list[str]) -> None:
    assert names(annotation) == expected


def test_several_annotations_are_put_together() -> None:
    assert names(Inner, Model, Inner) == ["Colour", "Inner", "Model"]


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("YES", True), ("", False)])
def test_the_environment_says_whether_savers_are_strict(
    value: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGGRAPH_STRICT_MSGPACK", value)

    assert is_strict() is expected


LANGGRAPH = """
import dataclasses
from typing import TypedDict
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import StateGraph

@dataclasses.dataclass
class Inner:
    x: int

@dataclasses.dataclass
class Outer:
    inner: list[Inner]

class State(TypedDict):
    outer: dict[str, Outer]

builder = StateGraph(State).add_node("n", lambda state: {}).set_entry_point("n")
graph = builder.compile(InMemorySaver())
from millstream.saving.allowlist import declared_classes
from millstream.wire import wired

ours = wired(InMemorySaver(), declared_classes([State])).serde
theirs = graph.checkpointer.serde
state = {"outer": {"a": Outer([Inner(1)])}}
stored = ours.dumps_typed(state)
assert ours.loads_typed(stored) == theirs.loads_typed(stored) == state
assert InMemorySaver().serde.loads_typed(stored) != state
"""


def test_declared_classes_are_read_in_strict_mode_as_langgraph_reads_them() -> None:
    environment = os.environ | {"LANGGRAPH_STRICT_MSGPACK": "true"}

    done = run_python("-c", LANGGRAPH, environment=environment)

    assert done.returncode == 0, done.stderr
