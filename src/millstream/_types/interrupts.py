"""`Interrupt`, and the id of one.

Apart from `types` because errors carry interrupts, and `types.interrupt` raises one of these
errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, final
from warnings import warn

from typing_extensions import TypeVar, deprecated
from xxhash import xxh3_128_hexdigest

from millstream.constants import INTERRUPT_ID_PLACEHOLDER, NS_SEP
from millstream.warnings import LangGraphDeprecatedSinceV10

__all__ = ("Interrupt", "ResponseT", "interrupt_id")

ResponseT = TypeVar("ResponseT", default=Any)


def interrupt_id(ns: str, answered: int = 0) -> str:
    """Return the id of an interrupt of the task whose checkpoint namespace is `ns`.

    `answered` counts the interrupts of this task that already have their answer.
    """
    # The first has the id that older versions gave to every question of a task.
    text = f"{ns}{NS_SEP}{answered}" if answered else ns
    return xxh3_128_hexdigest(text.encode())


@final
@dataclass(init=False, slots=True)
class Interrupt(Generic[ResponseT]):
    """A question that a node asks and that a `Command(resume=...)` answers."""

    value: Any
    """What the node says to whoever answers."""
    id: str
    """Names the interrupt when several are pending."""
    response_schema: type[ResponseT] | dict[str, Any] | None = None
    """What an answer must look like: a type, or a JSON schema that is shown but not checked."""

    def __init__(
        self,
        value: Any,
        id: str = INTERRUPT_ID_PLACEHOLDER,
        *,
        response_schema: type[ResponseT] | dict[str, Any] | None = None,
        **deprecated_kwargs: Any,
    ) -> None:
        self.value = value
        self.id = id
        self.response_schema = response_schema
        # Interrupts saved by old versions say where they were raised instead of their id.
        ns = deprecated_kwargs.get("ns")
        if ns is not None and id == INTERRUPT_ID_PLACEHOLDER:
            self.id = interrupt_id(NS_SEP.join(ns))

    @classmethod
    def from_ns(
        cls,
        value: Any,
        ns: str,
        *,
        response_schema: type[ResponseT] | dict[str, Any] | None = None,
    ) -> Interrupt[ResponseT]:
        """Return the first interrupt of the task whose checkpoint namespace is `ns`."""
        return cls(value, interrupt_id(ns), response_schema=response_schema)

    @property
    @deprecated("`interrupt_id` is deprecated. Use `id` instead.", category=None)
    def interrupt_id(self) -> str:
        """Return `id`. Deprecated."""
        warn(
            "`interrupt_id` is deprecated. Use `id` instead.",
            LangGraphDeprecatedSinceV10,
            stacklevel=2,
        )
        return self.id


Interrupt.__module__ = "millstream.types"
