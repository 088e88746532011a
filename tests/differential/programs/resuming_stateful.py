"""What nested graphs keep between calls: their own saver, the parent's, none."""

from differential.kit import Log, thread, wire
from differential.programs.resuming_nested import around, child_of, parent_of
from differential.registry import SAVED_MODES, Matrix, call, look, program
from differential.threads import asking, count, state, stored

NESTED = ("2.9:subgraph", "7.10:subgraph_savers")


@program(
    "resuming_stateful.called_twice_with_state",
    rows=(*NESTED, "2.13:persistent_child"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
)
def called_twice_with_state(e):
    child = child_of(e, "q", checkpointer=True)
    graph = wire(e, Log, "START call END", call=around(child))
    command = e.types.Command
    return graph.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        call(command(resume="first"), thread()),
        call({"x": 2}, thread()),
        stored(),
        call(command(resume="second"), thread()),
        stored(),
        call({"x": 3}, thread("other")),
    ]


@program(
    "resuming_stateful.kept_state",
    rows=("7.10:subgraph_savers", "2.13:persistent_child", "7.10:namespaces"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def kept_state(e):
    calls = []
    builder = e.graph.StateGraph(Log)
    saver = e.saver()

    def choose(state):
        return {"log": [len(children[state["x"]].invoke({"x": 1})["log"])]}

    builder.add_node("call", choose)
    builder.add_edge("__start__", "call")
    children = [
        wire(e, Log, "START n END", n=...).compile(checkpointer=kind)
        for kind in (None, True, False)
    ]
    graph = builder.compile(checkpointer=saver)
    for kind in range(3):
        name = str(kind)
        calls += [call({"x": kind}, thread(name)) for _ in range(3)]
        calls.append(look(lambda g, d, name=name: _namespaces(g.checkpointer, name)))
    return graph, calls


def _namespaces(saver, name):
    listed = saver.list(thread(name))
    return sorted(item.config["configurable"]["checkpoint_ns"].partition(":")[0] for item in listed)


@program(
    "resuming_stateful.node_with_state",
    rows=("7.10:subgraph_savers", "2.13:persistent_child"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
)
def node_with_state(e):
    child = child_of(e, "q", checkpointer=True)
    graph = wire(e, Log, "START sub END", sub=child).compile(checkpointer=e.saver())
    command = e.types.Command
    return graph, [
        call({"x": 1}, thread()),
        state(subgraphs=True),
        call(command(resume="first"), thread()),
        call({"x": 2}, thread()),
        call(command(resume="second"), thread()),
        stored(),
    ]


@program(
    "resuming_stateful.two_stateful_calls",
    rows=("7.10:namespaces", "2.13:second_call_segment"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def two_stateful_calls(e):
    child = wire(e, Log, "START n END", n=...).compile(checkpointer=True)

    def caller(state):
        return {"log": [len(child.invoke({"x": n})["log"]) for n in (1, 2)]}

    graph = wire(e, Log, "START call END", call=caller).compile(checkpointer=e.saver())
    return graph, [call({"x": 1}, thread()), call({"x": 2}, thread()), stored()]


@program(
    "resuming_stateful.without_saver",
    rows=("7.10:subgraph_savers",),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
)
def nested_without_saver(e):
    ran = []
    child = child_of(e, "q", ran=ran, checkpointer=False)
    graph = parent_of(e, child)
    return graph, [
        call({"x": 1}, thread()),
        stored(),
        call(e.types.Command(resume="r"), thread()),
        count(ran),
        stored(),
    ]


@program(
    "resuming_stateful.called_without_saver",
    rows=("7.10:subgraph_savers",),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def called_without_saver(e):
    ran = []
    child = child_of(e, "one?", "two?", ran=ran, checkpointer=False)
    graph = wire(e, Log, "START call END", call=around(child, ran=ran))
    command = e.types.Command
    return graph.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        call(command(resume="1"), thread()),
        call(command(resume="2"), thread()),
        count(ran),
        stored(),
    ]


@program(
    "resuming_stateful.own_thread",
    rows=("7.10:subgraph_savers",),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def own_thread(e):
    child = wire(e, Log, "START ask END", ask=asking(e, "q")).compile(checkpointer=e.saver())

    def caller(state):
        result = child.invoke({"x": 1}, thread("inner"))
        return {"log": [sorted(result)]}

    graph = wire(e, Log, "START call END", call=caller).compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}, thread()),
        call(e.types.Command(resume="r"), thread()),
        stored(),
    ]


@program(
    "resuming_stateful.durability",
    rows=("7.10:subgraph_savers", "2.6:exit_durability"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def durability(e):
    calls = []
    for kind in ("sync", "exit"):
        calls += [
            call({"x": 1}, thread(kind), durability=kind),
            stored(kind),
            call(
                e.types.Command(resume="r"),
                thread(kind),
                durability=kind,
                differs="exit-parent" if kind == "exit" else None,
            ),
            look(
                stored(kind).observe,
                differs="end-of-an-answered-graph" if kind == "exit" else None,
            ),
        ]
    return parent_of(e, child_of(e, "q")), calls


@program(
    "resuming_stateful.exit_in_one_go",
    rows=("7.10:subgraph_savers", "2.6:exit_durability"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def exit_in_one_go(e):
    child = wire(e, Log, "START p q END", p=..., q=...).compile()
    graph = wire(e, Log, "START a sub b END", a=..., sub=child, b=...)
    return graph.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread(), durability="exit"),
        stored(),
    ]
