"""State schemas: every kind, private and restricted schemas, managed values, graph input.

No `from __future__ import annotations` here: schemas and node signatures are read at run time,
and they name classes of the engine under test.
"""

import operator
from dataclasses import dataclass, field
from typing import Annotated, Optional

from pydantic import BaseModel
from typing_extensions import NotRequired, Required, TypedDict

from differential.kit import Log, add_paths, say, wire
from differential.registry import attempt, call, probe, program


@program("state.typed_dict", rows=("7.1:typed_dict", "1.1:input", "2.2:payload", "2.2:first_item"))
def typed_dict(e):
    graph = wire(e, Log, "START a b END", a=..., b=say("b", x=2)).compile()
    return graph, [call({"x": 1, "log": ["in"]}), call({}), call({"x": 5, "unknown": 1})]


@program("state.required_wrappers", rows=("7.1:typed_dict", "7.1:node_input"))
def required_wrappers(e):
    class S(TypedDict, total=False):
        a: Required[int]
        b: NotRequired[Annotated[list, operator.add]]

    def node(state: S):
        return {"b": [sorted(state)]}

    graph = wire(e, S, "START n m END", n=node, m=node).compile()
    return graph, [call({"a": 1}), call({"b": ["x"]})]


@program(
    "state.dataclass",
    rows=("7.1:dataclass", "1.2:v2_coerced_values", "7.1:node_input", "2.7:input"),
)
def dataclass_state(e):
    @dataclass
    class S:
        a: int
        log: Annotated[list, operator.add] = field(default_factory=list)
        b: str = "d"

    def node(state: S):
        return {"log": [type(state).__name__, state.b], "b": state.b + "!"}

    graph = wire(e, S, "START n m END", n=node, m=lambda s: S(a=s.a + 1, b="m")).compile()
    return graph, [call({"a": 1}), call(S(a=3, b="z"))]


@program(
    "state.dataclass_saved",
    rows=("1.2:v2_coerced_checkpoints",),
    modes=("values", "updates", "debug", "checkpoints"),
)
def dataclass_saved(e):
    @dataclass
    class S:
        a: int = 0
        log: Annotated[list, operator.add] = field(default_factory=list)

    graph = wire(e, S, "START n m END", n=..., m=...).compile(checkpointer=e.saver())
    return graph, [call({"a": 1}, {"configurable": {"thread_id": "1"}})]


@program("state.pydantic", rows=("7.1:pydantic", "7.1:pydantic_late", "2.3:model"))
def pydantic_state(e):
    class S(BaseModel):
        a: int
        b: Optional[str] = None
        log: Annotated[list, operator.add] = []

    def good(state: S):
        return S(a=state.a + 1, log=[type(state).__name__])

    def bad(state):
        return {"a": "not a number"}

    graph = wire(e, S, "START good bad last END", good=good, bad=bad, last=say("last")).compile()
    return graph, [
        call(values, differs="items-before-an-error")
        for values in ({"a": 1}, S(a=5, b="x"), {"a": "zzz"}, {"b": "only"})
    ]


@program("state.pydantic_ok", rows=("7.1:pydantic", "1.2:v2_coerced_values"))
def pydantic_ok(e):
    class Inner(BaseModel):
        n: int = 0

    class S(BaseModel):
        a: int = 1
        inner: Inner = Inner()

    def node(state: S):
        return {"inner": Inner(n=state.a), "a": state.inner.n + 10}

    graph = wire(e, S, "START n m END", n=node, m=node).compile()
    return graph, [call({"a": "7"}), call({"a": 2, "inner": {"n": 4}}), call(S(a=3))]


@program("state.annotated_class", rows=("7.1:typed_dict", "7.2:model"))
def annotated_class(e):
    class S:
        a: int
        log: Annotated[list, operator.add]

    class Update:
        a: int
        other: int

        def __init__(self):
            self.a, self.other = 9, 8

    graph = wire(e, S, "START n m END", n=lambda s: {"log": [dict(s)]}, m=lambda s: Update())
    return graph.compile(), [call({"a": 1})]


@program("state.root", rows=("7.1:root", "2.3:root", "1.2:v1_single"))
def root_state(e):
    graph = wire(e, str, "START n m END", n=lambda s: s + "n", m=lambda s: s + "m").compile()
    return graph, [call("in"), call("")]


@program("state.root_reducer", rows=("7.1:root", "2.3:root"))
def root_reducer(e):
    schema = Annotated[list, operator.add]
    graph = wire(e, schema, "START n m END", n=lambda s: [len(s)], m=lambda s: None).compile()
    return graph, [call(["in"]), call([])]


@program("state.input_output", rows=("7.1:input_output", "2.2:private_shown", "7.1:graph_input"))
def input_output(e):
    class Whole(TypedDict):
        question: str
        answer: str
        notes: Annotated[list, operator.add]

    class In(TypedDict):
        question: str

    class Out(TypedDict):
        answer: str

    def node(state):
        return {"answer": state.get("question", "?") + "!", "notes": [sorted(state)]}

    builder = e.graph.StateGraph(Whole, input_schema=In, output_schema=Out)
    builder.add_node("n", node)
    add_paths(builder, "START n END")
    return builder.compile(), [call({"question": "q"}), call({"question": "q", "answer": "no"})]


@program("state.private", rows=("7.1:private", "2.2:private_shown"))
def private(e):
    class Hidden(TypedDict):
        secret: int

    class HiddenAndX(TypedDict):
        secret: int
        x: int

    def first(state: Log):
        return {"secret": state["x"] * 10, "log": ["first"]}

    def second(state: HiddenAndX):
        return {"log": [dict(state)]}

    def third(state: Log):
        return {"log": [sorted(state)]}

    def fourth(state):
        return {"log": [dict(state)]}

    builder = wire(e, Log, first=first, second=second, third=third)
    builder.add_node("fourth", fourth, input_schema=Hidden)
    add_paths(builder, "START first second third fourth END")
    return builder.compile(), [call({"x": 1})]


@program("state.branch_schema", rows=("7.1:private", "7.4:branch_input"))
def branch_schema(e):
    class Own(TypedDict):
        x: int

    def path(state: Own):
        return "b" if sorted(state) == ["x"] else "c"

    builder = wire(e, Log, "START a", "b END", "c END", a=..., b=..., c=...)
    builder.add_conditional_edges("a", path, ["b", "c"])
    return builder.compile(), [call({"x": 1})]


@program("state.managed", rows=("7.1:managed", "7.5:remaining_steps"))
def managed(e):
    class S(TypedDict):
        log: Annotated[list, operator.add]
        last: e.managed.IsLastStep
        left: e.managed.RemainingSteps

    def node(state: S):
        return {"log": [(state["left"], state["last"])]}

    graph = wire(e, S, "START a b c END", a=node, b=node, c=node).compile()
    return graph, [call({}, {"recursion_limit": n}) for n in (5, 4, 3)]


@program("state.annotated_channels", rows=("7.1:annotated_channel",))
def annotated_channels(e):
    ch = e.channels

    class S(TypedDict):
        topic: Annotated[list, ch.Topic(str, accumulate=True)]
        fleeting: Annotated[int, ch.EphemeralValue]
        any: Annotated[int, "note", ch.AnyValue]

    def node(state):
        return {"topic": [str(sorted(state.items()))], "fleeting": 1}

    graph = wire(e, S, "START a b c END", a=node, b=lambda s: {"any": 2}, c=node).compile()
    return graph, [call({"topic": "t", "fleeting": 5, "any": 6})]


@program("state.bad_input", rows=("7.1:not_a_dict", "7.1:no_input"))
def bad_input(e):
    graph = wire(e, Log, "START a END", a=...).compile()
    return graph, [call(5), call("text"), call(None), call([("x", 4), ("log", ["l"])]), call(())]


@program("state.no_input_on_new_thread", rows=("7.1:no_input",))
def no_input_on_new_thread(e):
    graph = wire(e, Log, "START a END", a=...).compile(checkpointer=e.saver())
    return graph, [call(None, {"configurable": {"thread_id": "1"}})]


@program("state.live_objects", rows=("2.2:live_objects",))
def live_objects(e):
    def node(state):
        state["log"].append("mutated")
        return {"x": 2}

    graph = wire(e, Log, "START a b END", a=node, b=...).compile()
    return graph, [call({"x": 1, "log": ["in"]})]


@program("state.snapshot_of_step", rows=("7.5:snapshot", "2.1:pull_alphabetical"), unordered=True)
def snapshot_of_step(e):
    def node(state):
        return {"log": [len(state["log"])]}

    graph = wire(e, Log, "START z END", "START m END", "START a END", z=node, m=node, a=node)
    return graph.compile(), [call({"log": ["in"]})]


@probe("state.schema_errors", rows=("7.1:bad_reducer", "7.1:same_key", "7.1:managed_in_schema"))
def schema_errors(e, driver):
    def one(a):
        return a

    class Bad(TypedDict):
        k: Annotated[list, one]

    class Mine(TypedDict):
        log: Annotated[list, operator.add]

    class Other(TypedDict):
        log: Annotated[list, operator.mul]

    class Plain(TypedDict):
        log: list

    class Managed(TypedDict):
        left: e.managed.RemainingSteps

    make = e.graph.StateGraph
    return {
        "reducer": attempt(lambda: make(Bad)),
        "reducer kinds": attempt(lambda: make(Mine, input_schema=Other)),
        "plain second": sorted(make(Mine, input_schema=Plain).channels),
        "plain first": attempt(lambda: make(Plain, output_schema=Mine)),
        "managed input": attempt(lambda: make(Mine, input_schema=Managed)),
        "managed output": attempt(lambda: make(Mine, output_schema=Managed)),
        "not a type": attempt(lambda: make({"a": int})),
        "nothing": attempt(lambda: make()),
    }


@probe("state.deprecated_keywords", rows=("7.1:deprecated_kwargs",), warns=True)
def deprecated_keywords(e, driver):
    class In(TypedDict):
        x: int

    def run(**kwargs):
        builder = e.graph.StateGraph(Log, **kwargs)
        builder.add_node("a", say("a"))
        add_paths(builder, "START a END")
        return builder.compile().invoke({"x": 1})

    return {
        "input": attempt(lambda: run(input=In)),
        "output": attempt(lambda: run(output=In)),
        "config_schema": attempt(lambda: run(config_schema=In)),
    }
