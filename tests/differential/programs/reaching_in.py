"""What well-known packages reach into: keys of `configurable`, node wrappers, graphs by hand.

No `from __future__ import annotations` here: schemas are read at run time.
"""

import operator
from typing import Annotated

from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from typing_extensions import TypedDict

from differential.kit import Log, say, thread, wire
from differential.programs.callbacks_seen import heard
from differential.registry import Matrix, attempt, call, invoke, probe, program, stream


@program("reaching_in.read_and_send", rows=("4.1:config",))
def read_and_send(e):
    def node(state, config: RunnableConfig):
        read = config["configurable"]["__pregel_read"]
        send = config["configurable"]["__pregel_send"]
        before = read("log"), read("x"), read("x", True), read(["log", "x"])
        send([("log", ["sent"]), ("x", 5)])
        after = read("x"), read("x", True), read(list(read.args[1]), True)
        unknown = [attempt(lambda key=key: read(key)) for key in ("nope", ["nope"])]
        return {"log": [before, after, sorted(read.args[1]), unknown, read("branch:to:n")]}

    return wire(e, Log, "START n END", n=node).compile(), [call({"log": ["in"]})]


@program("reaching_in.state_of_a_sent_task", rows=("4.1:config",))
def state_of_a_sent_task(e):
    """A node that was sent something may ask for what it would get from an edge."""

    def node(given, config: RunnableConfig):
        read_state = config["configurable"]["__pregel_read_state"]
        return {"log": [given, None if read_state is None else read_state()]}

    builder = wire(e, Log, "START n", "START m", n=node, m=...)
    builder.add_conditional_edges("m", lambda state: [e.types.Send("sent", "packet")], ["sent"])
    builder.add_node("sent", node)
    return builder.compile(), [call({"x": 1, "log": ["in"]})]


@probe("reaching_in.unknown_channel", rows=("4.1:config",), logs=True)
def unknown_channel(e, driver):
    def node(state, config: RunnableConfig):
        config["configurable"]["__pregel_send"]([("nope", 1), ("x", 2)])

    return invoke(driver, wire(e, Log, "START n END", n=node).compile(), {"log": ["in"]})


@probe("reaching_in.scratchpad", rows=("4.1:config",))
def scratchpad(e, driver):
    seen = []

    def node(state, config: RunnableConfig):
        pad = config["configurable"]["__pregel_scratchpad"]
        counted = [pad.call_counter(), pad.call_counter()]
        seen.append((pad.step, pad.stop, type(pad.resume), counted))
        same = config["configurable"]["__pregel_read"].args[0] is pad
        return {"log": [same, e.types.interrupt("why")]}

    graph = wire(e, Log, "START n END", n=node).compile(checkpointer=e.saver())
    invoke(driver, graph, {"x": 1}, {**thread(), "recursion_limit": 7})
    invoke(driver, graph, e.types.Command(resume="so"), {**thread(), "recursion_limit": 7})
    return seen


@probe("reaching_in.call", rows=("7.11:tasks_in_nodes",), drivers=("sync",))
def call_a_function(e, driver):
    def work(a, b=0):
        return [a, b]

    def node(state, config: RunnableConfig):
        start = config["configurable"]["__pregel_call"]
        future = start(work, ((1,), {"b": 2}), callbacks=config["callbacks"])
        return {"log": [future.result()]}

    graph = wire(e, Log, "START n END", n=node).compile()
    return stream(driver, graph, {"x": 1}, stream_mode=["updates", "tasks"])


@probe("reaching_in.replaced_runtime", rows=("4.5:inherited",))
def replaced_runtime(e, driver):
    """A program may put a runtime of its own into a config: what it calls gets its parts."""
    Runtime = e.runtime.Runtime
    Callable = e.module("utils.runnable").RunnableCallable
    other = e.store()
    other.put(("a",), "k", {"v": "other"})

    def look(state, runtime: Runtime, store):
        found = e.config.get_store()
        return {"log": [runtime.context, found is other, store is other, runtime.store is other]}

    inner = wire(e, Log, "START look END", look=look).compile()
    bare = Callable(lambda value, runtime, store: (runtime.context, store is other), trace=False)

    def node(state, config: RunnableConfig):
        runtime = config["configurable"]["__pregel_runtime"]
        own = {**config["configurable"], "__pregel_runtime": runtime.override(store=other)}
        replaced = {**config, "configurable": own}
        return {
            "log": [
                bare.invoke(1, config),
                bare.invoke(1, replaced),
                RunnableLambda(lambda _: e.config.get_store() is other).invoke(1, replaced),
                inner.invoke({"x": 1}, replaced)["log"],
                inner.invoke({"x": 1})["log"],
            ]
        }

    graph = wire(e, Log, "START n END", n=node).compile(store=e.store())
    given = {"configurable": {"__pregel_runtime": Runtime(context="root", store=other)}}
    return [
        invoke(driver, graph, {"x": 1}, context="c"),
        bare.invoke(1, given),
        invoke(driver, inner, {"x": 1}, given),
    ]


def wrappers(e):
    """Return runnables of one node, by what is special about them."""
    Callable = e.module("utils.runnable").RunnableCallable

    def node(state):
        return {"log": ["n"]}

    async def anode(state):
        return {"log": ["n"]}

    def boom(state):
        raise ValueError("no")

    def other(state):
        return RunnableLambda(node)

    return {
        "plain": Callable(node),
        "untraced": Callable(node, trace=False),
        "both": Callable(node, anode, name="named", tags=["t"]),
        "failing": Callable(boom),
        "returning": Callable(other),
        "chain": Callable(node) | Callable(node),
        "half": Callable(node, trace=False) | Callable(node, tags=["t"]),
    }


@probe("reaching_in.wrapped_nodes", rows=("7.12:callback_runs", "4.1:runnable"))
def wrapped_nodes(e, driver):
    """A wrapped function has a run of its own below that of its node, unless it is told not to."""
    told = {}
    for name, node in wrappers(e).items():
        graph = wire(e, Log, "START n END", n=node).compile()
        told[name] = heard(driver, graph, {"x": 1}, config={"tags": ["own"], "run_name": "run"})
    return told


@probe("reaching_in.wrapped_alone", rows=("7.12:callback_runs",))
def wrapped_alone(e, driver):
    config = {"tags": ["own"], "run_name": "run", "metadata": {"m": 1}}
    return {
        name: heard(driver, node, {"x": 1}, config=config) for name, node in wrappers(e).items()
    }


@probe("reaching_in.wrapped_paths", rows=("7.12:callback_runs", "7.4:conditional"))
def wrapped_paths(e, driver):
    Callable = e.module("utils.runnable").RunnableCallable

    def path(state):
        return "b"

    async def apath(state):
        return "b"

    told = {}
    for name, given in {
        "traced": Callable(path),
        "untraced": Callable(path, trace=False),
        "both": Callable(path, apath, name="named", trace=False),
    }.items():
        builder = wire(e, Log, "START a", a=..., b=...)
        builder.add_conditional_edges("a", given, ["b"])
        told[name] = heard(driver, builder.compile(), {"x": 1})
    return told


def append(value, writes):
    return [*value, *(item for w in writes for item in (w if isinstance(w, list) else [w]))]


WRITTEN = {
    "list": [AIMessage("a")],
    "message": AIMessage("a"),
    "dicts": [{"role": "user", "content": "x"}, {"type": "ai", "content": "y"}],
    "no message": [{"a": 1}, {"role": "weird", "content": "x"}, ("user", "x"), "text", 3],
    "dict": {"role": "user", "content": "x"},
    "overwrite": {"__overwrite__": [AIMessage("a")]},
    "remove": [RemoveMessage(id="1")],
    "known": [AIMessage("a", id="q"), AIMessage("b", id="")],
}


@probe("reaching_in.delta_messages", rows=("7.3:delta", "3.5:ids_in_state"))
def delta_messages(e, driver):
    """Messages for a delta channel get their ids when they are written: it stores the writes."""

    class Chat(TypedDict, total=False):
        said: Annotated[list, e.channels.DeltaChannel(append)]

    def shown(value):
        items = value if isinstance(value, list) else [value]
        return [(type(item).__name__, bool(_id_of(item))) for item in items]

    facts = {}
    for name, written in WRITTEN.items():
        graph = wire(e, Chat, "START n END", n=lambda state, w=written: {"said": w})
        graph = graph.compile(checkpointer=e.saver())
        modes = ["updates", "values"]
        items = stream(driver, graph, {"said": HumanMessage("in")}, thread(), stream_mode=modes)
        graph.update_state(thread(), {"said": [HumanMessage("later")]}, as_node="n")
        states = [graph.get_state(thread()).values["said"] for _ in range(2)]
        values = [payload for mode, payload in items if mode == "values"]
        facts[name] = [
            [shown(value["said"]) for value in values],
            shown(states[0]),
            list(map(_id_of, states[0])) == list(map(_id_of, states[1])),
        ]
    return facts


def _id_of(item):
    return item.get("id") if isinstance(item, dict) else getattr(item, "id", None)


@program("reaching_in.attached", rows=("7.4:compile",), matrix=Matrix.BRIEF)
def attached(e):
    """Some classes do what `compile` does by themselves."""
    START = e.graph.START

    class State(TypedDict, total=False):
        log: Annotated[list, operator.add]

    class Own(e.module("graph.state").CompiledStateGraph):
        pass

    builder = wire(e, State, "START a", "d END", a=..., b=say("b"), c=..., d=...)
    builder.add_conditional_edges("a", lambda state: ["b", "c"], ["b", "c"])
    builder.add_edge(["b", "c"], "d")
    builder.validate()
    graph = Own(
        builder=builder,
        schema_to_mapper={},
        nodes={},
        channels={**builder.channels, START: e.channels.EphemeralValue(State)},
        input_channels=START,
        output_channels=["log"],
        stream_channels=["log"],
        auto_validate=False,
    )
    graph.attach_node(START, None)
    for name, node in builder.nodes.items():
        graph.attach_node(name, node)
    for start, end in [*builder.edges, *builder.waiting_edges]:
        graph.attach_edge(start, end)
    for start, branches in builder.branches.items():
        for name, branch in branches.items():
            graph.attach_branch(start, name, branch)
    return graph.validate(), [call({"log": ["in"]})]
