"""Run streams: what models say, in the raw event log.

No `from __future__ import annotations` here: schemas are read at run time.
"""

from langchain_core.language_models import FakeListLLM, GenericFakeChatModel
from langchain_core.messages import AIMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableLambda

from differential.kit import thread, wire
from differential.models import AsyncTypist, Thinker, ToolCaller, Typist, Whole
from differential.programs.messages import HELLO, chat
from differential.programs.run_messages import asking, one
from differential.watching import shown, watched

LOG = ("6.8:events", "3.11:v3")
HANDLES = ("6.8:handles",)


@watched("run.messages.log", rows=LOG)
async def log(e, reader):
    run = await reader.open(one(e, reader, Typist()), HELLO)
    return [*await reader.log(run), *map(shown, await reader.end(run))]


@watched("run.messages.log_of_async_model", rows=LOG, drivers=("async",))
async def log_of_async_model(e, reader):
    return await reader.log(await reader.open(one(e, reader, AsyncTypist()), HELLO))


@watched("run.messages.log_of_generic_model", rows=LOG)
async def log_of_generic_model(e, reader):
    model = GenericFakeChatModel(messages=iter([AIMessage("hello good world")]))
    return await reader.log(await reader.open(one(e, reader, model), HELLO))


@watched("run.messages.log_with_a_whole_answer", rows=LOG)
async def log_with_a_whole_answer(e, reader):
    """A model that cannot stream answers in one piece."""
    quiet = Typist(disable_streaming=True)
    graphs = one(e, reader, Whole()), one(e, reader, Whole(fixed="w")), one(e, reader, quiet)
    return [await reader.log(await reader.open(graph, HELLO)) for graph in graphs]


@watched("run.messages.log_of_tool_calls", rows=LOG)
async def log_of_tool_calls(e, reader):
    return await reader.log(await reader.open(one(e, reader, ToolCaller()), HELLO))


@watched("run.messages.log_of_thoughts", rows=LOG)
async def log_of_thoughts(e, reader):
    found = []
    for form in ("blocks", "aside"):
        run = await reader.open(one(e, reader, Thinker(form=form)), HELLO)
        lines = await reader.log(run)
        # What the state holds is what the model said: see `run.messages.state`.
        found += [line for line in lines if not str(line).startswith("values")]
    return found


@watched("run.messages.log_of_several", rows=LOG)
async def log_of_several(e, reader):
    graph = one(e, reader, Typist(), Whole(), Typist(text="three"))
    return await reader.log(await reader.open(graph, HELLO))


@watched("run.messages.log_in_parallel", rows=LOG)
async def log_in_parallel(e, reader):
    nodes = {"a": asking(reader, Typist(text="a b")), "c": asking(reader, Typist(text="c d"))}
    graph = wire(e, chat(e), "START a END", "START c END", **nodes).compile()
    return await reader.log(await reader.open(graph, HELLO), has_parallel=True)


@watched("run.messages.log_metadata", rows=LOG)
async def log_metadata(e, reader):
    graph = wire(e, chat(e), "START n END", n=(asking(reader, Typist()), {"metadata": {"of": "n"}}))
    graph = graph.compile(checkpointer=e.saver())
    config = {**thread(user=3), "tags": ["t"], "metadata": {"m": 1}}
    tagged = one(e, reader, Typist().with_config(tags=["mine"], metadata={"model": "typist"}))
    return [
        await reader.log(await reader.open(graph, HELLO, config)),
        await reader.log(await reader.open(tagged, HELLO)),
    ]


@watched("run.messages.log_nested", rows=LOG)
async def log_nested(e, reader):
    low = wire(e, chat(e), "START l END", l=asking(reader, Typist(text="low down"))).compile()
    nodes = {"a": asking(reader, Typist()), "low": low, "b": asking(reader, Whole())}
    graph = wire(e, chat(e), "START a low b END", **nodes).compile()
    return await reader.log(await reader.open(graph, HELLO))


@watched(
    "run.messages.log_of_failing_model",
    rows=(*LOG, "6.7:errors"),
    differs="model-errors",
)
async def log_of_failing_model(e, reader):
    run = await reader.open(one(e, reader, Typist(text="one two three", fails_at=2)), HELLO)
    return [*await reader.log(run), *await reader.end(run)]


@watched("run.messages.log_of_retried_model", rows=LOG, differs="model-errors")
async def log_of_retried_model(e, reader):
    calls = []

    def node(state, config):
        calls.append(1)
        model = Typist(text="one two", fails_at=1 if len(calls) == 1 else None)
        return {"messages": model.invoke(state["messages"], config)}

    async def anode(state, config):
        return node(state, config)

    policy = e.types.RetryPolicy(initial_interval=0.001, jitter=False, retry_on=ConnectionError)
    n = (anode if reader.is_async else node, {"retry_policy": policy})
    graph = wire(e, chat(e), "START n END", n=n).compile()
    return await reader.log(await reader.open(graph, HELLO))


@watched("run.messages.log_without_models", rows=LOG)
async def log_without_models(e, reader):
    """Messages that nodes return; those of tools are not shown, nor those that are known."""

    def node(state):
        made = AIMessage("made", id="m"), SystemMessage("system", id="s")
        return {
            "messages": [*made, ToolMessage("tool", tool_call_id="t", id="t"), HELLO["messages"][0]]
        }

    graph = wire(e, chat(e), "START n END", n=node).compile()
    return await reader.log(await reader.open(graph, HELLO))


@watched("run.messages.log_quiet", rows=LOG)
async def log_quiet(e, reader):
    """Models with the tag `nostream`, returned by a node or not."""
    quiet = Typist(tags=["nostream"])

    async def unused(state, config):
        await quiet.ainvoke("x", config)
        return {"log": ["n"]}

    def unused_sync(state, config):
        quiet.invoke("x", config)
        return {"log": ["n"]}

    dropped = wire(e, chat(e), "START n END", n=unused if reader.is_async else unused_sync)
    return [
        await reader.log(await reader.open(one(e, reader, quiet), HELLO)),
        await reader.log(await reader.open(dropped.compile(), HELLO)),
    ]


@watched("run.messages.log_not_returned", rows=LOG)
async def log_not_returned(e, reader):
    async def anode(state, config):
        return {"log": [(await Typist().ainvoke("x", config)).text]}

    def node(state, config):
        return {"log": [Typist().invoke("x", config).text]}

    graph = wire(e, chat(e), "START n END", n=anode if reader.is_async else node).compile()
    return await reader.log(await reader.open(graph, HELLO))


@watched("run.messages.log_of_chain", rows=LOG)
async def log_of_chain(e, reader):
    """A model in a chain, which is a node itself."""
    first = RunnableLambda(lambda state: state["messages"])
    chain = first | Typist() | RunnableLambda(lambda message: {"messages": [message]})
    graph = wire(e, chat(e), "START n END", n=chain).compile()
    return await reader.log(await reader.open(graph, HELLO))


@watched("run.messages.log_of_text_model", rows=LOG)
async def log_of_text_model(e, reader):
    """A model without messages says nothing that is heard."""

    def node(state, config):
        return {"log": [FakeListLLM(responses=["text"]).invoke("x", config)]}

    graph = wire(e, chat(e), "START n END", n=node).compile()
    return await reader.log(await reader.open(graph, HELLO))


@watched("run.messages.log_in_a_task", rows=LOG, differs="async-accessors-on-3.10")
async def log_in_a_task(e, reader):
    @e.func.task
    def ask(text, config):
        return Typist().invoke(text, config).text

    @e.func.task
    async def aask(text, config):
        return (await Typist().ainvoke(text, config)).text

    @e.func.entrypoint()
    def flow(n):
        return ask(n).result()

    @e.func.entrypoint()
    async def aflow(n):
        return await aask(n)

    return await reader.log(await reader.open(aflow if reader.is_async else flow, "x"))


@watched("run.messages.streamed_by_hand", rows=LOG, differs="streamed-by-hand")
async def streamed_by_hand(e, reader):
    return await reader.log(await reader.open(streaming(e, reader), HELLO))


@watched("run.messages.streamed_by_hand_state", rows=("6.8:state", "3.11:v3"))
async def streamed_by_hand_state(e, reader):
    """What the node sees is the model's own stream, whoever listens."""
    output = await reader.output(await reader.open(streaming(e, reader), HELLO))
    return [output["log"], shown(output["messages"])]


def streaming(e, reader):
    """Return a graph whose node streams a model itself."""

    def node(state, config):
        chunks = list(Typist().stream("x", config))
        words = [chunk.content for chunk in chunks]
        return {"log": words, "messages": [AIMessage("".join(words), id="m")]}

    async def anode(state, config):
        words = [chunk.content async for chunk in Typist().astream("x", config)]
        return {"log": words, "messages": [AIMessage("".join(words), id="m")]}

    return wire(e, chat(e), "START n END", n=anode if reader.is_async else node).compile()
