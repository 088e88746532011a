"""Edges of every form: conditional, mapped, waiting, deferred, sequences, entry points.

No `from __future__ import annotations` here: schemas and return annotations are read at run time.
"""

import itertools
import operator
from typing import Annotated, Literal

from langchain_core.runnables import RunnableLambda
from typing_extensions import TypedDict

from differential.kit import END, START, Log, add_nodes, add_paths, say, wire
from differential.registry import call, program


def _branching(e, path, path_map=None, **nodes):
    builder = wire(e, Log, "START a", "b END", "c END", a=say("a", x=2), b=..., c=..., **nodes)
    builder.add_conditional_edges("a", path, path_map)
    return builder.compile()


@program(
    "routing.fan_out_fan_in",
    rows=(
        "7.4:edges",
        "2.1:task_order",
        "2.1:update_result_debug",
        "2.1:values_after_updates",
        "2.7:triggers",
        "2.7:start_and_result",
    ),
    unordered=True,
)
def fan_out_fan_in(e):
    graph = wire(e, Log, "START a b d END", "a c d", "START z d", a=..., b=..., c=..., d=..., z=...)
    return graph.compile(), [call({"x": 1, "log": ["in"]})]


@program("routing.uneven_branches", rows=("7.4:uneven",), unordered=True)
def uneven(e):
    graph = wire(e, Log, "START a a2 c END", "START b c", a=..., b=..., a2=..., c=...)
    return graph.compile(), [call({"x": 1})]


@program(
    "routing.waiting_edge",
    rows=("7.4:waiting", "7.3:barrier", "2.7:triggers", "2.7:start_and_result"),
    unordered=True,
)
def waiting(e):
    builder = wire(e, Log, "START a a2", "START b", "c END", a=..., b=..., a2=..., c=...)
    builder.add_edge(["a2", "b"], "c")
    return builder.compile(), [call({"x": 1})]


@program("routing.waiting_edge_in_cycle", rows=("7.4:waiting", "7.3:barrier"), unordered=True)
def waiting_cycle(e):
    builder = wire(e, Log, "START a", "START b", a=..., b=..., c=...)
    builder.add_edge(["a", "b"], "c")
    builder.add_conditional_edges("c", lambda s: ["a", "b"] if len(s["log"]) < 5 else END)
    return builder.compile(), [call({"x": 1}), call({"log": list("1234")})]


@program("routing.waiting_edge_half_reached", rows=("7.4:waiting",))
def waiting_half(e):
    builder = wire(e, Log, "START a", "c END", a=..., b=..., c=...)
    builder.add_edge(["a", "b"], "c")
    return builder.compile(), [call({"x": 1})]


@program("routing.branch_by_name", rows=("7.4:conditional", "7.4:branch_results"))
def branch_by_name(e):
    graph = _branching(e, lambda s: "b" if s["x"] == 2 else "c")
    return graph, [call({"x": 1}), call({"x": 2})]


@program("routing.branch_sees_own_writes", rows=("7.4:branch_input",), unordered=True)
def branch_sees_writes(e):
    def path(state):
        return ["b", "c"] if state["log"] == ["a"] and state["x"] == 2 else END

    builder = wire(
        e,
        Log,
        "START a",
        "START other END",
        "b END",
        "c END",
        a=say("a", x=2),
        other=...,
        b=...,
        c=...,
    )
    builder.add_conditional_edges("a", path)
    return builder.compile(), [call({"x": 1}), call({"log": ["in"]})]


@program("routing.branch_sees_unknown_keys", rows=("7.4:branch_input",))
def branch_sees_unknown_keys(e):
    builder = wire(e, Log, "START a", "b END", a=lambda s: {"hint": "b", "x": 3}, b=...)
    builder.add_conditional_edges("a", lambda s: s.get("hint", END))
    return builder.compile(), [call({"x": 1})]


@program("routing.path_map", rows=("7.4:path_map",))
def path_map(e):
    graph = _branching(e, lambda s: s["x"] > 1, {True: "b", False: END})
    return graph, [call({"x": 1}), call({"x": 5})]


@program("routing.path_map_list", rows=("7.4:path_map",))
def path_map_list(e):
    return _branching(e, lambda s: ["b", END], ["b", "c", END]), [call({"x": 1})]


@program(
    "routing.unmapped_result",
    rows=("7.4:branch_results", "7.4:path_map"),
    differs="failed-branch",
)
def unmapped(e):
    return _branching(e, lambda s: "zz", {"b": "b"}), [call({"x": 1})]


@program("routing.literal", rows=("7.4:literal",))
def literal(e):
    def path(state) -> Literal["b", "c"]:
        return "c"

    return _branching(e, path), [call({"x": 1})]


@program("routing.wrong_branch_results", rows=("7.4:branch_results",))
def wrong_branch_results(e):
    results = iter([None, START, "zzz", [], 5, [None], e.types.Send(END, {}), ["b", "zzz"]])
    kinds = [*["failed-branch"] * 2, "wrong-route", None, "wrong-route"]
    kinds += [*["failed-branch"] * 2, "wrong-route"]
    calls = [call({"x": 1}, differs=kind) for kind in kinds]
    return _branching(e, lambda s: next(results)), calls


@program(
    "routing.branch_sends",
    rows=("7.4:conditional", "2.12:branch_sends", "7.6:send"),
    unordered=True,
)
def branch_sends(e):
    send = e.types.Send

    def path(state):
        return [send("b", {"x": 7}), "c", send("b", {"x": 8})]

    return _branching(e, path, ["b", "c"]), [call({"x": 1})]


@program("routing.async_path", rows=("7.4:conditional",), differs="failed-branch-in-sync")
def async_path(e):
    async def path(state):
        return "b"

    return _branching(e, path, ["b", "c"]), [call({"x": 1})]


@program("routing.runnable_path", rows=("7.4:conditional",))
def runnable_path(e):
    builder = wire(e, Log, "START a", "b END", a=..., b=...)
    builder.add_conditional_edges("a", RunnableLambda(lambda s: "b", name="way"))
    return builder.compile(), [call({"x": 1})]


@program("routing.path_with_config", rows=("7.4:conditional", "4.1:config"))
def path_with_config(e):
    from langchain_core.runnables import RunnableConfig

    def path(state, config: RunnableConfig):
        return config["configurable"].get("way", "b")

    return _branching(e, path), [call({"x": 1}), call({"x": 1}, {"configurable": {"way": "c"}})]


@program("routing.several_branches", rows=("7.4:conditional", "7.4:additive_goto"), unordered=True)
def several_branches(e):
    def one(state):
        return "b"

    def two(state):
        return ["b", "c"]

    builder = wire(e, Log, "START a", "a b END", "c END", a=..., b=..., c=...)
    builder.add_conditional_edges("a", one)
    builder.add_conditional_edges("a", two)
    return builder.compile(), [call({"x": 1})]


@program("routing.conditional_entry", rows=("7.4:conditional_entry",))
def conditional_entry(e):
    builder = wire(e, Log, a=..., b=...)
    builder.set_conditional_entry_point(
        lambda s: {1: "a", 2: "b", 3: END}[s["x"]], {"a": "a", "b": "b", END: END}
    )
    builder.set_finish_point("a")
    return builder.compile(), [call({"x": n}) for n in (1, 2, 3, 4)]


@program("routing.entry_branch_sends", rows=("7.4:conditional_entry", "7.6:send"), unordered=True)
def entry_branch_sends(e):
    send = e.types.Send
    builder = wire(e, Log, a=lambda s: {"log": [s["n"]]})
    builder.add_conditional_edges(START, lambda s: [send("a", {"n": n}) for n in range(s["x"])])
    return builder.compile(), [call({"x": 3}), call({"x": 0})]


@program("routing.loop", rows=("7.4:conditional", "2.1:single_task"))
def loop(e):
    builder = wire(e, Log, "START a b", a=lambda s: {"x": s["x"] + 1, "log": ["a"]}, b=...)
    builder.add_conditional_edges("b", lambda s: "a" if s["x"] < 4 else END)
    return builder.compile(), [call({"x": 1}), call({"x": 9})]


@program("routing.sequence", rows=("7.4:sequence", "7.4:names"))
def sequence(e):
    def first(state):
        return {"log": ["first"]}

    builder = e.graph.StateGraph(Log)
    builder.add_sequence([first, ("second", say("second")), ("third", RunnableLambda(say("r")))])
    builder.set_entry_point("first")
    builder.set_finish_point("third")
    return builder.compile(), [call({"x": 1})]


@program("routing.names", rows=("7.4:names",))
def names(e):
    class Callable:
        def __call__(self, state):
            return {"log": ["called"]}

        def method(self, state):
            return {"log": ["method"]}

    builder = e.graph.StateGraph(Log)
    builder.add_node(lambda s: {"log": ["lambda"]})
    builder.add_node("node with spaces/and-é", Callable())
    builder.add_node(Callable().method)
    builder.add_node("log", say("same name as a key"))
    chain = [START, "<lambda>", "node with spaces/and-é", "method", "log", END]
    for source, target in itertools.pairwise(chain):
        builder.add_edge(source, target)
    return builder.compile(), [call({"x": 1})]


@program("routing.start_to_end", rows=("7.4:compile", "2.1:hidden_start"))
def start_to_end(e):
    return wire(e, Log, "START END", a=...).compile(), [call({"x": 1}), call({})]


@program("routing.dead_end", rows=("7.4:compile",))
def dead_end(e):
    return wire(e, Log, "START a b", a=..., b=..., unreachable=...).compile(), [call({"x": 1})]


@program("routing.defer", rows=("7.4:defer",), unordered=True)
def defer(e):
    graph = wire(
        e, Log, "START a b c d END", "a d", a=..., b=..., c=..., d=(say("d"), {"defer": True})
    )
    return graph.compile(), [call({"x": 1})]


@program(
    "routing.defer_with_join", rows=("7.4:defer", "7.4:waiting", "7.3:barrier"), unordered=True
)
def defer_with_join(e):
    builder = wire(
        e,
        Log,
        "START a",
        "START b b2 b3",
        "d END",
        a=...,
        b=...,
        b2=...,
        b3=...,
        d=(say("d"), {"defer": True}),
    )
    builder.add_edge(["a", "b"], "d")
    return builder.compile(), [call({"x": 1})]


@program("routing.two_independent_deferred", rows=("7.4:defer",), unordered=True)
def two_independent_deferred(e):
    late = {"defer": True}
    graph = wire(
        e,
        Log,
        "START a d END",
        "START b b2 f END",
        "a f",
        a=...,
        b=...,
        b2=...,
        d=(say("d"), late),
        f=(say("f"), late),
    )
    return graph.compile(), [call({"x": 1})]


@program(
    "routing.two_deferred",
    rows=("7.4:defer",),
    unordered=True,
    differs="deferred-behind-deferred",
)
def two_deferred(e):
    late = {"defer": True}
    graph = wire(
        e,
        Log,
        "START a d",
        "START b b2 f END",
        "d f",
        a=...,
        b=...,
        b2=...,
        d=(say("d"), late),
        f=(say("f"), late),
    )
    return graph.compile(), [call({"x": 1})]


@program(
    "routing.defer_beside_sends",
    rows=("7.4:defer", "7.6:send"),
    unordered=True,
    differs="deferred-beside-sends",
)
def defer_beside_sends(e):
    graph = wire(e, Log, "START a d END", "b d", a=..., b=..., d=(say("d"), {"defer": True}))
    graph.add_conditional_edges("a", lambda state: [e.types.Send("b", {})] * 2, ["b"])
    return graph.compile(), [call({"x": 1})]


@program("routing.defer_loops_back", rows=("7.4:defer",), unordered=True)
def defer_loops(e):
    builder = wire(
        e, Log, "START a d", "START b c d", a=..., b=..., c=..., d=(say("d"), {"defer": True})
    )
    builder.add_conditional_edges("d", lambda s: "a" if len(s["log"]) < 6 else END)
    return builder.compile(), [call({"x": 1})]


@program(
    "routing.many_parallel", rows=("2.1:pull_alphabetical", "2.1:reducers_by_path"), unordered=True
)
def many_parallel(e):
    class S(TypedDict):
        log: Annotated[list, operator.add]

    labels = [f"n{n}" for n in (10, 9, 1, 2, 11, 0)]
    builder = e.graph.StateGraph(S)
    add_nodes(builder, **dict.fromkeys(labels, ...))
    add_paths(builder, *(f"START {name} END" for name in labels))
    return builder.compile(), [call({"log": []})]
