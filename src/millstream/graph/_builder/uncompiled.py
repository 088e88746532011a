"""What is said to those who run a builder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from millstream.graph._builder.compiled import CompiledStateGraph


class Uncompiled:
    """Say of what only a compiled graph can do that the builder has to be compiled first."""

    # Type checkers would take it that a builder has any attribute.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            problem = f"{type(self).__name__!r} object has no attribute {name!r}"
            if not name.startswith("_") and hasattr(CompiledStateGraph, name):
                problem += f": compile it first, as in builder.compile().{name}(...)"
            raise AttributeError(problem, name=name, obj=self)
