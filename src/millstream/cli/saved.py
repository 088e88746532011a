"""`millstream state` and `millstream history`: what a graph's saver keeps of a thread."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from millstream._base.texts import visible
from millstream.cli.failures import DONE, UsageError, causes_shown, reason
from millstream.cli.options import Checkpointer, Config, Target, WholeTraceback, read_config
from millstream.cli.output import Output
from millstream.cli.target import lent_graph

if TYPE_CHECKING:
    from millstream.cli.event_loop import EventLoop

Thread = Annotated[str, typer.Option("--thread", "-t", metavar="ID", help="The thread.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, a line for each checkpoint.")]

_DATABASES: Final = {".db", ".sqlite", ".sqlite3"}
_COLUMNS: Final = ("checkpoint_id", "created_at", "source", "step", "next", "questions")


def state(
    target: Target,
    *,
    thread: Thread,
    checkpointer: Checkpointer = None,
    checkpoint: Annotated[
        str | None, typer.Option("--checkpoint", metavar="ID", help="Else the newest one.")
    ] = None,
    config: Config = "{}",
    as_json: AsJson = False,
    traceback: WholeTraceback = False,
) -> int:
    """Print the state of a thread: its values, what would run next, and what it asks."""
    settings = read_config(config, thread)
    if checkpoint is not None:
        settings["configurable"]["checkpoint_id"] = checkpoint
    with (
        causes_shown(traceback),
        _opened(target, settings, checkpointer, as_json=as_json) as (graph, loop),
        _refusals(target),
    ):
        if loop.is_used:
            found = _described(loop.run(graph.aget_state(settings)))
        else:
            found = _described(graph.get_state(settings))
    if found["created_at"] is None:
        which = "" if checkpoint is None else f", checkpoint {checkpoint!r}"
        raise UsageError(f"{target} has kept nothing of thread {thread!r}{which}")
    if as_json:
        from millstream.cli.threads.showing import print_json

        print_json(found)
        return DONE
    out = Output(sys.stdout)
    for line in _lines(found):
        out.write(visible(line) + "\n")
    out.flush()
    return DONE


def history(
    target: Target,
    *,
    thread: Thread,
    checkpointer: Checkpointer = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="At most so many.")] = None,
    config: Config = "{}",
    as_json: AsJson = False,
    traceback: WholeTraceback = False,
) -> int:
    """Print the checkpoints of a thread, the newest first."""
    settings = read_config(config, thread)
    with (
        causes_shown(traceback),
        _opened(target, settings, checkpointer, as_json=as_json) as (graph, loop),
        _refusals(target),
    ):
        if loop.is_used:
            kept = loop.run(_first(graph.aget_state_history(settings), limit))
        else:
            kept = [*islice(graph.get_state_history(settings), limit)]
        found = [_described(each) for each in kept]
    if not found:
        raise UsageError(f"{target} has kept nothing of thread {thread!r}")
    from millstream.cli.threads.showing import print_json, print_rows

    if as_json:
        for row in found:
            print_json(row)
    else:
        counted = ({**row, "questions": len(row["questions"])} for row in found)
        print_rows(counted, _COLUMNS, as_json=False)
    return DONE


@contextlib.contextmanager
def _opened(
    target: str, settings: dict[str, Any], checkpointer: str | None, *, as_json: bool
) -> Iterator[tuple[Any, EventLoop]]:
    """Lend the graph, and the loop that it is read in if it was made there."""
    from millstream.cli.event_loop import EventLoop
    from millstream.cli.live.printed import guarded
    from millstream.cli.savers import has_saver, with_saver

    _refuse_database(target)
    with contextlib.ExitStack() as stack:
        loop = stack.enter_context(EventLoop())
        # What a module prints while it is loaded must not stand between the lines.
        away = contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()
        with guarded(), away:
            graph = stack.enter_context(lent_graph(target, settings, loop))
        graph = with_saver(graph, checkpointer, may_be_new=False)
        if not has_saver(graph):
            raise UsageError(f"{target} has no saver; give --checkpointer PATH")
        yield graph, loop


def _refuse_database(target: str) -> None:
    """Refuse what keeps threads in the place of the graph, which says how to read them."""
    is_address = target.startswith(("postgresql://", "postgres://"))
    if is_address or os.path.splitext(target)[1] in _DATABASES:
        # A password may be in an address.
        shown = "postgresql://..." if is_address else target
        raise UsageError(
            f"{shown} is no graph, but what keeps threads; give a graph, and this with "
            f"--checkpointer, or read it without one: `millstream threads show {shown} ID`"
        )


async def _first(items: AsyncIterator[Any], limit: int | None) -> list[Any]:
    found: list[Any] = []
    async for item in items:
        found.append(item)
        if len(found) == limit:
            break
    return found


@contextlib.contextmanager
def _refusals(target: str) -> Iterator[None]:
    """Have what a saver refuses said in one line."""
    try:
        yield
    except Exception as error:
        raise UsageError(f"{target}: its threads cannot be read: {reason(error)}") from error


def _described(snapshot: Any) -> dict[str, Any]:
    metadata = snapshot.metadata or {}
    configurable = (snapshot.config or {}).get("configurable") or {}
    parent = ((snapshot.parent_config or {}).get("configurable") or {}).get("checkpoint_id")
    return {
        "thread_id": configurable.get("thread_id"),
        "checkpoint_id": configurable.get("checkpoint_id"),
        "parent_id": parent,
        "created_at": snapshot.created_at,
        "source": metadata.get("source"),
        "step": metadata.get("step"),
        "next": list(snapshot.next),
        "values": snapshot.values,
        "questions": [
            {"id": each.id, "value": each.value, "response_schema": each.response_schema}
            for each in snapshot.interrupts
        ],
        "errors": [
            {"name": task.name, "error": str(task.error)} for task in snapshot.tasks if task.error
        ],
    }


def _lines(found: dict[str, Any]) -> Iterator[str]:
    from millstream.cli.asking.questions import question_lines

    for key in ("thread_id", "checkpoint_id", "created_at", "source", "step"):
        yield f"{key.replace('_', ' ')}: {found[key]}"
    yield f"next: {', '.join(found['next']) or 'nothing'}"
    yield "values:"
    yield from (f"  {line}" for line in question_lines(found["values"]))
    for question in found["questions"]:
        yield f"asks ({question['id']}):"
        yield from (f"  {line}" for line in question_lines(question["value"]))
    for error in found["errors"]:
        yield f"failed: {error['name']}: {' '.join(error['error'].split())}"
