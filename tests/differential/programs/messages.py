"""`messages` mode in one graph: where messages come from, which are new, what their ids are.

No `from __future__ import annotations` here: schemas are read at run time.
"""

import asyncio
import functools
import operator
import threading
from dataclasses import dataclass, field
from typing import Annotated, Any

from langchain_core.language_models import FakeListLLM, FakeStreamingListLLM
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel
from typing_extensions import TypedDict

from differential.kit import thread, wire
from differential.models import AsyncTypist, ToolCaller, Typist, Whole
from differential.registry import MODES, SAVED_MODES, Matrix, call, probe, program

SPOKEN = (*MODES, "messages")
SPOKEN_AND_SAVED = (*SAVED_MODES, "messages")
TOGETHER = Matrix.TOGETHER

# Programs with something to hear: in async runs on Python 3.10 langgraph does not hear it.
spoken = functools.partial(program, differs="async-tokens-on-3.10")


def chat(e):
    """Return a state schema: messages, and keys that no reducer of messages looks after."""

    class Chat(TypedDict, total=False):
        messages: Annotated[list, e.message.add_messages]
        log: Annotated[list, operator.add]
        last: Any

    return Chat


def asking(model, **kwargs):
    """Return a node that invokes the model with the state's messages."""
    return lambda state: {"messages": model.invoke(state["messages"], **kwargs)}


def aasking(model, **kwargs):
    """Return an async node that awaits the model."""

    async def node(state):
        return {"messages": await model.ainvoke(state["messages"], **kwargs)}

    return node


def returning(*results):
    """Return a node that gives the next of the results, each time made afresh."""
    return lambda state: results[len(state.get("log", ()))]()


HELLO = {"messages": [HumanMessage("hello", id="h")]}


@spoken("messages.tokens", modes=SPOKEN, rows=(
    "2.5:payload", "3.1:v1", "3.1:v1_subgraphs", "3.1:v1_list", "3.1:v2", "3.2:chunks",
    "3.2:invoke_streams", "3.2:last_chunk", "3.10:chunks_before_updates",
    "3.10:with_other_modes", "3.7:token",
))  # fmt: skip
def tokens(e):
    graph = wire(e, chat(e), "START a b END", a=asking(Typist()), b=asking(Typist(fixed="f")))
    return graph.compile(), [call(HELLO)]


@spoken("messages.async_tokens", modes=SPOKEN, drivers=("async",), rows=(
    "3.2:chunks", "3.2:invoke_streams", "4.8:async_model",
))  # fmt: skip
def async_tokens(e):
    nodes = {"a": aasking(AsyncTypist()), "b": aasking(Typist()), "c": aasking(Whole())}
    return wire(e, chat(e), "START a b c END", **nodes).compile(), [call(HELLO)]


@program("messages.async_with_config", modes=SPOKEN, drivers=("async",), matrix=TOGETHER, rows=(
    "3.2:explicit_stream", "4.8:async_model",
))  # fmt: skip
def async_with_config(e):
    async def invokes(state, config):
        return {"messages": await AsyncTypist().ainvoke("x", config)}

    async def streams(state, config):
        said = [chunk async for chunk in AsyncTypist().astream("x", config)]
        return {"messages": [sum(said[1:], said[0])]}

    graph = wire(e, chat(e), "START invokes streams END", invokes=invokes, streams=streams)
    return graph.compile(), [call(HELLO)]


@spoken("messages.explicit_stream", modes=SPOKEN, matrix=TOGETHER, rows=("3.2:explicit_stream",))
def explicit_stream(e):
    def node(state):
        said = list(Typist(text="x y z").stream("hi"))
        return {"log": [chunk.content for chunk in said], "messages": [said[0]]}

    return wire(e, chat(e), "START a END", a=node).compile(), [call(HELLO)]


@spoken("messages.whole", modes=SPOKEN, rows=(
    "3.2:model_end", "3.2:non_streaming", "3.2:disable_streaming", "3.8:nostream",
))  # fmt: skip
def whole(e):
    quiet = Typist(disable_streaming=True)
    only_tools = Typist(disable_streaming="tool_calling")
    nodes = {"a": asking(Whole()), "b": asking(quiet), "c": asking(only_tools)}
    return wire(e, chat(e), "START a b c END", **nodes).compile(), [call(HELLO)]


@spoken("messages.whole_not_returned", modes=SPOKEN, matrix=TOGETHER, rows=("3.2:model_end",))
def whole_not_returned(e):
    def node(state):
        return {"log": [m.invoke("x").content for m in (Whole(), Whole(fixed="w"), Typist())]}

    return wire(e, chat(e), "START a END", a=node).compile(), [call(HELLO)]


@program("messages.plain_llm", modes=SPOKEN, matrix=TOGETHER, rows=("3.2:plain_llm",))
def plain_llm(e):
    def node(state):
        said = [FakeListLLM(responses=["ab"]).invoke("x")]
        said += FakeStreamingListLLM(responses=["cd"]).stream("x")
        return {"log": said}

    return wire(e, chat(e), "START a END", a=node).compile(), [call(HELLO)]


@spoken("messages.chains", modes=SPOKEN, matrix=TOGETHER, rows=(
    "3.2:chains", "3.4:wrapped_model", "3.7:tags",
))  # fmt: skip
def chains(e):
    texts = Typist(tags=["inner"]) | StrOutputParser()
    as_node = RunnableLambda(lambda s: s["messages"]) | Typist() | (lambda m: {"messages": [m]})
    graph = wire(
        e,
        chat(e),
        "START a b END",
        a=lambda state: {"messages": [AIMessage(texts.invoke("x"), id="mine")]},
        b=as_node,
    )
    return graph.compile(), [call(HELLO, {"tags": ["run"]})]


@spoken("messages.batches", modes=("messages",), matrix=TOGETHER, rows=("3.2:chains",))
def batches(e):
    def node(state):
        said = Typist(text="w").batch(["a", "b"], {"max_concurrency": 1})
        return {"log": [message.content for message in said]}

    return wire(e, chat(e), "START a END", a=node).compile(), [call(HELLO)]


@program("messages.returned", modes=SPOKEN, matrix=TOGETHER, rows=(
    "3.2:node_end", "3.3:list", "3.3:state_values", "3.3:command", "3.3:list_of_commands",
    "3.7:node_end", "3.10:whole_before_updates",
))  # fmt: skip
def returned(e):
    command = e.types.Command

    @dataclass
    class Told:
        messages: list

    results = {
        "one": lambda: {"messages": AIMessage("a", id="1")},
        "many": lambda: {
            "messages": [AIMessage("b", id="2"), ToolMessage("c", tool_call_id="t", id="3")],
            "last": HumanMessage("d", id="4"),
            "log": [AIMessage("e", id="5"), "text", AIMessage("f", id="6")],
        },
        "unknown_key": lambda: {"other": AIMessage("g", id="7")},
        "command": lambda: command(update={"messages": [AIMessage("h", id="8")]}),
        "commands": lambda: [
            command(update={"messages": [AIMessage("i", id="9")]}),
            command(update={"last": AIMessage("j", id="10")}),
        ],
        "command_and_states": lambda: [
            {"last": AIMessage("m", id="13")},
            command(update={"messages": [AIMessage("n", id="14")]}),
            Told([AIMessage("o", id="15")]),
            None,
        ],
        "of_tuples": lambda: command(update=[("messages", [AIMessage("k", id="11")])]),
        "named": lambda: {"messages": AIMessage("l", id="12", name="bot")},
    }
    nodes = {name: lambda state, make=make: make() for name, make in results.items()}
    graph = wire(e, chat(e), f"START {' '.join(nodes)} END", **nodes)
    return graph.compile(), [call(HELLO)]


@program("messages.not_looked_at", modes=SPOKEN, matrix=TOGETHER, rows=(
    "3.3:not_looked_at", "3.3:nested_values",
))  # fmt: skip
def not_looked_at(e):
    def helper():
        return [AIMessage("helped", id="no")]

    nodes = {
        "dicts": lambda s: {"messages": [{"role": "assistant", "content": "d", "id": "1"}]},
        "pairs": lambda s: {"last": [("ai", "text")]},
        "texts": lambda s: {"last": "text"},
        "nested": lambda s: {"last": {"deep": AIMessage("n", id="2")}},
        "lists": lambda s: {"last": [[AIMessage("n", id="3")]]},
        "sets": lambda s: {"last": frozenset()},
        "tuples": lambda s: {"last": (AIMessage("t", id="4"),)},
        "iterators": lambda s: {"last": iter([AIMessage("t", id="5")])},
        "helpers": lambda s: {"last": len(helper())},
        "nothing": lambda s: None,
        "overwritten": lambda s: {"messages": e.types.Overwrite([AIMessage("o", id="6")])},
    }
    return wire(e, chat(e), f"START {' '.join(nodes)} END", **nodes).compile(), [call(HELLO)]


@spoken("messages.root_state", modes=SPOKEN, matrix=TOGETHER, rows=(
    "3.3:message", "3.3:list", "3.4:input_ids",
))  # fmt: skip
def root_state(e):
    nodes = {
        "one": lambda said: AIMessage("one", id="1"),
        "two": lambda said: [AIMessage("two", id="2"), said[0]],
        "three": lambda said: (Typist().invoke(said),)[0],
    }
    graph = wire(e, Annotated[list, e.message.add_messages], "START one two three END", **nodes)
    return graph.compile(), [call([HumanMessage("hello", id="h")])]


@spoken("messages.models", modes=SPOKEN, matrix=TOGETHER, rows=("3.3:pydantic",))
def models(e):
    class State(BaseModel):
        messages: Annotated[list[Any], e.message.add_messages] = []
        last: Any = None

    nodes = {
        "a": lambda s: State(messages=[AIMessage("a", id="1")], last=AIMessage("b", id="2")),
        "b": lambda s: State(messages=[*s.messages, AIMessage("c", id="3")]),
        "c": lambda s: {"messages": [Typist().invoke(s.messages)]},
    }
    return wire(e, State, "START a b c END", **nodes).compile(), [call(HELLO)]


@program("messages.dataclasses", modes=SPOKEN, matrix=TOGETHER, rows=("3.3:dataclass",))
def dataclasses(e):
    @dataclass
    class State:
        messages: Annotated[list, e.message.add_messages] = field(default_factory=list)
        last: Any = None

    nodes = {
        "a": lambda s: State(messages=[AIMessage("a", id="1")], last=AIMessage("b", id="2")),
        "b": lambda s: State(messages=[*s.messages, AIMessage("c", id="3")]),
    }
    return wire(e, State, "START a b END", **nodes).compile(), [call(HELLO)]


@program("messages.known", modes=SPOKEN, rows=(
    "3.4:input_ids", "3.4:echoed", "3.4:remove_message", "3.4:reused_id",
))  # fmt: skip
def known(e):
    nodes = {
        "echo": lambda s: {"messages": s["messages"]},
        "reuse": lambda s: {"messages": [AIMessage("changed", id="h")]},
        "fresh": lambda s: {"messages": [AIMessage("new", id="n")]},
        "again": lambda s: {"messages": [AIMessage("newer", id="n")]},
        "remove": lambda s: {"messages": [RemoveMessage(id="h")]},
        "clear": lambda s: {"messages": [RemoveMessage(id=e.message.REMOVE_ALL_MESSAGES)]},
        "back": lambda s: {"messages": [AIMessage("back", id="h")], "last": list(s["messages"])},
    }
    return wire(e, chat(e), f"START {' '.join(nodes)} END", **nodes).compile(), [call(HELLO)]


@program("messages.known_elsewhere", modes=SPOKEN, matrix=TOGETHER, rows=("3.4:input_ids",))
def known_elsewhere(e):
    class Part(TypedDict):
        last: Any

    def blind(state: Part):
        return {"messages": [AIMessage("not in my input", id="h"), AIMessage("last", id="l")]}

    graph = wire(e, chat(e), "START blind END", blind=blind)
    return graph.compile(), [
        call({**HELLO, "last": AIMessage("l", id="l")}),
        call({**HELLO, "last": [AIMessage("l", id="l"), "x"]}),
        call({**HELLO, "last": {"deep": AIMessage("l", id="l")}}),
    ]


@program("messages.without_ids", modes=SPOKEN, matrix=TOGETHER, rows=(
    "3.4:input_without_ids", "3.5:ids_in_state",
))  # fmt: skip
def without_ids(e):
    nodes = {
        "echo": lambda s: {"messages": s["messages"]},
        "fresh": lambda s: {"messages": [AIMessage("no id")], "last": AIMessage("nor this")},
        "again": lambda s: {"messages": s["messages"], "last": s["last"]},
    }
    graph = wire(e, chat(e), "START echo fresh again END", **nodes).compile()
    return graph, [
        call({"messages": [HumanMessage("hello"), ("ai", "hi")]}),
        call({"messages": "x"}),
    ]


@program("messages.ids_without_mode", modes=("values",), matrix=TOGETHER, rows=(
    "3.5:ids_without_messages",
))  # fmt: skip
def ids_without_mode(e):
    node = lambda s: {"messages": [AIMessage("no id"), "text"], "last": AIMessage("nor this")}  # noqa: E731
    return wire(e, chat(e), "START a END", a=node).compile(), [call(HELLO)]


@probe("messages.ids_at_once", rows=("3.5:ids_without_messages",), differs="ids-at-once")
def ids_at_once(e, driver):
    """Look at an update while a sibling still runs, which ends when the update was seen."""
    seen = threading.Event()
    nodes = {
        "quick": lambda state: {"messages": [AIMessage("no id")]},
        "slow": lambda state: {"log": [seen.wait(5)]},
    }
    graph = wire(e, chat(e), "START quick END", "START slow END", **nodes).compile()
    has_id = []

    def look(item):
        if "quick" in item:
            has_id.append(item["quick"]["messages"][0].id is not None)
            seen.set()

    async def read():
        async for item in graph.astream(HELLO, stream_mode="updates"):
            look(item)

    if driver == "async":
        asyncio.run(read())
    else:
        for item in graph.stream(HELLO, stream_mode="updates"):
            look(item)
    return has_id


@spoken("messages.same_id_twice", modes=SPOKEN, matrix=TOGETHER, rows=("3.4:same_id_twice",))
def same_id_twice(e):
    def two(state):
        said = [Typist(fixed="s").invoke("x"), Typist(fixed="s").invoke("x")]
        said += [Whole(fixed="w").invoke("x"), Whole(fixed="w").invoke("x")]
        return {"messages": said}

    return wire(e, chat(e), "START a b END", a=two, b=two).compile(), [call(HELLO)]


@spoken("messages.copies", modes=SPOKEN, matrix=TOGETHER, rows=("3.4:wrapped_model",))
def copies(e):
    def node(state):
        said = Typist().invoke("x")
        return {"messages": [AIMessage(said.content), said, said.model_copy(update={"id": "c"})]}

    return wire(e, chat(e), "START a END", a=node).compile(), [call(HELLO)]


@spoken("messages.saved", modes=SPOKEN_AND_SAVED, matrix=TOGETHER, rows=(
    "3.7:saver", "3.4:resume",
))  # fmt: skip
def saved(e):
    def ask(state):
        said = Typist().invoke(state["messages"])
        answer = e.types.interrupt("go on?")
        return {"messages": [said, AIMessage(answer, id="a")]}

    graph = wire(e, chat(e), "START ask after END", ask=ask, after=asking(Typist(fixed="z")))
    return graph.compile(checkpointer=e.saver()), [
        call(HELLO, thread()),
        call(e.types.Command(resume="yes"), thread()),
        call({"messages": [HumanMessage("more", id="h2")]}, thread()),
        call(None, thread()),
        call(e.types.Command(resume="yes"), thread()),
    ]


@spoken("messages.breakpoint", modes=SPOKEN_AND_SAVED, matrix=TOGETHER, rows=("3.4:resume",))
def breakpoint_between(e):
    nodes = {"a": asking(Typist()), "b": asking(Typist())}
    graph = wire(e, chat(e), "START a b END", **nodes)
    return graph.compile(checkpointer=e.saver(), interrupt_before=["b"]), [
        call(HELLO, thread()),
        call(None, thread()),
    ]


@program("messages.tool_commands", modes=SPOKEN, matrix=TOGETHER, rows=(
    "3.3:list_of_commands", "3.6:tools",
))  # fmt: skip
def tool_commands(e):
    """One tool answers, another one with a command: the node returns a list of both."""

    def answer(q: str) -> str:
        """Answer."""
        return "plain"

    def order(q: str) -> Any:
        """Order."""
        said = ToolMessage("ordered", tool_call_id="2", id="t2")
        return e.types.Command(update={"messages": [said]})

    names = ["answer", "order"]
    calls = [
        {"name": name, "args": {"q": "q"}, "id": str(number), "type": "tool_call"}
        for number, name in enumerate(names, 1)
    ]
    builder = wire(e, chat(e), "START tools END", tools=e.prebuilt.ToolNode([answer, order]))
    return builder.compile(), [call({"messages": [AIMessage("", id="a", tool_calls=calls)]})]


@spoken("messages.tool_calls", modes=SPOKEN, matrix=TOGETHER, rows=("3.6:tools",))
def tool_calls(e):
    def look(q: str) -> str:
        """Look."""
        return "seen " + Typist(text="in tool", tags=["tool"]).invoke(q).content

    builder = wire(e, chat(e), "START model", "tools model", model=asking(ToolCaller()))
    builder.add_node("tools", e.prebuilt.ToolNode([look]))
    builder.add_conditional_edges("model", e.prebuilt.tools_condition)
    builder.add_edge("tools", "model")
    return builder.compile(), [call(HELLO)]
