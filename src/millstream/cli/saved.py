"""`millstream state` and `millstream history`: what a graph's saver keeps of a thread."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any, Final

import typer

from millstream._base.texts import visible
from millstream.cli.failures import DONE, UsageError, reason
from millstream.cli.options import Checkpointer, Config, Target, read_config
from millstream.cli.output import Output
from millstream.cli.target import load_graph

Thread = Annotated[str, typer.Option("--thread", "-t", metavar="ID", help="The thread.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, a line for each checkpoint.")]

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
) -> int:
    """Print the state of a thread: its values, what would run next, and what it asks."""
    graph, settings = _opened(target, thread, checkpointer, config, as_json=as_json)
    if checkpoint is not None:
        settings["configurable"]["checkpoint_id"] = checkpoint
    with _refusals(target):
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
) -> int:
    """Print the checkpoints of a thread, the newest first."""
    graph, settings = _opened(target, thread, checkpointer, config, as_json=as_json)
    with _refusals(target):
        found = [_described(each) for each in islice(graph.get_state_history(settings), limit)]
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


def _opened(
    target: str, thread: str, checkpointer: str | None, config: str, *, as_json: bool
) -> tuple[Any, dict[str, Any]]:
    settings = read_config(config, thread)
    # What a module prints while it is loaded must not stand between the lines.
    from millstream.cli.live.printed import guarded

    with guarded(), contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        graph = load_graph(target)
    from millstream.cli.savers import has_saver, with_saver

    graph = with_saver(graph, checkpointer)
    if not has_saver(graph):
        raise UsageError(f"{target} has no saver; give --checkpointer PATH")
    return graph, settings


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
