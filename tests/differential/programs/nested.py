"""Graphs inside graphs: as a node, called in a node, several times, twice nested, streamed.

No `from __future__ import annotations` here: schemas are read at run time.
"""

import operator
import time
from typing import Annotated

from typing_extensions import TypedDict

from differential.kit import END, START, Log, add_paths, asay, fail, say, thread, wire
from differential.registry import SAVED_MODES, call, program


class Child(TypedDict, total=False):
    """Shares `x` and `log` with the parent, keeps `own`."""

    x: int
    log: Annotated[list, operator.add]
    own: str


def leaf(e, *path, **nodes):
    """Compile a two-node child graph."""
    nodes = nodes or {"one": say("one", own="mine"), "two": say("two", x=7)}
    return wire(e, Child, *(path or ("START " + " ".join(nodes) + " END",)), **nodes).compile()


@program(
    "nested.as_node",
    rows=(
        "2.3:subgraph",
        "2.7:subgraph_around",
        "2.13:sink_needs_subgraphs",
        "2.13:segments",
        "2.13:between_parent_items",
        "1.2:v1_list_subgraphs",
        "1.2:v1_single_subgraphs",
        "1.2:v2",
        "1.1:subgraphs",
        "2.13:invisible_without",
    ),
)
def as_node(e):
    return wire(e, Log, "START a sub b END", a=..., sub=leaf(e), b=...).compile(), [call({"x": 1})]


@program("nested.same_graph_twice", rows=("2.13:segments",), unordered=True)
def same_graph_twice(e):
    child = leaf(e)
    return wire(
        e,
        Log,
        "START s1 END",
        "START s2 s3 END",
        s1=child,
        s2=leaf(e, "START one END", one=...),
        s3=child,
    ).compile(), [call({"x": 1})]


@program("nested.other_schema", rows=("2.3:subgraph", "7.1:private"))
def other_schema(e):
    class Other(TypedDict):
        x: int
        hidden: list

    child = wire(e, Other, "START n END", n=lambda s: {"x": s["x"] * 2, "hidden": [1]}).compile()
    return wire(e, Log, "START sub b END", sub=child, b=...).compile(), [call({"x": 4})]


@program("nested.output_schema", rows=("2.3:subgraph", "7.1:input_output"))
def output_schema(e):
    class Out(TypedDict):
        log: Annotated[list, operator.add]

    builder = e.graph.StateGraph(Child, output_schema=Out)
    builder.add_node("n", say("n", x=100, own="o"))
    add_paths(builder, "START n END")
    return wire(e, Log, "START sub b END", sub=builder.compile(), b=...).compile(), [
        call({"x": 4, "log": ["in"]})
    ]


@program("nested.three_levels", rows=("2.13:sub_sub", "2.13:segments"))
def three_levels(e):
    middle = wire(e, Child, "START m leaf END", m=..., leaf=leaf(e)).compile()
    return wire(e, Log, "START top middle END", top=..., middle=middle).compile(), [call({"x": 1})]


@program("nested.called_in_node", rows=("2.13:inner_invoke_forwards", "2.13:invisible_without"))
def called_in_node(e):
    child = leaf(e)
    return wire(
        e,
        Log,
        "START a call END",
        a=...,
        call=lambda s: {"log": [child.invoke({"x": s["x"], "log": []})["own"]]},
    ).compile(), [call({"x": 1})]


@program("nested.awaited_in_node", rows=("2.13:inner_invoke_forwards",))
def awaited_in_node(e):
    child = leaf(e, one=asay("one"), two=asay("two"))

    async def node(state):
        return {"log": [await child.ainvoke({"x": 2})]}

    return wire(e, Log, "START call END", call=node).compile(), [call({"x": 1})]


@program("nested.several_calls", rows=("2.13:second_call_segment",))
def several_calls(e):
    child, other = leaf(e), leaf(e, only=...)

    def node(state):
        child.invoke({"x": 1})
        other.invoke({"x": 2})
        return {"log": [len(child.invoke({"x": 3})["log"])]}

    return wire(e, Log, "START call after END", call=node, after=...).compile(), [call({"x": 1})]


@program("nested.inner_stream", rows=("1.1:default_mode_in_node", "2.13:inner_invoke_forwards"))
def inner_stream(e):
    child = leaf(e)

    def node(state, config):
        plain = list(child.stream({"x": 1}))
        with_config = list(child.stream({"x": 1}, config))
        modes = list(child.stream({"x": 1}, stream_mode=["updates", "values"]))
        return {"log": [len(plain), plain[0], len(with_config), with_config[0], len(modes)]}

    return wire(e, Log, "START call END", call=node).compile(), [call({"x": 1})]


@program("nested.inner_stream_subgraphs", rows=("2.13:sub_sub",))
def inner_stream_subgraphs(e):
    middle = wire(e, Child, "START leaf END", leaf=leaf(e, only=...)).compile()

    def node(state):
        items = list(middle.stream({"x": 1}, stream_mode="updates", subgraphs=True))
        return {"log": [[len(namespace) for namespace, _ in items]]}

    return wire(e, Log, "START call END", call=node).compile(), [call({"x": 1})]


@program("nested.failing_child", rows=("2.11:result_before_raise", "2.11:note"))
def failing_child(e):
    child = leaf(e, ok=..., bad=fail(ValueError("deep")))
    return wire(e, Log, "START sub b END", sub=child, b=...).compile(), [call({"x": 1})]


@program("nested.caught_failure", rows=("2.11:result_before_raise",))
def caught_failure(e):
    child = leaf(e, ok=..., bad=fail(ValueError("deep")))

    def node(state):
        try:
            child.invoke({"x": 1})
        except ValueError as error:
            return {"log": [str(error)]}
        return None

    return wire(e, Log, "START call b END", call=node, b=...).compile(), [call({"x": 1})]


@program("nested.sends_to_child", rows=("7.6:send", "2.3:two_sends"), unordered=True)
def sends_to_child(e):
    send = e.types.Send
    builder = wire(e, Log, "START a", "sub b END", a=..., sub=leaf(e, only=...), b=...)
    builder.add_conditional_edges("a", lambda s: [send("sub", {"x": n}) for n in (1, 2)])
    return builder.compile(), [call({"x": 1})]


@program(
    "nested.parallel_children",
    timed="two graphs of unequal length must end in that order",
    rows=("2.13:between_parent_items",),
    unordered=True,
)
def parallel_children(e):
    def slow(name, seconds):
        def node(state):
            time.sleep(seconds)
            return {"log": [name]}

        return node

    one = leaf(e, a=slow("a", 0.002), b=slow("b", 0.002))
    two = leaf(e, c=slow("c", 0.003))
    return wire(e, Log, "START one END", "START two END", one=one, two=two).compile(), [
        call({"x": 1})
    ]


@program("nested.interrupts", rows=("2.9:subgraph", "2.9:dynamic"), modes=SAVED_MODES)
def nested_interrupt(e):
    child = leaf(e, ask=lambda s: {"log": [e.types.interrupt({"q": 1})]})
    graph = wire(e, Log, "START a sub b END", a=..., sub=child, b=...)
    return graph.compile(checkpointer=e.saver()), [call({"x": 1}, thread())]


@program("nested.saved", rows=("2.6:subgraph_config", "2.6:payload"), modes=SAVED_MODES)
def saved(e):
    middle = wire(e, Child, "START m leaf END", m=..., leaf=leaf(e, only=...)).compile()
    graph = wire(e, Log, "START sub b END", sub=middle, b=...)
    return graph.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread(user="u")),
        call({"x": 2}, thread(user="u")),
    ]


@program("nested.persistent_child", rows=("2.13:persistent_child",), modes=SAVED_MODES)
def persistent_child(e):
    child = wire(e, Child, "START n END", n=lambda s: {"log": ["n"], "own": s.get("own", "") + "+"})
    graph = wire(e, Log, "START sub END", sub=child.compile(checkpointer=True))
    return graph.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        call({"x": 2}, thread()),
    ]


@program("nested.child_without_saver", rows=("2.6:subgraph_config",), modes=SAVED_MODES)
def child_without_saver(e):
    child = wire(e, Child, "START one END", one=...).compile(checkpointer=False)
    graph = wire(e, Log, "START sub END", sub=child)
    return graph.compile(checkpointer=e.saver()), [call({"x": 1}, thread())]


@program("nested.breakpoint_in_child", rows=("2.9:static_in_subgraph",), modes=SAVED_MODES)
def breakpoint_in_child(e):
    child = wire(e, Child, "START one two END", one=..., two=...).compile(interrupt_before=["two"])
    graph = wire(e, Log, "START sub b END", sub=child, b=...)
    return graph.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        call(None, thread()),
        call(None, thread()),
    ]


@program("nested.continue_failed_child", rows=("2.11:continue_after_failure",), modes=SAVED_MODES)
def continue_failed_child(e):
    attempts = []

    def flaky(state):
        attempts.append(1)
        if len(attempts) == 1:
            raise ValueError("once")
        return {"log": ["flaky"]}

    graph = wire(e, Log, "START sub b END", sub=leaf(e, ok=..., flaky=flaky), b=...)
    return graph.compile(checkpointer=e.saver()), [call({"x": 1}, thread()), call(None, thread())]


@program("nested.child_in_wrapper", rows=("4.1:runnable", "2.13:segments"))
def child_in_wrapper(e):
    from langchain_core.runnables import RunnableLambda

    piped = RunnableLambda(lambda s: {"x": s["x"] + 1}) | leaf(e, only=...)
    return wire(e, Log, "START piped END", piped=piped).compile(), [call({"x": 1})]


@program("nested.builder_as_node", rows=("4.1:unsupported",))
def builder_as_node(e):
    builder = wire(e, Child, "START one END", one=...)
    return wire(e, Log, "START sub END", sub=builder).compile(), [call({"x": 1})]


@program("nested.named_graph", rows=("2.13:segments", "1.6:attributes"))
def named_graph(e):
    child = wire(e, Child, "START one END", one=...).compile(name="child")
    builder = e.graph.StateGraph(Log)
    builder.add_node(child)
    builder.add_edge(START, "child")
    builder.add_edge("child", END)
    return builder.compile(name="outer"), [call({"x": 1})]


@program("nested.recursion_in_child", rows=("7.5:recursion_limit",))
def recursion_in_child(e):
    builder = wire(e, Child, "START a", a=...)
    builder.add_edge("a", "a")
    return wire(e, Log, "START sub END", sub=builder.compile()).compile(), [
        call({"x": 1}, {"recursion_limit": 3})
    ]
