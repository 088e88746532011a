"""Questions asked side by side, and beside tasks that finish."""

from differential.kit import Log, thread, wire
from differential.registry import SAVED_MODES, Matrix, call, look, program
from differential.threads import answers, asking, history, state, stored


@program(
    "resuming_parallel.sibling",
    rows=("2.9:resume", "2.9:cached_siblings", "2.9:not_committed", "2.6:resumed_tasks"),
    modes=SAVED_MODES,
    unordered=True,
)
def sibling(e):
    ran = []

    def side(state):
        ran.append("side")
        return {"log": ["side"]}

    builder = wire(
        e,
        Log,
        "START ask end END",
        "START side end",
        ask=asking(e, "one?", "two?", ran=ran),
        side=side,
        end=...,
    )
    graph = builder.compile(checkpointer=e.saver())
    command = e.types.Command
    return graph, [
        call({"x": 1}, thread()),
        state(),
        stored(),
        call(command(resume="1"), thread()),
        state(),
        call(command(resume="2"), thread()),
        stored(),
        history(),
        look(lambda graph, driver: sorted(ran)),
    ]


@program(
    "resuming_parallel.one_by_one",
    rows=("7.9:id_map", "7.9:several_pending", "2.9:pair_per_task", "2.9:cached_siblings"),
    modes=SAVED_MODES,
    unordered=True,
)
def parallel_one_by_one(e):
    graph = _parallel(e)
    command = e.types.Command
    return graph, [
        call({"x": 1}, thread()),
        stored(),
        call(command(resume="which?"), thread()),
        stored(),
        call(answers(e, {"two?": "2"}), thread()),
        state(),
        stored(),
        call(command(resume="1"), thread()),
        history(),
    ]


def _parallel(e, names=("one", "two"), **compiling):
    nodes = {name: asking(e, f"{name}?") for name in names}
    paths = [f"START {name} end" for name in names]
    builder = wire(e, Log, *paths, "end END", **nodes, end=...)
    return builder.compile(checkpointer=e.saver(), **compiling)


@program(
    "resuming_parallel.all_at_once",
    rows=("7.9:id_map", "2.9:resume"),
    modes=SAVED_MODES,
    unordered=True,
)
def parallel_all_at_once(e):
    return _parallel(e, ("one", "two", "three")), [
        call({"x": 1}, thread()),
        call(answers(e, {"one?": 1, "two?": None, "three?": {"an": "object"}}), thread()),
        history(),
    ]


@program(
    "resuming_parallel.two_of_three",
    rows=("7.9:id_map",),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
    unordered=True,
)
def parallel_two_of_three(e):
    return _parallel(e, ("one", "two", "three")), [
        call({"x": 1}, thread()),
        call(answers(e, {"one?": 1, "three?": 3}), thread()),
        call(answers(e, {"one?": "too late"}), thread()),
        stored(),
        call(answers(e, {"one?": "too late", "two?": 2}), thread()),
        history(),
    ]


@program(
    "resuming_parallel.several_each",
    rows=("7.9:id_map", "7.9:ids"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
    unordered=True,
)
def parallel_several_each(e):
    builder = wire(
        e,
        Log,
        "START one end",
        "START two end END",
        one=asking(e, "1a?", "1b?"),
        two=asking(e, "2a?", "2b?"),
        end=...,
    )
    return builder.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        call(answers(e, {"1a?": "1a", "2a?": "2a"}), thread()),
        state(),
        call(answers(e, {"2b?": "2b"}), thread()),
        call(e.types.Command(resume="1b"), thread()),
        history(),
    ]


@program(
    "resuming_parallel.sends",
    rows=("7.9:ids", "2.9:resume", "2.9:cached_siblings"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
    unordered=True,
)
def sends(e):
    def worker(state):
        if state["x"] == 2:
            return {"log": ["silent"]}
        return {"log": [e.types.interrupt(f"worker {state['x']}?")]}

    builder = wire(e, Log, "START a", "worker end END", a=..., worker=worker, end=...)
    builder.add_conditional_edges(
        "a", lambda s: [e.types.Send("worker", {"x": n}) for n in (1, 2, 3)]
    )
    return builder.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        state(),
        call(e.types.Command(resume="which"), thread()),
        call(answers(e, {"worker 3?": "three"}), thread()),
        stored(),
        call(e.types.Command(resume="one"), thread()),
        history(),
    ]


@program(
    "resuming_parallel.same_send_twice",
    rows=("7.9:ids",),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def one_send(e):
    def worker(state):
        return {"log": [e.types.interrupt("first?"), e.types.interrupt("second?")]}

    builder = wire(e, Log, "START a", "worker END", a=..., worker=worker)
    builder.add_conditional_edges("a", lambda s: [e.types.Send("worker", {"x": 5})])
    return builder.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        call(e.types.Command(resume=1), thread()),
        call(e.types.Command(resume=2), thread()),
    ]


@program(
    "resuming_parallel.exit_with_sibling",
    rows=("7.10:exit_history", "2.9:cached_siblings"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
    unordered=True,
)
def exit_with_sibling(e):
    builder = wire(
        e, Log, "START ask end", "START side end END", ask=asking(e, "q"), side=..., end=...
    )
    graph = builder.compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}, thread(), durability="exit"),
        stored(),
        call(e.types.Command(resume="r"), thread(), durability="exit", differs="exit-parent"),
        stored(),
    ]
