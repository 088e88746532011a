"""Delta channels in storage: branches do not touch each other, a killed run leaves no trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from typing_extensions import TypedDict

from millstream.channels import DeltaChannel
from millstream.graph import END, START, StateGraph
from millstream.types import Command, Overwrite, interrupt


def extend(value: list[Any], writes: Sequence[Any]) -> list[Any]:
    """Return the list with all that was written, in order."""
    return [*value, *(item for write in writes for item in write)]


class Log(TypedDict):
    """A list of which checkpoints hold only what is new."""

    log: Annotated[list[Any], DeltaChannel(extend)]


def ask(state: Log) -> dict[str, Any]:
    """Ask, and log the answer."""
    return {"log": [interrupt("q")]}


def note(name: str) -> Any:
    """Return a node that logs its name."""
    return lambda state: {"log": [name]}


def chain(saver: Any, **nodes: Any) -> Any:
    """Return a saved graph of nodes that run one after the other."""
    builder = StateGraph(Log)
    previous = START
    for name, node in nodes.items():
        builder.add_node(name, node)
        builder.add_edge(previous, name)
        previous = name
    builder.add_edge(previous, END)
    return builder.compile(checkpointer=saver)


THREAD: dict[str, Any] = {"configurable": {"thread_id": "1"}}


def logs(graph: Any) -> list[Any]:
    """Return the log at each checkpoint of the thread, newest first."""
    return [snapshot.values.get("log") for snapshot in graph.get_state_history(THREAD)]


def test_an_update_on_one_branch_does_not_show_on_the_other(driver: Any) -> None:
    """An old checkpoint is answered again, with an update this time."""
    graph = chain(InMemorySaver(), a=note("a"), ask=ask, z=note("z"))
    driver.invoke(graph, {"log": ["in"]}, THREAD)
    asked = graph.get_state(THREAD).config
    driver.invoke(graph, Command(resume="one"), THREAD)
    before = logs(graph)

    result = driver.invoke(graph, Command(resume="one", update={"log": ["late"]}), asked)

    assert result["log"] == ["in", "a", "late", "one", "z"]
    assert logs(graph)[-len(before) :] == before


class KilledSaver(InMemorySaver):
    """Stores nothing any more after the writes that come before a run's only checkpoint."""

    is_dying = False

    def put(self, *args: Any) -> Any:
        """Store a checkpoint, or die."""
        if self.is_dying:
            raise RuntimeError("killed")
        return super().put(*args)

    async def aput(self, *args: Any) -> Any:
        """Store a checkpoint, or die."""
        return self.put(*args)


def test_half_of_what_a_run_stores_at_its_end_is_not_counted(driver: Any) -> None:
    """The writes are there, the checkpoint is not: going on must not count them."""
    saver = KilledSaver()
    graph = chain(saver, a=note("a"), ask=ask, b=note("b"), z=note("z"))
    driver.invoke(graph, {"log": ["in"]}, THREAD, durability="exit")
    saver.is_dying = True
    with pytest.raises(RuntimeError, match="killed"):
        driver.invoke(graph, Command(resume="lost"), THREAD, durability="exit")
    lost = saver.get_tuple(THREAD)
    saver.is_dying = False

    driver.invoke(graph, Command(resume="kept"), THREAD, durability="exit")

    assert lost is not None
    assert ["z"] in [write for _, _, write in lost.pending_writes or ()]
    assert graph.get_state(THREAD).values["log"] == ["in", "a", "kept", "b", "z"]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_long_list_is_stored_in_small_parts(driver: Any, durability: str) -> None:
    """Every item is stored about once, not once per superstep."""
    saver = InMemorySaver()
    graph = chain(saver, **{f"n{index}": note(f"n{index}") for index in range(50)})

    driver.invoke(graph, {"log": []}, THREAD, durability=durability)

    written = sum(
        len(value)
        for saved in saver.list(THREAD)
        for _, channel, value in saved.pending_writes or ()
        if channel == "log"
    )
    assert written == 50
    assert not any("log" in saved.checkpoint["channel_values"] for saved in saver.list(THREAD))
    assert graph.get_state(THREAD).values["log"] == [f"n{index}" for index in range(50)]


def test_a_graph_without_delta_channels_asks_for_no_history(driver: Any) -> None:
    """Loading costs what it did."""

    class Plain(InMemorySaver):
        def get_delta_channel_history(self, **kwargs: Any) -> Any:
            raise AssertionError

        aget_delta_channel_history = get_delta_channel_history

    builder = StateGraph(list)
    builder.add_node("a", lambda state: [*state, "a"])
    builder.add_edge(START, "a")
    graph = builder.compile(checkpointer=Plain())

    driver.invoke(graph, ["in"], THREAD)

    assert driver.invoke(graph, ["more"], THREAD) == ["more", "a"]
    assert len(list(graph.get_state_history(THREAD))) == 6


MESSAGES: dict[str, Any] = {
    "message": lambda: [HumanMessage("hi")],
    "tuple": lambda: (HumanMessage("hi"),),
    "dict": lambda: [{"role": "user", "content": "hi"}],
    "dict-with-empty-id": lambda: [{"role": "user", "content": "hi", "id": ""}],
    "overwrite": lambda: Overwrite([HumanMessage("hi")]),
    "overwrite-of-a-tuple": lambda: Overwrite((HumanMessage("hi"),)),
    "overwrite-of-dicts": lambda: Overwrite([{"role": "user", "content": "hi", "id": ""}]),
    "overwrite-as-json": lambda: {"__overwrite__": (HumanMessage("hi"),)},
    "overwrite-as-long-json": lambda: {"type": "__overwrite__", "value": [HumanMessage("hi")]},
}


class Chat(TypedDict, total=False):
    """Messages, of which checkpoints hold only what is new."""

    messages: Annotated[list[Any], DeltaChannel(extend)]


@pytest.mark.parametrize("way", ["node", "update", "input", "update-as-input"])
@pytest.mark.parametrize("kind", MESSAGES)
def test_a_message_has_its_id_when_it_is_stored(driver: Any, kind: str, way: str) -> None:
    """A value that is rebuilt whenever it is loaded has the same ids every time."""
    given = MESSAGES[kind]()
    builder = StateGraph(Chat)
    builder.add_node("n", lambda state: {"messages": given} if way == "node" else {})
    builder.add_edge(START, "n")
    graph = builder.compile(checkpointer=InMemorySaver())

    if way == "update":
        graph.update_state(THREAD, {"messages": given}, as_node="n")
    elif way == "update-as-input":
        graph.update_state(THREAD, {"messages": given}, as_node="__input__")
        driver.invoke(graph, None, THREAD)
    else:
        driver.invoke(graph, {"messages": [] if way == "node" else given}, THREAD)

    (message,) = graph.get_state(THREAD).values["messages"]
    assert (type(message), message.content) == (HumanMessage, "hi")
    assert message.id
    assert graph.get_state(THREAD).values["messages"] == [message]


def test_dicts_of_other_roles_stay_dicts(driver: Any) -> None:
    """What LangChain makes no message of is the program's own."""
    roles = ["developer", "remove", "chat", "robot", "Human"]
    given = [{"role": role, "content": "hi"} for role in roles]
    builder = StateGraph(Chat)
    builder.add_node("n", lambda state: {"messages": given})
    builder.add_edge(START, "n")
    graph = builder.compile(checkpointer=InMemorySaver())

    driver.invoke(graph, {"messages": []}, THREAD)

    assert graph.get_state(THREAD).values["messages"] == given
