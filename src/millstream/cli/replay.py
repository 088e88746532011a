"""`millstream replay`: show a recorded run again, as `millstream run` showed it."""

from __future__ import annotations

import contextlib
import sys
import warnings
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millstream.cli.failures import DONE, FAILED, UsageError, print_failure, reason
from millstream.cli.options import EventsAsJson, StreamModes, Subgraphs, check_modes
from millstream.cli.output import OutputError, ReaderGoneError, complain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from millstream.cli.render import Renderer
    from millstream.replaying.replay import Replay


def replay(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The recording.")],
    *,
    stream_mode: StreamModes = None,
    subgraphs: Subgraphs = False,
    as_json: EventsAsJson = False,
    protocol: Annotated[
        str | None,
        typer.Option(
            "--protocol",
            metavar="NAME",
            help="Print what a front end gets: ag-ui, ai-sdk, openai, openai-responses, "
            "langchain, or sse, which is what a client of the server gets.",
        ),
    ] = None,
    speed: Annotated[
        str | None,
        typer.Option(
            "--speed",
            metavar="N|max",
            help="How fast: 1 as it was, which is the default on a terminal; 2 twice as fast.",
        ),
    ] = None,
) -> int:
    """Show the run that FILE has recorded; nothing of it runs."""
    modes = None if stream_mode is None else check_modes(stream_mode)

    from millstream.cli import framed
    from millstream.cli.views import choose_view

    if protocol is not None:
        framed.check(
            protocol, has_modes=modes is not None, has_subgraphs=subgraphs, as_json=as_json
        )
    is_watched = not as_json and sys.stdout is not None and sys.stdout.isatty()
    recorded = _open(file, _speed(speed, is_watched=is_watched))
    if protocol is not None:
        return _print_lines(file, recorded, protocol, modes, has_subgraphs=subgraphs)
    renderer = choose_view(modes, has_subgraphs=subgraphs, as_json=as_json)
    renderer.load("")
    try:
        with renderer.shown(), _truncation_told():
            _show(recorded, renderer)
        renderer.finish()
    except (KeyboardInterrupt, UsageError, ReaderGoneError, OutputError):
        raise
    except BaseException as error:
        renderer.stop()
        return _fail(file, recorded, error)
    return DONE


def _print_lines(
    file: str, recorded: Replay, protocol: str, modes: Sequence[str] | None, *, has_subgraphs: bool
) -> int:
    from millstream.cli import framed

    try:
        with _truncation_told():
            framed.show(recorded, protocol, modes, has_subgraphs)
    except (KeyboardInterrupt, UsageError, ReaderGoneError, OutputError):
        raise
    except BaseException as error:
        return _fail(file, recorded, error)
    return DONE


def _fail(file: str, recorded: Replay, error: BaseException) -> int:
    """Show the error that the run has ended with; any other is a fault of the file."""
    from millstream.errors import RunCancelledError
    from millstream.recording.reading import RecordingError

    if isinstance(error, RecordingError):
        raise UsageError(str(error)) from error
    try:
        is_of_run = isinstance(error, RunCancelledError) or error is recorded.error
    except Exception:  # its end cannot be read either
        is_of_run = False
    if not is_of_run:
        raise UsageError(f"{file} cannot be shown: {reason(error)}") from error
    print_failure(error)
    return FAILED


def _show(recorded: Replay, renderer: Renderer) -> None:
    items = recorded.stream(stream_mode=list(renderer.modes), subgraphs=renderer.has_subgraphs)
    with contextlib.closing(items):
        for item in items:
            namespace, mode, payload = item if renderer.has_subgraphs else ((), *item)
            renderer.show(namespace, mode, payload)


@contextlib.contextmanager
def _truncation_told() -> Any:
    """Say on stderr that a recording ends before its run, when everything has been shown."""
    from millstream.recording.reading import TruncatedRecordingWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TruncatedRecordingWarning)
        yield
    for warning in caught:
        complain(str(warning.message))


def _open(file: str, speed: float | None) -> Replay:
    import millstream
    from millstream.recording.reading import RecordingError

    try:
        return millstream.replay(file, speed=speed)
    except RecordingError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}") from error


def _speed(text: str | None, *, is_watched: bool) -> float | None:
    if text is None:
        return 1.0 if is_watched else None
    if text == "max":
        return None
    try:
        speed = float(text.removesuffix("x"))
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise UsageError(f"--speed must be a number above 0, or max, not {text!r:.80}")
    return speed
