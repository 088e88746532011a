"""The arguments of stream and invoke, the shapes they give, and other Runnable methods.

No `from __future__ import annotations` here: schemas are read at run time.
"""

import asyncio
import operator
from dataclasses import dataclass, field
from typing import Annotated

from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel
from typing_extensions import TypedDict

from differential.kit import Log, add_paths, fail, say, thread, wire
from differential.registry import Matrix, attempt, call, invoke, probe, program, stream

SHAPES = [
    {"stream_mode": mode, "subgraphs": subgraphs, "version": version}
    for mode in (None, "values", "updates", [], ["updates"], ["updates", "values"])
    for subgraphs in (False, True)
    for version in ("v1", "v2")
]


def two(e, **options):
    """Compile a chain of two nodes, the second a child graph."""
    child = wire(e, Log, "START s END", s=...).compile()
    return wire(e, Log, "START a sub END", a=say("a", x=2), sub=child).compile(**options)


@program(
    "entry.shapes",
    rows=(
        "1.2:v1_single",
        "1.2:v1_single_subgraphs",
        "1.2:v1_list",
        "1.2:v1_list_subgraphs",
        "1.2:v2",
        "1.1:stream_mode",
        "1.1:version",
        "1.1:default_mode",
        "1.1:empty_mode_list",
        "1.2:v2_ns_without_subgraphs",
        "1.3:v1_other_mode",
        "1.3:v2_other_mode",
        "1.3:subgraphs",
    ),
    matrix=Matrix.AS_WRITTEN,
)
def shapes(e):
    return two(e), [call({"x": 1}, **arguments) for arguments in SHAPES]


@program(
    "entry.tuple_of_modes",
    rows=("1.1:tuple_of_modes",),
    matrix=Matrix.AS_WRITTEN,
    differs="stream-modes-in-a-tuple",
)
def tuple_of_modes(e):
    modes = ("updates", "values")
    return two(e), [call({"x": 1}, stream_mode=modes), call({"x": 1}, stream_mode=set(modes))]


@program(
    "entry.unknown_mode",
    rows=("1.1:unvalidated_mode",),
    matrix=Matrix.AS_WRITTEN,
    differs="unknown-stream-mode",
)
def unknown_mode(e):
    return two(e), [call({"x": 1}, stream_mode="zzz"), call({"x": 1}, stream_mode=["values", "z"])]


@program(
    "entry.unknown_version",
    rows=("1.1:version",),
    matrix=Matrix.AS_WRITTEN,
    differs="unknown-version",
)
def unknown_version(e):
    return two(e), [call({"x": 1}, version=version) for version in ("zzz", "v9")]


@probe("entry.unknown_keyword", rows=("1.1:unknown_kwargs",), differs="unknown-keyword")
def unknown_keyword(e, driver):
    import warnings

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        items = stream(driver, two(e), {"x": 1}, nonsense=1)
    return [len(items), [warning.category for warning in caught]]


@program(
    "entry.checkpoint_during", rows=("1.1:checkpoint_during",), warns=True, matrix=Matrix.AS_WRITTEN
)
def checkpoint_during(e):
    graph = two(e, checkpointer=e.saver())
    return graph, [
        call({"x": 1}, thread(), checkpoint_during=True),
        call({"x": 1}, thread(), checkpoint_during=False),
        call({"x": 1}, thread(), checkpoint_during=True, durability="sync"),
    ]


@program(
    "entry.durability_without_saver", rows=("1.1:durability",), warns=True, matrix=Matrix.AS_WRITTEN
)
def durability_without_saver(e):
    return two(e), [call({"x": 1}, durability="async"), call({"x": 1}, durability="exit")]


@program(
    "entry.sync_durability_without_saver",
    rows=("1.1:durability",),
    matrix=Matrix.AS_WRITTEN,
    differs="sync-durability-without-saver",
)
def sync_durability_without_saver(e):
    return two(e), [call({"x": 1}, durability="sync")]


@program("entry.output_keys", rows=("1.1:output_keys", "1.3:output_key", "2.3:single_output_key"))
def output_keys(e):
    return two(e), [
        call({"x": 1}, output_keys="x"),
        call({"x": 1}, output_keys=["log"]),
        call({"x": 1}, output_keys=[]),
        call({"x": 1}, output_keys="nope"),
        call({"x": 1}, output_keys=["x", "nope"]),
        call({}, output_keys="x"),
    ]


@program(
    "entry.print_mode",
    rows=("1.1:print_mode", "1.4:print_format", "1.4:print_mode_adds_modes"),
    matrix=Matrix.AS_WRITTEN,
)
def print_mode(e):
    return two(e), [
        call({"x": 1}, print_mode="updates"),
        call({"x": 1}, print_mode=["values", "updates"], stream_mode="values"),
        call({"x": 1}, print_mode=("updates",), subgraphs=True),
        call({"x": 1}, print_mode="custom", stream_mode="updates"),
    ]


@program("entry.debug", rows=("1.1:debug", "1.4:debug_prints"), matrix=Matrix.AS_WRITTEN)
def debug(e):
    return two(e), [
        call({"x": 1}, debug=True),
        call({"x": 1}, debug=True, print_mode="custom", stream_mode="custom"),
        call({"x": 1}, debug=False, print_mode="values"),
    ]


@program("entry.compiled_debug", rows=("1.1:debug", "1.4:debug_prints"), matrix=Matrix.AS_WRITTEN)
def compiled_debug(e):
    return two(e, debug=True), [call({"x": 1}), call({"x": 1}, stream_mode=["values"])]


@program(
    "entry.invoke_modes",
    rows=(
        "1.3:v1_values",
        "1.3:v1_other_mode",
        "1.3:v2_values",
        "1.3:v2_other_mode",
        "1.3:graph_output_keys",
    ),
    matrix=Matrix.AS_WRITTEN,
)
def invoke_modes(e):
    return two(e), [
        call({"x": 1}, stream_mode=mode, version=version)
        for mode in ("values", "updates", ["values"], ["updates", "values"], "tasks", "custom")
        for version in ("v1", "v2")
    ]


@probe("entry.graph_output", rows=("1.3:graph_output_keys", "1.3:v2_values"), warns=True)
def graph_output(e, driver):
    output = invoke(driver, two(e), {"x": 1}, version="v2")
    return {
        "whole": output,
        "value": output.value,
        "item": attempt(lambda: output["x"]),
        "in": attempt(lambda: "x" in output),
        "not in": attempt(lambda: "zz" in output),
        "missing": attempt(lambda: output["zz"]),
        "interrupts": attempt(lambda: output["__interrupt__"]),
        "frozen": attempt(lambda: setattr(output, "value", 1)),
        "equal": output == invoke(driver, two(e), {"x": 1}, version="v2"),
    }


@program(
    "entry.nothing_written", rows=("1.3:nothing_written", "2.2:no_write_no_item", "1.3:v1_values")
)
def nothing_written(e):
    class S(TypedDict):
        x: int

    return wire(e, S, "START a END", a=lambda s: None).compile(), [call({}), call({"y": 1})]


@program("entry.v2_coercion", rows=("1.2:v2_coerced_values",))
def v2_coercion(e):
    class Model(BaseModel):
        a: int = 0
        log: Annotated[list, operator.add] = []

    @dataclass
    class Data:
        a: int = 0
        log: Annotated[list, operator.add] = field(default_factory=list)

    child = wire(e, Model, "START s END", s=...).compile()
    graph = wire(e, Model, "START n sub END", n=say("n", a=4), sub=child).compile()
    return graph, [call({"a": 1}), call(Model(a=2))]


@program(
    "entry.v2_coercion_of_children",
    rows=("1.2:v2_coercion_hazards",),
    matrix=Matrix.AS_WRITTEN,
    differs="v2-coercion",
)
def v2_coercion_of_children(e):
    @dataclass
    class Parent:
        a: int

    class Child(TypedDict):
        a: int
        z: int

    child = wire(e, Child, "START s END", s=lambda s: {"z": 1, "a": 2}).compile()
    graph = wire(e, Parent, "START sub END", sub=child).compile()
    return graph, [call({"a": 1}, stream_mode="values", version="v2", subgraphs=True)]


@probe(
    "entry.v2_coercion_of_missing_keys", rows=("1.2:v2_coercion_hazards",), differs="v2-coercion"
)
def v2_coercion_of_missing_keys(e, driver):
    class Model(BaseModel):
        a: int
        b: int

    builder = e.graph.StateGraph(Model)
    builder.add_node("n", lambda s: {"b": 2}, input_schema=Log)
    add_paths(builder, "START n END")
    graph = builder.compile()
    return stream(driver, graph, {"a": 1}, stream_mode="values", version="v2")


@program("entry.with_config", rows=("1.6:with_config",))
def with_config(e):
    def node(state, config):
        configurable = config["configurable"]
        return {
            "log": [
                configurable.get("user"),
                configurable.get("other"),
                config.get("tags"),
                config["metadata"].get("m"),
            ]
        }

    graph = wire(e, Log, "START a END", a=node).compile()
    bound = graph.with_config({"configurable": {"user": "bound"}, "tags": ["b"]}, metadata={"m": 1})
    return bound, [
        call({"x": 1}),
        call({"x": 1}, {"configurable": {"other": 2}, "tags": ["t"]}),
        call({"x": 1}, {"configurable": {"user": "call"}, "metadata": {"m": 2}}),
    ]


@probe("entry.batch", rows=("1.6:batch",))
def batch(e, driver):
    def node(state):
        if state["x"] == 2:
            raise ValueError("two")
        return {"log": [state["x"]]}

    graph = wire(e, Log, "START a END", a=node).compile()
    inputs = [{"x": n} for n in (1, 2, 3)]

    def run(values, **kwargs):
        if driver == "sync":
            return graph.batch(values, **kwargs)
        return asyncio.run(graph.abatch(values, **kwargs))

    return {
        "good": run([{"x": 1}, {"x": 3}]),
        "exceptions": run(inputs, return_exceptions=True),
        "raises": attempt(lambda: run(inputs)),
        "empty": run([]),
        "keywords": run([{"x": 1}], config={"tags": ["t"]}, output_keys="log"),
    }


@probe("entry.pipes", rows=("1.6:pipe", "1.6:transform"))
def pipes(e, driver):
    graph = two(e)
    before = RunnableLambda(lambda n: {"x": n})
    chain = before | graph | RunnableLambda(lambda s: s["log"])
    mapped = graph.map()

    async def consume(items):
        return [item async for item in items]

    def transform():
        if driver == "sync":
            return list(graph.transform(iter([{"x": 1}])))

        async def source():
            yield {"x": 1}

        return asyncio.run(consume(graph.atransform(source())))

    return {
        "invoke": invoke(driver, chain, 5),
        "stream": stream(driver, before | graph, 5),
        "last": attempt(lambda: stream(driver, chain, 5)),
        "map": invoke(driver, mapped, [{"x": 1}, {"x": 2}]),
        "bind": stream(driver, graph.bind(stream_mode="values"), {"x": 1}),
        "transform": attempt(transform),
        "pick": invoke(driver, graph.pick("log"), {"x": 1}),
        "assign": invoke(driver, graph.assign(y=lambda s: s["x"]), {"x": 1}),
    }


@probe("entry.retry_and_fallbacks", rows=("1.6:with_retry",))
def retry_and_fallbacks(e, driver):
    attempts = []

    def flaky(state):
        attempts.append(1)
        if len(attempts) == 1:
            raise ValueError("once")
        return {"log": [len(attempts)]}

    graph = wire(e, Log, "START a END", a=flaky).compile()
    bad = wire(e, Log, "START a END", a=fail(ValueError("always"))).compile()
    retried = graph.with_retry(stop_after_attempt=2, wait_exponential_jitter=False)
    return {
        "retry": attempt(lambda: invoke(driver, retried, {"x": 1})),
        "fallbacks": attempt(lambda: invoke(driver, bad.with_fallbacks([graph]), {"x": 1})),
        "name": [graph.get_name(), two(e, name="named").get_name(), two(e).name],
    }


@probe("entry.attributes", rows=("1.6:attributes", "1.6:schemas"))
def attributes(e, driver):
    graph = two(e)
    return {
        "nodes": list(graph.nodes),
        "channels": {name: type(channel).__name__ for name, channel in graph.channels.items()},
        "modes": [
            graph.stream_mode,
            graph.stream_channels,
            graph.output_channels,
            graph.input_channels,
            graph.stream_channels_list,
            graph.stream_channels_asis,
        ],
        "rest": [
            graph.checkpointer,
            graph.store,
            graph.cache,
            graph.name,
            graph.step_timeout,
            graph.context_schema,
            graph.config,
            graph.debug,
        ],
        "copy": graph.copy({"name": "other"}).name,
        "builder": type(graph.builder).__name__,
        "input": graph.get_input_jsonschema(),
        "output": graph.get_output_jsonschema(),
        "triggers": {name: list(node.triggers) for name, node in graph.nodes.items()},
        "subgraphs": [name for name, _ in graph.get_subgraphs()],
    }


@program("entry.callable_input", rows=("1.1:input",))
def input_kinds(e):
    class In(BaseModel):
        x: int = 3
        log: list = []
        other: int = 0

    builder = e.graph.StateGraph(Log, input_schema=In)
    builder.add_node("a", say("a"))
    add_paths(builder, "START a END")
    return builder.compile(), [call(In()), call(In(x=4)), call({"x": 5}), call({"x": "zz"})]
