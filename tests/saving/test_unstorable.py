"""A value that cannot be stored is named: its key, the node, the place in it, what to do."""

from __future__ import annotations

import dataclasses
import operator
import pickle
import sys
import types
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from typing_extensions import TypedDict

from millstream.errors import UnstorableValueError
from millstream.func import entrypoint, task
from millstream.graph import START, StateGraph
from millstream.types import Command, Send, interrupt
from millstream.wire import WireSerializer

THREAD: Any = {"configurable": {"thread_id": "1"}}
DURABILITIES = pytest.mark.parametrize("durability", ["sync", "async", "exit"])


class Client:
    """Something that cannot be stored."""


@dataclasses.dataclass
class Box:
    """Holds anything."""

    content: Any


class State(TypedDict, total=False):
    """Anything, and a log."""

    thing: Any
    log: Annotated[list[Any], operator.add]


def refused(driver: Any, node: Any, given: Any = None, **options: Any) -> UnstorableValueError:
    """Return the error of a run of one node named `make`."""
    builder = StateGraph(State).add_node("make", node).add_node("see", lambda state: {"log": [1]})
    graph = builder.add_edge(START, "make").compile(checkpointer=InMemorySaver())
    with pytest.raises(UnstorableValueError) as caught:
        driver.invoke(graph, given or {"log": []}, THREAD, **options)
    return caught.value


@DURABILITIES
def test_what_a_node_returns_is_named(driver: Any, durability: Any) -> None:
    error = refused(
        driver,
        lambda state: {"thing": {"boxes": [1, Box((Client(),))]}},
        durability=durability,
    )

    assert isinstance(error, TypeError)
    assert isinstance(error.__cause__, TypeError)
    place = "['boxes'][1].content[0]"
    assert (error.what, error.node, error.place) == ("state key 'thing'", "make", place)
    assert error.kind.endswith("test_unstorable.Client")
    assert "Type is not msgpack serializable: Client" in str(error)
    assert "UntrackedValue" in str(error)


def test_the_input_is_named(driver: Any) -> None:
    error = refused(driver, lambda state: {}, {"thing": Client()})

    assert str(error).startswith("the input cannot be stored: ['thing'] is an instance of ")


def test_what_is_sent_is_named(driver: Any) -> None:
    error = refused(driver, lambda state: Command(goto=Send("see", {"with": [Client()]})))

    assert (error.what, error.node) == ("what a Send carries", "make")
    assert error.place == ".arg['with'][0]"


def test_a_question_is_named(driver: Any) -> None:
    error = refused(driver, lambda state: interrupt({"about": Client()}))

    assert (error.what, error.node) == ("the question", "make")
    assert error.place == "[0].value['about']"


def test_the_result_of_a_call_is_named(driver: Any) -> None:
    @task
    def make() -> Any:
        return Client()

    @entrypoint(checkpointer=InMemorySaver())
    def flow(_: Any) -> Any:
        return make().result()

    @entrypoint(checkpointer=InMemorySaver())
    async def aflow(_: Any) -> Any:
        return await make()

    with pytest.raises(UnstorableValueError, match="the result of the call that node 'make' left"):
        driver.invoke(flow if driver.name == "sync" else aflow, 1, THREAD)


def test_an_update_is_named_and_a_saver_that_stores_all_at_once_too() -> None:
    with SqliteSaver.from_conn_string(":memory:") as saver:
        builder = StateGraph(State).add_node("make", lambda state: {"log": [1]})
        graph = builder.add_edge(START, "make").compile(checkpointer=saver)
        graph.invoke({"log": []}, THREAD)

        with pytest.raises(UnstorableValueError, match="state key 'thing'"):
            graph.update_state(THREAD, {"thing": [2**70]}, as_node="make")


def test_another_error_of_a_saver_is_left_alone(driver: Any) -> None:
    class Broken(InMemorySaver):
        """Fails by itself."""

        def put(self, *args: Any) -> Any:
            raise TypeError("broken")

        async def aput(self, *args: Any) -> Any:
            raise TypeError("broken")

    builder = StateGraph(State).add_node("make", lambda state: {"thing": Client()})
    graph = builder.add_edge(START, "make").compile(checkpointer=Broken())

    with pytest.raises(TypeError, match="broken") as caught:
        driver.invoke(graph, {"log": []}, THREAD)

    assert type(caught.value) is TypeError


def test_the_error_pickles() -> None:
    error = UnstorableValueError("state key 'a'", "n", "[0]", "m.C", "why")

    twin = pickle.loads(pickle.dumps(error))

    assert str(twin) == str(error)
    assert twin.place == "[0]"


class Array:
    """Stands for an array of numpy, which is not installed for the tests."""

    def __init__(self, kind: str) -> None:
        self.dtype = types.SimpleNamespace(hasobject=kind == "|O", str=kind)
        self.flags = types.SimpleNamespace(c_contiguous=False, f_contiguous=False)
        self.shape = (1,)

    def tobytes(self, order: str) -> bytes:
        """Return what may be addresses."""
        return b"12345678"


@pytest.fixture
def numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the serializer take `Array` for an array of numpy."""
    monkeypatch.setitem(sys.modules, "numpy", types.SimpleNamespace(ndarray=Array))  # type: ignore[arg-type]


@pytest.mark.usefixtures("numpy")
def test_an_array_of_objects_is_refused() -> None:
    """The serializer would store the addresses of the objects, and read them as None."""
    serializer = WireSerializer(JsonPlusSerializer())

    with pytest.raises(TypeError, match=r"numpy\.ndarray of objects"):
        serializer.dumps_typed({"a": [Array("|O")]})

    assert serializer.dumps_typed({"a": [Array("<i8")], "b": "|O"})[0] == "msgpack"


@pytest.mark.usefixtures("numpy")
def test_an_array_of_objects_is_pickled_where_that_is_allowed() -> None:
    serializer = WireSerializer(JsonPlusSerializer(pickle_fallback=True))

    stored = serializer.dumps_typed([Array("|O")])

    assert stored[0] == "pickle"
    assert serializer.loads_typed(stored)[0].dtype.str == "|O"


@pytest.mark.usefixtures("numpy")
def test_the_key_of_an_array_of_objects_is_named(driver: Any) -> None:
    error = refused(driver, lambda state: {"thing": [Array("|O")]})

    assert (error.what, error.node, error.place) == ("state key 'thing'", "make", "[0]")
