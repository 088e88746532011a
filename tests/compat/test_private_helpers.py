"""Helpers from private modules give what LangGraph's give."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables.config import var_child_runnable_config
from langgraph._internal import _config as their_configs
from langgraph.pregel import _call as their_calls
from langgraph.pregel import debug as their_debug

from millstream._types.tool_writer import tool_call_writer
from millstream.compat import algorithm, call_names, configs
from millstream.compat.tools import _tool_call_writer
from millstream.pregel import debug, remote

FULL = {
    "tags": ["a"],
    "metadata": {"z": 1},
    "callbacks": [BaseCallbackHandler()],
    "run_name": "r",
    "run_id": 1,
    "configurable": {"a": 1, "__b": 2, "thread_id": "x", "checkpoint_ns": "ns"},
}
OTHER = {"tags": ["b"], "metadata": {"y": 1}, "configurable": {"c": {}}, "recursion_limit": 3}


def of(module: Any, call: Callable[[Any], Any]) -> Any:
    """Return a result made of plain dicts."""
    found = call(module)
    if isinstance(found, dict) and "metadata" in found:
        found = {**found, "metadata": dict(found["metadata"])}
    return found


@pytest.mark.parametrize("ambient", [None, {"tags": ["t"], "configurable": {"k": 1}}])
@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.ensure_config(),
        lambda m: m.ensure_config(None),
        lambda m: m.ensure_config(FULL),
        lambda m: m.ensure_config(FULL, OTHER),
        lambda m: m.ensure_config({"foo": 3}),
        lambda m: m.patch_configurable(None, {"a": 2}),
        lambda m: m.patch_configurable(FULL, {"a": 2}),
        lambda m: m.patch_config(None, recursion_limit=3, configurable={"a": 2}),
        lambda m: m.patch_config(FULL, callbacks=[], max_concurrency=4),
        lambda m: m.patch_config(FULL, callbacks=[], run_name="z"),
        lambda m: m.patch_config(FULL, run_name="z"),
        lambda m: m.merge_configs(FULL, None, {"metadata": {"q": 1}}),
        lambda m: m.patch_checkpoint_map(None, {}),
        lambda m: m.patch_checkpoint_map(FULL, {}),
        lambda m: m.patch_checkpoint_map(
            {"configurable": {"checkpoint_ns": "a", "checkpoint_id": "3"}}, {"parents": {"": "1"}}
        ),
        lambda m: m.DEFAULT_RECURSION_LIMIT,
    ],
)
def test_configs_are_merged_and_patched_alike(call: Callable[[Any], Any], ambient: Any) -> None:
    token = var_child_runnable_config.set(ambient)
    try:
        assert of(configs, call) == of(their_configs, call)
    finally:
        var_child_runnable_config.reset(token)


@pytest.mark.parametrize(
    "name", ["get_callback_manager_for_config", "get_async_callback_manager_for_config"]
)
def test_callback_managers_hear_and_carry_the_same(name: str) -> None:
    ours = getattr(configs, name)(FULL, ["t"])
    theirs = getattr(their_configs, name)(FULL, ["t"])

    assert type(ours) is type(theirs)
    for attribute in ("handlers", "tags", "inheritable_tags", "metadata", "inheritable_metadata"):
        assert getattr(ours, attribute) == getattr(theirs, attribute)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.is_multiple_channel_write({"$writes": [1]}),
        lambda m: m.is_multiple_channel_write({"$writes": 1}),
        lambda m: m.is_multiple_channel_write([1]),
        lambda m: m.map_task_result_writes([("a", 1), ("b", 2), ("a", 3), ("a", 4)]),
        lambda m: m.rm_pregel_keys(None),
        lambda m: m.rm_pregel_keys({"tags": []}),
        lambda m: m.rm_pregel_keys({"configurable": {"__pregel_x": 1, "__y": 2, "a": 1}}),
        lambda m: m.get_colored_text("a", "red") + m.get_bolded_text("b"),
    ],
)
def test_debug_helpers_give_the_same(call: Callable[[Any], Any]) -> None:
    assert call(debug) == call(their_debug)


@pytest.mark.parametrize("obj", [len, int, test_debug_helpers_give_the_same, lambda: 0, "x", 1])
def test_identifiers_are_the_same(obj: Any) -> None:
    assert call_names.identifier(obj) == their_calls.identifier(obj)


def test_what_takes_langgraphs_engine_apart_says_so() -> None:
    with pytest.raises(NotImplementedError, match="local_read is a part of LangGraph's engine"):
        algorithm.local_read(None, {}, {}, None, "x")


def test_a_remote_graph_without_its_client_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "langgraph_sdk", None)
    assert not isinstance(object(), remote.RemoteGraph)
    with pytest.raises(ImportError, match=r"pip install 'millstream\[remote\]'"):
        remote.RemoteGraph("assistant", url="http://localhost")


def test_tools_write_where_the_stream_of_tools_listens() -> None:
    assert _tool_call_writer is tool_call_writer
