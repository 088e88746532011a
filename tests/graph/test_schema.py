"""Models and JSON schemas of a graph equal the ones langgraph derives from the same classes."""

from __future__ import annotations

import operator
import sys
import typing
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, Optional

import pytest
from pydantic import BaseModel, Field, ValidationError
from typing_extensions import NotRequired, Required, TypedDict

from differential.engines import Engine, engine
from millstream.graph._builder.schema import input_model, json_schema, output_model
from millstream.pregel._structure.schema import (
    channels_model,
    config_model,
    context_json_schema,
    portable,
    type_json_schema,
)

REFERENCE: Final = engine("langgraph")
MILLSTREAM: Final = engine("millstream")


class Keys(TypedDict):
    """What the nodes share."""

    x: int
    log: NotRequired[Annotated[list[str], operator.add]]


class PartialKeys(Keys, total=False):
    z: Optional[str]
    must: Required[int]


class Model(BaseModel):
    """A validated state."""

    a: int = Field(description="The first.")
    b: list[str] = []


class OneKey(TypedDict):
    x: int


class OtherKey(TypedDict):
    log: str


class Empty(TypedDict):
    pass


class Hiding(TypedDict):
    json: int
    copy: int
    model_config: str
    _private: int
    register: int


@dataclass
class Record:
    """Dropped from the JSON schema."""

    required: int
    optional: Optional[int]
    reduced: Annotated[Optional[str], lambda old, new: new]
    choice: Literal["a", "b"]
    limited: Annotated[int, Field(gt=3, description="More than three.")]
    text: str = "x"
    numbers: list[int] = field(default_factory=list)
    none: Optional[int] = None
    json: int = 3
    _private: int = 4


@dataclass
class Unsaid:
    text: Optional[str] = None
    number: int = None  # type: ignore[assignment]  # as programs write it
    parts: Annotated[Optional[list[str]], operator.add] = field(default=None)


@dataclass
class PartOfKeys:
    x: int
    log: str = "other"


class Plain:
    x: int
    y: str = "ignored"
    z: Optional[int]


class Nested(TypedDict):
    model: Model
    keys: Keys
    record: PartOfKeys
    anything: Any


class Context(TypedDict):
    user: str


class TypingKeys(typing.TypedDict):
    """Refused by pydantic before Python 3.12."""

    x: int
    parts: list[TypingPart]


class TypingPart(typing.TypedDict, total=False):
    y: Annotated[Optional[str], Field(description="A part.")]
    parent: dict[str, TypingKeys]


CASES: Final[dict[str, tuple[Any, dict[str, Any]]]] = {
    "typed dict": (Keys, {}),
    "partial": (PartialKeys, {}),
    "model": (Model, {}),
    "dataclass": (Record, {}),
    "dataclass without values": (Unsaid, {}),
    "typed dict in, dataclass without values out": (Keys, {"output_schema": Unsaid}),
    "plain": (Plain, {}),
    "input and output": (PartialKeys, {"input_schema": OneKey, "output_schema": OtherKey}),
    "dataclass over keys": (Keys, {"input_schema": PartOfKeys, "output_schema": PartOfKeys}),
    "model in, record out": (Keys, {"input_schema": Model, "output_schema": Record}),
    "empty": (Empty, {}),
    "hiding": (Hiding, {}),
    "nested": (Nested, {}),
    "root": (int, {}),
    "root list": (Annotated[list[int], operator.add], {}),
    "root of models": (list[Model], {}),
    "root dict": (dict, {}),
    "optional root": (Optional[int], {}),
    "typed dict context": (Keys, {"context_schema": Context}),
    "model context": (Keys, {"context_schema": Model}),
    "dataclass context": (Keys, {"context_schema": PartOfKeys}),
}

Schemas = dict[str, Any]


@pytest.fixture(autouse=True)
def _ignored_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def compiled(root: Engine, case: str, name: str | None = None) -> Any:
    schema, options = CASES[case]
    builder = root.graph.StateGraph(schema, **options)
    builder.add_node("node", lambda state: state)
    builder.add_edge("__start__", "node")
    return builder.compile(name=name)


def fields_of(model: type[BaseModel]) -> Any:
    return {
        name: (repr(info.annotation), info.default, info.alias, info.title)
        for name, info in model.model_fields.items()
    }


def of_methods(graph: Any) -> Schemas:
    """Return what a compiled graph says of itself."""
    return {
        "input": graph.get_input_jsonschema(),
        "output": graph.get_output_jsonschema(),
        "context": graph.get_context_jsonschema(),
        "config": graph.get_config_jsonschema(include=["tags", "recursion_limit"]),
        "input model": (graph.get_input_schema().__name__, fields_of(graph.get_input_schema())),
        "output model": (graph.get_output_schema().__name__, fields_of(graph.get_output_schema())),
        "config model": graph.config_schema().model_json_schema(),
    }


def of_functions(graph: Any) -> Schemas:
    """Return what the functions under test make of a langgraph graph's classes and channels."""
    builder = graph.builder
    input_name, output_name = graph.get_name("Input"), graph.get_name("Output")
    config_name = graph.get_name("Config")
    input_schema, output_schema = builder.input_schema, builder.output_schema
    keys = graph.output_channels
    shown = {key: graph.channels[key] for key in ([keys] if isinstance(keys, str) else keys)}
    taken = input_model(input_name, input_schema)
    given = output_model(output_name, output_schema, shown)
    config = config_model(config_name, builder.context_schema, ["tags", "recursion_limit"])
    return {
        "input": json_schema(input_name, input_schema, builder.channels),
        "output": json_schema(output_name, output_schema, builder.channels),
        "context": context_json_schema(builder.context_schema),
        "config": config.model_json_schema(),
        "input model": (taken.__name__, fields_of(taken)),
        "output model": (given.__name__, fields_of(given)),
        "config model": config_model(config_name, builder.context_schema).model_json_schema(),
    }


@pytest.mark.parametrize("name", [None, "named"])
@pytest.mark.parametrize("case", CASES)
def test_the_functions_make_the_schemas_of_the_reference(case: str, name: str | None) -> None:
    graph = compiled(REFERENCE, case, name)

    assert of_functions(graph) == of_methods(graph)


@pytest.mark.parametrize("name", [None, "named"])
@pytest.mark.parametrize("case", CASES)
def test_a_state_graph_has_the_schemas_of_the_reference(case: str, name: str | None) -> None:
    expected = of_methods(compiled(REFERENCE, case, name))

    assert of_methods(compiled(MILLSTREAM, case, name)) == expected


def raw(root: Engine, inputs: Any, outputs: Any, name: str = "LangGraph") -> Any:
    channels = root.channels
    return root.pregel.Pregel(
        nodes={"n": root.pregel.NodeBuilder().subscribe_to("a", "b").do(len).write_to("c")},
        channels={
            "a": channels.LastValue(Model),
            "b": channels.Topic(str),
            "c": channels.BinaryOperatorAggregate(list, operator.add),
        },
        input_channels=inputs,
        output_channels=outputs,
        name=name,
    )


RAW_CHANNELS: Final = [("a", "c"), ("b", "a"), (["a", "b"], ["b", "c"]), (["a"], ["c"])]


@pytest.mark.parametrize(("inputs", "outputs"), RAW_CHANNELS)
def test_a_channels_model_equals_the_reference(inputs: Any, outputs: Any) -> None:
    graph = raw(REFERENCE, inputs, outputs, "named")
    accepted = {key: cell.UpdateType for key, cell in graph.channels.items()}
    shown = {key: cell.ValueType for key, cell in graph.channels.items()}

    taken = channels_model("named_input", inputs, accepted)
    given = channels_model("named_output", outputs, shown)

    assert taken.model_json_schema() == graph.get_input_jsonschema()
    assert given.model_json_schema() == graph.get_output_jsonschema()


@pytest.mark.parametrize(("inputs", "outputs"), RAW_CHANNELS)
def test_a_raw_graph_has_the_schemas_of_the_reference(inputs: Any, outputs: Any) -> None:
    expected = of_methods(raw(REFERENCE, inputs, outputs))

    assert of_methods(raw(MILLSTREAM, inputs, outputs)) == expected


def test_an_output_model_reads_and_shows_a_hidden_field_by_its_own_name() -> None:
    graph = compiled(REFERENCE, "hiding")
    shown = {key: graph.channels[key] for key in graph.output_channels}

    model = output_model("Output", Hiding, shown)

    assert model(json=1).model_dump(by_alias=True, exclude_none=True) == {"json": 1}


def test_an_input_model_validates() -> None:
    with pytest.raises(ValidationError, match="x"):
        input_model("Input", Keys)(root={"log": []})


@pytest.mark.parametrize("schema", [Plain, dict, 5])
def test_a_context_without_schema_is_refused_by_name(schema: Any) -> None:
    with pytest.raises(ValueError, match="Must be a BaseModel, TypedDict or dataclass") as raised:
        context_json_schema(schema)

    assert str(schema) in str(raised.value)


def test_a_typing_typed_dict_has_a_schema_on_every_python() -> None:
    """The reference raises `PydanticUserError` before Python 3.12."""
    expected = {
        "description": "Refused by pydantic before Python 3.12.",
        "properties": {"x": {"title": "X", "type": "integer"}},
        "required": ["x"],
        "title": "Simple",
        "type": "object",
    }
    simple = typing.TypedDict("Simple", {"x": int})  # noqa: UP013
    simple.__doc__ = TypingKeys.__doc__

    assert type_json_schema(simple) == expected
    assert input_model("Input", simple)(root={"x": 1}).model_dump() == {"x": 1}


def test_typing_typed_dicts_within_a_type_are_replaced_too() -> None:
    schema = type_json_schema(Optional[TypingKeys])

    part = schema["$defs"]["TypingPart"]
    assert schema["$defs"]["TypingKeys"]["required"] == ["x", "parts"]
    assert part["properties"]["y"]["description"] == "A part."
    assert "required" not in part


@pytest.mark.parametrize("type_", [Keys, Nested, list[Keys], Annotated[Keys, 1], int, Any])
def test_a_type_that_pydantic_accepts_is_left_alone(type_: Callable[..., Any]) -> None:
    assert portable(type_) is type_


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python >= 3.12 accepts the class itself")
def test_a_replaced_typed_dict_keeps_what_its_keys_require() -> None:
    twin = portable(typing.cast(Any, TypingKeys))

    assert (twin.__name__, twin.__module__) == (TypingKeys.__name__, TypingKeys.__module__)
    assert twin.__required_keys__ == {"x", "parts"}
