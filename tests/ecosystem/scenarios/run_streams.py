"""`stream_events(version="v3")` of agents, with agents that are called from tools."""

from __future__ import annotations

from typing import Any

from langchain.agents import create_agent
from langchain.tools import ToolRuntime, tool
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from scenarios import Play, scenario
from scenarios.agents import approval_agent, travel_agent, weather
from scenarios.models import Scripted, calls, says
from scenarios.recording import Recorder
from scenarios.threads import fresh_thread

ASKED: Any = {"messages": [HumanMessage("Plan a day", id="question")]}


def team() -> Any:
    """Return an agent that asks two others, each through a tool."""
    scout = create_agent(
        Scripted(turns=[calls(("weather", {"city": "Lisbon"})), says("Sunny all day")]),
        [weather],
        name="scout",
    )
    writer = create_agent(Scripted(turns=[says("A day by the river")]), [], name="writer")

    @tool
    def ask_scout(question: str) -> str:
        """Ask somebody who knows the place."""
        result = scout.invoke({"messages": [HumanMessage(question, id="to-scout")]})
        return str(result["messages"][-1].text)

    @tool
    async def ask_writer(question: str, runtime: ToolRuntime) -> str:
        """Ask somebody who writes well."""
        asked = {"messages": [HumanMessage(question, id="to-writer")]}
        result = await writer.ainvoke(asked, runtime.config)  # type: ignore[call-overload]
        return str(result["messages"][-1].text)

    @tool
    def ask_writer_now(question: str) -> str:
        """Ask somebody who writes well."""
        result = writer.invoke({"messages": [HumanMessage(question, id="to-writer")]})
        return str(result["messages"][-1].text)

    def lead(second: str) -> Any:
        return Scripted(
            turns=[
                calls(("ask_scout", {"question": "What is it like?"}), text="First the place"),
                calls((second, {"question": "Write it up"}), text="Now the text"),
                says("There you are"),
            ]
        )

    sync = create_agent(lead("ask_writer_now"), [ask_scout, ask_writer_now], name="lead")
    apart = create_agent(lead("ask_writer"), [ask_scout, ask_writer], name="lead")
    return sync, apart


@scenario("langchain", "create_agent: stream_events v3, the log")
def log() -> Play:
    agent = travel_agent(checkpointer=InMemorySaver())

    def play(record: Recorder) -> None:
        run = agent.stream_events(ASKED, fresh_thread(), version="v3")
        record.all("event", run)
        record("output", run.output)

    return play


@scenario("langchain", "create_agent: stream_events v3, messages and tool calls")
def views() -> Play:
    agent = travel_agent()

    def play(record: Recorder) -> None:
        run = agent.stream_events(ASKED, version="v3")
        for message in run.messages:
            record.all("word", message.text)
            record("calls", message.tool_calls.get())
            record("message", message.output)
        run = agent.stream_events(ASKED, version="v3")
        for call in run.tool_calls:
            record("tool", [call.tool_name, call.tool_call_id, call.input])
            record.all("part", call.output_deltas)
            record("tool output", [call.output, call.error])
        run = agent.stream_events(ASKED, version="v3")
        record.all("value", run.values)

    return play


@scenario("langchain", "create_agent: stream_events v3, interrupted and answered")
def interrupted() -> Play:
    agent = approval_agent(InMemorySaver())

    def play(record: Recorder) -> None:
        config = fresh_thread()
        run = agent.stream_events(ASKED, config, version="v3")
        record("output", run.output)
        record("asked", [run.interrupted, run.interrupts])
        for answers in (["approve"], ["approve"]):
            decisions = [{"type": kind} for kind in answers]
            answer: Any = Command(resume={"decisions": decisions})
            run = agent.stream_events(answer, config, version="v3")
            for message in run.messages:
                record("said", message.output)
            record("asked", [run.interrupted, run.interrupts])

    return play


@scenario("langchain", "create_agent: stream_events v3, run.subagents")
def subagents() -> Play:
    agent, _ = team()

    def play(record: Recorder) -> None:
        run = agent.stream_events(ASKED, version="v3")
        for member in run.subagents:
            record("member", [member.name, member.cause, member.path, member.status])
            for message in member.messages:
                record.all("word", message.text)
            record("ended", [member.status, member.error, member.output])
        record("output", run.output)

    return play


@scenario("langchain", "create_agent: stream_events v3, run.subagents, async")
def subagents_async() -> Play:
    _, agent = team()

    async def play(record: Recorder) -> None:
        run = await agent.astream_events(ASKED, version="v3")
        async for member in run.subagents:
            record("member", [member.name, member.cause, member.path])
            async for call in member.tool_calls:
                record("tool", [call.tool_name, call.tool_call_id, call.input])
            record("ended", [member.status, await member.output()])
        record("output", await run.output())

    return play


@scenario("langchain", "create_agent: stream_events v3, the log of subagents")
def subagents_log() -> Play:
    agent, _ = team()

    def play(record: Recorder) -> None:
        record.all("event", agent.stream_events(ASKED, version="v3"))

    return play


@scenario("langchain", "create_agent: updates and messages of subagents")
def subagents_modes() -> Play:
    agent, _ = team()

    def play(record: Recorder) -> None:
        modes = ["updates", "messages", "tasks"]
        record.all("item", agent.stream(ASKED, stream_mode=modes, subgraphs=True))

    return play
