"""Payloads of stream modes that have more than one form, and which one there is."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from pydantic import BaseModel
from typing_extensions import TypedDict

import millstream.stream
from millstream.checkpoint.memory import InMemorySaver
from millstream.graph import START, StateGraph, add_messages
from millstream.types import Command, interrupt


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]
    n: int
    messages: Annotated[list[AnyMessage], add_messages]


def thrice(state: State) -> Any:
    return [Command(update={"log": ["a"]}), {"log": ["b"], "n": 1}, {"log": ["c"]}]


def chain(schema: Any = State, saver: Any = None, **nodes: Any) -> Any:
    """Compile nodes that run one after the other."""
    builder = StateGraph(schema).add_sequence(list(nodes.items()))
    return builder.add_edge(START, next(iter(nodes))).compile(checkpointer=saver)


def test_a_key_that_was_written_again_makes_updates_a_list(driver: Any) -> None:
    graph = chain(thrice=thrice, once=lambda state: {"n": 2})

    assert driver.stream(graph, {"log": []}, stream_mode="updates") == [
        {"thrice": [{"log": ["a"]}, {"log": ["b"]}, {"n": 1}, {"log": ["c"]}]},
        {"once": {"n": 2}},
    ]


def test_a_key_that_was_written_again_has_all_its_writes_in_tasks(driver: Any) -> None:
    graph = chain(thrice=thrice, once=lambda state: {"n": 2})

    parts = driver.stream(graph, {"log": []}, stream_mode="tasks")

    assert [part["result"] for part in parts if "result" in part] == [
        {"log": {"$writes": [["a"], ["b"], ["c"]]}, "n": 1},
        {"n": 2},
    ]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            "n",
            [("updates", {"one": 1}), ("values", 1), ("updates", {"none": None})],
        ),
        (
            ["n", "log"],
            [
                ("values", {"log": []}),
                ("updates", {"one": {"n": 1}}),
                ("values", {"log": [], "n": 1}),
                ("updates", {"none": None}),
            ],
        ),
    ],
    ids=["one key", "several"],
)
def test_one_output_key_is_shown_bare_and_several_as_a_dict(
    driver: Any, keys: Any, expected: list[Any]
) -> None:
    graph = chain(one=lambda state: {"n": 1}, none=lambda state: {"messages": []})

    parts = driver.stream(graph, {"log": []}, stream_mode=["updates", "values"], output_keys=keys)

    assert parts == expected


def test_a_question_is_shown_beside_several_output_keys_and_alone_without(driver: Any) -> None:
    shown = []
    for keys in (["log"], "log"):
        graph = chain(saver=InMemorySaver(), ask=lambda state: {"n": interrupt("how many?")})
        config = {"configurable": {"thread_id": "1"}}
        *_, last = driver.stream(
            graph, {"log": ["x"]}, config, stream_mode="values", output_keys=keys
        )
        (question,) = last.pop("__interrupt__")
        shown.append((question.value, last))

    assert shown == [("how many?", {"log": ["x"]}), ("how many?", {})]


@dataclass
class Fields:
    messages: Annotated[list[AnyMessage], add_messages]
    last: Any = None


class Model(BaseModel):
    messages: Annotated[list[AnyMessage], add_messages]
    last: Any = None


def said(driver: Any, graph: Any) -> list[str]:
    """Return the texts that are shown of a run that is given a message."""
    input = {"messages": [HumanMessage("hi", id="0")]}
    parts = driver.stream(graph, input, stream_mode="messages")
    return [message.content for message, _ in parts]


@pytest.mark.parametrize("schema", [Fields, Model])
def test_messages_are_heard_in_states_of_every_kind_and_history_is_not(
    driver: Any, schema: Any
) -> None:
    def answer(state: Any) -> Any:
        new = AIMessage("new", id="1")
        return schema(messages=[*state.messages, new], last=AIMessage("last", id="2"))

    assert said(driver, chain(schema, answer=answer)) == ["new", "last"]


def test_messages_in_commands_and_in_dicts_beside_them_are_heard_once(driver: Any) -> None:
    first = AIMessage("one", id="1")

    def answer(state: State) -> Any:
        return [
            Command(update={"messages": [first]}),
            {"messages": [AIMessage("two", id="2"), AIMessage("three", id="3")]},
        ]

    def again(state: State) -> Any:
        return (Command(update={"messages": [first]}),)

    assert said(driver, chain(answer=answer, again=again)) == ["one", "two", "three"]


def test_a_printed_part_of_a_nested_graph_names_the_graph(
    driver: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = chain(outer=chain(inner=lambda state: {"n": 1}))

    driver.stream(graph, {"log": []}, subgraphs=True, print_mode="updates")

    inner, outer = capsys.readouterr().out.splitlines()
    assert "[updates]" in inner
    assert "[graph=('outer:" in inner
    assert inner.endswith("{'inner': {'n': 1}}")
    assert "[graph=" not in outer


def test_an_unknown_version_is_an_error_that_names_the_known_ones(driver: Any) -> None:
    with pytest.raises(ValueError, match="Unknown stream version 'v9'; use one of v1, v2"):
        driver.stream(chain(one=lambda state: {}), {"log": []}, version="v9")


def test_an_unknown_name_of_the_module_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"'millstream\.stream' has no attribute 'Nothing'"):
        _ = millstream.stream.Nothing
