"""Tests of nodes in worker processes, once more with workers on a cluster."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import Any


def those_of(module: ModuleType, *, without: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """Return the tests of a module that leave open which executor it is, and its fixtures."""
    for name in without:
        assert hasattr(module, name), f"{module.__name__} has no {name}"
    return {
        name: value
        for name, value in vars(module).items()
        if name not in without and (_is_open(name, value) or _is_fixture(value))
    }


def _is_open(name: str, value: Any) -> bool:
    if not name.startswith("test_"):
        return False
    return not {"executor", "apart"}.isdisjoint(inspect.signature(value).parameters)


def _is_fixture(value: Any) -> bool:
    return type(value).__name__ == "FixtureFunctionDefinition"
