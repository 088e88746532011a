"""Naming the value that a saver's serializer has refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from millstream._base.contents import contents_of
from millstream.constants import INTERRUPT, RESUME, RETURN, START, TASKS
from millstream.errors import UnstorableValueError

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from millstream.core.protocol import Write

_NAMES: Final = {
    START: "the input",
    TASKS: "what a Send carries",
    INTERRUPT: "the question",
    RESUME: "the answer",
    RETURN: "the result of the call",
}
MAX_DEPTH: Final = 20
"""How deep the part that is refused is looked for."""


def refuse_unstorable(
    error: Exception,
    saver: BaseCheckpointSaver[Any],
    values: Iterable[Write],
    writers: Mapping[str, str] | str,
) -> None:
    """Raise an error that names the value, if it was the serializer that refused one.

    `writers` is the node that wrote them, or says by channel which one did.
    """
    dump: Callable[[Any], Any] | None = getattr(saver.serde, "dumps_typed", None)
    # A saver that serializes in a way of its own: nothing can be found out.
    if dump is None:
        return
    for name, value in values:
        # Serialized once more, one by one: the saver was given all and does not say which it was.
        reason = _refusal(dump, value)
        # Another error was another one's: a disk that is full, say.
        if type(reason) is type(error) and str(reason) == str(error):
            place, part, reason = _find(dump, value, reason)
            node = writers if isinstance(writers, str) else writers.get(name, "")
            what = _NAMES.get(name, f"state key {name!r}")
            kind = f"{type(part).__module__}.{type(part).__qualname__}"
            raise UnstorableValueError(what, node, place, kind, str(reason)) from error


def _refusal(dump: Callable[[Any], Any], value: Any) -> Exception | None:
    try:
        dump(value)
    except Exception as error:
        return error
    return None


def _find(dump: Callable[[Any], Any], value: Any, reason: Exception) -> tuple[str, Any, Exception]:
    """Return how to get to the innermost part that is refused, the part, and why it is."""
    place = ""
    for _ in range(MAX_DEPTH):
        # Further in as long as a part is refused too; where none is, the value itself is at fault.
        for at, part in contents_of(value):
            if (refusal := _refusal(dump, part)) is not None:
                place, value, reason = place + at, part, refusal
                break
        else:
            break
    return place, value, reason
