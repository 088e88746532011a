"""Which graph is meant where a file or a module is named: by its name in there, or the only one."""

from __future__ import annotations

import inspect
import os
from types import ModuleType
from typing import Any, Final

from millstream._base.modules import is_path

FORMS: Final = "path/to/file.py:name or package.module:name"
_GRAPH_MEMBERS: Final = ("stream", "astream", "get_graph", "nodes", "channels")
_KINDS: Final = ("CompiledStateGraph", "StateGraph", "CompiledGraph", "Pregel")
"""What functions that make graphs say that they return."""
_SHOWN: Final = 6
"""How many graphs an error names."""


class NamingError(ValueError):
    """A text that names no graph; the message says what to write."""


def split_target(target: str) -> tuple[str, str | None]:
    """Return the source and the name of a target; no name where it has none."""
    source, colon, name = target.rpartition(":")
    # A colon may also be in a path.
    if target.endswith(".py") or (target and not colon):
        return target, None
    if not source or not name:
        raise NamingError(f"TARGET {target!r} does not name a graph; write {FORMS}")
    return source, name


def check_file(source: str, path: str | os.PathLike[str]) -> None:
    """Refuse a source that is no Python file, but looks like the path of one.

    `source` is what it is called in the error, `path` where it is.
    """
    if is_path(source):
        if not os.path.isfile(path):
            raise NamingError(f"no such file: {source}; write {FORMS}")
        if not source.endswith(".py"):
            raise NamingError(f"{source} is not a Python file; write {FORMS}")
    # A folder, a configuration or a notebook, which would be taken for a module of that name.
    elif "." in source and os.path.exists(path):
        raise NamingError(f"{source} is not a Python file; write {FORMS}")


def only_name(source: str, module: ModuleType) -> str:
    """Return the name of the only graph of a module."""
    names = names_in(source, module)
    if len(names) == 1:
        return names[0]
    shown = " or ".join(f"{source}:{name}" for name in names[:_SHOWN])
    more = ", ..." if len(names) > _SHOWN else ""
    raise NamingError(f"{source} has {len(names)} graphs; name one: {shown}{more}")


def names_in(source: str, module: ModuleType) -> list[str]:
    """Return the names of all graphs of a module, or of the functions that make them."""
    names = _names_of_graphs(module) or _names_of_factories(module)
    if not names:
        raise NamingError(f"{source} has no graph; {suggestion(source, module)}")
    return names


def suggestion(source: str, module: ModuleType) -> str:
    """Say what of a module may be meant, or what to write into it."""
    graphs = [name for name, value in vars(module).items() if is_graph(value) or is_builder(value)]
    graphs += _names_of_factories(module)
    if graphs:
        return "try " + " or ".join(f"{source}:{name}" for name in graphs[:_SHOWN])
    return f"define one there, or name a function that makes one: {source}:NAME"


def is_graph(value: Any) -> bool:
    """Return whether `value` can be run and drawn like a compiled graph."""
    return not isinstance(value, type) and all(_has(value, name) for name in _GRAPH_MEMBERS)


def is_builder(value: Any) -> bool:
    """Return whether `value` can be compiled to a graph."""
    return not isinstance(value, type) and _has(value, "compile") and _has(value, "nodes")


def _names_of_graphs(module: ModuleType) -> list[str]:
    """Return the names of the compiled graphs, else of the builders, each once."""
    for is_one in (is_graph, is_builder):
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


def _has(value: Any, name: str) -> bool:
    try:
        return hasattr(value, name)
    except Exception:
        return False
