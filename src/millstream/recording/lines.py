"""The lines of a recording: what stands in them, and which stream sees which.

| line | keys |
|---|---|
| the first | `recording`, the version of the format; `started`; what is known of the run |
| an event | `at`, microseconds since `started`; `ns`, `mode`, `data` |
| a token | `at`; `of`, the number of a template; `text` |
| a definition | `define`, a number; `value`, what `{"$ref": number}` stands for from here on |
| a template | a definition whose `value` has `ns`, and by mode `data` that lack a text |
| what is over | `forget`, numbers that nothing stands for any more |
| the last | `at`; `end`, how the run has ended; `events`, how many there were |

docs/recording.md has all of it for who reads files by other means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from millstream.modes.names import GRAPHS, MESSAGES, MODES

if TYPE_CHECKING:
    from collections.abc import Collection

FORMAT: Final = 1

HEADER: Final = "recording"
STARTED: Final = "started"
AT: Final = "at"
END: Final = "end"
COUNT: Final = "events"
DEFINE: Final = "define"
FORGET: Final = "forget"
OF: Final = "of"
TEXT: Final = "text"
LEFT_OUT: Final = "left_out"

Status: TypeAlias = Literal["success", "interrupted", "error", "cancelled", "drained", "truncated"]
"""How a run has ended; `truncated`, which stands in no file, if its recording does not say."""
STATUSES: Final = frozenset(get_args(Status)) - {"truncated"}
"""How the last line may say that a run has ended."""
MAX_LINE: Final = 1 << 27
"""Bytes of a line, with what it refers to: a small file can be made that has lines without end."""

ALONE: Final = f"{MESSAGES}-without-subgraphs"
"""Whole messages that only streams without `subgraphs` show: with it, they were seen below."""
BLOCKS: Final = f"{MESSAGES}-v3"
"""What models say as events of content blocks, for run streams."""

RECORDED: Final = frozenset((*MODES, GRAPHS))
"""The modes that a run tells a recording, besides what the taps hear."""


def modes_in_file(modes: Collection[str], *, has_subgraphs: bool) -> frozenset[str]:
    """Return the modes of the lines that a stream of these modes shows."""
    wanted = set(modes)
    if MESSAGES in wanted and not has_subgraphs:
        wanted.add(ALONE)
    return frozenset(wanted)


def modes_of_run_stream(modes: Collection[str]) -> frozenset[str]:
    """Return the modes of the lines that a run stream is made of."""
    return frozenset(BLOCKS if mode == MESSAGES else mode for mode in modes)


def shown_mode(mode: str) -> str:
    """Return the mode that a line has in a stream."""
    return MESSAGES if mode in (ALONE, BLOCKS) else mode
