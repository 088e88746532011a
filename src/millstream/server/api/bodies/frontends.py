"""What front ends send besides what their protocols have: how their run is to be carried out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from millstream.server.api.bodies.base import Asked, Body, JsonObject, ListOf
from millstream.server.runs.multitask import Strategy


class RunOptions(Body):
    """What is said of a run, in whatever protocol it is asked for."""

    config: JsonObject = Field(default_factory=dict)
    context: JsonObject = Field(default_factory=dict)
    metadata: JsonObject = Field(default_factory=dict)
    multitask_strategy: Strategy = "enqueue"
    on_disconnect: Literal["cancel", "continue"] = "continue"


class ChatBody(RunOptions):
    """The request of a page that is made with the AI SDK."""

    id: str | None = None
    messages: ListOf[JsonObject] = Field(default_factory=list)
    message: JsonObject | None = None
    trigger: str | None = None
    message_id: Annotated[str | None, Field(alias="messageId")] = None
    resume: dict[str, Any] | None = None
    version: Literal[6, 7] = 6
    history: Literal["thread", "page"] = "thread"


class CompletionBody(RunOptions):
    """The request of a client of OpenAI's API; what is about a model is passed by."""

    model: str
    messages: ListOf[JsonObject]
    tools: ListOf[JsonObject] | None = None
    stream: bool = False
    stream_options: JsonObject | None = None
    n: int | None = None


class ResponseBody(RunOptions):
    """The request of a client of OpenAI's Responses API; what is about a model is passed by."""

    model: str
    input: Any = ""
    instructions: str | None = None
    conversation: str | JsonObject | None = None
    previous_response_id: str | None = None
    tools: ListOf[JsonObject] | None = None
    stream: bool = False
    store: bool = True
    background: bool = False


def _options(forwarded: Any) -> Any:
    """Return what is forwarded if it can say something of a run: it may be any JSON."""
    return forwarded if isinstance(forwarded, (dict, RunOptions)) else {}


class AgentBody(Body):
    """The request of a client of AG-UI; how its run is carried out is in what it forwards."""

    thread_id: Annotated[str, Field(alias="threadId")]
    run_id: Annotated[str, Field(alias="runId")]
    messages: ListOf[JsonObject]
    state: Any = None
    tools: ListOf[JsonObject] | None = None
    context: ListOf[JsonObject] | None = None
    resume: ListOf[JsonObject] | None = None
    options: Annotated[
        RunOptions,
        BeforeValidator(_options),
        Field(alias="forwardedProps", default_factory=RunOptions),
    ]


def nothing_of(body: Any) -> Asked:
    """Return nothing of a body: what it leads to is asked for by itself."""
    return Asked()
