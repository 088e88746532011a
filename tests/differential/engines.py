"""One import root seen as a namespace, so that one program runs on either engine."""

from __future__ import annotations

import functools
import importlib
import os
from types import ModuleType
from typing import Any, Final

REFERENCE_ROOT: Final = "langgraph"
# DIFF_SELF=1 compares langgraph with itself, which proves that the harness is deterministic.
CANDIDATE_ROOT: Final = REFERENCE_ROOT if os.environ.get("DIFF_SELF") == "1" else "millstream"

_MODULES: Final = {"message": "graph.message", "memory": "checkpoint.memory"}
# These belong to the langgraph-checkpoint distribution, which both engines share.
_SHARED: Final = ("checkpoint", "store", "cache")


class Engine:
    """The modules of one import root as attributes: `engine.graph`, `engine.types`, ..."""

    __slots__ = ("root",)

    def __init__(self, root: str) -> None:
        self.root = root

    def __getattr__(self, name: str) -> ModuleType:
        return self.module(_MODULES.get(name, name))

    def module(self, path: str) -> ModuleType:
        """Import `path` below the root, or the shared checkpoint distribution's module."""
        try:
            return importlib.import_module(f"{self.root}.{path}")
        except ModuleNotFoundError as error:
            is_missing = (error.name or "").startswith(self.root)
            if path.split(".")[0] in _SHARED and is_missing:
                return importlib.import_module(f"langgraph.{path}")
            raise

    def saver(self) -> Any:
        """Make an empty in-memory saver."""
        return self.module("checkpoint.memory").InMemorySaver()

    def store(self) -> Any:
        """Make an empty in-memory store."""
        return self.module("store.memory").InMemoryStore()

    def cache(self) -> Any:
        """Make an empty in-memory cache."""
        return self.module("cache.memory").InMemoryCache()


@functools.cache
def engine(root: str) -> Engine:
    """Return the namespace of one import root."""
    return Engine(root)
