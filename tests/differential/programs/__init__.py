"""The programs, one module per area; importing a module registers its programs."""

from __future__ import annotations

import importlib
import pkgutil


def load() -> None:
    """Import every module of programs."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
