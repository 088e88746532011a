"""What is worth a line beside a run: what was asked for and cannot have been meant."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from millstream.modes.names import CHECKPOINTS, CUSTOM, MESSAGES, TOOLS

_WHY_NOTHING: Final = {
    CHECKPOINTS: "only a graph with a saver makes checkpoints; give --checkpointer PATH",
    CUSTOM: "no node has written with get_stream_writer()",
    MESSAGES: "no node has called a model",
    TOOLS: "no tool of LangChain was called",
}
_WHERE_KEYS_BELONG: Final = ("thread_id", "checkpoint_id", "checkpoint_ns", "user_id")
"""Keys of `configurable` that are easily given beside it."""


def about_config(config: Mapping[str, Any], known: Collection[str]) -> Iterator[str]:
    """Yield a line for each key that is none of a config itself."""
    from difflib import get_close_matches

    for key in config:
        if key in known:
            continue
        if key in _WHERE_KEYS_BELONG:
            advice = f'; write it as {{"configurable": {{"{key}": ...}}}}'
        else:
            near = get_close_matches(key, known, 1)
            advice = f'; do you mean "{near[0]}"?' if near else f"; others are {', '.join(known)}"
        yield f'"{key}" in --config is taken for a key of "configurable"{advice}'


def about_keys(given: Any, graph: Any) -> Iterator[str]:
    """Yield a line for each key of the input that the graph does not take."""
    from millstream.constants import ROOT

    builder: Any = getattr(graph, "builder", None)
    if not isinstance(given, dict) or builder is None:
        return
    known = builder.schemas.get(builder.input_schema, {})
    # A state of one value has no keys.
    if ROOT in known:
        return
    from millstream.drivers.routes import nearest_names

    for key in given:
        if key in known or key in getattr(builder, "aliases", ()):
            continue
        if nearest := nearest_names(key, known):
            advice = f'do you mean "{nearest[0]}"?'
        else:
            advice = f"there are {', '.join(known)}"
        yield f'"{key}" in --input is no key that the graph takes, and is lost; {advice}'


def about_modes(asked: Sequence[str], shown: Collection[str]) -> Iterator[str]:
    """Yield a line for each stream mode that was asked for and has shown nothing."""
    for mode in asked:
        if mode not in shown:
            yield f"-m {mode} has shown nothing: {_WHY_NOTHING.get(mode, 'no node has run')}"


def about_input(error: BaseException) -> str | None:
    """Return a line for a run that failed and was given no input, if that may be why."""
    if isinstance(error, KeyError) or type(error).__name__ == "ValidationError":
        return "the input was {}, because no --input was given"
    return None


def about_engine(graph: Any) -> str | None:
    """Return a line for a graph that another engine runs."""
    for cls in type(graph).__mro__:
        # LangGraph's names are ours too: where a class comes from says its module itself.
        name = getattr(sys.modules.get(cls.__module__), "__name__", "")
        if name.startswith("langgraph.pregel"):
            from importlib import metadata

            return (
                f"LangGraph {metadata.version('langgraph')} runs this graph, not millstream: "
                "it was imported before the command could take its place"
            )
    return None
