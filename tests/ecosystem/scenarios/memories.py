"""`langmem` and `langgraph-bigtool`: what is kept in stores."""

from __future__ import annotations

import uuid
from typing import Any

from langchain_core.embeddings import Embeddings
from langchain_core.messages import HumanMessage
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, create_react_agent
from langgraph.store.memory import InMemoryStore
from langgraph_bigtool import create_agent
from langmem import (
    create_manage_memory_tool,
    create_memory_manager,
    create_memory_store_manager,
    create_search_memory_tool,
)
from langmem.short_term import SummarizationNode

from scenarios import Play, scenario
from scenarios.models import Scripted, calls, says
from scenarios.recording import Recorder
from scenarios.threads import fresh_thread


class Letters(Embeddings):
    """How often each of a few letters occurs."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[1.0 + text.count(letter) for letter in "aeiost"] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def _store() -> InMemoryStore:
    return InMemoryStore(index={"embed": Letters(), "dims": 6})


def _asked(text: str) -> Any:
    return {"messages": [HumanMessage(text, id=text)]}


@scenario("langmem", "an agent that keeps and finds memories in two threads")
def tools() -> Play:
    def settled(messages: list[Any]) -> Any:
        return calls(("search_memory", {"query": "tea"}))

    model = Scripted(
        turns=[
            calls(("manage_memory", {"content": "likes tea", "action": "create"})),
            says("I will remember"),
            settled,
            says("You like tea"),
        ]
    )
    store = _store()
    namespace = ("memories", "{user}")
    graph = create_react_agent(
        model,
        [create_manage_memory_tool(namespace), create_search_memory_tool(namespace)],
        store=store,
        checkpointer=InMemorySaver(),
    )

    def play(record: Recorder) -> None:
        user = str(uuid.uuid4())
        for text in ("I like tea", "What do I like?"):
            config = fresh_thread()
            config["configurable"]["user"] = user
            stream = graph.stream(_asked(text), config, stream_mode=["updates", "messages"])
            record.all("item", stream)
        record("kept", [item.value for item in store.search(("memories", user))])

    return play


@scenario("langmem", "memories made of a conversation, in an entrypoint")
def manager() -> Play:
    store = _store()
    memory = calls(("Memory", {"content": "has a cat"}))
    found = create_memory_manager(Scripted(turns=[memory, says("done")]))
    # Without memories there is nothing to ask a model about first.
    keeper = create_memory_store_manager(
        Scripted(turns=[memory]),
        query_model=Scripted(turns=[calls(("search_memory", {"query": "cat"}))]),
        namespace=("memories", "{user}"),
    )

    @entrypoint(store=store)
    async def keep(asked: dict[str, Any]) -> list[Any]:
        return await keeper.ainvoke(asked)

    async def play(record: Recorder) -> None:
        user = str(uuid.uuid4())
        record("found", await found.ainvoke(_asked("I have a cat")))
        config: Any = {"configurable": {"user": user}}
        stream = keep.astream(_asked("I have a cat"), config, stream_mode="updates")
        await record.all_async("item", stream)
        record("kept", [item.value for item in store.search(("memories", user))])

    return play


@scenario("langmem", "a conversation that is summed up when it is long")
def summary() -> Play:
    class State(MessagesState):
        summarized_messages: list[Any]
        context: dict[str, Any]

    node = SummarizationNode(
        model=Scripted(turns=[says("they spoke of tea and cats")]),
        token_counter=len,
        max_tokens=4,
        max_tokens_before_summary=4,
        max_summary_tokens=1,
    )
    talker = Scripted(turns=[says("Tea it is"), says("Cats too"), says("Well")])

    def talk(state: State) -> dict[str, Any]:
        return {"messages": [talker.invoke(state["summarized_messages"])]}

    builder = StateGraph(State)
    builder.add_node("sum up", node)
    builder.add_node("talk", talk)
    builder.add_edge(START, "sum up")
    builder.add_edge("sum up", "talk")
    graph = builder.compile(checkpointer=InMemorySaver())

    def play(record: Recorder) -> None:
        config = fresh_thread()
        for text in ("Tea?", "And cats?", "What now?"):
            stream = graph.stream(_asked(text), config, stream_mode=["updates", "messages"])
            record.all("item", stream)

    return play


def _power(exponent: int) -> StructuredTool:
    def power(number: int) -> int:
        return number**exponent

    return StructuredTool.from_function(
        power, name=f"power_{exponent}", description=f"Raise a number to the power of {exponent}."
    )


def _inject_nothing(node: ToolNode, call: Any, state: Any, store: Any) -> Any:
    return call


@scenario("langgraph-bigtool", "tools that are looked up before they are used")
def bigtool() -> Play:
    # Its last release calls this method, which langgraph-prebuilt does not have any more: without
    # it, no tool can be called on LangGraph either.
    if not hasattr(ToolNode, "inject_tool_args"):
        ToolNode.inject_tool_args = _inject_nothing
    registry = {f"tool-{n}": _power(n) for n in range(2, 12)}
    store = _store()
    for key, tool in registry.items():
        store.put(("tools",), key, {"description": f"{tool.name}: {tool.description}"})
    model = Scripted(
        turns=[
            calls(("retrieve_tools", {"query": "power_3"})),
            calls(("power_3", {"number": 2})),
            says("It is 8"),
        ]
    )

    def find(query: str) -> list[str]:
        """Find tools by their names."""
        return [key for key, tool in registry.items() if tool.name == query]

    async def afind(query: str) -> list[str]:
        """Find tools by their names."""
        return find(query)

    by_name = create_agent(
        model, registry, retrieve_tools_function=find, retrieve_tools_coroutine=afind
    ).compile()
    by_meaning = create_agent(
        Scripted(
            turns=[calls(("retrieve_tools", {"query": "Raise it to 3"})), says("Two of them")]
        ),
        registry,
        limit=2,
    ).compile(store=store)

    async def play(record: Recorder) -> None:
        modes = ["updates", "messages"]
        record.all("item", by_name.stream(_asked("2 to the 3rd"), stream_mode=modes))
        await record.all_async("item", by_meaning.astream(_asked("2 ways?"), stream_mode=modes))

    return play
