"""Parts: the one internal shape of everything that is streamed.

An event of any nesting level travels as a plain tuple `(namespace, mode, payload, shape)`: a tuple
because one is made per event, and nothing is cheaper. `shape` belongs to the graph the event came
from and says which classes its state has. What a consumer receives is decided once per stream:
`modes.encoders` has all forms. Where a run keeps a log, a part becomes a `modes.event.Event`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final, TypeAlias

from millstream._base.texts import visible
from millstream.constants import NS_SEP
from millstream.modes.names import MODES

Namespace: TypeAlias = tuple[str, ...]
"""Path of the graph an event comes from, one `node:task_id` per level; `()` is the root."""


def split_ns(ns: str) -> Namespace:
    """Split the text of a namespace into its segments."""
    return tuple(ns.split(NS_SEP)) if ns else ()


Part: TypeAlias = tuple[Namespace, str, Any, "Shape | None"]
"""`(namespace, mode, payload, shape)`."""

Emit: TypeAlias = Callable[[Part], None]
Make: TypeAlias = Callable[[dict[str, Any]], Any]
Encode: TypeAlias = Callable[[Part], Any]

VERSIONS: Final = ("v1", "v2")
VERSION_OF_EVENTS: Final = "v3"
"""Protocol events, for run streams only; see `modes.protocol_events`."""


class RunStreamMode(str):
    """A mode of a stream that a run stream reads as typed parts, through a replaced `stream`.

    It is like the text, for whoever looks at the modes on the way.
    """

    __slots__ = ()


@dataclasses.dataclass(slots=True, frozen=True)
class Shape:
    """What makes instances of the classes of a graph's state, None where it is a plain dict."""

    output: Make | None = None
    state: Make | None = None


def check_modes(modes: Iterable[str]) -> None:
    """Refuse unknown stream modes with a `ValueError` that names the valid ones."""
    for mode in modes:
        # A run stream asks for modes that a mux makes up (`graphs`), and says by the class that it
        # means them.
        if mode not in MODES and type(mode) is not RunStreamMode:
            known = ", ".join(MODES)
            raise ValueError(f"Unknown stream mode {mode!r}; use one or more of {known}")


def check_version(version: str) -> None:
    """Refuse an unknown stream version with a `ValueError` that names the valid ones."""
    if version not in VERSIONS:
        raise ValueError(f"Unknown stream version {version!r}; use one of {', '.join(VERSIONS)}")


def format_part(part: Part, *, has_subgraphs: bool, is_plain: bool) -> str:
    """Format a part as one line for `print_mode`, with the terminal codes programs expect.

    A plain one has no codes. What a class of the program says of its instance has none either.
    """
    namespace, mode, payload, _ = part
    line = f"[{mode}] " if is_plain else f"\x1b[1m[{mode}]\x1b[0m "
    # What is printed is what programs of LangGraph print, codes included.
    if has_subgraphs and namespace:
        graph = f"[graph={namespace}]"
        line += f"{graph} " if is_plain else f"\x1b[1;30;33m{graph}\x1b[0m "
    return f"{line}{visible(repr(payload))}"


def as_modes(modes: str | Collection[str]) -> Sequence[str]:
    """Return the requested modes as a sequence."""
    return (modes,) if isinstance(modes, str) else tuple(modes)
