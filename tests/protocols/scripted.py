"""Graphs that say everything there is a form for, without a model of anybody's."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    AnyMessage,
    BaseMessage,
    RemoveMessage,
    ToolMessage,
)
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from typing_extensions import TypedDict

from millstream.checkpoint.memory import InMemorySaver
from millstream.config import get_stream_writer
from millstream.graph import END, START, StateGraph
from millstream.graph.message import add_messages
from millstream.prebuilt import ToolNode, ToolRuntime
from millstream.types import Command, RetryPolicy, Send, interrupt

PIXEL = "iVBORw0KGgo="
USAGE = {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}


class Scripted(BaseChatModel):
    """Says what is written down, chunk by chunk; an error is raised, and a function called."""

    chunks: Sequence[Any]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        for said in self.chunks:
            if isinstance(said, Exception):
                raise said
            if callable(said):
                said()
                continue
            yield ChatGenerationChunk(message=said)


class State(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], add_messages]
    topic: str


def chunk(content: Any = "", **fields: Any) -> AIMessageChunk:
    return AIMessageChunk(content=content, id=fields.pop("id", "said"), **fields)


def pieces(name: str, call_id: str, *args: str, index: int = 0) -> list[AIMessageChunk]:
    """Return the chunks of a call whose arguments come in pieces."""
    first = {"type": "tool_call_chunk", "name": name, "id": call_id, "args": "", "index": index}
    more = [{**first, "name": None, "id": None, "args": each} for each in args]
    return [chunk(id="calls", tool_call_chunks=[each]) for each in (first, *more)]


@tool
def weigh(sacks: int, runtime: ToolRuntime) -> dict[str, int]:
    """Weigh so many sacks."""
    runtime.emit_output_delta({"weighed": 1})
    return {"kilos": sacks * 50}


@tool
def burn() -> str:
    """Fail."""
    raise ValueError("the mill is on fire")


THINKING = [
    chunk([{"type": "reasoning", "reasoning": "Sacks ", "index": 0}], id="calls"),
    chunk([{"type": "reasoning", "reasoning": "have weight.", "index": 0}], id="calls"),
    chunk([{"type": "text", "text": "I weigh ", "index": 1}], id="calls"),
    chunk([{"type": "text", "text": "them.", "index": 1}], id="calls"),
]
CALLING = [
    *pieces("weigh", "call-1", '{"sac', 'ks": 2}', index=2),
    *pieces("burn", "call-2", "{}", index=3),
    chunk(id="calls", usage_metadata=USAGE, response_metadata={"finish_reason": "tool_calls"}),
]
QUOTED = {"type": "citation", "url": "https://example.org/mill", "title": "On mills"}
ANSWERING = [
    chunk([{"type": "text", "text": "A hundred ", "index": 0}], id="answer"),
    chunk([{"type": "text", "text": "kilos.", "index": 0, "annotations": [QUOTED]}], id="answer"),
    chunk([{"type": "image", "base64": PIXEL, "mime_type": "image/png", "index": 1}], id="answer"),
    chunk(id="answer", usage_metadata=USAGE, response_metadata={"finish_reason": "stop"}),
]


def speaking(*chunks: Any) -> Any:
    """Return a node in which a model says this."""

    def speak(state: State) -> dict[str, Any]:
        return {"messages": [Scripted(chunks=chunks).invoke("go on")]}

    return speak


def agent(state: State) -> dict[str, Any]:
    is_answered = isinstance(state["messages"][-1], ToolMessage)
    model = Scripted(chunks=ANSWERING if is_answered else [*THINKING, *CALLING])
    return {"messages": [model.invoke(state["messages"])]}


def wants_tools(state: State) -> str:
    return "tools" if state["messages"][-1].tool_calls else END


def make_agent() -> Any:
    """Return an agent that thinks, calls two tools, one of which fails, and answers."""
    builder = StateGraph(State).add_node("agent", agent)
    builder.add_node("tools", ToolNode([weigh, burn], handle_tool_errors=True))
    builder.add_edge(START, "agent").add_conditional_edges("agent", wants_tools, ["tools", END])
    return builder.add_edge("tools", "agent").compile(name="agent")


def tell(state: State) -> dict[str, Any]:
    write = get_stream_writer()
    write({"progress": 1})
    write({"type": "data-sacks", "id": "sacks", "data": {"count": 2}})
    return {"topic": "sacks"}


def make_team() -> Any:
    """Return a graph around the agent, which tells something first."""
    builder = StateGraph(State).add_node("tell", tell).add_node("miller", make_agent())
    return builder.add_edge(START, "tell").add_edge("tell", "miller").compile(name="team")


def ask(state: State) -> dict[str, Any]:
    answer = interrupt({"question": "Shall the mill turn?"})
    return {"messages": [AIMessage(f"You said {answer}.", id="told")]}


def make_asking() -> Any:
    """Return a graph that asks something, and keeps what it knows."""
    return (
        StateGraph(State).add_node(ask).add_edge(START, "ask").compile(checkpointer=InMemorySaver())
    )


def review(state: State) -> Command[Any]:
    """Ask about the calls of the last message, as `HumanInTheLoopMiddleware` does."""
    calls = state["messages"][-1].tool_calls
    actions = [{"name": call["name"], "args": call["args"]} for call in calls]
    given = interrupt({"action_requests": actions, "review_configs": []})
    made = given["decisions"]
    refused = [
        ToolMessage(made[n].get("message") or "no", tool_call_id=call["id"], status="error")
        for n, call in enumerate(calls)
        if made[n]["type"] == "reject"
    ]
    left = [call for n, call in enumerate(calls) if made[n]["type"] == "approve"]
    last = state["messages"][-1].model_copy(update={"tool_calls": left})
    return Command(update={"messages": [last, *refused]}, goto="tools" if left else "agent")


def make_reviewed() -> Any:
    """Return the agent, whose calls have to be approved."""
    builder = StateGraph(State).add_node("agent", agent)
    builder.add_node("review", review, destinations=("tools", "agent"))
    builder.add_node("tools", ToolNode([weigh, burn], handle_tool_errors=True))
    builder.add_edge(START, "agent").add_edge("tools", "agent")
    builder.add_conditional_edges(
        "agent", lambda state: "review" if state["messages"][-1].tool_calls else END
    )
    return builder.compile(checkpointer=InMemorySaver())


class Planned(State, total=False):
    plan: list[dict[str, Any]]
    notes: str


def plan(state: Planned) -> dict[str, Any]:
    tasks = [{"task": f"grind sack {n} of the rye", "is_done": False} for n in range(9)]
    return {"plan": tasks, "notes": "The rye is dry, and the wind is from the west."}


def work(state: Planned) -> dict[str, Any]:
    first, *others = state["plan"]
    return {"plan": [{**first, "is_done": True}, *others, {"task": "sweep", "is_done": False}]}


def make_planning() -> Any:
    """Return a graph whose state is a plan, of which a little changes at a time."""
    builder = StateGraph(Planned).add_node(plan).add_node(work).add_edge(START, "plan")
    return builder.add_edge("plan", "work").compile()


ACTIVITY = {"messageId": "milling", "activityType": "progress"}


def show(state: State) -> None:
    write = get_stream_writer()
    write({"type": "ACTIVITY_SNAPSHOT", **ACTIVITY, "content": {"sacks": 0}})
    change = {"op": "replace", "path": "/sacks", "value": 1}
    write({"type": "ACTIVITY_DELTA", **ACTIVITY, "patch": [change]})
    write({"type": "ACTIVITY_DELTA", **ACTIVITY, "messageId": "unknown", "patch": [change]})
    write({"type": "ACTIVITY_DELTA", **ACTIVITY, "patch": [{"op": "add", "path": "sacks"}]})
    write({"type": "RAW", "event": {"id": "evt-1"}, "source": "a mill"})
    write({"name": "org.example.mill", "payload": 7})
    write("It turns.")


def make_showing() -> Any:
    """Return a graph whose nested graph shows an activity, and passes on a provider's event."""
    inner = StateGraph(State).add_node(show).add_edge(START, "show").compile(name="shower")
    return StateGraph(State).add_node("inner", inner).add_edge(START, "inner").compile()


def forget(state: State) -> dict[str, Any]:
    return {"messages": [RemoveMessage(id=str(state["messages"][0].id))]}


def make_forgetful() -> Any:
    """Return a graph that says something, and forgets what it was asked."""
    builder = StateGraph(State).add_node("say", speaking(chunk("It turns.")))
    return builder.add_node(forget).add_edge(START, "say").add_edge("say", "forget").compile()


def make_refusing() -> Any:
    """Return a graph whose model refuses, in pieces, and with a block of its provider's own."""
    blocks = [{"type": "refusal", "refusal": text, "index": 0} for text in ("I will ", "not.")]
    said = [chunk([block], id="no") for block in blocks]
    builder = StateGraph(State).add_node("speak", speaking(*said))
    return builder.add_edge(START, "speak").compile()


def make_short() -> Any:
    """Return a graph whose model is cut off."""
    said = chunk("It "), chunk(response_metadata={"finish_reason": "length"})
    return StateGraph(State).add_node("speak", speaking(*said)).add_edge(START, "speak").compile()


def make_consulting(*, is_forgetful: bool = True) -> Any:
    """Return a graph that asks an agent, keeps nothing of what that says, and forgets something."""
    miller = make_agent()

    def consult(state: State) -> None:
        miller.invoke({"messages": "How heavy are two sacks?"})
        get_stream_writer()({"type": "ACTIVITY_SNAPSHOT", **ACTIVITY, "content": {"sacks": 2}})

    builder = StateGraph(State).add_node("say", speaking(chunk("It turns."))).add_node(consult)
    builder.add_node("forget", forget if is_forgetful else lambda state: None)
    builder.add_edge(START, "say").add_edge("say", "consult").add_edge("consult", "forget")
    return builder.compile()


@tool
def photograph() -> list[Any]:
    """Make a picture."""
    image = {"type": "image", "base64": PIXEL, "mime_type": "image/png"}
    return [{"type": "text", "text": "The mill:"}, image]


def make_photographing() -> Any:
    """Return a graph one of whose tools returns a picture."""

    def call(state: State) -> dict[str, Any]:
        made = {"name": "photograph", "args": {}, "id": "call-1", "type": "tool_call"}
        return {"messages": [AIMessage("", id="calls", tool_calls=[made])]}

    builder = StateGraph(State).add_node(call).add_node("tools", ToolNode([photograph]))
    return builder.add_edge(START, "call").add_edge("call", "tools").compile()


def make_delegating() -> Any:
    """Return a graph one of whose tools runs another one, as agents of LangChain do."""
    inner = StateGraph(State).add_node("say", speaking(chunk("It turns.")))
    miller = inner.add_edge(START, "say").compile()
    miller = miller.with_config({"metadata": {"lc_agent_name": "miller"}})

    @tool
    def delegate() -> str:
        """Ask the miller."""
        return str(miller.invoke({"messages": "go on"})["messages"][-1].text)

    def call(state: State) -> dict[str, Any]:
        made = {"name": "delegate", "args": {}, "id": "call-1", "type": "tool_call"}
        return {"messages": [AIMessage("", id="calls", tool_calls=[made])]}

    def spread(state: State) -> list[Send]:
        return [Send("tools", [made]) for made in state["messages"][-1].tool_calls]

    builder = StateGraph(State).add_node(call).add_node("tools", ToolNode([delegate]))
    return (
        builder.add_edge(START, "call").add_conditional_edges("call", spread, ["tools"]).compile()
    )


def make_milling() -> Any:
    """Return a graph with a node of which several tasks run at the same time."""

    def spread(state: State) -> list[Send]:
        return [Send("grind", {"topic": str(n)}) for n in range(3)]

    builder = StateGraph(State).add_node("grind", lambda state: None)
    return builder.add_conditional_edges(START, spread, ["grind"]).compile()


def make_relapsing() -> Any:
    """Return a graph whose nested graph fails, and is tried again."""
    attempts = iter([ValueError("stuck"), None])

    def turn(state: State) -> None:
        if error := next(attempts):
            raise error

    inner = StateGraph(State).add_node(turn).add_edge(START, "turn").compile(name="inner")
    policy = RetryPolicy(initial_interval=0, jitter=False, retry_on=ValueError)
    builder = StateGraph(State).add_node("mill", inner, retry_policy=policy)
    return builder.add_edge(START, "mill").compile()


def fail(state: State) -> None:
    raise ValueError("the wheel is stuck")


def make_failing() -> Any:
    """Return a graph that says something, and fails."""
    builder = StateGraph(State).add_node("say", speaking(chunk("It "), chunk("turns.")))
    return builder.add_node(fail).add_edge(START, "say").add_edge("say", "fail").compile()


def make_stumbling() -> Any:
    """Return a graph whose model breaks off, and is tried again."""
    attempts = iter(
        [[chunk("It ", id="first"), ConnectionError("cut")], [chunk("It turns.", id="second")]]
    )

    def speak(state: State) -> dict[str, Any]:
        return {"messages": [Scripted(chunks=next(attempts)).invoke("go on")]}

    policy = RetryPolicy(initial_interval=0, jitter=False)
    return StateGraph(State).add_node(speak, retry_policy=policy).add_edge(START, "speak").compile()


def make_cut() -> Any:
    """Return a graph whose model breaks off in the middle of a call, and is tried again."""
    cut = [*pieces("weigh", "call-1", '{"sac'), ConnectionError("cut")]
    attempts = iter([cut, [chunk("It turns.", id="second")]])

    def speak(state: State) -> dict[str, Any]:
        return {"messages": [Scripted(chunks=next(attempts)).invoke("go on")]}

    policy = RetryPolicy(initial_interval=0, jitter=False)
    return StateGraph(State).add_node(speak, retry_policy=policy).add_edge(START, "speak").compile()


def route(state: State) -> dict[str, Any]:
    names = ("Route", "locate")
    made = [{"name": name, "args": {}, "id": name, "type": "tool_call"} for name in names]
    return {"messages": [AIMessage("", tool_calls=made)]}


def make_routing() -> Any:
    """Return a graph whose model answers in a call of a schema, and calls a tool of the client."""
    return StateGraph(State).add_node(route).add_edge(START, "route").compile()


def make_chorus() -> Any:
    """Return a graph two of whose models speak at the same time."""
    both = threading.Barrier(2, timeout=30)
    builder = StateGraph(State)
    for name in ("left", "right"):
        said = chunk(f"{name} ", id=name), both.wait, chunk("turns.", id=name)
        builder.add_node(name, speaking(*said))
        builder.add_edge(START, name)
    return builder.compile()


def halting(gate: threading.Event) -> Any:
    """Return a node whose model says half of what it says before a gate is open."""

    async def speak(state: State) -> dict[str, Any]:
        model = Scripted(chunks=[chunk("It "), lambda: gate.wait(30), chunk("turns.")])
        return {"messages": [await model.ainvoke("go on")]}

    return speak


def make_gated(gate: threading.Event) -> Any:
    """Return a graph whose model says half of what it says before a gate is open."""
    builder = StateGraph(State).add_node("speak", halting(gate))
    return builder.add_edge(START, "speak").compile()


def make_attended(gate: threading.Event) -> Any:
    """Return a graph that says something, asks, and goes on with half of what it says."""
    builder = StateGraph(State).add_node("greet", speaking(chunk("I ask.", id="greeting")))
    builder.add_node(ask).add_node("speak", halting(gate))
    builder.add_edge(START, "greet").add_edge("greet", "ask").add_edge("ask", "speak")
    return builder.compile()
