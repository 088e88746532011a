"""What goes wrong with a request, as its client is told."""

from __future__ import annotations

from collections.abc import Mapping


class ApiError(Exception):
    """A request that is refused; `detail` is for the person who wrote it."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


def not_found(what: str) -> ApiError:
    """Return the error for something that is not there, or not there for this caller."""
    return ApiError(404, f"{what} not found")


class EventTooLargeError(ValueError):
    """A run says more at once than the configuration allows; it fails with this."""

    def __init__(self, mode: str, size: int, most: int) -> None:
        super().__init__(mode, size, most)
        self.mode = mode
        self.size = size
        self.most = most

    def __str__(self) -> str:
        return (
            f"an event of mode {self.mode} has {self.size} bytes, and limits.max_event_bytes "
            f"allows {self.most}: say less at once, or keep what is large outside of the state"
        )


class ConfigError(ValueError):
    """The configuration asks for something that cannot be; the text names file, key and value."""


class CutError(RuntimeError):
    """What is read goes on at another replica: it has not come to its end."""

    def __str__(self) -> str:
        return "the run goes on at another server; what it says cannot be read on at this one"
