"""Names of the inside of LangGraph's engine, for what imports them and may never use them.

A package may import such a name for one of its features, or for a type checker, and run graphs by
their methods. So the import works; to call it does not.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NoReturn

__all__ = ("absent", "is_absent")


@cache  # bounded: who calls this names what LangGraph has
def absent(module: str, name: str) -> Any:
    """Return a class or function that has the name and raises `NotImplementedError` when called."""

    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(
            f"{module}.{name} is a part of LangGraph's engine, which millstream does not have; run "
            "graphs by their methods"
        )

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = "Raise `NotImplementedError`."
    if not name[0].isupper():
        refuse.is_absent = True  # type: ignore[attr-defined]  # a mark on a function
        return refuse
    return type(name, (), {"__new__": refuse, "is_absent": True, "__doc__": refuse.__doc__})


def is_absent(value: Any) -> bool:
    """Say whether this stands for something that is not there."""
    return getattr(value, "is_absent", False) is True
