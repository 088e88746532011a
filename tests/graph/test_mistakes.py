"""What is easily done wrong is said in words that say what to do."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from typing_extensions import TypedDict

from millstream.errors import InvalidUpdateError
from millstream.func import entrypoint
from millstream.graph import START, MessagesState, StateGraph
from millstream.prebuilt import ToolNode
from millstream.types import Send, interrupt
from millstream.warnings import GraphWarning

with_notes = pytest.mark.skipif(sys.version_info < (3, 11), reason="notes are of Python 3.11")


class State(TypedDict, total=False):
    topic: str
    jokes: Annotated[list[str], operator.add]


def of_one(node: Callable[..., Any], state: Any = State, **options: Any) -> Any:
    builder = StateGraph(state).add_node("node", node).add_edge(START, "node")
    return builder.compile(**options)


def advice_in(raised: pytest.ExceptionInfo[BaseException]) -> str:
    advice: str = raised.value.__notes__[0]  # type: ignore[attr-defined]  # of Python 3.11
    return advice


def notes_of(driver: Any, graph: Any, given: Any) -> list[str]:
    with pytest.raises(Exception) as raised:
        driver.invoke(graph, given)
    return getattr(raised.value, "__notes__", [])


@with_notes
@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("a joke", "Node 'node' returned str: return a dict of the keys that it changes"),
        (["a", "b"], "Node 'node' returned list: return a dict of the keys that it changes"),
        ([Send("node", 1)], "Node 'node' returned a Send: these are answers of the path of"),
    ],
)
def test_a_result_that_is_no_update_says_what_one_is(driver: Any, result: Any, said: str) -> None:
    with pytest.raises(InvalidUpdateError, match="Expected dict, got ") as raised:
        driver.invoke(of_one(lambda state: result), {"topic": "mills"})

    assert advice_in(raised).startswith(said)


@with_notes
def test_a_result_that_was_not_awaited_is_named() -> None:
    class Waiting:
        def __await__(self) -> Any:
            raise AssertionError

    with pytest.raises(InvalidUpdateError) as raised:
        of_one(lambda state: Waiting()).invoke({"topic": "mills"})

    assert advice_in(raised).endswith("`await` it in an `async def`.")


@with_notes
def test_messages_are_returned_under_their_key(driver: Any) -> None:
    graph = of_one(lambda state: [AIMessage("hi")], MessagesState)
    with pytest.raises(InvalidUpdateError) as raised:
        driver.invoke(graph, {"messages": "hello"})
    assert "such as {'messages': ...}" in advice_in(raised)

    with pytest.warns(GraphWarning, match="returned AIMessage, which has no key of the state"):
        driver.invoke(of_one(lambda state: AIMessage("hi"), MessagesState), {"messages": "hello"})


@with_notes
def test_an_input_that_is_no_dict_says_what_one_is(driver: Any) -> None:
    with pytest.raises(InvalidUpdateError) as raised:
        driver.invoke(of_one(lambda state: None), "yes")

    assert advice_in(raised) == (
        "The input of a graph is a dict of keys of its state, such as {'topic': ...}; an answer "
        "to what it asks is Command(resume=...)."
    )


@with_notes
@pytest.mark.parametrize(
    ("node", "said"),
    [
        (lambda state: state["topic"], "The state has no 'topic' yet, because neither the input"),
        (lambda state: state["topics"], "The state has no key 'topics'. Did you mean 'topic'?"),
        (lambda state: state.jokes, "The state is a dict here: read it as state['jokes']"),
    ],
)
def test_a_key_that_is_not_there_is_noted(driver: Any, node: Any, said: str) -> None:
    named, about = notes_of(driver, of_one(node), {"topik": "mills"})

    assert named.startswith("During task with name 'node' and id ")
    assert about.startswith(said)


@with_notes
@pytest.mark.parametrize(
    "node",
    [
        lambda state: {}["elsewhere"],
        lambda state: {}[3],
        lambda state: {}["jokes"],
        lambda state: object().jokes,
        lambda state: state.nothing,
    ],
)
def test_nothing_is_noted_of_what_is_not_the_state(driver: Any, node: Any) -> None:
    assert len(notes_of(driver, of_one(node), {"topic": "mills"})) == 1


class Nameless:
    """A key that cannot say what it is."""

    def __repr__(self) -> str:
        raise ValueError("no name")


@with_notes
@pytest.mark.parametrize(
    ("sent", "has"),
    [
        ({"topic": 1}, "'topic'"),
        ({}, "no keys"),
        ({Nameless(): 1}, "<Nameless whose repr failed with ValueError>"),
        (dict.fromkeys(range(1000)), "0, 1, 2, 3, 4, 5, 6, 7, ..."),
    ],
)
def test_a_key_that_was_not_sent_is_noted(driver: Any, sent: dict[Any, Any], has: str) -> None:
    builder = StateGraph(State).add_node("joke", lambda given: {"jokes": [given["subject"]]})
    builder.add_conditional_edges(START, lambda state: [Send("joke", sent)], ["joke"])

    _, about = notes_of(driver, builder.compile(), {"topic": "mills"})

    assert about == f"The node was sent a dict without 'subject'; it has {has}"


@with_notes
@pytest.mark.parametrize("jokes", [[], ["one"]])
def test_a_reducer_that_fails_names_its_key(driver: Any, jokes: list[str]) -> None:
    graph = of_one(lambda state: {"jokes": "a joke"})

    said = notes_of(driver, graph, {"jokes": jokes})

    assert said == ["The reducer 'add' of key 'jokes' was to combine a value of list with str"]


def test_a_builder_says_that_it_has_to_be_compiled() -> None:
    builder: Any = StateGraph(State)

    with pytest.raises(AttributeError, match=r"compile it first, as in builder\.compile\(\)\.inv"):
        builder.invoke({})
    with pytest.raises(AttributeError, match=r"'StateGraph' object has no attribute 'zzz'$"):
        builder.zzz()
    with pytest.raises(AttributeError, match=r"has no attribute '_cast'$"):
        builder._cast()
    assert not hasattr(builder, "stream")


@with_notes
def test_a_node_is_given_itself_and_compiled() -> None:
    inner: Any = StateGraph(State)
    with pytest.raises(TypeError) as raised:
        StateGraph(State).add_node("inner", inner)
    assert advice_in(raised).startswith("Compile it first")

    called: Any = 7
    with pytest.raises(TypeError) as raised:
        StateGraph(State).add_node("node", called)
    assert advice_in(raised) == "A function is given itself, as `f`, and not called, as `f()`"


@pytest.mark.parametrize("name", ["END", "end"])
def test_the_end_is_named_without_quotes(driver: Any, name: str) -> None:
    builder = StateGraph(State).add_node("node", lambda state: None).add_edge(START, "node")
    with pytest.raises(ValueError, match="Did you mean END, without quotes"):
        builder.add_edge("node", name).compile()

    path = StateGraph(State).add_node("node", lambda state: None)
    path.add_conditional_edges(START, lambda state: name)
    with pytest.raises(ValueError, match="Did you mean END, without quotes"):
        driver.invoke(path.compile(), {})


@with_notes
def test_what_is_declared_in_another_form_is_refused() -> None:
    wrong: Any = {"topic": str}
    with pytest.raises(TypeError) as raised:
        StateGraph(wrong)
    assert advice_in(raised).startswith("A state is declared by a class, such as a TypedDict; got")
    builder = StateGraph(State).add_node("node", lambda state: None, retry_policy=wrong)
    builder.add_edge(START, "node")
    with pytest.raises(TypeError, match=r"A retry policy is RetryPolicy\(max_attempts=3\)"):
        builder.compile()

    def flow(given: int) -> int:
        return given

    bare: Any = flow
    with pytest.raises(TypeError, match=r"write @entrypoint\(\) above 'flow', with parentheses"):
        entrypoint(bare)


def test_a_tool_is_given_in_a_list() -> None:
    @tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    one: Any
    for one in (add, add.func, lambda a: a):
        with pytest.raises(TypeError, match=r"as in ToolNode\(\[(add|<lambda>)\]\)"):
            ToolNode(one)


@pytest.mark.parametrize("config", ["thread-1", 2])
def test_a_config_is_a_dict(driver: Any, config: Any) -> None:
    with pytest.raises(TypeError, match=r"config is a dict such as \{'configurable': .* got "):
        driver.invoke(of_one(lambda state: None), {"topic": "mills"}, config)


@with_notes
def test_a_thread_is_missed_with_an_example(driver: Any) -> None:
    graph = of_one(lambda state: None, checkpointer=InMemorySaver())

    with pytest.raises(ValueError, match="Checkpointer requires") as raised:
        driver.invoke(graph, {"topic": "mills"})

    assert advice_in(raised).endswith("{'configurable': {'thread_id': '1'}})")


@with_notes
def test_a_question_outside_of_a_run_says_where_it_belongs() -> None:
    with pytest.raises(RuntimeError) as raised:
        interrupt("Really?")

    assert "work only in code that a graph runs" in advice_in(raised)
