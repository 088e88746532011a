"""Custom items: from every position, in which namespace, to which consumer.

No `from __future__ import annotations` here: schemas are read at run time.
"""

import asyncio

from differential.kit import Log, wire
from differential.registry import call, program


def writing(e, name, *, times=1):
    """Return a node that writes `times` custom items that name it."""

    def node(state, writer):
        for count in range(times):
            writer({"by": name, "count": count})
        return {"log": [name]}

    return node


def child_of(e, *names):
    """Compile a chain of writing nodes."""
    nodes = {name: writing(e, name) for name in names}
    return wire(e, Log, "START " + " ".join(names) + " END", **nodes).compile()


@program("writers.own_graph", rows=("4.4:own_graph", "2.4:payload", "4.3:noop_without_custom"))
def own_graph(e):
    graph = wire(e, Log, "START a b END", a=writing(e, "a", times=3), b=writing(e, "b"))
    return graph.compile(), [call({"x": 1})]


@program("writers.parallel", rows=("2.4:order",), unordered=True)
def parallel(e):
    def node(name):
        def body(state, writer):
            for count in range(3):
                writer({"by": name, "count": count})
            return {"log": [name]}

        return body

    graph = wire(e, Log, "START a END", "START b END", a=node("a"), b=node("b"))
    return graph.compile(), [call({"x": 1})]


@program("writers.payload_kinds", rows=("2.4:payload",))
def payload_kinds(e):
    marker = object()

    def node(state, writer):
        for payload in (
            None,
            0,
            "",
            [],
            {"__interrupt__": 1},
            ("a", "b"),
            ValueError("v"),
            marker,
            {"type": "values", "data": 1},
        ):
            writer(payload)

    return wire(e, Log, "START a END", a=node).compile(), [call({"x": 1})]


@program("writers.subgraph_node", rows=("4.4:subgraph_silent", "4.4:subgraph_forwarded"))
def subgraph_node(e):
    graph = wire(
        e, Log, "START a sub b END", a=writing(e, "a"), sub=child_of(e, "s", "t"), b=writing(e, "b")
    )
    return graph.compile(), [call({"x": 1})]


@program(
    "writers.called_subgraph",
    rows=("4.4:subgraph_silent", "4.4:subgraph_forwarded", "2.13:second_call_segment"),
)
def called_subgraph(e):
    child = child_of(e, "s")

    def node(state, writer):
        writer({"by": "call", "count": 0})
        child.invoke({"x": 1})
        writer({"by": "call", "count": 1})
        child.invoke({"x": 1})
        return {"log": ["call"]}

    return wire(e, Log, "START call END", call=node).compile(), [call({"x": 1})]


@program("writers.inner_custom_stream", rows=("4.4:inner_custom", "4.4:inner_without_custom"))
def inner_custom_stream(e):
    child = child_of(e, "s", "t")

    def node(state):
        customs = list(child.stream({"x": 1}, stream_mode="custom"))
        both = list(child.stream({"x": 1}, stream_mode=["custom", "updates"]))
        updates = list(child.stream({"x": 1}, stream_mode="updates"))
        return {"log": [customs, len(both), len(updates)]}

    return wire(e, Log, "START call END", call=node).compile(), [call({"x": 1})]


@program("writers.inner_custom_with_subgraphs", rows=("4.4:inner_custom",))
def inner_custom_with_subgraphs(e):
    middle = wire(e, Log, "START m sub END", m=writing(e, "m"), sub=child_of(e, "s")).compile()

    def node(state):
        items = list(middle.stream({"x": 1}, stream_mode="custom", subgraphs=True))
        return {"log": [[(len(namespace), item["by"]) for namespace, item in items]]}

    return wire(e, Log, "START call END", call=node).compile(), [call({"x": 1})]


@program("writers.three_levels", rows=("4.4:subgraph_forwarded",))
def three_levels(e):
    middle = wire(e, Log, "START m leaf END", m=writing(e, "m"), leaf=child_of(e, "s")).compile()
    return wire(e, Log, "START t middle END", t=writing(e, "t"), middle=middle).compile(), [
        call({"x": 1})
    ]


@program(
    "writers.outer_writer_in_child",
    rows=("4.4:own_graph", "4.3:noop_without_custom"),
    drivers=("sync",),
)
def outer_writer_in_child(e):
    def node(state, writer, runtime):
        writer({"by": "outer", "count": 0})
        runtime.stream_writer({"by": "runtime", "count": 0})
        e.config.get_stream_writer()({"by": "accessor", "count": 0})
        return {"log": ["a"]}

    return wire(
        e, Log, "START a sub END", a=node, sub=wire(e, Log, "START a END", a=node).compile()
    ).compile(), [call({"x": 1})]


@program("writers.in_branch", rows=("2.4:order", "7.4:conditional"))
def in_branch(e):
    def path(state):
        e.config.get_stream_writer()({"by": "path", "count": 0})
        return "b"

    builder = wire(e, Log, "START a", "b END", a=writing(e, "a"), b=writing(e, "b"))
    builder.add_conditional_edges("a", path, ["b"])
    return builder.compile(), [call({"x": 1})]


@program("writers.before_failure", rows=("2.4:payload", "2.11:result_before_raise"))
def before_failure(e):
    def node(state, writer):
        writer("before")
        raise ValueError("after")

    return wire(e, Log, "START a END", a=node).compile(), [call({"x": 1})]


@program(
    "writers.async_nodes",
    rows=("2.4:order", "4.4:subgraph_forwarded"),
    drivers=("async",),
    differs="async-accessors-on-3.10",
)
def async_nodes(e):
    async def inner(state):
        e.config.get_stream_writer()({"by": "inner", "count": 0})
        await asyncio.sleep(0)
        return {"log": ["inner"]}

    child = wire(e, Log, "START inner END", inner=inner).compile()

    async def outer(state, writer):
        writer({"by": "outer", "count": 0})
        await child.ainvoke({"x": 1})
        await child.ainvoke({"x": 2})
        writer({"by": "outer", "count": 1})
        return {"log": ["outer"]}

    graph = wire(e, Log, "START outer sub END", outer=outer, sub=child)
    return graph.compile(), [call({"x": 1})]


@program("writers.send_tasks", rows=("2.4:order", "7.6:send"), unordered=True)
def send_tasks(e):
    send = e.types.Send

    def worker(state, writer):
        writer({"by": f"w{state['i']}", "count": 0})
        return {"log": [state["i"]]}

    builder = wire(e, Log, "START a", a=..., w=worker)
    builder.add_conditional_edges("a", lambda s: [send("w", {"i": i}) for i in range(3)])
    return builder.compile(), [call({"x": 1})]
