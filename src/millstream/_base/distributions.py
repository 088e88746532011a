"""Distributions that not every installation has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ("provided_by",)


@contextmanager
def provided_by(distribution: str) -> Iterator[None]:
    """Name the distribution to install when a module that is imported inside is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error.msg}; install {distribution}", name=error.name, path=error.path
        ) from error
