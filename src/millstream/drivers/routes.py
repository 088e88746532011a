"""From where a program sends the run to the writes that do it, or to an error that says why not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from millstream.constants import END, START, TASKS
from millstream.errors import InvalidRouteError
from millstream.types import Send

if TYPE_CHECKING:
    from millstream.core.protocol import Write

SHOWN: Final = 8
"""How many names an error lists when none is like the wrong one."""


class Routes:
    """The nodes of a state graph, as those who send the run to them name them."""

    __slots__ = ("_signals",)

    def __init__(self, signals: Mapping[str, Write]) -> None:
        # Not the nodes themselves, which refer to their routes.
        self._signals = signals
        """Node -> the write that triggers it; may still grow."""

    def writes_of(self, goto: Any, source: str) -> list[Write]:
        """Return the writes for the `goto` of a command, which may name one node or several."""
        # A text can be iterated over as well, letter by letter.
        if isinstance(goto, (str, Send)):
            return self.writes((goto,), source)
        try:
            targets = iter(goto)
        except TypeError:
            raise invalid_route(goto, self._signals, source) from None
        return self.writes(targets, source)

    def writes(self, targets: Iterable[Any], source: str, path: str | None = None) -> list[Write]:
        """Return the writes that send the run to these nodes; END needs none.

        `path` is the conditional edge of the source that names them, if it is one. Raises
        `InvalidRouteError` for what is no node.
        """
        writes: list[Write] = []
        signals = self._signals
        for target in targets:
            if isinstance(target, str):
                if target in signals:
                    writes.append(signals[target])
                elif target != END:
                    raise invalid_route(target, signals, source, path)
            elif isinstance(target, Send):
                # A Send may also name the node that takes the input.
                if target.node not in signals and target.node != START:
                    raise invalid_route(target, signals, source, path)
                writes.append((TASKS, target))
            else:
                raise invalid_route(target, signals, source, path)
        return writes


def invalid_route(
    target: Any, known: Collection[Any], source: str, path: str | None = None
) -> InvalidRouteError:
    """Return the error for a target that is none of the known nodes."""
    name = target.node if isinstance(target, Send) else target
    teller = _source_text(source, path)
    # The beginnings of these texts are LangGraph's, which programs look for.
    if path is not None and (name is None or name == START):
        problem = f"Branch did not return a valid destination: {teller} answered {name!r}"
    elif isinstance(target, Send) and name == END:
        problem = f"Cannot send a packet to the END node, as {teller} does"
    elif isinstance(name, str):
        verb = "sends a packet" if isinstance(target, Send) else "goes"
        problem = f"{teller} {verb} to {name!r:.200}, which is no node of the graph"
    elif path is not None:
        problem = (
            f"{teller} goes to {name!r:.200}, which is neither the name of a node nor a Send; "
            "a path map says what other answers mean"
        )
    else:
        kind = type(name).__name__
        problem = f"In Command.goto, expected Send/str, got {kind}: {teller} goes to {name!r:.200}"
    return route_error(problem, name, known, source)


def unmapped_route(
    answer: Any, known: Collection[Any], source: str, path: str
) -> InvalidRouteError:
    """Return the error for an answer that a path map does not have."""
    problem = (
        f"{_source_text(source, path)} answered {answer!r:.200}, which its path map does not have"
    )
    return route_error(problem, answer, known, source)


def _source_text(source: str, path: str | None) -> str:
    """Say who names the target."""
    if path is not None:
        return f"the path {path!r} after {source!r}"
    return "the input" if source == START else f"node {source!r}"


def route_error(
    problem: str, target: Any, known: Collection[Any], source: str
) -> InvalidRouteError:
    """Return an error that says, besides what is wrong, what may be meant."""
    nearest = nearest_names(target, known)
    message = f"{problem[0].upper()}{problem[1:]}. {_advice(target, nearest, known)}".rstrip()
    return InvalidRouteError(message, source=source, target=target, nearest=nearest)


def nearest_names(target: Any, known: Collection[Any]) -> tuple[Any, ...]:
    """Return the known names that are most like the target, the most similar first."""
    # An enum of names is a mistake that is easily made: nodes are named by text.
    meant = target.value if isinstance(target, Enum) else target
    if isinstance(meant, str) and meant in known:
        return (meant,)
    names = {str(name).lower(): name for name in known if not _is_reserved(name)}
    return tuple(names[match] for match in get_close_matches(str(meant).lower(), names))


def _advice(target: Any, nearest: Collection[Any], known: Collection[Any]) -> str:
    """Say what may be meant, or what there is."""
    if isinstance(target, str) and target.upper() in ("END", "START") and not nearest:
        name = target.upper()
        return f"Did you mean {name}, without quotes? `from millstream.graph import {name}`"
    if nearest:
        return f"Did you mean {' or '.join(map(repr, nearest))}?"
    names = [repr(name) for name in known if not _is_reserved(name)]
    more = ", ..." if len(names) > SHOWN else ""
    return f"Known: {', '.join(names[:SHOWN])}{more}" if names else ""


def _is_reserved(name: Any) -> bool:
    return isinstance(name, str) and name.startswith("__")
