"""Warnings of deprecations, worded as programs for LangGraph filter them, and of odd graphs."""

from __future__ import annotations

import sys
import warnings
from types import FrameType
from typing import Any, Final

__all__ = (
    "GraphWarning",
    "LangGraphDeprecatedSinceV05",
    "LangGraphDeprecatedSinceV10",
    "LangGraphDeprecatedSinceV11",
    "LangGraphDeprecationWarning",
)


PACKAGE: Final = f"{__name__.partition('.')[0]}."


class GraphWarning(UserWarning):
    """A graph compiles, and something in it can never do what it is there for.

    `code` says what kind of thing that is; docs/checks.md explains each. `millstream check` finds
    more, which is only probable.
    """

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(f"{message} [{code}]" if code else message)
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return GraphWarning._revived, (self.args[0], self.code)

    @staticmethod
    def _revived(text: str, code: str) -> GraphWarning:
        warning = GraphWarning(text)
        warning.code = code
        return warning


class LangGraphDeprecationWarning(DeprecationWarning):
    """Say that a part of the API is deprecated, since when and until when.

    `since` and `expected_removal` are `(major, minor)` of the LangGraph API; the removal
    defaults to the next major version. A trailing full stop of `message` is dropped from the
    attribute, because the text goes on with the versions.
    """

    message: str
    since: tuple[int, int]
    expected_removal: tuple[int, int]

    def __init__(
        self,
        message: str,
        *args: object,
        since: tuple[int, int],
        expected_removal: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(message, *args)
        self.message = message.rstrip(".")
        self.since = since
        self.expected_removal = expected_removal or (since[0] + 1, 0)

    def __reduce__(self) -> tuple[Any, ...]:
        return _revive, (type(self), self.args), self.__dict__

    def __str__(self) -> str:
        return (
            f"{self.message}. Deprecated in LangGraph V{self.since[0]}.{self.since[1]}"
            f" to be removed in V{self.expected_removal[0]}.{self.expected_removal[1]}."
        )


class LangGraphDeprecatedSinceV05(LangGraphDeprecationWarning):
    """Mark what version 0.5 of the API deprecated."""

    def __init__(self, message: str, *args: object) -> None:
        super().__init__(message, *args, since=(0, 5), expected_removal=(2, 0))


class LangGraphDeprecatedSinceV10(LangGraphDeprecationWarning):
    """Mark what version 1.0 of the API deprecated."""

    def __init__(self, message: str, *args: object) -> None:
        super().__init__(message, *args, since=(1, 0), expected_removal=(2, 0))


class LangGraphDeprecatedSinceV11(LangGraphDeprecationWarning):
    """Mark what version 1.1 of the API deprecated."""

    def __init__(self, message: str, *args: object) -> None:
        super().__init__(message, *args, since=(1, 1), expected_removal=(3, 0))


def _revive(
    kind: type[LangGraphDeprecationWarning], args: tuple[Any, ...]
) -> LangGraphDeprecationWarning:
    # Not through __init__: its keyword-only parameters are not part of `args`.
    return kind.__new__(kind, *args)


def warn_caller(message: str | Warning, category: type[Warning] = UserWarning) -> None:
    """Warn about the innermost line outside this package, however deep we are.

    A warning that is made already has its own category.

    The import system does not count, for modules that warn when they are imported.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _is_passed_over(frame):
        frame = frame.f_back
        # `warn` itself does not count these.
        level += not _is_bootstrap(frame)
    warnings.warn(message, category, stacklevel=level)


def _is_passed_over(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__", "")
    return name.startswith(PACKAGE) or name == "importlib" or _is_bootstrap(frame)


def _is_bootstrap(frame: FrameType) -> bool:
    filename = frame.f_code.co_filename
    return "importlib" in filename and "_bootstrap" in filename
