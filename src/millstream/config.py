"""Access to the current run from anywhere below a node: config, stream writer, store.

The run travels in LangChain's context variable, so it reaches runnables, tools, `asyncio` tasks and
`asyncio.to_thread`. It does not reach threads a node starts by hand; pass the writer to those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.runnables.config import var_child_runnable_config

from millstream.constants import CONF, CONFIG_KEY_TASK

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.store.base import BaseStore

    from millstream.types import StreamWriter


def get_config() -> RunnableConfig:
    """Return the config of the node that is running; `RuntimeError` outside a run."""
    config = var_child_runnable_config.get()
    if config is None:
        raise RuntimeError("Called get_config outside of a runnable context")
    return config


def get_store() -> BaseStore | None:
    """Return the run's store, None when it has none; `RuntimeError` outside a run."""
    store: BaseStore | None = get_task_context().run.store
    return store


def get_stream_writer() -> StreamWriter:
    """Return the function that emits items on the `custom` stream of the current run.

    The writer keeps working in threads and tasks that the node starts. It does nothing when nobody
    asked for `custom`. Raises `RuntimeError` outside a run.
    """
    writer: StreamWriter = get_task_context().writer
    return writer


def get_task_context() -> Any:
    """Return the context of the task that is running; `RuntimeError` outside a run."""
    context = task_context_of(get_config())
    if context is None:
        raise RuntimeError("Called get_config outside of a graph run")
    return context


def task_context_of(config: Any) -> Any:
    """Return the context of the task that a config belongs to, None if it belongs to none.

    A config that the engine made carries it as an attribute, copies of it among `configurable`.
    """
    try:
        return config.context
    except AttributeError:
        return (config.get(CONF) or {}).get(CONFIG_KEY_TASK)
