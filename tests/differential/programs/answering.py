"""Which answers are taken and which are refused: id maps, strict resume, schemas of answers.

No `from __future__ import annotations` here: schemas are read at run time.
"""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel
from typing_extensions import TypedDict

from differential.kit import Log, thread, wire
from differential.registry import SAVED_MODES, Late, Matrix, call, invoke, look, program
from differential.threads import answers, asking, pending, state, stored

# Every mode in which a refused answer leaves no trace in what comes later.
SHOWN = ("values", "updates", "custom", "tasks")
UNKNOWN = "0123456789abcdef0123456789abcdef"


def _one(e):
    return wire(e, Log, "START ask END", ask=asking(e, "q")).compile(checkpointer=e.saver())


def _two(e):
    builder = wire(
        e, Log, "START one END", "START two END", one=asking(e, "1?"), two=asking(e, "2?")
    )
    return builder.compile(checkpointer=e.saver())


def _strict(name="1", **configurable):
    return thread(name, __pregel_strict_resume=True, **configurable)


@program("answering.unknown_id", rows=("7.9:unknown_ids",), modes=SAVED_MODES)
def unknown_id(e):
    command = e.types.Command
    return _one(e), [
        call({"x": 1}, thread()),
        call(command(resume={UNKNOWN: "nobody asked"}), thread()),
        stored(),
        call(_with_unknown(e, {"q": "known"}), thread(), differs="unknown-among-known"),
        look(stored().observe, differs="unknown-among-known"),
    ]


def _with_unknown(e, by_question, name="1"):
    """Return a Command whose map also has an id that nothing asked with."""

    def make(graph):
        known = answers(e, by_question, name).make(graph).resume
        return e.types.Command(resume={UNKNOWN: "nobody asked", **known})

    return Late(make)


@program("answering.empty_map", rows=("7.9:empty_map",), modes=SAVED_MODES, matrix=Matrix.BRIEF)
def empty_map(e):
    return _one(e), [
        call({"x": 1}, thread()),
        call(e.types.Command(resume={}), thread(), differs="empty-map"),
        stored(),
        call(e.types.Command(resume="r"), thread()),
        call(e.types.Command(resume={}), thread()),
    ]


@program(
    "answering.empty_map_for_two",
    rows=("7.9:empty_map", "7.9:several_pending"),
    matrix=Matrix.TOGETHER,
    unordered=True,
)
def empty_map_for_two(e):
    command = e.types.Command
    return _two(e), [
        call({"x": 1}, thread()),
        call(command(resume={}), thread(), differs="empty-map"),
        call(command(resume={"no": "map"}), thread()),
        call(command(resume={UNKNOWN: "nobody asked"}), thread()),
        stored(),
        call(answers(e, {"1?": 1, "2?": 2}), thread()),
    ]


@program("answering.id_of_an_older_question", rows=("7.9:unknown_ids",), matrix=Matrix.TOGETHER)
def id_of_an_older_question(e):
    graph = wire(e, Log, "START ask END", ask=asking(e, "one?", "two?"))
    kept = []

    def keep(graph, driver):
        kept.append(pending(graph)["one?"])
        return len(kept)

    def old(config_of):
        return Late(lambda graph: e.types.Command(resume={kept[0]: config_of}))

    return graph.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        look(keep),
        call(old("1"), thread()),
        call(old("again"), thread(), differs="stale-answer"),
        look(stored().observe, differs="stale-answer"),
        call(old("strictly"), _strict()),
        call(e.types.Command(resume="2"), thread(), differs="stale-answer"),
    ]


@program(
    "answering.strict",
    rows=("7.9:strict",),
    modes=SAVED_MODES,
    matrix=Matrix.BRIEF,
    unordered=True,
)
def strict(e):
    command = e.types.Command
    return _two(e), [
        call({"x": 1}, _strict()),
        call(command(resume="ambiguous"), _strict()),
        call(command(resume={UNKNOWN: "not pending"}), _strict()),
        call(command(resume={}), _strict()),
        call(_with_unknown(e, {"1?": 1}), _strict()),
        call(command(resume={"no": "map"}), _strict()),
        stored(),
        call(answers(e, {"1?": 1}), _strict()),
        call(answers(e, {"1?": "done before"}), _strict()),
        call(command(resume="2"), _strict()),
        call(command(resume="nothing is pending"), _strict()),
        call(answers(e, {}), _strict()),
        call(command(resume={UNKNOWN: "not pending"}), _strict()),
        stored(),
    ]


@program("answering.strict_errors", rows=("7.9:strict",), matrix=Matrix.AS_WRITTEN, unordered=True)
def strict_errors(e):
    command = e.types.Command
    graph = _two(e)

    def refused(make):
        def observe(graph, driver):
            try:
                invoke(driver, graph, make(graph), _strict())
            except e.errors.UnknownInterruptError as error:
                known = pending(graph)
                named = {identifier: name for name, identifier in known.items()}
                return {
                    "reason": error.reason,
                    "ids": [named.get(i, "unknown") for i in error.interrupt_ids],
                    "pending": sorted(named.get(i, "unknown") for i in error.pending_ids),
                    "bases": [kind.__name__ for kind in type(error).__mro__[1:3]],
                    "invalid": e.errors.is_invalid_resume(error),
                }
            return "taken"

        return look(observe)

    return graph, [
        call({"x": 1}, _strict()),
        refused(lambda graph: command(resume="ambiguous")),
        refused(lambda graph: command(resume={})),
        refused(lambda graph: command(resume={UNKNOWN: 1})),
        refused(_with_unknown(e, {"1?": 1}).make),
        refused(lambda graph: command(resume={UNKNOWN: 1, UNKNOWN[::-1]: 2})),
    ]


@program("answering.strict_is_off", rows=("7.9:strict",), matrix=Matrix.TOGETHER)
def strict_is_off(e):
    off = thread(__pregel_strict_resume=False)
    return _one(e), [
        call({"x": 1}, off),
        call(e.types.Command(resume={UNKNOWN: "nobody asked"}), off),
        call(e.types.Command(resume="r"), off),
    ]


class Form(BaseModel):
    """An answer as a pydantic model."""

    approve: bool
    note: str = "none"


class Choice(TypedDict):
    """An answer as a TypedDict."""

    pick: Literal["a", "b"]


@dataclass
class Amount:
    """An answer as a dataclass."""

    euros: int


def _with_schema(e, schema, *more):
    """Return a saved graph that asks for an answer of `schema`, then the questions of `more`."""

    def ask(state):
        answer = e.types.interrupt("form?", response_schema=schema)
        return {"log": [repr(answer), *(e.types.interrupt(question) for question in more)]}

    return wire(e, Log, "START ask b END", ask=ask, b=...).compile(checkpointer=e.saver())


def _schema_program(e, schema, wrong, right):
    command = e.types.Command
    resumes = [call(command(resume=answer), thread()) for answer in (*wrong, right)]
    return _with_schema(e, schema), [call({"x": 1}, thread()), state(), *resumes, state()]


@program(
    "answering.wrong_answers_are_not_saved",
    rows=("7.9:response_schema",),
    modes=SAVED_MODES,
    matrix=Matrix.TOGETHER,
)
def wrong_answers_are_not_saved(e):
    command = e.types.Command
    return _with_schema(e, Form), [
        call({"x": 1}, thread()),
        stored(),
        call(command(resume={"approve": "maybe"}), thread()),
        look(stored().observe, differs="invalid-answer"),
        look(state().observe, differs="invalid-answer"),
        call(command(resume={"approve": True}), thread(), differs="invalid-answer"),
    ]


@program("answering.schema_pydantic", rows=("7.9:response_schema",), modes=SHOWN)
def schema_pydantic(e):
    return _schema_program(e, Form, [{"approve": "maybe"}, "yes", []], {"approve": "true"})


@program(
    "answering.schema_typed_dict",
    rows=("7.9:response_schema",),
    modes=SHOWN,
    matrix=Matrix.TOGETHER,
)
def schema_typed_dict(e):
    return _schema_program(e, Choice, [{"pick": "c"}, {"other": 1}], {"pick": "a"})


@program(
    "answering.schema_dataclass",
    rows=("7.9:response_schema",),
    modes=SHOWN,
    matrix=Matrix.TOGETHER,
)
def schema_dataclass(e):
    return _schema_program(e, Amount, [{"euros": "few"}, 3], {"euros": "5"})


@program(
    "answering.schema_dict", rows=("7.9:dict_schema",), modes=SAVED_MODES, matrix=Matrix.TOGETHER
)
def schema_dict(e):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    return _schema_program(e, schema, [], "no object at all")


@program("answering.schema_model_given", rows=("7.9:response_schema",), matrix=Matrix.TOGETHER)
def schema_model_given(e):
    return _schema_program(e, Form, [], Form(approve=True, note="made by the client"))


@program(
    "answering.schema_of_other_kinds",
    rows=("7.9:response_schema",),
    modes=SHOWN,
    matrix=Matrix.TOGETHER,
)
def schema_of_other_kinds(e):
    # The node chooses the schema by its state, so one graph serves them all.
    kinds = (int, list[int], str, None, Literal["a", "b"], int | None)

    def ask(state):
        return {"log": [e.types.interrupt("q", response_schema=kinds[state["x"]])]}

    graph = wire(e, Log, "START ask END", ask=ask).compile(checkpointer=e.saver())
    calls = []
    for index in range(len(kinds)):
        name = str(index)
        calls.append(call({"x": index}, thread(name)))
        calls += [call(e.types.Command(resume=answer), thread(name)) for answer in (["x"], "7")]
    return graph, calls


@program(
    "answering.schema_by_id",
    rows=("7.9:response_schema", "7.9:id_map"),
    matrix=Matrix.TOGETHER,
    modes=SHOWN,
)
def schema_by_id(e):
    return _with_schema(e, Form), [
        call({"x": 1}, thread()),
        call(answers(e, {"form?": {"approve": "maybe"}}), thread()),
        call(answers(e, {"form?": None}), thread()),
        call(answers(e, {"form?": {"approve": False}}), thread()),
    ]


@program(
    "answering.schema_then_question",
    rows=("7.9:response_schema", "7.9:answers_in_order"),
    matrix=Matrix.TOGETHER,
    modes=SHOWN,
)
def schema_then_question(e):
    command = e.types.Command
    return _with_schema(e, Form, "why?"), [
        call({"x": 1}, thread()),
        call(command(resume={"approve": "maybe"}), thread()),
        call(command(resume={"approve": True}), thread()),
        call(command(resume="because"), thread()),
        state(),
    ]


@program(
    "answering.second_answer_is_wrong",
    rows=("7.9:response_schema", "7.9:answers_in_order"),
    matrix=Matrix.TOGETHER,
    modes=SHOWN,
)
def second_answer_is_wrong(e):
    def ask(state):
        first = e.types.interrupt("name?")
        return {"log": [first, repr(e.types.interrupt("form?", response_schema=Form))]}

    graph = wire(e, Log, "START ask END", ask=ask).compile(checkpointer=e.saver())
    command = e.types.Command
    return graph, [
        call({"x": 1}, thread()),
        call(command(resume="Ann"), thread()),
        call(command(resume="no form"), thread(), differs="failed-branch"),
        call(command(resume={"approve": True}), thread()),
    ]


@program(
    "answering.wrong_for_one_of_two",
    rows=("7.9:response_schema", "7.9:id_map"),
    modes=SHOWN,
    matrix=Matrix.TOGETHER,
    unordered=True,
)
def wrong_for_one_of_two(e):
    def ask(state):
        return {"log": [repr(e.types.interrupt("form?", response_schema=Form))]}

    builder = wire(e, Log, "START ask END", "START free END", ask=ask, free=asking(e, "free?"))
    return builder.compile(checkpointer=e.saver()), [
        call({"x": 1}, thread()),
        call(answers(e, {"form?": "no form"}), thread()),
        call(answers(e, {"form?": {"approve": True}, "free?": "f"}), thread()),
        state(),
    ]


@program(
    "answering.no_answer_after_a_wrong_one",
    rows=("7.9:response_schema", "7.9:none_asks_again", "7.9:empty_map"),
    matrix=Matrix.TOGETHER,
    modes=SHOWN,
)
def no_answer_after_a_wrong_one(e):
    command = e.types.Command
    return _with_schema(e, Form), [
        call({"x": 1}, thread()),
        call(command(resume="no form"), thread()),
        call(None, thread(), differs="stale-answer"),
        call(command(resume={}), thread(), differs="stale-answer"),
        call(command(resume={"approve": True}), thread()),
    ]


@program("answering.invalid_is_told", rows=("7.9:response_schema",), matrix=Matrix.AS_WRITTEN)
def invalid_is_told(e):
    def told(graph, driver):
        try:
            invoke(driver, graph, e.types.Command(resume="no form"), thread())
        except Exception as error:
            return type(error).__name__, e.errors.is_invalid_resume(error)
        return "taken"

    return _with_schema(e, Form), [call({"x": 1}, thread()), look(told), look(told)]


@program("answering.caught_by_the_node", rows=("7.9:response_schema",), matrix=Matrix.TOGETHER)
def caught_by_the_node(e):
    def ask(state):
        try:
            return {"log": [repr(e.types.interrupt("form?", response_schema=Form))]}
        except ValueError as error:
            return {"log": [type(error).__name__, e.errors.is_invalid_resume(error)]}

    graph = wire(e, Log, "START ask END", ask=ask).compile(checkpointer=e.saver())
    return graph, [
        call({"x": 1}, thread()),
        call(e.types.Command(resume="no form"), thread()),
        state(),
    ]
