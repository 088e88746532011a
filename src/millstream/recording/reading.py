"""Reading a recording: lines, and what they say.

A file may come from anybody, and may have been cut anywhere: what is read is checked, and a file
ends with its last whole line. `RecordedRun` reads as it goes: a recording takes the memory of a
line, and of what is defined and not forgotten, which is something for each model that speaks.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

from millstream.modes.names import CHECKPOINTS, DEBUG, TASKS
from millstream.modes.parts import Part, Shape
from millstream.recording.lines import (
    AT,
    DEFINE,
    END,
    FORGET,
    FORMAT,
    HEADER,
    MAX_LINE,
    OF,
    STARTED,
    STATUSES,
    TEXT,
    Status,
    shown_mode,
)
from millstream.recording.tokens import TokenTemplate
from millstream.recording.values import MARK, Decoder, loads
from millstream.recording.writing import GZIP

CHUNK: Final = 1 << 16
LATEST: Final = 1 << 53
"""Microseconds that every reader can count, 285 years."""
_WRAPPED: Final = {"task": TASKS, "task_result": TASKS, "checkpoint": CHECKPOINTS}
"""What `debug` tells again, by the type that it gives it."""


class RecordingError(ValueError):
    """A file is no recording, or one of a later version of the format."""


class TruncatedRecordingWarning(UserWarning):
    """A recording ends before its run does: how that ended is not known."""


class Lines:
    """The lines of a file, to be iterated once."""

    def __init__(self, source: str | os.PathLike[str] | IO[bytes]) -> None:
        if not isinstance(source, (str, os.PathLike)) and not hasattr(source, "read"):
            raise TypeError(
                f"a recording is a path, or a file that is open for reading, not {source!r}"
            )
        self._source = source
        self.damage: str | None = None
        """Why there are no more lines, if that is not the end of a whole file."""

    def __iter__(self) -> Iterator[bytes]:
        if not isinstance(self._source, (str, os.PathLike)):
            self._source.seek(0)
            yield from self._lines(self._source)
            return
        with Path(self._source).open("rb") as file:
            yield from self._lines(file)

    def _lines(self, file: IO[bytes]) -> Iterator[bytes]:
        pending: list[bytes] = []
        size = 0
        for text in self._texts(file):
            first, found, rest = text.partition(b"\n")
            if not found:
                pending.append(first)
                size += len(first)
                if size > MAX_LINE:
                    self.damage = f"a line has more than {MAX_LINE} bytes"
                    return
                continue
            yield b"".join((*pending, first))
            lines = rest.split(b"\n")
            yield from lines[:-1]
            pending, size = [lines[-1]], len(lines[-1])
        if size and self.damage is None:
            self.damage = "it ends within a line"

    def _texts(self, file: IO[bytes]) -> Iterator[bytes]:
        inflate = zlib.decompressobj(GZIP)
        data = b""
        try:
            while data := data or file.read(CHUNK):
                if inflate.eof:  # the next member of the file
                    inflate = zlib.decompressobj(GZIP)
                text = inflate.decompress(data, CHUNK * 16)
                data = inflate.unconsumed_tail or inflate.unused_data
                if text:
                    yield text
        except zlib.error as error:
            self.damage = str(error)
            return
        if not inflate.eof:
            self.damage = "it ends within what was compressed"


class RecordedRun:
    """A run in a file: what is known of it, and what it said."""

    def __init__(
        self, source: str | os.PathLike[str] | IO[bytes], allowed: Collection[tuple[str, str]] = ()
    ) -> None:
        self._source = source
        self._allowed = tuple(allowed)
        self.name = _name(source)
        self.header = self._read_header()
        self.namespace = tuple(self.header.get("namespace") or ())
        self.started: int = self.header[STARTED]

    def _read_header(self) -> dict[str, Any]:
        lines = Lines(self._source)
        line = next(iter(lines), None)
        if line is None:
            raise RecordingError(f"{self.name} is no recording: {lines.damage or 'it is empty'}")
        header = self._load(line, 1)
        if type(header.get(HEADER)) is not int or type(header.get(STARTED)) is not int:
            raise RecordingError(f"{self.name} is no recording: its first line does not say so")
        if header[HEADER] > FORMAT:
            raise RecordingError(
                f"{self.name} has version {header[HEADER]} of the format, and versions up to "
                f"{FORMAT} are known: read it with a later version of millstream"
            )
        try:
            decoded = Decoder(self._allowed).decode_line(header, len(line))
            _check_time(decoded[STARTED])
            _check_namespace(decoded.get("namespace") or [])
        except Exception as error:
            raise RecordingError(
                f"line 1 of {self.name} is no beginning: {type(error).__name__}: {error}"
            ) from error
        return dict(decoded)

    def _load(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            data = loads(line)
        except (ValueError, RecursionError) as error:
            raise RecordingError(f"line {number} of {self.name} is no JSON: {error}") from None
        if type(data) is not dict:
            raise RecordingError(f"line {number} of {self.name} is no object")
        return data

    def read(self, modes: Collection[str] | None = None) -> Reading:
        """Return what reads the parts of lines of these modes, of all by default."""
        return Reading(self, modes)


class Reading:
    """Reads the parts of a run once, with when they were told; then how the run has ended."""

    def __init__(self, run: RecordedRun, modes: Collection[str] | None) -> None:
        self._run = run
        self._modes = modes
        self.status: Status = "truncated"
        """How the run has ended, when all parts have been read."""
        self.error: BaseException | None = None
        self.ending: dict[str, Any] = {}
        """The last line."""
        self.damage: str | None = None
        """Why the end of the run was not found; None if it was."""
        self.at = 0
        """When the last part was told, microseconds after the run was started."""
        self.count = 0
        """The events that have been read, of all modes."""
        self._decoder = Decoder(run._allowed)
        self._templates: dict[int, TokenTemplate] = {}
        """The templates of tokens that were read, by their number."""
        # What `debug` tells again is looked for only if somebody wants to see it.
        self._told: dict[tuple[tuple[str, ...], str], Any] | None = None
        if modes is None or DEBUG in modes:
            self._told = {}

    def __iter__(self) -> Iterator[tuple[int, Part]]:
        run = self._run
        lines = Lines(run._source)
        for number, line in enumerate(lines, 1):
            if number == 1:
                continue
            data = run._load(line, number)
            try:
                parts = self._parts(data, line)
            except Exception as error:
                raise RecordingError(
                    f"line {number} of {run.name} is no event: {type(error).__name__}: {error}"
                ) from error
            if self.status != "truncated":
                return
            for part in parts:
                yield self.at, part
        self.damage = lines.damage or "the end of the run is not in it"

    @property
    def shortfall(self) -> str | None:
        """What is to be said of a recording that ends before its run does; None if it does not."""
        if self.damage is None:
            return None
        return (
            f"{self._run.name} ends before the run does, after {self.count} events and "
            f"{self.at / 1e6:.1f} s ({self.damage}): what followed is not known"
        )

    def _parts(self, data: dict[str, Any], line: bytes) -> Sequence[Part]:
        """Return the parts that a line stands for, those of them that are wanted."""
        if OF in data:
            self.count += 2
            self.at = _check_time(data[AT])
            number = data[OF]
            template = self._templates.get(number)
            if template is None:
                found = self._decoder.defined[number]
                template = self._templates[number] = TokenTemplate(found, self._modes)
            return template.parts(data[TEXT])
        if "mode" not in data:
            self._note(data, len(line))
            return ()
        self.count += 1
        told, mode = self._told, data["mode"]
        if type(mode) is not str:
            raise TypeError(f"its mode is {mode!r:.80}")
        is_wanted = self._modes is None or mode in self._modes
        if not is_wanted and (told is None or mode not in (TASKS, CHECKPOINTS)):
            return ()
        payload = data["data"]
        if MARK in line:
            payload = self._decoder.decode_line(payload, len(line))
        namespace = _check_namespace(data["ns"])
        if told is not None:
            payload = _unwrapped(told, namespace, mode, payload)
        self.at = _check_time(data[AT])
        return ((namespace, shown_mode(mode), payload, None),) if is_wanted else ()

    def _note(self, data: dict[str, Any], size: int) -> None:
        """Take note of a line that is no event."""
        decoder = self._decoder
        if DEFINE in data:
            number = data[DEFINE]
            decoder.define(number, data["value"], size)
            self._templates.pop(number, None)
        for number in data.get(FORGET, ()):
            decoder.forget(number)
            self._templates.pop(number, None)
        if END in data:
            if data[END] not in STATUSES:
                raise ValueError(f"its end is {data[END]!r:.80}")
            self.status, self.ending = data[END], decoder.decode_line(data, size)
            self.at = _check_time(data[AT])
            error = self.ending.get("error")
            self.error = error if isinstance(error, BaseException) else None


def _check_time(at: Any) -> int:
    """Return a time of a file, which is to be counted with."""
    if type(at) is not int or not -LATEST < at < LATEST:
        raise ValueError(f"its time is {at!r:.80}")
    return at


def _check_namespace(segments: Any) -> tuple[str, ...]:
    """Return a namespace of a file."""
    if type(segments) is not list or not all(type(each) is str for each in segments):
        raise TypeError(f"its namespace is {segments!r:.80}")
    return tuple(segments)


def _unwrapped(
    told: dict[tuple[tuple[str, ...], str], Any],
    namespace: tuple[str, ...],
    mode: str,
    payload: Any,
) -> Any:
    """Return the payload of `debug` with what it tells again, any other as it is."""
    if mode in (TASKS, CHECKPOINTS):
        told[namespace, mode] = payload
    elif mode == DEBUG and "payload" not in payload:
        return {**payload, "payload": told.pop((namespace, _WRAPPED[payload["type"]]))}
    return payload


def _name(source: str | os.PathLike[str] | IO[bytes]) -> str:
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    return str(getattr(source, "name", type(source).__name__))


def with_shape(part: Part, shape: Shape | None) -> Part:
    """Return a part of a graph whose classes of state are known."""
    return part if shape is None else (part[0], part[1], part[2], shape)
