"""Distributions: those that not every installation has, and the files that belong to any."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ("is_installed", "provided_by")


@contextmanager
def provided_by(distribution: str) -> Iterator[None]:
    """Name the distribution to install when a module that is imported inside is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error.msg}; install {distribution}", name=error.name, path=error.path
        ) from error


def is_installed(file: str) -> bool:
    """Say whether code belongs to Python or to a package that a program uses, and is not its own.

    Folders are compared by their whole names: a project may be called `my-site-packages`.
    """
    folders = file.replace("\\", "/").split("/")
    is_standard = file.startswith((os.path.dirname(os.__file__) + os.sep, "<frozen "))
    return is_standard or "site-packages" in folders or "dist-packages" in folders
