"""Questions of a run as interrupts of AG-UI."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from millstream.protocols.approvals import approval_id, calls_to_approve
from millstream.protocols.facts import Asked

Interrupt = dict[str, Any]


def interrupts_of(asked: Asked, calls: Mapping[str, tuple[str, Any]]) -> Iterator[Interrupt]:
    """Yield what a question asks: one interrupt, or one for each of the calls that it is about.

    `calls` are those that were made and wait, id -> name and arguments.
    """
    about = calls_to_approve(asked.value, calls)
    for number, call_id in enumerate(about):
        action = asked.value["action_requests"][number]
        told: Interrupt = {
            "id": approval_id(asked.question_id, number),
            "reason": "tool_call",
            "toolCallId": call_id,
            "metadata": {"value": action},
        }
        if isinstance(text := action.get("description"), str):
            told["message"] = text
        yield told
    if not about:
        told = {
            "id": asked.question_id,
            "reason": "input_required",
            "metadata": {"value": asked.value},
        }
        if isinstance(asked.value, str):
            told["message"] = asked.value
        if isinstance(asked.schema, Mapping):
            told["responseSchema"] = asked.schema
        yield told
