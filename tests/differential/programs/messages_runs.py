"""`messages` mode through a run: silence, metadata, pushed messages, failures, retries.

No `from __future__ import annotations` here: signatures are read at run time.
"""

from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.runnables import RunnableConfig

from differential.kit import thread, wire
from differential.models import AsyncTypist, Typist, Whole
from differential.programs.messages import (
    HELLO,
    SPOKEN,
    SPOKEN_AND_SAVED,
    TOGETHER,
    aasking,
    asking,
    chat,
    spoken,
)
from differential.programs.messages_nested import child
from differential.registry import call, program

LOUD = {
    "tags": ["run"],
    "metadata": {"user": "u", "n": 1, "langgraph_node": "mine"},
    "run_name": "named",
    "configurable": {"plain": 1, "user_id": "x", "assistant_id": "a", "graph_id": "g"},
}


@spoken("messages.metadata", modes=SPOKEN_AND_SAVED, matrix=TOGETHER, rows=(
    "3.7:token", "3.7:node_end", "3.7:tags", "3.7:configurable", "3.7:config_metadata",
    "3.7:saver",
))  # fmt: skip
def metadata(e):
    def node(state, config: RunnableConfig):
        model = Typist(tags=["made"], metadata={"model": 1, "n": 2}).with_config(tags=["bound"])
        said = model.invoke("x", {"tags": ["call"], "metadata": {"call": 1, "n": 3}})
        passed = Whole(tags=["made"]).invoke("x", {**config, "metadata": {"passed": 1}})
        e.message.push_message(AIMessage("pushed", id="p"))
        return {"messages": [said, passed, AIMessage("own", id="own")]}

    nodes = {
        "a": (node, {"metadata": {"node": 1, "n": 4}}),
        "sub": (child(e), {"metadata": {"outer": 1}}),
    }
    saved = wire(e, chat(e), "START a sub END", **nodes).compile(checkpointer=e.saver())
    config = {**LOUD, "configurable": {**LOUD["configurable"], "thread_id": "t", "run_id": "r"}}
    return saved, [call(HELLO, config), call(HELLO, thread("other"))]


@spoken("messages.temperature", modes=("messages",), matrix=TOGETHER, rows=("3.7:token",))
def temperature(e):
    class Tuned(Typist):
        temperature: float = 0.5
        model_name: str = "tuned-1"

        @property
        def _identifying_params(self):
            return {"size": 3}

    nodes = {"a": asking(Tuned()), "b": asking(Tuned(), stop=["x"])}
    return wire(e, chat(e), "START a b END", **nodes).compile(), [call(HELLO, {"tags": ["t"]})]


@spoken("messages.without_saver", modes=SPOKEN, matrix=TOGETHER, rows=("3.7:configurable",))
def without_saver(e):
    return wire(e, chat(e), "START a END", a=asking(Typist())).compile(), [
        call(HELLO, LOUD),
        call(HELLO, thread("unsaved", checkpoint_id="", plain=True)),
    ]


@spoken("messages.nostream", modes=SPOKEN, matrix=TOGETHER, rows=(
    "3.8:nostream", "3.8:nostream_returned",
))  # fmt: skip
def nostream(e):
    quiet = "nostream"
    nodes = {
        "made": asking(Typist(tags=[quiet])),
        "bound": asking(Typist().with_config(tags=[quiet])),
        "whole": asking(Whole(tags=[quiet, "other"])),
        "hidden": lambda s: {"log": [Typist(tags=[quiet], fixed="n").invoke("x").content]},
        "asked": lambda s: {"log": [Typist().invoke("x", {"tags": [quiet]}).content]},
    }
    return wire(e, chat(e), f"START {' '.join(nodes)} END", **nodes).compile(), [call(HELLO)]


@spoken("messages.nostream_inherited", modes=SPOKEN, matrix=TOGETHER, rows=(
    "3.8:nostream_inherited",
))  # fmt: skip
def nostream_inherited(e):
    nodes = {"a": asking(Typist()), "b": lambda s: {"log": [Typist().invoke("x").content]}}
    graph = wire(e, chat(e), "START a b END", **nodes).compile()
    return graph, [call(HELLO, {"tags": ["nostream"]})]


@spoken("messages.hidden", modes=SPOKEN, matrix=TOGETHER, rows=(
    "3.8:hidden_model", "3.8:hidden_node",
))  # fmt: skip
def hidden(e):
    graph = wire(e, chat(e), "START a END", a=asking(Typist(tags=["langsmith:hidden"])))
    return graph.compile(), [call({"messages": [AIMessage("in the input", id="i")]})]


@spoken("messages.pushed", modes=SPOKEN, rows=(
    "3.9:push", "3.9:state_key", "3.9:no_key", "3.9:coerced", "3.9:then_returned",
))  # fmt: skip
def pushed(e):
    push = e.message.push_message

    def node(state):
        first = AIMessage("first", id="1")
        same = push(first) is first
        push(first)
        push({"role": "assistant", "content": "from a dict", "id": "2"})
        push(HumanMessage("elsewhere", id="3"), state_key="last")
        push(AIMessage("nowhere", id="4"), state_key=None)
        push(AIMessageChunk("part", id="5"))
        said = [AIMessage("changed", id="1"), AIMessage("4 again", id="4"), AIMessage("6", id="6")]
        return {"messages": said, "log": [same]}

    def only_pushes(state):
        push(AIMessage("h again", id="h"))
        push(AIMessage("new", id="n"))

    return wire(e, chat(e), "START a b END", a=node, b=only_pushes).compile(), [call(HELLO)]


@spoken("messages.pushed_badly", modes=SPOKEN, matrix=TOGETHER, rows=("3.9:no_id",))
def pushed_badly(e):
    push = e.message.push_message
    bad = {
        "no_id": lambda: push(AIMessage("x")),
        "text": lambda: push("text"),
        "none": lambda: push(None),
        "pair": lambda: push(("ai", "x")),
        "key": lambda: push(AIMessage("x", id="1"), state_key="unknown"),
        "empty": lambda: push(AIMessage("x", id="2"), state_key=""),
    }

    def node(state):
        try:
            bad[state["last"]]()
        except Exception as error:
            return {"log": [type(error).__name__, str(error).splitlines()[0]]}
        return {"log": ["fine"]}

    graph = wire(e, chat(e), "START a END", a=node).compile()
    return graph, [call({**HELLO, "last": name}) for name in bad]


@spoken("messages.pushed_from_below", modes=SPOKEN, rows=("3.9:subgraph", "3.9:task"))
def pushed_from_below(e):
    push = e.message.push_message

    @e.func.task
    def step(topic):
        push(AIMessage(f"task {topic}", id=f"t-{topic}"), state_key=None)
        return topic

    def inside(state):
        push(AIMessage("in child", id="c"))
        return {"log": [step("x").result()]}

    def node(state):
        push(AIMessage("in node", id="n"))
        return {"log": [step("y").result()]}

    nodes = {"sub": child(e, i=inside), "n": node}
    return wire(e, chat(e), "START sub n END", **nodes).compile(), [call(HELLO)]


@spoken("messages.pushed_async", modes=SPOKEN, drivers=("async",), matrix=TOGETHER, rows=(
    "3.9:push",
))  # fmt: skip
def pushed_async(e):
    async def node(state):
        e.message.push_message(AIMessage("pushed", id="p"))
        return {"messages": [await AsyncTypist().ainvoke("x")]}

    return wire(e, chat(e), "START n END", n=node).compile(), [call(HELLO)]


@spoken("messages.conditional_edge", modes=SPOKEN, matrix=TOGETHER, rows=(
    "3.10:conditional_edge",
))  # fmt: skip
def conditional_edge(e):
    def route(state):
        said = Typist(text="b", tags=["router"]).invoke("where to?")
        Whole(fixed="route").invoke("sure?")
        return said.content

    nodes = {"a": lambda s: {"messages": AIMessage("a", id="a")}, "b": asking(Typist(fixed="b"))}
    builder = wire(e, chat(e), "START a", "b END", **nodes)
    builder.add_conditional_edges("a", route, ["b"])
    entry = wire(e, chat(e), "b END", b=asking(Whole()))
    entry.add_conditional_edges("__start__", route, ["b"])
    outer = wire(e, chat(e), "START one two END", one=builder.compile(), two=entry.compile())
    return outer.compile(), [call(HELLO)]


@spoken("messages.entry_route", modes=SPOKEN, matrix=TOGETHER, rows=("3.10:conditional_edge",))
def entry_route(e):
    builder = wire(e, chat(e), "b END", b=asking(Whole()))
    builder.add_conditional_edges("__start__", lambda s: Typist(text="b").invoke("x").content)
    return builder.compile(), [call(HELLO)]


@spoken("messages.failing_model", modes=SPOKEN, rows=("3.10:failing_model",))
def failing_model(e):
    nodes = {"a": asking(Typist()), "b": asking(Typist(text="x y z", fails_at=2))}
    return wire(e, chat(e), "START a b END", **nodes).compile(), [call(HELLO)]


@spoken("messages.failing_async_model", modes=SPOKEN, drivers=("async",), matrix=TOGETHER, rows=(
    "3.10:failing_model",
))  # fmt: skip
def failing_async_model(e):
    nodes = {"a": aasking(AsyncTypist()), "b": aasking(AsyncTypist(text="x y z", fails_at=2))}
    return wire(e, chat(e), "START a b END", **nodes).compile(), [call(HELLO)]


@spoken("messages.failing_node", modes=SPOKEN, matrix=TOGETHER, rows=("3.10:failing_model",))
def failing_node(e):
    def node(state):
        Typist().invoke("x")
        Whole().invoke("x")
        raise ValueError("after the tokens")

    return wire(e, chat(e), "START a END", a=node).compile(), [call(HELLO)]


@program("messages.refused_result", modes=SPOKEN, matrix=TOGETHER, rows=("3.3:not_looked_at",))
def refused_result(e):
    def node(state):
        return [AIMessage("not a state", id="1")]

    return wire(e, chat(e), "START a END", a=node).compile(), [call(HELLO)]


@spoken("messages.fallback", modes=SPOKEN, matrix=TOGETHER, rows=("3.10:failing_model",))
def fallback(e):
    bad = Typist(text="x y", fails_at=1)
    model = bad.with_fallbacks([Typist(text="spare one", tags=["spare"])])
    return wire(e, chat(e), "START a END", a=asking(model)).compile(), [call(HELLO)]


@spoken("messages.retried", modes=SPOKEN, matrix=TOGETHER, rows=("3.4:retry",))
def retried(e):
    attempts = []

    def flaky(state):
        attempts.append(1)
        said = Typist(text="try", fixed="f").invoke("x")
        e.message.push_message(AIMessage("pushed", id="p"))
        if len(attempts) % 2:
            raise ValueError("once")
        return {"messages": [said, AIMessage("own", id="own")]}

    policy = e.types.RetryPolicy(
        max_attempts=2, initial_interval=0.001, jitter=False, retry_on=ValueError
    )
    graph = wire(e, chat(e), "START a END", a=(flaky, {"retry_policy": policy})).compile()
    return graph, [call(HELLO)]


@program("messages.error_handler", modes=SPOKEN, rows=(
    "3.10:error_handler",
), differs="handler-namespace")  # fmt: skip
def error_handler(e):
    def bad(state):
        Typist(text="so far").invoke("x")
        raise ValueError("then bad")

    def handler(state):
        return {"messages": [Typist(text="sorry").invoke("x"), AIMessage("made", id="made")]}

    graph = wire(e, chat(e), "START bad END", bad=(bad, {"error_handler": handler}))
    return graph.compile(), [call(HELLO)]


@spoken("messages.cached", modes=SPOKEN, matrix=TOGETHER, rows=("3.10:with_other_modes",))
def cached(e):
    policy = e.types.CachePolicy(key_func=lambda state: "k")
    nodes = {"a": (asking(Typist()), {"cache_policy": policy})}
    return wire(e, chat(e), "START a END", **nodes).compile(cache=e.cache()), [
        call(HELLO),
        call(HELLO),
    ]


@spoken("messages.with_writer", modes=SPOKEN, rows=("3.10:with_other_modes",))
def with_writer(e):
    def node(state, writer: e.types.StreamWriter):
        writer("before")
        for chunk in Typist(text="a b").stream("x"):
            writer(chunk.content)
        writer("after")
        return {"messages": [AIMessage("own", id="own")]}

    return wire(e, chat(e), "START a END", a=node).compile(), [call(HELLO)]


@spoken("messages.sync_model_in_async", modes=SPOKEN, drivers=("async",), matrix=TOGETHER, rows=(
    "4.8:sync_model_in_async",
))  # fmt: skip
def sync_model_in_async(e):
    inner = child(e)

    async def calls_sync(state):
        return {"messages": [Typist().invoke("x"), inner.invoke(HELLO)["messages"][-1]]}

    nodes = {"a": asking(Typist()), "b": calls_sync}
    return wire(e, chat(e), "START a b END", **nodes).compile(), [call(HELLO)]
