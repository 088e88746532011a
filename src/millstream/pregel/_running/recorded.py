"""The tape of a run that is recorded: what is known of the run before it begins."""

from __future__ import annotations

import importlib.metadata
import platform
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from millstream.constants import CONFIG_KEY_THREAD_ID
from millstream.recording.recording import Recording
from millstream.recording.tape import Tape
from millstream.version import __version__

if TYPE_CHECKING:
    from millstream.drivers.run_request import RunRequest
    from millstream.pregel._structure.definition import GraphDefinition
    from millstream.recording.recording import RecordTo

PLACE: Final = (CONFIG_KEY_THREAD_ID, "checkpoint_ns", "checkpoint_id", "run_id")
"""What of the caller's `configurable` is recorded: the rest may hold keys of services."""
PACKAGES: Final = ("langchain-core", "langgraph-checkpoint")
"""Distributions that make what is recorded."""


def tape_of(
    record: RecordTo | None, graph: GraphDefinition[Any, Any, Any, Any], request: RunRequest
) -> Tape:
    """Return the tape of a run that has not begun."""
    assert record is not None
    facts = {
        "graph": request.name,
        "namespace": list(request.nesting.namespace),
        "stream_mode": graph.stream_mode,
        "input": request.input,
        "configurable": {
            key: request.configurable[key] for key in PLACE if key in request.configurable
        },
        "versions": _versions(),
    }
    return Tape(Recording.of(record), facts, lambda: _draw(graph), request.clock)


def _draw(graph: Any) -> Any:
    return graph.get_graph(xray=True).to_json()


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    packages = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"millstream": __version__, "python": platform.python_version(), **packages}
