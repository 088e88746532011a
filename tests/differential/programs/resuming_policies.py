"""Questions and failures in threads that go on: siblings, retries, handlers, caches, run ids."""

import threading

from differential.kit import Log, say, thread, wire
from differential.registry import SAVED_MODES, Matrix, call, look, program
from differential.threads import answers, asking, count, history, state, stored

PATIENCE = 5.0


def _watched(e, channel):
    """Return a saver, and an event that is set once a write to `channel` has been saved."""
    saved = threading.Event()

    class Watched(type(e.saver())):
        def put_writes(self, config, writes, task_id, task_path=""):
            super().put_writes(config, writes, task_id, task_path)
            if any(name == channel for name, _ in writes):
                saved.set()

    return Watched(), saved


def _failing(times, then, *, after=None, ran=None):
    """Return a node that fails `times` times, once `after` is set, and then does as `then`."""
    attempts = [] if ran is None else ran

    def node(state):
        attempts.append("fails")
        if len(attempts) <= times:
            assert after is None or after.wait(PATIENCE)
            raise ValueError(f"attempt {len(attempts)}")
        return then(state)

    return node


@program(
    "resuming_policies.fails_alone",
    rows=("2.11:continue_after_failure", "2.6:failed_task"),
    modes=SAVED_MODES,
)
def fails_alone(e):
    flaky = _failing(2, say("flaky"))
    graph = wire(e, Log, "START a flaky b END", a=..., flaky=flaky, b=...)
    return graph.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        state(),
        stored(),
        call(None, thread()),
        stored(),
        call(None, thread()),
        history(),
    ]


@program(
    "resuming_policies.failing_sibling",
    rows=("2.11:continue_after_failure", "2.11:only_unfinished_again", "2.9:cached_siblings"),
    modes=SAVED_MODES,
    unordered=True,
)
def failing_sibling(e):
    saver, is_saved = _watched(e, "log")
    ran = []

    def fine(state):
        ran.append("fine")
        return {"log": ["fine"]}

    bad = _failing(1, say("bad"), after=is_saved)
    graph = wire(e, Log, "START bad end", "START fine end END", bad=bad, fine=fine, end=...)
    return graph.compile(checkpointer=saver), [
        call({"x": 1}, thread()),
        state(),
        stored(),
        call(None, thread()),
        look(lambda graph, driver: sorted(ran)),
        history(),
    ]


@program(
    "resuming_policies.question_beside_a_failure",
    rows=("2.9:with_error", "2.9:resume"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
    unordered=True,
)
def question_beside_a_failure(e):
    saver, is_saved = _watched(e, "__interrupt__")
    bad = _failing(1, say("bad"), after=is_saved)
    graph = wire(e, Log, "START bad end", "START ask end END", bad=bad, ask=asking(e, "q"), end=...)
    return graph.compile(checkpointer=saver), [
        call({"x": 1}, thread()),
        state(),
        stored(),
        call(e.types.Command(resume="r"), thread()),
        history(),
    ]


@program(
    "resuming_policies.question_beside_a_failure_none",
    rows=("2.9:with_error", "7.9:none_asks_again"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
    unordered=True,
)
def question_beside_a_failure_none(e):
    saver, is_saved = _watched(e, "__interrupt__")
    bad = _failing(1, say("bad"), after=is_saved)
    graph = wire(e, Log, "START bad end", "START ask end END", bad=bad, ask=asking(e, "q"), end=...)
    return graph.compile(checkpointer=saver), [
        call({"x": 1}, thread()),
        call(None, thread()),
        stored(),
        call(answers(e, {"q": "r"}), thread()),
    ]


@program(
    "resuming_policies.fails_after_the_answer",
    rows=("2.11:continue_after_failure", "7.9:answers_in_order"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
)
def fails_after_the_answer(e):
    attempts = []

    def ask(state):
        answer = e.types.interrupt("q")
        attempts.append(answer)
        if len(attempts) == 1:
            raise ValueError("first answer")
        return {"log": list(attempts)}

    graph = wire(e, Log, "START ask END", ask=ask).compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}, thread()),
        call(e.types.Command(resume="r"), thread(), differs="failed-branch"),
        state(),
        stored(),
        call(None, thread()),
        stored(),
    ]


@program(
    "resuming_policies.answers_again_after_a_failure",
    rows=("2.11:continue_after_failure", "7.9:answers_in_order"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def answers_again_after_a_failure(e):
    def ask(state):
        answer = e.types.interrupt("q")
        if answer == "bad":
            raise ValueError(answer)
        return {"log": [answer, e.types.interrupt("more?")]}

    graph = wire(e, Log, "START ask END", ask=ask).compile(checkpointer=e.saver())
    resumes = [
        call(e.types.Command(resume=word), thread(), differs="failed-branch")
        for word in ("bad", "good", "more")
    ]
    return graph, [call({"x": 1}, thread()), *resumes, stored()]


@program(
    "resuming_policies.answers_by_id_after_a_failure",
    rows=("2.11:continue_after_failure", "7.9:id_map"),
    matrix=Matrix.TOGETHER,
)
def answers_by_id_after_a_failure(e):
    def ask(state):
        answer = e.types.interrupt("q")
        if answer == "bad":
            raise ValueError(answer)
        return {"log": [answer]}

    graph = wire(e, Log, "START ask END", ask=ask).compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}, thread()),
        call(answers(e, {"q": "bad"}), thread(), differs="failed-branch"),
        stored(),
        call(answers(e, {"q": "good"}), thread(), differs="answer-after-a-failure"),
        look(stored().observe, differs="answer-after-a-failure"),
    ]


def _retry(e, attempts=3):
    return e.types.RetryPolicy(
        max_attempts=attempts, initial_interval=0.001, jitter=False, retry_on=ValueError
    )


@program(
    "resuming_policies.retry_around_questions",
    rows=("7.7:retry", "7.9:answers_in_order"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
)
def retry_around_questions(e):
    ran = []

    def ask(state):
        ran.append("ask")
        first = e.types.interrupt("one?")
        if len(ran) % 2:
            raise ValueError("every other time")
        return {"log": [first, e.types.interrupt("two?")]}

    graph = wire(e, Log, "START ask END", ask=(ask, {"retry_policy": _retry(e)}))
    resumes = [call(e.types.Command(resume=n), thread()) for n in (1, 2)]
    return graph.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        *resumes,
        count(ran),
        stored(),
    ]


@program(
    "resuming_policies.retry_before_a_question",
    rows=("7.7:retry", "2.9:dynamic"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def retry_before_a_question(e):
    ask = _failing(2, asking(e, "q"))
    graph = wire(e, Log, "START ask END", ask=(ask, {"retry_policy": _retry(e)}))
    return graph.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        call(e.types.Command(resume="r"), thread()),
    ]


@program(
    "resuming_policies.handler_after_the_answer",
    rows=("7.7:handler", "2.9:resume"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
)
def handler_after_the_answer(e):
    def ask(state):
        raise ValueError(e.types.interrupt("q"))

    def handler(state, error):
        return {"log": [str(error.error)]}

    handler.__annotations__["error"] = e.errors.NodeError
    graph = wire(e, Log, "START a ask END", a=..., ask=(ask, {"error_handler": handler}))
    return graph.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        call(e.types.Command(resume="r"), thread(), differs="failed-branch"),
        stored(),
        history(),
    ]


@program(
    "resuming_policies.handler_asks",
    rows=("7.7:handler", "2.9:resume"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
)
def handler_asks(e):
    ran = []

    def bad(state):
        ran.append("bad")
        raise ValueError("bad")

    graph = wire(
        e,
        Log,
        "START a bad",
        a=...,
        bad=(bad, {"error_handler": asking(e, "what now?", ran=ran)}),
    )
    return graph.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        state(),
        stored(),
        call(e.types.Command(resume="go on"), thread()),
        count(ran),
        stored(),
    ]


@program(
    "resuming_policies.cached_node",
    rows=("7.7:cache", "2.9:resume"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
)
def cached_node(e):
    ran = []
    policy = {"cache_policy": e.types.CachePolicy()}
    graph = wire(e, Log, "START ask b END", ask=(asking(e, "q", ran=ran), policy), b=...)
    return graph.compile(checkpointer=e.saver(), cache=e.cache()), [
        call({"x": 1}, thread()),
        call({"x": 1}, thread("2")),
        call(e.types.Command(resume="r"), thread()),
        call({"x": 1}, thread("3")),
        call(None, thread("2")),
        count(ran),
        history("3"),
    ]


@program(
    "resuming_policies.cached_sibling",
    rows=("7.7:cache", "2.9:cached_siblings"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
    unordered=True,
)
def cached_sibling(e):
    ran = []

    def side(state):
        ran.append("side")
        return {"log": ["side"]}

    graph = wire(
        e,
        Log,
        "START ask END",
        "START side END",
        ask=asking(e, "q"),
        side=(side, {"cache_policy": e.types.CachePolicy()}),
    )
    return graph.compile(checkpointer=e.saver(), cache=e.cache()), [
        call({"x": 1}, thread()),
        call({"x": 1}, thread("2")),
        call(e.types.Command(resume="2"), thread("2")),
        call(e.types.Command(resume="1"), thread()),
        count(ran),
    ]


@program(
    "resuming_policies.node_interrupt",
    rows=("2.9:node_interrupt", "2.9:resume"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
)
def node_interrupt(e):
    def stop(state):
        if state["x"] < 5:
            raise e.errors.NodeInterrupt(f"{state['x']} is too small")
        return {"log": ["large enough"]}

    graph = wire(e, Log, "START a stop END", a=..., stop=stop).compile(checkpointer=e.saver())
    command = e.types.Command
    return graph, [
        call({"x": 1}, thread()),
        state(),
        stored(),
        call(None, thread()),
        call(command(resume="r"), thread()),
        call(command(update={"x": 7}), thread()),
        history(),
    ]


@program(
    "resuming_policies.raised_by_hand",
    rows=("2.9:dynamic", "2.9:resume"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def raised_by_hand(e):
    identifiers = ["0" * 32, "f" * 32]

    def stop(state):
        interrupt = e.types.Interrupt
        raise e.errors.GraphInterrupt(tuple(interrupt(i[0], id=i) for i in identifiers))

    graph = wire(e, Log, "START stop END", stop=stop).compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}, thread()),
        state(),
        call(e.types.Command(resume={identifiers[0]: 1}), thread()),
        call(e.types.Command(resume="r"), thread()),
        stored(),
    ]


@program(
    "resuming_policies.cleanup_runs",
    rows=("7.9:reexecuted",),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def cleanup_runs(e):
    ran = []

    def ask(state):
        ran.append("enter")
        try:
            return {"log": [e.types.interrupt("q")]}
        finally:
            ran.append("leave")

    graph = wire(e, Log, "START ask END", ask=ask).compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}, thread()),
        count(ran),
        call(e.types.Command(resume="r"), thread()),
        count(ran),
    ]


@program("resuming_policies.swallowed", rows=("7.9:swallowed",), matrix=Matrix.TOGETHER)
def swallowed(e):
    def ask(state):
        try:
            return {"log": [e.types.interrupt("q")]}
        except Exception as error:
            return {"log": [type(error).__name__]}

    graph = wire(e, Log, "START ask END", ask=ask).compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}, thread(), differs="signals"),
        call(e.types.Command(resume="r"), thread(), differs="signals"),
    ]


@program(
    "resuming_policies.same_run_id",
    rows=("7.9:same_run_id",),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def same_run_id(e):
    run_id = "00000000-0000-4000-8000-000000000001"
    graph = wire(e, Log, "START a b END", a=..., b=...)
    asking_graph = graph.compile(checkpointer=e.saver())
    return asking_graph, [
        call({"x": 1}, thread(run_id=run_id)),
        call({"x": 2}, thread(run_id=run_id[:-1] + "2")),
        call({"x": 3}, thread(run_id=run_id[:-1] + "2"), differs="same-run-id"),
    ]


@program(
    "resuming_policies.recursion_limit",
    rows=("7.5:recursion_limit", "2.11:recursion"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def recursion_limit(e):
    graph = wire(e, Log, "START a ask b c END", a=..., ask=asking(e, "q"), b=..., c=...)
    compiled = graph.compile(checkpointer=e.saver())
    calls = []
    for limit in (2, 3, 4):
        name = str(limit)
        calls += [
            call({"x": 1}, thread(name)),
            call(e.types.Command(resume="r"), {**thread(name), "recursion_limit": limit}),
            call(None, thread(name)),
            history(name),
        ]
    return compiled, calls


@program(
    "resuming_policies.deferred",
    rows=("7.4:defer", "2.9:resume"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
    unordered=True,
)
def deferred(e):
    graph = wire(
        e,
        Log,
        "START ask b end END",
        "START end",
        ask=asking(e, "q"),
        b=...,
        end=(asking(e, "last?"), {"defer": True}),
    )
    return graph.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        call(e.types.Command(resume="r"), thread()),
        call(e.types.Command(resume="l"), thread()),
        history(),
    ]
