"""Asking a question from inside a node."""

from __future__ import annotations

import dataclasses
from typing import Any

from typing_extensions import is_typeddict

from millstream.config import get_task_context
from millstream.errors import GraphInterrupt
from millstream.types import Interrupt


def interrupt(value: Any, *, response_schema: Any = None) -> Any:
    """Pause the task and put `value` to whoever called the graph.

    The run stops after the superstep; the question is in its output and in the `updates` and
    `values` streams. `response_schema`, a pydantic model, TypedDict or dataclass, is shown to the
    caller as JSON schema. Raises `RuntimeError` outside a run.
    """
    context = get_task_context()
    raise GraphInterrupt(
        (Interrupt.from_ns(value, context.ns, response_schema=_shown_schema(response_schema)),)
    )


def _shown_schema(schema: Any) -> Any:
    """Return what clients see of a response schema."""
    if schema is None or isinstance(schema, dict):
        return schema
    if is_typeddict(schema) or dataclasses.is_dataclass(schema) or hasattr(schema, "model_fields"):
        from pydantic import TypeAdapter

        return TypeAdapter(schema).json_schema()
    raise TypeError(
        "response_schema must be a pydantic model, a TypedDict, a dataclass or a JSON schema "
        f"dict, got {schema!r}"
    )
