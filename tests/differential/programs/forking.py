"""Going back in threads that were written to, and in threads with nested graphs."""

from differential.kit import Log, thread, wire
from differential.programs.resuming_nested import child_of, parent_of
from differential.programs.time_travel import REPLAY, asking_once
from differential.registry import SAVED_MODES, Matrix, call, program
from differential.threads import at, count, history, state, stored, update


@program(
    "forking.fork_by_writing",
    rows=("7.10:update_then_continue", *REPLAY),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
)
def fork_by_writing(e):
    graph = wire(e, Log, "START a b c END", a=..., b=..., c=...).compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}, thread()),
        update(at(2), {"x": 9, "log": ["written"]}),
        call(None, thread()),
        history(),
        update(at(2), {"log": ["as b"]}, "b"),
        call(None, thread()),
        stored(),
    ]


@program(
    "forking.copy",
    rows=("7.10:update_then_continue", "2.6:fork_source"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def copy(e):
    graph = wire(e, Log, "START a b END", a=..., b=...).compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}, thread()),
        update(at(1), None, "__copy__"),
        call(None, thread()),
        history(),
        stored(),
    ]


@program(
    "forking.write_then_answer",
    rows=("7.10:update_then_continue", "2.9:resume"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def write_then_answer(e):
    return asking_once(e, "q"), [
        call({"x": 1}, thread()),
        update(thread(), {"x": 5}),
        state(),
        call(e.types.Command(resume="r"), thread()),
        history(),
        call({"x": 1}, thread("2")),
        update(thread("2"), {"log": ["for the node"]}, "ask"),
        call(None, thread("2")),
        history("2"),
    ]


@program(
    "forking.write_into_the_past_then_answer",
    rows=("7.10:update_then_continue", "7.10:command_at_checkpoint"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def write_into_the_past_then_answer(e):
    return asking_once(e, "q"), [
        call({"x": 1}, thread()),
        call(e.types.Command(resume="first"), thread()),
        update(at(2), {"x": 5}),
        call(None, thread()),
        call(e.types.Command(resume="second"), thread()),
        history(),
        stored(),
    ]


@program("forking.child", rows=(*REPLAY, "2.6:subgraph_config"), modes=SAVED_MODES)
def child(e):
    sub = wire(e, Log, "START p q END", p=..., q=...).compile()
    graph = wire(e, Log, "START a sub b END", a=..., sub=sub, b=...)
    return graph.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        call(None, at(2)),
        history(),
        call(None, at(1)),
        history(),
        stored(),
    ]


@program(
    "forking.child_that_asks",
    rows=(*REPLAY, "2.9:subgraph", "7.10:command_at_checkpoint"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
)
def child_that_asks(e):
    ran = []
    make = e.types.Command
    return parent_of(e, child_of(e, "q", ran=ran)), [
        call({"x": 1}, thread()),
        call(make(resume="first"), thread()),
        call(make(resume="second"), at(2)),
        count(ran),
        history(),
        call(None, at(2)),
        count(ran),
        call(make(resume="third"), thread()),
        stored(),
    ]


@program(
    "forking.child_with_state",
    rows=(*REPLAY, "7.10:subgraph_savers"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def child_with_state(e):
    sub = wire(e, Log, "START p END", p=...).compile(checkpointer=True)
    graph = wire(e, Log, "START sub END", sub=sub).compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}, thread()),
        call({"x": 2}, thread()),
        call(None, at(1)),
        call({"x": 3}, at(2)),
        stored(),
        history(),
    ]
