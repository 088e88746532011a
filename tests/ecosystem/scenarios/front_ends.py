"""`ag-ui-langgraph`: what a front end is told."""

from __future__ import annotations

import uuid
from typing import Any

from ag_ui.core import RunAgentInput, UserMessage
from ag_ui_langgraph import LangGraphAgent
from langgraph.checkpoint.memory import InMemorySaver

from scenarios import Play, scenario
from scenarios.agents import approval_agent, travel_agent
from scenarios.models import calls, says
from scenarios.recording import Recorder
from scenarios.teams import office


def _input(thread: str, text: str, **forwarded: Any) -> RunAgentInput:
    return RunAgentInput(
        thread_id=thread,
        run_id=str(uuid.uuid4()),
        state={},
        messages=[UserMessage(id="question", role="user", content=text)],
        tools=[],
        context=[],
        forwarded_props=forwarded,
    )


@scenario("ag-ui-langgraph", "create_agent with tools, told as AG-UI events")
def tools() -> Play:
    agent = LangGraphAgent(name="planner", graph=travel_agent(checkpointer=InMemorySaver()))

    async def play(record: Recorder) -> None:
        thread = str(uuid.uuid4())
        await record.all_async("event", agent.run(_input(thread, "Where to?")))

    return play


@scenario("ag-ui-langgraph", "an approval, and the answer from the front end")
def approval() -> Play:
    agent = LangGraphAgent(name="mailer", graph=approval_agent(InMemorySaver()))

    async def play(record: Recorder) -> None:
        thread = str(uuid.uuid4())
        await record.all_async("event", agent.run(_input(thread, "Mail")))
        for _ in range(2):
            answer = {"resume": {"decisions": [{"type": "approve"}]}}
            await record.all_async("event", agent.run(_input(thread, "Mail", command=answer)))

    return play


@scenario("ag-ui-langgraph", "a supervisor and its agents, told as AG-UI events")
def team() -> Play:
    turns = [calls(("transfer_to_clerk", {}), text="First the sum"), says("Five")]
    graph = office(turns).compile(checkpointer=InMemorySaver())
    agent = LangGraphAgent(name="office", graph=graph)

    async def play(record: Recorder) -> None:
        await record.all_async("event", agent.run(_input(str(uuid.uuid4()), "2 and 3?")))

    return play
