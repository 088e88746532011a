"""What tools return, made into what a `ToolNode` returns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, Literal, TypeAlias

from langchain_core.messages import (
    AnyMessage,
    RemoveMessage,
    ToolCall,
    ToolMessage,
    convert_to_messages,
)

from millstream.errors import GraphBubbleUp, GraphInterrupt
from millstream.graph.message import REMOVE_ALL_MESSAGES
from millstream.types import Command, Send

InputForm: TypeAlias = Literal["list", "dict", "tool_calls"]
"""The form of a `ToolNode`'s input, which decides the form of its result."""

# What chat models accept in the content of a tool message.
_CONTENT_BLOCK_TYPES: Final = frozenset(
    {
        "text",
        "image_url",
        "image",
        "json",
        "search_result",
        "custom_tool_call_output",
        "document",
        "file",
    }
)


def msg_content_output(output: Any) -> str | list[dict[str, Any]]:
    """Make the content of a message from a tool's output.

    Texts and lists of content blocks stay; anything else becomes JSON, or a text where it cannot.
    """
    if isinstance(output, str):
        return output
    if isinstance(output, list) and all(
        isinstance(item, dict) and item.get("type") in _CONTENT_BLOCK_TYPES for item in output
    ):
        return output
    try:
        # As text: models read it, and escapes cost tokens.
        return json.dumps(output, ensure_ascii=False)
    except Exception:
        return str(output)


def checked_response(
    response: Any, call: ToolCall, form: InputForm, messages_key: str
) -> ToolMessage | Command[Any] | list[ToolMessage | Command[Any]]:
    """Return a tool's response in good shape.

    Raises `TypeError` for what is neither message nor command, `ValueError` for a response that
    would leave the call without its one answer in the history.
    """
    if isinstance(response, Command):
        return _checked_command(response, call, form, messages_key)
    if isinstance(response, ToolMessage):
        return _checked_message(response)
    if not isinstance(response, list):
        raise TypeError(f"Tool {call['name']} returned unexpected type: {type(response)}")
    if not all(isinstance(item, (Command, ToolMessage)) for item in response):
        raise TypeError(
            f"Tool {call['name']} returned a list with invalid element types: "
            "expected all Command or ToolMessage"
        )
    # Providers refuse a history in which a call has no answer, or two.
    answers = sum(_is_answer(m, call) for item in response for m in _messages(item, messages_key))
    if answers != 1:
        raise ValueError(
            f"Tool {call['name']} returned a list with {answers} messages bound to tool_call_id "
            f"'{call['id']}'; expected exactly one terminating ToolMessage."
        )
    return [
        _checked_command(item, call, form, messages_key, must_answer=False)
        if isinstance(item, Command)
        else _checked_message(item)
        for item in response
    ]


def combined(
    outputs: Sequence[Any], form: InputForm, messages_key: str
) -> list[Any] | dict[str, Any]:
    """Return the outputs of all calls as one result of the node, in order.

    Commands that only send to the parent graph become one, since the first command for a parent
    ends the node.
    """
    flat: list[Any] = []
    for output in outputs:
        flat.extend(output if isinstance(output, list) else [output])
    if not any(isinstance(output, Command) for output in flat):
        return flat if form == "list" else {messages_key: flat}
    results: list[Any] = []
    sends: Command[Any] | None = None
    for output in flat:
        if not isinstance(output, Command):
            results.append([output] if form == "list" else {messages_key: [output]})
        elif _sends_to_parent(output):
            sends = output if sends is None else sends._joined([output])
        else:
            results.append(output)
    return results if sends is None else [*results, sends]


def _sends_to_parent(command: Command[Any]) -> bool:
    return (
        command.graph == Command.PARENT
        and isinstance(command.goto, list)
        and all(isinstance(target, Send) for target in command.goto)
    )


def _checked_message(message: ToolMessage) -> ToolMessage:
    message.content = msg_content_output(message.content)  # type: ignore[assignment]  # narrower
    return message


def _messages(item: Command[Any] | ToolMessage, messages_key: str) -> list[Any]:
    if isinstance(item, ToolMessage):
        return [item]
    update = item.update
    if isinstance(update, dict):
        update = update.get(messages_key, [])
    return update if isinstance(update, list) else []


def _is_answer(message: Any, call: ToolCall) -> bool:
    return isinstance(message, ToolMessage) and message.tool_call_id == call["id"]


def _checked_command(
    command: Command[Any],
    call: ToolCall,
    form: InputForm,
    messages_key: str,
    *,
    must_answer: bool = True,
) -> Command[Any]:
    update: Any = command.update
    if isinstance(update, dict):
        if form == "list":
            raise ValueError(
                "Tools can provide a dict in Command.update only when using dict with "
                f"'{messages_key}' key as ToolNode input, got: {update} for tool '{call['name']}'"
            )
        messages = update.get(messages_key, ())
    elif isinstance(update, list):
        if form != "list":
            raise ValueError(
                "Tools can provide a list of messages in Command.update only when using list of "
                f"messages as ToolNode input, got: {update} for tool '{call['name']}'"
            )
        messages = update
    else:
        return command
    # They may be written as dicts or pairs; they are passed on as they are.
    understood = convert_to_messages(messages)
    if must_answer and command.graph is None and not _has_answer(understood, call):
        raise ValueError(_missing_answer(understood, call, form))
    named = [
        message.model_copy(update={"name": call["name"]}) if _is_answer(message, call) else message
        for message in messages
    ]
    if messages is update:
        return replace(command, update=named)
    return replace(command, update={**update, messages_key: named}) if named else command


def _has_answer(messages: Sequence[AnyMessage | Any], call: ToolCall) -> bool:
    return any(
        _is_answer(message, call)
        # Then the call is removed as well.
        or (isinstance(message, RemoveMessage) and message.id == REMOVE_ALL_MESSAGES)
        for message in messages
    )


def _missing_answer(messages: Sequence[Any], call: ToolCall, form: InputForm) -> str:
    example = (
        '`Command(update={"messages": [ToolMessage("Success", tool_call_id=tool_call_id), ...]}'
        if form == "dict"
        else '`Command(update=[ToolMessage("Success", tool_call_id=tool_call_id), ...]'
    )
    return (
        "Expected to have a matching ToolMessage in Command.update for tool "
        f"'{call['name']}', got: {messages}. "
        "Every tool call (LLM requesting to call a tool) in the message history "
        "MUST have a corresponding ToolMessage. "
        f"You can fix it by modifying the tool to return {example}, ...)`."
    )


def pass_on(outputs: Sequence[Any]) -> None:
    """Raise the signals among the outputs of calls: all questions as one, or the first signal."""
    signals = [output for output in outputs if isinstance(output, GraphBubbleUp)]
    asking = [signal for signal in signals if isinstance(signal, GraphInterrupt)]
    if len(asking) > 1:
        raise GraphInterrupt(tuple(q for signal in asking for q in signal.args[0]))
    for signal in asking or signals:
        raise signal
