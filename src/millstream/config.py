"""Access to the current run from anywhere below a node: config, stream writer, store.

The run travels in LangChain's context variable, so it reaches runnables, tools, `asyncio` tasks and
`asyncio.to_thread`. It does not reach threads a node starts by hand; pass the writer to those.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from langchain_core.runnables.config import var_child_runnable_config

from millstream._types.advice import with_advice
from millstream.constants import CONF, CONFIG_KEY_RUNTIME, CONFIG_KEY_TASK

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.store.base import BaseStore

    from millstream._types.stream_writer import StreamWriter


class AmbientConfig(dict[str, Any]):
    """What LangChain's context variable holds while a task runs: its config, unless nobody looks.

    The variable must hold a config for every task, and making one costs more than most tasks. So
    this has nothing in it. Whatever is asked of it is asked of the task's config, a plain dict that
    is made when that happens first.

    It is a dict because instrumentations ask whether it is. C code that reads dicts without asking
    them sees that it is empty. Therefore it is in the variable alone, which LangChain's
    `ensure_config` reads with `items`: whatever is given to programs (`get_config`, an injected
    `config`, the config of a runnable) is the plain dict, or a copy of it.
    """

    __slots__ = ("_filled", "context")

    context: Any
    """The task's context."""
    _filled: dict[str, Any]

    def filled(self) -> dict[str, Any]:
        """Return the task's config."""
        try:
            return self._filled
        except AttributeError:
            self._filled = self.context.config
            return self._filled

    @property
    def is_filled(self) -> bool:
        """Whether anybody has looked at the config."""
        return hasattr(self, "_filled")

    def __getitem__(self, key: str) -> Any:
        return self.filled()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.filled()[key] = value

    def __delitem__(self, key: str) -> None:
        del self.filled()[key]

    def __contains__(self, key: object) -> bool:
        return key in self.filled()

    def __iter__(self) -> Iterator[str]:
        return iter(self.filled())

    def __reversed__(self) -> Iterator[str]:
        return reversed(self.filled())

    def __len__(self) -> int:
        return len(self.filled())

    def __eq__(self, other: object) -> bool:
        return bool(self.filled() == filled(other))

    def __ne__(self, other: object) -> bool:
        return bool(self.filled() != filled(other))

    def __repr__(self) -> str:
        return repr(self.filled())

    def __or__(self, other: Any) -> Any:
        return self.filled() | other

    def __ror__(self, other: Any) -> Any:
        return other | self.filled()

    def __ior__(self, other: Any) -> Any:
        self.filled().update(other)
        return self

    def __reduce__(self) -> Any:
        return dict, (self.copy(),)

    def get(self, key: str, default: Any = None) -> Any:
        return self.filled().get(key, default)

    def keys(self) -> Any:
        return self.filled().keys()

    def values(self) -> Any:
        return self.filled().values()

    def items(self) -> Any:
        return self.filled().items()

    def copy(self) -> dict[str, Any]:
        return self.filled().copy()

    def setdefault(self, key: str, default: Any = None) -> Any:
        return self.filled().setdefault(key, default)

    def pop(self, *args: Any) -> Any:
        return self.filled().pop(*args)

    def popitem(self) -> tuple[str, Any]:
        return self.filled().popitem()

    def update(self, *args: Any, **kwargs: Any) -> None:
        self.filled().update(*args, **kwargs)

    def clear(self) -> None:
        self.filled().clear()


def get_config() -> RunnableConfig:
    """Return the config of the node that is running, a plain dict; `RuntimeError` outside a run.

    It is the same one until the node is tried again: what is changed in it is changed for whatever
    the node calls.
    """
    config: RunnableConfig = filled(ambient_config())
    return config


def ambient_config() -> Any:
    """Return the config of the node that is running, without having it made."""
    config = var_child_runnable_config.get()
    if config is None:
        raise with_advice(
            RuntimeError("Called get_config outside of a runnable context"),
            "It, `interrupt`, `get_store`, `get_stream_writer` and calls of tasks work only in "
            "code that a graph runs, such as that of a node or of an `@entrypoint`",
        )
    return config


def filled(config: Any) -> Any:
    """Return the plain dict that an ambient config stands for; any other config as it is."""
    return config.filled() if type(config) is AmbientConfig else config


def get_store() -> BaseStore | None:
    """Return the run's store, None when it has none; `RuntimeError` outside a run."""
    config = ambient_config()
    runtime = replaced_runtime(config)
    store: BaseStore | None = (
        _context_in(config).run.request.store if runtime is None else runtime.store
    )
    return store


def get_stream_writer() -> StreamWriter:
    """Return the function that emits items on the `custom` stream of the current run.

    The writer keeps working in threads and tasks that the node starts. It does nothing when nobody
    asked for `custom`. Raises `RuntimeError` outside a run.
    """
    config = ambient_config()
    runtime = replaced_runtime(config)
    writer: StreamWriter = _context_in(config).writer if runtime is None else runtime.stream_writer
    return writer


def get_task_context() -> Any:
    """Return the context of the task that is running; `RuntimeError` outside a run."""
    return _context_in(ambient_config())


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
    if type(config) is AmbientConfig:
        if not config.is_filled:
            return None
        config = config.filled()
    configurable = config.get(CONF)
    runtime = configurable.get(CONFIG_KEY_RUNTIME) if configurable else None
    if runtime is None:
        return None
    context = task_context_of(config)
    return None if context is not None and runtime is context.made_runtime else runtime


def task_context_of(config: Any) -> Any:
    """Return the context of the task that a config belongs to, None if it belongs to none.

    An ambient config knows it, plain ones have it among `configurable`.
    """
    if type(config) is AmbientConfig:
        return config.context
    return (config.get(CONF) or {}).get(CONFIG_KEY_TASK)
