"""Savers, stores and caches under millstream's import root."""

from __future__ import annotations

from importlib import import_module

import pytest


@pytest.mark.parametrize("package", ["checkpoint", "store", "cache"])
@pytest.mark.parametrize("module", ["base", "memory"])
def test_storage_has_one_import_root(package: str, module: str) -> None:
    """The names are the very objects of the langgraph-checkpoint package."""
    ours = import_module(f"millstream.{package}.{module}")
    theirs = import_module(f"langgraph.{package}.{module}")

    assert ours.__all__
    assert [getattr(ours, n) is getattr(theirs, n) for n in ours.__all__] == [True] * len(
        ours.__all__
    )
