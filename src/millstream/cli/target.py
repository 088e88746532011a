"""Find the graph that TARGET names."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from millstream._base.modules import import_source, is_path
from millstream._base.naming import (
    FORMS,
    NamingError,
    check_file,
    is_builder,
    is_graph,
    names_in,
    only_name,
    split_target,
    suggestion,
)
from millstream.cli.failures import UsageError, reason, working_directory

if TYPE_CHECKING:
    from millstream.cli.event_loop import EventLoop

_MISSING: Final = object()


def load_graph(target: str) -> Any:
    """Return the compiled graph that `target` names, to be looked at, as `lent_graph` finds it."""
    from millstream.cli.event_loop import EventLoop

    with EventLoop() as loop, lent_graph(target, {}, loop) as graph:
        return graph


def targets_in(target: str) -> list[str]:
    """Return the targets that name a graph each: of a module without a name, all that it has."""
    with _refused():
        source, name = split_target(target)
    if name is not None:
        return [target]
    module = _load_module(source)
    with _refused():
        return [f"{source}:{each}" for each in names_in(source, module)]


@contextmanager
def lent_graph(target: str, config: Mapping[str, Any], loop: EventLoop) -> Iterator[Any]:
    """Lend the compiled graph that `target` names, to be run.

    The name may stand for a compiled graph, a builder with `compile()`, or a function that returns
    one of them, async or a context manager too; it is given a config where it asks for one. Without
    a name it is the only graph of the module. Everything that is wrong is a `UsageError`, also what
    the user's module raises while it is imported.
    """
    with _refused():
        source, name = split_target(target)
    module = _load_module(source)
    if name is None:
        with _refused():
            name = only_name(source, module)
        target = f"{source}:{name}"
    value = _named(module, source, name)
    is_function = callable(value) and not isinstance(value, type)
    if is_function and not is_graph(value) and not is_builder(value):
        from millstream.cli.factories import made

        with made(value, target, config, loop) as value:
            yield _as_graph(value, target)
    else:
        yield _as_graph(value, target)


@contextmanager
def _refused() -> Iterator[None]:
    """Have what names no graph be a usage error."""
    try:
        yield
    except NamingError as error:
        raise UsageError(str(error)) from None


def _named(module: ModuleType, source: str, name: str) -> Any:
    value: Any = module
    try:
        for part in name.split("."):
            value = getattr(value, part, _MISSING)
    except (Exception, SystemExit) as error:
        raise UsageError(f"{source}:{name} cannot be read: {reason(error)}") from error
    if value is _MISSING:
        raise UsageError(f"{source} has no {name!r}; {suggestion(source, module)}")
    return value


def _as_graph(value: Any, target: str) -> Any:
    if is_builder(value) and not is_graph(value):
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
    with _refused():
        check_file(source, source)
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


def _a(value: Any) -> str:
    kind = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
    return kind if isinstance(value, type) or value is None else f"of type {kind}"
