"""What callers of a builder give: old names of arguments, unknown ones, nodes without a name."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Container, Mapping
from typing import Any, Final

from langchain_core.runnables import Runnable

from millstream._base.runnable import callable_name, coerce_to_runnable
from millstream.constants import END, NS_END, NS_SEP, START
from millstream.graph._builder.state_channels import called_function
from millstream.warnings import LangGraphDeprecatedSinceV05, LangGraphDeprecatedSinceV10

V05: Final = LangGraphDeprecatedSinceV05
V10: Final = LangGraphDeprecatedSinceV10
RUN_AGAIN: Final = (
    "If a notebook cell was run again, first run the one that makes the builder, `StateGraph(...)`."
)


def renamed(
    kwargs: dict[str, Any],
    old: str,
    new: str,
    value: Any,
    category: type[DeprecationWarning],
) -> Any:
    """Return an argument that may have been given under its old name, which warns."""
    if old not in kwargs:
        return value
    warnings.warn(
        f"`{old}` is deprecated and will be removed. Please use `{new}` instead.",
        category=category,
        stacklevel=3,
    )
    given = kwargs.pop(old)
    # Both may be given; then the new one counts.
    return given if value is None else value


def refuse_unknown(kwargs: Mapping[str, Any], where: str) -> None:
    """Warn of arguments that nobody knows."""
    if kwargs:
        names = ", ".join(sorted(kwargs))
        warnings.warn(f"{where} ignores unknown keyword arguments: {names}", stacklevel=3)


def name_and_action(node: Any, action: Any) -> tuple[str, Any]:
    """Return a node's name and what it runs; the name is the action's own if none is given."""
    if isinstance(node, str):
        if action is None:
            raise RuntimeError(f"node {node!r} has no action: pass the function it runs")
        return node, action
    if isinstance(node, Runnable):
        func = called_function(node)
        is_unnamed = isinstance(func, functools.partial) and getattr(node, "name", None) is None
        return callable_name(func) if is_unnamed else node.get_name(), node
    if not callable(node) and not isinstance(node, Mapping):
        # For its error, which says what can be a node.
        coerce_to_runnable(node)
    return callable_name(node), node


def path_name(path: Any) -> str | None:
    """Return the name of a path, None for that of a runnable."""
    if isinstance(path, Runnable):
        return None
    func = path.func if isinstance(path, functools.partial) else path
    name: str | None = getattr(func, "__name__", None)
    return "condition" if name == "<lambda>" or name is None else name


def check_name(name: str, nodes: Container[str]) -> None:
    """Refuse a name that a node must not have."""
    if name in nodes:
        raise ValueError(
            f"Node `{name}` already present. A builder keeps what it was given first: give this "
            f"node another name. {RUN_AGAIN}"
        )
    # Refused although nobody has added them: edges know them without.
    if name in (START, END):
        raise ValueError(f"Node `{name}` is reserved.")
    if NS_SEP in name or NS_END in name:
        character = NS_SEP if NS_SEP in name else NS_END
        raise ValueError(
            f"'{character}' is a reserved character and is not allowed in the node names."
        )
