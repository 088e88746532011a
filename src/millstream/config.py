"""Access to the current run from anywhere below a node: config, stream writer, store.

The run travels in LangChain's context variable, so it reaches runnables, tools, `asyncio` tasks and
`asyncio.to_thread`. It does not reach threads a node starts by hand; pass the writer to those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.runnables.config import var_child_runnable_config

from millstream.constants import CONF, CONFIG_KEY_RUNTIME, CONFIG_KEY_TASK

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.store.base import BaseStore

    from millstream._types.stream_writer import StreamWriter


def get_config() -> RunnableConfig:
    """Return the config of the node that is running; `RuntimeError` outside a run."""
    config = var_child_runnable_config.get()
    if config is None:
        raise RuntimeError("Called get_config outside of a runnable context")
    return config


def get_store() -> BaseStore | None:
    """Return the run's store, None when it has none; `RuntimeError` outside a run."""
    config = get_config()
    runtime = replaced_runtime(config)
    store: BaseStore | None = _context_in(config).run.store if runtime is None else runtime.store
    return store


def get_stream_writer() -> StreamWriter:
    """Return the function that emits items on the `custom` stream of the current run.

    The writer keeps working in threads and tasks that the node starts. It does nothing when nobody
    asked for `custom`. Raises `RuntimeError` outside a run.
    """
    config = get_config()
    runtime = replaced_runtime(config)
    writer: StreamWriter = _context_in(config).writer if runtime is None else runtime.stream_writer
    return writer


def get_task_context() -> Any:
    """Return the context of the task that is running; `RuntimeError` outside a run."""
    return _context_in(get_config())


def _context_in(config: Any) -> Any:
    context = task_context_of(config)
    if context is None:
        raise outside_of_a_run()
    return context


def outside_of_a_run() -> RuntimeError:
    """Return the error for what works only inside a run."""
    return RuntimeError("Called get_config outside of a graph run")


def replaced_runtime(config: Any) -> Any:
    """Return the runtime that a program has put into a config, None if it has not."""
    # Not config.get, which would have the engine fill a config that nobody has looked at.
    configurable = dict.get(config, CONF)
    runtime = configurable.get(CONFIG_KEY_RUNTIME) if configurable else None
    if runtime is None:
        return None
    context = task_context_of(config)
    return None if context is not None and runtime is context.made_runtime else runtime


def task_context_of(config: Any) -> Any:
    """Return the context of the task that a config belongs to, None if it belongs to none.

    A config that the engine made carries it as an attribute, copies of it among `configurable`.
    """
    context = getattr(config, "context", None)
    return (config.get(CONF) or {}).get(CONFIG_KEY_TASK) if context is None else context
