"""Going back: replays, new input, answers and commands at an old checkpoint."""

from differential.kit import Log, thread, wire
from differential.registry import SAVED_MODES, Late, Matrix, call, program
from differential.threads import (
    answers,
    asking,
    at,
    checkpoints,
    count,
    history,
    pending,
    state,
    stored,
)

REPLAY = ("7.10:time_travel", "2.6:fork_source")


def _counting(e, ran, *names):
    """Return a saved chain of nodes that note that they ran."""

    def noting(name):
        def node(state):
            ran.append(name)
            return {"log": [name]}

        return node

    builder = wire(e, Log, f"START {' '.join(names)} END", **{name: noting(name) for name in names})
    return builder.compile(checkpointer=e.saver())


@program("time_travel.replay", rows=(*REPLAY, "2.2:start_of_continue"), modes=SAVED_MODES)
def replay(e):
    ran = []
    graph = _counting(e, ran, "a", "b", "c")
    return graph, [
        call({"x": 1}, thread()),
        call(None, at(2)),
        count(ran),
        stored(),
        history(),
        call(None, thread()),
    ]


@program("time_travel.every_checkpoint", rows=REPLAY, modes=SAVED_MODES, matrix=Matrix.BRIEF)
def every_checkpoint(e):
    graph = wire(e, Log, "START a b END", a=..., b=...).compile(checkpointer=e.saver())
    calls = [call({"x": 1}, thread())]
    for index in range(4):
        calls += [call(None, at(index)), history()]
    return graph, calls


@program("time_travel.finished", rows=("7.10:replay_finished",), modes=SAVED_MODES)
def finished(e):
    graph = wire(e, Log, "START a b END", a=..., b=...).compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}, thread()),
        call(None, at(-1)),
        call(None, thread()),
        stored(),
    ]


@program("time_travel.replay_twice", rows=REPLAY, modes=SAVED_MODES, matrix=Matrix.TOGETHER)
def replay_twice(e):
    ran = []
    graph = _counting(e, ran, "a", "b")
    return graph, [
        call({"x": 1}, thread()),
        call(None, at(1)),
        call(None, at(1)),
        call(None, at(4)),
        count(ran),
        history(),
        stored(),
    ]


@program("time_travel.new_input", rows=("7.10:input_at_checkpoint",), modes=SAVED_MODES)
def new_input(e):
    graph = wire(e, Log, "START a b END", a=..., b=...).compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}, thread()),
        call({"x": 2}, at(1)),
        history(),
        call({"x": 3}, at(-1)),
        call({}, at(2)),
        stored(),
    ]


@program(
    "time_travel.command",
    rows=("7.10:command_at_checkpoint",),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
    unordered=True,
)
def command(e):
    graph = wire(e, Log, "START a b END", a=..., b=...).compile(checkpointer=e.saver())
    make = e.types.Command
    return graph, [
        call({"x": 1}, thread()),
        call(make(update={"x": 5}), at(1)),
        history(),
        call(make(goto="b"), at(1)),
        history(),
        call(make(resume="r"), at(1)),
        stored(),
    ]


def asking_once(e, *questions, ran=None):
    """Return a saved graph that asks between two other nodes."""
    builder = wire(e, Log, "START a ask b END", a=..., ask=asking(e, *questions, ran=ran), b=...)
    return builder.compile(checkpointer=e.saver())


@program(
    "time_travel.answer_again",
    rows=("7.10:command_at_checkpoint", "2.9:resume", *REPLAY),
    modes=SAVED_MODES,
)
def answer_again(e):
    ran = []
    make = e.types.Command
    return asking_once(e, "q", ran=ran), [
        call({"x": 1}, thread()),
        call(make(resume="first"), thread()),
        call(make(resume="second"), at(2)),
        count(ran),
        stored(),
        history(),
    ]


@program(
    "time_travel.ask_again",
    rows=(*REPLAY, "7.9:none_asks_again"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
)
def ask_again(e):
    ran = []
    return asking_once(e, "q", ran=ran), [
        call({"x": 1}, thread()),
        call(e.types.Command(resume="first"), thread()),
        call(None, at(2)),
        count(ran),
        stored(),
        call(e.types.Command(resume="second"), thread()),
        history(),
    ]


@program(
    "time_travel.back_before_the_question", rows=REPLAY, modes=SAVED_MODES, matrix=Matrix.BRIEF
)
def back_before_the_question(e):
    return asking_once(e, "q"), [
        call({"x": 1}, thread()),
        call(e.types.Command(resume="first"), thread()),
        call(None, at(1)),
        state(),
        call(e.types.Command(resume="second"), thread()),
        history(),
    ]


@program(
    "time_travel.while_a_question_is_pending",
    rows=(*REPLAY, "7.9:new_input_discards"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def while_a_question_is_pending(e):
    return asking_once(e, "q"), [
        call({"x": 1}, thread()),
        call(None, at(1)),
        call({"x": 7}, at(1)),
        call(None, at(2)),
        call(e.types.Command(resume="r"), thread()),
        history(),
    ]


@program(
    "time_travel.answer_by_id",
    rows=("7.10:command_at_checkpoint", "7.9:id_map"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def answer_by_id(e):
    kept = []

    def remember(graph):
        kept.append(pending(graph)["q"])
        return e.types.Command(resume={kept[0]: "first"})

    return asking_once(e, "q"), [
        call({"x": 1}, thread()),
        call(Late(remember), thread()),
        call(Late(lambda graph: e.types.Command(resume={kept[0]: "second"})), at(2)),
        history(),
        call(Late(lambda graph: e.types.Command(resume={kept[0]: "third"})), thread()),
        stored(),
    ]


@program(
    "time_travel.two_questions",
    rows=("7.10:command_at_checkpoint", "7.9:answers_in_order"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def two_questions(e):
    make = e.types.Command
    return asking_once(e, "one?", "two?"), [
        call({"x": 1}, thread()),
        call(make(resume="1"), thread()),
        call(make(resume="2"), thread()),
        call(make(resume="new 1"), at(2)),
        stored(),
        call(make(resume="new 2"), thread()),
        history(),
    ]


@program(
    "time_travel.answer_at_the_newest",
    rows=("7.10:command_at_checkpoint", "2.9:resume"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def answer_at_the_newest(e):
    return asking_once(e, "one?", "two?"), [
        call({"x": 1}, thread()),
        call(e.types.Command(resume="1"), at(-1)),
        stored(),
        call(answers(e, {"two?": "2"}), at(-1)),
        call(e.types.Command(resume="2"), thread()),
        history(),
    ]


@program(
    "time_travel.answers_in_parallel",
    rows=("7.10:command_at_checkpoint", "7.9:id_map"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
    unordered=True,
)
def answers_in_parallel(e):
    builder = wire(
        e,
        Log,
        "START one end",
        "START two end END",
        one=asking(e, "1?"),
        two=asking(e, "2?"),
        end=...,
    )

    def old(resume):
        def make(graph):
            ids = {}
            for _, channel, value in checkpoints(graph)[1].pending_writes:
                if channel == "__interrupt__":
                    ids.update((question.value, question.id) for question in value)
            return e.types.Command(resume={ids[key]: answer for key, answer in resume.items()})

        return Late(make)

    return builder.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        call(answers(e, {"1?": 1, "2?": 2}), thread()),
        call(old({"1?": "new 1"}), at(1)),
        state(),
        call(None, thread()),
        history(),
    ]


@program(
    "time_travel.loop",
    rows=(*REPLAY, "2.9:resume"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def loop(e):
    def ask(state):
        return {"log": [e.types.interrupt(f"{len(state['log'])}?")]}

    builder = wire(e, Log, "START ask", ask=ask)
    builder.add_conditional_edges("ask", lambda s: "ask" if len(s["log"]) < 3 else "__end__")
    graph = builder.compile(checkpointer=e.saver())
    resumes = [call(e.types.Command(resume=n), thread()) for n in range(3)]
    return graph, [
        call({"x": 1}, thread()),
        *resumes,
        call(e.types.Command(resume="other"), at(2)),
        call(e.types.Command(resume="last"), thread()),
        history(),
    ]


@program(
    "time_travel.after_a_failure",
    rows=(*REPLAY, "2.11:continue_after_failure"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def after_a_failure(e):
    attempts = []

    def flaky(state):
        attempts.append(1)
        if len(attempts) < 3:
            raise ValueError(f"attempt {len(attempts)}")
        return {"log": ["flaky"]}

    graph = wire(e, Log, "START a flaky END", a=..., flaky=flaky).compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}, thread()),
        call(None, at(2)),
        call(None, at(1)),
        stored(),
        history(),
    ]


@program(
    "time_travel.breakpoints",
    rows=(*REPLAY, "7.9:static_resume"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def breakpoints(e):
    builder = wire(e, Log, "START a b c END", a=..., b=..., c=...)
    graph = builder.compile(checkpointer=e.saver(), interrupt_before=["b"])
    return graph, [
        call({"x": 1}, thread()),
        call(None, thread()),
        call(None, at(1)),
        call(None, at(2)),
        call(None, thread()),
        history(),
    ]


@program(
    "time_travel.durability",
    rows=(*REPLAY, "2.6:exit_durability"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def durability(e):
    graph = wire(e, Log, "START a b END", a=..., b=...).compile(checkpointer=e.saver())
    calls = []
    for kind in ("sync", "async", "exit"):
        calls += [
            call({"x": 1}, thread(kind)),
            call(
                None,
                at(2, kind),
                durability=kind,
                differs="exit-parent" if kind == "exit" else None,
            ),
            stored(kind),
        ]
    return graph, calls


@program(
    "time_travel.sends",
    rows=REPLAY,
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
    unordered=True,
)
def sends(e):
    builder = wire(e, Log, "START a", "w end END", a=..., w=lambda s: {"log": [s["x"]]}, end=...)
    builder.add_conditional_edges("a", lambda s: [e.types.Send("w", {"x": n}) for n in (1, 2)])
    graph = builder.compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}, thread()),
        call(None, at(2)),
        call(None, at(1)),
        history(),
    ]


@program("time_travel.without_namespace", rows=REPLAY, matrix=Matrix.TOGETHER, modes=SAVED_MODES)
def without_namespace(e):
    def bare(index):
        def make(graph):
            return thread(checkpoint_id=checkpoints(graph)[index].checkpoint["id"])

        return Late(make)

    graph = wire(e, Log, "START a b END", a=..., b=...).compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}, thread()),
        call(None, bare(1)),
        call({"x": 2}, bare(2)),
        history(),
    ]
