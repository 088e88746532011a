"""What the builder refuses, and in which words.

No `from __future__ import annotations` here: schemas are read at run time.
"""

import re

from langchain_core.runnables import RunnableLambda

from differential.kit import END, START, Log, add_paths, say, wire
from differential.registry import attempt, call, probe, program


def fresh(e, *names):
    """Return a builder with nodes that log their names."""
    builder = e.graph.StateGraph(Log)
    for name in names:
        builder.add_node(name, say(name))
    return builder


def tried(action):
    """Return the error of `action`, or the kind of what it returned.

    What to do, which millstream says behind LangGraph's words, is left out.
    """
    result = attempt(action)
    if not isinstance(result, Exception):
        return type(result).__name__
    words, *advice = re.split(" (?:A builder keeps|If a notebook cell)", str(result), maxsplit=1)
    return type(result)(words) if advice else result


@probe("building.node_errors", rows=("7.4:duplicate", "7.4:reserved", "7.4:names"))
def node_errors(e, driver):
    def add(name, action=None, **options):
        return tried(lambda: fresh(e, "a").add_node(name, action, **options))

    out = {name: add(name, say("n")) for name in ("a", START, END, "b|c", "b:c", "", "x")}
    out["no action"] = type(add("lonely")).__name__
    out["number"] = add(5, say("n"))
    out["unnamed"] = tried(lambda: fresh(e).add_node(RunnableLambda(lambda s: s)))
    out["lambda twice"] = tried(lambda: fresh(e).add_node(lambda s: s).add_node(lambda s: s))
    for name in ("__interrupt__", "__input__", "__error__", "__resume__", "__pregel_tasks"):
        out[name] = tried(lambda n=name: add_paths(fresh(e, n), f"START {n} END"))
        out[f"{name} compiled"] = tried(lambda n=name: _with_path(fresh(e, n), n).compile())
    out["partial"] = tried(lambda: fresh(e).add_node("p", say))
    return out


def _with_path(builder, name):
    add_paths(builder, f"START {name} END")
    return builder


@probe("building.edge_errors", rows=("7.4:edges", "7.4:waiting"))
def edge_errors(e, driver):
    def add(start, end):
        return tried(lambda: fresh(e, "a", "b").add_edge(start, end))

    def compiled(*edges):
        builder = fresh(e, "a", "b")
        for start, end in edges:
            builder.add_edge(start, end)
        return tried(builder.compile)

    return {
        "from end": add(END, "a"),
        "to start": add("a", START),
        "list unknown": add(["zz"], "a"),
        "list to unknown": add(["a"], "zz"),
        "list from end": add([END, "a"], "b"),
        "list to end": add(["a", "b"], END),
        "list from start": add([START, "a"], "b"),
        "empty list": add([], "a"),
        "no entry": compiled(("a", "b")),
        "no nodes": tried(lambda: e.graph.StateGraph(Log).compile()),
        "twice": compiled((START, "a"), (START, "a"), ("a", "b")),
        "to itself": compiled((START, "a"), ("a", "a"), ("a", "b")),
    }


@probe("building.branch_errors", rows=("7.4:branch_twice", "7.4:conditional", "7.4:path_map"))
def branch_errors(e, driver):
    def r(state):
        return "b"

    def twice():
        builder = fresh(e, "a", "b")
        builder.add_conditional_edges("a", r)
        builder.add_conditional_edges("a", r)

    return {
        "twice": tried(twice),
        "not callable": tried(lambda: fresh(e, "a").add_conditional_edges("a", "b")),
    }


def _with_edges(e, *edges):
    builder = fresh(e, "a", "b")
    for start, end in edges:
        builder.add_edge(start, end)
    return builder


def _with_branch(e, source, path_map):
    builder = _with_edges(e, (START, "a"))
    return builder.add_conditional_edges(source, lambda state: "b", path_map)


def unknown_nodes(e):
    """Return builders whose edges lead from or to what is no node."""
    return {
        "source": _with_edges(e, (START, "a"), ("zz", "a")),
        "target": _with_edges(e, (START, "a"), ("a", "zz")),
        "branch source": _with_branch(e, "zz", None),
        "branch from end": _with_branch(e, END, None),
        "branch target": _with_branch(e, "a", {"b": "zz"}),
        "branch in list": _with_branch(e, "a", ["b", "zz"]),
        "entry unknown": fresh(e, "a").set_conditional_entry_point(lambda state: "a", ["zz"]),
        "finish unknown": fresh(e, "a").set_entry_point("a").set_finish_point("zz"),
        "entry point": fresh(e, "a").set_entry_point("zz"),
    }


@probe("building.unknown_nodes", rows=("7.4:edges",), differs="wrong-route")
def messages_of_unknown_nodes(e, driver):
    return {name: tried(builder.compile) for name, builder in unknown_nodes(e).items()}


@probe("building.unknown_nodes_are_value_errors", rows=("7.4:edges", "7.4:conditional"))
def kinds_of_unknown_nodes(e, driver):
    errors = {name: tried(builder.compile) for name, builder in unknown_nodes(e).items()}
    heads = ("Found edge starting at unknown node", "Found edge ending at", "At '", "branch found")
    return {
        name: (isinstance(error, ValueError), [head in str(error) for head in heads])
        for name, error in errors.items()
    }


@probe("building.sequence_errors", rows=("7.4:sequence",))
def sequence_errors(e, driver):
    def add(*nodes):
        return tried(lambda: e.graph.StateGraph(Log).add_sequence(nodes))

    def first(state):
        return None

    return {
        "empty": add(),
        "duplicate": add(first, first),
        "duplicate names": add(("a", say("a")), ("a", say("b"))),
        "reserved": add(("a", say("a")), (START, say("b"))),
        "one": add(first),
        "bad": add(first, 5),
    }


@probe("building.after_compile", rows=("7.4:compile",), logs=True)
def after_compile(e, driver):
    builder = wire(e, Log, "START a END", a=...)
    graph = builder.compile()
    builder.add_node("late", say("late"))
    builder.add_edge("a", "late")
    return [sorted(graph.nodes), sorted(builder.compile().nodes)]


@probe("building.deprecated", rows=("7.1:deprecated_kwargs",), warns=True)
def deprecated(e, driver):
    builder = e.graph.StateGraph(Log)
    policy = e.types.RetryPolicy(max_attempts=1)
    return {
        "retry": tried(lambda: builder.add_node("a", say("a"), retry=policy)),
        "input": tried(lambda: builder.add_node("b", say("b"), input=Log)),
        "message graph": tried(lambda: e.graph.MessageGraph()),
    }


@probe("building.attributes", rows=("1.6:attributes",))
def builder_attributes(e, driver):
    builder = wire(e, Log, "START a b END", a=..., b=(say("b"), {"defer": True}))
    builder.add_conditional_edges("a", lambda s: "b", ["b"])
    return {
        "edges": sorted(builder.edges),
        "nodes": list(builder.nodes),
        "branches": {name: sorted(found) for name, found in builder.branches.items()},
        "waiting": sorted(builder.waiting_edges),
        "deferred": [builder.nodes[name].defer for name in ("a", "b")],
        "channels": {name: type(value).__name__ for name, value in builder.channels.items()},
        "validate": tried(builder.validate),
    }


@probe("building.constants", rows=("7.4:reserved",))
def constants(e, driver):
    return [
        e.graph.START,
        e.graph.END,
        e.constants.START,
        e.constants.END,
        e.constants.TAG_NOSTREAM,
        e.constants.TAG_HIDDEN,
    ]


@program("building.reused_builder", rows=("7.4:compile",))
def reused_builder(e):
    builder = wire(e, Log, "START a END", a=...)
    builder.compile(interrupt_before=["a"])
    return builder.compile(name="second"), [call({"x": 1})]


@program("building.chained_calls", rows=("7.4:edges", "7.4:names"))
def chained_calls(e):
    builder = (
        e.graph.StateGraph(Log)
        .add_node("a", say("a"))
        .add_node("b", say("b"))
        .add_edge(START, "a")
        .add_edge("a", "b")
        .add_edge("b", END)
    )
    return builder.compile(), [call({"x": 1})]
