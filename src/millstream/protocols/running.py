"""Carrying a run on while an encoder says it in its protocol."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from millstream._base.texts import safe_str
from millstream.errors import RunCancelledError
from millstream.pregel._running.run_streams import check_arguments
from millstream.protocols.reading import TRANSFORMERS
from millstream.recording.reading import TruncatedRecordingWarning
from millstream.replaying.replay import Replay

if TYPE_CHECKING:
    from millstream.modes.protocol_events import ProtocolEvent

logger = logging.getLogger("millstream.protocols")

Describe = Callable[[BaseException], str]
"""What a front end is told of an error."""


class Encoder(Protocol):
    """Says one run in the protocol of a front end, as lines that can be sent; without I/O."""

    def begin(self) -> str:
        """Return what is said before anything has happened."""

    def encode(self, event: ProtocolEvent) -> str:
        """Return what an event of the run says; nothing, for many."""

    def restart(self) -> str:
        """Return what is said when the run begins anew: what was not complete is said again."""

    def end(
        self, error: str | None = None, *, code: str | None = None, is_cancelled: bool = False
    ) -> str:
        """Return what ends the stream: why the run has failed, or that somebody has stopped it.

        `code` is the class of the error, for protocols that have a word for programs, too.
        """


def describe(error: BaseException) -> str:
    """Return the class and the text of an error."""
    text = safe_str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def lines(
    graph: Any,
    input: Any,
    config: Any,
    encoder: Encoder,
    tell: Describe,
    options: dict[str, Any],
) -> Iterator[str]:
    """Run a graph, and yield what an encoder says of it."""
    check_arguments(options)
    yield encoder.begin()
    try:
        opened = graph.stream_events(
            input, config, version="v3", transformers=_transformers(options), **options
        )
        with opened as run:
            for event in run:
                if said := encoder.encode(event):
                    yield said
    except Exception as error:
        last = _failed(encoder, error, tell)
    else:
        last = _ended(encoder, graph, tell)
    yield last


async def alines(
    graph: Any,
    input: Any,
    config: Any,
    encoder: Encoder,
    tell: Describe,
    options: dict[str, Any],
) -> AsyncIterator[str]:
    """Run a graph in the event loop, and yield what an encoder says of it."""
    check_arguments(options)
    yield encoder.begin()
    try:
        opened = await graph.astream_events(
            input, config, version="v3", transformers=_transformers(options), **options
        )
        async with opened as run:
            async for event in run:
                if said := encoder.encode(event):
                    yield said
    except Exception as error:
        last = _failed(encoder, error, tell)
    else:
        last = _ended(encoder, graph, tell)
    yield last


def _transformers(options: dict[str, Any]) -> Sequence[Any]:
    return [*TRANSFORMERS, *(options.pop("transformers", None) or ())]


def _ended(encoder: Encoder, graph: Any, tell: Describe) -> str:
    # Whoever sees a run again is not to take what was cut for all that there was.
    shortfall = graph.shortfall if isinstance(graph, Replay) else None
    if shortfall is None:
        return encoder.end()
    code = TruncatedRecordingWarning.__name__ if tell is describe else None
    return encoder.end(shortfall, code=code)


def _failed(encoder: Encoder, error: Exception, tell: Describe) -> str:
    if isinstance(error, RunCancelledError):
        return encoder.end(is_cancelled=True)
    # Whoever reads the stream is told, and so is who runs the program: nobody else raises it.
    logger.error("a run has failed whose stream goes to a front end", exc_info=error)
    # Who describes errors in words of their own may not want to tell more than these.
    code = type(error).__name__ if tell is describe else None
    return encoder.end(tell(error), code=code)
