"""Find the graph that TARGET names."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from types import ModuleType
from typing import Any, Final

from millstream.cli.failures import UsageError, reason, working_directory

FORMS: Final = "path/to/file.py:name or package.module:name"
_MISSING: Final = object()
_GRAPH_MEMBERS: Final = ("stream", "astream", "get_graph", "nodes", "channels")


def load_graph(target: str) -> Any:
    """Return the compiled graph that `target` names.

    The name may stand for a compiled graph, a builder with `compile()`, or a function without
    arguments that returns one of them. Everything that is wrong is a `UsageError`, also what
    the user's module raises while it is imported.
    """
    source, colon, name = target.rpartition(":")
    if not colon or not source or not name:
        raise UsageError(f"TARGET {target!r} does not name a graph; write {FORMS}")
    module = _load_module(source)
    try:
        value = getattr(module, name, _MISSING)
    except (Exception, SystemExit) as error:
        raise UsageError(f"{target} cannot be read: {reason(error)}") from error
    if value is _MISSING:
        raise UsageError(f"{source} has no {name!r}; {_suggestion(source, module)}")
    return _as_graph(value, target)


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
    is_function = callable(value) and not isinstance(value, type)
    if is_function and not is_graph(value) and not _is_builder(value):
        value = _call(value, target)
    if _is_builder(value) and not is_graph(value):
        try:
            value = value.compile()
        except (Exception, SystemExit) as error:
            raise UsageError(f"{target} does not compile: {reason(error)}") from error
    if not is_graph(value):
        raise UsageError(
            f"{target} is {_a(value)}, not a graph; name a compiled graph, a builder, "
            "or a function without arguments that returns one"
        )
    return value


def _call(function: Any, target: str) -> Any:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        parameters = {}.values()
    required = [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if required:
        raise UsageError(
            f"{target} needs arguments ({', '.join(required)}); name a function that needs none"
        )
    if inspect.iscoroutinefunction(function):
        raise UsageError(f"{target} is an async function; name a plain one that returns a graph")
    try:
        return function()
    except (Exception, SystemExit) as error:
        raise UsageError(f"{target} failed when called: {reason(error)}") from error


def _load_module(source: str) -> ModuleType:
    if source.endswith(".py") or os.sep in source:
        return _load_file(source)
    # Unlike a script, an installed command does not see the current directory.
    here = working_directory()
    sys.path.insert(0, here)
    try:
        return importlib.import_module(source)
    except ModuleNotFoundError as error:
        if error.name and (source == error.name or source.startswith(f"{error.name}.")):
            raise UsageError(
                f"no module named {error.name!r}, neither in {here} nor installed; write {FORMS}"
            ) from error
        raise _import_failure(source, error) from error
    except (Exception, SystemExit) as error:
        raise _import_failure(source, error) from error


def _load_file(path: str) -> ModuleType:
    if not os.path.isfile(path):
        raise UsageError(f"no such file: {path}; write {FORMS}")
    name = os.path.splitext(os.path.basename(path))[0]
    if name in sys.modules:
        name = f"{name}_target"
    spec = importlib.util.spec_from_file_location(name, os.path.abspath(path))
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file; write {FORMS}")
    # The file's neighbours can be imported, as when Python runs it.
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    module = importlib.util.module_from_spec(spec)
    # Schemas and pickles look their module up by name while it is still being executed.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _import_failure(path, error) from error
    return module


def _import_failure(source: str, error: BaseException) -> UsageError:
    advice = "install it or correct the import" if isinstance(error, ImportError) else "correct it"
    return UsageError(f"importing {source} failed: {reason(error)}; {advice} and try again")


def _suggestion(source: str, module: ModuleType) -> str:
    graphs = [name for name, value in vars(module).items() if is_graph(value) or _is_builder(value)]
    if graphs:
        return "try " + " or ".join(f"{source}:{name}" for name in graphs)
    return "define a graph there, or name another module"


def _a(value: Any) -> str:
    kind = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
    return kind if isinstance(value, type) or value is None else f"of type {kind}"
