"""Threads worth handing over: waiting, failed, stopped or finished in some way.

No `from __future__ import annotations` here: schemas are read at run time.
"""

import operator
from typing import Annotated, Any, Final

from langchain_core.messages import AIMessage, HumanMessage
from typing_extensions import TypedDict

from differential.engines import Engine
from differential.kit import Log, wire
from interchange.playing import Half, Scenario, Step, World


class Notes(TypedDict, total=False):
    """State of a nested graph that shares only `x` with the graph around it."""

    x: int
    notes: Annotated[list[Any], operator.add]


def give(x: Any = 1, **options: Any) -> Step:
    """Return a step that calls the graph with `x` as input."""
    return lambda half: half.runs.invoke(half.graph, {"x": x}, half.thread, **options)


def go_on(**options: Any) -> Step:
    """Return a step that continues what is pending."""
    return lambda half: half.runs.invoke(half.graph, None, half.thread, **options)


def answer(value: Any, **command: Any) -> Step:
    """Return a step that answers the one pending question."""

    def step(half: Half) -> Any:
        given = half.engine.types.Command(resume=value, **command)
        return half.runs.invoke(half.graph, given, half.thread)

    return step


def answer_by_id(by_question: dict[Any, Any]) -> Step:
    """Return a step that answers questions by their ids."""
    return lambda half: half.runs.invoke(half.graph, half.answer(by_question), half.thread)


def ask(e: Engine, *questions: Any, **options: Any) -> Any:
    """Return a node that asks one question after the other."""

    def node(state: Any) -> dict[str, Any]:
        return {"log": [e.types.interrupt(question, **options) for question in questions]}

    return node


def one_question(e: Engine, world: World, saver: Any) -> Any:
    nodes = {"a": world.say("a"), "ask": ask(e, {"q": [1, "é"]}), "z": world.say("z")}
    return wire(e, Log, "START a ask z END", **nodes).compile(checkpointer=saver)


def three_questions(e: Engine, world: World, saver: Any) -> Any:
    graph = wire(e, Log, "START ask z END", ask=ask(e, "q1", "q2", "q3"), z=world.say("z"))
    return graph.compile(checkpointer=saver)


def question_with_schema(e: Engine, world: World, saver: Any) -> Any:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    graph = wire(e, Log, "START ask END", ask=ask(e, "q", response_schema=schema))
    return graph.compile(checkpointer=saver)


def parallel_questions(e: Engine, world: World, saver: Any) -> Any:
    return wire(
        e,
        Log,
        "START p z END",
        "START q z",
        "START side z",
        p=ask(e, "p?"),
        q=ask(e, "q?"),
        side=world.say("side"),
        z=world.say("z"),
    ).compile(checkpointer=saver)


def nested_question(e: Engine, world: World, saver: Any) -> Any:
    inner = wire(
        e,
        Log,
        "START i ask j END",
        i=world.say("i"),
        ask=ask(e, "q1", "q2"),
        j=world.say("j"),
    ).compile()
    middle = wire(e, Log, "START m inner END", m=world.say("m"), inner=inner).compile()
    outer = wire(
        e,
        Log,
        "START middle z END",
        "START side z",
        middle=middle,
        side=world.say("side"),
        z=world.say("z"),
    )
    return outer.compile(checkpointer=saver)


def called_question(e: Engine, world: World, saver: Any) -> Any:
    """A node calls the same nested graph twice; both calls ask."""
    inner = wire(e, Log, "START ask END", ask=ask(e, "q")).compile()

    def call(state: Any) -> dict[str, Any]:
        world.calls["call"] += 1
        results = [inner.invoke({"x": x}) for x in (1, 2)]
        return {"log": [result["log"] for result in results]}

    return wire(e, Log, "START call END", call=call).compile(checkpointer=saver)


def failed_superstep(e: Engine, world: World, saver: Any) -> Any:
    return wire(
        e,
        Log,
        "START a good z END",
        "a fine z",
        "a bad z",
        "a quiet z",
        a=world.say("a"),
        good=world.say("good"),
        fine=lambda state: {"log": e.types.Overwrite(["over"])},
        quiet=lambda state: None,
        # Writes of START and a come before those of the three siblings.
        bad=world.fail_once_stored(5),
        z=world.say("z"),
    ).compile(checkpointer=saver)


def failed_nested(e: Engine, world: World, saver: Any) -> Any:
    inner = wire(
        e,
        Log,
        "START i bad j END",
        i=world.say("i"),
        bad=world.fail_once_stored(0),
        j=world.say("j"),
    ).compile()
    return wire(e, Log, "START a sub END", a=world.say("a"), sub=inner).compile(checkpointer=saver)


def failed_beside_question(e: Engine, world: World, saver: Any) -> Any:
    return wire(
        e,
        Log,
        "START ask z END",
        "START bad z",
        ask=ask(e, "q"),
        bad=world.fail_once_stored(2),
        z=world.say("z"),
    ).compile(checkpointer=saver)


def sending(e: Engine, world: World, saver: Any, bad: Any = None, **options: Any) -> Any:
    send = e.types.Send

    def fan(state: Any) -> list[Any]:
        named = {"m": HumanMessage("hi", id="1"), "again": send("w", {"x": [3]})}
        sends = [send("w", {"x": 1}), send("w", {"x": named["again"].arg["x"], **named})]
        return sends + ([send("bad", {"x": 0})] if bad else [])

    nodes = {"a": world.say("a"), "w": world.say("w"), "z": world.say("z")}
    if bad:
        nodes["bad"] = bad
    builder = wire(e, Log, "START a", "START slow z END", slow=world.say("slow"), **nodes)
    builder.add_conditional_edges("a", fan, ["w", *(["bad"] if bad else [])])
    return builder.compile(checkpointer=saver, **options)


def waiting_sends(e: Engine, world: World, saver: Any) -> Any:
    return sending(e, world, saver, interrupt_before=["w"])


def failed_sends(e: Engine, world: World, saver: Any) -> Any:
    # START; a, slow; z and both w.
    return sending(e, world, saver, bad=world.fail_once_stored(6))


def asking_sends(e: Engine, world: World, saver: Any) -> Any:
    def work(state: Any) -> dict[str, Any]:
        return {"log": [(state["x"], e.types.interrupt(f"q{state['x']}"))]}

    builder = wire(e, Log, "START a", a=world.say("a"), w=work)
    builder.add_conditional_edges(
        "a", lambda state: [e.types.Send("w", {"x": x}) for x in (1, 2)], ["w"]
    )
    return builder.compile(checkpointer=saver)


def command_sends(e: Engine, world: World, saver: Any) -> Any:
    def go(state: Any) -> Any:
        world.calls["go"] += 1
        goto = [e.types.Send("w", {"x": 5}), "b"]
        return e.types.Command(update={"x": 4, "log": ["go"]}, goto=goto)

    builder = wire(e, Log, "START go", "b END", "w END", go=go, b=world.say("b"), w=world.say("w"))
    return builder.compile(checkpointer=saver, interrupt_after=["go"])


def breakpoints(e: Engine, world: World, saver: Any) -> Any:
    nodes = {name: world.say(name) for name in "abc"}
    graph = wire(e, Log, "START a b c END", **nodes)
    return graph.compile(checkpointer=saver, interrupt_before=["b"], interrupt_after=["b"])


def nested_breakpoint(e: Engine, world: World, saver: Any) -> Any:
    inner = wire(e, Log, "START i j END", i=world.say("i"), j=world.say("j"))
    sub = inner.compile(interrupt_before=["j"])
    return wire(e, Log, "START sub z END", sub=sub, z=world.say("z")).compile(checkpointer=saver)


def waiting_join(e: Engine, world: World, saver: Any) -> Any:
    """One of the two nodes a join waits for has run; a deferred node waits for the end."""
    nodes: dict[str, Any] = {name: world.say(name) for name in ("a", "b", "b2", "z")}
    nodes["late"] = (world.say("late"), {"defer": True})
    builder = wire(e, Log, "START a late END", "START b b2", "z END", **nodes)
    builder.add_edge(["a", "b2"], "z")
    return builder.compile(checkpointer=saver, interrupt_before=["b2"])


def remembering(e: Engine, world: World, saver: Any) -> Any:
    """A nested graph keeps its own state as long as the thread."""

    def note(state: Any) -> dict[str, Any]:
        return {"notes": [f"i{state['x']}"]}

    def count(state: Any) -> dict[str, Any]:
        return {"notes": [e.types.interrupt(len(state["notes"]))]}

    sub = wire(e, Notes, "START i ask END", i=note, ask=count).compile(checkpointer=True)
    return wire(e, Log, "START sub z END", sub=sub, z=world.say("z")).compile(checkpointer=saver)


def chatting(e: Engine, world: World, saver: Any) -> Any:
    class Chat(TypedDict, total=False):
        x: Any
        messages: Annotated[list[Any], e.message.add_messages]

    def reply(state: Any) -> dict[str, Any]:
        asked = HumanMessage("hi", id="h")
        call = {"name": "t", "args": {"n": 1}, "id": "c"}
        said = AIMessage(f"no. {len(state['messages'])}", id="a", tool_calls=[call])
        return {"messages": [asked, said]}

    def approve(state: Any) -> dict[str, Any]:
        return {"messages": [AIMessage(e.types.interrupt(state["messages"][-1]), id="a")]}

    graph = wire(e, Chat, "START reply approve END", reply=reply, approve=approve)
    return graph.compile(checkpointer=saver)


def workflow(e: Engine, world: World, saver: Any) -> Any:
    """An entrypoint: two finished tasks, a question, a task that fails in the first half."""
    func = e.module("func")

    @func.task
    def double(x: int) -> int:
        world.calls[f"double{x}"] += 1
        return x * 2

    bad = world.fail_once_stored(0)

    @func.task
    def shaky(x: int) -> Any:
        return bad({"x": x})["log"]

    @func.entrypoint(checkpointer=saver)
    def main(given: Any, *, previous: Any = None) -> Any:
        world.calls["main"] += 1
        numbers = [future.result() for future in [double(1), double(2)]]
        answer = e.types.interrupt(numbers) if given["x"] == "ask" else None
        trouble = shaky(3).result() if given["x"] == "fail" else None
        saved = [*(previous or []), given["x"]]
        value = [numbers, answer, trouble, previous]
        return func.entrypoint.final(value=value, save=saved)

    return main


def update(values: Any, as_node: str) -> Step:
    """Return a step that updates the state."""

    def step(half: Half) -> Any:
        return half.runs.update_state(half.graph, half.thread, values, as_node=as_node)

    return step


def fork(step: int) -> Step:
    """Return a step that runs again from the oldest checkpoint of a superstep."""

    def run(half: Half) -> Any:
        past = [s for s in half.runs.history(half.graph, half.thread) if s.metadata["step"] == step]
        return half.runs.invoke(half.graph, None, past[-1].config)

    return run


SCENARIOS: Final = (
    Scenario("question", one_question, (give(),), (answer("yes"),)),
    Scenario("question-exit", one_question, (give(durability="exit"),), (answer("yes"),)),
    Scenario("question-asked-again", one_question, (give(),), (go_on(), answer("yes"))),
    Scenario("question-and-update", one_question, (give(),), (answer("yes", update={"x": 5}),)),
    Scenario(
        "question-and-goto",
        one_question,
        (give(),),
        (answer("yes", goto="a"), answer("B")),
        is_history_shared=False,
    ),
    Scenario("question-dropped", one_question, (give(),), (give(2), answer("yes"))),
    Scenario("questions", three_questions, (give(),), (answer("A"), answer(0), answer("C"))),
    Scenario("questions-begun", three_questions, (give(), answer("A")), (answer(0), answer("C"))),
    Scenario("question-with-schema", question_with_schema, (give(),), (answer({"n": 1}),)),
    Scenario(
        "parallel-questions",
        parallel_questions,
        (give(),),
        (answer("?"), answer_by_id({"p?": "P", "q?": None})),
    ),
    Scenario(
        "parallel-questions-begun",
        parallel_questions,
        (give(), answer_by_id({"q?": "Q"})),
        (answer("P"),),
    ),
    Scenario("nested-question", nested_question, (give(),), (answer("A"), answer("B"))),
    Scenario("nested-question-begun", nested_question, (give(), answer("A")), (answer("B"),)),
    Scenario("called-question", called_question, (give(), answer("A")), (answer("B"),)),
    Scenario("failed", failed_superstep, (give(durability="sync"),), (go_on(),)),
    Scenario("failed-new-input", failed_superstep, (give(durability="sync"),), (give(2),)),
    Scenario("failed-nested", failed_nested, (give(),), (go_on(),)),
    Scenario(
        "failed-beside-question",
        failed_beside_question,
        (give(durability="sync"),),
        (answer("yes"),),
    ),
    Scenario("sends", waiting_sends, (give(),), (go_on(),)),
    Scenario("sends-failed", failed_sends, (give(durability="sync"),), (go_on(),)),
    Scenario("sends-asking", asking_sends, (give(),), (answer_by_id({"q1": "A"}), answer("B"))),
    Scenario("sends-by-command", command_sends, (give(),), (go_on(),)),
    Scenario("breakpoint-before", breakpoints, (give(),), (go_on(), go_on())),
    Scenario("breakpoint-after", breakpoints, (give(), go_on()), (go_on(), go_on())),
    Scenario("breakpoint-nested", nested_breakpoint, (give(),), (go_on(),)),
    Scenario("join", waiting_join, (give(),), (go_on(),)),
    Scenario("remembering", remembering, (give(1), answer("A"), give(2)), (answer("B"), give(3))),
    Scenario("messages", chatting, (give(),), (answer("approved"),)),
    Scenario("updated", breakpoints, (give(), update({"log": ["me"]}, "b")), (go_on(),)),
    Scenario("updated-after", breakpoints, (give(),), (update({"log": ["me"]}, "b"), go_on())),
    Scenario("forked", breakpoints, (give(), go_on(), go_on()), (fork(1), go_on())),
    Scenario("finished", one_question, (give(), answer("A")), (give(2), answer("B"))),
    Scenario("workflow", workflow, (give("on"),), (give("on"),)),
    Scenario("workflow-question", workflow, (give("ask"),), (answer("yes"), give("on"))),
    Scenario("workflow-failed", workflow, (give("fail"),), (go_on(),)),
)
