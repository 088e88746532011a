"""`deepagents`: todos, files, subagents, approval."""

from __future__ import annotations

from typing import Any

from deepagents import create_deep_agent
from deepagents.backends import CompositeBackend, StateBackend, StoreBackend
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command

from scenarios import Play, scenario
from scenarios.agents import weather
from scenarios.models import Scripted, calls, says
from scenarios.recording import Recorder
from scenarios.threads import fresh_thread

ASKED: Any = {"messages": [HumanMessage("Write a report on Lisbon", id="question")]}
TODOS = [
    {"content": "find out", "status": "in_progress"},
    {"content": "write", "status": "pending"},
]


def reporter(**options: Any) -> Any:
    """Return a deep agent that plans, has somebody look, writes a file and corrects it."""
    scout = Scripted(
        turns=[
            calls(("weather", {"city": "Lisbon"})),
            calls(("write_file", {"file_path": "/notes.txt", "content": "sunny\nwarm\n"})),
            says("It is sunny and warm"),
        ]
    )
    lead = Scripted(
        turns=[
            calls(("write_todos", {"todos": TODOS}), text="Let me plan"),
            calls(("task", {"description": "Look at Lisbon", "subagent_type": "scout"})),
            calls(("read_file", {"file_path": "/notes.txt"})),
            calls(("write_file", {"file_path": "/report.md", "content": "# Lisbon\nRain\n"})),
            calls(
                (
                    "edit_file",
                    {"file_path": "/report.md", "old_string": "Rain", "new_string": "Sun"},
                )
            ),
            calls(("ls", {"path": "/"})),
            calls(("grep", {"pattern": "Sun"})),
            says("The report is in /report.md"),
        ]
    )
    subagent: Any = {
        "name": "scout",
        "description": "Looks at places",
        "system_prompt": "You look at places.",
        "tools": [weather],
        "model": scout,
    }
    return create_deep_agent(lead, [weather], subagents=[subagent], **options)


@scenario("deepagents", "files, todos and a subagent: updates of all graphs")
def files() -> Play:
    agent = reporter()

    def play(record: Recorder) -> None:
        stream = agent.stream(ASKED, stream_mode="updates", subgraphs=True)
        record.all("item", stream)
        record("result", agent.invoke(ASKED))

    return play


@scenario("deepagents", "files, todos and a subagent: every token, async")
def tokens() -> Play:
    agent = reporter(checkpointer=InMemorySaver())

    async def play(record: Recorder) -> None:
        config = fresh_thread()
        modes = ["messages", "values", "custom"]
        stream = agent.astream(ASKED, config, stream_mode=modes, subgraphs=True)
        await record.all_async("item", stream)
        record("state", await agent.aget_state(config))

    return play


@scenario("deepagents", "stream_events v3, run.subagents and run.tool_calls")
def run_stream() -> Play:
    agent = reporter()

    def play(record: Recorder) -> None:
        run = agent.stream_events(ASKED, version="v3")
        for member in run.subagents:
            record("member", [member.name, member.cause])
            for message in member.messages:
                record("said", message.output)
            record("ended", [member.status, member.output])
        record("output", run.output)
        run = agent.stream_events(ASKED, version="v3")
        for call in run.tool_calls:
            record("tool", [call.tool_name, call.input, list(call.output_deltas), call.output])

    return play


@scenario("deepagents", "approval of a file, and files kept in a store")
def approval() -> Play:
    model = Scripted(
        turns=[
            calls(("write_file", {"file_path": "/memories/a.txt", "content": "one\n"})),
            calls(("write_file", {"file_path": "/draft.txt", "content": "two\n"}), first=2),
            calls(("read_file", {"file_path": "/memories/a.txt"}), first=3),
            says("Kept"),
        ]
    )
    backend = CompositeBackend(
        default=StateBackend(),
        routes={"/memories/": StoreBackend(namespace=lambda runtime: ("files",))},
    )
    store = InMemoryStore()
    agent = create_deep_agent(
        model,
        backend=backend,
        store=store,
        interrupt_on={"write_file": True},
        checkpointer=InMemorySaver(),
    )

    def play(record: Recorder) -> None:
        config = fresh_thread()
        record.all("asked", agent.stream(ASKED, config, stream_mode="updates"))
        record("state", agent.get_state(config))
        for _ in range(2):
            answer: Any = Command(resume={"decisions": [{"type": "approve"}]})
            record.all("answered", agent.stream(answer, config, stream_mode="updates"))
        record("kept", [item.key for item in store.search(("files",))])

    return play
