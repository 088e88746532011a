"""Importing a module by the path of its file."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from zlib import crc32


def is_path(source: str) -> bool:
    """Return whether what is to be imported is a file, not a dotted name."""
    return source.endswith(".py") or "/" in source or os.sep in source


def import_source(source: str, directory: Path) -> ModuleType:
    """Import `path/to/file.py`, from a directory, or `package.module`.

    A file in a package is imported as a module of it, because its relative imports need that. What
    is beside the file, or the package, can be imported from then on.
    """
    if not is_path(source):
        return importlib.import_module(source)
    path = (directory / source).resolve()
    if not path.is_file():
        raise ImportError(f"there is no file {path}")
    root, names = path.parent, [path.stem]
    while (root / "__init__.py").is_file():
        names.insert(0, root.name)
        root = root.parent
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    if len(names) > 1:
        return importlib.import_module(".".join(names).removesuffix(".__init__"))
    return _import_file(path)


def _import_file(path: Path) -> ModuleType:
    name = path.stem
    known = sys.modules.get(name)
    if known is not None:
        if getattr(known, "__file__", None) == str(path):
            return known
        name = f"{name}_{crc32(str(path).encode()):x}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    # Schemas and pickles look their module up by name while it is still being executed.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
