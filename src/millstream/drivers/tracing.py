"""LangChain callbacks: one run for the graph and one for each task.

Everything here is skipped when nobody listens, which is worked out once per run.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackManager, CallbackManager
from langchain_core.globals import get_debug
from langchain_core.runnables.config import (
    get_async_callback_manager_for_config,
    get_callback_manager_for_config,
)
from langchain_core.utils.env import env_var_is_set

from millstream.constants import TAG_HIDDEN

if TYPE_CHECKING:
    from langchain_core.callbacks import (
        AsyncCallbackManagerForChainRun,
        BaseCallbackHandler,
        BaseCallbackManager,
        CallbackManagerForChainRun,
    )
    from langchain_core.runnables import RunnableConfig

    from millstream.drivers.context import TaskContext
    from millstream.drivers.nodecall import NodeCall


TRACING_VARIABLES: Final = (
    "LANGSMITH_TRACING_V2",
    "LANGSMITH_TRACING",
    "LANGCHAIN_TRACING_V2",
    "LANGCHAIN_TRACING",
)


def is_listened_to(config: RunnableConfig) -> bool:
    """Say whether any callback handler would hear about a run with this config."""
    callbacks = config.get("callbacks")
    return bool(getattr(callbacks, "handlers", callbacks)) or get_debug() or _is_traced()


def without_taps(callbacks: Any) -> Any:
    """Return a graph's inherited callbacks without the taps of runs above it.

    Those are not for graphs but for chat models, and the engine passes them on by itself.
    """
    handlers = getattr(callbacks, "handlers", callbacks)
    if not handlers or not any(map(_is_tap, handlers)):
        return callbacks
    if isinstance(callbacks, list):
        return [handler for handler in callbacks if not _is_tap(handler)]
    kept = callbacks.copy()
    kept.handlers = [handler for handler in kept.handlers if not _is_tap(handler)]
    kept.inheritable_handlers = [h for h in kept.inheritable_handlers if not _is_tap(h)]
    return kept


def _is_tap(handler: Any) -> bool:
    return getattr(handler, "is_tap", False) is True


def task_callbacks(context: TaskContext) -> BaseCallbackManager:
    """Return the callbacks for what a task runs.

    Never none: `dispatch_custom_event` refuses to work without a run above it.
    """
    taps: list[BaseCallbackHandler] = list(context.run.taps)
    if context.callbacks is None:
        return CallbackManager(taps, inheritable_handlers=taps, parent_run_id=UUID(context.task.id))
    for tap in taps:
        context.callbacks.add_handler(tap)
    return context.callbacks


def _is_traced() -> bool:
    """Say whether a tracer is switched on for the whole process or this context.

    LangChain's tracer module is slow to import and needed only when something in it is in use: as
    long as nobody has imported it, no hook can have been registered there.
    """
    tracers = sys.modules.get("langchain_core.tracers.context")
    if tracers is None:
        return any(env_var_is_set(name) for name in TRACING_VARIABLES)
    return bool(tracers._tracing_v2_is_enabled()) or any(
        var.get() is not None or (name is not None and env_var_is_set(name))
        for var, _, _, name in tracers._configure_hooks
    )


def start_graph(config: RunnableConfig, name: str, input: Any) -> CallbackManagerForChainRun | None:
    """Tell the handlers that a graph starts; None when there are none."""
    manager = get_callback_manager_for_config(_for_graph(config))
    if not manager.handlers:
        return None
    return manager.on_chain_start(
        None, input, name=config.get("run_name") or name, run_id=config.get("run_id")
    )


async def astart_graph(
    config: RunnableConfig, name: str, input: Any
) -> AsyncCallbackManagerForChainRun | None:
    """Tell the handlers that a graph starts; None when there are none."""
    manager = get_async_callback_manager_for_config(_for_graph(config))
    if not manager.handlers:
        return None
    return await manager.on_chain_start(
        None, input, name=config.get("run_name") or name, run_id=config.get("run_id")
    )


def start_node(context: TaskContext, node: NodeCall) -> CallbackManagerForChainRun:
    """Tell the handlers that a task starts, and hand the node its own callbacks."""
    manager = CallbackManager.configure(**_for_node(context, node))
    node_run = manager.on_chain_start(None, context.traced_input, name=context.task.name)
    context.callbacks = node_run.get_child("seq:step:1")
    return node_run


async def astart_node(context: TaskContext, node: NodeCall) -> AsyncCallbackManagerForChainRun:
    """Tell the handlers that a task starts, and hand the node its own callbacks."""
    manager = AsyncCallbackManager.configure(**_for_node(context, node))
    node_run = await manager.on_chain_start(None, context.traced_input, name=context.task.name)
    context.callbacks = node_run.get_child("seq:step:1")
    return node_run


def _for_graph(config: RunnableConfig) -> RunnableConfig:
    metadata: Mapping[str, Any] = config.get("metadata") or {}
    return {**config, "metadata": {"ls_integration": "langgraph", **metadata}}


def _for_node(context: TaskContext, node: NodeCall) -> dict[str, Any]:
    callbacks: BaseCallbackManager | None = context.inherited_callbacks()
    tags = list(node.tags)
    if context.task.node.is_hidden:
        tags.append(TAG_HIDDEN)
    return {
        "inheritable_callbacks": callbacks,
        "inheritable_tags": tags,
        "inheritable_metadata": context.metadata(),
    }
