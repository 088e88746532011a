"""Questions of LangChain's `HumanInTheLoopMiddleware`: whether tools may be called.

Other questions have no form that front ends know, and are shown as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ACTIONS = "action_requests"


def calls_to_approve(question: Any, calls: Mapping[str, tuple[str, Any]]) -> list[str]:
    """Return the ids of the calls that a question is about, in its order.

    `calls` are those that were made and wait, id -> name and arguments. Where one of the actions
    is none of them, none is returned: the question is to be answered as a whole.
    """
    actions = question.get(ACTIONS) if isinstance(question, Mapping) else None
    if not isinstance(actions, (list, tuple)):
        return []
    left = dict(calls)
    found = []
    for action in actions:
        wanted = (action.get("name"), action.get("args")) if isinstance(action, Mapping) else None
        call_id = next((id for id, call in left.items() if call == wanted), None)
        if call_id is None:
            return []
        del left[call_id]
        found.append(call_id)
    return found


def decision(*, is_approved: bool, reason: str | None = None) -> dict[str, Any]:
    """Return what the middleware is told of a call."""
    if is_approved:
        return {"type": "approve"}
    return {"type": "reject", **({} if reason is None else {"message": reason})}


def approval_id(question_id: str, number: int) -> str:
    """Return the id of what a question asks about one of its calls."""
    return f"{question_id}:{number}"


def approved_call(approval: str) -> tuple[str, int] | None:
    """Return question and number of an `approval_id`; None for the id of a question as a whole."""
    question, _, number = approval.rpartition(":")
    return (question, int(number)) if question and number.isdecimal() else None


def in_order(decisions: Mapping[tuple[str, int], Any]) -> dict[str, Any]:
    """Return the answers to questions about calls, from the decisions about each of these."""
    answers: dict[str, Any] = {}
    for question, number in sorted(decisions):
        answer = answers.setdefault(question, {"decisions": []})
        answer["decisions"].append(decisions[question, number])
    return answers
