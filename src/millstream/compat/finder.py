"""The import finder that makes `langgraph` mean millstream.

It claims every name the `langgraph` distribution has and answers with the module object of
millstream itself, so that there is one class of each name, whichever way it is imported. Putting
millstream's modules into `sys.modules` would not do: their `__path__` would let submodules be
loaded a second time under the other name, and the rest would come from an installed langgraph.
"""

from __future__ import annotations

import sys
from _thread import RLock
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder

from millstream.compat.names import OWNED, by_full_name

# Without typing: see millstream.compat.names.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.metadata import Distribution, DistributionFinder
    from types import ModuleType
    from typing import Any

SHOWN = 3
"""How many modules an error names."""
RENAMED = ("millstream.types", "millstream._base.runnable")
"""Modules with classes that are known by LangGraph's names outside of the process."""
PREBUILT, OWN_PREBUILT = "langgraph.prebuilt", "millstream.prebuilt"
_installing = RLock()


class TooLateError(RuntimeError):
    """Modules of an installed langgraph are loaded already."""

    def __init__(self, loaded: tuple[str, ...]) -> None:
        super().__init__(loaded)
        self.loaded = loaded
        """Their names."""

    def __str__(self) -> str:
        public = [name for name in self.loaded if "._" not in name] or list(self.loaded)
        more = ", ..." if len(public) > SHOWN else ""
        return (
            f"install_as_langgraph() came too late: {', '.join(public[:SHOWN])}{more} of the "
            "installed langgraph are loaded, and there would be two of each class; call it before "
            "anything imports langgraph or a package built on it (langchain.agents, deepagents, "
            "langgraph.prebuilt), or start the program with `millstream exec`"
        )


def install() -> None:
    """Put the finder first among those of this process; again and again is fine."""
    with _installing:
        loaded = tuple(sorted(name for name in sys.modules if _is_foreign(name)))
        if loaded:
            raise TooLateError(loaded)
        finder = installed()
        if finder is None:
            finder = LangGraphFinder()
        elif sys.meta_path[0] is finder:
            return
        # In one step: imports of other threads look at the list meanwhile.
        others = [other for other in sys.meta_path if other is not finder]
        sys.meta_path[:] = [finder, *others]


def installed() -> LangGraphFinder | None:
    """Return the finder of this process, None if there is none."""
    for finder in sys.meta_path:
        if isinstance(finder, LangGraphFinder):
            return finder
    return None


def _is_foreign(name: str) -> bool:
    if not name.startswith("langgraph.") or name.split(".", 2)[1] not in OWNED:
        return False
    module_name = getattr(sys.modules.get(name), "__name__", "millstream")
    return str(module_name).partition(".")[0] != "millstream"


class LangGraphFinder:
    """Finds the modules of langgraph in millstream."""

    def __init__(self) -> None:
        self._targets = by_full_name()
        self._to_rename = set(RENAMED)
        """Those of these modules whose classes have names of their own yet."""
        self._has_joined = False

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of an alias; raise for what LangGraph has, or might have, and we do not.

        An unknown name is never left to other finders, which would take it from an installed
        langgraph. A `target` is a module that is loaded again.
        """
        if target is not None and name in RENAMED:
            return _renaming_spec(name, path, target)
        known = self._targets.get(name)
        if known is not None:
            return ModuleSpec(name, AliasLoader(known, self), origin=known)  # type: ignore[arg-type]  # a loader by its methods
        if name == PREBUILT and PathFinder.find_spec(name, path) is None:
            # Of the distribution langgraph-prebuilt, where that is installed.
            return ModuleSpec(name, AliasLoader(OWN_PREBUILT, self), origin=OWN_PREBUILT)  # type: ignore[arg-type]  # as above
        if name.startswith("langgraph.") and name.split(".", 2)[1] in OWNED:
            raise ModuleNotFoundError(
                f"No module named {name!r}: millstream stands in for langgraph in this process, "
                "and it does not have this module",
                name=name,
            )
        return None

    def find_distributions(
        self, context: DistributionFinder.Context | None = None
    ) -> Iterator[Distribution]:
        """Yield a distribution `langgraph` when that is asked for and none is installed."""
        from millstream.compat.distribution import stand_in

        return stand_in(self, context)

    def rename_classes(self) -> None:
        """Give the classes LangGraph's names as soon as their modules are loaded."""
        for name in tuple(self._to_rename):
            module = sys.modules.get(name)
            if module is None or getattr(module.__spec__, "_initializing", False):
                continue
            from millstream.compat.wire_names import apply_to

            apply_to(module)
            self._to_rename.discard(name)

    def join_loggers(self) -> None:
        """Have programs that set up the logger `langgraph` see what millstream logs."""
        if not self._has_joined and (logging := sys.modules.get("logging")) is not None:
            logging.getLogger("millstream").parent = logging.getLogger("langgraph")
            self._has_joined = True

    def invalidate_caches(self) -> None:
        """Do nothing: there is no cache."""


class AliasLoader:
    """Loads a module by importing another one, which it then is."""

    def __init__(self, target: str, finder: LangGraphFinder) -> None:
        self._target = target
        self._finder = finder
        self._own_spec: Any = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the other module."""
        module = import_module(self._target)
        self._own_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module back its own spec, which the import system has replaced.

        With the alias's, `importlib.reload` would run the module under the wrong name.
        """
        module.__spec__ = self._own_spec
        self._finder.rename_classes()
        self._finder.join_loggers()
        # Not of this module alone: others are loaded with it, and are attributes of their package.
        from millstream.compat.reexports import serve

        serve()


class RenamingLoader:
    """Loads a module again, then gives its new classes LangGraph's names."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave that to the loader of the module."""
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, which keeps the loader it had."""
        from millstream.compat.wire_names import apply_to

        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        apply_to(module)


def _renaming_spec(name: str, path: Sequence[str] | None, module: ModuleType) -> ModuleSpec | None:
    spec = PathFinder.find_spec(name, path, module)
    if spec is not None:
        spec.loader = RenamingLoader(spec.loader)  # type: ignore[assignment]  # a loader by its methods
    return spec
