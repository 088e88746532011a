"""Graphs whose `stream` or `astream` is not the engine's own.

Subclasses and instrumentations replace these methods, on a class or on one graph, to see every run.
So where they are replaced, everything else that runs the graph goes through them: `invoke` adds up
the items, run streams turn them into events. Where they are not, nothing is streamed for a result.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing, nullcontext
from typing import TYPE_CHECKING, Any

from millstream.config import filled
from millstream.constants import INTERRUPT
from millstream.modes.names import UPDATES, VALUES
from millstream.types import GraphOutput
from millstream.typing import ConfigLike

if TYPE_CHECKING:
    from millstream.pregel._running.opening import CallOptions
    from millstream.pregel._structure.definition import GraphDefinition


def is_overridden(graph: Any, method: str) -> bool:
    """Say whether a method of a graph, `stream` or `astream`, has been replaced."""
    cls = type(graph)
    return method in vars(graph) or getattr(cls, method) is not getattr(cls, f"_own_{method}")


def invoke_overridden(
    graph: GraphDefinition[Any, Any, Any, Any],
    input: Any,
    config: ConfigLike | None,
    call: CallOptions,
) -> Any:
    """Do what `invoke` does by calling `stream`."""
    items = list(graph.stream(input, filled(config), **stream_arguments(graph, call)))
    return result_of(items, call.version) if call.is_result_wanted else items


async def ainvoke_overridden(
    graph: GraphDefinition[Any, Any, Any, Any],
    input: Any,
    config: ConfigLike | None,
    call: CallOptions,
) -> Any:
    """Do what `ainvoke` does by calling `astream`."""
    stream: Any = graph.astream(input, filled(config), **stream_arguments(graph, call))
    # What replaces `astream` need not be a generator.
    async with aclosing(stream) if hasattr(stream, "aclose") else nullcontext():
        items = [item async for item in stream]
    return result_of(items, call.version) if call.is_result_wanted else items


def stream_arguments(
    graph: GraphDefinition[Any, Any, Any, Any], call: CallOptions
) -> dict[str, Any]:
    """Return the keyword arguments of `stream`, with the names and values that LangGraph gives."""
    given = {
        "context": call.context,
        "interrupt_before": call.interrupt_before,
        "interrupt_after": call.interrupt_after,
        "durability": call.durability,
        "control": call.control,
        "debug": call.debug,
        "record": call.record,
    }
    mode: Any = call.stream_mode
    if call.is_result_wanted:
        # Questions come with `updates`, the state with `values`.
        mode = [UPDATES, VALUES] if call.version == "v1" else VALUES
    elif call.subgraphs:
        given["subgraphs"] = True
    if call.version != "v1":
        given["version"] = call.version
    keys = graph.output_channels if call.output_keys is None else call.output_keys
    return {
        "stream_mode": mode,
        "print_mode": call.print_mode,
        "output_keys": keys,
        **{name: value for name, value in given.items() if value is not None},
        **call.unknown,
    }


def result_of(items: Iterable[Any], version: str) -> Any:
    """Return what the items of a stream add up to: the last state, and the questions asked."""
    from millstream.pregel._running.results import with_questions

    value: Any = None
    interrupts: list[Any] = []
    for item in items:
        if version != "v1":
            value = item["data"]
            interrupts += item.get("interrupts") or ()
            continue
        mode, payload = item
        if mode == VALUES:
            value = payload
        # Of `updates`, in which only the questions count.
        elif isinstance(payload, dict) and INTERRUPT in payload:
            interrupts += payload[INTERRUPT]
    if version != "v1":
        return GraphOutput(value=value, interrupts=tuple(interrupts))
    return with_questions(value, interrupts)
