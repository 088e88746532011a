"""What the caller of a run asks for: how it starts, and what is shown of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.core.answers import Answers
    from millstream.core.protocol import Write
    from millstream.stream.parts import Encode


@dataclass(slots=True)
class Start:
    """How a run starts, decided when its checkpoint (if any) is known."""

    writes: Sequence[Write]
    is_resuming: bool
    answers: Answers | None = None
    """What a person answered."""


@dataclass(slots=True)
class View:
    """What the consumer of a run wants to see."""

    modes: frozenset[str]
    """Modes to build, printed ones included."""
    encode: Encode
    output_keys: str | tuple[str, ...]
    printed: frozenset[str] = frozenset()
    yielded: frozenset[str] = frozenset()
    has_subgraphs: bool = False
    has_blocks: bool = False
    """Messages come as events of their content blocks."""
