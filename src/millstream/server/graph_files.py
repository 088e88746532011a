"""Importing what the configuration names, and doing so again when files have changed."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeVar

import millstream
from millstream._base.modules import import_source
from millstream._base.naming import NamingError, only_name, split_target
from millstream._base.texts import safe_str
from millstream.server.errors import ConfigError

if TYPE_CHECKING:
    from millstream.server.config import GraphSource, ServerConfig

T = TypeVar("T")

_OWN: Final = Path(millstream.__file__).resolve().parent


def make_importable(folders: Sequence[Path]) -> None:
    """Have modules in these folders found, the first one's first."""
    for folder in reversed(folders):
        if folder.is_dir() and str(folder) not in sys.path:
            sys.path.insert(0, str(folder))


def prepare_imports(config: ServerConfig) -> None:
    """Have the environment and the folders of a configuration there for what it names."""
    for name, value in config.env.items():
        os.environ.setdefault(name, value)
    make_importable([config.directory, *(config.directory / name for name in config.dependencies)])


def import_configured(config: ServerConfig, key: str, target: str, kind: type[T], called: str) -> T:
    """Import what a key of the configuration names, which is an instance of a class.

    `ConfigError` where it cannot be imported, or is something else than what it is `called`.
    """
    prepare_imports(config)
    try:
        found = import_target(target, config.directory)
    except Exception as error:
        raise ConfigError(
            f"{key} is {target!r}, which cannot be imported: "
            f"{type(error).__name__}: {safe_str(error)}"
        ) from error
    if not isinstance(found, kind):
        raise ConfigError(f"{key} is {target!r}, which is no {called} but {found!r}")
    return found


def import_target(target: str, directory: Path) -> Any:
    """Return what `file.py:name` or `package.module:name` names."""
    source, colon, name = target.rpartition(":")
    if not colon or not source or not name:
        raise ImportError(f"{target!r} names no graph; write file.py:name or package.module:name")
    value: Any = import_source(source, directory)
    for part in name.split("."):
        value = getattr(value, part)
    return value


def named_sources(sources: Mapping[str, GraphSource], directory: Path) -> dict[str, GraphSource]:
    """Return graphs by their ids, where some are named by a file or a module that has one graph.

    Those are imported: what else they have tells which name is meant, which is the id from then on
    where nobody has given it one. `ConfigError` where it cannot be told.
    """
    named: dict[str, GraphSource] = {}
    for id, given in sources.items():
        key, source = id, given
        if isinstance(given.target, str) and _is_without_name(given.target):
            name = _only_name(id, given.target, directory)
            source = replace(given, target=f"{given.target}:{name}")
            # On the command line a graph is called what it was named by, until its name is known.
            if given.target in (id, str(Path(id).absolute())):
                key = name
        put_source(named, key, source)
    return named


def _is_without_name(target: str) -> bool:
    try:
        return split_target(target)[1] is None
    except NamingError:  # which is said where the graph is imported
        return False


def put_source(sources: dict[str, GraphSource], id: str, source: GraphSource) -> None:
    """Add a graph by its id; `ConfigError` where another one has it."""
    known = sources.setdefault(id, source)
    if known.target != source.target:
        raise ConfigError(
            f"two graphs are called {id!r}, {known.target} and {source.target}: rename one of "
            "them, or give them ids in langgraph.json"
        )


def _only_name(called: str, source: str, directory: Path) -> str:
    try:
        module = import_source(source, directory)
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"importing {called} failed: {type(error).__name__}: {safe_str(error)}; correct it and "
            "try again"
        ) from error
    try:
        return only_name(called, module)
    except NamingError as error:
        raise ConfigError(str(error)) from None


def forget_modules(folders: Sequence[Path]) -> dict[str, ModuleType]:
    """Have the modules in these folders imported anew when they are next asked for."""
    roots = [folder.resolve() for folder in folders]
    forgotten = {}
    for name, module in [*sys.modules.items()]:
        file = getattr(module, "__file__", None)
        if name != "__main__" and file is not None and _is_in(Path(file), roots):
            forgotten[name] = sys.modules.pop(name)
    importlib.invalidate_caches()
    return forgotten


def _is_in(file: Path, roots: Sequence[Path]) -> bool:
    # Packages that are installed in there are not the user's, and neither is this one.
    is_users = "site-packages" not in file.parts and _OWN not in file.resolve().parents
    return is_users and any(root in file.resolve().parents for root in roots)
