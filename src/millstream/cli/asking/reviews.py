"""Ask for decisions about tool calls, in the form of LangChain's `HumanInTheLoopMiddleware`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from millstream.cli.asking.conversation import (
    Ask,
    Conversation,
    RefusedError,
    choose,
    read_json,
    until_right,
)

DECISIONS: Final = ("approve", "edit", "reject", "respond")


def is_review(question: Any) -> bool:
    """Return whether a question is one about tool calls."""
    return (
        isinstance(question, Mapping)
        and isinstance(question.get("action_requests"), list)
        and isinstance(question.get("review_configs"), list)
        and all(isinstance(each, Mapping) for each in question["action_requests"])
    )


def decisions(question: Mapping[str, Any]) -> Conversation[dict[str, Any]]:
    """Ask what is to be done with each tool call."""
    made = []
    requests = question["action_requests"]
    for number, request in enumerate(requests, 1):
        which = f" {number}/{len(requests)}" if len(requests) > 1 else ""
        options = _allowed(question, request)
        call = f"{request.get('name')} {_json(request.get('args'))}"
        index = yield from choose(f"decision{which}", options, (call,))
        made.append((yield from _decision(options[index], request)))
    return {"decisions": made}


def _allowed(question: Mapping[str, Any], request: Mapping[str, Any]) -> list[str]:
    for each in question["review_configs"]:
        if isinstance(each, Mapping) and each.get("action_name") == request.get("name"):
            found = [kind for kind in DECISIONS if kind in (each.get("allowed_decisions") or ())]
            return found or [*DECISIONS]
    return [*DECISIONS]


def _decision(kind: str, request: Mapping[str, Any]) -> Conversation[dict[str, Any]]:
    if kind == "reject":
        reason = (yield Ask("why (nothing: no reason)")).strip()
        return {"type": kind, "message": reason} if reason else {"type": kind}
    if kind == "respond":
        return {"type": kind, "message": (yield Ask("what the tool is to have said"))}
    if kind == "edit":
        before = request.get("args")

        def parse(typed: str) -> Any:
            args = read_json(typed) if typed.strip() else before
            if not isinstance(args, dict):
                raise RefusedError("type an object of JSON")
            return args

        ask = Ask("arguments (JSON, nothing leaves them)")
        args = yield from until_right(ask, parse)
        return {"type": kind, "edited_action": {"name": request.get("name"), "args": args}}
    return {"type": kind}


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return repr(value)
