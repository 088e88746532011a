"""What `millstream run` prints: a view for people and one for programs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final, Protocol, TextIO, cast

from rich.console import Console
from rich.pretty import pretty_repr
from rich.text import Text

from millstream._base.texts import visible
from millstream.cli.output import Output, to_json
from millstream.cli.speech import Floor, Speech
from millstream.modes import names
from millstream.modes.encoders import encode_json

INTERRUPT: Final = "__interrupt__"
MAX_ITEMS: Final = 3
"""Of a collection that does not fit on a line so many items are shown; `--json` shows all."""


class Renderer(Protocol):
    """Where the events of a run go."""

    def show(self, namespace: Sequence[str], mode: str, payload: Any) -> None:
        """Print one event."""

    def finish(self) -> None:
        """Print what belongs after the last event of a run that succeeded."""

    def stop(self) -> None:
        """Make room for what is printed about a run that failed."""


class JsonRenderer:
    """One JSON object a line, each written out at once."""

    def __init__(self, out: Output) -> None:
        self._out = out

    def show(self, namespace: Sequence[str], mode: str, payload: Any) -> None:
        """Print one event."""
        event = encode_json((tuple(namespace), mode, payload, None))
        self._out.write(to_json(event, self._out.encoding) + "\n")
        self._out.flush()

    def finish(self) -> None:
        """Print nothing: every line is an event."""

    def stop(self) -> None:
        """Print nothing: every line is an event."""


class LiveRenderer:
    """A block for each event, coloured on a terminal; strings of `custom` stand as they come.

    A message is one event whose text grows token by token.
    """

    def __init__(self, out: Output) -> None:
        self._console = Console(file=cast("TextIO", out), highlight=False, soft_wrap=True)
        self._mark = "*" if self._console.options.ascii_only else "●"
        self._started = time.monotonic()
        self._events = 0
        self._floor = Floor(self)

    def show(self, namespace: Sequence[str], mode: str, payload: Any) -> None:
        """Print one event."""
        self._events += 1
        if mode == names.MESSAGES:
            self._floor.receive(namespace, *payload)
            return
        self.stop()
        if mode == names.CUSTOM and isinstance(payload, str):
            self._line(payload)
        elif mode == names.UPDATES and isinstance(payload, Mapping):
            for node, update in payload.items():
                self._show_update(namespace, node, update)
        else:
            self._heading(namespace, mode, _subject(mode, payload))
            self._body(_content(payload) if mode == names.DEBUG else payload)

    def finish(self) -> None:
        """Say how many events there were and how long the run took."""
        self.stop()
        seconds = time.monotonic() - self._started
        plural = "" if self._events == 1 else "s"
        self._print((f"done: {self._events} event{plural} in {seconds:.2f} s", "dim"))

    def stop(self) -> None:
        """End the line that tokens were printed on."""
        self._floor.clear()

    def begin(self, speech: Speech) -> None:
        """Print who speaks; tokens follow on a line of their own."""
        self._heading(speech.namespace, names.MESSAGES, speech.subject)

    def say(self, text: str) -> None:
        """Append a token to the line."""
        self._print((text, ""), end="")

    def end(self) -> None:
        """End the line of a message."""
        self._console.print()

    def _show_update(self, namespace: Sequence[str], node: str, update: Any) -> None:
        if node != INTERRUPT:
            self._heading(namespace, names.UPDATES, node)
            self._body(update)
            return
        self._heading(namespace, "interrupt", "the run waits for an answer")
        for interrupt in update:
            self._body(getattr(interrupt, "value", interrupt))

    def _heading(self, namespace: Sequence[str], mode: str, subject: str) -> None:
        place = f"  in {' > '.join(map(_short, namespace))}" if namespace else ""
        self._print(
            (f"{self._mark} {mode}", _style(mode)),
            (f" {subject}" if subject else "", "bold"),
            (place, "dim"),
        )

    def _body(self, payload: Any) -> None:
        if isinstance(payload, Mapping):
            for key, value in payload.items():
                self._value(f"    {key}: ", value)
        elif payload is not None:
            self._value("    ", payload)

    def _value(self, label: str, value: Any) -> None:
        room = max(self._console.width - len(label), 20)
        line = _one_line(value, room)
        if len(line) <= room:
            self._line(f"{label}{line}")
        elif isinstance(value, Mapping):
            self._line(f"{label}{_count(value)}")
            for key, item in islice(value.items(), MAX_ITEMS):
                self._line(
                    f"      {_cut(f'{_one_line(key, room)}: {_one_line(item, room)}', room)}"
                )
        elif isinstance(value, (list, tuple)):
            self._line(f"{label}{_count(value)}")
            for item in value[:MAX_ITEMS]:
                self._line(f"      {_cut(_one_line(item, room), room)}")
        else:
            note = f" ({len(value):,} characters)" if isinstance(value, str) else ""
            self._line(f"{label}{_cut(line, room - len(note))}{note}")

    def _line(self, text: str) -> None:
        self._print((text, ""))

    def _print(self, *parts: tuple[str, str], end: str = "\n") -> None:
        """Print texts with their styles; all of the live view goes through here."""
        shown = ((visible(text), style) for text, style in parts)
        self._console.print(Text.assemble(*shown), end=end)


def _style(mode: str) -> str:
    public = names.PUBLIC_MODES.get(mode)
    # What stands beside the modes is the question of a run that waits.
    return "bold red" if public is None else public.style


def _count(value: Sequence[Any] | Mapping[Any, Any]) -> str:
    shown = "" if len(value) <= MAX_ITEMS else f", the first {MAX_ITEMS}"
    return f"{len(value):,} item{'' if len(value) == 1 else 's'}{shown}"


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 1]}…"


def _one_line(value: Any, room: int) -> str:
    # The limits keep a huge value from being rendered in full only to be cut.
    text = pretty_repr(
        value, max_width=1_000_000, max_length=room, max_string=4 * room, max_depth=4
    )
    return " ".join(text.split("\n"))


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
