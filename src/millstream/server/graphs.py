"""The graphs of the server: how they are found, made for a request, and given saver and store."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
)
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from uuid import UUID, uuid5

from millstream._base.texts import safe_str
from millstream.server.config import GraphSource
from millstream.server.errors import ApiError
from millstream.server.executors import run_on
from millstream.server.graph_files import (
    forget_modules,
    import_target,
    make_importable,
    named_sources,
)

if TYPE_CHECKING:
    from millstream.drivers.executor import Executor

logger = logging.getLogger("millstream.server")

Access: TypeAlias = Literal[
    "threads.create_run", "threads.update", "threads.read", "assistants.read"
]
"""Why a factory is called."""

NAMESPACE: Final = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")
"""Clients compute the id of a graph's own assistant with it."""


def assistant_of(graph_id: str) -> str:
    """Return the id of the assistant that a graph has by itself."""
    return str(uuid5(NAMESPACE, graph_id))


class GraphError(ApiError):
    """A graph that cannot be imported or made, by a fault in its own code."""

    def __init__(self, graph_id: str, reason: str) -> None:
        super().__init__(500, f"Graph {graph_id!r} cannot be loaded: {reason}")


@dataclass(frozen=True)
class _Loaded:
    value: Any
    """A compiled graph, or what makes one."""
    fault: str | None = None


class GraphCatalog:
    """The graphs by their ids. One that cannot be loaded says why; the others are not concerned."""

    def __init__(
        self,
        sources: Mapping[str, GraphSource],
        directory: Path,
        *,
        dependencies: Sequence[str] = (),
        saver: Any = None,
        store: Any = None,
        executor: Executor | None = None,
    ) -> None:
        self._sources = dict(sources)
        self._directory = directory
        self.folders = [directory, *(directory / name for name in dependencies)]
        """Where the files are that graphs are made of."""
        self._loaded: dict[str, _Loaded] = {}
        self._others: set[str] = set()
        """The modules that somebody else has imported, and does not import again."""
        self._saver = saver
        self._store = store
        self._executor = executor

    def load(self) -> dict[str, str]:
        """Import all graphs; return what is wrong with those that cannot be.

        Raises:
            ConfigError: A file or a module is to have one graph, and has none or several.
        """
        make_importable(self.folders)
        self._others = {*sys.modules}
        self._sources = named_sources(self._sources, self._directory)
        self._loaded = {id: self._load(source) for id, source in self._sources.items()}
        return {id: graph.fault for id, graph in self._loaded.items() if graph.fault is not None}

    def reload(self, also: Callable[[], bool] = lambda: True) -> dict[str, str]:
        """Import all graphs, and whatever `also` imports, from what their files are now.

        Returns what is wrong with those that cannot be; they stay what they were, as does what
        `also` is about if it returns False.
        """
        old_modules = forget_modules(self.folders)
        old = self._loaded
        new = {id: self._load(source) for id, source in self._sources.items()}
        faults = {id: graph.fault for id, graph in new.items() if graph.fault is not None}
        is_all_new = also() and not faults
        for name, module in old_modules.items():
            # What stays still uses what could not be imported. Nobody uses the rest, and code that
            # imports it when it is called is to get it as it is now.
            if name in self._others or not is_all_new:
                sys.modules.setdefault(name, module)
        self._loaded = {
            id: old[id] if id in faults and old[id].fault is None else graph
            for id, graph in new.items()
        }
        return faults

    def ids(self) -> list[str]:
        """Return the ids of all graphs, also of those that could not be loaded."""
        return list(self._sources)

    def __contains__(self, graph_id: object) -> bool:
        return graph_id in self._sources

    def description(self, graph_id: str) -> str | None:
        """Return what the configuration says of a graph."""
        return self._sources[graph_id].description

    def unknown(self, graph_id: str) -> ApiError:
        """Return the error for a graph that is not here."""
        known = sorted(self._sources)
        return ApiError(404, f"Graph '{graph_id}' not found. Expected one of: {known}")

    @asynccontextmanager
    async def open(
        self,
        graph_id: str,
        config: Mapping[str, Any] | None = None,
        *,
        access: Access = "assistants.read",
        user: Any = None,
        context: Any = None,
    ) -> AsyncIterator[Any]:
        """Give a compiled graph with saver and store; a factory makes it for this request."""
        loaded = self._loaded.get(graph_id)
        if loaded is None:
            raise self.unknown(graph_id)
        if loaded.fault is not None:
            raise GraphError(graph_id, loaded.fault)
        if _is_graph(loaded.value):
            yield loaded.value
            return
        call = _FactoryCall(config or {}, access, user, context, self._store)
        async with _made(loaded.value, call) as graph:
            yield self._equipped(graph)

    def _equipped(self, graph: Any) -> Any:
        graph = _compiled(graph)
        if not callable(getattr(graph, "copy", None)) or not hasattr(graph, "checkpointer"):
            return graph
        equipped = graph.copy(update={"checkpointer": self._saver, "store": self._store})
        return equipped if self._executor is None else run_on(equipped, self._executor)

    def _load(self, source: GraphSource) -> _Loaded:
        try:
            value = source.target
            if isinstance(value, str):
                value = import_target(value, self._directory)
            if _is_graph(_compiled(value)):
                return _Loaded(self._equipped(value))
            if not callable(value):
                return _Loaded(None, f"{source.target} is no graph, and makes none: {value!r}")
        except (Exception, SystemExit) as error:
            logger.info("%s cannot be imported", source.target, exc_info=error)
            return _Loaded(None, f"{type(error).__name__}: {safe_str(error)}")
        return _Loaded(value)


@dataclass(frozen=True)
class _FactoryCall:
    """What a factory may ask for."""

    config: Mapping[str, Any]
    access: Access
    user: Any
    context: Any
    store: Any

    def argument(self, name: str, annotation: str) -> Any:
        """Return what a parameter of a factory stands for."""
        if name == "runtime" or "Runtime" in annotation:
            return self._runtime()
        if name == "user" or "User" in annotation:
            return self.user
        return dict(self.config)

    def _runtime(self) -> Any:
        # What factories find in the annotations of their parameters.
        from langgraph_sdk.runtime import _ExecutionRuntime, _ReadRuntime

        given = {"access_context": self.access, "user": self.user, "store": self.store}
        if self.access == "threads.create_run":
            return _ExecutionRuntime(**given, context=self.context)
        return _ReadRuntime(**given)


def _is_graph(value: Any) -> bool:
    return not isinstance(value, type) and all(
        hasattr(value, name) for name in ("astream", "aget_state", "get_graph")
    )


def _compiled(value: Any) -> Any:
    is_builder = not isinstance(value, type) and hasattr(value, "compile")
    return value.compile() if is_builder and not _is_graph(value) else value


@asynccontextmanager
async def _made(factory: Callable[..., Any], call: _FactoryCall) -> AsyncIterator[Any]:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        parameters = {}.values()
    arguments = {}
    positional = []
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        is_known = parameter.name in ("config", "runtime", "user")
        if parameter.default is not parameter.empty and not is_known:
            continue
        value = call.argument(parameter.name, str(parameter.annotation))
        if parameter.kind is parameter.POSITIONAL_ONLY:
            positional.append(value)
        else:
            arguments[parameter.name] = value
    made = factory(*positional, **arguments)
    if inspect.isawaitable(made):
        made = await made
    if isinstance(made, AbstractAsyncContextManager) and not _is_graph(made):
        async with made as graph:
            yield graph
    elif isinstance(made, AbstractContextManager) and not _is_graph(made):
        with made as graph:
            yield graph
    else:
        yield made
