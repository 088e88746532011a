"""What graphs look like from outside: JSON schemas, drawings, subgraphs."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

logger = logging.getLogger("millstream.server")


def schemas_of(graph: Any) -> dict[str, Any]:
    """Return the schemas of a graph; null for what has none that JSON can say."""
    with warnings.catch_warnings():
        # The schema of the config is deprecated, and part of what clients ask for.
        warnings.simplefilter("ignore")
        return {
            "input_schema": _schema(graph, "get_input_jsonschema"),
            "output_schema": _schema(graph, "get_output_jsonschema"),
            "state_schema": _state_schema(graph),
            "config_schema": _config_schema(graph),
            "context_schema": _schema(graph, "get_context_jsonschema"),
        }


def drawing_of(graph: Any, xray: int | bool) -> dict[str, Any]:
    """Return nodes and edges of a graph."""
    drawn: dict[str, Any] = graph.get_graph(xray=xray).to_json()
    for node in drawn["nodes"]:
        data = node.get("data")
        if isinstance(data, dict) and "name" in data:
            node["type"], node["data"] = "runnable", {"name": data["name"]}
        elif node["id"] == "__end__":
            node.pop("type", None)
            node.pop("data", None)
    return drawn


def subgraphs_of(graph: Any, namespace: str | None, *, recurse: bool) -> dict[str, Any]:
    """Return the schemas of the graphs that nodes run, by their namespaces."""
    found = graph.get_subgraphs(namespace=namespace, recurse=recurse)
    return {name: schemas_of(nested) for name, nested in found}


def _schema(graph: Any, method: str) -> Any:
    return _or_none(getattr(graph, method, None), graph)


def _state_schema(graph: Any) -> Any:
    channels = getattr(graph, "stream_channels_list", None)
    if channels is None:
        return None

    def make() -> Any:
        from millstream.pregel._structure.schema import channels_model

        types = {
            name: channel.UpdateType
            for name, channel in graph.channels.items()
            if name in channels and hasattr(channel, "UpdateType")
        }
        model = channels_model(graph.get_name("State"), list(types), types)
        return model.model_json_schema()

    return _or_none(make, graph)


def _config_schema(graph: Any) -> Any:
    def make() -> Any:
        whole = graph.get_config_jsonschema()
        reference = whole.get("properties", {}).get("configurable", {}).get("$ref", "")
        definitions = dict(whole.get("$defs", {}))
        schema = definitions.pop(reference.rpartition("/")[2], {})
        # What it refers to goes with it.
        return {**schema, "$defs": definitions} if schema and definitions else schema

    return _or_none(make, graph)


def _or_none(make: Callable[[], Any] | None, graph: Any) -> Any:
    if make is None:
        return None
    try:
        return make()
    # A state may hold what JSON has no schema for; the other schemas are none the worse.
    except Exception as error:
        logger.warning("a schema of graph %s cannot be made: %s", graph, error)
        return None
