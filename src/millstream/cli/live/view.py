"""`LiveView`: the view of a run on a terminal.

Whoever reads the run hands in its events, which takes some microseconds; a thread makes a picture
of what there is ten times a second, and writes it. So many events at once cost no more than few,
and time goes on being shown while nothing happens.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from millstream.cli.blocks import Blocks
from millstream.cli.failures import text_of
from millstream.cli.interrupting import interruptible
from millstream.cli.live.activity import Activity, Ended, Group, Path, Words
from millstream.cli.live.events import take_task, take_words, words_of
from millstream.cli.live.paper import Line, Paper
from millstream.cli.live.picture import Moment, duration, picture
from millstream.cli.live.printed import taken
from millstream.cli.live.retries import heard
from millstream.cli.live.screen import SHOW_CURSOR, Screen
from millstream.cli.live.table import table
from millstream.cli.live.transcript import Transcript
from millstream.cli.output import Output
from millstream.cli.values import is_message
from millstream.modes.names import CUSTOM, MESSAGES, TASKS

INTERVAL: Final = 0.1
"""Seconds between two pictures."""
DEFAULT_MODES: Final = (CUSTOM, MESSAGES, TASKS)
MAX_BLOCKS: Final = 100
"""Nobody reads more of them in one interval; those that were not asked for are counted."""
MAX_KEYS: Final = 6


@dataclass(slots=True)
class Repeated:
    """Tasks of one node that ended one after the other within one interval."""

    ended: Ended
    lines: list[Line]
    count: int = 1


class LiveView:
    """A `Renderer` that has the last lines of the terminal show what happens now."""

    def __init__(
        self, out: Output, paper: Paper, modes: Sequence[str] | None, *, has_subgraphs: bool
    ) -> None:
        self._out = out
        self._paper = paper
        self._screen = Screen(out, paper)
        self._asked = None if modes is None else frozenset(modes)
        self.modes = list(dict.fromkeys([*(modes or DEFAULT_MODES), TASKS]))
        self.has_subgraphs = True
        self._shows_nested = has_subgraphs
        self._blocks = Blocks(paper.glyphs.mark)
        # What follows is shared with the thread.
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._fault: BaseException | None = None
        self._activity = Activity()
        self._transcripts: dict[str, Transcript] = {}
        self._speakers: dict[str, tuple[Transcript, Words]] = {}
        """By namespace of a task, which is known with its first message."""
        self._above: list[str | Repeated] = []
        self._repeated: dict[Path, Repeated] = {}
        self._left_out = 0
        self._loading = ""
        self._is_stopping = False
        self._began = time.monotonic()
        self._seconds = 0.0
        self._events = 0

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Keep the picture up to date, and take what is printed meanwhile."""
        self._over.clear()
        self._began = time.monotonic()
        painter = threading.Thread(target=self._paint_on, name="millstream-view")
        with ExitStack() as stack:
            stack.enter_context(
                interruptible(self._say_stopping, before_leaving=self._give_cursor_back)
            )
            painter.start()
            stack.callback(self._end, painter)
            stack.enter_context(taken(self._take_printed))
            stack.enter_context(heard(self._take_retry))
            yield

    def load(self, what: str) -> None:
        """Show what the run waits for before it begins."""
        with self._lock:
            self._loading = what

    def show(self, namespace: Sequence[str], mode: str, payload: Any) -> None:
        """Take one event."""
        with self._lock:
            if self._fault is not None:
                raise self._fault
            if mode == MESSAGES:
                self._take_message(tuple(namespace), *payload)
            elif mode == TASKS:
                ended = take_task(self._activity, namespace, payload, time.monotonic())
                if ended is not None:
                    self._take_end(namespace, payload, ended)
            self._events += mode != TASKS or (self._asked is not None and TASKS in self._asked)
            if self._is_shown(namespace, mode):
                self._take_block(namespace, mode, payload)

    def stop(self) -> None:
        """Do nothing: leaving the scope has made room."""

    def finish(self) -> None:
        """Print how often each node ran, how long, and with how many tokens."""
        paper = self._paper
        lines = [paper.fitted(line, paper.width) for line in table(self._activity.rows(), paper)]
        events = f"{self._events:,} event{'' if self._events == 1 else 's'}"
        # Of what was not asked for nobody wants to know how many there were.
        what = "done" if self._asked is None else f"done: {events}"
        lines.append(paper.styled(f"{what} in {self._seconds:.2f} s", "dim"))
        self._out.write("".join(f"{line}\n" for line in lines))
        self._out.flush()

    def _is_shown(self, namespace: Sequence[str], mode: str) -> bool:
        if mode == MESSAGES or (namespace and not self._shows_nested):
            return False
        return mode == CUSTOM if self._asked is None else mode in self._asked

    def _take_message(self, namespace: tuple[str, ...], message: Any, metadata: Any) -> None:
        place = str(metadata.get("langgraph_checkpoint_ns", ""))
        speaker = self._speakers.get(place)
        if speaker is None:
            # The task of the graph that was called: what its nested graphs say is its own.
            key = place.partition("|")[0]
            transcript = self._transcripts.get(key)
            if transcript is None:
                name = self._paper.flat(key.partition(":")[0])
                transcript = self._transcripts[key] = Transcript(name, self._paper.clean)
            words = words_of(self._activity, namespace, metadata)
            speaker = self._speakers[place] = (transcript, words)
        transcript, words = speaker
        take_words(words, message)
        transcript.hear(namespace, message, metadata)

    def _take_end(self, namespace: Sequence[str], payload: Any, ended: Ended) -> None:
        transcript = None
        if not namespace:
            key = f"{payload['name']}:{payload['id']}"
            transcript = self._transcripts.pop(key, None)
            if transcript is not None:
                self._speakers = {
                    place: known
                    for place, known in self._speakers.items()
                    if known[0] is not transcript
                }
        elif not self._shows_nested:
            return
        said = [] if transcript is None else transcript.whole()
        if said:
            self._put(self._heading(ended, payload, is_alone=True))
            for text, style in said:
                self._put((("  ", ""), (text, style)))
            if self._asked is None:
                self._put(*self._result(payload, spoke=True))
        elif self._asked is None and (ended.is_last or payload.get("error") is not None):
            self._take_quiet_end(payload, ended)

    def _take_quiet_end(self, payload: Any, ended: Ended) -> None:
        """Tell of a task that said nothing, or of many at once, or one after the other."""
        path = ended.group.path
        repeated = self._repeated.get(path)
        if repeated is not None and payload.get("error") is None:
            repeated.count += ended.group.total
            repeated.lines = []
            return
        lines = [self._heading(ended, payload, is_alone=ended.group.total == 1)]
        if ended.group.total == 1:
            lines += self._result(payload, spoke=False)
        repeated = self._repeated[path] = Repeated(ended, lines)
        self._above.append(repeated)

    def _heading(self, ended: Ended, payload: Any, *, is_alone: bool) -> Line:
        group, glyphs = ended.group, self._paper.glyphs
        error = payload.get("error")
        has_failed = error is not None if is_alone else bool(group.failed)
        return (
            (f"{glyphs.failed if has_failed else glyphs.mark} ", _style(has_failed)),
            (f" {glyphs.beneath} ".join(group.path), "bold"),
            (_count(group, glyphs.times, is_alone=is_alone), ""),
            (f"  {duration(ended.seconds)}", "dim"),
            ("  waits for an answer" if payload.get("interrupts") else "", "yellow"),
            (f"  {_reason(error)}" if error is not None else "", "red"),
        )

    def _result(self, payload: Any, *, spoke: bool) -> Iterator[Line]:
        result = payload.get("result") or {}
        self._blocks.width = self._paper.width
        shown = 0
        for key, value in result.items():
            if spoke and _is_speech(value):
                continue
            if shown == MAX_KEYS:
                yield ((f"    and {len(result) - MAX_KEYS} more", "dim"),)
                return
            yield from self._blocks.value(f"    {key}: ", value)
            shown += 1

    def _take_block(self, namespace: Sequence[str], mode: str, payload: Any) -> None:
        if type(payload) is str:
            # Most programs say plain lines, and some say many.
            self._above.append(self._paper.clean(payload))
            return
        if self._asked is None and len(self._above) >= MAX_BLOCKS:
            self._left_out += 1
            return
        self._blocks.width = self._paper.width
        self._put(*self._blocks.event(namespace, mode, payload))

    def _take_printed(self, line: str) -> None:
        with self._lock:
            self._above.append(self._paper.clean(line))

    def _take_retry(self, path: Path, attempt: Any, trouble: str) -> None:
        with self._lock:
            self._activity.retry(path, attempt, trouble)

    def _put(self, *lines: Line) -> None:
        self._above += [self._paper.written(line) for line in lines]

    def _paint_on(self) -> None:
        try:
            self._paint()
            while not self._over.wait(INTERVAL):
                self._paint()
        except BaseException as error:  # whoever reads the run is told
            self._fault = error

    def _paint(self) -> None:
        with self._lock:
            above = self._take_above()
            moment = Moment(
                now=time.monotonic(),
                began=self._began - self._seconds,
                is_stopping=self._is_stopping,
                loading=self._loading,
            )
            lines = picture(moment, self._activity, self._transcripts, self._paper)
        # Not while others wait: a terminal may be slow.
        self._screen.show(above, lines)

    def _take_above(self) -> str:
        if self._left_out:
            note = f"  and {self._left_out:,} more; `-m custom` shows all"
            self._put(((note, "dim"),))
            self._left_out = 0
        lines = [line for each in self._above for line in self._lines_of(each)]
        self._above.clear()
        self._repeated.clear()
        return "".join(f"{line}\n" for line in lines)

    def _lines_of(self, each: str | Repeated) -> Sequence[str]:
        if isinstance(each, str):
            return [each]
        if each.lines:
            return [self._paper.written(line) for line in each.lines]
        glyphs, group = self._paper.glyphs, each.ended.group
        name = f" {glyphs.beneath} ".join(group.path)
        line = ((f"{glyphs.mark} ", _style(False)), (name, "bold"))
        return [self._paper.written((*line, (f" {glyphs.times}{each.count}", "")))]

    def _end(self, painter: threading.Thread) -> None:
        """Have the thread end, and leave on the terminal what stays."""
        self._over.set()
        painter.join()
        now = time.monotonic()
        self._activity.stop(now)
        if not self._loading:
            self._seconds += now - self._began
        for transcript in self._transcripts.values():
            self._put(((f"{self._paper.glyphs.mark} ", "yellow"), (transcript.name, "bold")))
            for text, style in transcript.whole():
                self._put((("  ", ""), (text, style)))
        self._transcripts.clear()
        self._speakers.clear()
        if self._fault is None:
            self._screen.leave(self._take_above())

    def _say_stopping(self) -> None:
        # No lock: what was interrupted may have it.
        self._is_stopping = True

    def _give_cursor_back(self) -> None:
        self._out.write(f"\n{SHOW_CURSOR}")


def _style(has_failed: bool) -> str:
    return "red" if has_failed else "green"


def _count(group: Group, times: str, *, is_alone: bool) -> str:
    if group.total == 1:
        return f" (attempt {group.attempt})" if group.attempt > 1 else ""
    if is_alone:
        return f" {group.done}/{group.total}"
    failed = f", {group.failed} failed" if group.failed else ""
    return f" {times}{group.total}{failed}"


def _reason(error: Any) -> str:
    if isinstance(error, BaseException):
        return " ".join(f"{type(error).__name__}: {text_of(error)}".split())
    return " ".join(str(error).split())


def _is_speech(value: Any) -> bool:
    """Return whether a value consists of messages, which have been shown."""
    if isinstance(value, (list, tuple)):
        return bool(value) and all(map(is_message, value))
    return is_message(value)
