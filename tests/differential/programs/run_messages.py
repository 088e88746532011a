"""Run streams: what models say, in the log, through `run.messages`, and in the state.

No `from __future__ import annotations` here: signatures are read at run time.
"""

import asyncio

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from differential.kit import Log, wire
from differential.models import AsyncTypist, Thinker, ToolCaller, Typist, Whole
from differential.programs.messages import HELLO, chat
from differential.watching import caught, opt_in, plain, said, shown, tree, watched

LOG = ("6.8:events", "3.11:v3")
HANDLES = ("6.8:handles",)


def asking(reader, *models, **kwargs):
    """Return a node that has each model answer in turn."""

    def node(state, config):
        return {"messages": [model.invoke(state["messages"], config, **kwargs) for model in models]}

    async def anode(state, config):
        return {
            "messages": [
                await model.ainvoke(state["messages"], config, **kwargs) for model in models
            ]
        }

    return anode if reader.is_async else node


def one(e, reader, *models, **kwargs):
    """Return a graph of one node, in which models answer."""
    return wire(e, chat(e), "START n END", n=asking(reader, *models, **kwargs)).compile()


async def handles(reader, run):
    """Return what is said through each handle, read to its end when it comes."""
    found = []
    try:
        async for message in reader.each(run.messages):
            found.append(await said(reader, message))
    except Exception as error:
        found.append(error)
    return found


@watched("run.messages.pushed", rows=LOG, differs="async-accessors-on-3.10")
async def pushed(e, reader):
    """Messages that a node pushes before it ends."""

    def node(state):
        e.message.push_message(AIMessage("pushed", id="p"))
        return {"log": ["n"]}

    graph = wire(e, chat(e), "START n END", n=node).compile()
    run = await reader.open(graph, HELLO)
    again = await reader.open(graph, HELLO)
    return [await reader.log(run), *await handles(reader, again)]


@watched("run.messages.state", rows=("6.8:state",), differs="state-as-said")
async def state(e, reader):
    found = []
    for model in (Typist(), Thinker(), ToolCaller()):
        output = await reader.output(await reader.open(one(e, reader, model), HELLO))
        message = output["messages"][-1]
        found += [message.content, message.response_metadata, message.additional_kwargs]
    return found


@watched("run.messages.state_of_whole_answers", rows=("6.8:state",))
async def state_of_whole_answers(e, reader):
    """Nothing is changed in what a model says in one piece, or what a node makes."""
    made = wire(e, chat(e), "START n END", n=lambda s: {"messages": AIMessage("made", id="m")})
    found = []
    for graph in (one(e, reader, Whole(fixed="w")), made.compile()):
        output = await reader.output(await reader.open(graph, HELLO))
        message = output["messages"][-1]
        found += [message, message.response_metadata, message.additional_kwargs]
    return found


@watched("run.messages.state_but_content", rows=("6.8:state",))
async def state_but_content(e, reader):
    found = []
    for model in (Typist(), Thinker(), Thinker(form="aside"), ToolCaller()):
        output = await reader.output(await reader.open(one(e, reader, model), HELLO))
        message = plain(output["messages"][-1])
        found += [type(message).__name__, message.text, message.tool_calls, message.usage_metadata]
        found.append(message.id.startswith("lc_run--"))
    return found


@watched("run.messages.texts", rows=HANDLES)
async def texts(e, reader):
    graph = one(e, reader, Typist(), Typist(text="three four five"))
    return await handles(reader, await reader.open(graph, HELLO))


@watched("run.messages.thoughts", rows=HANDLES)
async def thoughts(e, reader):
    graph = one(e, reader, Thinker(), Thinker(form="aside"))
    return await handles(reader, await reader.open(graph, HELLO))


@watched("run.messages.tool_calls", rows=HANDLES)
async def tool_calls(e, reader):
    return await handles(reader, await reader.open(one(e, reader, ToolCaller()), HELLO))


@watched("run.messages.whole_answers", rows=HANDLES)
async def whole_answers(e, reader):
    graph = one(e, reader, Whole(), Whole(fixed="w"), Typist(disable_streaming=True))
    return await handles(reader, await reader.open(graph, HELLO))


@watched("run.messages.without_models", rows=HANDLES)
async def without_models(e, reader):
    def node(state):
        asked = [{"name": "look", "args": {"q": "z"}, "id": "c1"}]
        cost = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
        made = [AIMessage("made", id="m"), AIMessage("", id="t", tool_calls=asked)]
        made += [ToolMessage("tool", tool_call_id="t", id="u"), HELLO["messages"][0]]
        blocks = [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "so"}]
        return {"messages": [*made, AIMessage(blocks, id="b", usage_metadata=cost)]}

    graph = wire(e, chat(e), "START n END", n=node).compile()
    return await handles(reader, await reader.open(graph, HELLO))


@watched("run.messages.of_humans", rows=HANDLES, differs="human-messages")
async def of_humans(e, reader):
    return await handles(reader, await reader.open(human(e), HELLO))


@watched("run.messages.text_of_humans", rows=HANDLES)
async def text_of_humans(e, reader):
    """What is said, whoever is thought to say it."""
    found = await handles(reader, await reader.open(human(e), HELLO))
    return [
        [message["words"], message["text"], message["id"], message["node"]] for message in found
    ]


def human(e):
    """Return a graph whose node speaks for a human."""
    node = lambda state: {"messages": [HumanMessage("human", id="u")]}  # noqa: E731
    return wire(e, chat(e), "START n END", n=node).compile()


@watched("run.messages.live", rows=HANDLES)
async def live(e, reader):
    """Words come one by one: a model says no more than is read."""
    spoken = []

    class Slow(Typist):
        def _stream(self, *args, **kwargs):
            for chunk in super()._stream(*args, **kwargs):
                spoken.append(chunk.message.content)
                yield chunk

    run = await reader.open(one(e, reader, Slow(text="a b c")), HELLO)
    found = []
    async for message in reader.each(run.messages):
        found.append([message.done, message.node, message.message_id is None])
        async for word in reader.each(message.text):
            found.append(word)
        found.append([message.done, sorted(spoken)])
    return found


@watched("run.messages.read_later", rows=HANDLES)
async def read_later(e, reader):
    """Handles can be read after the run, and more than once."""
    run = await reader.open(one(e, reader, Typist(), ToolCaller(), Whole()), HELLO)
    messages = [message async for message in reader.each(run.messages)]
    first = [await said(reader, message) for message in messages]
    again = [await said(reader, message) for message in messages]
    return [*first, first == again, [message.done for message in messages]]


@watched("run.messages.output_first", rows=HANDLES)
async def output_first(e, reader):
    """Reading the end of a message drives the run to it."""
    run = await reader.open(one(e, reader, Typist(), Typist(text="three")), HELLO)
    found = []
    async for message in reader.each(run.messages):
        output = await message.output if reader.is_async else message.output
        found += [shown(output), await reader.all(message.text)]
    return found


@watched("run.messages.skipped", rows=HANDLES)
async def skipped(e, reader):
    """Who reads the handles only drives all there is."""
    run = await reader.open(one(e, reader, Typist(), Typist(text="three"), Whole()), HELLO)
    found = []
    async for message in reader.each(run.messages):
        found.append([message.node, message.namespace, type(message).__name__])
    return [*found, shown(await reader.output(run))]


@watched("run.messages.events_of_a_message", rows=HANDLES)
async def events_of_a_message(e, reader):
    run = await reader.open(one(e, reader, Typist(), ToolCaller(), Thinker(), Whole()), HELLO)
    found = []
    async for message in reader.each(run.messages):
        found.append(await reader.all(message))
    return found


@watched("run.messages.awaited", rows=HANDLES, drivers=("async",))
async def awaited(e, reader):
    """A handle can be awaited itself; several tasks can read one."""
    run = await reader.open(one(e, reader, Typist(), Typist(text="three four")), HELLO)
    found = []
    async for message in reader.each(run.messages):
        reading = [reader.all(message.text), reader.all(message.text), reader.all(message)]
        found.append(list(await asyncio.gather(*reading)))
        found += [shown(await message), str(await message.text)]
    return found


@watched("run.messages.beside_values", rows=(*HANDLES, "6.7:readers"), drivers=("async",))
async def beside_values(e, reader):
    run = await reader.open(one(e, reader, Typist(), Typist(text="three four")), HELLO)
    reading = handles(reader, run), reader.all(run.values, shown), reader.log(run)
    return list(await asyncio.gather(*reading))


@watched("run.messages.interleaved", rows=(*HANDLES, "6.7:interleave"), drivers=("sync",))
async def interleaved(e, reader):
    nodes = {"a": asking(reader, Typist()), "b": asking(reader, Typist(text="three"))}
    graph = wire(e, chat(e), "START a b END", **nodes).compile()
    found = []
    for kind, item in (await reader.open(graph, HELLO)).interleave("messages", "values"):
        found.append([kind, list(item.text) if kind == "messages" else shown(item)])
    return found


@watched("run.messages.failing", rows=(*HANDLES, "6.7:errors"))
async def failing(e, reader):
    """The error that ends a message ends its words too."""
    run = await reader.open(one(e, reader, Typist(text="one two three", fails_at=2)), HELLO)
    found = []
    try:
        async for message in reader.each(run.messages):
            found.append(await reader.all(message.text))
            found.append(await reader.all(message.text))
            found.append(await caught(lambda m=message: m.output))
            found.append(message.done)
    except Exception as error:
        found.append(error)
    return [*found, *await reader.end(run)]


@watched("run.messages.failing_at_once", rows=(*HANDLES, "6.7:errors"))
async def failing_at_once(e, reader):
    run = await reader.open(one(e, reader, Typist(fails_at=0)), HELLO)
    found = await reader.all(run.messages, lambda message: message.message_id is None)
    return [*found, *await reader.end(run)]


@watched("run.messages.aborted", rows=(*HANDLES, "6.7:abort"))
async def aborted(e, reader):
    """Leaving a run in the middle of a message."""
    run = await reader.open(one(e, reader, AsyncTypist(text="one two three")), HELLO)
    messages = reader.iterator(run.messages)
    [message] = await reader.some(messages, 1)
    words = reader.iterator(message.text)
    found = [await reader.some(words, 1)]
    await reader.abort(run)
    found.append(await reader.all(messages))
    return [*found, *map(shown, await reader.end(run))]


@watched("run.messages.own_graph_only", rows=(*HANDLES, "6.9:handles"))
async def own_graph_only(e, reader):
    """A run has the messages of its own graph, each child has its own."""
    low = wire(e, chat(e), "START l END", l=asking(reader, Typist(text="low down"))).compile()
    mid = wire(e, chat(e), "START m low END", m=asking(reader, Typist(text="mid")), low=low)
    nodes = {"a": asking(reader, Typist()), "mid": mid.compile(), "b": asking(reader, Whole())}
    graph = wire(e, chat(e), "START a mid b END", **nodes).compile()
    found = await handles(reader, await reader.open(graph, HELLO))

    async def words(handle):
        return [message["words"] for message in await handles(reader, handle)]

    async def deeper(handle):
        return await tree(reader, handle, words)

    found += await tree(reader, await reader.open(graph, HELLO), words)
    return found + await tree(reader, await reader.open(graph, HELLO), deeper)


@watched("run.messages.in_a_called_child", rows=(*HANDLES, "6.9:handles"))
async def in_a_called_child(e, reader):
    inner = one(e, reader, Typist(text="low down"))

    def node(state, config):
        return {"messages": inner.invoke({"messages": "x"}, config)["messages"][-1:]}

    async def anode(state, config):
        return {"messages": (await inner.ainvoke({"messages": "x"}, config))["messages"][-1:]}

    graph = wire(e, chat(e), "START n END", n=anode if reader.is_async else node).compile()

    async def words(handle):
        return [message["words"] for message in await handles(reader, handle)]

    run = await reader.open(graph, HELLO)
    return [
        *await handles(reader, run),
        *await tree(reader, await reader.open(graph, HELLO), words),
    ]


@watched("run.messages.nothing_said", rows=HANDLES)
async def nothing_said(e, reader):
    graph = wire(e, Log, "START a END", a=...).compile()
    run = await reader.open(graph, {"x": 1}, transformers=opt_in(e))
    return [await handles(reader, run), await reader.output(run)]


@watched("run.messages.model_ids", rows=("6.8:state", "6.8:handles"), differs="state-as-said")
async def model_ids(e, reader):
    """Which id a message has whose model gives it one: in its events, its handle and the state."""
    graph = one(e, reader, Typist(fixed="f"), Whole(fixed="w"))
    found = [message["id"] for message in await handles(reader, await reader.open(graph, HELLO))]
    output = await reader.output(await reader.open(graph, HELLO))
    return [*found, [message.id for message in output["messages"]]]
