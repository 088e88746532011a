"""How the first input of a thread becomes its state, where a state class declares first values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from millstream.channels._reducing import OVERWRITE_TYPES, first_value_of, replacement_in
from millstream.channels.binop import BinaryOperatorAggregate
from millstream.channels.delta import DeltaChannel
from millstream.constants import MISSING
from millstream.types import Overwrite

if TYPE_CHECKING:
    from millstream.core.protocol import Write


def first_writes(channels: Mapping[str, Any]) -> Callable[[Sequence[Write]], list[Write]] | None:
    """Return what makes, of the writes of a thread's first input, those that begin its state.

    Keys with a declared first value are written too where the input says nothing of them; where
    it does, that stands in the place of the declared value. None where there are no such keys.
    """
    starts = {key: channel for key, channel in channels.items() if _has_start(channel)}
    if not starts:
        return None

    def writes_of(writes: Sequence[Write]) -> list[Write]:
        written = [
            (key, _begun(starts[key], value) if key in starts else value) for key, value in writes
        ]
        given = {key for key, _ in writes}
        missing = (key for key in starts if key not in given)
        return [*written, *((key, _begun(starts[key], MISSING)) for key in missing)]

    return writes_of


def _has_start(channel: Any) -> bool:
    return isinstance(channel, (BinaryOperatorAggregate, DeltaChannel)) and channel.has_start


def _begun(channel: Any, write: Any) -> Any:
    if isinstance(channel, DeltaChannel):
        return first_value_of(channel.start) if channel.start and write is MISSING else write
    if isinstance(write, OVERWRITE_TYPES) and replacement_in(write) is not MISSING:
        return write
    return Overwrite(channel.begun_with(write))
