"""What plain callback handlers are told of a graph, its nodes, paths, tasks and nested graphs.

No `from __future__ import annotations` here: schemas are read at run time.
"""

import asyncio

from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler, CallbackManager
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_core.tools import tool
from langchain_core.tracers.base import BaseTracer

from differential.kit import Log, fail, say, thread, wire
from differential.models import Typist
from differential.registry import attempt, invoke, probe
from differential.render import mask
from differential.threads import asking

ROWS = ("7.12:callback_runs",)
POLICY_ROWS = ("7.12:trace_policy",)


class Told:
    """What a handler heard, and the names of the runs by id."""

    def __init__(self):
        self.lines = []
        self.names = {}

    def start(self, kind, payload, *, run_id, parent_run_id, tags, metadata, name=None, **kwargs):
        self.names[run_id] = name
        parent = self.names.get(parent_run_id, parent_run_id and "unknown")
        extra = sorted(kwargs)
        self.lines.append((kind, name, parent, tags, payload, {"metadata": metadata}, extra))

    def later(self, kind, payload, *, run_id, parent_run_id, tags, **kwargs):
        parent = self.names.get(parent_run_id)
        self.lines.append((kind, self.names.get(run_id), parent, tags, payload, sorted(kwargs)))


class Hearing:
    """The methods of a handler that notes what it hears."""

    raise_error = True

    def __init__(self):
        self.told = Told()

    def on_chain_start(self, serialized, inputs, **kwargs):
        self.told.start("start", (serialized, inputs), **kwargs)

    def on_chain_end(self, outputs, **kwargs):
        self.told.later("end", outputs, **kwargs)

    def on_chain_error(self, error, **kwargs):
        self.told.later("error", (type(error).__name__, str(error)), **kwargs)

    def on_tool_start(self, serialized, input_str, **kwargs):
        self.told.start("tool", input_str, **kwargs)

    def on_tool_end(self, output, **kwargs):
        self.told.later("tool end", output, **kwargs)

    def on_tool_error(self, error, **kwargs):
        self.told.later("tool error", str(error), **kwargs)

    def on_chat_model_start(self, serialized, messages, **kwargs):
        self.told.start("model", len(messages), **kwargs)

    def on_llm_end(self, response, **kwargs):
        self.told.later("model end", response.generations[0][0].text, **kwargs)


class Handler(Hearing, BaseCallbackHandler):
    """Hears in the thread of what runs."""

    run_inline = True


def _awaited(name):
    async def method(self, *args, **kwargs):
        getattr(Hearing, name)(self, *args, **kwargs)

    return method


class AsyncHandler(Hearing, AsyncCallbackHandler):
    """Hears with coroutines."""

    for _name in [name for name in vars(Hearing) if name.startswith("on_")]:
        locals()[_name] = _awaited(_name)


def heard(driver, graph, *inputs, config=None, handler=None, **kwargs):
    """Run the graph for each input and return what a handler is told, and the results."""
    handler = handler or Handler()
    for given in inputs:
        made = {**(config or {}), "callbacks": [handler]}
        result = attempt(lambda: invoke(driver, graph, given, made, **kwargs))  # noqa: B023
        handler.told.lines.append(("result", result))
    return handler.told.lines


@probe("callbacks.graph", rows=ROWS)
def plain(e, driver):
    graph = wire(e, Log, "START a b END", a=..., b=...).compile()
    return heard(driver, graph, {"x": 1})


@probe("callbacks.names_tags_metadata", rows=ROWS)
def names_tags_metadata(e, driver):
    inner = RunnableLambda(say("inside")).with_config(tags=["own"], metadata={"k": 1})
    graph = wire(e, Log, "START a b END", a=(..., {"metadata": {"of": "a"}}), b=inner)
    config = {
        **thread(user=3),
        "run_name": "mine",
        "tags": ["t1", "t2", "graph:step:9"],
        "metadata": {"m": 1, "of": "config"},
    }
    compiled = graph.compile(checkpointer=e.saver(), name="named")
    bound = compiled.with_config({"tags": ["bound"], "metadata": {"n": 2}})
    return [
        *heard(driver, compiled, {"x": 1}, config=config),
        *heard(driver, compiled, {"x": 1}, config=thread("2")),
        *heard(driver, bound, {"x": 1}, config={**config, **thread("3")}),
    ]


@probe("callbacks.paths", rows=ROWS)
def paths(e, driver):
    def route(state):
        return "b" if "b" not in state["log"] else "__end__"

    class Routing:
        def __call__(self, state):
            return ["c", e.types.Send("d", {"x": 7})]

    graph = wire(e, Log, "START a", "c END", "d END", a=..., b=..., c=..., d=...)
    graph.add_conditional_edges("__start__", lambda state: "b")
    graph.add_conditional_edges("a", route)
    graph.add_conditional_edges("b", Routing(), ["c", "d"])
    graph.add_conditional_edges("b", RunnableLambda(lambda state: "__end__", name="third"))
    graph = graph.compile()
    lines = heard(driver, graph, {"x": 1}, config={"tags": ["t"], "max_concurrency": 1})
    return sorted(mask(repr(line)) for line in lines)


@probe("callbacks.paths_in_order", rows=ROWS)
def paths_in_order(e, driver):
    def route(state):
        return "b"

    async def aroute(state):
        return "b"

    def broken(state):
        raise ValueError("no way")

    found = []
    for path in (route, broken, *((aroute,) if driver == "async" else ())):
        graph = wire(e, Log, "START a", "b END", a=..., b=...)
        graph.add_conditional_edges("a", path)
        found += heard(driver, graph.compile(), {"x": 1})
    graph = wire(e, Log, "START a", "a b END", a=..., b=..., c=...)
    graph.add_edge(["a", "b"], "c")
    graph.add_conditional_edges("a", route)
    graph.add_conditional_edges("a", lambda state: "b")
    found += heard(driver, graph.compile(), {"x": 1})
    return found


@probe("callbacks.nested", rows=ROWS)
def nested(e, driver):
    inner = wire(e, Log, "START i END", i=...).compile(name="inner graph")

    def calling(state):
        return {"log": inner.invoke({"x": 5})["log"]}

    async def acalling(state):
        return {"log": (await inner.ainvoke({"x": 5}))["log"]}

    call = calling if driver == "sync" else acalling
    graph = wire(e, Log, "START sub call END", sub=inner, call=call).compile()
    return heard(driver, graph, {"x": 1}, config={"tags": ["t"], "run_name": "outer"})


@probe("callbacks.inside_a_node", rows=ROWS)
def inside_a_node(e, driver):
    step = RunnableLambda(lambda x: x, name="step")

    def node(state, config):
        step.invoke(1)
        step.invoke(2, config)
        step.invoke(3, {"run_name": "other", "tags": ["mine"]})
        return {"log": [config["tags"], config["metadata"]["langgraph_node"]]}

    async def anode(state, config):
        await step.ainvoke(1)
        return {"log": [1]}

    chain = RunnablePassthrough() | RunnableLambda(say("chain"))
    nodes = {"n": node, "chain": chain, "an": node if driver == "sync" else anode}
    graph = wire(e, Log, "START n chain an END", **nodes).compile()
    return heard(driver, graph, {"x": 1}, config={"tags": ["t"]})


@probe("callbacks.passing_on", rows=ROWS)
def passing_on(e, driver):
    """A node that is told to pass its input on is a run, one that has nothing to run is none."""
    graph = wire(e, Log, "START p END", p=RunnablePassthrough()).compile()
    nothing = e.pregel.NodeBuilder().subscribe_only("a").write_to("b")
    something = e.pregel.NodeBuilder().subscribe_only("b").do(RunnablePassthrough()).write_to("c")
    raw = e.pregel.Pregel(
        nodes={"nothing": nothing, "something": something},
        channels={name: e.channels.EphemeralValue(int) for name in "abc"},
        input_channels="a",
        output_channels="c",
    )
    return heard(driver, graph, {"x": 1}), heard(driver, raw, 1)


@probe("callbacks.models_and_tools", rows=ROWS)
def models_and_tools(e, driver):
    @tool
    def double(x: int) -> int:
        """Double it."""
        return 2 * x

    model = Typist()

    def node(state):
        return {"log": [double.invoke({"x": 2}), model.invoke("hi").content]}

    graph = wire(e, Log, "START n END", n=node).compile()
    return heard(driver, graph, {"x": 1})


@probe("callbacks.failures", rows=ROWS)
def failures(e, driver):
    graph = wire(e, Log, "START a bad END", a=..., bad=fail(ValueError("no"))).compile()
    inner = wire(e, Log, "START bad END", bad=fail(ValueError("no"))).compile()
    outer = wire(e, Log, "START inner END", inner=inner).compile()
    looping = wire(e, Log, "START a a", a=...).compile()
    odd = wire(e, Log, "START a END", a=lambda state: 7).compile()
    return [
        *heard(driver, graph, {"x": 1}),
        *heard(driver, outer, {"x": 1}),
        *heard(driver, looping, {"x": 1}, config={"recursion_limit": 2}),
        *heard(driver, odd, {"x": 1}),
        *heard(driver, graph, {}),
        *heard(driver, graph, {"x": 1}, config={"recursion_limit": 0}),
    ]


@probe("callbacks.retries", rows=ROWS)
def retries(e, driver):
    tries = []

    def node(state):
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError(str(len(tries)))
        return {"log": ["done"]}

    policy = e.types.RetryPolicy(initial_interval=0.0, jitter=False)
    graph = wire(e, Log, "START n END", n=(node, {"retry_policy": policy})).compile()
    return heard(driver, graph, {"x": 1})


@probe("callbacks.error_handlers", rows=ROWS)
def error_handlers(e, driver):
    def handle(state, error):
        return {"log": [repr(error.error)]}

    graph = wire(e, Log, "START n END", n=(fail(ValueError("no")), {"error_handler": handle}))
    return heard(driver, graph.compile(), {"x": 1})


@probe("callbacks.questions", rows=ROWS)
def questions(e, driver):
    graph = wire(e, Log, "START a ask END", a=..., ask=asking(e, "q"))
    command = e.types.Command
    compiled = graph.compile(checkpointer=e.saver())
    inner = wire(e, Log, "START ask END", ask=asking(e, "q")).compile()
    outer = wire(e, Log, "START sub END", sub=inner).compile(checkpointer=e.saver())
    stops = graph.compile(checkpointer=e.saver(), interrupt_before=["ask"])
    return [
        *heard(driver, compiled, {"x": 1}, command(resume="A"), config=thread()),
        *heard(driver, outer, {"x": 1}, command(resume="A"), config=thread()),
        *heard(driver, stops, {"x": 1}, None, config=thread()),
    ]


@probe("callbacks.commands", rows=ROWS)
def commands(e, driver):
    command = e.types.Command

    def go(state):
        return command(update={"log": ["go"]}, goto=["b", e.types.Send("b", {"x": 3})])

    def up(state):
        return command(graph=command.PARENT, update={"log": ["up"]}, goto="b")

    inner = wire(e, Log, "START up END", up=up).compile()
    first = wire(e, Log, "START go", "b END", go=go, b=...).compile()
    second = wire(e, Log, "START inner", "b END", inner=inner, b=...).compile()
    return [
        sorted(mask(repr(line)) for line in heard(driver, first, {"x": 1})),
        *heard(driver, second, {"x": 1}),
    ]


@probe("callbacks.tasks", rows=ROWS)
def tasks(e, driver):
    @e.func.task
    def add(x, y=1):
        return x + y

    @e.func.task(name="named")
    async def aadd(x, *more, y=1):
        return x + y

    @e.func.task
    def broken(x):
        raise ValueError("no")

    @e.func.entrypoint()
    def flow(n):
        return add(n, y=2).result() + add(add(n).result()).result()

    @e.func.entrypoint()
    async def aflow(n):
        return await aadd(n, 7, y=2) + await add(n)

    @e.func.entrypoint()
    def failing(n):
        return broken(n).result()

    @e.func.entrypoint()
    async def afailing(n):
        return await broken(n)

    flows = (flow, failing) if driver == "sync" else (aflow, afailing)
    return [line for graph in flows for line in heard(driver, graph, 1, config={"tags": ["t"]})]


@probe("callbacks.tasks_of_nodes", rows=ROWS)
def tasks_of_nodes(e, driver):
    step = RunnableLambda(lambda x: x, name="step")

    @e.func.task
    def twice(x):
        return step.invoke(2 * x)

    def node(state):
        return {"log": [twice(state["x"]).result()]}

    async def anode(state):
        return {"log": [await twice(state["x"])]}

    graph = wire(e, Log, "START n END", n=node if driver == "sync" else anode).compile()
    return heard(driver, graph, {"x": 1})


@probe("callbacks.async_handler", rows=ROWS, drivers=("async",))
def async_handler(e, driver):
    inner = wire(e, Log, "START i END", i=...).compile()

    async def node(state):
        return {"log": [1]}

    graph = wire(e, Log, "START a n sub", a=..., n=node, sub=inner)
    graph.add_conditional_edges("sub", lambda state: "__end__")
    return heard(driver, graph.compile(), {"x": 1}, handler=AsyncHandler())


@probe("callbacks.places", rows=ROWS)
def places(e, driver):
    """Handlers in a manager, bound to the graph, given inside a node, or bound to a node."""
    told = []

    class Named(BaseCallbackHandler):
        run_inline = True

        def __init__(self, label):
            self.label = label

        def on_chain_start(self, serialized, inputs, *, name=None, **kwargs):
            told.append((self.label, name))

    inner = wire(e, Log, "START i END", i=...).compile()

    def node(state):
        inner.invoke(state, {"callbacks": [Named("inside")]})

    manager = CallbackManager([Named("once")])
    manager.add_handler(Named("inherited"), inherit=True)
    bound = RunnableLambda(say("b")).with_config(callbacks=[Named("of the node")])
    graph = wire(e, Log, "START node b END", node=node, b=bound).compile()
    graph = graph.with_config({"callbacks": [Named("bound")]})
    invoke(driver, graph, {"x": 1}, {"callbacks": manager})
    return told


@probe("callbacks.outputs", rows=ROWS)
def outputs(e, driver):
    """What the graph's own run is said to have returned."""
    graph = wire(e, Log, "START a END", a=...).compile()
    found = []
    for mode in ("values", "updates", "debug", ["values", "updates"]):
        found += heard(driver, graph, {"x": 1}, stream_mode=mode)[-2:]
    found += heard(driver, graph, {"x": 1}, output_keys=["x"])[-2:]
    found += heard(driver, graph, {"x": 1}, output_keys="log")[-2:]
    found += heard(driver, graph, {"x": 1}, version="v2")[-2:]
    return found


class Recorder(BaseTracer):
    """A tracer that keeps what it would send."""

    def __init__(self):
        super().__init__()
        self.runs = []

    def _persist_run(self, run):
        self._note(run)

    def _note(self, run, depth=0):
        self.runs.append((depth, run.name, run.inputs, run.outputs, (run.error or "")[:20]))
        for child in run.child_runs:
            self._note(child, depth + 1)


def _shown(value):
    return {"shown": sorted(value)} if isinstance(value, dict) else {"shown": type(value).__name__}


@probe("callbacks.trace_policy", rows=POLICY_ROWS)
def trace_policy(e, driver):
    policy, omit = e.types.TracePolicy, e.types.omit_payload
    found = []
    for given in (
        None,
        policy(),
        policy(process_inputs=omit),
        policy(process_outputs=omit),
        policy(process_inputs=_shown, process_outputs=_shown),
        policy(process_inputs=lambda value: 7, process_outputs=lambda value: "text"),
        policy(process_outputs=lambda value: 1 / 0),
        policy(process_inputs=lambda value: 1 / 0),
    ):
        graph = wire(e, Log, "START a b END", a=(..., {"trace_policy": given}), b=...).compile()
        recorder, handler = Recorder(), Handler()
        config = {"callbacks": [recorder, handler]}
        found.append(attempt(lambda: invoke(driver, graph, {"x": 1}, config)))  # noqa: B023
        found += [recorder.runs, [line[:5] for line in handler.told.lines]]
    return found


@probe("callbacks.trace_policy_nested", rows=POLICY_ROWS)
def trace_policy_nested(e, driver):
    """A policy is the node's: what runs inside it, and its edges, are shown as they are."""
    policy, omit = e.types.TracePolicy, e.types.omit_payload
    given = {"trace_policy": policy(process_inputs=omit, process_outputs=omit)}
    step = RunnableLambda(lambda x: x, name="step")
    inner = wire(e, Log, "START i END", i=lambda state: step.invoke(state)).compile()
    graph = wire(e, Log, "START sub bad", sub=(inner, given), bad=(fail(ValueError("x")), given))
    graph.add_conditional_edges("sub", lambda state: "bad")
    recorder = Recorder()
    attempt(lambda: invoke(driver, graph.compile(), {"x": 1}, {"callbacks": [recorder]}))
    return recorder.runs


@probe("callbacks.tracer_and_streams", rows=POLICY_ROWS)
def tracer_and_streams(e, driver):
    policy, omit = e.types.TracePolicy, e.types.omit_payload
    given = {"trace_policy": policy(process_inputs=omit, process_outputs=omit)}
    graph = wire(e, Log, "START a END", a=(..., given)).compile()
    recorder = Recorder()
    config = {"callbacks": [recorder]}

    async def events():
        return [
            (item["event"], item["name"], item["data"])
            async for item in graph.astream_events({"x": 1}, config, version="v2")
        ]

    return [asyncio.run(events()), recorder.runs]
