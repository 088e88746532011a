"""Calls that cannot be carried out: what they raise, and that nothing is written."""

from differential.kit import Log, thread, wire
from differential.registry import SAVED_MODES, Matrix, attempt, call, look, program
from differential.threads import asking, history, state, stored, update

NOWHERE = "1ef00000-0000-6000-8000-000000000000"
UNKNOWN = "0123456789abcdef0123456789abcdef"


def _everything(graph, driver):
    """Return how many checkpoints and writes the saver holds of any thread."""
    saved = list(graph.checkpointer.list(None))
    return len(saved), sum(len(item.pending_writes or ()) for item in saved)


def _asking(e, **compiling):
    builder = wire(e, Log, "START a ask END", a=..., ask=asking(e, "q"))
    return builder.compile(checkpointer=e.saver(), **compiling)


@program("bad_resume.unknown_thread", rows=("7.10:unknown_thread",), modes=SAVED_MODES, warns=True)
def unknown_thread(e):
    return _asking(e), [
        call({"x": 1}, thread("known")),
        look(_everything),
        call(None, thread("unknown")),
        look(_everything),
        state("unknown"),
        history("unknown"),
        stored("unknown"),
        look(_everything),
    ]


@program(
    "bad_resume.answer_to_an_unknown_thread",
    rows=("7.10:unknown_thread",),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
    differs="resume-unknown-thread",
)
def answer_to_an_unknown_thread(e):
    command = e.types.Command
    calls = []
    for index, resume in enumerate(("r", {"no": "map"}, {UNKNOWN: 1}, {})):
        name = str(index)
        calls += [call(command(resume=resume), thread(name)), stored(name)]
    return _asking(e), calls


@program("bad_resume.missing_thread_id", rows=("1.5:missing_thread_id", "7.10:missing_thread_id"))
def missing_thread_id(e):
    command = e.types.Command
    calls = []
    for config in (None, {}, {"configurable": {}}, {"configurable": {"user": "u"}}):
        # The reference names what is missing only when there is nothing at all.
        is_named = bool(config and config["configurable"])
        differs = "missing-thread-id" if is_named else None
        calls += [
            *(
                call(given, config, differs=differs)
                for given in ({"x": 1}, None, command(resume="r"))
            ),
            look(_everything),
        ]
    return _asking(e), calls


@program("bad_resume.without_saver", rows=("2.9:resume_without_saver", "7.10:no_saver"))
def without_saver(e):
    graph = wire(e, Log, "START ask END", ask=asking(e, "q")).compile()
    command = e.types.Command
    return graph, [
        call({"x": 1}),
        call(command(resume="r")),
        call(command(resume={UNKNOWN: 1})),
        call(command(resume={})),
        call(command(resume="r"), thread()),
        call(command(resume="r", update={"x": 2})),
        call(None),
        call(None, thread()),
        state(),
        history(),
        update(thread(), {"x": 1}),
    ]


@program("bad_resume.nothing_pending", rows=("7.9:nothing_pending",), modes=SAVED_MODES)
def nothing_pending(e):
    command = e.types.Command
    graph = wire(e, Log, "START a b END", a=..., b=...).compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}, thread()),
        stored(),
        call(command(resume="r"), thread()),
        call(command(resume={UNKNOWN: 1}), thread()),
        call(command(resume={}), thread()),
        call(None, thread()),
        stored(),
        call(command(resume="r", update={"x": 2}), thread()),
        call(command(resume="r", goto="b"), thread()),
        look(history().observe, differs="commanded"),
    ]


@program("bad_resume.answered_twice", rows=("7.9:nothing_pending",), modes=SAVED_MODES)
def answered_twice(e):
    command = e.types.Command
    return _asking(e), [
        call({"x": 1}, thread()),
        call(command(resume="r"), thread()),
        stored(),
        call(command(resume="again"), thread()),
        stored(),
    ]


@program(
    "bad_resume.at_a_breakpoint",
    rows=("7.9:nothing_pending", "7.9:static_resume"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
)
def at_a_breakpoint(e):
    command = e.types.Command
    graph = wire(e, Log, "START a b END", a=..., b=...)
    compiled = graph.compile(checkpointer=e.saver(), interrupt_before=["b"])
    return compiled, [
        call({"x": 1}, thread()),
        call(command(resume={UNKNOWN: 1}), thread()),
        stored(),
        call({"x": 1}, thread("2")),
        call(command(resume="r"), thread("2")),
        stored("2"),
    ]


@program(
    "bad_resume.answer_waits_for_a_later_question",
    rows=("7.9:nothing_pending", "7.9:static_resume"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
)
def answer_waits_for_a_later_question(e):
    # The answer is given at a breakpoint before the node that asks.
    graph = _asking(e, interrupt_before=["ask"])
    return graph, [
        call({"x": 1}, thread()),
        call(e.types.Command(resume="r"), thread()),
        stored(),
        call(None, thread()),
        call(e.types.Command(resume="s"), thread()),
        history(),
    ]


@program(
    "bad_resume.refused_arguments",
    rows=("7.6:wrong_goto", "7.6:empty_command", "7.9:with_update_and_goto"),
    matrix=Matrix.TOGETHER,
)
def refused_arguments(e):
    command = e.types.Command
    return _asking(e), [
        call({"x": 1}, thread()),
        stored(),
        call(command(resume="r", goto=3), thread(), differs="wrong-route"),
        call(command(resume="r", update={"nothing": 1}), thread()),
        call(command(resume="r", update=3), thread()),
        call(command(resume="r", graph=command.PARENT), thread()),
        call(command(resume="r", graph="elsewhere"), thread()),
        stored(),
    ]


@program("bad_resume.unknown_goto", rows=("7.4:unknown_goto",), matrix=Matrix.TOGETHER)
def unknown_goto(e):
    send = e.types.Send
    command = e.types.Command
    return _asking(e), [
        call({"x": 1}, thread()),
        call(command(goto="nowhere"), thread(), differs="wrong-route"),
        call(command(goto=send("nowhere", 1)), thread(), differs="wrong-route"),
        look(stored().observe, differs="wrong-route"),
        call(command(resume="r"), thread()),
    ]


@program(
    "bad_resume.unknown_checkpoint",
    rows=("7.10:unknown_checkpoint",),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def unknown_checkpoint(e):
    where = thread(checkpoint_id=NOWHERE)
    command = e.types.Command
    return _asking(e), [
        call({"x": 1}, thread()),
        call(None, where),
        look(lambda graph, driver: graph.get_state(where)),
        stored(),
        call({"x": 2}, where, differs="unknown-checkpoint"),
        history(),
        look(stored().observe, differs="unknown-checkpoint"),
        call(command(resume="r"), where, differs="resume-unknown-thread"),
    ]


@program("bad_resume.empty_input", rows=("7.10:unknown_thread",), matrix=Matrix.TOGETHER)
def empty_input(e):
    return _asking(e), [
        call({}, thread()),
        stored(),
        call({"nothing": 1}, thread("2")),
        stored("2"),
        call([], thread("3")),
        stored("3"),
    ]


def _without_thread(graph, driver):
    error = attempt(lambda: graph.update_state({"configurable": {}}, {"x": 2}, "a"))
    return isinstance(error, KeyError)


@program("bad_resume.update_refused", rows=("7.10:refused_update",), matrix=Matrix.AS_WRITTEN)
def update_refused(e):
    return _asking(e), [
        call({"x": 1}, thread()),
        stored(),
        update(thread(), {"x": 2}, "nowhere"),
        update(thread(), 3, "a"),
        update(thread("unknown"), {"x": 2}, "nowhere"),
        look(_without_thread),
        stored(),
        stored("unknown"),
        look(_everything),
    ]
