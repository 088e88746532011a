"""Channels, reducers, Overwrite, message lists, and graphs written with Pregel directly.

No `from __future__ import annotations` here: schemas are read at run time and name classes of
the engine under test.
"""

import operator
from typing import Annotated, Any

from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, RemoveMessage
from typing_extensions import TypedDict

from differential.kit import Log, say, thread, wire
from differential.registry import SAVED_MODES, Matrix, attempt, call, probe, program


@program(
    "channels.conflicting_writes",
    rows=("7.3:last_value", "2.11:conflicting_writes"),
    unordered=True,
)
def conflicting_writes(e):
    graph = wire(e, Log, "START a END", "START b END", a=say("a", x=1), b=say("b", x=2)).compile()
    return graph, [call({"x": 0})]


@program(
    "channels.reducers", rows=("7.1:reducer", "7.3:binop", "2.1:reducers_by_path"), unordered=True
)
def reducers(e):
    def joined(left, right):
        return f"{left}+{right}"

    class S(TypedDict):
        items: Annotated[list, operator.add]
        total: Annotated[int, operator.add]
        text: Annotated[str, joined]
        mapping: Annotated[dict, operator.or_]
        unset: Annotated[Any, joined]
        noted: Annotated[int, "a note", joined]

    def node(name):
        return lambda s: {
            "items": [name],
            "total": 2,
            "text": name,
            "mapping": {name: 1},
            "unset": name,
            "noted": name,
        }

    nodes = {name: node(name) for name in ("z", "m", "aa")}
    graph = wire(e, S, *(f"START {name} END" for name in nodes), **nodes).compile()
    return graph, [call({"total": 1}), call({"text": "in", "unset": "first"})]


@program("channels.failing_reducer", rows=("7.3:binop",), matrix=Matrix.BRIEF)
def failing_reducer(e):
    def picky(left, right):
        if right == "bad":
            raise ValueError("cannot reduce")
        return left + right

    class S(TypedDict):
        text: Annotated[str, picky]

    graph = wire(e, S, "START a b END", a=lambda s: {"text": "a"}, b=lambda s: {"text": "bad"})
    return graph.compile(), [call({"text": "x"}), call({"text": "bad"})]


@program(
    "channels.refused_write",
    rows=("7.3:binop", "2.1:single_task"),
    matrix=Matrix.AS_WRITTEN,
    differs="refused-writes",
)
def refused_write(e):
    graph = wire(e, Log, "START a END", a=lambda s: {"log": "not a list"}).compile()
    return graph, [call({"log": ["in"]}, stream_mode="updates")]


@program("channels.topic", rows=("7.3:topic", "7.1:annotated_channel"), unordered=True)
def topic(e):
    class S(TypedDict):
        step: Annotated[list, e.channels.Topic(str)]
        whole: Annotated[list, e.channels.Topic(str, accumulate=True)]

    def node(name):
        return lambda s: {"step": [name, name.upper()], "whole": name}

    graph = wire(
        e,
        S,
        "START a c END",
        "START b c",
        "c d",
        a=node("a"),
        b=node("b"),
        c=lambda s: {"whole": str(s.get("step"))},
        d=lambda s: None,
    ).compile()
    return graph, [call({"step": "in"})]


@program("channels.ephemeral", rows=("7.3:ephemeral",), unordered=True)
def ephemeral(e):
    ch = e.channels

    class S(TypedDict):
        one: Annotated[int, ch.EphemeralValue(int)]
        many: Annotated[int, ch.EphemeralValue(int, guard=False)]
        seen: Annotated[list, operator.add]

    def look(state):
        return {"seen": [sorted(state.items())]}

    graph = wire(
        e,
        S,
        "START a c d END",
        "START b c",
        a=lambda s: {"many": 1, "one": 7},
        b=lambda s: {"many": 2},
        c=look,
        d=look,
    ).compile()
    return graph, [call({"one": 3})]


@program("channels.ephemeral_guard", rows=("7.3:ephemeral",), unordered=True)
def ephemeral_guard(e):
    class S(TypedDict):
        one: Annotated[int, e.channels.EphemeralValue(int)]

    graph = wire(
        e, S, "START a END", "START b END", a=lambda s: {"one": 1}, b=lambda s: {"one": 2}
    ).compile()
    return graph, [call({"one": 3})]


@program("channels.any_value", rows=("7.3:any_value",), unordered=True)
def any_value(e):
    class S(TypedDict):
        any: Annotated[int, e.channels.AnyValue(int)]
        seen: Annotated[list, operator.add]

    def look(state):
        return {"seen": [sorted(state)]}

    graph = wire(
        e,
        S,
        "START a c d END",
        "START b c",
        a=lambda s: {"any": 1},
        b=lambda s: {"any": 2},
        c=look,
        d=look,
    ).compile()
    return graph, [call({"any": 3})]


@program("channels.untracked", rows=("7.3:untracked",), modes=SAVED_MODES)
def untracked(e):
    class S(TypedDict):
        kept: int
        lost: Annotated[int, e.channels.UntrackedValue(int)]
        seen: Annotated[list, operator.add]

    def look(state):
        return {"seen": [sorted(state)]}

    graph = wire(e, S, "START a b c END", a=lambda s: {"lost": 1, "kept": 1}, b=look, c=look)
    compiled = graph.compile(checkpointer=e.saver(), interrupt_before=["c"])
    return compiled, [call({"kept": 0}, thread()), call(None, thread())]


@program("channels.overwrite", rows=("7.3:overwrite", "2.3:overwrite"))
def overwrite(e):
    over = e.types.Overwrite

    graph = wire(
        e,
        Log,
        "START a b c d END",
        a=lambda s: {"log": over(["a"])},
        b=lambda s: {"log": {"__overwrite__": ["b"]}},
        c=say("c"),
        d=lambda s: {"log": over(value=[])},
    ).compile()
    return graph, [call({"log": ["in"]}), call({"log": over(["in"])})]


@program("channels.overwrite_beats_writes", rows=("7.3:overwrite",), unordered=True)
def overwrite_beats_writes(e):
    over = e.types.Overwrite
    graph = wire(
        e,
        Log,
        "START a d END",
        "START b d",
        "START c d",
        a=...,
        c=...,
        d=...,
        b=lambda s: {"log": over(["z"])},
    ).compile()
    return graph, [call({"log": ["in"]})]


@program("channels.two_overwrites", rows=("7.3:two_overwrites",), unordered=True)
def two_overwrites(e):
    over = e.types.Overwrite
    graph = wire(
        e,
        Log,
        "START a END",
        "START b END",
        a=lambda s: {"log": over(["y"])},
        b=lambda s: {"log": over(["z"])},
    ).compile()
    return graph, [call({"log": ["in"]})]


@program("channels.overwrite_last_value", rows=("7.3:overwrite_last_value",))
def overwrite_last_value(e):
    over = e.types.Overwrite
    graph = wire(
        e,
        Log,
        "START a b END",
        a=lambda s: {"x": over(5)},
        b=lambda s: {"log": [type(s["x"]).__name__]},
    ).compile()
    return graph, [call({"x": 1})]


@program("channels.messages", rows=("7.3:add_messages",))
def messages(e):
    class S(TypedDict):
        messages: Annotated[list, e.message.add_messages]

    def answer(state):
        return {"messages": AIMessage("hi " + state["messages"][-1].content, id="2")}

    graph = wire(
        e,
        S,
        "START a b c d END",
        a=answer,
        b=lambda s: {"messages": [("human", "more")]},
        c=lambda s: {"messages": [HumanMessage("again", id="1")]},
        d=lambda s: {"messages": [RemoveMessage(id="2")]},
    ).compile()
    return graph, [call({"messages": [HumanMessage("you", id="1")]}), call({"messages": "str"})]


@program("channels.messages_state", rows=("7.3:add_messages",), matrix=Matrix.BRIEF)
def messages_state(e):
    keep = e.message.REMOVE_ALL_MESSAGES
    graph = wire(
        e,
        e.graph.MessagesState,
        "START a b c END",
        a=lambda s: {"messages": [AIMessageChunk("part", id="9")]},
        b=lambda s: {"messages": [RemoveMessage(id=keep), AIMessage("new", id="3")]},
        c=lambda s: {"messages": [RemoveMessage(id="nope")]},
    ).compile()
    return graph, [call({"messages": [{"role": "user", "content": "q", "id": "1"}]})]


@program("pregel.two_nodes", rows=("1.1:default_mode", "7.3:last_value"))
def raw_two_nodes(e):
    pregel, ch = e.pregel, e.channels
    first = pregel.NodeBuilder().subscribe_only("a").do(lambda x: x + x).write_to("b")
    second = pregel.NodeBuilder().subscribe_only("b").do(lambda x: x + "!").write_to("c")
    graph = pregel.Pregel(
        nodes={"n1": first, "n2": second},
        channels={"a": ch.EphemeralValue(str), "b": ch.LastValue(str), "c": ch.EphemeralValue(str)},
        input_channels=["a"],
        output_channels=["b", "c"],
    )
    return graph, [call({"a": "x"}), call({"zzz": 1}), call({})]


@program("pregel.single_channels", rows=("1.1:default_mode", "2.3:single_output_key"))
def raw_single_channels(e):
    pregel, ch = e.pregel, e.channels
    node = pregel.NodeBuilder().subscribe_only("a").do(lambda x: x * 2).write_to("b")
    graph = pregel.Pregel(
        nodes={"n": node},
        channels={"a": ch.EphemeralValue(int), "b": ch.EphemeralValue(int)},
        input_channels="a",
        output_channels="b",
    )
    return graph, [call(3), call(0)]


@program("pregel.subscribe_to_and_read", rows=("7.3:topic", "7.3:barrier"), unordered=True)
def raw_subscribe_to(e):
    pregel, ch = e.pregel, e.channels
    first = (
        pregel.NodeBuilder()
        .subscribe_to("a")
        .read_from("extra")
        .do(lambda s: sorted(s.items()))
        .write_to(seen=lambda s: str(s), done=lambda s: "first")
    )
    second = (
        pregel.NodeBuilder()
        .subscribe_only("a")
        .do(lambda x: x)
        .write_to("seen", done=lambda s: "second")
    )
    last = (
        pregel.NodeBuilder()
        .subscribe_to("done", read=False)
        .read_from("seen")
        .do(lambda s: str(s))
        .write_to("out")
    )
    graph = pregel.Pregel(
        nodes={"first": first, "second": second, "last": last},
        channels={
            "a": ch.LastValue(str),
            "extra": ch.LastValue(str),
            "seen": ch.Topic(str, accumulate=True),
            "done": ch.NamedBarrierValue(str, {"first", "second"}),
            "out": ch.LastValue(str),
        },
        input_channels=["a", "extra"],
        output_channels=["seen", "out"],
        stream_mode=["updates", "values"],
    )
    return graph, [call({"a": "x", "extra": "y"}), call({"a": "x"})]


@program("pregel.cycle", rows=("7.5:recursion_limit",))
def raw_cycle(e):
    pregel, ch = e.pregel, e.channels
    node = pregel.NodeBuilder().subscribe_only("value").do(lambda x: x + x).write_to("value")
    graph = pregel.Pregel(
        nodes={"n": node},
        channels={"value": ch.EphemeralValue(str)},
        input_channels="value",
        output_channels="value",
    )
    return graph, [call("a", {"recursion_limit": 3})]


@probe("pregel.validation", rows=("7.4:compile",))
def raw_validation(e, driver):
    pregel, ch = e.pregel, e.channels
    node = pregel.NodeBuilder().subscribe_only("a").do(lambda x: x).write_to("b")

    def make(**changes):
        arguments = {
            "nodes": {"n": node},
            "channels": {"a": ch.LastValue(int), "b": ch.LastValue(int)},
            "input_channels": "a",
            "output_channels": "b",
        }
        return type(pregel.Pregel(**{**arguments, **changes})).__name__

    return {
        "ok": attempt(make),
        "unknown input": attempt(lambda: make(input_channels="zz")),
        "unknown output": attempt(lambda: make(output_channels="zz")),
        "unknown outputs": attempt(lambda: make(output_channels=["b", "zz"])),
        "nobody reads input": attempt(lambda: make(input_channels="b")),
        "unknown breakpoint": attempt(lambda: make(interrupt_before_nodes=["zz"])),
        "missing channel": attempt(lambda: make(channels={"a": ch.LastValue(int)})),
        "empty builder": attempt(lambda: type(pregel.NodeBuilder().build()).__name__),
        "two subscriptions": attempt(
            lambda: type(pregel.NodeBuilder().subscribe_only("a").subscribe_only("b")).__name__
        ),
        "mixed subscriptions": attempt(
            lambda: type(pregel.NodeBuilder().subscribe_only("a").subscribe_to("b")).__name__
        ),
    }


@probe("channels.add_messages", rows=("7.3:add_messages",))
def add_messages_alone(e, driver):
    add = e.message.add_messages
    human = HumanMessage("a", id="1")
    everything = RemoveMessage(id=e.message.REMOVE_ALL_MESSAGES)
    return {
        "append": attempt(lambda: add([human], AIMessage("b", id="2"))),
        "replace": attempt(lambda: add([human], [HumanMessage("A", id="1")])),
        "string": attempt(lambda: [type(m).__name__ for m in add("x", "y")]),
        "remove": attempt(lambda: add([human], RemoveMessage(id="1"))),
        "unknown": attempt(lambda: add([human], RemoveMessage(id="zz"))),
        "all": attempt(lambda: add([human], [everything, AIMessage("n", id="2")])),
        "readd": attempt(
            lambda: add(
                [human, AIMessage("b", id="2")],
                [RemoveMessage(id="1"), HumanMessage("new", id="1")],
            )
        ),
        "none": attempt(lambda: add(None, [human])),
        "format": attempt(lambda: add([human], [], format="zz")),
        "partial": attempt(lambda: add(format="langchain-openai")([], [human])),
    }
