"""`astream_events` of what nodes call: models, chains, tools, retrievers; filters, other handlers.

No `from __future__ import annotations` here: schemas are read at run time.
"""

import asyncio
import contextlib
import threading

from langchain_core.callbacks import (
    AsyncCallbackManager,
    BaseCallbackHandler,
    adispatch_custom_event,
)
from langchain_core.documents import Document
from langchain_core.language_models.fake import FakeStreamingListLLM
from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import (
    RunnableConfig,
    RunnableGenerator,
    RunnableLambda,
    RunnableParallel,
)
from langchain_core.tools import tool

from differential.kit import Log, asay, say, thread, wire
from differential.models import AsyncTypist, Typist, Whole
from differential.programs.events import ASYNC, ROWS, chat, events
from differential.registry import probe

V2 = ["v2"]


@probe("events_inside.sync_nodes", rows=ROWS, drivers=ASYNC)
def sync_nodes(e, driver):
    """What a node does in its own thread arrives in the order in which it happened."""
    model = Typist(fixed="m")
    step = RunnableLambda(lambda x: x, name="step")

    def node(state):
        step.invoke(1)
        said = model.invoke("go")
        step.invoke(2)
        return {"messages": [said, *model.stream("go")]}

    graph = wire(e, chat(e), "START node END", node=node).compile()
    return events(graph, {"messages": [HumanMessage("hi", id="h")]}, versions=V2)


@probe("events_inside.chains", rows=ROWS, drivers=ASYNC)
def chains(e, driver):
    model = AsyncTypist(fixed="m")
    chain = ChatPromptTemplate.from_messages([("user", "about {topic}")]) | model
    chain = chain | StrOutputParser()

    async def calls(state):
        return {"log": [await chain.ainvoke({"topic": "a"})]}

    async def streams(state):
        return {"log": [word async for word in chain.astream({"topic": "b"})]}

    def sync_streams(state):
        return {"log": list(chain.stream({"topic": "c"}))}

    nodes = {"calls": calls, "streams": streams, "sync_streams": sync_streams}
    graph = wire(e, Log, "START calls streams sync_streams END", **nodes).compile()
    return events(graph, {"x": 1}, {"tags": ["t"], "metadata": {"m": 1}}, versions=V2)


@probe("events_inside.chain_nodes", rows=ROWS, drivers=ASYNC)
def chain_nodes(e, driver):
    """Runnables that are nodes themselves are streamed."""

    async def double(chunks):
        async for chunk in chunks:
            yield {"log": [len(chunk)]}
            yield {"log": [2 * len(chunk)]}

    split = RunnableParallel(log=RunnableLambda(lambda state: ["p"], name="list"))
    nodes = {
        "generator": RunnableGenerator(double),
        "parallel": split,
        "named": split.with_config(run_name="named", tags=["own"], metadata={"k": 1}),
    }
    graph = wire(e, Log, "START generator parallel named END", **nodes).compile()
    return events(graph, {"x": 1}, versions=V2)


@probe("events_inside.text_models", rows=ROWS, drivers=ASYNC)
def text_models(e, driver):
    model = FakeStreamingListLLM(responses=["ab"])

    async def calls(state):
        return {"log": [await model.ainvoke("go")]}

    async def streams(state):
        return {"log": [word async for word in model.astream("go")]}

    def batch(state):
        return {"log": model.batch(["1", "2"], {"max_concurrency": 1})}

    nodes = {"calls": calls, "streams": streams, "batch": batch}
    graph = wire(e, Log, "START calls streams batch END", **nodes).compile()
    return events(graph, {"x": 1}, versions=V2)


@probe("events_inside.whole_answers", rows=ROWS, drivers=ASYNC)
def whole_answers(e, driver):
    """Models that cannot stream, or are told not to, and one that is told to be quiet."""
    silent = AsyncTypist(fixed="m", disable_streaming=True)
    quiet = AsyncTypist(fixed="q").with_config(tags=["nostream"])

    async def node(state):
        await Whole(fixed="w").ainvoke("go", {"run_name": "mine", "tags": ["own"]})
        await quiet.ainvoke("go")
        return {"messages": [await silent.ainvoke("go")]}

    graph = wire(e, chat(e), "START node END", node=node).compile()
    return events(graph, {"messages": []}, versions=V2)


@probe("events_inside.retrievers", rows=ROWS, drivers=ASYNC)
def retrievers(e, driver):
    class Shelf(BaseRetriever):
        def _get_relevant_documents(self, query, *, run_manager):
            if query == "none":
                raise LookupError("no such shelf")
            return [Document(query)]

    shelf = Shelf()

    async def node(state):
        found = await shelf.ainvoke("books")
        try:
            await shelf.ainvoke("none")
        except LookupError as error:
            return {"log": [found[0].page_content, str(error)]}

    def sync_node(state):
        return {"log": [shelf.invoke("films")[0].page_content]}

    graph = wire(e, Log, "START node sync_node END", node=node, sync_node=sync_node).compile()
    return events(graph, {"x": 1}, versions=V2)


@probe("events_inside.tools", rows=ROWS, drivers=ASYNC)
def tools(e, driver):
    @tool
    def double(x: int) -> int:
        """Double it."""
        return 2 * x

    @tool
    async def broken(x: int) -> int:
        """Break."""
        raise ValueError("no")

    @tool
    def nothing() -> str:
        """Do nothing."""
        return "nothing"

    async def node(state):
        call = {"type": "tool_call", "name": "broken", "args": {"x": 1}, "id": "c1"}
        with contextlib.suppress(ValueError):
            await broken.ainvoke(call)
        return {"log": [await double.ainvoke({"x": 2}), await nothing.ainvoke({})]}

    def sync_node(state):
        return {"log": [double.invoke({"x": 3})]}

    graph = wire(e, Log, "START node sync_node END", node=node, sync_node=sync_node).compile()
    return events(graph, {"x": 1}, versions=V2)


@probe("events_inside.model_failures", rows=ROWS, drivers=ASYNC)
def model_failures(e, driver):
    """Tokens before a failure are there; the failure is no event."""
    found = []
    for model in (AsyncTypist(fixed="m", fails_at=1), Typist(fixed="m", fails_at=0)):

        async def node(state, model=model):
            return {"messages": await model.ainvoke("go")}

        async def other(state):
            await asyncio.Event().wait()

        graph = wire(e, chat(e), "START node", "START other", node=node, other=other).compile()
        found += events(graph, {"messages": []}, versions=V2)
    return found


@probe("events_inside.retries", rows=ROWS, drivers=ASYNC)
def retries(e, driver):
    found = []
    model = AsyncTypist(fixed="m")
    policy = e.types.RetryPolicy(initial_interval=0.001, max_attempts=2, jitter=False)
    for is_async in (True, False):
        attempts = []

        async def anode(state, attempts=attempts):
            await model.ainvoke("go")
            attempts.append(1)
            if len(attempts) == 1:
                raise ConnectionError
            return {"log": [1]}

        def node(state, attempts=attempts):
            attempts.append(1)
            if len(attempts) == 1:
                raise ConnectionError
            return {"log": [1]}

        chosen = anode if is_async else node
        graph = wire(e, Log, "START n END", n=(chosen, {"retry_policy": policy})).compile()
        found += events(graph, {"x": 1}, versions=V2)
    return found


@probe("events_inside.filters", rows=ROWS, drivers=ASYNC)
def filters(e, driver):
    """The first event that is wanted has the graph's input, its end has none."""
    model = AsyncTypist(fixed="m").with_config(run_name="model", tags=["own"])

    async def node(state):
        return {"messages": await model.ainvoke("go")}

    graph = wire(e, chat(e), "START node again END", node=node, again=node).compile()
    return [
        line
        for kwargs in (
            {"include_types": ["chat_model"]},
            {"include_names": ["node", "model"], "exclude_types": ["chat_model"]},
            {"include_names": ["again"]},
            {"include_tags": ["own"]},
            {"include_tags": ["graph:step:1"], "include_names": ["model"]},
            {"exclude_tags": ["own"]},
            {"exclude_names": ["LangGraph"], "exclude_tags": ["graph:step:2", "own"]},
            {"exclude_types": ["chain"]},
            {"include_names": []},
            {"include_types": ["chain"], "stream_mode": ["values", "messages"]},
        )
        for line in events(graph, {"messages": []}, {"tags": ["t"]}, versions=V2, **kwargs)
    ]


@probe("events_inside.custom", rows=ROWS, drivers=ASYNC)
def custom(e, driver):
    async def node(state):
        await adispatch_custom_event("plain", {"n": 1})
        await adispatch_custom_event("tagged", [2], config={"tags": ["own"]})
        await inside.ainvoke(3)
        return {"log": [1]}

    async def _inside(x):
        await adispatch_custom_event("deep", x)
        return x

    inside = RunnableLambda(_inside, name="inside")
    graph = wire(e, Log, "START node END", node=node).compile()
    return [
        *events(graph, {"x": 1}, versions=V2),
        *events(graph, {"x": 1}, versions=V2, exclude_names=["plain"]),
        *events(graph, {"x": 1}, versions=V2, exclude_types=["deep"]),
        *events(graph, {"x": 1}, versions=V2, include_types=["chain"], exclude_names=["inside"]),
    ]


@probe("events_inside.first_is_custom", rows=ROWS, drivers=ASYNC, differs="custom-event-first")
def first_is_custom(e, driver):
    async def node(state):
        await adispatch_custom_event("mine", {"n": 1})
        return {"log": [1]}

    graph = wire(e, Log, "START node END", node=node).compile()
    return events(graph, {"x": 1}, versions=V2, include_names=["mine"])


@probe("events_inside.wrapped_function", rows=ROWS, drivers=ASYNC)
def wrapped_function(e, driver):
    """The config that a wrapped function is given is the node's: its calls are runs beside it."""
    chain = RunnableLambda(len, name="count") | RunnableLambda(str, name="show")

    def node(state, config: RunnableConfig):
        return {"log": [chain.invoke("p", config), chain.invoke("v")]}

    async def anode(state, config: RunnableConfig):
        return {"log": [await chain.ainvoke("p", config), await chain.ainvoke("v")]}

    Callable = e.module("utils.runnable").RunnableCallable
    found = []
    for wrapped in (Callable(node, anode), Callable(node), Callable(node, anode, trace=False)):
        graph = wire(e, Log, "START node END", node=wrapped).compile()
        found += events(graph, {"x": 1}, versions=V2)
    return found


@probe("events_inside.other_handlers", rows=ROWS, drivers=ASYNC)
def other_handlers(e, driver):
    """Whoever else listens changes nothing, and hears what they always hear."""

    class Ear(BaseCallbackHandler):
        run_inline = True

        def on_chain_start(self, serialized, inputs, *, name=None, tags=None, **kwargs):
            heard.append((name, tags))

        def on_chain_end(self, outputs, **kwargs):
            heard.append(outputs)

    heard = []
    inner = wire(e, Log, "START i END", i=asay("i")).compile(name="inner")
    graph = wire(e, Log, "START a sub END", a=..., sub=inner).compile()
    given = [
        [Ear()],
        AsyncCallbackManager([Ear()], [Ear()], tags=["given"]),
        AsyncCallbackManager([], inheritable_metadata={"k": 1}, metadata={"k": 1}),
        "wrong",
    ]
    found = []
    for callbacks in given:
        found += events(graph, {"x": 1}, {"callbacks": callbacks, "tags": ["t"]}, versions=V2)
        found += heard
        heard.clear()
    found += events(graph.with_config(callbacks=[Ear()], run_name="b"), {"x": 1}, versions=V2)
    return [*found, *heard]


@probe("events_inside.in_a_node", rows=ROWS, drivers=ASYNC)
def in_a_node(e, driver):
    """Events of a graph that is read by a node of a graph whose events are read."""
    inner = wire(e, Log, "START i j END", i=asay("i"), j=say("j")).compile(name="inner")

    async def node(state):
        names = []
        async for event in inner.astream_events({"x": 1}, version="v2"):
            names.append((event["event"], event["name"], len(event["parent_ids"])))
        return {"log": names}

    graph = wire(e, Log, "START node END", node=node).compile()
    return events(graph, {"x": 1}, versions=V2)


@probe("events_inside.threads", rows=ROWS, drivers=ASYNC)
def threads(e, driver):
    """Two sync nodes at a time, each in a thread: everybody's events keep their order."""
    model = Typist(fixed="m")
    meet = threading.Barrier(2)

    def node(state):
        meet.wait()
        model.invoke("go")
        return {"log": ["n"]}

    graph = wire(e, Log, "START a END", "START b END", a=node, b=node).compile()
    found = events(graph, {"x": 1}, versions=V2)
    inside = [line for line in found[1:] if line[1] != "LangGraph"]
    inside.sort(key=lambda line: line[4]["metadata"]["langgraph_node"])
    return [(line[0], line[1], line[4]) for line in inside]


@probe("events_inside.saved", rows=ROWS, drivers=ASYNC)
def saved(e, driver):
    """Ids and places that nodes see of the run, and bad calls."""

    def node(state, runtime: e.runtime.Runtime):
        info = runtime.execution_info
        return {"log": [info.thread_id, info.run_id is not None]}

    graph = wire(e, Log, "START node END", node=node).compile(checkpointer=e.saver())
    return [
        *events(graph, {"x": 1}, thread(), versions=V2, durability="exit"),
        *events(graph, None, thread(), versions=V2),
        *events(graph, {"x": 1}, versions=V2),
        *events(graph, {"x": 1}, thread("2"), versions=V2, output_keys=["nothing"]),
        *events(graph, {"x": 1}, thread("3"), versions=["v9"]),
    ]
