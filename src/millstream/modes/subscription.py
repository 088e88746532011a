"""What the consumer of a run wants to see of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.modes.parts import Encode
    from millstream.modes.projectors import ReadState


@dataclass(frozen=True, slots=True)
class Subscription:
    """What the consumer of a run wants to see; the same for all calls that ask alike."""

    modes: frozenset[str]
    """Modes to build, printed ones included."""
    encode: Encode
    output_keys: str | tuple[str, ...]
    watched: frozenset[str]
    """The output keys, as a set."""
    read: ReadState
    """Reads the output keys."""
    printed: frozenset[str] = frozenset()
    yielded: frozenset[str] = frozenset()
    has_subgraphs: bool = False
    is_result_wanted: bool = False
    """The final state is wanted, not a stream."""
    is_live: bool = False
    """The consumer must be able to receive while nodes run."""
    has_blocks: bool = False
    """Messages come as events of their content blocks."""
