"""One event of a run as lines of text: a heading, and what is in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias

from millstream.cli.values import one_line
from millstream.modes import names

Line: TypeAlias = "tuple[tuple[str, str], ...]"
"""Texts of one line, each with its style; of anybody, and as long as they are."""

INTERRUPT: Final = "__interrupt__"
MAX_ITEMS: Final = 3
"""Of a collection that does not fit on a line so many items are shown; `--json` shows all."""
_LEAST_ROOM: Final = 20


class Blocks:
    """Makes lines of events, for a terminal or a page of some width."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self.width = 80

    def event(self, namespace: Sequence[str], mode: str, payload: Any) -> Iterator[Line]:
        """Yield the lines of an event of any mode but `messages`."""
        if mode == names.CUSTOM and isinstance(payload, str):
            yield _plain(payload)
        elif mode == names.UPDATES and isinstance(payload, Mapping):
            for node, update in payload.items():
                yield from self._update(namespace, node, update)
        else:
            yield self.heading(namespace, mode, _subject(mode, payload))
            yield from self.body(_content(payload) if mode == names.DEBUG else payload)

    def heading(self, namespace: Sequence[str], mode: str, subject: str) -> Line:
        """Return the line above an event."""
        place = f"  in {' > '.join(map(_short, namespace))}" if namespace else ""
        return (
            (f"{self._mark} {mode}", _style(mode)),
            (f" {subject}" if subject else "", "bold"),
            (place, "dim"),
        )

    def body(self, payload: Any) -> Iterator[Line]:
        """Yield what is in an event."""
        if isinstance(payload, Mapping):
            for key, value in payload.items():
                yield from self.value(f"    {key}: ", value)
        elif payload is not None:
            yield from self.value("    ", payload)

    def value(self, label: str, value: Any) -> Iterator[Line]:
        """Yield a value: on the line of its label, or some of its items below it."""
        room = max(self.width - len(label), _LEAST_ROOM)
        line = one_line(value, room)
        if len(line) <= room:
            yield _plain(f"{label}{line}")
        elif isinstance(value, Mapping):
            yield _plain(f"{label}{_count(value)}")
            for key, item in islice(value.items(), MAX_ITEMS):
                text = f"{one_line(key, room)}: {one_line(item, room)}"
                yield _plain(f"      {_cut(text, room)}")
        elif isinstance(value, (list, tuple)):
            yield _plain(f"{label}{_count(value)}")
            for item in value[:MAX_ITEMS]:
                yield _plain(f"      {_cut(one_line(item, room), room)}")
        else:
            note = f" ({len(value):,} characters)" if isinstance(value, str) else ""
            yield _plain(f"{label}{_cut(line, room - len(note))}{note}")

    def _update(self, namespace: Sequence[str], node: str, update: Any) -> Iterator[Line]:
        if node != INTERRUPT:
            yield self.heading(namespace, names.UPDATES, node)
            yield from self.body(update)
            return
        yield self.heading(namespace, "interrupt", "the run waits for an answer")
        for interrupt in update:
            yield from self.body(getattr(interrupt, "value", interrupt))


def _plain(text: str) -> Line:
    return ((text, ""),)


def _style(mode: str) -> str:
    public = names.PUBLIC_MODES.get(mode)
    # What stands beside the modes is the question of a run that waits.
    return "bold red" if public is None else public.style


def _count(value: Sequence[Any] | Mapping[Any, Any]) -> str:
    shown = "" if len(value) <= MAX_ITEMS else f", the first {MAX_ITEMS}"
    return f"{len(value):,} item{'' if len(value) == 1 else 's'}{shown}"


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 1]}…"


def _subject(mode: str, payload: Any) -> str:
    if not isinstance(payload, Mapping):
        return ""
    if mode == names.DEBUG:
        inner = _content(payload)
        name = inner.get("name", "") if isinstance(inner, Mapping) else ""
        return f"{payload.get('type')} {name}, step {payload.get('step')}"
    if mode == names.TASKS:
        return f"{'start' if 'input' in payload else 'end'} {payload.get('name')}"
    if mode == names.CHECKPOINTS:
        step = (payload.get("metadata") or {}).get("step")
        return f"step {step}, next {', '.join(payload.get('next', ())) or 'nothing'}"
    if mode == names.TOOLS:
        # Only the start has the tool's name; the id of the call ties the rest to it.
        return f"{payload.get('event')} {payload.get('tool_name') or payload.get('tool_call_id')}"
    return ""


def _content(payload: Any) -> Any:
    return payload.get("payload", payload) if isinstance(payload, Mapping) else payload


def _short(part: str) -> str:
    name, colon, task = part.partition(":")
    return f"{name}{colon}{task[:8]}"
