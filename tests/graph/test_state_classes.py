"""State classes of every shape: generic ones, first values, aliases, wrapped reducers."""

from __future__ import annotations

import asyncio
import functools
import operator
import sys
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Annotated, Any, ClassVar, Final, Generic, Optional, TypeVar

import pydantic.dataclasses
import pytest
from langchain_core.messages import BaseMessage, SystemMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from typing_extensions import NotRequired, ReadOnly, Required, TypeAliasType, TypedDict

from millstream.channels import DeltaChannel
from millstream.graph import START, StateGraph, add_messages
from millstream.managed import RemainingSteps
from millstream.types import Command

pytestmark = pytest.mark.timeout(30)

T = TypeVar("T")
THREAD: Final[Any] = {"configurable": {"thread_id": "1"}}
Shout = Annotated[T, operator.add]


def graph_of(schema: Any, node: Any, **options: Any) -> Any:
    builder = StateGraph(schema, **options)
    return builder.add_node("node", node).add_edge(START, "node").compile(InMemorySaver())


def shown(seen: list[Any], update: Any) -> Callable[[Any], Any]:
    """Return a node without annotations, which notes what it is given and returns the update."""

    def node(state):  # type: ignore[no-untyped-def]  # an annotation would say what it is given
        seen.append(state)
        return update

    return node


# -- generic classes ------------------------------------------------------------------------------


class Table(TypedDict, Generic[T]):
    best: T
    rows: Annotated[list[T], operator.add]
    total: Annotated[T, operator.add]


class Ages(Table[int]):
    name: str


class Lists(Table[list[T]], Generic[T]):
    name: NotRequired[T]


@dataclass
class Board(Generic[T]):
    best: T
    rows: Annotated[list[T], operator.add] = field(default_factory=list)
    total: Annotated[T, operator.add] = 0  # type: ignore[assignment]  # of numbers only


class Model(BaseModel, Generic[T]):
    best: T
    rows: Annotated[list[T], operator.add] = []
    total: Annotated[T, operator.add]


@pytest.mark.parametrize("schema", [Table[int], Ages], ids=["filled in", "subclass"])
def test_a_generic_typed_dict_declares_its_keys(driver: Any, schema: Any) -> None:
    graph = graph_of(schema, lambda state: {"best": 3, "rows": [3], "total": 4})

    result = driver.invoke(graph, {"best": 1, "rows": [1], "other": 0}, THREAD)

    assert result == {"best": 3, "rows": [1, 3], "total": 4}
    assert graph.get_state(THREAD).values == result


def test_a_generic_dataclass_is_what_its_nodes_are_given(driver: Any) -> None:
    seen: list[Any] = []
    graph = graph_of(Board[int], shown(seen, Board(3, [3])))

    first = driver.invoke(graph, {"best": 1, "rows": [1]}, THREAD)
    second = driver.invoke(graph, Board(2, [2]), THREAD)

    assert seen == [Board(1, [1]), Board(2, [1, 3, 2])]
    assert first["rows"] == [1, 3]
    assert second["rows"] == [1, 3, 2, 3]


def test_a_generic_model_knows_the_types_of_its_fields(driver: Any) -> None:
    seen: list[Any] = []
    graph = graph_of(Model[int], shown(seen, {"total": 2}))

    result = driver.invoke(graph, {"best": "1", "rows": [1]}, THREAD)

    assert seen == [Model[int](best=1, rows=[1], total=0)]
    assert result["total"] == 2


@pytest.mark.parametrize(
    ("schema", "is_given"),
    [(Table[int], dict), (Board[int], Board)],
    ids=["TypedDict", "dataclass"],
)
def test_a_node_may_ask_for_a_generic_class(driver: Any, schema: Any, is_given: type) -> None:
    seen: list[Any] = []

    class Wide(TypedDict):
        best: int
        rows: Annotated[list[int], operator.add]
        total: Annotated[int, operator.add]
        more: int

    def node(state: Any) -> None:
        seen.append(state)

    node.__annotations__["state"] = schema
    driver.invoke(graph_of(Wide, node), {"best": 1, "rows": [1], "more": 2}, THREAD)

    assert isinstance(seen[0], is_given)
    keys = set(seen[0]) if isinstance(seen[0], dict) else set(vars(seen[0])) - {"__orig_class__"}
    assert keys == {"best", "rows", "total"}


def test_inherited_variables_are_filled_in() -> None:
    channels = StateGraph(Lists[str]).channels

    assert {key: channel.ValueType for key, channel in channels.items()} == {
        "best": list[str],
        "rows": list[list[str]],
        "total": list[str],
        "name": str,
    }
    assert channels["total"].get() == []


@pytest.mark.parametrize("schema", [Table[int], Board[int]], ids=["TypedDict", "dataclass"])
def test_generic_classes_have_json_schemas(schema: Any) -> None:
    properties = graph_of(schema, shown([], None)).get_input_jsonschema()["properties"]

    assert properties["best"]["type"] == "integer"
    assert properties["rows"]["items"] == {"type": "integer"}


def test_a_context_may_be_generic(driver: Any) -> None:
    @dataclass
    class Context(Generic[T]):
        user: T

    seen: list[Any] = []

    def node(state: Any, runtime: Any) -> None:
        seen.append(runtime.context)

    builder = StateGraph(Table[int], context_schema=Context[str])
    graph = builder.add_node("node", node).add_edge(START, "node").compile()
    driver.invoke(graph, {"best": 1}, context={"user": "ann"})

    assert seen == [Context("ann")]


# -- first values ---------------------------------------------------------------------------------


@dataclass
class Counted:
    total: Annotated[int, operator.add] = 5
    words: Annotated[list[str], operator.add] = field(default_factory=lambda: ["d"])
    product: Annotated[float, operator.mul] = 1.0
    plain: int = 7
    shared: ClassVar[int] = 3


class CountedModel(BaseModel):
    total: Annotated[int, operator.add] = 5
    words: Annotated[list[str], operator.add] = ["d"]
    product: Annotated[float, operator.mul] = Field(default_factory=lambda: 1.0)
    plain: int = 7


@pydantic.dataclasses.dataclass
class CountedPydantic:
    total: Annotated[int, operator.add] = Field(default=5)
    words: Annotated[list[str], operator.add] = Field(default_factory=lambda: ["d"])
    product: Annotated[float, operator.mul] = 1.0
    plain: int = 7


class CountedPlain:
    total: Annotated[int, operator.add] = 5
    words: Annotated[list[str], operator.add] = ["d"]  # noqa: RUF012
    product: Annotated[float, operator.mul] = 1.0
    plain: int


COUNTED: Final = [Counted, CountedModel, CountedPydantic, CountedPlain]
MADE: Final = COUNTED[:3]
ADDED: Final = {"total": 1, "words": ["x"], "product": 3.0}


def counts(values: Any) -> Any:
    get = values.get if isinstance(values, dict) else functools.partial(getattr, values)
    return get("total"), get("words"), get("product")


@pytest.mark.parametrize("schema", COUNTED)
def test_a_reducer_starts_with_the_declared_value(driver: Any, schema: Any) -> None:
    seen: list[Any] = []
    graph = graph_of(schema, shown(seen, ADDED))

    result = driver.invoke(graph, {"plain": 1}, THREAD)
    again = driver.invoke(graph, {"plain": 2}, THREAD)

    assert [counts(state) for state in seen] == [(5, ["d"], 1.0), (6, ["d", "x"], 3.0)]
    assert counts(result) == (6, ["d", "x"], 3.0)
    assert counts(again) == counts(graph.get_state(THREAD).values) == (7, ["d", "x", "x"], 9.0)


@pytest.mark.parametrize("schema", COUNTED)
def test_the_input_stands_in_the_place_of_the_declared_value(driver: Any, schema: Any) -> None:
    seen: list[Any] = []
    graph = graph_of(schema, shown(seen, ADDED))

    driver.invoke(graph, {"total": 10, "words": ["i"], "product": 2.0}, THREAD)
    driver.invoke(graph, {"total": 10, "words": ["i"], "product": 2.0}, THREAD)

    assert counts(seen[0]) == (10, ["i"], 2.0)
    assert counts(seen[1]) == (21, ["i", "x", "i"], 12.0)


@pytest.mark.parametrize("schema", MADE)
def test_an_instance_as_input_is_the_state(driver: Any, schema: Any) -> None:
    seen: list[Any] = []
    graph = graph_of(schema, shown(seen, ADDED))

    result = driver.invoke(graph, schema(total=8), THREAD)

    assert seen == [schema(total=8)]
    assert counts(result) == (9, ["d", "x"], 3.0)


@pytest.mark.parametrize("schema", COUNTED)
def test_runs_do_not_share_a_first_value(driver: Any, schema: Any) -> None:
    def node(state):  # type: ignore[no-untyped-def]  # as above
        words = state["words"] if isinstance(state, dict) else state.words
        words.append("in place")

    builder = StateGraph(schema)
    graph = builder.add_node("node", node).add_edge(START, "node").compile()

    results = [driver.invoke(graph, {"plain": 1})["words"] for _ in range(2)]

    # A pydantic model copies what it is made of.
    assert results[0] == results[1]


def test_an_update_of_a_thread_without_input_counts_from_the_declared_value() -> None:
    graph = graph_of(Counted, shown([], None))

    graph.update_state(THREAD, {"total": 1}, as_node="node")

    assert graph.get_state(THREAD).values["total"] == 6


def test_a_nested_graph_starts_with_its_own_first_values(driver: Any) -> None:
    seen: list[Any] = []

    class Outer(TypedDict):
        plain: int

    child = StateGraph(Counted).add_node("node", shown(seen, None)).add_edge(START, "node")
    graph = graph_of(Outer, child.compile())

    driver.invoke(graph, {"plain": 2}, THREAD)

    assert counts(seen[0]) == (5, ["d"], 1.0)


def test_declared_messages_get_their_ids_once(driver: Any) -> None:
    class Chat(BaseModel):
        messages: Annotated[list[BaseMessage], add_messages] = Field(
            default_factory=lambda: [SystemMessage("be kind")]
        )

    graph = graph_of(Chat, shown([], {"messages": [("user", "hi")]}))

    result = driver.invoke(graph, {}, THREAD)["messages"]
    saved = graph.get_state(THREAD).values["messages"]

    assert [message.content for message in result] == ["be kind", "hi"]
    assert result[0].id is not None
    assert saved == result


def joined(value: list[Any], writes: Any) -> list[Any]:
    return [*value, *(item for write in writes for item in write)]


def test_a_delta_channel_starts_with_the_declared_value(driver: Any) -> None:
    @dataclass
    class State:
        log: Annotated[list[Any], DeltaChannel(joined)] = field(default_factory=lambda: ["d"])

    graph = graph_of(State, shown([], {"log": ["x"]}))

    first = driver.invoke(graph, {}, THREAD)
    second = driver.invoke(graph, {"log": ["i"]}, THREAD)

    assert first == {"log": ["d", "x"]}
    assert second == graph.get_state(THREAD).values == {"log": ["d", "x", "i", "x"]}


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="Python < 3.11 refuses such annotations itself"
)
def test_a_mark_for_keyword_only_fields_is_no_key() -> None:
    @dataclass
    class State:
        first: int
        _: KW_ONLY
        second: int = 2

    assert list(StateGraph(State).channels) == ["first", "second"]


def test_none_is_no_value_to_start_from(driver: Any) -> None:
    @dataclass
    class State:
        log: Annotated[Any, add_messages] = None
        words: Optional[Annotated[list[str], operator.add]] = None

    seen: list[Any] = []
    result = driver.invoke(graph_of(State, shown(seen, {"words": ["x"]})), {}, THREAD)

    assert seen == [State()]
    assert result == {"words": ["x"]}


# -- aliases --------------------------------------------------------------------------------------


class Named(BaseModel):
    user_name: str = Field(alias="userName")
    log: Annotated[list[str], operator.add] = Field(default_factory=list, alias="theLog")


class Populated(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    user_name: str = Field(alias="userName")
    log: Annotated[list[str], operator.add] = Field(default_factory=list, alias="theLog")


class Chosen(BaseModel):
    user_name: str = Field(validation_alias=AliasChoices("userName", "uname"))
    log: Annotated[list[str], operator.add] = Field(default=[], validation_alias="theLog")


class Generated(BaseModel):
    model_config = ConfigDict(
        alias_generator=lambda name: {"user_name": "userName", "log": "theLog"}[name]
    )
    user_name: str
    log: Annotated[list[str], operator.add] = []


ALIASED: Final = [Named, Populated, Chosen, Generated]
WAYS: Final[dict[str, Callable[[Any, str], Any]]] = {
    "name": lambda schema, name: {"user_name": name, "log": [name]},
    "alias": lambda schema, name: {"userName": name, "theLog": [name]},
    "instance": lambda schema, name: schema(userName=name, theLog=[name]),
}


@pytest.mark.parametrize("schema", ALIASED)
@pytest.mark.parametrize("way_in", WAYS)
@pytest.mark.parametrize("way_out", WAYS)
def test_fields_with_aliases_are_written_by_every_name(
    driver: Any, schema: Any, way_in: str, way_out: str
) -> None:
    seen: list[Any] = []
    graph = graph_of(schema, shown(seen, WAYS[way_out](schema, "b")))

    result = driver.invoke(graph, WAYS[way_in](schema, "a"), THREAD)

    assert seen == [schema(userName="a", theLog=["a"])]
    assert result == graph.get_state(THREAD).values == {"user_name": "b", "log": ["a", "b"]}


@pytest.mark.parametrize("schema", ALIASED)
@pytest.mark.parametrize("way", WAYS)
def test_saved_state_is_changed_by_every_name(driver: Any, schema: Any, way: str) -> None:
    seen: list[Any] = []
    builder = StateGraph(schema).add_node("node", shown(seen, None)).add_edge(START, "node")
    builder.add_node("after", shown(seen, None)).add_edge("node", "after")
    graph = builder.compile(InMemorySaver(), interrupt_before=["after"])
    driver.invoke(graph, {"user_name": "a"}, THREAD)

    update = WAYS[way](schema, "b")
    graph.update_state(THREAD, update)
    driver.invoke(graph, Command(update=update), THREAD)

    assert graph.get_state(THREAD).values == {"user_name": "b", "log": ["b", "b"]}
    driver.invoke(graph, None, THREAD)
    assert seen[-1] == schema(userName="b", theLog=["b", "b"])


def test_output_has_the_names_of_the_keys() -> None:
    graph = graph_of(Named, shown([], None))

    assert set(graph.get_input_jsonschema()["properties"]) == {"userName", "theLog"}
    assert set(graph.get_output_jsonschema()["properties"]) == {"user_name", "log"}
    assert graph.invoke({"userName": "a"}, THREAD, version="v2").value == Named(userName="a")


def test_a_pydantic_dataclass_may_have_aliases(driver: Any) -> None:
    @pydantic.dataclasses.dataclass
    class State:
        user_name: str = Field(alias="userName")

    seen: list[Any] = []
    result = driver.invoke(graph_of(State, shown(seen, None)), {"userName": "a"}, THREAD)

    assert seen == [State(userName="a")]
    assert result == {"user_name": "a"}


# -- reducers inside other annotations ------------------------------------------------------------

Words = TypeAliasType("Words", Annotated[list[int], operator.add])


class Wrapped(TypedDict, total=False):
    optional: Optional[Annotated[list[int], operator.add]]
    union: Annotated[list[int], operator.add] | None
    not_required: NotRequired[Annotated[list[int], operator.add]]
    inside: Annotated[NotRequired[list[int]], operator.add]
    required_optional: Required[Optional[Annotated[list[int], operator.add]]]
    read_only: ReadOnly[Annotated[list[int], operator.add]]
    both: NotRequired[ReadOnly[Annotated[list[int], operator.add]]]
    described: Annotated[list[int], operator.add, "what it is for"]
    alias: Words
    generic_alias: Shout[list[int]]


@pytest.mark.parametrize("key", Wrapped.__annotations__)
def test_a_reducer_is_found_wherever_it_is_written(driver: Any, key: str) -> None:
    graph = graph_of(Wrapped, shown([], {key: [2]}))

    assert driver.invoke(graph, {key: [1]}, THREAD)[key] == [1, 2]


@pytest.mark.parametrize("key", ["optional", "union", "required_optional"])
def test_a_reducer_of_an_optional_value_never_sees_none(driver: Any, key: str) -> None:
    absent = graph_of(Wrapped, shown([], {key: [2]}))
    emptied = graph_of(Wrapped, shown([], {key: None}))

    assert driver.invoke(absent, {"described": []}, THREAD)[key] == [2]
    assert driver.invoke(absent, {key: None}, THREAD)[key] == [2]
    assert driver.invoke(emptied, {key: [1]}, THREAD)[key] is None


def test_optional_messages_are_made_messages(driver: Any) -> None:
    class Chat(TypedDict):
        messages: Optional[Annotated[list[BaseMessage], add_messages]]

    graph = graph_of(Chat, shown([], {"messages": [("ai", "there")]}))
    result = driver.invoke(graph, {"messages": [("user", "hi")]}, THREAD)["messages"]

    assert [(message.type, message.content) for message in result] == [
        ("human", "hi"),
        ("ai", "there"),
    ]


def test_a_managed_value_may_be_optional(driver: Any) -> None:
    class State(TypedDict):
        x: int
        left: Optional[RemainingSteps]

    seen: list[Any] = []
    driver.invoke(graph_of(State, shown(seen, None)), {"x": 1}, THREAD)

    assert isinstance(seen[0]["left"], int)


# -- what functions say ---------------------------------------------------------------------------


class Wide(TypedDict, total=False):
    x: int
    keys: list[str]


class Narrow(TypedDict, total=False):
    x: int


def typed(state: Narrow, extra: int = 0) -> Any:
    return {"keys": sorted(state)}


def typed_second(prefix: str, state: Narrow) -> Any:
    return {"keys": sorted(state)}


async def atyped(state: Narrow) -> Any:
    return {"keys": sorted(state)}


class Worker:
    def run(self, state: Narrow) -> Any:
        return {"keys": sorted(state)}

    def __call__(self, state: Narrow) -> Any:
        return {"keys": sorted(state)}


@pytest.mark.parametrize(
    ("action", "name"),
    [
        (functools.partial(typed), "typed"),
        (functools.partial(typed, extra=1), "typed"),
        (functools.partial(functools.partial(typed), extra=1), "typed"),
        (functools.partial(typed_second, "p"), "typed_second"),
        (functools.partial(Worker().run), "run"),
        (functools.partial(Worker()), "Worker"),
        (RunnableLambda(typed), "typed"),
        (RunnableLambda(functools.partial(typed)), "typed"),
        (RunnableLambda(typed).with_config(tags=["t"]), "typed"),
        (Worker(), "Worker"),
    ],
)
def test_a_wrapped_function_keeps_its_input_and_its_name(
    driver: Any, action: Any, name: str
) -> None:
    builder = StateGraph(Wide).add_node(action)

    assert list(builder.nodes) == [name]
    graph = builder.add_edge(START, name).compile()
    assert driver.invoke(graph, {"x": 1, "keys": []}) == {"x": 1, "keys": ["x"]}


def test_an_async_function_in_a_runnable_keeps_its_input_and_its_name() -> None:
    graph = StateGraph(Wide).add_node(RunnableLambda(atyped)).add_edge(START, "atyped").compile()

    assert asyncio.run(graph.ainvoke({"x": 1, "keys": []})) == {"x": 1, "keys": ["x"]}


@pytest.mark.parametrize("wrap", [functools.partial, RunnableLambda])
def test_a_wrapped_path_keeps_its_input(driver: Any, wrap: Any) -> None:
    def path(state: Narrow) -> str:
        return "narrow" if set(state) == {"x"} else "wide"

    builder = StateGraph(Wide).add_node("node", shown([], None)).add_edge(START, "node")
    for name in ("narrow", "wide"):
        builder.add_node(name, shown([], {"keys": [name]}))
    builder.add_conditional_edges("node", wrap(path))

    assert driver.invoke(builder.compile(), {"x": 1, "keys": []})["keys"] == ["narrow"]
