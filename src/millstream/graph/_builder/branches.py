"""Conditional edges."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Literal, NamedTuple, get_args, get_origin

from langchain_core.runnables import Runnable

from millstream._base.runnable import RunnableCallable
from millstream.graph._builder.state_channels import (
    annotated_function,
    function_hints,
    input_annotation,
)


class BranchSpec(NamedTuple):
    """A conditional edge as it was declared."""

    path: Runnable[Any, Any]
    ends: dict[Hashable, str] | None
    """What the path may answer -> node; None when it answers with node names."""
    input_schema: type[Any] | None = None
    """The state class the path asks for, None for that of the node."""

    @classmethod
    def from_path(
        cls,
        path: Runnable[Any, Any],
        path_map: dict[Hashable, str] | list[str] | None,
        *,
        infer_schema: bool = False,
    ) -> BranchSpec:
        """Return the edge for a path; a `Literal` return annotation can stand for a path map."""
        func = _function_of(path)
        if isinstance(path_map, dict):
            # A copy: the caller may use its dict for the next edge.
            ends: dict[Hashable, str] | None = path_map.copy()
        elif path_map is not None:
            ends = {name: name for name in path_map}
        else:
            ends = _literal_ends(func)
        schema = input_annotation(func) if infer_schema and func is not None else None
        return cls(path, ends, schema)

    @property
    def run_name(self) -> str | None:
        """The name of the path's runs, None for a lambda and for an object that is called."""
        name = self.path.name
        # A lambda is called `condition` too; only a function of that name means it.
        is_named = name != "condition" or getattr(_function_of(self.path), "__name__", "") == name
        return name if is_named else None


def _function_of(path: Runnable[Any, Any]) -> Callable[..., Any] | None:
    func = getattr(path, "func", None) or getattr(path, "afunc", None)
    if func is None and not isinstance(path, RunnableCallable):
        return path if callable(path) else None
    return func


def _literal_ends(func: Callable[..., Any] | None) -> dict[Hashable, str] | None:
    if func is None:
        return None
    try:
        returned = function_hints(annotated_function(func)).get("return")
    except (NameError, TypeError):
        return None
    if get_origin(returned) is Literal:
        return {name: name for name in get_args(returned)}
    return None
