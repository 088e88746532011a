"""LangChain's `create_agent`: tools, structured output, middleware, approval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    AgentState,
    HumanInTheLoopMiddleware,
    ModelCallLimitMiddleware,
    ModelRequest,
    ModelResponse,
    PIIMiddleware,
    SummarizationMiddleware,
    TodoListMiddleware,
    ToolCallRequest,
    ToolRetryMiddleware,
    after_model,
    before_agent,
    dynamic_prompt,
)
from langchain.agents.structured_output import ToolStrategy
from langchain.tools import ToolRuntime, tool
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.runtime import Runtime
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command
from pydantic import BaseModel, Field

from scenarios import Play, scenario
from scenarios.models import Scripted, calls, says
from scenarios.recording import Recorder
from scenarios.threads import fresh_thread

MODES: list[Any] = [
    "values",
    "updates",
    "messages",
    "custom",
    "checkpoints",
    "tasks",
    "debug",
    "tools",
]


@tool
def weather(city: str) -> str:
    """Say what the weather in a city is like."""
    if city == "Atlantis":
        raise ValueError("no such city")
    return f"{city}: sunny"


@tool
def narrated(steps: int) -> str:
    """Count, and tell about it."""
    writer = get_stream_writer()
    for step in range(steps):
        writer({"step": step})
    return f"counted to {steps}"


@tool
def emitting(text: str, runtime: ToolRuntime) -> str:
    """Say a text in parts."""
    for part in text.split():
        runtime.emit_output_delta(part)
    return text


def travel_agent(**options: Any) -> Any:
    """Return an agent that looks at two cities, one after the other, and counts."""
    model = Scripted(
        turns=[
            calls(("weather", {"city": "Lisbon"}), text="Looking it up"),
            calls(("narrated", {"steps": 2}), text="Counting"),
            calls(("emitting", {"text": "bits and pieces"})),
            says("Lisbon it is"),
        ]
    )
    return create_agent(model, [weather, narrated, emitting], **options)


@scenario("langchain", "create_agent: tools, one after the other")
def tools() -> Play:
    agent = travel_agent(system_prompt="You plan journeys.")

    def play(record: Recorder) -> None:
        record.all("update", agent.stream(_asked("Where to?"), stream_mode="updates"))
        record("result", agent.invoke(_asked("Where to?")))

    return play


@scenario("langchain", "create_agent: tools side by side, one fails")
def parallel_tools() -> Play:
    model = Scripted(
        turns=[
            calls(("weather", {"city": "Lisbon"}), ("weather", {"city": "Porto"})),
            says("Both are sunny"),
        ]
    )
    agent = create_agent(model, [weather])
    failing = create_agent(Scripted(turns=[calls(("weather", {"city": "Atlantis"}))]), [weather])

    async def play(record: Recorder) -> None:
        # In the order of the calls, whichever tool is ready first.
        record("result", await agent.ainvoke(_asked("Compare")))
        record.all("value", agent.stream(_asked("Compare"), stream_mode="values"))
        try:
            failing.invoke(_asked("Where is Atlantis?"))
        except ValueError as error:
            record("error", error)

    return play


@scenario("langchain", "create_agent: every stream mode at once")
def modes() -> Play:
    agent = travel_agent(checkpointer=InMemorySaver())

    def play(record: Recorder) -> None:
        config = fresh_thread()
        for item in agent.stream(_asked("Go"), config, stream_mode=MODES, subgraphs=True):
            record("item", item)
        stream = agent.stream(_asked("Again"), config, stream_mode=MODES, version="v2")
        record.all("part", stream)

    return play


@scenario("langchain", "create_agent: every stream mode at once, async")
def modes_async() -> Play:
    agent = travel_agent(checkpointer=InMemorySaver())

    async def play(record: Recorder) -> None:
        config = fresh_thread()
        stream = agent.astream(_asked("Go"), config, stream_mode=MODES, subgraphs=True)
        await record.all_async("item", stream)
        stream = agent.astream(_asked("Again"), config, stream_mode=MODES, version="v2")
        await record.all_async("part", stream)

    return play


@scenario("langchain", "create_agent: astream_events")
def events() -> Play:
    agent = travel_agent(name="planner")

    async def play(record: Recorder) -> None:
        await record.all_async("event", agent.astream_events(_asked("Go"), version="v2"))

    return play


class Forecast(BaseModel):
    """What to expect."""

    city: str
    degrees: int = Field(ge=-50, le=50)


@scenario("langchain", "create_agent: structured output, with a second try")
def structured() -> Play:
    model = Scripted(
        turns=[
            calls(("weather", {"city": "Lisbon"})),
            calls(("Forecast", {"city": "Lisbon", "degrees": 500})),
            calls(("Forecast", {"city": "Lisbon", "degrees": 21})),
        ]
    )
    agent = create_agent(model, [weather], response_format=ToolStrategy(Forecast))

    def play(record: Recorder) -> None:
        stream = agent.stream(_asked("Forecast"), stream_mode=["updates", "messages"])
        record.all("item", stream)
        record("result", agent.invoke(_asked("Forecast"))["structured_response"])

    return play


class Noting(AgentMiddleware[Any, Any, Any]):
    """Writes down when each hook is called, and changes a little."""

    class State(AgentState[Any]):
        """Counts the calls of the model."""

        rounds: int

    state_schema = State  # type: ignore[assignment]  # narrower, as LangChain's own

    def before_model(self, state: Any, runtime: Runtime[Any]) -> dict[str, Any]:
        runtime.stream_writer({"before": len(state["messages"])})
        return {"rounds": state.get("rounds", 0) + 1}

    def after_model(self, state: Any, runtime: Runtime[Any]) -> None:
        runtime.stream_writer({"after": len(state["messages"])})

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        get_stream_writer()({"asked": len(request.messages)})
        return handler(request)

    def wrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]],
    ) -> ToolMessage | Command[Any]:
        get_stream_writer()({"tool": request.tool_call["name"]})
        answer = handler(request)
        if isinstance(answer, ToolMessage):
            answer.content = f"({answer.content})"
        return answer


@before_agent
def greet(state: Any, runtime: Runtime[Any]) -> dict[str, Any]:
    """Put a message in front."""
    return {"messages": [HumanMessage("(be brief)", id="brief")]}


@after_model(can_jump_to=["end"])
def stop_on_secret(state: Any, runtime: Runtime[Any]) -> dict[str, Any] | None:
    """End the run when the model tells a secret."""
    if "secret" in state["messages"][-1].text:
        return {"jump_to": "end", "messages": [AIMessage("hush", id="hush")]}
    return None


@dynamic_prompt
def by_length(request: ModelRequest[Any]) -> str:
    """Tell the model how long the conversation is."""
    return f"There are {len(request.messages)} messages."


@scenario("langchain", "create_agent: own middleware on every hook")
def middleware() -> Play:
    model = Scripted(
        turns=[
            calls(("weather", {"city": "Lisbon"})),
            calls(("narrated", {"steps": 1}), text="here is a secret"),
        ]
    )
    agent = create_agent(
        model, [weather, narrated], middleware=[Noting(), greet, stop_on_secret, by_length]
    )

    def play(record: Recorder) -> None:
        stream = agent.stream(_asked("Go"), stream_mode=["updates", "custom", "messages"])
        record.all("item", stream)
        record("graph", agent.get_graph().to_json())

    return play


_failures = iter(())


@tool
def flaky(text: str) -> str:
    """Fail whenever the last call did not."""
    global _failures
    if next(_failures, None) is None:
        _failures = iter([True])
        raise ConnectionError("the line is dead")
    return f"got {text}"


@scenario("langchain", "create_agent: LangChain's own middleware")
def stock_middleware() -> Play:
    todo = {"content": "look", "status": "in_progress"}
    model = Scripted(
        turns=[
            calls(("write_todos", {"todos": [todo]})),
            calls(("flaky", {"text": "a letter"})),
            calls(("write_todos", {"todos": [{**todo, "status": "completed"}]}), first=2),
            says("write to anne@example.org now"),
        ]
    )
    agent = create_agent(
        model,
        [flaky],
        middleware=[
            TodoListMiddleware(),
            ToolRetryMiddleware(max_retries=2, initial_delay=0, jitter=False),
            ModelCallLimitMiddleware(run_limit=6),
            PIIMiddleware("email", apply_to_output=True),
            SummarizationMiddleware(
                Scripted(turns=[says("they spoke of letters")]),
                trigger=("messages", 5),
                keep=("messages", 2),
            ),
        ],
    )

    def play(record: Recorder) -> None:
        stream = agent.stream(_asked("From bob@example.org"), stream_mode=["updates", "messages"])
        record.all("item", stream)

    return play


def approval_agent(saver: Any, *, after: int = 0) -> Any:
    """Return an agent whose mail somebody must approve; `after` turns were taken before."""
    model = Scripted(
        turns=[
            calls(("send_mail", {"to": "anne", "text": "hello"}), text="First Anne"),
            calls(("send_mail", {"to": "bob", "text": "hi"}), first=2),
            says("All done"),
        ],
        taken=after,
    )
    approval = HumanInTheLoopMiddleware(interrupt_on={"send_mail": True})
    return create_agent(model, [send_mail, weather], middleware=[approval], checkpointer=saver)


@tool
def send_mail(to: str, text: str) -> str:
    """Send a mail."""
    return f"sent {text!r} to {to}"


@scenario("langchain", "create_agent: human in the loop, edit and reject")
def approval() -> Play:
    agent = approval_agent(InMemorySaver())
    edited = {"name": "send_mail", "args": {"to": "carol", "text": "hello"}}

    def play(record: Recorder) -> None:
        config = fresh_thread()
        record.all("asked", agent.stream(_asked("Mail"), config, stream_mode=["updates", "tasks"]))
        record("state", agent.get_state(config))
        answer: dict[str, Any] = {"decisions": [{"type": "edit", "edited_action": edited}]}
        record.all("edited", agent.stream(Command(resume=answer), config, stream_mode="updates"))
        record("state", agent.get_state(config))
        answer = {"decisions": [{"type": "reject", "message": "not to bob"}]}
        record("rejected", agent.invoke(Command(resume=answer), config))
        record.all("history", agent.get_state_history(config))

    return play


@scenario("langchain", "create_agent: one of two calls needs approval")
def partial_approval() -> Play:
    model = Scripted(
        turns=[
            calls(("send_mail", {"to": "anne", "text": "hi"}), ("weather", {"city": "Porto"})),
            says("All done"),
        ]
    )
    needed = HumanInTheLoopMiddleware(interrupt_on={"send_mail": True})
    agent = create_agent(
        model, [send_mail, weather], middleware=[needed], checkpointer=InMemorySaver()
    )

    async def play(record: Recorder) -> None:
        # Results alone: the two calls run side by side.
        config = fresh_thread()
        record("asked", await agent.ainvoke(_asked("Mail"), config))
        answer: Any = Command(resume={"decisions": [{"type": "approve"}]})
        record("approved", await agent.ainvoke(answer, config))

    return play


@dataclass
class Caller:
    """Who runs the agent."""

    name: str


@tool
def remember(fact: str, runtime: ToolRuntime[Caller, Any]) -> Command[Any]:
    """Keep a fact about the caller."""
    assert runtime.store is not None
    runtime.store.put(("facts", runtime.context.name), "last", {"fact": fact})
    runtime.stream_writer({"kept": fact})
    answer = ToolMessage(f"kept for {runtime.context.name}", tool_call_id=runtime.tool_call_id)
    return Command(update={"messages": [answer], "kept": [fact]})


class KeepingState(AgentState[Any]):
    """Remembers what was kept."""

    kept: list[str]


@scenario("langchain", "create_agent: context, store and state in tools")
def runtime() -> Play:
    store = InMemoryStore()
    model = Scripted(turns=[calls(("remember", {"fact": "likes tea"})), says("Noted")])
    agent = create_agent(
        model, [remember], context_schema=Caller, state_schema=KeepingState, store=store
    )

    async def play(record: Recorder) -> None:
        stream = agent.astream(
            {"messages": [("user", "I like tea")], "kept": []},
            context=Caller("anne"),
            stream_mode=["custom", "updates"],
        )
        await record.all_async("item", stream)
        kept = store.get(("facts", "anne"), "last")
        record("kept", None if kept is None else kept.value)

    return play


def _asked(text: str) -> dict[str, list[BaseMessage]]:
    return {"messages": [HumanMessage(text, id="question")]}
