"""Every declared public name of langgraph 1.2.24 is here, with the parameters it has there."""

from __future__ import annotations

import importlib
import inspect
import warnings
from types import FunctionType
from typing import Any, Final, get_origin
from unittest.mock import Mock

import pytest

from millstream.compat.names import MODULES
from millstream.pregel import Pregel

ROOTS: Final = ("langgraph", "millstream")

UNDECLARED: Final = {
    "config": ("get_config", "get_store", "get_stream_writer"),
    "func": ("Pregel", "_TaskFunction"),
    "graph.message": ("Messages",),
    "managed.base": ("is_managed_value",),
    "managed.is_last_step": ("RemainingSteps",),
    "errors": ("create_error_message",),
    "pregel.debug": (
        "CheckpointPayload",
        "TaskPayload",
        "TaskResultPayload",
        "get_bolded_text",
        "get_colored_text",
        "is_multiple_channel_write",
        "map_debug_checkpoint",
        "map_debug_task_results",
        "map_debug_tasks",
        "map_task_result_writes",
        "rm_pregel_keys",
        "tasks_w_writes",
    ),
    "runtime": ("DEFAULT_RUNTIME",),
    "stream.run_stream": (
        "AsyncGraphRunStream",
        "AsyncSubgraphRunStream",
        "GraphRunStream",
        "SubgraphRunStream",
    ),
    "stream.stream_channel": ("StreamChannel",),
    "stream.transformers": (
        "CheckpointsTransformer",
        "CustomTransformer",
        "DebugTransformer",
        "LifecyclePayload",
        "LifecycleTransformer",
        "MessagesTransformer",
        "SubgraphStatus",
        "SubgraphTransformer",
        "TasksTransformer",
        "UpdatesTransformer",
        "ValuesTransformer",
    ),
    "utils.config": ("ensure_config", "get_config", "get_store", "patch_configurable"),
    "utils.runnable": ("RunnableCallable",),
    # Private names that well-known packages import.
    "_internal._config": ("ensure_config", "patch_config", "patch_configurable"),
    "_internal._constants": (
        "CACHE_NS_WRITES",
        "CONF",
        "CONFIG_KEY_CACHE",
        "CONFIG_KEY_CALL",
        "CONFIG_KEY_CHECKPOINTER",
        "CONFIG_KEY_CHECKPOINT_ID",
        "CONFIG_KEY_CHECKPOINT_MAP",
        "CONFIG_KEY_CHECKPOINT_NS",
        "CONFIG_KEY_DURABILITY",
        "CONFIG_KEY_READ",
        "CONFIG_KEY_RESUME_MAP",
        "CONFIG_KEY_RESUMING",
        "CONFIG_KEY_RUNNER_SUBMIT",
        "CONFIG_KEY_RUNTIME",
        "CONFIG_KEY_SCRATCHPAD",
        "CONFIG_KEY_SEND",
        "CONFIG_KEY_STREAM",
        "CONFIG_KEY_TASK_ID",
        "CONFIG_KEY_THREAD_ID",
        "NS_SEP",
        "PREVIOUS",
        "PULL",
        "PUSH",
        "TASKS",
    ),
    "_internal._runnable": ("RunnableCallable", "RunnableLike"),
    "_internal._scratchpad": ("PregelScratchpad",),
    "_internal._typing": ("DeprecatedKwargs", "MISSING"),
    "graph._branch": ("BranchSpec",),
    "graph._node": ("StateNodeSpec",),
    "pregel._algo": ("PregelTaskWrites", "_proc_input", "_scratchpad", "local_read"),
    "pregel._call": ("identifier",),
    "pregel._messages": ("StreamMessagesHandlerV2",),
    "pregel._read": ("PregelNode",),
    "pregel._tools": ("StreamToolCallHandler", "_tool_call_writer"),
    "stream._mux": ("StreamMux", "TransformerFactory"),
    "stream._types": ("ProtocolEvent", "StreamTransformer"),
}
"""Names that are not in an `__all__`, but that the documentation or other packages use."""

MISSING: Final = {
    # They take LangGraph's own tasks apart; docs/ecosystem.md lists them.
    "pregel.debug.map_debug_checkpoint",
    "pregel.debug.map_debug_task_results",
    "pregel.debug.map_debug_tasks",
    "pregel.debug.tasks_w_writes",
}
OWN_PARAMETERS: Final = {
    # What only the engine makes, or nobody calls; docs/ecosystem.md says so of private ones.
    "_internal._scratchpad.PregelScratchpad",
    "pregel._algo._proc_input",
    "pregel._algo._scratchpad",
    "pregel._algo.local_read",
    "pregel._messages.StreamMessagesHandlerV2",
    "pregel._read.PregelNode",
    "pregel._tools.StreamToolCallHandler",
}


def module_of(root: str, name: str) -> Any:
    """Import a module of one of the two."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(f"{root}.{name if root == 'langgraph' else MODULES[name]}")


def names_of(name: str) -> list[str]:
    """Return the names a module of langgraph is expected to have."""
    return sorted(
        {*getattr(module_of("langgraph", name), "__all__", ()), *UNDECLARED.get(name, ())}
    )


NAMES: Final = [(module, name) for module in MODULES for name in names_of(module)]


def test_the_modules_are_all_there() -> None:
    for name in MODULES:
        assert module_of("langgraph", name)
        assert module_of("millstream", name)


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_public_names_are_there(module: str, name: str) -> None:
    has = hasattr(module_of("millstream", module), name)

    assert has is (f"{module}.{name}" not in MISSING)


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_what_is_not_text_there_is_not_text_here(module: str, name: str) -> None:
    """A type alias that is a string would not be one in `Alias | None`."""
    theirs = getattr(module_of("langgraph", module), name)
    ours = getattr(module_of("millstream", module), name, None)

    assert isinstance(ours, str) <= isinstance(theirs, str)


def parameters(value: Any) -> list[tuple[str, Any]] | None:
    """Return the parameters of a function or class as far as callers depend on them."""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return None
    return [
        (p.name, p.kind)
        for p in signature.parameters.values()
        if not p.name.startswith("_") and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    ]


def is_called(value: Any) -> bool:
    """Say whether it is a function or a class, and not a type made of others."""
    return isinstance(value, (type, FunctionType)) and get_origin(value) is None


CALLABLE: Final = [
    (module, name)
    for module, name in NAMES
    if f"{module}.{name}" not in MISSING | OWN_PARAMETERS
    and is_called(getattr(module_of("langgraph", module), name))
]


@pytest.mark.parametrize(("module", "name"), CALLABLE)
def test_parameters_are_those_of_langgraph(module: str, name: str) -> None:
    theirs = parameters(getattr(module_of("langgraph", module), name))
    ours = parameters(getattr(module_of("millstream", module), name))

    if theirs is not None:
        assert ours is not None
        # There may be more, for what LangGraph cannot do, by name only.
        more = [p for p in ours if p not in theirs]
        assert [p for p in ours if p in theirs] == theirs
        assert {kind for _, kind in more} <= {inspect.Parameter.KEYWORD_ONLY}


CLASSES: Final = [
    ("func", "entrypoint"),
    ("graph.state", "CompiledStateGraph"),
    ("graph.state", "StateGraph"),
    ("pregel", "NodeBuilder"),
    ("pregel", "Pregel"),
    ("runtime", "Runtime"),
    ("types", "Command"),
]


@pytest.mark.parametrize(("module", "name"), CLASSES)
def test_classes_have_the_public_attributes_of_langgraphs(module: str, name: str) -> None:
    """Where `Mock(spec=...)` looks: on the class."""
    theirs, ours = (dir(getattr(module_of(root, module), name)) for root in ROOTS)

    assert [each for each in theirs if not each.startswith("_") and each not in ours] == []


def test_a_mock_with_the_spec_of_a_graph_has_what_a_graph_is_made_with() -> None:
    graph = Mock(spec=Pregel)

    graph.config, graph.checkpointer, graph.store, graph.name = {}, None, None, "mock"
    assert graph.cache is not None
    with pytest.raises(AttributeError):
        _ = graph.no_such_attribute
