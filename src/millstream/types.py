"""What programs pass to a graph and get from it, and how a node asks a question.

Parts of it are in `_types`: what `errors` and others below need, and what is slow to import, which
is there when it is first used. Their classes say that they are from here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Literal, TypeAlias
from warnings import warn

from millstream._types.interrupts import Interrupt, ResponseT, interrupt_id
from millstream._types.policies import (
    CacheKey,
    CachePolicy,
    KeyFuncT,
    RetryPolicy,
    TimeoutPolicy,
    TracePolicy,
    default_cache_key,
    default_retry_on,
    omit_payload,
)
from millstream._types.send import N, Send
from millstream._types.snapshots import PregelTask, StateSnapshot, StateUpdate
from millstream.constants import (
    CONF,
    CONFIG_KEY_CHECKPOINT_NS,
    CONFIG_KEY_SCRATCHPAD,
    CONFIG_KEY_SEND,
    INTERRUPT,
    MISSING,
    RESUME,
)
from millstream.typing import ResultT
from millstream.warnings import LangGraphDeprecatedSinceV11

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from pydantic import TypeAdapter

    from millstream._types.command import Command
    from millstream._types.executable_task import PregelExecutableTask
    from millstream._types.stream_parts import (
        CheckpointPayload,
        CheckpointStreamPart,
        CheckpointTask,
        CustomStreamPart,
        DebugPayload,
        DebugStreamPart,
        MessagesStreamPart,
        StreamPart,
        TaskPayload,
        TaskResultPayload,
        TasksStreamPart,
        UpdatesStreamPart,
        ValuesStreamPart,
    )
    from millstream._types.stream_writer import StreamWriter

    Checkpointer: TypeAlias = bool | BaseCheckpointSaver[Any] | None

__all__ = (
    "All",
    "CacheKey",
    "CachePolicy",
    "CheckpointPayload",
    "CheckpointStreamPart",
    "CheckpointTask",
    "Checkpointer",
    "Command",
    "CustomStreamPart",
    "DebugPayload",
    "DebugStreamPart",
    "Durability",
    "GraphOutput",
    "Interrupt",
    "MessagesStreamPart",
    "Overwrite",
    "PregelExecutableTask",
    "PregelTask",
    "RetryPolicy",
    "Send",
    "StateSnapshot",
    "StateUpdate",
    "StreamMode",
    "StreamPart",
    "StreamWriter",
    "TaskPayload",
    "TaskResultPayload",
    "TasksStreamPart",
    "TimeoutPolicy",
    "TracePolicy",
    "UpdatesStreamPart",
    "ValuesStreamPart",
    "default_cache_key",
    "default_retry_on",
    "ensure_valid_checkpointer",
    "interrupt",
    "omit_payload",
)


_IN_HINTS: Final = (Callable, ClassVar, KeyFuncT, N, ResponseT, Sequence, timedelta)
"""Named in the type hints of classes that say they are from here: they are looked up here."""

All: TypeAlias = Literal["*"]
"""Every node."""
Durability: TypeAlias = Literal["sync", "async", "exit"]
"""When a checkpoint is saved: before the next superstep, while it runs, or when the run ends."""
StreamMode: TypeAlias = Literal[
    "values", "updates", "checkpoints", "tasks", "debug", "messages", "custom", "tools"
]
"""What a stream shows."""


def __getattr__(name: str) -> Any:
    if name == "Command":
        from millstream._types.command import Command

        globals()[name] = Command
        return Command
    if name == "Checkpointer":
        from langgraph.checkpoint.base import BaseCheckpointSaver

        globals()[name] = alias = bool | BaseCheckpointSaver | None
        return alias
    if name == "StreamWriter":
        from millstream._types.stream_writer import StreamWriter

        globals()[name] = StreamWriter
        return StreamWriter
    if name == "PregelExecutableTask":
        from millstream._types.executable_task import PregelExecutableTask

        globals()[name] = PregelExecutableTask
        return PregelExecutableTask
    if name in __all__:
        from millstream._types import stream_parts

        globals()[name] = part = getattr(stream_parts, name)
        return part
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def ensure_valid_checkpointer(checkpointer: Checkpointer) -> Checkpointer:
    """Return `checkpointer`, or raise `TypeError` when it is not one."""
    if checkpointer is None or checkpointer is True or checkpointer is False:
        return checkpointer
    from langgraph.checkpoint.base import BaseCheckpointSaver

    if not isinstance(checkpointer, BaseCheckpointSaver):
        raise TypeError(
            "Invalid checkpointer provided. Expected an instance of `BaseCheckpointSaver`, "
            f"`True`, `False`, or `None`. Received {type(checkpointer).__name__}. "
            "Pass a proper saver (e.g., InMemorySaver, AsyncPostgresSaver)."
            f"{_advice_for(checkpointer)}"
        )
    return checkpointer


def _advice_for(thing: Any) -> str:
    """Say what to do with a context manager that gives a saver: nobody has entered it."""
    for method, statement in (("__enter__", "with"), ("__aenter__", "async with")):
        if hasattr(type(thing), method):
            return f" This is a context manager: `{statement} ... as checkpointer` gives the saver."
    return ""


@dataclass(slots=True)
class Overwrite:
    """Replace the value of a key that has a reducer, instead of reducing into it."""

    value: Any
    type: Literal["__overwrite__"] = "__overwrite__"


# No slots: programs read outputs with `vars()`.
@dataclass(frozen=True)
class GraphOutput(Generic[ResultT]):
    """The result of `invoke(version="v2")`: the output and the interrupts it stopped at.

    Reading it like a dict (`result[key]`, `key in result`) is deprecated.
    """

    value: ResultT
    interrupts: tuple[Interrupt[Any], ...] = ()

    def __getitem__(self, key: str) -> Any:
        _warn_of_mapping_access("result[key]")
        if key == INTERRUPT:
            return self.interrupts
        if isinstance(self.value, dict):
            return self.value[key]
        try:
            return getattr(self.value, key)
        except AttributeError:
            raise KeyError(key) from None

    def __contains__(self, key: object) -> bool:
        _warn_of_mapping_access("key in result")
        if key == INTERRUPT:
            return bool(self.interrupts)
        if isinstance(self.value, dict):
            return key in self.value
        return isinstance(key, str) and hasattr(self.value, key)


def _warn_of_mapping_access(expression: str) -> None:
    warn(
        f"Accessing GraphOutput via `{expression}` is deprecated. Use `result.value` to access "
        "the output value directly, or `result.interrupts` for interrupts.",
        LangGraphDeprecatedSinceV11,
        stacklevel=3,
    )


def interrupt(value: Any, *, response_schema: Any = None) -> Any:
    """Pause the task and put `value` to whoever called the graph; return the answer.

    The first time, the run stops after the superstep with the question in its output and in the
    `updates` and `values` streams. `Command(resume=answer)` runs the task again from its top, and
    this call returns the answer. A task may ask several questions: their order tells which answer
    belongs to which, so it must not change between two runs of the task. Where its code runs side
    by side - tools of a `ToolNode`, threads, asyncio tasks - each part has an order of its own.

    Args:
        value: The question: anything that the saver can store.
        response_schema: What an answer looks like. A type that pydantic knows (a model, a
            TypedDict, `int`, ...) is shown to the caller as JSON schema and makes this call return
            a validated instance. A dict is shown as it is and checks nothing.

    Raises:
        pydantic.ValidationError: The answer does not fit; the question stays open.
        RuntimeError: There is no run.

    Example:
        >>> from typing_extensions import TypedDict
        >>> from millstream.checkpoint.memory import InMemorySaver
        >>> from millstream.graph import START, StateGraph
        >>> from millstream.types import Command, interrupt
        >>> class Order(TypedDict):
        ...     item: str
        ...     approved: bool
        >>> def approve(order: Order) -> dict:
        ...     return {"approved": interrupt(f"Buy {order['item']}?")}
        >>> builder = StateGraph(Order).add_node(approve).add_edge(START, "approve")
        >>> graph = builder.compile(InMemorySaver())
        >>> thread = {"configurable": {"thread_id": "1"}}
        >>> graph.invoke({"item": "a mill"}, thread)["__interrupt__"][0].value
        'Buy a mill?'
        >>> graph.invoke(Command(resume=True), thread)
        {'item': 'a mill', 'approved': True}
    """
    # Not imported before there is something to ask: programs import this module for less.
    from millstream.config import ambient_config, task_context_of
    from millstream.errors import GraphInterrupt, mark_invalid_resume

    config = ambient_config()
    validator = _validator(response_schema)
    context = task_context_of(config)
    if context is None:
        return _ask_elsewhere(value, config, response_schema, validator)
    asked = context.find_answer(value)
    if asked.answer is MISSING:
        question = _question(value, context.ns, asked.number, response_schema, validator)
        if asked.place:
            context.record_questions((question,))
        raise GraphInterrupt((question,))
    if validator is None:
        return asked.answer
    try:
        return validator.validate_python(asked.answer)
    except Exception as error:
        # Whoever answers next answers this question again.
        context.forget_answer(asked.number)
        mark_invalid_resume(error)
        raise


def _question(
    value: Any, ns: str, number: int, schema: Any, validator: TypeAdapter[Any] | None
) -> Interrupt:
    shown = schema if validator is None else validator.json_schema()
    return Interrupt(value, interrupt_id(ns, number), response_schema=shown)


def _ask_elsewhere(
    value: Any, config: RunnableConfig, schema: Any, validator: TypeAdapter[Any] | None
) -> Any:
    """Ask in code of a node that another program runs, with a scratchpad it has made."""
    from millstream.config import outside_of_a_run
    from millstream.errors import GraphInterrupt

    configurable = config.get(CONF) or {}
    scratchpad = configurable.get(CONFIG_KEY_SCRATCHPAD)
    if scratchpad is None:
        raise outside_of_a_run()
    number, answers = scratchpad.interrupt_counter(), scratchpad.resume
    if number >= len(answers):
        answer = scratchpad.get_null_resume(True)
        if answer is None:
            ns = configurable.get(CONFIG_KEY_CHECKPOINT_NS) or ""
            raise GraphInterrupt((_question(value, ns, number, schema, validator),))
        answers.append(answer)
    send = configurable.get(CONFIG_KEY_SEND)
    if send is not None:
        send([(RESUME, answers)])
    answer = answers[number]
    return answer if validator is None else validator.validate_python(answer)


def _validator(schema: Any) -> TypeAdapter[Any] | None:
    """Return what checks answers, None when nothing is to be checked."""
    if schema is None or isinstance(schema, dict):
        return None
    try:
        # With its text, because unions that differ in their order are equal.
        return _adapter(schema, repr(schema))
    except TypeError:  # it cannot be hashed
        return _adapter.__wrapped__(schema, "")


@lru_cache(maxsize=256)
def _adapter(schema: Any, text: str) -> TypeAdapter[Any]:
    """Return the adapter of a type; making one takes longer than a superstep."""
    from pydantic import TypeAdapter

    return TypeAdapter(schema)
