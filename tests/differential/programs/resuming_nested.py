"""Questions asked inside nested graphs, and what such graphs keep between calls.

No `from __future__ import annotations` here: schemas are read at run time.
"""

from differential.kit import Log, thread, wire
from differential.registry import SAVED_MODES, Matrix, call, look, program
from differential.threads import answers, asking, count, history, pending, state, stored

NESTED = ("2.9:subgraph", "7.10:subgraph_savers")


def child_of(e, *questions, ran=None, **compiling):
    """Return a graph that asks between two other nodes."""
    names = {"pre": _noting(ran, "pre"), "ask": asking(e, *questions, ran=ran), "post": ...}
    return wire(e, Log, "START pre ask post END", **names).compile(**compiling)


def _noting(ran, name):
    """Return a node that logs its name and notes that it ran."""

    def node(state):
        if ran is not None:
            ran.append(name)
        return {"log": [name]}

    return node


def around(inner, ran=None):
    """Return a node that calls `inner` with a fresh log and logs what it returns."""

    def node(state):
        if ran is not None:
            ran.append("caller")
        return {"log": [inner.invoke({"x": state["x"]})["log"]]}

    return node


def parent_of(e, child, **compiling):
    builder = wire(e, Log, "START a sub b END", a=..., sub=child, b=...)
    return builder.compile(checkpointer=e.saver(), **compiling)


@program("resuming_nested.node", rows=(*NESTED, "2.6:subgraph_config"), modes=SAVED_MODES)
def node(e):
    ran = []
    graph = parent_of(e, child_of(e, "q", ran=ran))
    return graph, [
        call({"x": 1}, thread()),
        state(subgraphs=True),
        call(e.types.Command(resume="r"), thread()),
        count(ran),
        stored(),
        history(),
    ]


@program("resuming_nested.two_questions", rows=NESTED, modes=SAVED_MODES, matrix=Matrix.BRIEF)
def two_questions(e):
    ran = []
    graph = parent_of(e, child_of(e, "one?", "two?", ran=ran))
    command = e.types.Command
    return graph, [
        call({"x": 1}, thread()),
        call(command(resume="1"), thread()),
        stored(),
        call(answers(e, {"two?": "2"}), thread()),
        count(ran),
    ]


@program("resuming_nested.questions_in_a_row", rows=NESTED, modes=SAVED_MODES, matrix=Matrix.BRIEF)
def questions_in_a_row(e):
    child = wire(
        e, Log, "START one two END", one=asking(e, "one?"), two=asking(e, "two?")
    ).compile()
    graph = wire(e, Log, "START sub ask END", sub=child, ask=asking(e, "three?"))
    resumes = [call(e.types.Command(resume=n), thread()) for n in (1, 2, 3)]
    return graph.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        *resumes,
        stored(),
        history(),
    ]


@program(
    "resuming_nested.called_in_a_node",
    rows=(*NESTED, "7.9:reexecuted"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
)
def called_in_a_node(e):
    ran = []
    child = child_of(e, "q", ran=ran)
    graph = wire(e, Log, "START call END", call=around(child, ran=ran))
    return graph.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        state(subgraphs=True),
        call(e.types.Command(resume="r"), thread()),
        count(ran),
        stored(),
    ]


@program("resuming_nested.two_levels", rows=NESTED, modes=SAVED_MODES)
def two_levels(e):
    ran = []
    middle = wire(e, Log, "START m sub END", m=_noting(ran, "m"), sub=child_of(e, "q", ran=ran))
    graph = parent_of(e, middle.compile())
    return graph, [
        call({"x": 1}, thread()),
        state(subgraphs=True),
        call(e.types.Command(resume="r"), thread()),
        count(ran),
        stored(),
    ]


@program("resuming_nested.two_levels_of_calls", rows=NESTED, modes=SAVED_MODES, matrix=Matrix.BRIEF)
def two_levels_of_calls(e):
    ran = []
    inner = child_of(e, "one?", "two?", ran=ran)
    middle = wire(e, Log, "START call END", call=around(inner, ran=ran)).compile()
    graph = wire(e, Log, "START call END", call=around(middle, ran=ran))
    command = e.types.Command
    return graph.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        call(command(resume="1"), thread()),
        call(command(resume="2"), thread()),
        count(ran),
        stored(),
    ]


@program(
    "resuming_nested.two_calls_in_one_node",
    rows=(*NESTED, "2.13:second_call_segment"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
)
def two_calls_in_one_node(e):
    ran = []
    child = wire(
        e, Log, "START ask END", ask=lambda s: {"log": [e.types.interrupt(f"{s['x']}?")]}
    ).compile()

    def caller(state):
        ran.append("caller")
        return {"log": [child.invoke({"x": n})["log"] for n in (1, 2)]}

    graph = wire(e, Log, "START call END", call=caller).compile(checkpointer=e.saver())
    command = e.types.Command
    return graph, [
        call({"x": 1}, thread()),
        call(command(resume="first"), thread()),
        stored(),
        call(command(resume="second"), thread()),
        count(ran),
        stored(),
    ]


@program(
    "resuming_nested.question_before_and_after_a_call",
    rows=(*NESTED, "7.9:answers_in_order"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
)
def question_before_and_after_a_call(e):
    child = wire(e, Log, "START ask END", ask=asking(e, "inside?")).compile()

    interrupt = e.types.interrupt

    def caller(state):
        before = interrupt("before?")
        inside = child.invoke({"x": 1})["log"]
        return {"log": [before, inside, interrupt("after?")]}

    graph = wire(e, Log, "START call END", call=caller).compile(checkpointer=e.saver())
    resumes = [call(e.types.Command(resume=word), thread()) for word in ("b", "i", "a")]
    return graph, [call({"x": 1}, thread()), *resumes, stored()]


@program(
    "resuming_nested.parallel_pair",
    rows=(*NESTED, "7.9:id_map", "7.9:several_pending"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
    unordered=True,
)
def parallel_pair(e):
    left, right = child_of(e, "left?"), child_of(e, "right?")
    builder = wire(e, Log, "START l end", "START r end END", l=left, r=right, end=...)
    return builder.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        call(e.types.Command(resume="which?"), thread()),
        call(answers(e, {"left?": "l"}), thread()),
        state(),
        call(e.types.Command(resume="r"), thread()),
        history(),
    ]


@program(
    "resuming_nested.pair_inside",
    rows=(*NESTED, "7.9:id_map", "7.9:several_pending"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
    unordered=True,
)
def pair_inside(e):
    child = wire(
        e, Log, "START l end", "START r end END", l=asking(e, "l?"), r=asking(e, "r?"), end=...
    )
    return parent_of(e, child.compile()), [
        call({"x": 1}, thread()),
        look(lambda graph, driver: sorted(pending(graph))),
        call(e.types.Command(resume="which?"), thread()),
        call(answers(e, {"r?": "r"}), thread()),
        look(lambda graph, driver: sorted(pending(graph))),
        call(e.types.Command(resume="l"), thread()),
        history(),
    ]


@program(
    "resuming_nested.pair_inside_at_once",
    rows=(*NESTED, "7.9:id_map"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
    unordered=True,
)
def pair_inside_at_once(e):
    child = wire(e, Log, "START l END", "START r END", l=asking(e, "l?"), r=asking(e, "r?"))
    return parent_of(e, child.compile()), [
        call({"x": 1}, thread()),
        call(answers(e, {"r?": "R", "l?": "L"}), thread()),
    ]


@program(
    "resuming_nested.sibling_inside",
    rows=(*NESTED, "2.9:cached_siblings"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
    unordered=True,
)
def sibling_inside(e):
    ran = []
    child = wire(
        e, Log, "START ask END", "START side END", ask=asking(e, "q"), side=_noting(ran, "side")
    )
    return parent_of(e, child.compile()), [
        call({"x": 1}, thread()),
        state(subgraphs=True),
        call(e.types.Command(resume="r"), thread()),
        count(ran),
    ]


@program(
    "resuming_nested.none_asks_again",
    rows=(*NESTED, "7.9:none_asks_again"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
)
def none_asks_again(e):
    ran = []
    return parent_of(e, child_of(e, "q", ran=ran)), [
        call({"x": 1}, thread()),
        call(None, thread()),
        count(ran),
        stored(),
        call(e.types.Command(resume="r"), thread()),
    ]


@program(
    "resuming_nested.with_update",
    rows=(*NESTED, "7.9:with_update_and_goto"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
    unordered=True,
)
def with_update(e):
    command = e.types.Command
    return parent_of(e, child_of(e, "q")), [
        call({"x": 1}, thread()),
        call(command(resume="r", update={"x": 5, "log": ["u"]}), thread()),
        history(),
        call({"x": 1}, thread("2")),
        call(command(resume="r", goto="b"), thread("2")),
        look(history("2").observe, differs="commanded"),
    ]


@program(
    "resuming_nested.new_input_discards",
    rows=(*NESTED, "7.9:new_input_discards"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def new_input_discards(e):
    return parent_of(e, child_of(e, "q")), [
        call({"x": 1}, thread()),
        call({"x": 2}, thread()),
        call(e.types.Command(resume="r"), thread()),
        stored(),
    ]


@program(
    "resuming_nested.parent_command",
    rows=(*NESTED, "7.6:command_parent"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
)
def parent_command(e):
    def ask(state):
        answer = e.types.interrupt("q")
        command = e.types.Command
        return command(graph=command.PARENT, update={"log": [answer]}, goto="c")

    child = wire(e, Log, "START pre ask", pre=..., ask=ask).compile()
    graph = wire(e, Log, "START sub", "c END", sub=child, c=...).compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}, thread()),
        call(e.types.Command(resume="r"), thread()),
        history(),
    ]


@program(
    "resuming_nested.async_nodes",
    rows=NESTED,
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
    drivers=("async",),
)
def async_nodes(e):
    async def ask(state):
        return {"log": [e.types.interrupt("q")]}

    child = wire(e, Log, "START pre ask END", pre=..., ask=ask).compile()

    async def caller(state):
        return {"log": [(await child.ainvoke({"x": 1}))["log"]]}

    graph = wire(e, Log, "START sub call END", sub=child, call=caller)
    return graph.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        call(e.types.Command(resume="in sub"), thread()),
        call(e.types.Command(resume="in call"), thread()),
        stored(),
    ]


@program(
    "resuming_nested.child_in_a_send",
    rows=(*NESTED, "7.9:ids"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
    unordered=True,
)
def child_in_a_send(e):
    child = wire(
        e, Log, "START ask END", ask=lambda s: {"log": [e.types.interrupt(f"{s['x']}?")]}
    ).compile()
    builder = wire(e, Log, "START a", "sub end END", a=..., sub=child, end=...)
    builder.add_conditional_edges("a", lambda s: [e.types.Send("sub", {"x": n}) for n in (1, 2)])
    return builder.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        call(answers(e, {"2?": "two"}), thread()),
        call(answers(e, {"1?": "one"}), thread()),
        history(),
    ]
