"""What is said of a result that is no update of the state."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from millstream._types.advice import with_advice
from millstream.constants import START
from millstream.errors import ErrorCode, InvalidUpdateError, create_error_message
from millstream.types import Send
from millstream.warnings import GraphWarning, warn_caller


def wrong_result(result: Any, node: str, keys: Sequence[str]) -> InvalidUpdateError:
    """Return the error for what a node with these keys returned, or for an input."""
    message = create_error_message(
        message=f"Expected dict, got {result}",
        error_code=ErrorCode.INVALID_GRAPH_NODE_RETURN_VALUE,
    )
    return with_advice(InvalidUpdateError(message), _advice(result, node, keys))


def warn_of_lost_result(result: Any, node: str) -> None:
    """Say that nothing of an object was written, because it has no key of the state."""
    name = type(result).__name__
    advice = "return {'messages': [...]}" if _is_message(result) else "return a dict of keys"
    warn_caller(
        GraphWarning(
            f"node {node!r} returned {name}, which has no key of the state: it is lost; {advice}",
            code="unknown-key",
        )
    )


def _advice(result: Any, node: str, keys: Sequence[str]) -> str:
    example = f"{{{keys[0]!r}: ...}}" if keys else "{}"
    if node == START:
        return (
            f"The input of a graph is a dict of keys of its state, such as {example}; an answer "
            "to what it asks is Command(resume=...)."
        )
    if inspect.isawaitable(result):
        return f"Node {node!r} returned what it should have awaited: `await` it in an `async def`."
    items = result if isinstance(result, (list, tuple)) else [result]
    if any(isinstance(item, Send) for item in items):
        return (
            f"Node {node!r} returned a Send: these are answers of the path of "
            "`add_conditional_edges`, or in Command(goto=[...])."
        )
    if "messages" in keys and any(map(_is_message, items)):
        example = "{'messages': ...}"
    return (
        f"Node {node!r} returned {type(result).__name__}: return a dict of the keys that it "
        f"changes, such as {example}, or None."
    )


def _is_message(result: Any) -> bool:
    # Not imported above: whoever returns a message has imported it.
    from langchain_core.messages import BaseMessage

    return isinstance(result, BaseMessage)
