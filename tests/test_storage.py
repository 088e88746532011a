"""Savers, stores and caches under millstream's import root."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest

import millstream

ROOT = Path(millstream.__file__).parent
PACKAGES = ("checkpoint", "store", "cache")
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if path.parent != ROOT / package or path.stem != "__init__"
)
EMPTY = {"checkpoint.serde"}
DISTRIBUTIONS = {
    "checkpoint.sqlite": "langgraph-checkpoint-sqlite",
    "checkpoint.sqlite.aio": "langgraph-checkpoint-sqlite",
    "checkpoint.postgres": "langgraph-checkpoint-postgres",
    "checkpoint.postgres.aio": "langgraph-checkpoint-postgres",
    "checkpoint.postgres.base": "langgraph-checkpoint-postgres",
    "checkpoint.postgres.shallow": "langgraph-checkpoint-postgres",
    "store.sqlite": "langgraph-checkpoint-sqlite",
    "store.sqlite.aio": "langgraph-checkpoint-sqlite",
    "store.sqlite.base": "langgraph-checkpoint-sqlite",
    "store.postgres": "langgraph-checkpoint-postgres",
    "store.postgres.aio": "langgraph-checkpoint-postgres",
    "store.postgres.base": "langgraph-checkpoint-postgres",
}


@pytest.mark.parametrize("module", sorted(set(MODULES) - EMPTY))
def test_storage_has_one_import_root(module: str) -> None:
    """The names are the very objects of the langgraph-checkpoint packages."""
    ours = import_module(f"millstream.{module}")
    theirs = import_module(f"langgraph.{module}")

    assert ours.__all__
    assert [name for name in ours.__all__ if getattr(ours, name) is not getattr(theirs, name)] == []
    assert set(getattr(theirs, "__all__", ())) - set(ours.__all__) <= {"validate_op_namespace"}


@pytest.mark.parametrize("module", DISTRIBUTIONS)
def test_a_missing_distribution_is_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, f"langgraph.{module}", None)
    for name in [name for name in sys.modules if name.startswith("millstream.")]:
        if name.startswith((f"millstream.{module}", "millstream.checkpoint.", "millstream.store.")):
            monkeypatch.delitem(sys.modules, name)

    with pytest.raises(ModuleNotFoundError, match=f"; install {DISTRIBUTIONS[module]}$") as caught:
        import_module(f"millstream.{module}")

    assert caught.value.name == f"langgraph.{module}"
