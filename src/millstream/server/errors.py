"""What goes wrong with a request, as its client is told."""

from __future__ import annotations


class ApiError(Exception):
    """A request that is refused; `detail` is for the person who wrote it."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def not_found(what: str) -> ApiError:
    """Return the error for something that is not there, or not there for this caller."""
    return ApiError(404, f"{what} not found")


class ConfigError(ValueError):
    """The configuration asks for something that cannot be; the text names file, key and value."""
