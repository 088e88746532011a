"""Questions and their answers: one and several, in loops, side by side, under every durability.

No `from __future__ import annotations` here: schemas are read at run time.
"""

from differential.kit import END, Log, asay, say, thread, wire
from differential.registry import SAVED_MODES, Matrix, call, look, program
from differential.threads import answers, asking, count, history, state, stored


def _chain(e, *questions, ran=None, **compiling):
    """Return a saved graph that asks between two other nodes."""
    builder = wire(e, Log, "START a ask b END", a=..., b=..., ask=asking(e, *questions, ran=ran))
    return builder.compile(checkpointer=e.saver(), **compiling)


@program(
    "resuming.one_question",
    rows=("2.9:resume", "7.9:reexecuted", "7.9:ids", "2.6:resumed_tasks"),
    modes=SAVED_MODES,
)
def one_question(e):
    ran = []
    graph = _chain(e, "name?", ran=ran)
    return graph, [
        call({"x": 1}, thread()),
        stored(),
        call(e.types.Command(resume="Ann"), thread()),
        count(ran),
        stored(),
        history(),
    ]


@program(
    "resuming.two_questions",
    rows=("7.9:answers_in_order", "7.9:reexecuted", "7.9:ids"),
    modes=SAVED_MODES,
)
def two_questions(e):
    ran = []
    graph = _chain(e, "one?", "two?", ran=ran)
    command = e.types.Command
    return graph, [
        call({"x": 1}, thread()),
        call(command(resume="1"), thread()),
        stored(),
        state(),
        call(command(resume="2"), thread()),
        count(ran),
        history(),
    ]


@program("resuming.many_questions", rows=("7.9:answers_in_order",), matrix=Matrix.TOGETHER)
def many_questions(e):
    graph = _chain(e, *(f"{n}?" for n in range(5)))
    resumes = [call(e.types.Command(resume=n), thread()) for n in range(6)]
    return graph, [call({"x": 1}, thread()), *resumes, stored()]


@program(
    "resuming.same_question_twice",
    rows=("7.9:answers_in_order", "7.9:ids"),
    matrix=Matrix.TOGETHER,
    modes=SAVED_MODES,
)
def same_question_twice(e):
    graph = _chain(e, "again?", "again?")
    return graph, [
        call({"x": 1}, thread()),
        call(answers(e, {"again?": "first"}), thread()),
        call(answers(e, {"again?": "second"}), thread()),
        state(),
    ]


@program(
    "resuming.question_that_changes",
    rows=("7.9:answers_in_order",),
    matrix=Matrix.TOGETHER,
    modes=SAVED_MODES,
)
def question_that_changes(e):
    ran = []

    def ask(state):
        ran.append(1)
        answer = e.types.interrupt(f"attempt {len(ran)}")
        return {"log": [answer]}

    graph = wire(e, Log, "START ask END", ask=ask).compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}, thread()),
        call(None, thread()),
        stored(),
        call(e.types.Command(resume="yes"), thread()),
    ]


@program("resuming.question_in_a_loop", rows=("7.9:ids", "2.9:resume"), modes=SAVED_MODES)
def question_in_a_loop(e):
    def ask(state):
        return {"log": [e.types.interrupt(f"more? {len(state['log'])}")]}

    builder = wire(e, Log, "START ask", ask=ask, done=...)
    builder.add_conditional_edges("ask", lambda s: "done" if s["log"][-1] == "no" else "ask")
    builder.add_edge("done", END)
    graph = builder.compile(checkpointer=e.saver())
    resumes = [call(e.types.Command(resume=word), thread()) for word in ("yes", "yes", "no")]
    return graph, [call({"x": 1}, thread()), *resumes, history()]


@program("resuming.validation_loop", rows=("7.9:answers_in_order",), matrix=Matrix.TOGETHER)
def validation_loop(e):
    def ask(state):
        question = "age?"
        while True:
            answer = e.types.interrupt(question)
            if isinstance(answer, int):
                return {"log": [answer]}
            question = f"{answer!r} is no age"

    graph = wire(e, Log, "START ask END", ask=ask).compile(checkpointer=e.saver())
    resumes = [call(e.types.Command(resume=age), thread()) for age in ("x", "y", 7)]
    return graph, [call({"x": 1}, thread()), *resumes]


@program("resuming.falsy_answers", rows=("7.9:falsy_answers",), matrix=Matrix.TOGETHER)
def falsy_answers(e):
    graph = _chain(e, "q")
    calls = []
    for index, answer in enumerate((0, False, "", [], 0.0, ())):
        calls.append(call({"x": 1}, thread(str(index))))
        calls.append(call(e.types.Command(resume=answer), thread(str(index))))
    return graph, calls


@program("resuming.falsy_answers_by_id", rows=("7.9:falsy_answers",), matrix=Matrix.TOGETHER)
def falsy_answers_by_id(e):
    graph = _chain(e, "q")
    calls = []
    for index, answer in enumerate((None, 0, "", {}, [])):
        name = str(index)
        calls.append(call({"x": 1}, thread(name)))
        calls.append(call(answers(e, {"q": answer}, name), thread(name)))
        calls.append(stored(name))
    return graph, calls


@program("resuming.kinds_of_answers", rows=("7.9:other_dict",), matrix=Matrix.TOGETHER)
def kinds_of_answers(e):
    graph = _chain(e, "q")
    hexadecimal = "0123456789abcdef0123456789abcdef"
    given = (
        {"answer": 1},
        {hexadecimal: "known key", "other": 1},
        {hexadecimal[:-1]: "one short"},
        {hexadecimal.upper(): "capitals"},
        {hexadecimal[:-1] + "g": "not hexadecimal"},
        [{"type": "accept"}],
        ("a", "pair"),
        b"bytes",
        {"nested": {"deep": [1, None]}},
    )
    calls = []
    for index, answer in enumerate(given):
        calls.append(call({"x": 1}, thread(str(index))))
        calls.append(call(e.types.Command(resume=answer), thread(str(index))))
    return graph, calls


@program("resuming.answer_with_other_keys", rows=("7.9:other_dict",), matrix=Matrix.TOGETHER)
def answer_with_other_keys(e):
    graph = _chain(e, "q")
    return graph, [
        call({"x": 1}, thread()),
        call(e.types.Command(resume={1: 2}), thread(), differs="answer-keys"),
    ]


@program(
    "resuming.with_update_and_goto",
    rows=("7.9:with_update_and_goto", "7.6:command_input"),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
    unordered=True,
)
def with_update_and_goto(e):
    def ask(state):
        return {"log": [(e.types.interrupt("q"), state["x"])]}

    builder = wire(e, Log, "START a ask b END", a=..., ask=ask, b=..., aside=...)
    graph = builder.compile(checkpointer=e.saver())
    command, send = e.types.Command, e.types.Send
    commands = (
        command(resume="r", update={"x": 7}),
        command(resume="r", update={"log": ["u"]}),
        command(resume="r", goto="aside"),
        command(resume="r", update={"x": 7, "log": ["u"]}, goto=["aside", send("a", {"x": 0})]),
        command(resume="r", goto=END),
        command(update={"x": 7}),
        command(goto="aside"),
        command(goto="ask"),
        command(resume={}, update={"x": 7}),
    )
    calls = []
    for index, given in enumerate(commands):
        name = str(index)
        is_empty = given.resume == {}
        leads = "commanded" if index in (2, 3, 6) else None
        calls += [
            call({"x": 1}, thread(name)),
            call(given, thread(name), differs="empty-map" if is_empty else None),
            look(history(name).observe, differs="empty-map" if is_empty else leads),
        ]
    return graph, calls


@program(
    "resuming.answer_then_update",
    rows=("7.9:with_update_and_goto",),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def answer_then_update(e):
    graph = _chain(e, "one?", "two?")
    command = e.types.Command
    return graph, [
        call({"x": 1}, thread()),
        call(command(resume="1"), thread()),
        call(command(update={"x": 2}), thread()),
        stored(),
        call(command(resume="2"), thread()),
        stored(),
    ]


@program(
    "resuming.new_input_after_an_update",
    rows=("7.9:new_input_discards", "7.9:with_update_and_goto"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def new_input_after_an_update(e):
    graph = _chain(e, "one?", "two?")
    return graph, [
        call({"x": 1}, thread()),
        call(e.types.Command(resume="1", update={"log": ["u"]}), thread()),
        call({"x": 2}, thread()),
        history(),
    ]


@program(
    "resuming.durability",
    rows=("7.10:exit_history", "2.6:exit_durability", "2.9:resume"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def durability(e):
    graph = _chain(e, "one?", "two?")
    calls = []
    for kind in ("sync", "async", "exit"):
        calls += [
            call({"x": 1}, thread(kind), durability=kind),
            stored(kind),
            call(e.types.Command(resume="1"), thread(kind), durability=kind),
            call(
                e.types.Command(resume="2"),
                thread(kind),
                durability=kind,
                differs="exit-parent" if kind == "exit" else None,
            ),
            stored(kind),
            history(kind),
        ]
    return graph, calls


@program(
    "resuming.async_nodes",
    rows=("2.9:resume", "7.9:answers_in_order"),
    modes=SAVED_MODES,
    drivers=("async",),
    unordered=True,
)
def async_nodes(e):
    async def ask(state):
        return {"log": [e.types.interrupt("one?"), e.types.interrupt("two?")]}

    builder = wire(
        e, Log, "START ask end", "START side end END", ask=ask, side=asay("side"), end=...
    )
    graph = builder.compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}, thread()),
        call(e.types.Command(resume="1"), thread()),
        call(answers(e, {"two?": "2"}), thread()),
        history(),
    ]


@program(
    "resuming.none_asks_again",
    rows=("7.9:none_asks_again",),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
)
def none_asks_again(e):
    ran = []
    graph = _chain(e, "q", ran=ran)
    return graph, [
        call({"x": 1}, thread()),
        call(None, thread()),
        call(None, thread()),
        stored(),
        count(ran),
        call(e.types.Command(resume="r"), thread()),
        call(None, thread()),
        history(),
    ]


@program("resuming.none_after_an_answer", rows=("7.9:none_asks_again",), modes=SAVED_MODES)
def none_after_an_answer(e):
    # The reference takes the older answer for the second question here.
    graph = _chain(e, "one?", "two?")
    return graph, [
        call({"x": 1}, thread()),
        call(e.types.Command(resume="1"), thread()),
        call(None, thread(), differs="stale-answer"),
    ]


@program(
    "resuming.new_input_discards",
    rows=("7.9:new_input_discards",),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
)
def new_input_discards(e):
    graph = _chain(e, "q")
    command = e.types.Command
    return graph, [
        call({"x": 1}, thread()),
        call({"x": 2}, thread()),
        stored(),
        call(command(resume="r"), thread()),
        call({"log": ["more"]}, thread()),
        call(answers(e, {"q": "by id"}), thread()),
        history(),
    ]


@program(
    "resuming.new_input_after_an_answer",
    rows=("7.9:new_input_discards",),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def new_input_after_an_answer(e):
    graph = _chain(e, "one?", "two?")
    command = e.types.Command
    return graph, [
        call({"x": 1}, thread()),
        call(command(resume="1"), thread()),
        call({"x": 2}, thread()),
        call(command(resume="new 1"), thread()),
        call(command(resume="new 2"), thread()),
        history(),
    ]


@program("resuming.root_state", rows=("2.9:root_state", "2.9:resume"), modes=SAVED_MODES)
def root_state(e):
    graph = wire(
        e, str, "START a ask END", a=lambda s: s + "a", ask=lambda s: s + e.types.interrupt("q")
    ).compile(checkpointer=e.saver())
    return graph, [call("in", thread()), call(e.types.Command(resume="R"), thread()), history()]


@program(
    "resuming.custom_items_again", rows=("7.9:reexecuted",), modes=SAVED_MODES, matrix=Matrix.BRIEF
)
def custom_items_again(e):
    def ask(state, *, writer):
        writer("before")
        answer = e.types.interrupt("q")
        writer("after")
        return {"log": [answer]}

    graph = wire(e, Log, "START ask END", ask=(ask, {"metadata": {"kind": "asks"}}), b=say("b"))
    compiled = graph.compile(checkpointer=e.saver())
    return compiled, [call({"x": 1}, thread()), call(e.types.Command(resume=1), thread())]


@program(
    "resuming.two_threads",
    rows=("2.9:resume", "7.9:ids"),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def two_threads(e):
    graph = _chain(e, "q")
    command = e.types.Command
    return graph, [
        call({"x": 1}, thread("1")),
        call({"x": 2}, thread("2")),
        call(command(resume="for 2"), thread("2")),
        call(command(resume="for 1"), thread("1")),
        history("1"),
        history("2"),
    ]
