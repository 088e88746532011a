"""Savers that others wrote, and errors whose class fails to say what they are."""

from __future__ import annotations

import asyncio
import logging
import operator
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from typing_extensions import TypedDict

from millstream._base.texts import safe_repr, safe_str
from millstream.graph import START, StateGraph
from millstream.types import RetryPolicy

THREAD: Any = {"configurable": {"thread_id": "1"}}
DURABILITIES = pytest.mark.parametrize("durability", ["sync", "async", "exit"])


class Log(TypedDict):
    """A log."""

    log: Annotated[list[str], operator.add]


def chain(saver: Any, **actions: Any) -> Any:
    """Return a graph of two nodes that log their names."""
    builder = StateGraph(Log)
    builder.add_node("a", actions.get("a") or (lambda state: {"log": ["a"]}))
    builder.add_node("b", actions.get("b") or (lambda state: {"log": ["b"]}))
    return builder.add_edge(START, "a").add_edge("a", "b").compile(checkpointer=saver)


class WithoutPath(InMemorySaver):
    """As savers were before tasks had paths."""

    def put_writes(self, config: Any, writes: Any, task_id: str) -> None:  # type: ignore[override]
        super().put_writes(config, writes, task_id)

    async def aput_writes(self, config: Any, writes: Any, task_id: str) -> None:  # type: ignore[override]
        super().put_writes(config, writes, task_id)


class PathByName(InMemorySaver):
    """Takes the path by name alone."""

    def put_writes(self, config: Any, writes: Any, task_id: str, *, task_path: str = "") -> None:
        assert task_path.startswith("~")
        super().put_writes(config, writes, task_id, task_path)

    async def aput_writes(
        self, config: Any, writes: Any, task_id: str, *, task_path: str = ""
    ) -> None:
        self.put_writes(config, writes, task_id, task_path=task_path)


class Anything(InMemorySaver):
    """Takes whatever it is given."""

    def put_writes(self, *args: Any, **kwargs: Any) -> None:
        assert len(args) + len(kwargs) == 4
        super().put_writes(*args, **kwargs)

    async def aput_writes(self, *args: Any, **kwargs: Any) -> None:
        self.put_writes(*args, **kwargs)


class Numbered(InMemorySaver):
    """Gives versions without looking at the channel."""

    def get_next_version(self, current: Any) -> Any:  # type: ignore[override]
        return (current or 0) + 1


class NumberedByName(InMemorySaver):
    """Takes the channel by name alone."""

    def get_next_version(self, current: Any, *, channel: None) -> Any:  # type: ignore[override]
        return (current or 0) + 1


@DURABILITIES
@pytest.mark.parametrize("saver", [WithoutPath, PathByName, Anything, Numbered, NumberedByName])
def test_a_saver_is_given_what_it_takes(driver: Any, durability: Any, saver: Any) -> None:
    failing = [True]

    def b(state: Log) -> Log:
        if failing:
            raise ValueError(failing.pop())
        return {"log": ["b"]}

    graph = chain(saver(), b=b)
    with pytest.raises(ValueError, match="True"):
        driver.invoke(graph, {"log": []}, THREAD, durability=durability)

    assert driver.invoke(graph, None, THREAD, durability=durability) == {"log": ["a", "b"]}
    graph.update_state(THREAD, {"log": ["u"]}, as_node="a")
    assert graph.get_state(THREAD).next == ("b",)
    assert driver.invoke(graph, None, THREAD)["log"] == ["a", "b", "u", "b"]


def test_a_saver_without_async_methods_says_so() -> None:
    class Sync(BaseCheckpointSaver[str]):
        """Has sync methods only."""

        def get_tuple(self, config: Any) -> None:
            return None

    with pytest.raises(NotImplementedError, match=r"Sync has no async methods .* sync methods"):
        asyncio.run(chain(Sync()).ainvoke({"log": []}, THREAD))


class Mute(Exception):
    """An error that fails to say what it is."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __str__(self) -> str:
        raise RuntimeError("no text")


def fail(state: Any) -> Any:
    """Raise it."""
    raise Mute


def raised_by(driver: Any, graph: Any, **options: Any) -> Any:
    """Return the error of a run that is read to its end, without showing it to anybody."""

    def read() -> Any:
        try:
            for _ in graph.stream({"log": []}, THREAD, **options):
                pass
        except Exception as error:
            return error

    async def aread() -> Any:
        try:
            async for _ in graph.astream({"log": []}, THREAD, **options):
                pass
        except Exception as error:
            return error

    return read() if driver.name == "sync" else asyncio.run(aread())


@DURABILITIES
@pytest.mark.parametrize("mode", ["values", "updates", "tasks", "debug", "checkpoints", "messages"])
def test_an_error_that_cannot_be_told_reaches_the_caller(
    driver: Any, durability: Any, mode: Any
) -> None:
    graph = chain(InMemorySaver(), a=fail)

    error = raised_by(driver, graph, durability=durability, stream_mode=mode)

    assert type(error) is Mute
    [task] = graph.get_state(THREAD).tasks
    assert task.error == "<Mute whose repr failed with RuntimeError>"
    again = raised_by(driver, graph, durability=durability, stream_mode=mode)
    assert type(again) is Mute


def test_its_retry_is_logged(driver: Any, caplog: Any) -> None:
    attempts = []

    def once(state: Log) -> Log:
        attempts.append(1)
        if len(attempts) == 1:
            raise Mute
        return {"log": ["a"]}

    builder = StateGraph(Log).add_node(
        "a", once, retry_policy=RetryPolicy(retry_on=Mute, initial_interval=0)
    )
    graph = builder.add_edge(START, "a").compile()

    with caplog.at_level(logging.INFO):
        assert driver.invoke(graph, {"log": []}) == {"log": ["a"]}

    assert "<Mute whose str failed with RuntimeError>" in caplog.text


def test_the_error_of_a_nested_graph_that_cannot_be_told(driver: Any) -> None:
    inner = chain(None, a=fail)
    builder = StateGraph(Log).add_node("inner", inner).add_edge(START, "inner")
    graph = builder.compile(checkpointer=InMemorySaver())

    def read() -> Any:
        run = graph.stream_events({"log": []}, THREAD, version="v3")
        with pytest.raises(Mute):
            run.output()
        return list(run)

    async def aread() -> Any:
        run = await graph.astream_events({"log": []}, THREAD, version="v3")
        try:
            await run.output()
        except Exception as error:
            return error
        return None

    if driver.name == "async":
        assert type(asyncio.run(aread())) is Mute
    else:
        with pytest.raises(Mute):
            read()


def test_texts_of_what_cannot_be_told() -> None:
    assert safe_str(Mute()) == "<Mute whose str failed with RuntimeError>"
    assert safe_repr([1]) == "[1]"
