"""The metadata of a `langgraph` distribution that is not installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, DistributionFinder
from typing import Any, NoReturn

from millstream.compat.names import VERSION

_TEXTS = {
    "METADATA": (
        f"Metadata-Version: 2.1\nName: langgraph\nVersion: {VERSION}\n"
        "Summary: millstream, which stands in for langgraph in this process\n"
    ),
    "top_level.txt": "langgraph\n",
}


class StandIn(Distribution):
    """Answers questions about langgraph's version."""

    def read_text(self, filename: str) -> str | None:
        """Return the text of a metadata file."""
        return _TEXTS.get(filename)

    def locate_file(self, path: Any) -> NoReturn:
        """Raise `NotImplementedError`: there are no files."""
        raise NotImplementedError("millstream stands in for langgraph, which has no files here")


def stand_in(own: object, context: DistributionFinder.Context | None) -> Iterator[Distribution]:
    """Yield the stand-in if the question is for it and no other finder has a real one."""
    context = context or DistributionFinder.Context()
    if (context.name or "langgraph").lower() != "langgraph" or "path" in vars(context):
        return
    wanted = DistributionFinder.Context(name="langgraph")
    for finder in sys.meta_path:
        find = getattr(finder, "find_distributions", None)
        if finder is not own and find is not None and any(True for _ in find(wanted)):
            return
    yield StandIn()
