"""What a node is given: parameters by name and annotation, accessors, runtime, context, store.

No `from __future__ import annotations` here: signatures are read at run time.
"""

import asyncio
import contextvars
import functools
import threading
from dataclasses import dataclass
from typing import Any, Optional

from langchain_core.runnables import RunnableConfig, RunnableLambda, RunnablePassthrough
from langgraph.store.base import BaseStore

from differential.kit import Log, add_paths, say, thread, wire
from differential.registry import Matrix, attempt, call, invoke, probe, program, stream


def facts(config):
    """Return the part of a config that is meant for nodes."""
    hidden = ("__", "checkpoint_map")
    configurable = {
        k: v for k, v in config.get("configurable", {}).items() if not k.startswith(hidden)
    }
    rest = ("metadata", "tags", "recursion_limit", "max_concurrency", "run_name")
    return {**{k: config[k] for k in rest if k in config}, "configurable": configurable}


@program("given.config", rows=("4.1:config", "1.1:config"))
def config_parameter(e):
    def node(state, config: RunnableConfig):
        return {"log": [facts(config), sorted(config)]}

    graph = wire(e, Log, "START a END", a=(node, {"metadata": {"m": 1}})).compile()
    return graph, [
        call({"x": 1}),
        call(
            {"x": 1},
            {
                "configurable": {"user": "u"},
                "tags": ["t"],
                "metadata": {"n": 2},
                "recursion_limit": 9,
                "max_concurrency": 3,
                "run_name": "r",
            },
        ),
    ]


@program("given.config_annotations", rows=("4.1:config", "4.1:annotations"), unordered=True)
def config_annotations(e):
    def bare(state, config):
        return {"log": [type(config).__name__]}

    def optional(state, config: Optional[RunnableConfig] = None):
        return {"log": [type(config).__name__]}

    def union(state, *, config: RunnableConfig | None):
        return {"log": [type(config).__name__]}

    def string(state, config: "RunnableConfig"):
        return {"log": [type(config).__name__]}

    graph = wire(
        e,
        Log,
        *(f"START {n} END" for n in ("bare", "optional", "union", "string")),
        bare=bare,
        optional=optional,
        union=union,
        string=string,
    )
    return graph.compile(), [call({"x": 1})]


@program(
    "given.wrong_annotations",
    rows=("4.1:annotations", "4.1:unknown_parameter"),
    warns=True,
    matrix=Matrix.BRIEF,
)
def wrong_annotations(e):
    def config(state, config: dict):
        return {"log": ["config"]}

    def writer(state, writer: Any):
        return {"log": ["writer"]}

    def unknown(state, other):
        return {"log": ["other"]}

    def default(state, other=3, *args, **kwargs):
        return {"log": [other, args, kwargs]}

    actions = {"config": config, "writer": writer, "unknown": unknown, "default": default}
    builder = wire(e, Log, *(f"{name} END" for name in actions), **actions)
    builder.set_conditional_entry_point(lambda s: list(actions)[s["x"]])
    return builder.compile(), [call({"x": n}) for n in range(4)]


@program("given.writer", rows=("4.1:writer", "2.4:payload", "2.4:order"))
def writer_parameter(e):
    def node(state, writer: e.types.StreamWriter):
        writer("first")
        writer({"second": 2})
        return {"log": [writer(None)]}

    graph = wire(e, Log, "START a b END", a=node, b=node).compile()
    return graph, [call({"x": 1})]


@program(
    "given.async_writer",
    rows=("4.1:writer", "2.4:order"),
    drivers=("async",),
    differs="async-accessors-on-3.10",
)
def async_writer(e):
    async def node(state, *, writer):
        writer(("third", 3))
        await asyncio.sleep(0)
        writer([4])
        return {"log": ["done"]}

    return wire(e, Log, "START a b END", a=node, b=node).compile(), [call({"x": 1})]


@program(
    "given.runtime",
    rows=("4.1:runtime", "4.5:runtime_fields", "4.1:previous", "4.1:store", "1.1:context"),
)
def runtime_parameter(e):
    @dataclass
    class Context:
        user: str = "nobody"

    def node(state, runtime: e.runtime.Runtime[Context], previous, store: Optional[BaseStore]):
        runtime.heartbeat()
        runtime.stream_writer("from runtime")
        return {
            "log": [
                runtime.context,
                previous,
                type(store).__name__,
                runtime.store is store,
                runtime.previous,
                runtime.server_info,
                runtime.drain_requested,
                runtime.drain_reason,
                type(runtime.control).__name__,
            ]
        }

    builder = e.graph.StateGraph(Log, context_schema=Context)
    builder.add_node("a", node)
    add_paths(builder, "START a END")
    return builder.compile(), [
        call({"x": 1}),
        call({"x": 1}, context={"user": "u"}),
        call({"x": 1}, context=Context("v")),
    ]


@program("given.execution_info", rows=("4.5:execution_info", "4.5:run_id"))
def execution_info(e):
    def node(state, runtime):
        info = runtime.execution_info
        return {
            "log": [
                [
                    info.checkpoint_id,
                    info.checkpoint_ns,
                    info.task_id,
                    info.thread_id,
                    info.run_id,
                    info.node_attempt,
                    type(info.node_first_attempt_time).__name__,
                ]
            ]
        }

    child = wire(e, Log, "START inner END", inner=node).compile()
    graph = wire(e, Log, "START a sub END", a=node, sub=child).compile(checkpointer=e.saver())
    run = "12345678-1234-1234-1234-123456789012"
    return graph, [call({"x": 1}, thread()), call({"x": 1}, {**thread("2"), "run_id": run})]


@program("given.execution_info_without_saver", rows=("4.5:execution_info", "4.5:server_info"))
def execution_info_without_saver(e):
    def node(state, runtime):
        info, server = runtime.execution_info, runtime.server_info
        return {
            "log": [
                info.thread_id,
                info.node_attempt,
                info.task_id,
                info.checkpoint_ns,
                server and (server.assistant_id, server.graph_id, server.user),
            ]
        }

    graph = wire(e, Log, "START a END", a=node).compile()
    return graph, [
        call({"x": 1}),
        call({"x": 1}, {"configurable": {"assistant_id": "as", "graph_id": "g"}}),
        call({"x": 1}, {"configurable": {"thread_id": "t"}}),
    ]


@program("given.inherited", rows=("4.5:inherited", "7.8:store"))
def inherited(e):
    def node(state, runtime, store):
        found = store.get(("n",), "k") if store else None
        return {"log": [runtime.context, found and found.value]}

    def put(state, store):
        store.put(("n",), "k", {"v": state["x"]})

    child = wire(e, Log, "START inner END", inner=node).compile()
    graph = wire(
        e,
        Log,
        "START put a sub call END",
        put=put,
        a=node,
        sub=child,
        call=lambda s: {"log": child.invoke({"x": 2})["log"]},
    )
    return graph.compile(store=e.store()), [call({"x": 1}, context={"c": 1}), call({"x": 1})]


@program("given.accessors", rows=("4.2:accessors", "7.8:store"))
def accessors(e):
    def node(state):
        e.config.get_stream_writer()("written")
        runtime = e.runtime.get_runtime()
        return {
            "log": [
                facts(e.config.get_config())["metadata"]["langgraph_node"],
                e.config.get_store() is runtime.store,
                runtime.context,
            ]
        }

    graph = wire(e, Log, "START a b END", a=node, b=node).compile(store=e.store())
    return graph, [call({"x": 1}, context="c")]


@program(
    "given.async_accessors",
    rows=("4.2:accessors", "4.2:context_propagation"),
    drivers=("async",),
    differs="async-accessors-on-3.10",
)
def async_accessors(e):
    async def deeper():
        e.config.get_stream_writer()("deeper")
        return e.config.get_config()["metadata"]["langgraph_step"]

    async def node(state):
        step = await asyncio.create_task(deeper())
        in_thread = await asyncio.to_thread(
            lambda: e.config.get_config()["metadata"]["langgraph_node"]
        )
        return {"log": [step, in_thread]}

    return wire(e, Log, "START a b END", a=node, b=node).compile(), [call({"x": 1})]


@program("given.context_variables", rows=("4.2:context_propagation",))
def context_variables(e):
    variable = contextvars.ContextVar("variable", default="unset")

    def node(state):
        before = variable.get()
        variable.set("set by node")
        return {"log": [before]}

    return wire(e, Log, "START a b END", a=node, b=node).compile(), [call({"x": 1})]


@program("given.metadata_and_tags", rows=("2.7:metadata",))
def metadata_and_tags(e):
    graph = wire(e, Log, "START a b END", a=(say("a"), {"metadata": {"mm": 1, "u": 0}}), b=...)
    compiled = graph.compile()
    return compiled, [
        call({"x": 1}, {"metadata": {"u": 1, "langgraph_x": 2, "thread_id": "t"}, "tags": ["t"]}),
        call({"x": 1}, {"configurable": {"user": "x"}}),
    ]


@program("given.callable_kinds", rows=("4.1:callables", "4.1:state"))
def callable_kinds(e):
    class Node:
        def __call__(self, state, config: RunnableConfig):
            return {"log": ["object", type(config).__name__]}

        def method(self, anything, *, runtime):
            return {"log": ["method", type(runtime).__name__]}

        @staticmethod
        def static(state):
            return {"log": ["static"]}

    def partial(first, state, writer, *, extra):
        writer(first)
        return {"log": [first, extra]}

    graph = wire(
        e,
        Log,
        "START a b c d f END",
        a=Node(),
        b=Node().method,
        c=Node.static,
        d=functools.partial(partial, "bound", extra=2),
        f=lambda state, config: {"log": [type(config).__name__]},
    )
    return graph.compile(), [call({"x": 1})]


@program("given.runnables", rows=("4.1:runnable", "4.1:dict", "4.1:returned_runnable"))
def runnables(e):
    graph = wire(
        e,
        Log,
        "START a b c d END",
        a=RunnableLambda(lambda s: {"log": ["lambda"]}),
        b=RunnablePassthrough.assign(x=lambda s: s["x"] + 1),
        c={"x": lambda s: s["x"] * 10, "log": RunnableLambda(lambda s: ["parallel"])},
        d=lambda s: RunnableLambda(lambda t: {"log": [sorted(t)]}),
    )
    return graph.compile(), [call({"x": 1})]


@program("given.generators", rows=("4.1:generator",))
def generators(e):
    def node(state):
        yield {"x": 2}
        yield {"x": 3, "log": ["last"]}

    def logs(state):
        yield {"log": ["one"]}
        yield {"log": ["two"]}

    return wire(e, Log, "START a b END", a=node, b=logs).compile(), [call({"x": 1})]


@program("given.async_generators", rows=("4.1:generator",))
def async_generators(e):
    async def node(state):
        yield {"x": 2}
        await asyncio.sleep(0)
        yield {"x": 3, "log": ["last"]}

    return wire(e, Log, "START a END", a=node).compile(), [call({"x": 1})]


@program("given.async_only", rows=("4.1:async_only",))
def async_only(e):
    async def p(state):
        return {"log": ["p"]}

    return wire(e, Log, "START p END", p=p).compile(), [call({"x": 1})]


@program("given.error_outside_handler", rows=("4.1:error",))
def error_outside_handler(e):
    def node(state, error: e.errors.NodeError):
        return {"log": [error]}

    return wire(e, Log, "START a END", a=node).compile(), [call({"x": 1})]


@program("given.store_parameter", rows=("4.1:store", "7.8:store"))
def store_parameter(e):
    def node(state, store: BaseStore):
        store.put(("a",), "k", {"n": state["x"]})
        return {"log": [[item.value for item in store.search(("a",))]]}

    def optional(state, *, store: BaseStore | None):
        return {"log": [store is None]}

    graph = wire(e, Log, "START a b END", a=node, b=optional)
    return graph.compile(store=e.store()), [call({"x": 1})]


@program("given.missing_store", rows=("4.1:store",))
def missing_store(e):
    def node(state, store: Optional[BaseStore] = None):
        return {"log": [store]}

    def needed(state, store: BaseStore):
        return {"log": [store]}

    return wire(e, Log, "START a b END", a=node, b=needed).compile(), [call({"x": 1})]


@probe("given.outside_a_run", rows=("4.2:outside_a_run",))
def outside_a_run(e, driver):
    return {
        "config": attempt(e.config.get_config),
        "writer": attempt(e.config.get_stream_writer),
        "store": attempt(e.config.get_store),
        "runtime": attempt(e.runtime.get_runtime),
    }


@probe("given.raw_threads", rows=("4.3:raw_thread",), differs="writer-outside-context")
def raw_threads(e, driver):
    def node(state, writer):
        outcome = []
        worker = threading.Thread(target=lambda: outcome.append(attempt(lambda: writer("thread"))))
        worker.start()
        worker.join()
        return {"log": outcome}

    graph = wire(e, Log, "START a END", a=node).compile()
    return stream(driver, graph, {"x": 1}, stream_mode=["custom", "updates"])


@probe("given.unsupported_nodes", rows=("4.1:unsupported",))
def unsupported_nodes(e, driver):
    def add(action):
        return lambda: type(e.graph.StateGraph(Log).add_node("a", action)).__name__

    return {
        "number": attempt(add(5)),
        "none": type(attempt(add(None))).__name__,
        "string": attempt(add("text")),
        "list": attempt(add([])),
    }


@probe("given.callback_order", rows=("4.1:config",))
def callback_order(e, driver):
    from langchain_core.callbacks import BaseCallbackHandler

    seen = []

    class Handler(BaseCallbackHandler):
        run_inline = True

        def on_chain_start(self, serialized, inputs, *, tags=None, metadata=None, **kwargs):
            seen.append(["start", kwargs.get("name"), inputs, sorted(tags or ())])

        def on_chain_end(self, outputs, **kwargs):
            seen.append(["end", outputs])

        def on_chain_error(self, error, **kwargs):
            seen.append(["error", error])

    def bad(state):
        raise ValueError("boom")

    graph = wire(e, Log, "START a bad END", a=..., bad=bad).compile()
    seen.append(attempt(lambda: invoke(driver, graph, {"x": 1}, {"callbacks": [Handler()]})))
    return seen
