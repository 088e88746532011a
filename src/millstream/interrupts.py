"""Asking a question from inside a node."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from millstream.config import get_config, outside_of_a_run, task_context_of
from millstream.constants import (
    CONF,
    CONFIG_KEY_CHECKPOINT_NS,
    CONFIG_KEY_SCRATCHPAD,
    CONFIG_KEY_SEND,
    MISSING,
    RESUME,
)
from millstream.errors import GraphInterrupt, mark_invalid_resume
from millstream.types import Interrupt, interrupt_id

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from pydantic import TypeAdapter

    from millstream.drivers.context import TaskContext


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
    config = get_config()
    validator = _validator(response_schema)
    context: TaskContext | None = task_context_of(config)
    if context is None:
        return _ask_elsewhere(value, config, response_schema, validator)
    asked = context.find_answer(value)
    if asked.answer is MISSING:
        question = _question(value, context.ns, asked.number, response_schema, validator)
        if asked.place:
            context.note_questions((question,))
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
