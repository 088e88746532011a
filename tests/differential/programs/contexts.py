"""The run's context: what a schema makes of it, and what reaches the nodes.

No `from __future__ import annotations` here: schemas are read at run time.
"""

from dataclasses import dataclass

from pydantic import BaseModel
from typing_extensions import TypedDict

from differential.kit import Log, add_paths, say
from differential.registry import call, program


@program(
    "given.context_kinds", rows=("4.6:coerced", "4.6:errors", "4.6:none", "1.5:context_errors")
)
def context_kinds(e):
    class Model(BaseModel):
        n: int = 3

    def node(state, runtime):
        return {"log": [runtime.context]}

    builder = e.graph.StateGraph(Log, context_schema=Model)
    builder.add_node("a", node)
    add_paths(builder, "START a END")
    return builder.compile(), [
        call({"x": 1}, context={"n": "7"}),
        call({"x": 1}, context=Model(n=2)),
        call({"x": 1}),
        call({"x": 1}, context={"n": "zz"}),
        call({"x": 1}, context={}),
        call({"x": 1}, context=5),
    ]


@program("given.context_as_is", rows=("4.6:passed_as_is", "4.6:errors"), unordered=True)
def context_as_is(e):
    class Typed(TypedDict):
        n: int

    def node(state, runtime):
        return {"log": [runtime.context]}

    builder = e.graph.StateGraph(Log, context_schema=Typed)
    builder.add_node("a", node)
    add_paths(builder, "START a END")
    return builder.compile(), [
        call({"x": 1}, context={"n": "7", "other": 1}),
        call({"x": 1}, context=5),
        call({"x": 1}),
    ]


@program("given.context_dataclass_error", rows=("4.6:errors",))
def context_dataclass_error(e):
    @dataclass
    class Context:
        user: str

    builder = e.graph.StateGraph(Log, context_schema=Context)
    builder.add_node("a", say("a"))
    add_paths(builder, "START a END")
    return builder.compile(), [call({"x": 1}, context={"zz": 1}), call({"x": 1}, context={})]
