"""`Tape`: what one run tells, on its way into its recording.

It is told at once, from whichever thread, and encodes at once: nodes may change afterwards what
they have emitted. The run never fails by it: a file that cannot be written to its end is one that
was cut, and a filter that fails leaves its line out.
"""

from __future__ import annotations

import itertools
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson

from millstream.constants import MISSING
from millstream.modes.event_listener import EVENTS
from millstream.modes.names import CHECKPOINTS, DEBUG, MESSAGES, TASKS
from millstream.recording.lines import (
    ALONE,
    AT,
    BLOCKS,
    COUNT,
    DEFINE,
    END,
    FORGET,
    FORMAT,
    HEADER,
    LEFT_OUT,
    OF,
    STARTED,
    TEXT,
)
from millstream.recording.values import dumps, encode, loads
from millstream.recording.writing import LineWriter, logger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from millstream._base.clock import Clock
    from millstream.modes.parts import Encode, Namespace, Part
    from millstream.recording.lines import Status
    from millstream.recording.recording import Recording

    Said: TypeAlias = tuple[Any, Any]
    """What a model has said, and its metadata."""
    Say: TypeAlias = Callable[[str], None]

SAID: Final = frozenset((MESSAGES, ALONE, BLOCKS))
"""The modes of what models say, with metadata beside it that are the same for a whole message."""
WRAPPED: Final = frozenset((TASKS, CHECKPOINTS))
"""What `debug` tells again."""
KEPT: Final = (HEADER, STARTED, AT, END, COUNT)
"""What is written of the first and the last line if a filter leaves them out."""
KNOWN: Final = 1024
"""How many metadata are remembered, of models that speak at once, and of nodes."""
MANY_PREFIXES: Final = 4096


class Known:
    """Metadata that have a number, and the templates of tokens that have them beside them."""

    __slots__ = ("kept", "metadata", "numbers", "reference", "templates")

    def __init__(self, metadata: Any, number: int) -> None:
        self.metadata = metadata
        self.kept = metadata.copy() if type(metadata) is dict else metadata
        """As they were, for they may be changed."""
        self.reference = b'{"$ref":%d}' % number
        self.numbers = [number]
        """Their own, and those of the templates."""
        self.templates: dict[bytes, bytes] = {}
        """The templates, and what lines say of them."""


class Tape:
    """The recording of one run while it goes on."""

    def __init__(
        self, recording: Recording, facts: Mapping[str, Any], draw: Callable[[], Any], clock: Clock
    ) -> None:
        """Make the tape of a run that has not begun, of which these facts are known.

        `draw` returns the drawing of its graph.
        """
        self._recording = recording
        self._facts = facts
        self._draw = draw
        self._nanos: Final = clock.nanos
        self._started = 0
        self._is_open = False
        self._waits_for_events = False
        self._writer: LineWriter
        self._prefixes: dict[tuple[Namespace, str], bytes] = {}
        self._wrapped: dict[Namespace, Any] = {}
        """What `debug` is about to tell again, by namespace."""
        self._numbers = itertools.count(1)
        self._known: OrderedDict[int, Known] = OrderedDict()
        """Metadata that have a number, by identity."""
        self._count = itertools.count()
        self._tokens = itertools.count()
        """Tokens that were written as their text: each is two events."""
        self._ending: dict[str, Any] = {END: "cancelled"}

    def open(self) -> None:
        """Make the file, and write what is known of the run."""
        self._started = self._nanos() // 1000
        file, is_owner = self._recording.open()
        self._writer = LineWriter(file, self._recording.name, is_owner=is_owner)
        self._writer.start()
        # A run that is dropped without an end has its file closed.
        weakref.finalize(self, self._writer.stop).atexit = False
        header = {HEADER: FORMAT, STARTED: self._started, **self._facts}
        header["drawing"] = self._drawing()
        self._put(b"{%b}\n" % b",".join(_items(header)), is_event=False)
        self._is_open = True

    def _drawing(self) -> Any:
        try:
            return self._draw()
        except Exception:  # a graph runs that cannot be drawn
            return None

    def emit(self, part: Part) -> None:
        """Take what the run tells."""
        if not self._is_open:
            return
        at = self._nanos() // 1000 - self._started
        namespace, mode, payload, _ = part
        if mode in SAID and type(payload) is tuple and len(payload) == 2:
            data = b'{"$tuple":[%b,%b]}' % (encode(payload[0]), self._reference(payload[1]))
        elif mode in WRAPPED:
            self._wrapped[namespace] = payload
            data = encode(payload)
        elif mode == DEBUG:
            data = self._encode_debug(namespace, payload)
        else:
            data = encode(payload)
        prefix = self._prefixes.get((namespace, mode)) or self._prefix(namespace, mode)
        next(self._count)
        self._put(b'{"at":%d%b%b}\n' % (at, prefix, data))

    def _prefix(self, namespace: Namespace, mode: str) -> bytes:
        if len(self._prefixes) > MANY_PREFIXES:
            self._prefixes.clear()
        prefix = b',"ns":%b,"mode":%b,"data":' % (dumps([*namespace]), dumps(mode))
        self._prefixes[namespace, mode] = prefix
        return prefix

    def _encode_debug(self, namespace: Namespace, payload: Any) -> bytes:
        # What was told last, in this namespace, is what this tells again.
        if payload["payload"] is self._wrapped.pop(namespace, None):
            payload = {key: value for key, value in payload.items() if key != "payload"}
        return encode(payload)

    def _reference(self, metadata: Any) -> bytes:
        """Return what stands for metadata that are defined once."""
        return self._known_as(metadata).reference

    def _known_as(self, metadata: Any) -> Known:
        known = self._known.get(id(metadata))
        if known is not None and known.metadata is metadata and known.kept == metadata:
            return known
        known = Known(metadata, self._define(encode(metadata)))
        self._known[id(metadata)] = known
        while len(self._known) > KNOWN:
            self._known.popitem(last=False)
        return known

    def _define(self, value: bytes) -> int:
        number = next(self._numbers)
        # First what it stands for, then who may use it.
        self._put(b'{"%b":%d,"value":%b}\n' % (DEFINE.encode(), number, value), is_event=False)
        return number

    @property
    def has_templates(self) -> bool:
        """Say whether tokens are written as their text: a filter is shown events alone."""
        return self._recording.filter is None

    def open_message(self, namespace: Namespace, message: Said, block: Said) -> Say:
        """Return what takes tokens that are like this one but for their text, by that.

        `message` is a chunk of a message, `block` the event of its content block, without a text,
        and with their metadata.
        """
        template = self._template(namespace, message, block)
        # What happens once per token is said in names of its own, which are found soonest.
        nanos, started, tokens, put = self._nanos, self._started, self._tokens, self._writer.put
        to_json = orjson.dumps

        def say(text: str) -> None:
            if not self._is_open:
                return
            try:
                data = to_json(text)
            except TypeError:
                data = dumps(text)
            next(tokens)
            put(b'{"at":%d%b%b}\n' % (nanos() // 1000 - started, template, data))

        return say

    def _template(self, namespace: Namespace, message: Said, block: Said) -> bytes:
        of_message, of_block = encode(message[0]), encode(block[0])
        value = b'{"ns":%b,"%b":{"$tuple":[%b,%b]},"%b":{"$tuple":[%b,%b]}}' % (
            dumps([*namespace]),
            MESSAGES.encode(),
            of_message,
            self._reference(message[1]),
            BLOCKS.encode(),
            of_block,
            self._reference(block[1]),
        )
        known = self._known_as(message[1])
        template = known.templates.get(value)
        if template is None:
            known.numbers.append(number := self._define(value))
            template = b',"%b":%d,"%b":' % (OF.encode(), number, TEXT.encode())
            known.templates[value] = template
        return template

    def close_message(self, *metadata: Any) -> None:
        """Take note that nothing more comes with these metadata: readers need not keep them."""
        found = [self._known.pop(id(each), None) for each in metadata]
        numbers = [number for known in found if known is not None for number in known.numbers]
        if numbers and self._is_open:
            self._put(b'{"%b":%b}\n' % (FORGET.encode(), dumps(numbers)), is_event=False)

    def _put(self, line: bytes, *, is_event: bool = True) -> None:
        if self._recording.filter is not None:
            line = self._filtered(line, is_event=is_event)
        if line:
            self._writer.put(line)

    def _filtered(self, line: bytes, *, is_event: bool) -> bytes:
        data, function = loads(line), self._recording.filter
        assert function is not None
        kept = {key: data[key] for key in KEPT if key in data}
        try:
            shown = function(data)
        except Exception as error:
            logger.warning(
                "The filter of the recording %s failed, and its line is left out: %r",
                self._recording.name,
                error,
            )
            shown = {**kept, LEFT_OUT: type(error).__name__}
        if shown is None:
            shown = None if is_event else kept
        return b"" if not shown else dumps(shown) + b"\n"

    def hear_events(self, encode_event: Encode) -> Encode:
        """Return a function that encodes a part as an event of LangChain's and records that.

        The recording is held open until the events are at their end, which comes after the run's.
        """
        self._waits_for_events = True

        def encode_and_record(part: Part) -> Any:
            event = encode_event(part)
            if event is not None:
                self.emit(((), EVENTS, event, None))
            return event

        return encode_and_record

    def end(self, status: Status, error: BaseException | None, output: Any = MISSING) -> None:
        """Take how the run has ended."""
        self._ending = {END: status}
        if error is not None:
            self._ending["error"] = error
        if output is not MISSING:
            self._ending["output"] = output
        if not self._waits_for_events:
            self.close()

    def close(self) -> None:
        """Write the end, and close the file. Nothing is taken any more."""
        if not self._is_open:
            return
        self._is_open = False
        at = self._nanos() // 1000 - self._started
        count = next(self._count) + 2 * next(self._tokens)
        last = {AT: at, **self._ending, COUNT: count}
        self._put(b"{%b}\n" % b",".join(_items(last)), is_event=False)
        self._writer.close()


def _items(data: Mapping[str, Any]) -> list[bytes]:
    """Return the JSON of each item of an object, whose keys are ours."""
    return [b"%b:%b" % (dumps(key), encode(value)) for key, value in data.items()]
