"""Find the graph that TARGET names."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from millstream._base.modules import import_source, is_path
from millstream.cli.failures import UsageError, reason, working_directory

if TYPE_CHECKING:
    from millstream.cli.event_loop import EventLoop

FORMS: Final = "path/to/file.py:name or package.module:name"
_MISSING: Final = object()
_GRAPH_MEMBERS: Final = ("stream", "astream", "get_graph", "nodes", "channels")
_KINDS: Final = ("CompiledStateGraph", "StateGraph", "CompiledGraph", "Pregel")
"""What functions that make graphs say that they return."""
_SHOWN: Final = 6
"""How many graphs an error names."""


def load_graph(target: str) -> Any:
    """Return the compiled graph that `target` names, to be looked at, as `lent_graph` finds it."""
    from millstream.cli.event_loop import EventLoop

    with EventLoop() as loop, lent_graph(target, {}, loop) as graph:
        return graph


def targets_in(target: str) -> list[str]:
    """Return the targets that name a graph each: of a module without a name, all that it has."""
    source, name = _split(target)
    if name is not None:
        return [target]
    module = _load_module(source)
    return [f"{source}:{each}" for each in _names_in(source, module)]


@contextmanager
def lent_graph(target: str, config: Mapping[str, Any], loop: EventLoop) -> Iterator[Any]:
    """Lend the compiled graph that `target` names, to be run.

    The name may stand for a compiled graph, a builder with `compile()`, or a function that returns
    one of them, async or a context manager too; it is given a config where it asks for one. Without
    a name it is the only graph of the module. Everything that is wrong is a `UsageError`, also what
    the user's module raises while it is imported.
    """
    source, name = _split(target)
    module = _load_module(source)
    if name is None:
        name = _only_name(source, module)
        target = f"{source}:{name}"
    value = _named(module, source, name)
    is_function = callable(value) and not isinstance(value, type)
    if is_function and not is_graph(value) and not _is_builder(value):
        from millstream.cli.factories import made

        with made(value, target, config, loop) as value:
            yield _as_graph(value, target)
    else:
        yield _as_graph(value, target)


def _split(target: str) -> tuple[str, str | None]:
    """Return the source and the name of a target; no name where it has none."""
    source, colon, name = target.rpartition(":")
    # A colon may also be in a path.
    if target.endswith(".py") or (target and not colon):
        return target, None
    if not source or not name:
        raise UsageError(f"TARGET {target!r} does not name a graph; write {FORMS}")
    return source, name


def _named(module: ModuleType, source: str, name: str) -> Any:
    value: Any = module
    try:
        for part in name.split("."):
            value = getattr(value, part, _MISSING)
    except (Exception, SystemExit) as error:
        raise UsageError(f"{source}:{name} cannot be read: {reason(error)}") from error
    if value is _MISSING:
        raise UsageError(f"{source} has no {name!r}; {_suggestion(source, module)}")
    return value


def _only_name(source: str, module: ModuleType) -> str:
    names = _names_in(source, module)
    if len(names) == 1:
        return names[0]
    shown = " or ".join(f"{source}:{name}" for name in names[:_SHOWN])
    more = ", ..." if len(names) > _SHOWN else ""
    raise UsageError(f"{source} has {len(names)} graphs; name one: {shown}{more}")


def _names_in(source: str, module: ModuleType) -> list[str]:
    names = _names_of_graphs(module) or _names_of_factories(module)
    if not names:
        raise UsageError(f"{source} has no graph; {_suggestion(source, module)}")
    return names


def _names_of_graphs(module: ModuleType) -> list[str]:
    """Return the names of the compiled graphs, else of the builders, each once."""
    for is_one in (is_graph, _is_builder):
        found = {id(value): name for name, value in [*vars(module).items()][::-1] if is_one(value)}
        if found:
            return [*found.values()][::-1]
    return []


def _names_of_factories(module: ModuleType) -> list[str]:
    """Return the names of functions of the module that say that they return a graph."""
    return [
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and any(kind in _result_of(value) for kind in _KINDS)
    ]


def _result_of(function: Any) -> str:
    """Return what a function says that it returns."""
    try:
        return str(function.__annotations__.get("return"))
    except Exception:
        # The annotation names what is there for type checkers alone.
        return ""


def is_graph(value: Any) -> bool:
    """Return whether `value` can be run and drawn like a compiled graph."""
    return not isinstance(value, type) and all(_has(value, name) for name in _GRAPH_MEMBERS)


def _has(value: Any, name: str) -> bool:
    try:
        return hasattr(value, name)
    except Exception:
        return False


def _is_builder(value: Any) -> bool:
    return not isinstance(value, type) and _has(value, "compile") and _has(value, "nodes")


def _as_graph(value: Any, target: str) -> Any:
    if _is_builder(value) and not is_graph(value):
        try:
            value = value.compile()
        except (Exception, SystemExit) as error:
            raise UsageError(f"{target} does not compile: {reason(error)}") from error
    if not is_graph(value):
        raise UsageError(
            f"{target} is {_a(value)}, not a graph; name a compiled graph, a builder, "
            "or a function that returns one"
        )
    return value


def _load_module(source: str) -> ModuleType:
    if is_path(source):
        if not os.path.isfile(source):
            raise UsageError(f"no such file: {source}; write {FORMS}")
        if not source.endswith(".py"):
            raise UsageError(f"{source} is not a Python file; write {FORMS}")
    # Unlike a script, an installed command does not see the current directory; a path may be whole.
    here = "" if os.path.isabs(source) else working_directory()
    if here and not is_path(source):
        sys.path.insert(0, here)
    try:
        return import_source(source, Path(here))
    except ModuleNotFoundError as error:
        is_its_own = error.name and f"{source}.".startswith(f"{error.name}.")
        if is_its_own and not is_path(source):
            raise UsageError(
                f"no module named {error.name!r}, neither in {here} nor installed; write {FORMS}"
            ) from error
        raise _import_failure(source, error) from error
    except (Exception, SystemExit) as error:
        raise _import_failure(source, error) from error


def _import_failure(source: str, error: BaseException) -> UsageError:
    advice = "correct it and try again"
    if isinstance(error, ImportError):
        from millstream.cli.installing import how_to_import

        advice = how_to_import(error)
    return UsageError(f"importing {source} failed: {reason(error)}; {advice}")


def _suggestion(source: str, module: ModuleType) -> str:
    graphs = [name for name, value in vars(module).items() if is_graph(value) or _is_builder(value)]
    graphs += _names_of_factories(module)
    if graphs:
        return "try " + " or ".join(f"{source}:{name}" for name in graphs[:_SHOWN])
    return f"define one there, or name a function that makes one: {source}:NAME"


def _a(value: Any) -> str:
    kind = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
    return kind if isinstance(value, type) or value is None else f"of type {kind}"
