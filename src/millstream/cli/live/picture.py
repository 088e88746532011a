"""One picture of a run: what its models say, what runs, and for how long. Functions without I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Final

from rich.cells import cell_len

from millstream.cli.live.activity import Activity, Group
from millstream.cli.live.paper import Glyphs, Line, Paper, cut, width_of
from millstream.cli.live.transcript import Transcript

PANE_WIDTH: Final = 30
"""Panes stand side by side where each gets so many cells."""
PANE_HEIGHT: Final = 12
LEAST_PANE: Final = 3
MAX_GROUPS: Final = 10
TURNS_PER_SECOND: Final = 8


@dataclass(frozen=True, slots=True)
class Moment:
    """What is the case while a picture is made."""

    now: float
    began: float
    is_stopping: bool = False
    loading: str = ""
    """What the run waits for before it begins."""


def picture(
    moment: Moment,
    activity: Activity,
    transcripts: Mapping[str, Transcript],
    paper: Paper,
) -> list[Line]:
    """Return the lines of a picture, none of which is too wide, and not too many."""
    height, width = max(paper.height - 1, 1), paper.width
    groups = list(activity.running())
    below = [*_running(groups, moment, paper), *_state(groups, moment, paper)][-height:]
    room = height - len(below)
    speaking = [each for each in transcripts.values() if each.has_text]
    above = _panes(speaking, width, room, paper.glyphs) if room >= LEAST_PANE else []
    return [*above, *below]


def duration(seconds: float) -> str:
    """Return a time for people."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def _running(groups: Sequence[Group], moment: Moment, paper: Paper) -> Iterator[Line]:
    for group in groups[:MAX_GROUPS]:
        yield tuple(_group(group, moment, paper))
    if len(groups) > MAX_GROUPS:
        yield ((f"  and {len(groups) - MAX_GROUPS} more", "dim"),)


def _group(group: Group, moment: Moment, paper: Paper) -> Iterator[tuple[str, str]]:
    turns = paper.glyphs.turns
    turn = turns[int((moment.now - group.began) * TURNS_PER_SECOND) % len(turns)]
    depth = "  " * (len(group.path) - 1)
    yield f"{depth}{turn} ", "cyan"
    times = f"  {duration(moment.now - min(group.running.values()))}"
    counts = f" {group.done}/{group.total}" if group.total > 1 else ""
    notes = f", {group.failed} failed" if group.failed else ""
    if group.attempt > 1:
        notes += f", attempt {group.attempt} after {paper.flat(group.trouble)}"
    # The name gives way, because what follows says that something goes on.
    room = paper.width - len(depth) - 2 - len(times) - len(counts)
    yield cut(paper.flat(group.path[-1]), max(room, 4), paper.glyphs.cut), "bold"
    yield counts, ""
    yield times, "dim"
    yield notes, "yellow"


def _state(groups: Sequence[Group], moment: Moment, paper: Paper) -> Iterator[Line]:
    time = duration(moment.now - moment.began)
    if moment.is_stopping:
        waiting = ", ".join(dict.fromkeys(paper.flat(each.path[-1]) for each in groups))
        yield ((f"stopping, waits for {waiting or 'what still runs'}", "yellow"),)
        yield (("Ctrl-C again leaves at once", "yellow"),)
    elif moment.loading:
        yield ((f"{paper.flat(moment.loading)}  {time}", "dim"),)
    else:
        yield ((time, "dim"),)


def _panes(
    speaking: Sequence[Transcript], width: int, room: int, glyphs: Glyphs
) -> Iterator[Line] | list[Line]:
    if not speaking:
        return []
    if len(speaking) == 1:
        return _below_title(speaking[0], width, min(room, PANE_HEIGHT))
    columns = min(len(speaking), width // PANE_WIDTH)
    if columns < 2:
        return _stacked(speaking, width, room)
    return _side_by_side(speaking, columns, width, room, glyphs)


def _below_title(speaker: Transcript, width: int, height: int) -> Iterator[Line]:
    yield ((speaker.name, "bold"),)
    for text, style in speaker.tail(width - 2, height - 1):
        yield (("  ", ""), (text, style))


def _stacked(speaking: Sequence[Transcript], width: int, room: int) -> Iterator[Line]:
    shown = min(len(speaking), room // LEAST_PANE)
    each = min(room // shown, PANE_HEIGHT)
    for speaker in speaking[-shown:]:
        yield from _below_title(speaker, width, each)


def _side_by_side(
    speaking: Sequence[Transcript], columns: int, width: int, room: int, glyphs: Glyphs
) -> Iterator[Line]:
    # A pane needs two lines more than what is in it.
    rows = min(-(-len(speaking) // columns), max(room // (LEAST_PANE + 2), 1))
    height = min(room // rows, PANE_HEIGHT + 2)
    # The last to speak are those that fit.
    fitting = iter(speaking[-rows * columns :])
    while row := list(islice(fitting, columns)):
        widths = _shares(width, len(row))
        boxes = (
            _box(speaker, share, height, glyphs) for speaker, share in zip(row, widths, strict=True)
        )
        for parts in zip_longest(*boxes, fillvalue=()):
            yield tuple(part for line in parts for part in line)


def _shares(width: int, count: int) -> list[int]:
    share, rest = divmod(width, count)
    return [share + (index < rest) for index in range(count)]


def _box(speaker: Transcript, width: int, height: int, glyphs: Glyphs) -> Iterator[Line]:
    top_left, top_right, bottom_left, bottom_right, flat, upright = tuple(glyphs.box)
    title = f"{flat} {cut(speaker.name, width - 6, glyphs.cut)} "
    yield (
        (top_left, "dim"),
        (title, "bold"),
        (flat * (width - 2 - cell_len(title)) + top_right, "dim"),
    )
    inside = width - 4
    tail = speaker.tail(inside, height - 2)
    for text, style in [*tail, *[("", "")] * (height - 2 - len(tail))]:
        padding = " " * (inside - width_of(((text, style),)))
        yield ((f"{upright} ", "dim"), (text, style), (f"{padding} {upright}", "dim"))
    yield ((bottom_left + flat * (width - 2) + bottom_right, "dim"),)
