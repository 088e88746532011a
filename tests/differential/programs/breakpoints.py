"""Static breakpoints in threads that go on: with None, with a Command, in loops, in subgraphs."""

from differential.kit import END, Log, thread, wire
from differential.registry import SAVED_MODES, Matrix, call, look, program
from differential.threads import asking, history, state, stored, update

ROWS = ("2.9:static", "7.9:static_resume")


def _chain(e, **compiling):
    builder = wire(e, Log, "START a b c END", a=..., b=..., c=...)
    return builder.compile(checkpointer=e.saver(), **compiling)


@program("breakpoints.before_then_after", rows=ROWS, modes=SAVED_MODES)
def before_then_after(e):
    graph = _chain(e, interrupt_before=["b"], interrupt_after=["b"])
    return graph, [
        call({"x": 1}, thread()),
        state(),
        call(None, thread()),
        call(None, thread()),
        call(None, thread()),
        stored(),
        history(),
    ]


@program("breakpoints.command", rows=ROWS, modes=SAVED_MODES, matrix=Matrix.BRIEF, unordered=True)
def command(e):
    make = e.types.Command
    commands = (
        make(resume="r"),
        make(resume="r", update={"x": 5}),
        make(update={"log": ["u"]}),
        make(goto="c"),
        make(goto="a"),
        make(resume="r", goto="b"),
        make(resume={}),
    )
    calls = []
    for index, given in enumerate(commands):
        name = str(index)
        seen = look(
            history(name).observe, differs="commanded" if given.goto in ("a", "c") else None
        )
        calls += [call({"x": 1}, thread(name)), call(given, thread(name)), seen]
    return _chain(e, interrupt_before=["b"]), calls


@program("breakpoints.everywhere", rows=ROWS, modes=SAVED_MODES)
def everywhere(e):
    graph = _chain(e, interrupt_before="*")
    after = {"interrupt_after": "*", "interrupt_before": []}
    return graph, [
        *(call(given, thread()) for given in ({"x": 1}, None, None, None, None)),
        *(call(given, thread("2"), interrupt_after="*") for given in ({"x": 1}, None, None)),
        *(call(given, thread("3"), **after) for given in ({"x": 1}, None, None, None, None)),
        history(),
        history("2"),
    ]


@program("breakpoints.in_a_loop", rows=ROWS, modes=SAVED_MODES, matrix=Matrix.BRIEF)
def in_a_loop(e):
    builder = wire(e, Log, "START a", a=..., b=...)
    builder.add_conditional_edges("a", lambda s: "b" if len(s["log"]) < 4 else END)
    builder.add_edge("b", "a")
    graph = builder.compile(checkpointer=e.saver(), interrupt_before=["b"])
    return graph, [call({"x": 1}, thread()), *(call(None, thread()) for _ in range(3)), history()]


@program("breakpoints.of_the_call", rows=ROWS, modes=SAVED_MODES, matrix=Matrix.TOGETHER)
def of_the_call(e):
    graph = _chain(e, interrupt_before=["b"])
    return graph, [
        call({"x": 1}, thread(), interrupt_before=["c"]),
        call(None, thread(), interrupt_before=["c"]),
        call({"x": 1}, thread("2"), interrupt_after=["a"]),
        call(None, thread("2"), interrupt_after=["b"]),
        call(None, thread("2"), interrupt_after=["c"]),
        call(None, thread("2"), interrupt_after=["c"]),
        call({"x": 1}, thread("3"), interrupt_before=["c"]),
        call(None, thread("3"), interrupt_before=["b", "c"]),
    ]


@program("breakpoints.with_questions", rows=(*ROWS, "2.9:resume"), modes=SAVED_MODES)
def with_questions(e):
    builder = wire(e, Log, "START a ask b END", a=..., ask=asking(e, "q"), b=...)
    graph = builder.compile(
        checkpointer=e.saver(), interrupt_before=["ask"], interrupt_after=["ask"]
    )
    return graph, [
        call({"x": 1}, thread()),
        call(None, thread()),
        state(),
        call(e.types.Command(resume="r"), thread()),
        call(None, thread()),
        history(),
    ]


@program("breakpoints.before_a_question", rows=ROWS, modes=SAVED_MODES, matrix=Matrix.BRIEF)
def before_a_question(e):
    builder = wire(e, Log, "START ask b END", ask=asking(e, "one?", "two?"), b=...)
    graph = builder.compile(checkpointer=e.saver(), interrupt_before=["ask", "b"])
    resumes = [call(e.types.Command(resume=n), thread()) for n in (1, 2)]
    return graph, [call({"x": 1}, thread()), call(None, thread()), *resumes, call(None, thread())]


@program("breakpoints.of_a_child", rows=(*ROWS, "2.9:static_in_subgraph"), modes=SAVED_MODES)
def of_a_child(e):
    child = wire(e, Log, "START p q r END", p=..., q=..., r=...)
    sub = child.compile(interrupt_before=["q"], interrupt_after=["q"])
    graph = wire(e, Log, "START a sub b END", a=..., sub=sub, b=...)
    return graph.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        state(subgraphs=True),
        call(None, thread()),
        call(None, thread()),
        stored(),
        history(),
    ]


@program(
    "breakpoints.of_a_child_with_a_command",
    rows=(*ROWS, "2.9:static_in_subgraph"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def of_a_child_with_a_command(e):
    child = wire(e, Log, "START p q END", p=..., q=...).compile(interrupt_before=["q"])
    graph = wire(e, Log, "START a sub b END", a=..., sub=child, b=...)
    command = e.types.Command
    return graph.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        call(command(resume="r"), thread()),
        history(),
        call({"x": 1}, thread("2")),
        call(command(update={"x": 5}), thread("2")),
        history("2"),
    ]


@program(
    "breakpoints.of_both",
    rows=(*ROWS, "2.9:static_in_subgraph"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
)
def of_both(e):
    child = wire(e, Log, "START p q END", p=..., q=...).compile(interrupt_before=["q"])
    graph = wire(e, Log, "START a sub b END", a=..., sub=child, b=...)
    compiled = graph.compile(checkpointer=e.saver(), interrupt_before=["sub"], interrupt_after="*")
    return compiled, [
        call({"x": 1}, thread()),
        *(call(None, thread()) for _ in range(4)),
        history(),
    ]


@program(
    "breakpoints.everywhere_reach_the_child",
    rows=(*ROWS, "2.9:static_in_subgraph"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def everywhere_reach_the_child(e):
    child = wire(e, Log, "START p q END", p=..., q=...).compile()
    graph = wire(e, Log, "START sub b END", sub=child, b=...)
    compiled = graph.compile(checkpointer=e.saver())
    given = {"interrupt_before": "*"}
    return compiled, [
        call({"x": 1}, thread(), **given),
        *(call(None, thread(), **given) for _ in range(4)),
        history(),
    ]


@program(
    "breakpoints.of_a_called_child",
    rows=(*ROWS, "2.9:static_in_subgraph"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def of_a_called_child(e):
    child = wire(e, Log, "START p q END", p=..., q=...).compile(interrupt_before=["q"])

    def caller(state):
        return {"log": [child.invoke({"x": 1})]}

    graph = wire(e, Log, "START call END", call=caller).compile(checkpointer=e.saver())
    return graph, [call({"x": 1}, thread()), call(None, thread()), stored()]


@program(
    "breakpoints.with_sends",
    rows=ROWS,
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
    unordered=True,
)
def with_sends(e):
    builder = wire(e, Log, "START a", "w end END", a=..., w=lambda s: {"log": [s["x"]]}, end=...)
    builder.add_conditional_edges("a", lambda s: [e.types.Send("w", {"x": n}) for n in (1, 2)])
    graph = builder.compile(checkpointer=e.saver(), interrupt_before=["w"], interrupt_after=["w"])
    return graph, [
        call({"x": 1}, thread()),
        state(),
        stored(),
        call(None, thread()),
        call(None, thread()),
        history(),
    ]


@program(
    "breakpoints.durability",
    rows=(*ROWS, "2.6:exit_durability"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def durability(e):
    graph = _chain(e, interrupt_before=["b"])
    calls = []
    for kind in ("sync", "async", "exit"):
        calls += [
            call({"x": 1}, thread(kind), durability=kind),
            stored(kind),
            call(
                None,
                thread(kind),
                durability=kind,
                differs="exit-parent" if kind == "exit" else None,
            ),
            history(kind),
        ]
    return graph, calls


@program(
    "breakpoints.new_input",
    rows=(*ROWS, "7.9:new_input_discards"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def new_input(e):
    graph = _chain(e, interrupt_before=["b", "c"])
    return graph, [
        call({"x": 1}, thread()),
        call(None, thread()),
        call({"x": 2}, thread()),
        call(None, thread()),
        call(None, thread()),
        history(),
    ]


@program(
    "breakpoints.state_written_meanwhile",
    rows=(*ROWS, "7.10:update_then_continue"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def state_written_meanwhile(e):
    graph = _chain(e, interrupt_before=["b"])
    return graph, [
        call({"x": 1}, thread()),
        update(thread(), {"x": 9, "log": ["written"]}),
        call(None, thread()),
        history(),
        call({"x": 1}, thread("2")),
        update(thread("2"), {"log": ["as b"]}, "b"),
        call(None, thread("2")),
        history("2"),
        call({"x": 1}, thread("3")),
        update(thread("3"), {"log": ["as a again"]}, "a"),
        call(None, thread("3")),
    ]


@program("breakpoints.last_node", rows=("2.9:static_last_node",), modes=SAVED_MODES)
def last_node(e):
    graph = _chain(e, interrupt_after=["c"])
    return graph, [
        call({"x": 1}, thread()),
        call(None, thread()),
        call({"x": 2}, thread()),
        history(),
    ]
