"""Refuse modules and functions that are too long to be read at once, and large circles of imports.

A module that is nearly full is named before it is: who adds to it can split it along a concept
first, instead of having the limit decide where the addition goes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Final

import house

MODULE: Final = 500
"""Modules have fewer lines, all of them counted."""
NEARLY: Final = 470
FUNCTION: Final = 60
"""Functions have fewer lines from the first statement to the last, docstring aside."""
CIRCLE: Final = 3
"""No more modules import each other, if only indirectly or for types. Two that know each other by
their nature, say a run and its tasks, may; whatever both are given stands below them."""


def too_long(modules: Sequence[house.Module]) -> Iterator[str]:
    """Yield what has to be made shorter."""
    for module in modules:
        length = len(module.lines)
        if length >= MODULE:
            yield (
                f"src/millstream/{module.name} has {length} lines, the limit is {MODULE - 1}: "
                "split it along a concept"
            )
        for function in house.functions_of(module):
            if function.statement_lines >= FUNCTION:
                yield (
                    f"src/millstream/{module.name}:{function.definition.lineno}: {function.name} "
                    f"has {function.statement_lines} lines from the first statement to the last, "
                    f"the limit is {FUNCTION - 1}: split it along a concept"
                )


def nearly_full(modules: Sequence[house.Module]) -> Iterator[str]:
    """Yield which modules have hardly any room left."""
    for module in modules:
        length = len(module.lines)
        if NEARLY <= length < MODULE:
            yield (
                f"warning: src/millstream/{module.name} has {length} of {MODULE - 1} lines; split "
                "it along a concept before you add to it"
            )


def too_large() -> Iterator[str]:
    """Yield the imports that make a circle of too many modules."""
    graph = house.imports(is_running=False)
    for circle in house.circles(graph):
        if len(circle) > CIRCLE:
            yield (
                f"{len(circle)} modules import each other, the limit is {CIRCLE}: have what one of "
                "them needs of another in a module below both"
            )
            yield from house.links(graph, circle)


if __name__ == "__main__":
    found = house.read()
    refused = [*too_long(found), *too_large()]
    for line in (*nearly_full(found), *refused):
        sys.stdout.write(f"{line}\n")
    sys.exit(bool(refused))
