"""`--protocol`: a recorded run as the lines that a front end or a client of the server gets."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

from millstream._base.texts import safe_str
from millstream.cli.failures import UsageError
from millstream.cli.output import ESCAPES, Output

if TYPE_CHECKING:
    from millstream.replaying.replay import Replay


def show(recorded: Replay, protocol: str, modes: Collection[str] | None, subgraphs: bool) -> None:
    """Print the lines of a run; raise what the run raised, after the line that says so."""
    out = Output(sys.stdout)
    lines: Any
    if protocol == SSE:
        lines = _frames(recorded, modes, has_subgraphs=subgraphs)
    else:
        lines = PROTOCOLS[protocol](recorded)
    with closing(lines), _errors_told_once() as told:
        for line in lines:
            # As UTF-8, which these protocols are in; what a terminal obeys is escaped as in JSON.
            out.write_bytes(line.translate(ESCAPES).encode("utf-8", "replace"))
    if told:
        raise told[0]


@contextmanager
def _errors_told_once() -> Iterator[list[BaseException]]:
    """Give the errors that a protocol logs, which are not logged: its lines tell them.

    They are the run's, or say what is wrong with the file.
    """
    logger = logging.getLogger("millstream.protocols")
    told: list[BaseException] = []

    def keep(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            told.append(error)
        return error is None

    logger.addFilter(keep)
    try:
        yield told
    finally:
        logger.removeFilter(keep)


def check(protocol: str, *, has_modes: bool, has_subgraphs: bool, as_json: bool) -> None:
    """Refuse what is no protocol, and options that say nothing in one."""
    if protocol not in PROTOCOLS:
        known = ", ".join(PROTOCOLS)
        raise UsageError(f"--protocol must be one of {known}, not {protocol!r:.80}")
    if as_json:
        raise UsageError("--json and --protocol are two forms: leave one of them out")
    if has_modes and protocol != SSE:
        raise UsageError(f"--protocol {protocol} has no stream modes: leave --stream-mode out")
    if has_subgraphs and protocol != SSE:
        raise UsageError(f"--protocol {protocol} has no such choice: leave --subgraphs out")


def _agui(recorded: Replay) -> Iterator[str]:
    from millstream.protocols import agui

    return agui.stream(recorded, None)


def _aisdk(recorded: Replay) -> Iterator[str]:
    from millstream.protocols import aisdk

    return aisdk.stream(recorded, None)


def _openai_chat(recorded: Replay) -> Iterator[str]:
    from millstream.protocols import openai

    return openai.stream_chat(recorded, None)


def _openai_responses(recorded: Replay) -> Iterator[str]:
    from millstream.protocols import openai

    return openai.stream_response(recorded, None)


def _langchain(recorded: Replay) -> Iterator[str]:
    from millstream.protocols.lines import line
    from millstream.stream.transformers import CustomTransformer, UpdatesTransformer

    transformers = (UpdatesTransformer, CustomTransformer)
    with recorded.stream_events(transformers=transformers) as run:
        for event in run:
            yield line(event)


SSE: Final = "sse"


def _frames(
    recorded: Replay, modes: Collection[str] | None = None, *, has_subgraphs: bool = False
) -> Iterator[str]:
    """Yield what a client of the server gets of a run that streams these modes.

    First which run it is, where the recording says so; items as `mode|namespace` and data; at last
    the error that it has failed with, or that the recording ends before.
    """
    from millstream.modes.parts import as_modes
    from millstream.protocols.lines import named_line
    from millstream.protocols.stream_modes import shown
    from millstream.recording.reading import TruncatedRecordingWarning

    run_id = recorded.header.get("configurable", {}).get("run_id")
    if run_id is not None:
        yield named_line("metadata", {"run_id": run_id, "attempt": 1})
    wanted = as_modes(modes or recorded.header.get("stream_mode") or "updates")
    try:
        for item in recorded.stream(stream_mode=list(wanted), subgraphs=has_subgraphs):
            namespace, mode, data = item if has_subgraphs else ((), *item)
            yield named_line("|".join((mode, *namespace)), shown(mode, data))
    except Exception as error:
        yield named_line("error", _told(type(error), safe_str(error)))
        raise
    if (shortfall := recorded.shortfall) is not None:
        yield named_line("error", _told(TruncatedRecordingWarning, shortfall))


def _told(kind: type[Exception], message: str) -> dict[str, str]:
    return {"error": kind.__name__, "message": message}


PROTOCOLS: Final[Mapping[str, Callable[[Replay], Iterator[str]]]] = {
    "ag-ui": _agui,
    "ai-sdk": _aisdk,
    "openai": _openai_chat,
    "openai-responses": _openai_responses,
    "langchain": _langchain,
    SSE: _frames,
}
"""What makes the lines, by the name of the protocol."""
