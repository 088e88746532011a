"""Facts: what a run can say to somebody who talks with it, in the order in which it is said.

They are what the protocols of front ends have in common, and less than a run says: plans and
checkpoints are nobody's business who reads a chat. Of a message one piece of text or reasoning
is open at a time, whatever order its model keeps; pieces of a call add up to its arguments; and all
that has begun ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from millstream.modes.parts import Namespace

BlockKind = Literal["text", "reasoning", "refusal"]
"""What a piece is; a refusal is what a model says instead of text, where its provider tells."""


@dataclass(frozen=True, slots=True)
class MessageBegan:
    """A model begins to say something, or a node says something whole."""

    message_id: str
    namespace: Namespace
    """The graph it is said in."""
    node: str


@dataclass(frozen=True, slots=True)
class MessageEnded:
    """All of a message has been said."""

    message_id: str
    usage: Mapping[str, Any]
    """Tokens, as LangChain counts them; empty where nobody has counted."""
    reason: str | None = None
    """Why the model has stopped, in its provider's word."""
    error: str | None = None
    """Why it will not be finished."""
    provider: str | None = None
    model: str | None = None
    """Who has said it, where LangChain knows."""


@dataclass(frozen=True, slots=True)
class BlockBegan:
    """A piece of text, or of reasoning, begins."""

    kind: BlockKind
    block_id: str
    message_id: str


@dataclass(frozen=True, slots=True)
class BlockGrew:
    """A piece goes on."""

    kind: BlockKind
    block_id: str
    message_id: str
    delta: str


@dataclass(frozen=True, slots=True)
class BlockEnded:
    """A piece is complete."""

    kind: BlockKind
    block_id: str
    message_id: str
    text: str


@dataclass(frozen=True, slots=True)
class CallBegan:
    """A model begins to call a tool."""

    call_id: str
    name: str
    message_id: str | None
    """None for a call that no message of this run has made."""


@dataclass(frozen=True, slots=True)
class CallGrew:
    """The arguments of a call go on, as JSON."""

    call_id: str
    delta: str


@dataclass(frozen=True, slots=True)
class CallMade:
    """A call is complete."""

    call_id: str
    name: str
    message_id: str | None
    arguments: Any
    is_server_side: bool = False
    """The model's provider carries it out."""
    error: str | None = None
    """Why the arguments are none; they are the text that was said, then."""


@dataclass(frozen=True, slots=True)
class CallBrokenOff:
    """A call will not be finished: its message ends before all of it was said."""

    call_id: str
    name: str
    message_id: str
    text: str
    """What was said of its arguments."""
    error: str = "the model has not finished the call"


@dataclass(frozen=True, slots=True)
class CallProgressed:
    """A tool tells something while it works."""

    call_id: str
    name: str
    data: Any


@dataclass(frozen=True, slots=True)
class CallAnswered:
    """A tool has returned, or failed."""

    call_id: str
    name: str
    output: Any
    error: str | None = None
    is_server_side: bool = False


@dataclass(frozen=True, slots=True)
class FileShown:
    """A message has a picture, or another file."""

    message_id: str
    media_type: str
    url: str
    """Where it is, or all of it: `data:image/png;base64,...`."""


@dataclass(frozen=True, slots=True)
class SourceShown:
    """A message quotes something."""

    message_id: str
    url: str
    title: str | None


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The state of the graph, after a superstep."""

    values: Any


@dataclass(frozen=True, slots=True)
class Written:
    """A node has given something to its stream writer."""

    namespace: Namespace
    data: Any


@dataclass(frozen=True, slots=True)
class GraphBegan:
    """A nested graph begins."""

    namespace: Namespace
    name: str
    call_id: str | None = None
    """The call of the tool that runs it, where that is known: of LangChain's agents."""


@dataclass(frozen=True, slots=True)
class GraphEnded:
    """A nested graph has ended."""

    namespace: Namespace
    name: str
    status: str
    """`completed`, `failed`, `interrupted` or `drained`."""


@dataclass(frozen=True, slots=True)
class StepBegan:
    """A node begins to run. It is told where it was asked for."""

    namespace: Namespace
    """The graph that it is a node of."""
    task_id: str
    name: str


@dataclass(frozen=True, slots=True)
class StepEnded:
    """A node has run, has failed, or asks something."""

    namespace: Namespace
    task_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Asked:
    """The run asks something, and ends when it can do nothing else."""

    question_id: str
    value: Any
    schema: Any = None
    """The JSON schema of its answer, where the graph says it."""
    namespace: Namespace = ()
    """The graph that asks, where it was told there first."""


Fact: TypeAlias = (
    MessageBegan
    | MessageEnded
    | BlockBegan
    | BlockGrew
    | BlockEnded
    | CallBegan
    | CallGrew
    | CallMade
    | CallBrokenOff
    | CallProgressed
    | CallAnswered
    | FileShown
    | SourceShown
    | StateChanged
    | Written
    | GraphBegan
    | GraphEnded
    | StepBegan
    | StepEnded
    | Asked
)
